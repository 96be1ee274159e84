"""Who is asked: servers, and the listeners of each.

Knows: addresses as people write them, transports.  Does not know: settings, questions.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from resolver.problems import show

DNS_PORT = 53
TLS_PORT = 853
"""RFC 7858 §3.1."""
HTTPS_PORT = 443
HTTPS_PATH = "/dns-query"
"""Where nobody says otherwise (RFC 8484 §4.1 has no fixed one; all servers do it so)."""
_WRITTEN = re.compile(r"\[(?P<v6>[^\[\]]+)\](?P<port6>:[0-9]{1,5})?|(?P<v4>[0-9.]+)(?P<port4>:[0-9]{1,5})?")
"""In brackets, or with dots, with a port or without."""
_HOST = re.compile(r"(?P<v6>\[[^\[\]]+\])|(?P<name>[A-Za-z0-9._-]+)")
_URL = re.compile(
    rf"(?P<scheme>tls|https)://(?P<host>{_HOST.pattern})(:(?P<port>[0-9]{{1,5}}))?"
    r"(?P<path>/[!-\"$-~]*)?(#(?P<server_name>[A-Za-z0-9._-]+))?"
)
_HOW_TO_WRITE = (
    "write 192.0.2.1, 192.0.2.1:53, '[2001:db8::1]:53', 'tls://192.0.2.1#dns.example' or "
    "'https://dns.example/dns-query'"
)


class Transport(StrEnum):
    """How a listener is asked."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    HTTPS = "https"


PLAIN = (Transport.UDP, Transport.TCP)


@dataclass(frozen=True, slots=True)
class Target:
    """One address and one transport."""

    address: str
    """Canonical, without brackets; may carry an IPv6 zone.  Over HTTPS it may be a name."""
    port: int
    transport: Transport
    server_name: str = ""
    """What the certificate must be of, by the system's authorities; empty: it is not looked at."""
    path: str = ""
    """Over HTTPS."""

    @property
    def family(self) -> socket.AddressFamily:
        """The socket's family."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    @property
    def place(self) -> str:
        """`192.0.2.1:53` or `[2001:db8::1]:53`."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def label(self) -> str:
        """`192.0.2.1:53 udp`."""
        return f"{self.place} {self.transport.value}"


@dataclass(frozen=True, slots=True)
class ServerToAsk:
    """One server."""

    name: str
    is_own: bool
    """This very server: every part of its answers is held against the policy."""
    targets: tuple[Target, ...]
    """At least one; those for datagrams first, where there are any."""


def server_from(text: str) -> ServerToAsk:
    """Read an address, or a URL of an encrypted listener; see `_HOW_TO_WRITE`.  Raises ValueError."""
    stripped = text.strip()
    if "://" in stripped:
        return _encrypted(text, stripped)
    address, port = stripped, DNS_PORT
    if found := _WRITTEN.fullmatch(stripped):
        address = found["v6"] or found["v4"]
        port = int((found["port6"] or found["port4"] or f":{DNS_PORT}")[1:])
    if not _is_address(address) or not 1 <= port <= 65_535:
        raise ValueError(f"{show(text)} is no address; {_HOW_TO_WRITE}")
    canonical = str(ipaddress.ip_address(address))
    targets = tuple(Target(canonical, port, transport) for transport in PLAIN)
    return ServerToAsk(targets[0].place, is_own=False, targets=targets)


def _encrypted(text: str, url: str) -> ServerToAsk:
    """Read `tls://ADDRESS[:PORT][#NAME]` or `https://HOST[:PORT][/PATH]`.

    Over TLS a certificate is looked at where a name is given; over HTTPS it must always be the host's.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError(f"{show(text)} is no address; {_HOW_TO_WRITE}")
    host = found["host"].strip("[]")
    transport = Transport(found["scheme"])
    port = int(found["port"] or (TLS_PORT if transport is Transport.TLS else HTTPS_PORT))
    is_right = (
        1 <= port <= 65_535
        and (transport is Transport.HTTPS or (_is_address(host) and not found["path"]))
        and (transport is Transport.TLS or not found["server_name"])
        and (not found["v6"] or _is_address(host))
    )
    if not is_right:
        raise ValueError(f"{show(text)} is no address; {_HOW_TO_WRITE}")
    address = str(ipaddress.ip_address(host)) if _is_address(host) else host.lower()
    if transport is Transport.TLS:
        target = Target(address, port, transport, found["server_name"] or "")
    else:
        target = Target(address, port, transport, address, found["path"] or HTTPS_PATH)
    return ServerToAsk(f"{transport.value}://{target.place}", is_own=False, targets=(target,))


Listening = Mapping[str, Sequence[tuple[str, int]]]
"""`dns`, `tls` or `https` -> (address, port) pairs, as the settings name them under `listen`."""


def own_server(listening: Listening) -> ServerToAsk:
    """This server by what it listens on: unspecified addresses are asked on loopback.

    Its certificates are not looked at: it is asked what it answers.
    """
    targets = [Target(*pair, transport) for transport in PLAIN for pair in _reached(listening, "dns")]
    targets += [Target(*pair, Transport.TLS) for pair in _reached(listening, "tls")]
    targets += [Target(*pair, Transport.HTTPS, path=HTTPS_PATH) for pair in _reached(listening, "https")]
    return ServerToAsk("this server", is_own=True, targets=tuple(targets))


def _reached(listening: Listening, key: str) -> Iterable[tuple[str, int]]:
    return dict.fromkeys((_reachable(address), port) for address, port in listening.get(key, ()))


def _reachable(address: str) -> str:
    if address == "0.0.0.0":
        return "127.0.0.1"
    return "::1" if address == "::" else address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
