"""What was served when: every applied generation, in one SQLite file in `state_dir`.

Knows: the file's tables and limits, who may have made it.  Does not know: the running server, blocklists'
meaning, the time.
Theory of operation.  One row a generation: when, of which content, by whom, forced with which reason,
what changed.  Beside it the blocklist's text (compressed, once however often it was applied: lists
change more often), so that it can be written back.  And of each order when it was first in force,
which generations alone do not tell: dates and modes decide it.  SQLite's rollback
journal, not its WAL: one file, readable by whoever may read it, whole after a kill or a full disk.
Everything has a limit: texts are dropped oldest first, then whole rows, and both are counted.
A file that is not ours is left alone.
Texts about a generation are escaped when they are written, and again when they are read: the file
may have been written by somebody else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resolver.identity import as_owner_of
from resolver.problems import printable

HISTORY_FILE = "history.sqlite"
APPLICATION_ID = 0x45785265
"""`ExRe`, in the file's header: says whose file it is."""
SCHEMA_VERSION = 1

GENERATIONS_MAX = 5_000
"""Rows kept: one edit a day for over a decade."""
TEXTS_OCTETS_MAX = 64 << 20
"""Compressed texts kept in all: thousands of a usual blocklist (10 kB), a few of a million names."""
TEXT_PLAIN_OCTETS_MAX = 64 << 20
"""Longest blocklist there is; a compressed text that grows beyond is not ours."""
CHANGES_OCTETS_MAX = 64 << 10
"""Longest description of what one generation changed."""
ORDERS_MAX = 100_000
"""Orders whose first day in force is kept; beyond it, those that the blocklist no longer has go."""
FILE_OCTETS_MAX = 512 << 20
"""SQLite refuses to let the file grow beyond: texts, descriptions of all rows, and room to work."""
FORCED_AGAINST = "forced_against"
"""Key of `changes`: the rails were overruled for this generation, against the one of this number."""
AT_MAX = 1e11
"""Unix seconds over three thousand years ahead, which every calendar can still show."""
WAIT_S = 5.0
"""How long another writer or reader is waited for."""

_TABLES = """
CREATE TABLE generation (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    content TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    who TEXT NOT NULL,
    who_from TEXT NOT NULL,
    reason TEXT NOT NULL,
    counts TEXT NOT NULL,
    changes TEXT NOT NULL
) STRICT;
CREATE TABLE text (
    sha256 TEXT PRIMARY KEY,
    packed BLOB NOT NULL,
    latest INTEGER NOT NULL
) STRICT;
CREATE TABLE dropped (what TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT;
INSERT INTO dropped VALUES ('texts', 0), ('generations', 0);
"""
_ORDERS_TABLE = "CREATE TABLE IF NOT EXISTS order_in_force (id TEXT PRIMARY KEY, at REAL NOT NULL) STRICT"
"""When each order was first in force.  Beside the version: older programs leave it alone."""


class HistoryUnusable(Exception):
    """The history cannot be read or written; the message says why."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One applied policy."""

    number: int
    """From 1; unlike the server's own count it goes on over restarts."""
    at: float
    """Unix seconds."""
    content: str
    """Hash of the blocklist and its list files together."""
    sha256: str
    """Of the blocklist alone."""
    who: str
    """Empty: not known."""
    who_from: str
    """How that is known: `apply`, `api`, `owner` of the file, `date`: nobody did, or `pause`."""
    reason: str
    """Why safety rails were overruled; empty: nothing was forced."""
    counts: dict[str, Any]
    changes: dict[str, Any]
    """The difference to the generation before, as JSON."""
    has_text: bool


@dataclass(frozen=True, slots=True)
class Dropped:
    """What the limits took, ever."""

    texts: int
    generations: int


def history_path(state_dir: Path) -> Path:
    """Where the history is."""
    return state_dir / HISTORY_FILE


