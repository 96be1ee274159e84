"""Who may ask, and how often.

Knows: client networks, token buckets.  Does not know: sockets, DNS, the time (`now` comes in).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

BUCKETS_MAX = 65_536
"""Client addresses remembered by the rate limiter; the longest unused half is forgotten when full."""

BURST_S = 1.0
"""A client may spend this many seconds' worth of its rate at once: page loads come in bursts."""


class AccessList:
    """The networks that may ask."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network]) -> None:
        self._ipv4: list[tuple[int, int]] = []
        self._ipv6: list[tuple[int, int]] = []
        for network in networks:
            rows = self._ipv4 if isinstance(network, IPv4Network) else self._ipv6
            rows.append((int(network.network_address), int(network.netmask)))

    def allows(self, address: bytes) -> bool:
        """Whether the packed address (4 or 16 octets) lies in one of the networks."""
        number = int.from_bytes(address, "big")
        rows = self._ipv4 if len(address) == 4 else self._ipv6
        return any(number & mask == network for network, mask in rows)


class RateLimiter:
    """A token bucket per client address (IPv6: per /64), at most `BUCKETS_MAX` of them."""

    def __init__(self, rate_qps: int) -> None:
        self._rate_qps = rate_qps
        self._burst = max(1.0, rate_qps * BURST_S)
        self._young: dict[bytes, list[float]] = {}
        self._old: dict[bytes, list[float]] = {}

    def takes(self, address: bytes, now: float) -> bool:
        """Take one token of this client's; False when its bucket is empty."""
        key = address[:8]  # all of an IPv4 address; an IPv6 host owns its whole /64
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
