"""Reads the history of hits: per minute, per hour, per day, in all.

Knows: the file's tables, days of time zones.  Does not know: who writes, who asks, the time.

    with HitStore.open_for_reading(state_dir) as store:
        for day in store.per_day(date(2024, 1, 1), date(2024, 1, 31), ZoneInfo("Europe/Berlin")):
            print(day.day, day.hits.get(HitKey("exchange", "alpha", "nxdomain", "enforce"), 0))

Every method may block for as long as the disk does, and raises `HitsUnusable`.  Texts are made printable:
somebody else may have written into the file.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from pathlib import Path
from typing import Final

from resolver.hits.figures import EXCHANGE, HOUR_S, LIST, MINUTE_S, ORDER, Day, HitKey, Hits, Kept, Span
from resolver.hits.file import hits_path, opened, told
from resolver.problems import printable

DAYS_MAX: Final = 4_000
"""Most days asked for at once: ten years, more than is ever kept."""
_BETWEEN: Final = "WHERE at >= ? AND at < ?"


class HitStore:
    """The open history.  Use it in one thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path, stack: contextlib.ExitStack) -> None:
        self._connection = connection
        self._stack = stack
        self.path = path

    @classmethod
    def open_for_reading(cls, state_dir: Path) -> HitStore:
        """Open the history in `state_dir`.  Root has the rights of the folder's owner until it is closed.

        Raises HitsUnusable; its `failure` is `missing` where no server has written one yet.
        """
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(opened(state_dir))
            return cls(connection, hits_path(state_dir), stack.pop_all())

    def per_minute(self, first: float, last: float) -> tuple[Span, ...]:
        """The minutes that begin from `first` on and before `last` (Unix seconds), in order of time.

        A minute in which no server counted is left out, and minutes are kept for some hours only.
        """
        return self._spans("minute", MINUTE_S, first, last)

    def sum_of_minutes(self, first: float, last: float) -> Hits:
        """The hits of all minutes that begin from `first` on and before `last` (Unix seconds)."""
        with told(self.path), self._one_moment():
            return self._sums("minute", (first, last), self._keys())

    def per_hour(self, first: float, last: float) -> tuple[Span, ...]:
        """The hours that begin from `first` on and before `last` (Unix seconds), in order of time.

        An hour in which no server counted is left out.
        """
        return self._spans("hour", HOUR_S, first, last)

    def per_day(self, first: date, last: date, zone: tzinfo = UTC) -> tuple[Day, ...]:
        """Every day from `first` to `last`, both with it, as days are in `zone`; also those without hits.

        Raises ValueError for more than `DAYS_MAX` days, or none.
        """
        count = (last - first).days + 1
        if not 1 <= count <= DAYS_MAX:
            raise ValueError(f"from {first} to {last} are {count} days; allowed: 1 to {DAYS_MAX}")
        days = [first + timedelta(past) for past in range(count + 1)]
        # What begins at one midnight ends at the next: no hour is in two days, and none in no day.
        edges = [datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() for day in days]
        with told(self.path), self._one_moment():
            keys = self._keys()
            return tuple(
                self._day(day, between, keys) for day, between in zip(days, pairwise(edges), strict=False)
            )

    def totals(self) -> Hits:
        """All hits ever, those of hours that are no longer kept included."""
        with told(self.path):
            rows = self._connection.execute("SELECT kind, label, action, mode, total FROM series")
            return {key: total for *row, total in rows if (key := _key(row)) is not None}

    def kept(self) -> Kept:
        """What the history holds."""
        with told(self.path):
            first, last = self._connection.execute("SELECT min(at), max(at) FROM hour").fetchone()
            notes = dict(self._connection.execute("SELECT what, count FROM note"))
            return Kept(
                first,
                last,
                float(notes.get("begun_at", 0.0)),
                int(notes.get("dropped_hours", 0)),
                int(notes.get("dropped_hits", 0)),
            )

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    def __enter__(self) -> HitStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _day(self, day: date, between: tuple[float, float], keys: Mapping[int, HitKey]) -> Day:
        covered = self._connection.execute(
            f"SELECT total(covered_s) FROM hour {_BETWEEN}", between
        ).fetchone()
        return Day(day, self._sums("hour", between, keys), covered[0])

    def _sums(
        self, table: str, between: tuple[float, float], keys: Mapping[int, HitKey]
    ) -> dict[HitKey, int]:
        sums = self._connection.execute(
            f"SELECT series, sum(hits) FROM {table}_hits {_BETWEEN} GROUP BY series", between
        )
        return {keys[series]: count for series, count in sums if series in keys}

    def _spans(self, table: str, length_s: int, first: float, last: float) -> tuple[Span, ...]:
        between = (first, last)
        with told(self.path), self._one_moment():
            execute = self._connection.execute
            keys = self._keys()
            hits: dict[int, dict[HitKey, int]] = {}
            covered: dict[int, float] = {}
            for at, covered_s in execute(
                f"SELECT at, covered_s FROM {table} {_BETWEEN} ORDER BY at", between
            ):
                hits[at], covered[at] = {}, covered_s
            for at, series, count in execute(
                f"SELECT at, series, hits FROM {table}_hits {_BETWEEN}", between
            ):
                if at in hits and series in keys:
                    hits[at][keys[series]] = count
        return tuple(Span(at, length_s, counted, covered[at]) for at, counted in hits.items())

    def _keys(self) -> dict[int, HitKey]:
        """The line of each number."""
        return {
            number: key
            for number, *row in self._connection.execute("SELECT id, kind, label, action, mode FROM series")
            if (key := _key(row)) is not None
        }

    @contextlib.contextmanager
    def _one_moment(self) -> Iterator[None]:
        """All that is read in here is of one moment."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("COMMIT")


def _key(row: Sequence[str]) -> HitKey | None:
    """None: no line that this program writes."""
    kind, label, action, mode = map(printable, row)
    return HitKey(kind, label, action, mode) if kind in (EXCHANGE, LIST, ORDER) else None
