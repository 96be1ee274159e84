"""Writes the history of hits: what came is added, what is over the limits goes.

Knows: the file's tables, its limits.  Does not know: threads, what is counted, the time (it is told).
Theory: everything of one batch is one transaction, and with it goes the batch's number: a batch whose end
nobody heard of (an error after the commit, say) is not added twice.  The oldest hours go by their number and
by the room they take, never by the clock: one that is ahead by years must not empty the history.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from resolver.hits.figures import HOUR_S, MINUTE_S, ORDER, HitKey
from resolver.hits.file import FILE_OCTETS_MAX
from resolver.hits.ledger import Stretch, Waiting
from resolver.problems import printable

MINUTES_KEPT: Final = 24 * 60
"""The minutes of the last hours in which a server counted."""
ENTRIES_MAX: Final = 4_000_000
"""Of hours, about 20 octets each: 400 days of 400 lines in each hour."""
HOURS_DROPPED_MAX: Final = 500
"""Hours that one write drops at most; a setting that was lowered takes some writes."""
SERIES_MAX: Final = 100_000
"""Different lines ever; what would be one more is counted under `OTHERS`."""
OTHERS: Final = "(others)"
"""The label of what came when there were `SERIES_MAX`."""
LABEL_CHARS_MAX: Final = 255


@dataclass(slots=True, frozen=True)
class Limits:
    """How much is kept."""

    hours: int
    minutes: int = MINUTES_KEPT
    entries: int = ENTRIES_MAX
    series: int = SERIES_MAX
    octets: int = FILE_OCTETS_MAX * 3 // 4
    """Pages in use; the rest of the file is room to work."""


@dataclass(slots=True, frozen=True)
class Batch:
    """What is written at once."""

    run: str
    """Of one process."""
    number: int
    """Counted from 1."""
    waiting: Waiting
    latest: int
    """The Unix minute in which its writer is."""


def add(connection: sqlite3.Connection, batch: Batch, limits: Limits, at: float) -> int:
    """Add a batch that is not written yet; the hours that went for want of room.

    `at`: Unix seconds.  Raises sqlite3.Error: then `is_written` knows whether it is added.
    """
    minutes, hours = batch.waiting.minutes, batch.waiting.hours
    with _transaction(connection):
        execute = connection.execute
        execute("INSERT OR IGNORE INTO note VALUES ('begun_at', ?)", (at,))
        numbers = _Series(connection, limits.series)
        for minute, stretch in sorted(minutes.items()):
            _add_to(connection, "minute", minute * MINUTE_S, stretch, numbers)
            _add_to(connection, "hour", minute * MINUTE_S // HOUR_S * HOUR_S, stretch, numbers)
        for hour, stretch in sorted(hours.items()):
            _add_to(connection, "hour", hour * HOUR_S, stretch, numbers)
        numbers.add_to_totals(batch.waiting.stretches)
        execute("INSERT OR REPLACE INTO note VALUES ('latest', ?)", (batch.latest,))
        execute("DELETE FROM writer")
        execute("INSERT INTO writer VALUES (?, ?)", (batch.run, batch.number))
        _drop_minutes(connection, limits)
        return _drop_hours(connection, limits)


def is_written(connection: sqlite3.Connection, batch: Batch) -> bool:
    """Whether this batch is in the file: it was the last one, or nothing of it is there."""
    find = "SELECT 1 FROM writer WHERE run = ? AND batch = ?"
    return connection.execute(find, (batch.run, batch.number)).fetchone() is not None


def latest_of(connection: sqlite3.Connection) -> int:
    """How far the history goes: the Unix minute in which its last writer was; 0: nobody has written."""
    row = connection.execute("SELECT count FROM note WHERE what = 'latest'").fetchone()
    return 0 if row is None else int(row[0])


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


class _Series:
    """The number of each line."""

    def __init__(self, connection: sqlite3.Connection, most: int) -> None:
        self._connection = connection
        self._most = most
        self._numbers: dict[HitKey, int] = {}

    def of(self, key: HitKey) -> int:
        """The line's number, a new one if need be."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._look_up(
                HitKey(*(printable(text)[:LABEL_CHARS_MAX] for text in key))
            )
        return number

    def add_to_totals(self, stretches: Iterable[Stretch]) -> None:
        """Add to what is counted for ever."""
        self._connection.executemany(
            "UPDATE series SET total = total + ? WHERE id = ?",
            [(hits, self.of(key)) for stretch in stretches for key, hits in stretch.hits.items()],
        )

    def _look_up(self, key: HitKey) -> int:
        execute = self._connection.execute
        find = "SELECT id FROM series WHERE kind = ? AND label = ? AND action = ? AND mode = ?"
        if row := execute(find, key).fetchone():
            return int(row[0])
        if key.label != OTHERS and execute("SELECT count(*) FROM series").fetchone()[0] >= self._most:
            return self.of(key._replace(label=OTHERS))
        number = execute(
            "INSERT INTO series (kind, label, action, mode, total) VALUES (?, ?, ?, ?, 0)", key
        ).lastrowid
        assert number is not None
        return number


