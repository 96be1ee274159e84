"""The texts that settings are written in -> addresses, networks, names.

Knows: how people write these, and what they most often get wrong.  Does not know: which key
they stand under.
Each reader takes whatever YAML gave and raises ValueError with a whole sentence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

from resolver.languages import LANGUAGES
from resolver.problems import show
from resolver.wire.carried_addresses import NAT64_PREFIXES_MAX, Nat64Prefix, nat64_prefix
from resolver.wire.names import name_from_text, name_to_text

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LINE_CHARS_MAX = 200
"""Of a text that a page shows."""


EVERYWHERE = "*"
"""Instead of an address: every address of this machine, IPv4 and IPv6."""

_REACHED_AT = {EVERYWHERE: "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port to listen on; `str()` gives the form it is written in."""

    address: str
    """Canonical text, without brackets; EVERYWHERE where that is allowed (`listen.http`)."""
    port: int
    """0: any free port."""

    @property
    def is_ipv6(self) -> bool:
        """Whether the address is IPv6."""
        return ":" in self.address

    @property
    def is_everywhere(self) -> bool:
        """Whether it stands for every address of both families."""
        return self.address == EVERYWHERE

    @property
    def is_loopback(self) -> bool:
        """Whether nobody on another machine can reach it."""
        return not self.is_everywhere and ip_address(self.address).is_loopback

    @property
    def from_here(self) -> Endpoint:
        """Where this machine itself reaches it."""
        return Endpoint(_REACHED_AT.get(self.address, self.address), self.port)

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.is_ipv6 else f"{self.address}:{self.port}"


def endpoint_from(value: object) -> Endpoint:
    """Read `ADDRESS:PORT`, an IPv6 address in brackets."""
    form = "write ADDRESS:PORT, IPv6 as '[::1]:5335'"
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"{value} is only a port; write '127.0.0.1:{value}' or '0.0.0.0:{value}'")
    if not isinstance(value, str):
        raise ValueError(f"{show(value)} is not an address with a port; {form}")
    if is_address(value.strip("[]")):
        raise ValueError(f"{show(value)} has no port; {form}")
    host, _, port = value.rpartition(":")
    if host in ("", "*"):
        raise ValueError(
            f"{show(value)} has no address; for all addresses write '0.0.0.0:{port}' and '[::]:{port}'"
        )
    return Endpoint(host_address(host, value, form), port_from(port, value, least=0))


def http_endpoint_from(value: object) -> Endpoint:
    """Read `ADDRESS:PORT`, or `*:PORT`: every address, IPv4 and IPv6."""
    if isinstance(value, str) and value.startswith("*:"):
        return Endpoint(EVERYWHERE, port_from(value[2:], value, least=0))
    return endpoint_from(value)


def network_from(value: object) -> Network:
    """Read a network such as `10.0.0.0/8`, or one address."""
    form = "write it as '10.0.0.0/8' or '2001:db8::/32'"
    if not isinstance(value, str):
        raise ValueError(f"{show(value)} is not a network; {form}")
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        wider = ip_network(value, strict=False)
    except ValueError:
        raise ValueError(
            f"{show(value)} is not a network; write it as '10.0.0.0/8' or '2001:db8::/32'"
        ) from None
    raise ValueError(f"{show(value)} has bits set after its prefix; did you mean '{wider}'?")


def nat64_prefix_from(value: object) -> Nat64Prefix:
    """Read a NAT64 prefix such as `2001:db8:64::/96`."""
    network = network_from(value)
    if not isinstance(network, IPv6Network):
        raise ValueError(f"{show(value)} is no NAT64 prefix; write it as '2001:db8:64::/96'")
    return nat64_prefix(network)


def address_from(value: object) -> Address:
    """Read one IPv4 or IPv6 address."""
    if not isinstance(value, str) or not is_address(value):
        raise ValueError(f"{show(value)} is not an address; write it as '192.0.2.1' or '2001:db8::1'")
    return ip_address(value)


def domain_name_from(value: object) -> bytes:
    """Read a domain name to wire form, lower case."""
    if not isinstance(value, str):
        raise ValueError(f"{show(value)} is not a domain name; put it in quotes")
    return name_from_text(value)


def host_name_from(value: object) -> str:
    """Read a name as a `Host` header has it: lower case, A-labels, no dot at its end."""
    return name_to_text(domain_name_from(value)).rstrip(".").lower()


def languages_from(value: object) -> Literal["auto"] | tuple[str, ...]:
    """Read `auto`, or a list of language codes; the first one is for who wants none of them."""
    known = ", ".join(LANGUAGES)
    if value == "auto":
        return "auto"
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{show(value)} is not allowed; allowed: auto, or a list of {known}")
    for code in value:
        if code not in LANGUAGES:
            raise ValueError(f"{show(code)}: there are no texts in this language; allowed: {known}")
    if len(set(value)) < len(value):
        raise ValueError("a language stands there twice")
    return tuple(value)


