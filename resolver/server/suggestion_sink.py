"""Counts look-alikes among the names that were asked and allowed: a reader of the query records.

Knows: what of a record counts, names it looked at before, its lock.  Does not know: what looks alike, files,
clients: of a record it reads the name, and what became of it.
Theory: most names come again and again, and nearly all look like nothing.  So a part of the records is first
counted by name, and a bounded table has what each name came to; only a name that is new to it is looked at.
All of it runs in the thread that reads records, behind every answer.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from resolver.observe.records import Record, Taken
from resolver.observe.tally import hits_of
from resolver.policy.verdict import PASS
from resolver.suggestions.advice import SHARED_SCORE, is_under, worth_counting
from resolver.suggestions.names import registrable
from resolver.suggestions.score import Index
from resolver.suggestions.seen import SeenNames
from resolver.wire.names import name_from_text
from resolver.wire.numbers import Rcode
from resolver.wire.query import Malformed, parse_query

REMEMBERED_MAX: Final = 50_000
"""Names whose result is remembered, some 8 MB; full, the table begins anew."""

NEW_NAMES_PER_S_MAX: Final = 2_000
"""Looked at; further ones are lost.  Usual ones cost 20 µs, the worst that can be asked for 0.2 ms."""

ALLOWED_SOURCES: Final = frozenset(("upstream", "cache", "stale"))
"""Where answers come from that policy let pass and that are no names of this network's own."""

_LINES: Final = re.compile(
    rb" qname=([A-Za-z0-9._-]+) qtype=\S+ rcode="
    rb"(?:NOERROR source=(?:upstream|cache|stale)\s|\S+ source=policy exchange=(\S+) )"
)
"""What counts of the native plane's records, as lines of text; names with escapes are nobody's domains."""

Name = str | bytes
"""As the records have it: text, or wire form."""
Found = tuple[bytes, float]
"""The name to count (wire form), and its score."""
Asked = Counter[tuple[Name, str]]
"""Names, each with the exchange that its answer led to (empty: it was allowed) -> queries."""


class SuggestionSink:
    """The sink; see `records.Sink`."""

    name: Final = "suggestions"
    only_blocked: Final = False
    trouble: Final = ""

    def __init__(
        self,
        seen: SeenNames,
        *,
        judged: Callable[[bytes], bool],
        wall: Callable[[], float],
        now: Callable[[], float] = time.monotonic,
        own_zones: Iterable[bytes] = (),
    ) -> None:
        """`judged`: whether the policy in force says something about a name (wire form, lower case).

        `own_zones`: names of this network, which nobody outside answers for.
        """
        self.lock = threading.Lock()
        """Held while `seen` is read or changed."""
        self.seen = seen
        self.native_look: Any = None
        """What makes lines of the native plane's records, if there is a plane."""
        self.written = 0
        self._judged = judged
        self._wall = wall
        self._own_zones = frozenset(own_zones)
        self._index = Index(())
        self._remembered: dict[tuple[Name, str], Found | None] = {}
        self._now = now
        self._second = 0
        self._looks = 0
        """Names looked at in that second."""
        self._given_up = 0

    @property
    def lost(self) -> int:
        return self._given_up + self.seen.lost

    def give_up(self, count: int) -> None:
        self._given_up += count

    def start(self) -> None:
        """See `records.Sink`; `Suggestions` reads what was kept."""

    def close(self, wait_s: float) -> None:
        """See `records.Sink`; `Suggestions` writes what is counted."""

    def follow(self, index: Index) -> None:
        """Hold names against these exchanges from now on; what was remembered is looked at anew."""
        with self.lock:
            self._index = index
            self._remembered = {}

    def write(self, taken: Taken, offset_s: float) -> None:
        skipped = 0
        with self.lock:
            if len(self._index):
                asked = (
                    _of_records(taken)
                    if isinstance(taken, list)
                    else _of_lines(taken.written(self.native_look, 0)[0])
                )
                today = datetime.fromtimestamp(self._wall(), UTC).date()
                self._begin_second(int(self._now()))
                for (name, exchange), queries in asked.items():
                    if self._looks >= NEW_NAMES_PER_S_MAX and (name, exchange) not in self._remembered:
                        skipped += queries
                        continue
                    found = self._look(name, exchange)
                    if found is not None:
                        key, score = found
                        self.seen.count(key, queries, today, (exchange,) if exchange else (), score=score)
            self.written += len(taken) - skipped
            self._given_up += skipped

    def _begin_second(self, second: int) -> None:
        if second != self._second:
            self._second, self._looks = second, 0

    def _look(self, name: Name, exchange: str) -> Found | None:
        """What to count for a name that was asked; None: it is of no interest."""
        remembered = self._remembered
        if (name, exchange) in remembered:
            return remembered[name, exchange]
        if len(remembered) >= REMEMBERED_MAX:
            remembered.clear()
        self._looks += 1
        wire = name_from_text(name) if isinstance(name, str) else name.lower()
        found = remembered[name, exchange] = self._interest(wire, exchange)
        return found

    def _interest(self, name: bytes, exchange: str) -> Found | None:
        if is_under(name, self._own_zones):
            return None
        if exchange:
            # Blocked for where its answer led; where a rule has the name itself nothing is new.
            owner = None if self._index.is_decided(name) else registrable(name)
            if owner is None or self._judged(name) or self._judged(owner):
                return None
            return owner, SHARED_SCORE
        likeness = worth_counting(self._index, name)
        if likeness is None or self._judged(likeness.name):
            return None
        return likeness.name, likeness.score


def _of_records(records: list[Record]) -> Asked:
    """What counts of Python's own records."""
    asked: Asked = Counter()
    for record in records:
        verdict = record.verdict
        if verdict is PASS or (verdict.match is None and verdict.shadow is None):
            if record.rcode != Rcode.NOERROR or record.source not in ALLOWED_SOURCES:
                continue
            exchange = ""
        else:
            enforced, _ = hits_of(verdict)
            if enforced is None or enforced.kind != "exchange" or record.source != "policy":
                continue
            exchange = enforced.label
        query = parse_query(record.octets)
        if not isinstance(query, Malformed):
            asked[query.qname, exchange] += 1
    return asked


def _of_lines(lines: bytes) -> Asked:
    """What counts of the native plane's records."""
    found = Counter(_LINES.findall(lines))
    return Counter(
        {(name.decode("ascii"), exchange.decode("ascii")): count for (name, exchange), count in found.items()}
    )
