"""What was acknowledged of one list, and the batch that is about to be: a file that survives every kill.

Knows: its tables and their order of change.  Does not know: lists, proofs, commands.

    state_dir/acknowledge/LIST.sqlite3

Theory: a batch is written down before its command runs for the first time, and taken out, in one transaction
with what it said, after the command succeeded.  A kill anywhere leaves it there, and it runs again: at least
once.  SQLite sees to the rest: each transaction is on the disk, or it never was.
Everything here may block: call it in a thread.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from resolver.acknowledging.batch import Difference, Row

APPLICATION_ID: Final = 0x4578416B
"""`ExAk`."""
SCHEMA_VERSION: Final = 1
BUSY_S: Final = 30.0
"""How long one process waits for the other's transaction: the server, and the child that proves."""
DAMAGED_SUFFIX: Final = ".damaged"
BESIDE_SUFFIXES: Final = ("-journal", "-wal", "-shm")
"""Of what SQLite has beside a file; moved with it, it still belongs to it."""

_TABLES: Final = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE ledger (name TEXT NOT NULL, number INTEGER NOT NULL, last_at REAL NOT NULL) STRICT;
CREATE TABLE acknowledged (record TEXT NOT NULL, rule TEXT NOT NULL, PRIMARY KEY (record, rule))
    STRICT, WITHOUT ROWID;
CREATE TABLE pending (
    number INTEGER NOT NULL, made_at REAL NOT NULL, document BLOB NOT NULL, attempts INTEGER NOT NULL,
    problem TEXT NOT NULL
) STRICT;
CREATE TABLE pending_rule (record TEXT NOT NULL, rule TEXT NOT NULL, is_added INTEGER NOT NULL) STRICT;
"""


class Pending(NamedTuple):
    """A batch whose command has not succeeded yet."""

    number: int
    made_at: float
    """Unix seconds."""
    document: bytes
    attempts: int
    problem: str
    """Why the last attempt failed; empty: there was none."""


class Standing(NamedTuple):
    """How a ledger stands."""

    batches: int
    """Acknowledged since it was begun."""
    last_at: float
    """Unix seconds at which the last one was; 0: none was."""
    pending: Pending | None


class Ledger:
    """The open file.  Raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def difference(self, rows: Iterable[Row], most: int) -> Difference:
        """What the list has now and is not acknowledged, and the reverse; at most `most` rows of each."""
        execute = self._connection.execute
        execute("PRAGMA temp_store = FILE")
        execute(
            "CREATE TEMP TABLE now (record TEXT NOT NULL, rule TEXT NOT NULL, PRIMARY KEY (record, rule))"
            " WITHOUT ROWID"
        )
        try:
            # One transaction of the temporary file's: no lock on ours.
            execute("BEGIN")
            try:
                self._connection.executemany("INSERT OR IGNORE INTO now VALUES (?, ?)", rows)
            finally:
                execute("COMMIT")
            added = execute(
                "SELECT record, rule FROM now EXCEPT SELECT record, rule FROM acknowledged LIMIT ?", (most,)
            ).fetchall()
            removed = execute(
                "SELECT record, rule FROM acknowledged EXCEPT SELECT record, rule FROM now LIMIT ?", (most,)
            ).fetchall()
        finally:
            execute("DROP TABLE now")
        return Difference(tuple(added), tuple(removed))

    def begin(
        self, difference: Difference, made_at: float, make_document: Callable[[str, int], bytes]
    ) -> bool:
        """Write a batch down; `make_document` gets its id and its number.  False: another one is pending."""
        with self._transaction() as execute:
            if execute("SELECT 1 FROM pending").fetchone() is not None:
                return False
            name, number = execute("SELECT name, number + 1 FROM ledger").fetchone()
            document = make_document(f"{name}-{number}", number)
            execute("INSERT INTO pending VALUES (?, ?, ?, 0, '')", (number, made_at, document))
            for rows, is_added in ((difference.added, 1), (difference.removed, 0)):
                self._connection.executemany(
                    "INSERT INTO pending_rule VALUES (?, ?, ?)", ((*row, is_added) for row in rows)
                )
        return True

    def standing(self) -> Standing:
        """How many batches were acknowledged, and which one is to be."""
        number, last_at = self._connection.execute("SELECT number, last_at FROM ledger").fetchone()
        row = self._connection.execute(
            "SELECT number, made_at, document, attempts, problem FROM pending"
        ).fetchone()
        return Standing(number, last_at, None if row is None else Pending(*row))

    def note_failure(self, number: int, problem: str) -> None:
        """The command of batch `number` failed."""
        with self._transaction() as execute:
            execute(
                "UPDATE pending SET attempts = attempts + 1, problem = ? WHERE number = ?", (problem, number)
            )

    def acknowledge(self, number: int, at: float) -> None:
        """The command of batch `number` succeeded at `at` (Unix seconds): it is over."""
        with self._transaction() as execute:
            if execute("SELECT 1 FROM pending WHERE number = ?", (number,)).fetchone() is None:
                return
            execute(
                "INSERT OR IGNORE INTO acknowledged SELECT record, rule FROM pending_rule WHERE is_added = 1"
            )
            execute(
                "DELETE FROM acknowledged WHERE (record, rule) IN"
                " (SELECT record, rule FROM pending_rule WHERE is_added = 0)"
            )
            execute("DELETE FROM pending_rule")
            execute("DELETE FROM pending")
            execute("UPDATE ledger SET number = ?, last_at = ?", (number, at))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection.execute
        except BaseException:
            # A full disk has done that already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def ledger_path(state_dir: Path, list_name: str) -> Path:
    """Where a list's ledger stands; its name has letters, digits and `.-_` only."""
    return state_dir / "acknowledge" / f"{list_name}.sqlite3"


