"""The file of the history of hits: its tables and limits, and how it is opened.

Knows: SQLite, whose file it is, what each failure means.  Does not know: what is read or written, the time.
Theory: SQLite's rollback journal, not its WAL: one file that whoever may read it can read, whole after a kill
or a full disk.  What an entry is about stands once, in `series`; an hour's entry is a few octets.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

from resolver.identity import as_owner_of

HITS_FILE: Final = "hits.sqlite3"
LOCK_FILE: Final = "hits.sqlite3.lock"
"""Held by the server that writes."""
APPLICATION_ID: Final = 0x45785268
"""`ExRh`, in the file's header: says whose file it is."""
SCHEMA_VERSION: Final = 1
FILE_OCTETS_MAX: Final = 128 << 20
"""SQLite refuses to let the file grow beyond; the oldest hours go before that."""
WAIT_S: Final = 5.0
"""How long another writer or reader is waited for."""

_TABLES: Final = """
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    label TEXT NOT NULL,
    action TEXT NOT NULL,
    mode TEXT NOT NULL,
    total INTEGER NOT NULL,
    UNIQUE (kind, label, action, mode)
) STRICT;
CREATE TABLE hour (at INTEGER PRIMARY KEY, covered_s REAL NOT NULL, entries INTEGER NOT NULL) STRICT;
CREATE TABLE hour_hits (
    at INTEGER, series INTEGER, hits INTEGER NOT NULL, PRIMARY KEY (at, series)
) STRICT, WITHOUT ROWID;
CREATE TABLE minute (at INTEGER PRIMARY KEY, covered_s REAL NOT NULL, entries INTEGER NOT NULL) STRICT;
CREATE TABLE minute_hits (
    at INTEGER, series INTEGER, hits INTEGER NOT NULL, PRIMARY KEY (at, series)
) STRICT, WITHOUT ROWID;
CREATE TABLE note (what TEXT PRIMARY KEY, count REAL NOT NULL) STRICT;
CREATE TABLE writer (run TEXT NOT NULL, batch INTEGER NOT NULL) STRICT
"""
"""`at`: Unix seconds of the beginning.  `note`: single numbers by name.  `writer`: the batch written last."""


class Failure(StrEnum):
    """Why the history cannot be read or written: the metric labels."""

    FULL = "full"
    """No room on the disk, or a quota."""
    LOCKED = "locked"
    """Somebody reads or writes for too long."""
    DAMAGED = "damaged"
    """The file is no database any more, or its tables are not what this program makes."""
    TAKEN = "taken"
    """Another server writes into this folder."""
    FOREIGN = "foreign"
    """Something else made the file, or a later version of this program."""
    MISSING = "missing"
    """There is none."""
    OTHER = "other"
    """Rights, a folder that is gone, a broken disk."""


class HitsUnusable(Exception):
    """The history of hits cannot be read or written; the message says why."""

    def __init__(self, message: str, failure: Failure = Failure.OTHER) -> None:
        super().__init__(message)
        self.failure = failure


def hits_path(state_dir: Path) -> Path:
    """Where the history of hits is."""
    return state_dir / HITS_FILE


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn whatever befalls the file into `HitsUnusable`."""
    try:
        yield
    except sqlite3.Error as error:
        raise HitsUnusable(f"{path}: {error}", _failure_of(error)) from error
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise HitsUnusable(f"{path}: {error}") from error


def connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """Open the file and see that it is ours; `create`: make it if it is not there.

    Raises what `told` turns into HitsUnusable, and that.
    """
    mode = "rwc" if create else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=WAIT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _prepare(connection, path, create=create)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def opened(state_dir: Path) -> Iterator[sqlite3.Connection]:
    """The file, for reading; root has the rights of the folder's owner meanwhile.  Raises HitsUnusable."""
    path = hits_path(state_dir)
    with told(path), as_owner_of(state_dir, by_name=True):
        if not path.exists():
            message = f"{path}: there is no history of hits yet; the running server writes it"
            raise HitsUnusable(message, Failure.MISSING)
        connection = connect(path)
        try:
            yield connection
        finally:
            connection.close()


def _prepare(connection: sqlite3.Connection, path: Path, *, create: bool) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    page_octets = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {FILE_OCTETS_MAX // page_octets}")
    if create and _is_blank(connection):
        connection.execute("BEGIN IMMEDIATE")
        if _is_blank(connection):
            for statement in _TABLES.strip().split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if found != APPLICATION_ID:
        raise HitsUnusable(f"{path}: not a history of hits of this program; move it away", Failure.FOREIGN)
    if version != SCHEMA_VERSION:
        message = f"{path}: history of hits of version {version}; this program has {SCHEMA_VERSION}"
        raise HitsUnusable(message, Failure.FOREIGN)


def _is_blank(connection: sqlite3.Connection) -> bool:
    """Whether nobody has written anything into the file yet."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return bool(tables == 0 and connection.execute("PRAGMA application_id").fetchone()[0] == 0)


def _failure_of(error: sqlite3.Error) -> Failure:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return {
        sqlite3.SQLITE_FULL: Failure.FULL,
        sqlite3.SQLITE_BUSY: Failure.LOCKED,
        sqlite3.SQLITE_LOCKED: Failure.LOCKED,
        sqlite3.SQLITE_CORRUPT: Failure.DAMAGED,
        sqlite3.SQLITE_NOTADB: Failure.DAMAGED,
        sqlite3.SQLITE_ERROR: Failure.DAMAGED,
        sqlite3.SQLITE_CONSTRAINT: Failure.DAMAGED,
        sqlite3.SQLITE_MISMATCH: Failure.DAMAGED,
    }.get(code, Failure.OTHER)