def _add_to(connection: sqlite3.Connection, table: str, at: int, stretch: Stretch, numbers: _Series) -> None:
    connection.executemany(
        f"INSERT INTO {table}_hits VALUES (?, ?, ?)"
        " ON CONFLICT (at, series) DO UPDATE SET hits = hits + excluded.hits",
        [(at, numbers.of(key), hits) for key, hits in stretch.hits.items()],
    )
    connection.execute(
        f"INSERT INTO {table} VALUES (?, ?, 0)"
        " ON CONFLICT (at) DO UPDATE SET covered_s = covered_s + excluded.covered_s",
        (at, stretch.covered_s),
    )
    connection.execute(
        f"UPDATE {table} SET entries = (SELECT count(*) FROM {table}_hits WHERE at = ?) WHERE at = ?",
        (at, at),
    )


def _drop_minutes(connection: sqlite3.Connection, limits: Limits) -> None:
    """The hours keep what these minutes said."""
    for (at,) in connection.execute(
        "SELECT at FROM minute ORDER BY at DESC LIMIT -1 OFFSET ?", (limits.minutes,)
    ).fetchall():
        connection.execute("DELETE FROM minute_hits WHERE at = ?", (at,))
        connection.execute("DELETE FROM minute WHERE at = ?", (at,))


def _drop_hours(connection: sqlite3.Connection, limits: Limits) -> int:
    """Drop the oldest hours that are too many, and count them; the newest stays."""
    dropped = 0
    while dropped < HOURS_DROPPED_MAX and _is_over(connection, limits):
        _drop_oldest_hour(connection)
        dropped += 1
    return dropped


def _is_over(connection: sqlite3.Connection, limits: Limits) -> bool:
    execute = connection.execute
    hours, entries = execute("SELECT count(*), coalesce(sum(entries), 0) FROM hour").fetchone()
    page_octets = execute("PRAGMA page_size").fetchone()[0]
    pages = execute("PRAGMA page_count").fetchone()[0] - execute("PRAGMA freelist_count").fetchone()[0]
    return bool(
        hours > 1
        and (hours > limits.hours or entries > limits.entries or pages * page_octets > limits.octets)
    )


def _drop_oldest_hour(connection: sqlite3.Connection) -> None:
    execute = connection.execute
    (at,) = execute("SELECT min(at) FROM hour").fetchone()
    (hits,) = execute(
        "SELECT coalesce(sum(hits), 0) FROM hour_hits JOIN series ON id = series WHERE at = ? AND kind != ?",
        (at, ORDER),
    ).fetchone()
    execute("DELETE FROM hour_hits WHERE at = ?", (at,))
    execute("DELETE FROM hour WHERE at = ?", (at,))
    _note(connection, "dropped_hours", 1)
    _note(connection, "dropped_hits", hits)


def _note(connection: sqlite3.Connection, what: str, count: int) -> None:
    connection.execute(
        "INSERT INTO note VALUES (?, ?) ON CONFLICT (what) DO UPDATE SET count = count + excluded.count",
        (what, count),
    )
