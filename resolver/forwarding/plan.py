"""Which upstreams are asked about which names, and in what order.

Knows: suffixes, strategies, the health that upstreams keep of themselves.  Does not know:
sockets, questions in flight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from resolver.forwarding.upstream import UNREACHED, LetterCase, Scheme, Upstream

Strategy = Literal["ordered", "fastest"]

FailureWord = Literal["timeout", "network", "rcode"]
"""Words of `steps.Failed` for upstreams that are down."""

ORDER_KEPT_S = 0.1
"""An order is computed at most this often, unless an upstream goes up or down."""

_NEVER = float("inf")


class UpstreamSet:
    """Upstreams that stand in for each other, and how to choose among them.

    `ordered`: as configured.  `fastest`: by smoothed round-trip time, those never measured after the
    measured.  Those that are down stand last, before them those that answer nothing of use.
    """

    __slots__ = ("_good_until", "_order", "index", "probe_at", "strategy", "upstreams")

    def __init__(self, upstreams: Sequence[Upstream], strategy: Strategy = "ordered", index: int = 0) -> None:
        if not upstreams:
            raise ValueError("an upstream set needs at least one upstream")
        self.upstreams = tuple(upstreams)
        self.strategy: Strategy = strategy
        self.index = index
        """Its place in the plan: part of the in-flight key."""
        self._order = self.upstreams
        self._good_until = float("-inf")
        self.probe_at = _NEVER if len(self.upstreams) == 1 else float("-inf")
        """Monotonic seconds before which `probe_target` need not be asked."""
        for upstream in self.upstreams:
            upstream.on_change.append(self._forget_order)

    @property
    def is_lost(self) -> bool:
        """Whether all of them are down.  They are asked all the same."""
        return not any(upstream.is_up for upstream in self.upstreams)

    @property
    def failure(self) -> FailureWord | None:
        """Why all of them are down, by the best of them; None: they are not."""
        if not self.is_lost:
            return None
        reason = self._order[0].last_failure
        return "timeout" if reason == "timeout" else "network" if reason in UNREACHED else "rcode"

    def order(self, now: float) -> tuple[Upstream, ...]:
        """The upstreams, best first."""
        if now < self._good_until or len(self.upstreams) == 1:
            return self._order
        if self.strategy == "fastest":
            ranked = sorted(self.upstreams, key=_by_speed)
        else:
            ranked = sorted(self.upstreams, key=_by_health)
        self._order = tuple(ranked)
        self._good_until = now + ORDER_KEPT_S
        return self._order

    def probe_target(self, now: float) -> Upstream | None:
        """An upstream not first in line that is due for a copy of this question; marks it as probed."""
        due = None
        probe_at = _NEVER
        for upstream in self.order(now)[1:]:
            if upstream.is_up and not upstream.stands_back and self.strategy == "ordered":
                continue
            if due is None and upstream.probe_at <= now:
                due = upstream
            probe_at = min(probe_at, upstream.probe_at)
        if due is not None:
            # One probe is out until it is answered or fails, and either sets a new time.
            due.probe_at = now + 2.0
        # Even with nothing due, the line may change: look again within a second.
        self.probe_at = min(max(probe_at, now + 0.01), now + 1.0)
        return due

    def _forget_order(self, _: Upstream) -> None:
        self._good_until = float("-inf")
        if len(self.upstreams) > 1:
            self.probe_at = float("-inf")


def _by_health(upstream: Upstream) -> tuple[bool, bool]:
    return (not upstream.is_up, upstream.stands_back)


def _by_speed(upstream: Upstream) -> tuple[bool, bool, float]:
    return (*_by_health(upstream), _NEVER if upstream.rtt_s is None else upstream.rtt_s)


class Server(NamedTuple):
    """One configured upstream, as settings name it."""

    scheme: Scheme
    address: str
    port: int
    trust_ad: bool = False
    letter_case: LetterCase = "auto"
    host: str = ""
    path: str = ""
    pins: tuple[bytes, ...] = ()


def _upstream_of(server: Server) -> Upstream:
    return Upstream(
        server.address,
        server.port,
        server.scheme,
        trust_ad=server.trust_ad,
        letter_case=server.letter_case,
        host=server.host,
        path=server.path,
        pins=server.pins,
    )


class ForwardPlan:
    """The default upstream set and those of `forward` suffixes; the longest suffix wins.

    `forward` maps suffixes (wire form, lower case) to servers.  A server named twice is one
    `Upstream`, so its health is learnt once.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        strategy: Strategy = "fastest",
        forward: Mapping[bytes, Sequence[Server]] | None = None,
    ) -> None:
        known: dict[Server, Upstream] = {}

        def as_set(chosen: Sequence[Server], index: int) -> UpstreamSet:
            distinct = dict.fromkeys(chosen)
            upstreams = [known.setdefault(server, _upstream_of(server)) for server in distinct]
            return UpstreamSet(upstreams, strategy, index)

        self.default = as_set(servers, 0)
        self.suffixes = {
            suffix: as_set(chosen, index) for index, (suffix, chosen) in enumerate((forward or {}).items(), 1)
        }
        self.upstreams = tuple(known.values())
        self.zones = ((b"\0", self.default), *self.suffixes.items())
        """Every set with the name (wire form) that it is for, at and below; the root: all other names."""

    def set_for(self, qname: bytes) -> UpstreamSet:
        """Who answers for `qname` (wire form, lower case)."""
        return self._covering(qname) or self.default

    def covers(self, qname: bytes) -> bool:
        """Whether a `forward` suffix other than the root is at or above `qname`.

        Who forwards everything has not asked for the special names: they stay here.
        """
        offset = 0
        while length := qname[offset]:
            if qname[offset:] in self.suffixes:
                return True
            offset += length + 1
        return False

    def _covering(self, qname: bytes) -> UpstreamSet | None:
        suffixes = self.suffixes
        if not suffixes:
            return None
        offset = 0
        while True:
            found = suffixes.get(qname[offset:])
            if found is not None or not qname[offset]:
                return found
            offset += qname[offset] + 1
