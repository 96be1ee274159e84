"""The records behind a policy's registers: a file beside the image, for `explain`, `diff` and the history.

Knows: the file's tables.  Does not know: formats, the image, why something is no rule.

    state_dir/images/<key>.records    SQLite; comes and goes with the image

Theory: the image has names and lines only; whose decision a name is stands here.  One row for each name, URL
or address that a record asks for, a rule or not, so that counts, removals and repeats are questions to
SQLite, which keeps a few megabytes in memory whatever the register's size.  It is derived from the lists: a
file that is gone or damaged costs words in `explain`, and no policy.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from resolver.policy.verdict import RuleForm
from resolver.registers.judging import WWW, Reason
from resolver.registers.record import Asked, Record
from resolver.wire.names import name_to_text, suffix_offsets

APPLICATION_ID = 0x45785263
"""`ExRc`."""
SCHEMA_VERSION = 1
BATCH_ROWS = 5_000
WORDS_MAX = 50_000
"""Authorities remembered while rows are added."""

_TABLES = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -8000;
PRAGMA temp_store = FILE;
CREATE TABLE list (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE words (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE entry (
    list INTEGER NOT NULL, record INTEGER NOT NULL, line INTEGER NOT NULL, id TEXT NOT NULL,
    owner BLOB NOT NULL, form TEXT NOT NULL, written TEXT NOT NULL, reason TEXT NOT NULL,
    decision TEXT NOT NULL, decided TEXT NOT NULL, authority INTEGER NOT NULL, added TEXT NOT NULL,
    removed TEXT NOT NULL, holder TEXT NOT NULL, measure TEXT NOT NULL
) STRICT;
"""
_COLUMNS = (
    "list.name, entry.record, entry.line, entry.id, entry.owner, entry.form, entry.written, entry.reason,"
    " entry.decision, entry.decided, words.text, entry.added, entry.removed, entry.holder, entry.measure"
)
_JOINED = "entry JOIN list ON list.number = entry.list JOIN words ON words.number = entry.authority"


class Entry(NamedTuple):
    """One thing that one record asks for, and what became of it."""

    list: str
    record: int
    line: int
    id: str
    """Of the register; its name or URL where the register has no ids."""
    owner: bytes
    form: str
    """A `RuleForm`; empty: it is no rule."""
    written: str
    reason: str
    """A `Reason`; empty: it is a rule."""
    decision: str
    decided: str
    authority: str
    added: str
    removed: str
    holder: str
    measure: str

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        fields = self._asdict()
        del fields["owner"]
        return {**fields, "name": name_to_text(self.owner) if self.owner else None}

    @property
    def provenance(self) -> str:
        """The decision in words: number, date, authority, as far as the register has them."""
        parts = (
            f"decision {self.decision}" if self.decision else "",
            f"of {self.decided}" if self.decided else "",
            self.authority,
            f"added {self.added}" if self.added else "",
            f"removed {self.removed}" if self.removed else "",
            f"for {self.holder}" if self.holder else "",
        )
        return ", ".join(filter(None, parts))


