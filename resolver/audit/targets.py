"""Who is asked: servers, and the listeners of each.

Knows: addresses as people write them, transports.  Does not know: settings, questions.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from enum import StrEnum

from resolver.problems import show

DNS_PORT = 53
_WRITTEN = re.compile(r"\[(?P<v6>[^\[\]]+)\](?P<port6>:[0-9]{1,5})?|(?P<v4>[0-9.]+)(?P<port4>:[0-9]{1,5})?")
"""In brackets, or with dots, with a port or without."""


class Transport(StrEnum):
    """How a listener is asked."""

    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class Target:
    """One address and one transport."""

    address: str
    """Canonical, without brackets; may carry an IPv6 zone."""
    port: int
    transport: Transport

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
    """At least one; those for datagrams first."""


def server_from(text: str) -> ServerToAsk:
    """Read `ADDRESS` or `ADDRESS:PORT`, an IPv6 address with a port in brackets.  Raises ValueError."""
    stripped = text.strip()
    address, port = stripped, DNS_PORT
    if found := _WRITTEN.fullmatch(stripped):
        address = found["v6"] or found["v4"]
        port = int((found["port6"] or found["port4"] or f":{DNS_PORT}")[1:])
    if not _is_address(address) or not 1 <= port <= 65_535:
        raise ValueError(f"{show(text)} is no address; write 192.0.2.1, 192.0.2.1:53 or '[2001:db8::1]:53'")
    canonical = str(ipaddress.ip_address(address))
    targets = tuple(Target(canonical, port, transport) for transport in Transport)
    return ServerToAsk(targets[0].place, is_own=False, targets=targets)


def own_server(endpoints: list[tuple[str, int]]) -> ServerToAsk:
    """This server by the (address, port) pairs it listens on: unspecified addresses are asked on loopback."""
    reached = dict.fromkeys((_reachable(address), port) for address, port in endpoints)
    targets = tuple(Target(address, port, transport) for transport in Transport for address, port in reached)
    return ServerToAsk("this server", is_own=True, targets=targets)


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