@contextlib.contextmanager
def open_ledger(path: Path) -> Iterator[Ledger]:
    """The file at `path`, made when it is not there.  Raises sqlite3.Error and OSError.

    One that is damaged is put aside, and another begun: everything is acknowledged again, which is better
    than never.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = _opened(path)
    try:
        yield Ledger(connection)
    finally:
        connection.close()


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return _connected(path)
    except sqlite3.OperationalError:
        raise  # Locked, no room, no right: it is no worse than it was.
    except sqlite3.DatabaseError:
        _put_aside(path)
        return _connected(path)


def _put_aside(path: Path) -> None:
    """Move the file away, and its journal first: SQLite would play that into whatever has the name then."""
    for suffix in (*BESIDE_SUFFIXES, ""):
        found = path.with_name(path.name + suffix)
        with contextlib.suppress(FileNotFoundError):
            found.replace(path.with_name(path.name + DAMAGED_SUFFIX + suffix))


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        execute = connection.execute
        execute("PRAGMA trusted_schema = OFF")
        execute("PRAGMA synchronous = FULL")
        # One look at one moment: another process may be about to make it.
        execute("BEGIN")
        tables = execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        found = execute("PRAGMA application_id").fetchone()[0]
        version = execute("PRAGMA user_version").fetchone()[0]
        execute("COMMIT")
        if not tables:
            path.chmod(0o600)
            _make(connection)
        elif (found, version) != (APPLICATION_ID, SCHEMA_VERSION):
            raise sqlite3.DatabaseError("not a ledger of this program's version")
        elif execute("SELECT count(*) FROM ledger").fetchone()[0] != 1:
            raise sqlite3.DatabaseError("no ledger")
    except BaseException:
        connection.close()
        raise
    return connection


def _make(connection: sqlite3.Connection) -> None:
    """All tables at once, unless somebody was faster."""
    execute = connection.execute
    execute("BEGIN EXCLUSIVE")
    try:
        if not execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            for statement in filter(str.strip, _TABLES.split(";")):
                execute(statement)
            execute("INSERT INTO ledger VALUES (?, 0, 0.0)", (secrets.token_hex(4),))
    except BaseException:
        if connection.in_transaction:
            execute("ROLLBACK")
        raise
    execute("COMMIT")