class History:
    """The open file.  Every method may block, and raises `HistoryUnusable`."""

    def __init__(self, connection: sqlite3.Connection, path: Path, opened: contextlib.ExitStack) -> None:
        self._connection = connection
        self._opened = opened
        self.path = path
        self.texts_octets_max = TEXTS_OCTETS_MAX
        self.generations_max = GENERATIONS_MAX
        self.orders_max = ORDERS_MAX

    def add(self, generation: Generation, text: bytes | None) -> int:
        """Record one (its `number` is given here), and drop what is over the limits; its number."""
        packed = None if text is None else zlib.compress(text)
        with _told(self.path), self._transaction():
            row = (
                generation.at,
                generation.content,
                generation.sha256,
                printable(generation.who),
                generation.who_from,
                printable(generation.reason),
                json.dumps(_printable(generation.counts)),
                json.dumps(_printable(generation.changes)),
            )
            self._make_room_for_one()
            number = self._connection.execute(
                "INSERT INTO generation (at, content, sha256, who, who_from, reason, counts, changes)"
                " VALUES (?,?,?,?,?,?,?,?)",
                row,
            ).lastrowid
            assert number is not None
            if packed is not None:
                self._keep_text(number, generation.sha256, packed)
        return number

    def latest(self) -> Generation | None:
        """The last one recorded."""
        return next(iter(self.newest(1)), None)

    def newest(self, limit: int) -> list[Generation]:
        """The last `limit` of them, newest first."""
        with _told(self.path):
            return [
                _generation(row)
                for row in self._connection.execute(f"{_SELECT} ORDER BY number DESC LIMIT ?", (limit,))
            ]

    def latest_from(self, who_from: str) -> Generation | None:
        """The last one that came about in this way."""
        with _told(self.path):
            row = self._connection.execute(
                f"{_SELECT} WHERE who_from = ? ORDER BY number DESC LIMIT 1", (who_from,)
            ).fetchone()
            return _generation(row) if row else None

    def get(self, number: int) -> Generation | None:
        """One of them."""
        with _told(self.path):
            row = self._connection.execute(f"{_SELECT} WHERE number = ?", (number,)).fetchone()
            return _generation(row) if row else None

    def day_before(self, now: float, day_s: float) -> Generation | None:
        """The newest one that is `day_s` old at `now` (Unix seconds) or was forced since; else the oldest."""
        with _told(self.path):
            row = self._connection.execute(
                "SELECT coalesce(max(number) FILTER (WHERE at <= ? OR instr(changes, ?)), min(number))"
                " FROM generation WHERE at <= ?",
                (now - day_s, f'"{FORCED_AGAINST}"', now),
            ).fetchone()
        return None if row[0] is None else self.get(row[0])

    def text(self, number: int) -> bytes | None:
        """The blocklist's text, octet for octet; None when it is not kept."""
        with _told(self.path):
            row = self._connection.execute(
                "SELECT packed, sha256 FROM generation JOIN text USING (sha256) WHERE number = ?", (number,)
            ).fetchone()
            return None if row is None else self._unpacked(row, f"generation {number}")

    def text_of_hash(self, sha256: str) -> bytes | None:
        """The text with this SHA-256; None when it is not kept."""
        with _told(self.path):
            row = self._connection.execute(
                "SELECT packed, sha256 FROM text WHERE sha256 = ?", (sha256,)
            ).fetchone()
            return None if row is None else self._unpacked(row, sha256)

    def _unpacked(self, row: tuple[bytes, str], what: str) -> bytes:
        text = zlib.decompressobj().decompress(row[0], TEXT_PLAIN_OCTETS_MAX + 1)
        if hashlib.sha256(text).hexdigest() != row[1]:
            raise HistoryUnusable(f"{self.path}: the text of {what} is damaged")
        return text

    def newest_other(self, sha256: str) -> int | None:
        """The newest generation of another blocklist whose text is kept."""
        with _told(self.path):
            row = self._connection.execute(
                "SELECT max(number) FROM generation JOIN text USING (sha256) WHERE sha256 != ?", (sha256,)
            ).fetchone()
            return None if row[0] is None else int(row[0])

    def keeps(self, text: bytes) -> bool:
        """Whether some generation can give this text back."""
        with _told(self.path):
            sha256 = hashlib.sha256(text).hexdigest()
            return bool(self._connection.execute("SELECT 1 FROM text WHERE sha256 = ?", (sha256,)).fetchone())

    def note_in_force(self, since: Mapping[str, float], known: Collection[str]) -> None:
        """Note since when orders are in force (id -> Unix seconds), the first time; `known`: ids of all."""
        with _told(self.path), self._transaction():
            execute = self._connection.execute
            for order_id, at in since.items():
                # A clock that was ahead may have noted a later day.
                execute(
                    "INSERT INTO order_in_force VALUES (?, ?)"
                    " ON CONFLICT (id) DO UPDATE SET at = excluded.at WHERE excluded.at < at",
                    (order_id, at),
                )
            if execute("SELECT count(*) FROM order_in_force").fetchone()[0] > self.orders_max:
                for (order_id,) in execute("SELECT id FROM order_in_force").fetchall():
                    if order_id not in known:
                        execute("DELETE FROM order_in_force WHERE id = ?", (order_id,))

    def in_force_since(self) -> dict[str, float]:
        """When each order was first in force (Unix seconds), those that are gone included."""
        with _told(self.path):
            is_there = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'order_in_force'"
            if not self._connection.execute(is_there).fetchone():
                return {}
            return {
                printable(order_id): at
                for order_id, at in self._connection.execute("SELECT id, at FROM order_in_force")
                if 0 <= at < AT_MAX
            }

    def dropped(self) -> Dropped:
        """What the limits took, ever."""
        with _told(self.path):
            counts = dict(self._connection.execute("SELECT what, count FROM dropped"))
            return Dropped(counts["texts"], counts["generations"])

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _make_room_for_one(self) -> None:
        """Drop the oldest rows that are one too many, and texts that no row is left of."""
        excess = self._connection.execute("SELECT count(*) FROM generation").fetchone()[0]
        excess -= self.generations_max - 1
        if excess > 0:
            self._connection.execute(
                "DELETE FROM generation WHERE number IN"
                " (SELECT number FROM generation ORDER BY number LIMIT ?)",
                (excess,),
            )
            self._connection.execute("DELETE FROM text WHERE sha256 NOT IN (SELECT sha256 FROM generation)")
            self._count("generations", excess)

    def _keep_text(self, number: int, sha256: str, packed: bytes) -> None:
        """Keep the text of the newest generation, and of those before as many as have room."""
        if len(packed) > self.texts_octets_max:
            self._count("texts", 1)
            return
        execute = self._connection.execute
        total = len(packed)
        # Room first: the new text must not fail for want of what it would itself free.
        for other, octets in execute(
            "SELECT sha256, length(packed) FROM text WHERE sha256 != ? ORDER BY latest DESC", (sha256,)
        ).fetchall():
            total += octets
            if total > self.texts_octets_max:
                execute("DELETE FROM text WHERE sha256 = ?", (other,))
                self._count("texts", 1)
        execute("INSERT OR REPLACE INTO text VALUES (?, ?, ?)", (sha256, packed, number))

    def _count(self, what: str, count: int) -> None:
        self._connection.execute("UPDATE dropped SET count = count + ? WHERE what = ?", (count, what))


