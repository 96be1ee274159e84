"""The texts that upstreams are written in -> servers to ask.

Knows: the four schemes and what each needs, how people write them and what they most often get wrong.
Does not know: which key they stand under, whether a host name can be resolved.
Each reader takes whatever YAML gave and raises ValueError with a whole sentence.

An upstream over TLS or HTTPS has an address, a host name, or both: `tls://192.0.2.1:853#dns.example` connects
to the address and asks for a certificate of the name; `tls://dns.example` has its address from bootstrap
servers.  The same holds for `https://dns.example/dns-query` and `https://192.0.2.1/dns-query#dns.example`.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Annotated, Literal, get_args

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from resolver.config.settingvalues import (
    Endpoint,
    host_address,
    host_name_from,
    is_address,
    port_from,
    text_type,
)
from resolver.problems import show, suggest

UpstreamScheme = Literal["udp", "tcp", "tls", "https"]
LetterCase = Literal["auto", "mixed", "lower"]

PORTS: dict[UpstreamScheme, int] = {"udp": 53, "tcp": 53, "tls": 853, "https": 443}
"""Where upstreams listen when the text names no port (RFC 1035 §4.2, RFC 7858 §3.1, RFC 8484 §5)."""

PIN_OCTETS = 32
"""Of a SHA-256 hash."""
PINS_MAX = 8
PATH_CHARS_MAX = 255
"""Of the path of a DNS over HTTPS server."""

FORMS: dict[UpstreamScheme, str] = {
    "udp": "write udp://ADDRESS:PORT",
    "tcp": "write tcp://ADDRESS:PORT",
    "tls": "write tls://ADDRESS:PORT#NAME or tls://NAME",
    "https": "write https://NAME/PATH or https://ADDRESS/PATH#NAME",
}
ANY_FORM = "write udp://ADDRESS:PORT, tcp://ADDRESS:PORT, tls://ADDRESS:PORT#NAME or https://NAME/PATH"
PIN_FORM = (
    "write the SHA-256 hash of the server's public key in Base64, 44 characters, as this prints it: "
    "openssl x509 -in CERTIFICATE -pubkey -noout | openssl pkey -pubin -outform der | "
    "openssl dgst -sha256 -binary | base64"
)


@dataclass(frozen=True, slots=True)
class UpstreamServer:
    """A server to ask; `str()` gives its URL."""

    scheme: UpstreamScheme
    address: str
    """Canonical text, without brackets; empty: bootstrap servers know it by `host`."""
    port: int
    trust_ad: bool = False
    """Its AD bit is passed on to clients: it validates, and the way to it is safe."""
    letter_case: LetterCase = "auto"
    """How names are spelt for it: mixed, until it shows that it cannot take that; always mixed; never."""
    host: str = ""
    """The name its certificate must have, in A-labels; empty: none was given."""
    path: str = ""
    """Of DNS over HTTPS, with its leading slash; empty: another scheme."""
    pins: tuple[bytes, ...] = ()
    """SHA-256 hashes of public keys (SPKI); the server must have one of them.  None: any key."""

    @property
    def is_encrypted(self) -> bool:
        """Whether what is asked of it cannot be read on the way."""
        return self.scheme in ("tls", "https")

    @property
    def is_plain(self) -> bool:
        """Whether what is asked of it leaves this machine in clear text."""
        return not self.is_encrypted and not ip_address(self.address).is_loopback

    def __str__(self) -> str:
        named = f"#{self.host}" if self.host and self.address else ""
        if self.scheme != "https":
            return f"{self.scheme}://{Endpoint(self.address or self.host, self.port)}{named}"
        host = f"[{self.address}]" if ":" in self.address else self.address or self.host
        port = "" if self.port == PORTS["https"] else f":{self.port}"
        return f"https://{host}{port}{self.path}{named}"


def bootstrap_from(value: object) -> Endpoint:
    """Read `ADDRESS` or `ADDRESS:PORT` of a DNS server."""
    form = "write it as '192.0.2.53', '192.0.2.53:53' or '[2001:db8::53]:53'"
    if not isinstance(value, str):
        raise ValueError(f"{show(value)} is not the address of a DNS server; {form}")
    if "://" in value:
        raise ValueError(f"{show(value)}: without a scheme, as these are asked over UDP and TCP; {form}")
    server = Endpoint(str(ip_address(value)), PORTS["udp"]) if is_address(value) else None
    if server is None:
        host, _, port = value.rpartition(":")
        server = Endpoint(host_address(host or port, value, form), port_from(port, value, least=1))
    if ip_address(server.address).is_unspecified:
        raise ValueError(f"{show(value)}: {server.address} is not the address of a server")
    return server


def upstream_from(value: object) -> UpstreamServer:
    """Read a URL, or `{url: ..., trust_ad: true, letter_case: lower, pins: [...]}`."""
    if not isinstance(value, dict):
        return server_from(value)
    known = ["url", "trust_ad", "letter_case", "pins"]
    for key in value.keys() - set(known):
        raise ValueError(f"unknown key {show(key)}{suggest(key, known)}")
    trusted, letter_case = value.get("trust_ad", False), value.get("letter_case", "auto")
    if not isinstance(trusted, bool):
        raise ValueError(f"trust_ad: {show(trusted)} is not allowed; allowed: true or false")
    if letter_case not in get_args(LetterCase):
        hint = suggest(letter_case, get_args(LetterCase)) if isinstance(letter_case, str) else ""
        raise ValueError(
            f"letter_case: {show(letter_case)} is not allowed; allowed: auto, mixed or lower{hint}"
        )
    server = server_from(value.get("url"))
    pins = pins_from(value["pins"]) if "pins" in value else ()
    if pins and not server.is_encrypted:
        raise ValueError(f"pins: {server} shows no key; only tls:// and https:// servers have one")
    return replace(server, trust_ad=trusted, letter_case=letter_case, pins=pins)


def pins_from(value: object) -> tuple[bytes, ...]:
    """Read a list of Base64 texts."""
    if not isinstance(value, list | tuple) or not value or len(value) > PINS_MAX:
        raise ValueError(f"pins: {show(value)} is not a list of 1 to {PINS_MAX} hashes; {PIN_FORM}")
    return tuple(_pin_from(text) for text in value)


def _pin_from(text: object) -> bytes:
    try:
        octets = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        octets = b""
    if len(octets) != PIN_OCTETS:
        raise ValueError(f"pins: {show(text)} is no hash of a key; {PIN_FORM}")
    return octets


def server_from(text: object) -> UpstreamServer:
    """Read the URL of a server."""
    if not isinstance(text, str):
        raise ValueError(f"{show(text)} is not an upstream; {ANY_FORM}")
    scheme, separator, rest = text.partition("://")
    if not separator:
        hint = f"; did you mean 'udp://{text}'?" if re.match(r"[\[0-9]", text) else ""
        raise ValueError(f"{show(text)} has no scheme; {ANY_FORM}{hint}")
    if scheme == "tls":
        return _tls_server(text, rest)
    if scheme == "https":
        return _https_server(text, rest)
    if scheme not in ("udp", "tcp"):
        schemes = get_args(UpstreamScheme)
        raise ValueError(f"{show(text)}: unknown scheme {show(scheme)}{suggest(scheme, schemes)}; {ANY_FORM}")
    plain: Literal["udp", "tcp"] = "udp" if scheme == "udp" else "tcp"
    host, port = _host_and_port(text, rest, plain)
    return UpstreamServer(plain, _address(host, text, FORMS[plain]), port)


def _tls_server(text: str, rest: str) -> UpstreamServer:
    """What stands behind `tls://`."""
    where, is_named, name = rest.partition("#")
    if re.search(r"[/?@]", where):
        raise ValueError(f"{show(text)}: has more than an address or a name, and a port; {FORMS['tls']}")
    host, port = _host_and_port(text, where, "tls")
    address, certified = _address_and_name(text, host, name if is_named else None, "tls")
    return UpstreamServer("tls", address, port, host=certified)


def _https_server(text: str, rest: str) -> UpstreamServer:
    """What stands behind `https://`."""
    url, is_named, name = rest.partition("#")
    where, slash, path = url.partition("/")
    if re.search(r"[?@]", where):
        raise ValueError(f"{show(text)}: has more than an address or a name, and a port; {FORMS['https']}")
    path = (slash + path).removesuffix("{?dns}")  # the end of a URI template (RFC 8484 §4.1): for GET
    if not path:
        raise ValueError(f"{show(text)} has no path; did you mean 'https://{where}/dns-query'?")
    if not re.fullmatch(r"[!-~]+", path) or len(path) > PATH_CHARS_MAX or "{" in path:
        raise ValueError(f"{show(text)}: {show(path)} is not a path; {FORMS['https']}")
    host, port = _host_and_port(text, where, "https")
    address, certified = _address_and_name(text, host, name if is_named else None, "https")
    return UpstreamServer("https", address, port, host=certified, path=path)


def _host_and_port(text: str, where: str, scheme: UpstreamScheme) -> tuple[str, int]:
    """`HOST`, `HOST:PORT`, IPv6 addresses in brackets; the brackets stay."""
    bare = where.strip("[]") if where.startswith("[") and where.endswith("]") else where
    if is_address(bare):
        if ":" in bare and bare == where:
            port = PORTS[scheme]
            raise ValueError(f"{show(text)}: put an IPv6 address in brackets: {scheme}://[{bare}]:{port}")
        return where, PORTS[scheme]
    host, _, port_text = where.rpartition(":")
    if not host:
        return where, PORTS[scheme]
    return host, port_from(port_text, text, least=1)


def _address(host: str, text: str, form: str) -> str:
    address = host_address(host, text, form)
    if ip_address(address).is_unspecified:
        raise ValueError(f"{show(text)}: {address} is not the address of a server")
    return address


def _address_and_name(text: str, host: str, name: str | None, scheme: UpstreamScheme) -> tuple[str, str]:
    """Where an encrypted server is, and what its certificate says; one of them may be empty."""
    form = FORMS[scheme]
    if re.fullmatch(r"[0-9.]*|\[.*|.*[:%].*", host):
        address = _address(host, text, form)
        return address, "" if name is None else _certificate_name(name, text, form)
    if name is not None:
        raise ValueError(f"{show(text)}: a name follows '#' only behind an address; {form}")
    return "", _certificate_name(host, text, form)


def _certificate_name(name: str, text: str, form: str) -> str:
    if is_address(name.strip("[]")):
        raise ValueError(f"{show(text)}: {show(name)} is an address, not the name in a certificate; {form}")
    try:
        found = host_name_from(name)
    except ValueError as error:
        raise ValueError(f"{show(text)}: {error}; {form}") from None
    if not found or "*" in found:
        raise ValueError(f"{show(text)}: {show(name)} is not the name of a server; {form}")
    return found


BootstrapText = Annotated[Endpoint, *text_type(bootstrap_from, "192.0.2.53")]
UpstreamText = Annotated[
    UpstreamServer,
    PlainValidator(upstream_from),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "string",
                    "examples": [
                        "udp://192.0.2.53:53",
                        "tls://192.0.2.53:853#dns.example",
                        "https://dns.example/dns-query",
                    ],
                },
                {
                    "type": "object",
                    "properties": {
                        "url": {"type": "string"},
                        "trust_ad": {"type": "boolean"},
                        "letter_case": {"enum": list(get_args(LetterCase))},
                        "pins": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": PINS_MAX,
                            "items": {"type": "string", "pattern": "^[A-Za-z0-9+/]{43}=$"},
                        },
                    },
                    "required": ["url"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]

# YAML gives lists; frozen settings hold tuples.
BootstrapServers = Annotated[tuple[BootstrapText, ...], Field(strict=False)]
Upstreams = Annotated[tuple[UpstreamText, ...], Field(strict=False, min_length=1)]
