"""Who the clients are: what each may do, how often it may ask, and who counts as one client.

Knows: client networks, token buckets.  Does not know: sockets, DNS, the time (`now` comes in).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple

from resolver.policy.image import EVERYBODY

BUCKETS_MAX = 65_536
"""Clients remembered by the rate limiter; the longest unused half is forgotten when full."""

BURST_S = 1.0
"""A client may spend this many seconds' worth of its rate at once: page loads come in bursts."""


_IPV4_MAPPED: Final = bytes(10) + b"\xff\xff"
"""What the 16 octets of an IPv4 address written as an IPv6 one begin with (RFC 4291 §2.5.5.2)."""


class Standing(NamedTuple):
    """What a client is to this server."""

    group: int
    """The group whose rules hold for it."""
    is_allowed: bool
    """Whether it may ask at all."""


UNKNOWN: Final = Standing(EVERYBODY, is_allowed=False)
"""Of a client that nobody has looked up yet; compare by identity."""

_ALLOWED: Final = Standing(EVERYBODY, is_allowed=True)
_STRANGER: Final = Standing(EVERYBODY, is_allowed=False)


class Networks:
    """Networks of either family; false where there is none."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network]) -> None:
        self._ipv4: list[tuple[int, int]] = []
        self._ipv6: list[tuple[int, int]] = []
        for network in networks:
            rows = self._ipv4 if isinstance(network, IPv4Network) else self._ipv6
            rows.append((int(network.network_address), int(network.netmask)))

    def __bool__(self) -> bool:
        return bool(self._ipv4 or self._ipv6)

    def __contains__(self, address: bytes) -> bool:
        """Whether this packed address (4 or 16 octets) is in one of them."""
        number = int.from_bytes(address, "big")
        rows = self._ipv4 if len(address) == 4 else self._ipv6
        return any(number & mask == network for network, mask in rows)


NO_NETWORKS: Final = Networks(())


class Clients:
    """The networks whose hosts may ask; all of them are of one group."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network]) -> None:
        self._networks = Networks(networks)

    def standing(self, address: bytes) -> Standing:
        """Of the client with this packed address (4 or 16 octets)."""
        return _ALLOWED if address in self._networks else _STRANGER


def client_key(address: bytes) -> bytes:
    """What limits per client count by: a whole IPv4 address, or the /64 that an IPv6 host owns.

    An IPv4 address is the same client however it is written.
    """
    if len(address) == 4:
        return address
    return address[12:] if address.startswith(_IPV4_MAPPED) else address[:8]


class RateLimiter:
    """A token bucket per client (`client_key`), at most `BUCKETS_MAX` of them."""

    def __init__(self, rate_qps: int) -> None:
        self._rate_qps = rate_qps
        self._burst = max(1.0, rate_qps * BURST_S)
        self._young: dict[bytes, list[float]] = {}
        self._old: dict[bytes, list[float]] = {}

    def takes(self, address: bytes, now: float) -> bool:
        """Take one token of this client's; False when its bucket is empty."""
        key = client_key(address)
        bucket = self._young.get(key)
        if bucket is None:
            bucket = self._old.pop(key, None) or [self._burst, now]
            if len(self._young) >= BUCKETS_MAX // 2:
                self._old, self._young = self._young, {}
            self._young[key] = bucket
        tokens = min(self._burst, bucket[0] + (now - bucket[1]) * self._rate_qps)
        bucket[1] = now
        if tokens < 1.0:
            bucket[0] = tokens
            return False
        bucket[0] = tokens - 1.0
        return True
