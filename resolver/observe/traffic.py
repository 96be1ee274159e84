"""What was asked and how long it took, as few numbers: for charts, and for the present second.

Knows: which outcomes are blocks and hits, how a quantile is read off a histogram.  Does not know: clocks,
files, who looks.
Theory: two copies of the counts make a step: what lies between them.  A step keeps the buckets of response
times, not the quantiles, for steps are added up to longer ones, and quantiles cannot be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import add
from typing import Final, Literal, NamedTuple

from resolver.flow.outcome import Source
from resolver.observe.tally import SECONDS_BOUNDS, TallySnapshot

Buckets = tuple[int, ...]
"""Answers by response time: one for each of `SECONDS_BOUNDS`, and one for what took longer."""

SOURCES: Final = tuple(source.value for source in Source)
MINUTE_S: Final = 60
HOUR_S: Final = 3_600


class Shown(NamedTuple):
    """What a chart is made of."""

    table: Literal["minute", "hour"]
    """The length of the steps that are kept."""
    span_s: int
    step_s: int


SHOWN: Final[Mapping[str, Shown]] = {
    "hour": Shown("minute", HOUR_S, MINUTE_S),
    "day": Shown("minute", 24 * HOUR_S, 15 * MINUTE_S),
    "month": Shown("hour", 30 * 24 * HOUR_S, 3 * HOUR_S),
}
"""Of each range: 60, 96 and 240 steps."""
HITS: Final = frozenset(("cache", "stale"))


@dataclass(frozen=True, slots=True)
class Counted:
    """Outcomes of queries: since the start of the process, or of one step."""

    queries: int = 0
    """All whose outcome is known."""
    blocked: int = 0
    """Those that a rule blocked."""
    cache_hits: int = 0
    """Those that were answered from the cache, stale answers included."""
    times: Mapping[str, Buckets] = field(default_factory=dict)
    """Source of the answer -> how long answers took; one without answers may be missing."""

    @property
    def answers(self) -> int:
        """All that have a response time."""
        return sum(map(sum, self.times.values()))


def counted(tallies: TallySnapshot) -> Counted:
    """What the counts say; a fraction of a millisecond."""
    queries = blocked = hits = 0
    by_source: Counter[str] = Counter()
    for key, count, _ in tallies.counts:
        queries += count
        if key.enforced is not None:
            blocked += count
        if key.source is not None:
            by_source[key.source] += count
            if key.source in HITS:
                hits += count
    times = {
        source: (count - sum(late), *late[1:])
        for source, count in by_source.items()
        if (late := tallies.late.get(source)) is not None
    }
    return Counted(queries, blocked, hits, times)


def between(before: Counted, after: Counted) -> Counted:
    """What came in between; nothing is ever less than 0."""
    return Counted(
        max(0, after.queries - before.queries),
        max(0, after.blocked - before.blocked),
        max(0, after.cache_hits - before.cache_hits),
        {
            source: grown
            for source, buckets in after.times.items()
            if any(grown := _grown(before.times.get(source), buckets))
        },
    )


def together(parts: Iterable[Counted]) -> Counted:
    """Several steps as one."""
    queries = blocked = hits = 0
    times: dict[str, Buckets] = {}
    for part in parts:
        queries += part.queries
        blocked += part.blocked
        hits += part.cache_hits
        for source, buckets in part.times.items():
            known = times.get(source)
            times[source] = buckets if known is None else tuple(map(add, known, buckets))
    return Counted(queries, blocked, hits, times)


def quantile_s(
    buckets: Sequence[int], share: float, bounds: Sequence[float] = SECONDS_BOUNDS
) -> float | None:
    """Seconds within which this share of the answers came; None: there are none.

    Read off a line within its bucket, as Prometheus' histogram_quantile does; of what took longer than the
    last bound only that bound is known.
    """
    total = sum(buckets)
    if not total:
        return None
    rank, below = share * total, 0
    for place, count in enumerate(buckets):
        if count and below + count >= rank:
            if place == len(bounds):
                break
            floor = bounds[place - 1] if place else 0.0
            return floor + (bounds[place] - floor) * max(0.0, rank - below) / count
        below += count
    return bounds[-1]


def _grown(before: Buckets | None, after: Buckets) -> Buckets:
    if before is None:
        return after
    return tuple(max(0, new - old) for old, new in zip(before, after, strict=True))


@dataclass(frozen=True, slots=True)
class Step:
    """What was counted in one stretch of time."""

    at: int
    """Unix seconds of its beginning, a multiple of `length_s`."""
    length_s: int
    covered_s: float
    """Seconds of it in which a server counted."""
    counted: Counted

    def plus(self, other: Step) -> Step:
        """Both, of the same stretch."""
        return Step(
            self.at,
            self.length_s,
            self.covered_s + other.covered_s,
            together((self.counted, other.counted)),
        )


def added_to(steps: dict[int, Step], step: Step, most: int) -> None:
    """Add a step to those of its length, by their beginnings; over `most` the oldest go."""
    known = steps.get(step.at)
    steps[step.at] = step if known is None else known.plus(step)
    while len(steps) > most:
        del steps[min(steps)]


def in_steps(steps: Iterable[Step], length_s: int) -> list[Step]:
    """The same in longer steps, in order of time."""
    found: dict[int, Step] = {}
    for step in steps:
        at = step.at // length_s * length_s
        whole = Step(at, length_s, step.covered_s, step.counted)
        found[at] = whole if at not in found else found[at].plus(whole)
    return [found[at] for at in sorted(found)]
