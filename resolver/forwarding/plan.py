"""Which upstreams are asked about which names, and in what order.

Knows: suffixes, strategies, the health that upstreams keep of themselves.  Does not know:
sockets, questions in flight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from resolver.forwarding.hedging import Hedging
from resolver.forwarding.upstream import MEASURE_EVERY_S, UNREACHED, LetterCase, Scheme, Upstream
from resolver.wire.numbers import Qtype
from resolver.wire.question import Question

Strategy = Literal["ordered", "fastest", "parallel", "random"]

FailureWord = Literal["timeout", "network", "rcode"]
"""Words of `steps.Failed` for upstreams that are down."""

ORDER_KEPT_S = 0.1
"""An order is computed at most this often, unless an upstream goes up or down."""

_NEVER = float("inf")
_NOT_YET = float("-inf")


class Chance(Protocol):
    """Where chance comes from (`entropy.Entropy` in a server)."""

    def below(self, bound: int) -> int:
        """A number in [0, bound)."""
        ...


class UpstreamSet:
    """Upstreams that stand in for each other, and how to choose among them.

    `ordered`: as configured.  `fastest`: by smoothed round-trip time, those never measured after the
    measured.  `parallel`: the same, and the first `race` are asked at once.  `random`: any that works.
    Those that are down stand last, before them those that answer nothing of use.
    """

    __slots__ = (
        "_good_until",
        "_hedging",
        "_order",
        "_usable",
        "_zone",
        "index",
        "is_mixed",
        "probe_at",
        "race",
        "strategy",
        "upstreams",
    )

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        strategy: Strategy = "ordered",
        index: int = 0,
        *,
        race: int = 1,
        hedging: Mapping[Upstream, Hedging] | None = None,
        zone: bytes = b"\0",
    ) -> None:
        """`hedging`: of each of them; none: no question is asked twice.  `zone`: what they are for."""
        if not upstreams:
            raise ValueError("an upstream set needs at least one upstream")
        self.upstreams = tuple(upstreams)
        self.strategy: Strategy = strategy
        self.index = index
        """Its place in the plan: part of the in-flight key."""
        self.race = min(race, len(self.upstreams)) if strategy == "parallel" else 1
        """How many are asked at once."""
        self._hedging: Mapping[Upstream, Hedging] = (hedging or {}) if self.race == 1 else {}
        self.is_mixed = any(u.is_plain for u in upstreams) and any(u.is_encrypted for u in upstreams)
        """Whether some are encrypted, and others asked in clear text."""
        self._zone = zone
        self._usable = len(self.upstreams)
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
        if self.strategy in ("fastest", "parallel"):
            ranked = sorted(self.upstreams, key=_by_speed)
        else:
            ranked = sorted(self.upstreams, key=_by_health)
        self._order = tuple(ranked)
        self._usable = sum(1 for upstream in ranked if upstream.is_up and not upstream.stands_back)
        self._good_until = now + ORDER_KEPT_S
        return self._order

    def line_for_one(self, now: float, chance: Chance) -> tuple[Upstream, ...]:
        """The upstreams as one question is to ask them."""
        order = self.order(now)
        if self.strategy != "random" or self._usable < 2:
            return order
        usable = self._usable
        first = chance.below(usable)
        return (*order[first:usable], *order[:first], *order[usable:])

    def hedge_after_s(self, first: Upstream, now: float) -> float | None:
        """After which time a question that `first` was asked may ask another, too; None: not at all."""
        hedging = self._hedging.get(first)
        if hedging is None or self._usable < 2 or not first.is_up or not self._has_company(first):
            return None
        return hedging.delay_s(now)

    def _has_company(self, first: Upstream) -> bool:
        """Whether another may be asked beside `first`: nobody in clear text beside one that is encrypted."""
        if not (self.is_mixed and first.is_encrypted):
            return True
        return any(
            other is not first and not other.is_plain and other.is_up and not other.stands_back
            for other in self.upstreams
        )

    def take_hedge(self, first: Upstream) -> bool:
        """Use up the leave to ask another beside `first`; False: there is none."""
        hedging = self._hedging.get(first)
        return hedging is not None and hedging.take()

    def probe_target(self, now: float) -> Upstream | None:
        """An upstream not first in line that is due for a copy of this question; marks it as probed."""
        due = None
        probe_at = _NEVER
        # In a race the first may never answer in time, and nobody would notice.
        line = self.order(now) if self.race > 1 else self.order(now)[1:]
        for place, upstream in enumerate(line):
            if place < self.race and upstream.probe_at == _NOT_YET and self.race > 1:
                upstream.probe_at = now + MEASURE_EVERY_S  # it is being asked, and has had no time yet
            if upstream.is_up and not upstream.stands_back and self.strategy in ("ordered", "random"):
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

    def probe_question(self, target: Upstream, question: Question) -> Question:
        """What `target` is asked to learn how it does: a copy of `question`, or of nobody's.

        A client's question that encrypted upstreams are there for is no probe of one in clear text.
        """
        if self.is_mixed and target.is_plain:
            return Question(self._zone, int(Qtype.SOA), False, False)
        return question

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
        *,
        race: int = 2,
        hedge_share: float = 0.0,
    ) -> None:
        """`race`: how many `parallel` asks at once; `hedge_share`: see `hedging`."""
        known: dict[Server, Upstream] = {}
        # An upstream of two sets has one allowance.
        self.hedging: dict[Upstream, Hedging] = {}

        def as_set(chosen: Sequence[Server], index: int, zone: bytes = b"\0") -> UpstreamSet:
            distinct = dict.fromkeys(chosen)
            upstreams = [known.setdefault(server, _upstream_of(server)) for server in distinct]
            if hedge_share:
                for upstream in upstreams:
                    self.hedging.setdefault(upstream, Hedging(upstream, hedge_share))
            return UpstreamSet(upstreams, strategy, index, race=race, hedging=self.hedging, zone=zone)

        self.default = as_set(servers, 0)
        self.suffixes = {
            suffix: as_set(chosen, index, suffix)
            for index, (suffix, chosen) in enumerate((forward or {}).items(), 1)
        }
        self.upstreams = tuple(known.values())
        self.zones = ((b"\0", self.default), *self.suffixes.items())
        """Every set with the name (wire form) that it is for, at and below; the root: all other names."""

    @property
    def is_pythons(self) -> bool:
        """Whether Python has to ask: over HTTPS, and where races or chance decide whom."""
        return self.default.strategy in ("parallel", "random") or any(
            upstream.scheme == "https" for upstream in self.upstreams
        )

    @property
    def hedges(self) -> int:
        """Questions that a second upstream was asked because the first was slow."""
        return sum(hedging.hedges for hedging in self.hedging.values())

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
