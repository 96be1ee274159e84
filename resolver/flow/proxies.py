"""Proxies that say for whom they ask: which may, and for whom a datagram of theirs is.

Knows: their networks, the head before what they pass on.  Does not know: sockets, what is asked.
Theory: who may say that he is another may be anybody, so a head is taken from these networks alone; and from
them nothing else, or what a proxy forgot to say would count as the proxy's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

from resolver.flow.clients import Networks
from resolver.wire.proxy import (
    NEED_MORE,
    NO_SIGNATURE,
    SIGNATURE,
    BadHead,
    NeedMore,
    Proxied,
    parse_proxy,
)

PROXY_HEAD = "proxy_head"
"""The reason for which a datagram or a connection is refused: a head that cannot be taken, or none."""


class Proxies:
    """The networks of proxies that must send a head; false where there is none."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network] = ()) -> None:
        self._networks = Networks(networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: bytes) -> bool:
        """Whether this packed address is a proxy's: whatever it sends begins with a head."""
        return address in self._networks

    def head_of(self, address: bytes, octets: bytes | bytearray) -> Proxied | NeedMore | BadHead:
        """What a connection begins with: of one that is no proxy's a head of no octets."""
        if address in self._networks:
            return parse_proxy(octets)
        if octets.startswith(SIGNATURE):
            return NO_SIGNATURE
        # No message over TCP or TLS ends within so few octets.
        return NEED_MORE if SIGNATURE.startswith(bytes(octets)) else Proxied(None, None, 0)

    def sender_of(self, address: bytes, datagram: bytes) -> tuple[bytes, bytes] | None:
        """Who sent a datagram, and its query; None: it is refused for its head, or the lack of one."""
        if address not in self._networks:
            return None if datagram.startswith(SIGNATURE) else (address, datagram)
        head = parse_proxy(datagram)
        if not isinstance(head, Proxied):
            return None
        source = address if head.source is None else head.source[0]
        return source, datagram[head.length :]


NO_PROXIES = Proxies()
"""Where nobody sends a head."""