class RegisterStore:
    """The open file.  Raises sqlite3.Error and OSError."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lists: dict[str, int] = {}
        self._words: dict[str, int] = {}
        self._rows: list[tuple[Any, ...]] = []

    # Writing.

    def begin_list(self, name: str) -> int:
        """The number of a list whose entries follow."""
        cursor = self._connection.execute("INSERT INTO list (name) VALUES (?)", (name,))
        return int(cursor.lastrowid or 0)

    def add(self, list_number: int, record: Record, asked: Asked, verdict: RuleForm | Reason) -> None:
        """One entry; of a rule its form."""
        is_rule = isinstance(verdict, RuleForm)
        # `written` of a plain name follows from its wire form: not kept twice.
        has_own_text = not is_rule or name_to_text(asked.owner) != asked.written
        self._rows.append(
            (
                list_number, record.number, record.line, record.id, asked.owner,
                verdict.value if is_rule else "", asked.written if has_own_text else "",
                "" if is_rule else verdict.value, record.decision, record.decided,
                self._word(record.authority),
                record.added, record.removed, record.holder, record.measure,
            )
        )  # fmt: skip
        if len(self._rows) >= BATCH_ROWS:
            self._flush()

    def end_list(self, list_number: int) -> None:
        """All entries are there: find the repeated ones, and make the rest easy to find."""
        self._flush()
        execute = self._connection.execute
        execute("CREATE INDEX IF NOT EXISTS by_owner ON entry (owner, list, form) WHERE owner != x''")
        execute(
            "UPDATE entry SET reason = ? WHERE list = ? AND reason = '' AND EXISTS ("
            " SELECT 1 FROM entry AS first INDEXED BY by_owner WHERE first.owner = entry.owner"
            " AND first.owner != x'' AND first.list = entry.list AND first.form = entry.form"
            " AND first.rowid < entry.rowid AND first.reason = '')",
            (Reason.DUPLICATE.value, list_number),
        )

    def _flush(self) -> None:
        marks = ",".join("?" * 15)
        self._connection.executemany(f"INSERT INTO entry VALUES ({marks})", self._rows)
        self._rows.clear()

    def _word(self, text: str) -> int:
        number = self._words.get(text)
        if number is None:
            if len(self._words) >= WORDS_MAX:
                self._words.clear()
            cursor = self._connection.execute("INSERT INTO words (text) VALUES (?)", (text,))
            number = self._words[text] = int(cursor.lastrowid or 0)
        return number

    # Reading.

    def counts(self, list_name: str) -> dict[str, Any]:
        """What became of a list: records and entries read, rules, and the others by reason."""
        where = f"FROM {_JOINED} WHERE list.name = ?"
        found = dict(
            self._connection.execute(
                f"SELECT reason, count(*) {where} GROUP BY reason", (list_name,)
            ).fetchall()
        )
        enforced = int(found.pop("", 0))
        records, whole, none = self._connection.execute(
            "SELECT count(*), coalesce(sum(ruled = of), 0), coalesce(sum(ruled = 0), 0)"
            f" FROM (SELECT count(*) AS of, sum(reason IN ('', ?)) AS ruled {where} GROUP BY record)",
            (Reason.DUPLICATE.value, list_name),
        ).fetchone()
        return {
            "records": records,
            "records_whole": whole,
            "records_partly": records - whole - none,
            "records_not": none,
            "entries": enforced + sum(found.values()),
            "enforced": enforced,
            "not_enforced": {reason.value: int(found.get(reason.value, 0)) for reason in Reason},
        }

    def not_enforced(self, list_name: str, limit: int, *, but: tuple[Reason, ...] = ()) -> list[Entry]:
        """The first entries that are no rule, but for some reasons."""
        marks = ",".join("?" * len(but))
        where = f"list.name = ? AND reason != '' AND reason NOT IN ({marks})"
        return self._entries(where, (list_name, *(reason.value for reason in but)), limit)

    def lone_www(self, list_name: str, limit: int) -> tuple[int, list[Entry]]:
        """Rules for `www.x` of which x itself stays open, and how many there are."""
        where = (
            "list.name = ? AND reason = '' AND substr(entry.owner, 1, 4) = ? AND NOT EXISTS ("
            "SELECT 1 FROM entry AS apex INDEXED BY by_owner WHERE apex.owner = substr(entry.owner, 5)"
            " AND apex.owner != x'' AND apex.list = entry.list AND apex.reason = '')"
        )
        values = (list_name, WWW)
        count = self._connection.execute(f"SELECT count(*) FROM {_JOINED} WHERE {where}", values).fetchone()[
            0
        ]
        return int(count), self._entries(where, values, limit)

    def authorities(self, list_name: str) -> dict[str, int]:
        """Who decided, with how many records each; the records without one under an empty text."""
        query = (
            f"SELECT words.text, count(DISTINCT record) FROM {_JOINED} WHERE list.name = ?"
            " GROUP BY words.text ORDER BY 2 DESC, 1"
        )
        return dict(self._connection.execute(query, (list_name,)))

    def of_name(self, name: bytes, limit: int) -> list[Entry]:
        """Whatever asks for a name or for one above it, the longest first."""
        found: list[Entry] = []
        for at in suffix_offsets(name):
            found += self._entries("entry.owner = ? AND entry.owner != x''", (name[at:],), limit - len(found))
            if len(found) >= limit:
                break
        return found

    def rules(self, list_name: str) -> Iterator[Entry]:
        """All rules of a list."""
        query = f"SELECT {_COLUMNS} FROM {_JOINED} WHERE list.name = ? AND reason = '' ORDER BY entry.rowid"
        yield from map(_entry, self._connection.execute(query, (list_name,)))

    def _entries(self, where: str, values: Iterable[Any], limit: int) -> list[Entry]:
        query = f"SELECT {_COLUMNS} FROM {_JOINED} WHERE {where} ORDER BY entry.rowid LIMIT ?"
        return [_entry(row) for row in self._connection.execute(query, (*values, limit))]

    def lists(self) -> list[str]:
        """The lists that are here."""
        return [name for (name,) in self._connection.execute("SELECT name FROM list ORDER BY number")]

    def changes_since(self, path: Path, list_name: str, limit: int) -> RecordChanges:
        """What became a rule, and what is one no more, since the store at `path`.  Raises sqlite3.Error."""
        execute = self._connection.execute
        execute("ATTACH ? AS before", (f"{path.absolute().as_uri()}?mode=ro&immutable=1",))
        try:
            now, then = (
                f"SELECT owner, form, id FROM {schema}.entry JOIN {schema}.list ON list.number = entry.list"
                " WHERE list.name = :list AND reason = ''"
                for schema in ("main", "before")
            )
            counts: list[int] = []
            found: list[tuple[tuple[str, str], ...]] = []
            for query in (f"{now} EXCEPT {then}", f"{then} EXCEPT {now}"):
                names = {"list": list_name, "limit": limit}
                counts.append(int(execute(f"SELECT count(*) FROM ({query})", names).fetchone()[0]))
                rows = execute(f"SELECT * FROM ({query}) LIMIT :limit", names).fetchall()
                found.append(tuple((record_id, _rule_text(owner, form)) for owner, form, record_id in rows))
            return RecordChanges(list_name, counts[0], counts[1], found[0], found[1])
        finally:
            execute("DETACH before")


class RecordChanges(NamedTuple):
    """What two readings of one register do not have in common."""

    list: str
    gained_count: int
    lost_count: int
    gained: tuple[tuple[str, str], ...]
    """Record id and rule, as many as were asked for."""
    lost: tuple[tuple[str, str], ...]

    def as_json(self) -> dict[str, Any]:
        """For the history and `--json`."""
        return {
            "gained_count": self.gained_count,
            "lost_count": self.lost_count,
            "gained": [list(pair) for pair in self.gained],
            "lost": [list(pair) for pair in self.lost],
        }


_SIGNS = {RuleForm.EXACT.value: "=", RuleForm.BELOW.value: "*."}


def changed_records(old: Path, new: Path, lists: Iterable[str], limit: int) -> dict[str, Any]:
    """By list what two stores do not have in common, for the history; `unknown` where one is not kept."""
    if not (old.exists() and new.exists()):
        return {name: {"unknown": True} for name in lists}
    found: dict[str, Any] = {}
    try:
        with open_store(old), open_store(new) as store:
            for name in lists:
                changes = store.changes_since(old, name, limit)
                if changes.gained_count or changes.lost_count:
                    found[name] = changes.as_json()
    except (sqlite3.Error, OSError):
        return {name: {"unknown": True} for name in lists}
    return found


def lost_records(old: Path, new: Path, lists: Iterable[str], limit: int) -> list[str]:
    """What was a rule of these registers and is none now, in lines for the log, `limit` for each list."""
    lines: list[str] = []
    for name, changes in changed_records(old, new, lists, limit).items():
        lost = changes.get("lost", ())
        lines += [f"not asked for any more: {rule} (list {name}, record {record})" for record, rule in lost]
        if (more := changes.get("lost_count", 0) - len(lost)) > 0:
            lines.append(f"not asked for any more: {more:,} more names of list {name}")
    return lines


def _rule_text(owner: bytes, form: str) -> str:
    return _SIGNS.get(form, "") + name_to_text(owner)


def _entry(row: tuple[Any, ...]) -> Entry:
    entry = Entry(*row)
    written = entry.written or name_to_text(entry.owner)
    return entry._replace(written=written, id=entry.id or written)


@contextlib.contextmanager
def new_store(path: Path) -> Iterator[RegisterStore]:
    """A new file at `path`, whole when this ends; the caller removes what an exception leaves."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rwc", uri=True, isolation_level=None)
    try:
        connection.executescript(_TABLES)
        connection.execute("BEGIN")
        yield RegisterStore(connection)
        connection.execute("COMMIT")
    finally:
        connection.close()


@contextlib.contextmanager
def open_store(path: Path) -> Iterator[RegisterStore]:
    """The file at `path`, to read only.  Raises sqlite3.Error, also for what is no such file."""
    # Immutable: nobody writes to it once it has its name, and root leaves no lock or journal beside it.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None
    )
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        found = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if (found, version) != (APPLICATION_ID, SCHEMA_VERSION):
            raise sqlite3.DatabaseError("not records of this program's version")
        yield RegisterStore(connection)
    finally:
        connection.close()
