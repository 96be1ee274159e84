"""Query records as lines of JSON -> which names were met most in the last minute.

Knows: the keys of such a line: `time`, `qname`, `exchange`, `list`, `action`, and the same of shadow rules.
Does not know: where the lines come from, who asked.  Pure.
Lines may be anybody's: what is none of ours is passed over, and every text is made printable.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from resolver.hits.figures import EXCHANGE, LIST, MINUTE_S, HitKey
from resolver.problems import printable

AHEAD_S: Final = 5.0
"""A record may be so much newer than the clock that it is held against."""
LINES_LOOKED_AT_MAX: Final = 100
"""For the time of the first."""
NOT_OURS: Final = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What lines lead to that somebody else has written."""


@dataclass(slots=True, frozen=True)
class NameRow:
    """One name, and the exchange or list whose rule spoke."""

    qname: str
    key: HitKey
    last_minute: int
    per_s: float


class _Met(NamedTuple):
    at: float
    qname: str
    key: HitKey


def names_of(octets: bytes, now: float, *, is_end: bool = False) -> list[NameRow]:
    """The names that met a rule within a minute before `now` (Unix seconds), the busiest first.

    `is_end`: what stands before these lines was left out, so that they may cover less than a minute.
    """
    counts: Counter[tuple[str, HitKey]] = Counter()
    for met in _met(octets):
        if now - MINUTE_S < met.at <= now + AHEAD_S:
            counts[met.qname, met.key] += 1
    covered_s = float(MINUTE_S)
    if is_end:
        covered_s = max(1.0, min(covered_s, now - _first_moment(octets)))
    rows = [NameRow(qname, key, count, count / covered_s) for (qname, key), count in counts.items()]
    return sorted(rows, key=lambda row: (-row.last_minute, row.qname, row.key))


def _first_moment(octets: bytes) -> float:
    """When the first line that says so was written (Unix seconds); 0: none does."""
    for line in octets.split(b"\n", LINES_LOOKED_AT_MAX)[:LINES_LOOKED_AT_MAX]:
        try:
            return datetime.fromisoformat(json.loads(line)["time"]).timestamp()
        except NOT_OURS:
            continue
    return 0.0


def _met(octets: bytes) -> Iterator[_Met]:
    for line in octets.split(b"\n"):
        # Most lines of `queries: all` are of names that met nothing: a look costs less than reading them.
        if b'"exchange"' in line or b'"list"' in line or b'"shadow_' in line:
            try:
                fields = json.loads(line)
                at = datetime.fromisoformat(fields["time"]).timestamp()
                qname = printable(fields["qname"])
                yield from (_Met(at, qname, key) for key in _keys(fields))
            except NOT_OURS:
                continue


def _keys(fields: dict[str, Any]) -> Iterator[HitKey]:
    for prefix, mode in (("", "enforce"), ("shadow_", "shadow")):
        for kind in (EXCHANGE, LIST):
            label = fields.get(prefix + kind)
            if isinstance(label, str):
                action = fields.get(prefix + "action")
                yield HitKey(kind, printable(label), printable(str(action)), mode)