def line_from(value: object) -> str:
    """Read a text of one line for people."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{show(value)} is not a text; put it in quotes")
    if len(value) > LINE_CHARS_MAX or not value.isprintable():
        raise ValueError(f"{show(value)} is not one line of {LINE_CHARS_MAX} printable characters at most")
    return value.strip()


def web_address_from(value: object) -> str:
    """Read an address that a page can link to."""
    text = line_from(value)
    if not re.fullmatch(r"https?://[!#-;=?-~]+", text):
        raise ValueError(f"{show(text)} is not a web address; write it as 'https://www.example.net/filter'")
    return text


def path_from(value: object, info: ValidationInfo) -> Path:
    """Read a path; a relative one starts at the folder of the file it is written in."""
    if isinstance(value, Path):  # A default.
        value = str(value)
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{show(value)} is not allowed; allowed: a path")
    base = info.context["folder"] if info.context else Path()
    written = Path(base) / value
    # `config/../blocklist.yaml` reads better without the detour, but behind a symlink `..` leads elsewhere.
    tidy = Path(os.path.normpath(written))
    return tidy if tidy.parent.resolve() == written.parent.resolve() else written


def is_address(text: str) -> bool:
    """Whether it is an IPv4 or IPv6 address, without a zone."""
    try:
        # A zone (fe80::1%eth0) means something on one machine only.
        return ip_address(text) is not None and "%" not in text
    except ValueError:
        return False


def host_address(host: str, whole: str, form: str) -> str:
    """Read the address in `whole`, IPv6 in brackets; `form` says how it is written."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if "%" in bare:
        raise ValueError(f"{show(whole)}: addresses with a zone (%) are not served by this version")
    if not is_address(bare):
        raise ValueError(f"{show(whole)}: {show(bare)} is not an IP address; {form}")
    if ":" in bare and bare == host:
        raise ValueError(f"{show(whole)}: put the IPv6 address in brackets; {form}")
    return str(ip_address(bare))


def port_from(text: str, whole: str, *, least: int) -> int:
    """Read the port in `whole`."""
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not least <= int(text) <= 65535:
        raise ValueError(f"{show(whole)}: {show(text)} is not a port; allowed: {least} to 65535")
    return int(text)


def text_type(read: Callable[..., Any], example: str) -> tuple[Any, ...]:
    """Bundle reading, writing back (for defaults in the schema) and the schema of a text."""
    return (
        PlainValidator(read),
        PlainSerializer(str, return_type=str),
        WithJsonSchema({"type": "string", "examples": [example]}),
    )


_LIST_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
"""As the blocklist has them."""
COMMAND_WORDS_MAX = 64


def list_name_from(value: object) -> str:
    """Read the name of a list of the blocklist."""
    if isinstance(value, str) and _LIST_NAME.fullmatch(value):
        return value
    raise ValueError(f"{show(value)} is no list's name: 1 to 63 of a-z, 0-9, _ and -")


def command_from(value: object) -> tuple[str, ...]:
    """Read a program's absolute path and its arguments."""
    if not isinstance(value, (list, tuple)) or not value or len(value) > COMMAND_WORDS_MAX:
        raise ValueError(
            f"{show(value)} is no command; write [PROGRAM, ARGUMENT, ...]: no shell takes a line apart"
        )
    for word in value:
        if not isinstance(word, str) or "\0" in word:
            raise ValueError(f"{show(word)} is no text; put it in quotes")
    program = value[0]
    if not program.startswith("/"):
        raise ValueError(f"{show(program)} is no absolute path; no PATH is searched for it")
    return tuple(value)


EndpointText = Annotated[Endpoint, *text_type(endpoint_from, "127.0.0.1:5335")]
HttpEndpointText = Annotated[Endpoint, *text_type(http_endpoint_from, "127.0.0.1:8053")]
NetworkText = Annotated[Network, *text_type(network_from, "10.0.0.0/8")]
Nat64PrefixText = Annotated[Nat64Prefix, *text_type(nat64_prefix_from, "2001:db8:64::/96")]
AddressText = Annotated[Address, *text_type(address_from, "192.0.2.1")]
HostName = Annotated[str, *text_type(host_name_from, "resolver.corp.example")]
LineText = Annotated[str, *text_type(line_from, "Example Networks Ltd.")]
WebAddress = Annotated[str, *text_type(web_address_from, "https://www.example.net/filter")]
Languages = Annotated[
    Literal["auto"] | tuple[str, ...],
    PlainValidator(languages_from),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "auto"},
                {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": list(LANGUAGES)}},
            ]
        }
    ),
]
PathText = Annotated[Path, *text_type(path_from, "../blocklist.yaml")]
ListName = Annotated[str, *text_type(list_name_from, "acme-register")]
CommandWords = Annotated[
    tuple[str, ...],
    PlainValidator(command_from),
    PlainSerializer(list, return_type=list),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "maxItems": COMMAND_WORDS_MAX,
            "examples": [["/usr/local/bin/acknowledge", "--register", "acme"]],
        }
    ),
]
DomainName = Annotated[
    bytes,
    PlainValidator(domain_name_from),
    PlainSerializer(name_to_text, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["example.org"]}),
]
# YAML gives lists; frozen settings hold tuples.
Endpoints = Annotated[tuple[EndpointText, ...], Field(strict=False)]
Networks = Annotated[tuple[NetworkText, ...], Field(strict=False)]
Nat64Prefixes = Annotated[tuple[Nat64PrefixText, ...], Field(strict=False, max_length=NAT64_PREFIXES_MAX)]
Addresses = Annotated[tuple[AddressText, ...], Field(strict=False, min_length=1)]
HostNames = Annotated[tuple[HostName, ...], Field(strict=False)]
