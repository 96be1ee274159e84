"""Pi-hole's database `gravity.db`: the names, expressions and lists that its users entered.

Knows: its tables, of version 5 and 6, and groups of clients.  Does not know: settings, files beside it.
Theory: the file is read as a stranger's: opened without writing, views and functions of its own do not run,
and a query that takes too many steps is ended.  What lists held when they were fetched (`gravity`) is not
read: the lists themselves are taken over.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from resolver.migration.gathered import LISTS_MAX, Gathered, Place, TakenList, error
from resolver.migration.patterns import REGEX_INSTEAD, REGEX_WHY, regex_rules
from resolver.migration.writing import list_name
from resolver.policy.verdict import RuleForm
from resolver.problems import show

ROWS_MAX: Final = 2_000_000
QUERY_STEPS_MAX: Final = 200_000_000
"""Most steps of the database's machine for one query: some seconds."""
DATABASE_HEADER: Final = b"SQLite format 3\0"
_MODES_AT: Final = 18
"""Where the header says how the file is written and read: 1 a rollback journal, 2 a write-ahead log."""
DEFAULT_GROUP: Final = 0
EXACT_ALLOW, EXACT_DENY, REGEX_ALLOW, REGEX_DENY = range(4)
"""Types of a row of `domainlist`."""
_KINDS: Final = frozenset({EXACT_ALLOW, EXACT_DENY, REGEX_ALLOW, REGEX_DENY})
_REGEX_OPTION: Final = re.compile(r"(.*);(querytype|invert|reply)(=.*)?\Z")


def read_database(gathered: Gathered, octets: bytes, place: Place) -> None:
    """Add all that the database says; `place`: the file.  Raises BadConfig."""
    if not octets.startswith(DATABASE_HEADER):
        raise error(place, "is not a database of SQLite 3")
    database = sqlite3.connect(":memory:")
    try:
        # A database in WAL mode is read without its log, as one that was closed: in memory there is no
        # other way.
        database.deserialize(octets[:_MODES_AT] + b"\x01\x01" + octets[_MODES_AT + 2 :])
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA query_only = ON")
        database.text_factory = lambda raw: raw.decode("utf-8", "replace")
        database.set_progress_handler(_ending_after(QUERY_STEPS_MAX), 100_000)
        _read(gathered, database, place)
    except sqlite3.Error as failed:
        raise error(place, f"cannot be read as a database of Pi-hole: {failed}") from None
    finally:
        database.close()


