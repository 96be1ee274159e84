"""The file of steps for charts: what was asked, minute by minute and hour by hour, over restarts.

Knows: SQLite, the tables, how much is kept.  Does not know: what a step says (its `said` is text here), when
one is over.
Theory: charts are worth a file, and no server is worth less without it: whatever fails is an `OSError` with
the reason, steps stay in memory, and the next write has them.  A file that cannot be used is begun anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

FILE: Final = "traffic.sqlite3"
APPLICATION_ID: Final = 0x45785274
"""`ExRt`, in the file's header: says whose file it is."""
SCHEMA_VERSION: Final = 1
MINUTES_MAX: Final = 1_500
"""Over a day."""
HOURS_MAX: Final = 9_600
"""400 days."""
FILE_OCTETS_MAX: Final = 32 << 20
SAID_CHARS_MAX: Final = 4_096
WAIT_S: Final = 2.0

Table = Literal["minute", "hour"]
_MOST: Final[dict[Table, int]] = {"minute": MINUTES_MAX, "hour": HOURS_MAX}


class Row(NamedTuple):
    """One step."""

    at: int
    """Unix seconds of its beginning."""
    covered_s: float
    said: str


def write(state_dir: Path, table: Table, rows: Iterable[Row]) -> None:
    """Put steps in place of those with the same beginning; the oldest go.  Raises OSError."""
    with _opened(state_dir / FILE, is_new=True) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", rows)
        connection.execute(
            f"DELETE FROM {table} WHERE at <= (SELECT at FROM {table} ORDER BY at DESC LIMIT 1 OFFSET ?)",
            (_MOST[table],),
        )
        connection.execute("COMMIT")


def read(state_dir: Path, table: Table, newest: int) -> list[Row]:
    """The newest steps, in order of time; none where there is no file.  Raises OSError."""
    path = state_dir / FILE
    if not path.exists():
        return []
    with _opened(path, is_new=False) as connection:
        rows = connection.execute(
            f"SELECT at, covered_s, said FROM {table} WHERE length(said) <= ? ORDER BY at DESC LIMIT ?",
            (SAID_CHARS_MAX, newest),
        ).fetchall()
    return [Row(int(at), float(covered_s), str(said)) for at, covered_s, said in reversed(rows)]


@contextlib.contextmanager
def _opened(path: Path, *, is_new: bool) -> Iterator[sqlite3.Connection]:
    """The file, made if `is_new` allows it.  Raises OSError."""
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'rwc' if is_new else 'rw'}",
            uri=True,
            timeout=WAIT_S,
            isolation_level=None,
        )
        try:
            _prepare(connection, path)
            yield connection
        finally:
            connection.close()
    except (sqlite3.Error, ValueError, OverflowError) as error:
        raise OSError(0, f"{path}: {error}") from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    execute = connection.execute
    execute("PRAGMA trusted_schema = OFF")
    execute(f"PRAGMA max_page_count = {FILE_OCTETS_MAX // execute('PRAGMA page_size').fetchone()[0]}")
    if execute("PRAGMA application_id").fetchone()[0] == 0:
        if execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise ValueError("is a file of another program; move it away")
        execute("BEGIN IMMEDIATE")
        for table in _MOST:
            execute(
                f"CREATE TABLE IF NOT EXISTS {table} "
                "(at INTEGER PRIMARY KEY, covered_s REAL NOT NULL, said TEXT NOT NULL) STRICT"
            )
        execute(f"PRAGMA application_id = {APPLICATION_ID}")
        execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        execute("COMMIT")
    found = execute("PRAGMA application_id").fetchone()[0], execute("PRAGMA user_version").fetchone()[0]
    if found != (APPLICATION_ID, SCHEMA_VERSION):
        raise ValueError("is a file of another program or version; move it away")
