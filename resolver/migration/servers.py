"""How other products write upstreams and addresses -> the URLs that settings take.

Knows: `ADDRESS#PORT`, `ADDRESS@PORT#NAME`, `tcp-tls:NAME:853` and their like.  Does not know: which names a
server is asked for.
Each reader gives a URL that `upstream_from` may still refuse, or raises ValueError with a whole sentence.
"""

from __future__ import annotations

import re
from typing import Final

from resolver.config.settingvalues import is_address
from resolver.problems import show

PLAIN_PORT: Final = 53
_UNSPOKEN: Final = {
    "quic": "DNS over QUIC is not spoken here; write tls:// or https:// of the same server",
    "h3": "DNS over HTTP/3 is not spoken here; write https:// of the same server",
    "sdns": "DNSCrypt and DNS stamps are not read here; write tls:// or https:// of the same server",
    "http": "DNS over HTTP without TLS is not spoken here; write https://",
}


def plain(host: str, port: str | int = PLAIN_PORT, scheme: str = "udp") -> str:
    """The URL of a server by its address."""
    bare = host.strip("[]")
    if not is_address(bare):
        raise ValueError(
            f"{show(host)} is no address, and servers in clear text are named by their address here"
        )
    return f"{scheme}://[{bare}]:{port}" if ":" in bare else f"{scheme}://{bare}:{port}"


def hashed(text: str) -> str:
    """`ADDRESS`, `ADDRESS#PORT`, as dnsmasq and Pi-hole write it; `@INTERFACE` is refused."""
    where, _, interface = text.strip().partition("@")
    if interface:
        raise ValueError(f"{show(text)}: a server is not asked through one interface or address here")
    host, _, port = where.partition("#")
    return plain(host, port or PLAIN_PORT)


def at_signed(text: str, *, is_tls: bool, is_tcp: bool = False) -> str:
    """`ADDRESS@PORT#NAME`, as Unbound writes it."""
    where, _, name = text.strip().partition("#")
    host, _, port = where.partition("@")
    if not is_tls:
        return plain(host, port or PLAIN_PORT, "tcp" if is_tcp else "udp")
    if not is_address(host):
        raise ValueError(f"{show(text)}: write tls://NAME, and bootstrap servers that know its address")
    return plain(host, port or 853, "tls") + (f"#{name}" if name else "")


def with_scheme(text: str) -> str:
    """`ADDRESS`, `ADDRESS:PORT` or a URL, as AdGuard Home writes it."""
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        return _host_port(text.strip(), "udp")
    scheme = scheme.lower()
    if scheme in _UNSPOKEN:
        raise ValueError(f"{show(text)}: {_UNSPOKEN[scheme]}")
    if scheme in ("udp", "tcp"):
        return _host_port(rest.rstrip("/"), scheme)
    if scheme == "tls":
        return f"tls://{rest.rstrip('/')}"
    if scheme == "https":
        host, slash, path = rest.partition("/")
        return f"https://{host}/{path or 'dns-query'}" if slash else f"https://{host}/dns-query"
    raise ValueError(f"{show(text)}: unknown scheme {show(scheme)}")


def with_colon(text: str) -> str:
    """`ADDRESS`, `tcp+udp:ADDRESS:PORT`, `tcp-tls:NAME:853#CERTIFIED` or a URL, as blocky writes it."""
    text = text.strip()
    found = re.fullmatch(r"(tcp\+udp|udp|tcp-tls|tcp|quic|https|sdns|h3):(//)?(.*)", text)
    if found is None:
        return _host_port(text, "udp")
    scheme, slashes, rest = found.groups()
    if scheme in _UNSPOKEN:
        raise ValueError(f"{show(text)}: {_UNSPOKEN[scheme]}")
    where, _, certified = rest.partition("#")
    if scheme == "https":
        if not slashes:
            raise ValueError(f"{show(text)} is not a URL")
        host = re.split(r"[:/]", where)[0].strip("[]")
        return with_scheme(f"https://{where}") + (f"#{certified}" if certified and is_address(host) else "")
    if scheme == "tcp-tls":
        host, port = _split(where)
        shown = f"[{host}]" if ":" in host else host
        return f"tls://{shown}:{port or 853}" + (f"#{certified}" if certified and is_address(host) else "")
    return _host_port(where, "tcp" if scheme == "tcp" else "udp")


def _host_port(text: str, scheme: str) -> str:
    host, port = _split(text)
    return plain(host, port or PLAIN_PORT, scheme)


def _split(text: str) -> tuple[str, str]:
    """Host and port of `HOST`, `HOST:PORT`, `[HOST]:PORT`; the port may be empty."""
    if is_address(text.strip("[]")):
        return text.strip("[]"), ""
    host, _, port = text.rpartition(":")
    return (host.strip("[]"), port) if host else (text, "")


def seconds(text: object) -> float | None:
    """`10s`, `5m`, `1h30m`, `24h0m0s`, as programs in Go write a time; None: it is none."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    if not isinstance(text, str) or len(text) > 100:
        return None
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|us|ns|h|m|s|d)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return float(text) if re.fullmatch(r"[0-9]{1,12}", text) else None
    units = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
    return sum(float(number) * units[unit] for number, unit in parts)