_SELECT = (
    "SELECT number, at, content, sha256, who, who_from, reason, counts, changes,"
    " EXISTS (SELECT 1 FROM text WHERE text.sha256 = generation.sha256) FROM generation"
)


def _generation(row: tuple[Any, ...]) -> Generation:
    number, at, content, sha256, who, who_from, reason, counts, changes, has_text = row
    if not 0 <= at < AT_MAX:
        raise ValueError(f"generation {number}: no time that there is: {at}")
    return Generation(
        number,
        at,
        printable(content),
        printable(sha256),
        printable(who),
        printable(who_from),
        printable(reason),
        _object(counts),
        _object(changes),
        bool(has_text),
    )


def _object(text: str) -> dict[str, Any]:
    """A JSON object, made printable.  Raises ValueError, TypeError or RecursionError for what is none."""
    value = _printable(json.loads(text))
    if not isinstance(value, dict):
        raise ValueError(f"no JSON object: {printable(text[:50])}")
    return value


def _printable(value: Any) -> Any:
    """JSON with every text in it, keys too, made printable."""
    match value:
        case str():
            return printable(value)
        case list():
            return [_printable(entry) for entry in value]
        case dict():
            return {printable(key): _printable(entry) for key, entry in value.items()}
        case _:
            return value


def open_history(state_dir: Path, *, create: bool = False) -> History:
    """Open it, for writing where the file's mode allows; `create`: make it if it is not there.

    Root has the rights of the folder's owner until it is closed: SQLite follows links, and undoes what it
    finds half done.  Raises `HistoryUnusable`, also for a file that something else made.
    """
    path = history_path(state_dir)
    with _told(path), contextlib.ExitStack() as opened:
        opened.enter_context(as_owner_of(state_dir, by_name=True))
        if not create and not path.exists():
            raise HistoryUnusable(f"{path}: there is no history yet; the running server writes it")
        mode = "rwc" if create else "rw"
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=WAIT_S, isolation_level=None
        )
        opened.callback(connection.close)
        _prepare(connection, path, create=create)
        history = History(connection, path, opened.pop_all())
    return history  # noqa: RET504 - mypy takes `_told` for one that swallows.


def _prepare(connection: sqlite3.Connection, path: Path, *, create: bool) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    # EXTRA also flushes the folder when the journal is removed: a power cut undoes nothing recorded.
    connection.execute("PRAGMA synchronous = EXTRA")
    page_octets = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {FILE_OCTETS_MAX // page_octets}")
    if create and _is_blank(connection):
        # Two servers may start at once: the first makes the tables, the other finds them.
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
        raise HistoryUnusable(f"{path}: not a history of this program; move it away")
    if version != SCHEMA_VERSION:
        raise HistoryUnusable(f"{path}: history of version {version}; this program reads {SCHEMA_VERSION}")
    if create:
        connection.execute(_ORDERS_TABLE)


def _is_blank(connection: sqlite3.Connection) -> bool:
    """Whether nobody has written anything into the file yet."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return bool(tables == 0 and connection.execute("PRAGMA application_id").fetchone()[0] == 0)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn whatever befalls the file into `HistoryUnusable`."""
    try:
        yield
    except (sqlite3.Error, OSError, ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        raise HistoryUnusable(f"{path}: {error}") from error
