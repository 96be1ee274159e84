"""What is met most now: live counts and the history, put together line by line.

Knows: which of the two has which figure, what comes first.  Does not know: where figures come from, how they
are shown, the time.  Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from resolver.hits.figures import MINUTE_S, HitKey, Hits

Source = tuple[str, str, str]
"""Kind, label, mode."""


@dataclass(slots=True, frozen=True)
class Live:
    """One look or two at the counts of a running server."""

    before: Hits | None
    """None: this is the first look."""
    after: Hits
    between_s: float
    """Monotonic seconds between them; without two it says nothing."""


@dataclass(slots=True, frozen=True)
class Past:
    """What the history says up to now."""

    last_minute: Hits = field(default_factory=dict)
    """The last minute that is over and written."""
    last_hour: Hits = field(default_factory=dict)
    last_day: Hits = field(default_factory=dict)
    total: Hits = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class Row:
    """One exchange, list or order in one mode."""

    kind: str
    label: str
    mode: str
    actions: tuple[str, ...]
    per_s: float
    """Between two looks; of an order, and where there are not two, within the last minute written."""
    last_minute: int
    last_hour: int
    last_day: int
    total: int
    """Ever, as far as it is written."""
    since_start: int | None
    """Of the server that runs; None: none answers, or it does not count these."""


def rows_of(live: Live | None, past: Past) -> list[Row]:
    """All lines with a figure, and those of the server that have none yet; the busiest first."""
    counted: Hits = {} if live is None else live.after
    added = None if live is None or live.before is None else added_between(live.before, live.after)
    of_the_server = set(map(_source, counted))
    rows = []
    for source, actions in _sources(counted, past.total, past.last_day).items():
        is_live = live is not None and source in of_the_server
        minute = _of(past.last_minute, source, actions)
        row = Row(
            *source,
            actions=actions,
            per_s=minute / MINUTE_S,
            last_minute=minute,
            last_hour=_of(past.last_hour, source, actions),
            last_day=_of(past.last_day, source, actions),
            total=_of(past.total, source, actions),
            since_start=_of(counted, source, actions) if is_live else None,
        )
        if live is not None and added is not None and is_live:
            row = replace(row, per_s=_of(added, source, actions) / max(live.between_s, 1e-9))
        rows.append(row)
    return sorted(rows, key=_busiest_first)


def added_between(before: Hits, after: Hits) -> Counter[HitKey]:
    """What was counted between two looks; a count that fell began anew."""
    added: Counter[HitKey] = Counter()
    for key, count in after.items():
        known = before.get(key, 0)
        added[key] = count - known if count >= known else count
    return added


def _sources(*figures: Hits) -> Mapping[Source, tuple[str, ...]]:
    """Each line -> what is done for it."""
    found: dict[Source, dict[str, None]] = {}
    for key in sorted({key for hits in figures for key in hits}):
        found.setdefault(_source(key), {})[key.action] = None
    return {source: tuple(actions) for source, actions in found.items()}


def _source(key: HitKey) -> Source:
    return key.kind, key.label, key.mode


def _of(hits: Hits, source: Source, actions: Iterable[str]) -> int:
    kind, label, mode = source
    return sum(hits.get(HitKey(kind, label, action, mode), 0) for action in actions)


def _busiest_first(row: Row) -> tuple[float, int, int, int, str, str]:
    return -row.per_s, -row.last_hour, -row.last_day, -row.total, row.label, row.mode