def _ending_after(steps: int) -> Callable[[], int]:
    left = [steps // 100_000]

    def step() -> int:
        left[0] -= 1
        return int(left[0] < 0)

    return step


def _read(gathered: Gathered, database: sqlite3.Connection, place: Place) -> None:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables & {"domainlist", "adlist"}:
        raise error(place, "has neither a table `domainlist` nor `adlist`: it is no database of Pi-hole")
    groups = {number: name for number, name, *_ in _rows(database, tables, "group", ("id", "name"))}
    is_off = {number for number, is_on in _rows(database, tables, "group", ("id", "enabled")) if not is_on}
    for table, by_group, key in (
        ("domainlist", "domainlist_by_group", "domainlist_id"),
        ("adlist", "adlist_by_group", "adlist_id"),
    ):
        if table not in tables:
            continue
        members: dict[Any, set[Any]] = {}
        for row, group in _rows(database, tables, by_group, (key, "group_id")):
            members.setdefault(row, set()).add(group)
        scope = _Scope(gathered, place, groups, is_off, members, by_group in tables)
        if table == "domainlist":
            _read_names(gathered, database, tables, place, scope)
        else:
            _read_lists(gathered, database, tables, place, scope)
    for (client,) in _rows(database, tables, "client", ("ip",)):
        why = "some clients have groups of their own, and there is one policy for all here"
        gathered.lose(place, f"client {client}", why, "run a second server for such clients")


class _Scope:
    """Whether a row holds for all clients: it belongs to the group that every client is in."""

    def __init__(
        self,
        gathered: Gathered,
        place: Place,
        groups: dict[Any, Any],
        is_off: set[Any],
        members: dict[Any, set[Any]],
        has_groups: bool,
    ) -> None:
        self._gathered = gathered
        self._place = place
        self._groups = groups
        self._is_off = is_off
        self._members = members
        self._has_groups = has_groups

    def holds(self, row: object, key: str) -> bool:
        """Whether it does; a loss where it holds for some clients alone."""
        if not self._has_groups:
            return True
        found = self._members.get(row, set()) - self._is_off
        if DEFAULT_GROUP in found:
            return True
        if found:
            names = ", ".join(sorted(str(self._groups.get(one, one)) for one in found))
            why = f"it holds for the group {names} alone, and there is one policy for all clients here"
            self._gathered.lose(self._place, key, why, "add it by hand if it is to hold for all")
        return False


def _rows(
    database: sqlite3.Connection, tables: set[str], table: str, columns: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """Some columns of a table; nothing where it, or one of them, is not there."""
    if table not in tables:
        return
    there = {row[1] for row in database.execute(f'PRAGMA table_info("{table}")')}
    if not set(columns) <= there:
        return
    picked = ", ".join(f'"{column}"' for column in columns)
    yield from database.execute(f'SELECT {picked} FROM "{table}" LIMIT {ROWS_MAX}')


def _read_names(
    gathered: Gathered, database: sqlite3.Connection, tables: set[str], place: Place, scope: _Scope
) -> None:
    for row, kind, text, is_on in _rows(database, tables, "domainlist", ("id", "type", "domain", "enabled")):
        key = f"domainlist {row}: {text}"
        if not is_on or not isinstance(text, str) or not scope.holds(row, key):
            continue
        if kind in _KINDS:
            take_name(gathered, kind, text, place, key)
        else:
            why = f"its type {show(str(kind))} is none that Pi-hole knows"
            gathered.lose(place, key, why, "enter the name anew in Pi-hole, or by hand here")


def take_name(gathered: Gathered, kind: int, text: str, place: Place, key: str) -> None:
    """One entry of `domainlist`, or of a file that older versions have for it."""
    where = gathered.let_through if kind in (EXACT_ALLOW, REGEX_ALLOW) else gathered.blocked
    if kind in (EXACT_ALLOW, EXACT_DENY):
        gathered.put(where, gathered.rule(text, RuleForm.EXACT, place, key), place)
        return
    option = _REGEX_OPTION.match(text)
    if option is not None:
        why = f"the option {show(option[2])} of an expression has no counterpart"
        gathered.lose(place, key, why, REGEX_INSTEAD)
        return
    found = regex_rules(text)
    if not found:
        gathered.lose(place, key, REGEX_WHY, REGEX_INSTEAD)
    for name, form in found:
        gathered.put(where, gathered.rule(name, form, place, key), place)


def _read_lists(
    gathered: Gathered, database: sqlite3.Connection, tables: set[str], place: Place, scope: _Scope
) -> None:
    kinds = dict(_rows(database, tables, "adlist", ("id", "type")))
    rows = _rows(database, tables, "adlist", ("id", "address", "enabled"))
    comments = dict(_rows(database, tables, "adlist", ("id", "comment")))
    for row, address, is_on in rows:
        if isinstance(address, str) and scope.holds(row, f"adlist {row}: {address}"):
            title = str(comments.get(row) or "")
            take_list(gathered, address, place, is_allow=kinds.get(row) == 1, is_on=bool(is_on), title=title)


def take_list(
    gathered: Gathered, address: str, place: Place, *, is_allow: bool, is_on: bool = True, title: str = ""
) -> None:
    """One list by its address.

    Pi-hole takes a bare name for itself alone, and `||x^` for x and all below it, as `adblock` does here.
    """
    if len(gathered.lists) >= LISTS_MAX:
        gathered.lose(place, address, f"more than {LISTS_MAX:,} lists", "leave some out")
        return
    address = address.strip()
    keys: dict[str, Any] = {"format": "adblock"}
    if address.startswith("file://"):
        keys = {"path": address.removeprefix("file://"), **keys}
    elif re.match(r"https?://", address):
        keys = {"url": address, **keys}
        if address.startswith("http://"):
            keys["allow_http"] = True
            gathered.remark(
                f"the list {address} is fetched without TLS, as before: nothing proves what comes"
            )
    else:
        gathered.lose(place, f"adlist: {address}", "is neither a URL nor a file", "name it in `lists:`")
        return
    if is_allow:
        keys["kind"] = "allow"
    if not is_on:
        keys["mode"] = "disabled"
    words = re.sub(r"https?://(raw\.githubusercontent\.com/)?", "", address)
    name = list_name(title[:40] or words, [taken.name for taken in gathered.lists])
    gathered.lists.append(TakenList(name, keys, place))
