"""When a second upstream is asked because the first is slower than it nearly ever is.

Knows: how long answers of an upstream took, how many questions may be asked twice.  Does not know: which
question it is, sockets, the clock.

Theory (Dean and Barroso, "The Tail at Scale", 2013).  One question in twenty waits much longer than the
others, mostly for a lost packet or a name that must be looked up far away.  When the first upstream has not
answered in the time in which it answers nineteen of twenty, the next one is asked as well, and whoever
answers first wins.  That costs few queries, and the tail becomes that of the faster one.  Should all become
slow at once, the allowance runs out, so that a busy upstream does not get twice the questions.
"""

from __future__ import annotations

from collections.abc import Sequence

from resolver.forwarding.upstream import RESPONSE_SECONDS_BOUNDS, Upstream

QUANTILE = 0.95
ANSWERS_MIN = 100
"""Answers that a quantile is taken from; fewer say nothing of one in twenty."""

HEDGE_AFTER_S_MIN = 0.02
"""Soonest second query: whoever answers nearly all in less is seldom helped, and a pause of ours or of the
network would set off many."""

LOOK_EVERY_S = 0.1
"""How often the counts are looked at, at most."""

ALLOWANCE_MAX = 10.0
"""Second queries saved up at most."""


class Hedging:
    """Of one upstream, when it is asked first."""

    __slots__ = (
        "_allowance",
        "_counted",
        "_look_at",
        "_queries",
        "_share",
        "hedges",
        "quantile_s",
        "upstream",
    )

    def __init__(self, upstream: Upstream, share: float) -> None:
        """`share`: second queries for each first one, at most."""
        self.upstream = upstream
        self._share = share
        self._allowance = 0.0
        self._look_at = float("-inf")
        self._queries = upstream.queries
        self._counted = list(upstream.response_buckets)
        self.quantile_s: float | None = None
        """In this time it gives 95 of 100 answers; None: there were too few."""
        self.hedges = 0

    def delay_s(self, now: float) -> float | None:
        """After which time a second query may leave; None: none may."""
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            self._look()
        if self.quantile_s is None or self._allowance < 1.0:
            return None
        delay_s = max(self.quantile_s, HEDGE_AFTER_S_MIN)
        return delay_s if delay_s < self.upstream.attempt_timeout_s() else None

    def take(self) -> bool:
        """Use one second query up; False: there is none left."""
        if self._allowance < 1.0:
            return False
        self._allowance -= 1.0
        self.hedges += 1
        return True

    def _look(self) -> None:
        upstream = self.upstream
        asked = upstream.queries - self._queries
        self._queries = upstream.queries
        self._allowance = min(self._allowance + asked * self._share, ALLOWANCE_MAX)
        buckets = upstream.response_buckets
        new = [after - before for after, before in zip(buckets, self._counted, strict=True)]
        if sum(new) >= ANSWERS_MIN:
            self._counted = list(buckets)
            self.quantile_s = quantile_s(new)


def quantile_s(buckets: Sequence[int], quantile: float = QUANTILE) -> float:
    """The time under which so large a part of the answers lie, by their histogram."""
    left = sum(buckets) * quantile
    low = 0.0
    for count, high in zip(buckets, RESPONSE_SECONDS_BOUNDS, strict=False):
        if left <= count:
            return low + (high - low) * (left / count if count else 1.0)
        left -= count
        low = high
    return low
