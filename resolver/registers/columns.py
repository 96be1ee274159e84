"""Fields by name -> records: what a kind, or a mapping of the blocklist, says of where everything stands.

Knows: which field is a record's name, number, date.  Does not know: CSV, XML, JSON.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from resolver.registers.asking import ASKS_MAX, asked_of, parts_of
from resolver.registers.record import Asked, Record, RegisterRefused, Scope, cut

Get = Callable[[str], list[str]]
"""The texts of a field; none where it is missing."""

NOTHING_ASKED = Asked(Scope.NOTHING, b"", "", "the record has no name, URL or address")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a record says what; each is the name of a field, empty: nowhere."""

    name: tuple[str, ...]
    """Names, URLs and addresses, several in a field or in several fields."""
    id: tuple[str, ...] = ()
    """Joined by a blank: one field, or several that together tell a record from others."""
    number: str = ""
    date: str = ""
    added: str = ""
    effective: str = ""
    removed: str = ""
    authority: tuple[str, ...] = ()
    """The first that says something."""
    holder: str = ""
    licence: tuple[str, ...] = ()
    urgency: str = ""
    measure: str = ""
    separator: str = ""
    date_form: str = ""
    spellings: Mapping[str, str] = field(default_factory=dict)
    """Authority as written (blanks made one) -> as it is called."""

    def record(self, number: int, line: int, get: Get) -> Record:
        """A record of these fields.  Raises `RegisterRefused`."""
        asks: list[Asked] = []
        for column in self.name:
            for text in get(column):
                asks += map(asked_of, parts_of(text, self.separator) if text else ())
        if len(asks) > ASKS_MAX:
            raise RegisterRefused(f"asks for over {ASKS_MAX:,} names", line=line, record=number)
        return Record(
            number=number,
            line=line,
            id=" ".join(filter(None, (self._dated(column, get) for column in self.id))),
            asks=tuple(dict.fromkeys(asks)) or (NOTHING_ASKED,),
            decision=_first(get, self.number),
            decided=self._dated(self.date, get),
            authority=self._authority(get),
            added=self._dated(self.added, get),
            effective=self._dated(self.effective, get),
            removed=self._dated(self.removed, get),
            urgency=_first(get, self.urgency),
            measure=_first(get, self.measure),
            holder=_first(get, self.holder),
            licence=", ".join(filter(None, (self._dated(column, get) for column in self.licence))),
        )

    def _dated(self, column: str, get: Get) -> str:
        return date_text(_first(get, column), self.date_form)

    def _authority(self, get: Get) -> str:
        for column in self.authority:
            if text := _first(get, column):
                return self.spellings.get(text, text)
        return ""

    @property
    def wanted(self) -> frozenset[str]:
        """All fields that are looked at."""
        one = (
            self.number, self.date, self.added, self.effective, self.removed,
            self.holder, self.urgency, self.measure,
        )  # fmt: skip
        return frozenset(filter(None, (*self.name, *self.id, *self.authority, *self.licence, *one)))


def _first(get: Get, column: str) -> str:
    if not column:
        return ""
    texts = get(column)
    return cut(texts[0]) if texts else ""


def date_text(text: str, form: str) -> str:
    """A date as ISO 8601 if it has this form (of strptime); else as it is."""
    if not form or not text:
        return text
    try:
        return datetime.datetime.strptime(text, form).date().isoformat()
    except ValueError:
        return text


def get_from(fields: Mapping[str, list[str]]) -> Get:
    """Read fields that may stand several times."""
    return lambda column: fields.get(column, [])


def get_from_row(row: list[str], places: Mapping[str, int]) -> Get:
    """Read fields by the places of their columns; what is empty is missing."""

    def get(column: str) -> list[str]:
        at = places.get(column)
        return [row[at]] if at is not None and row[at] else []

    return get


def get_from_json(element: Any) -> Get:
    """Read keys with dots; lists give several texts, an element that is a text is its own name."""

    def get(column: str) -> list[str]:
        found = [element]
        for key in column.split(".") if column else ():
            found = [value[key] for value in _flat(found) if isinstance(value, dict) and key in value]
        return [_plain(value) for value in _flat(found) if isinstance(value, str | int | float)]

    return get


def _flat(values: Iterable[Any]) -> list[Any]:
    flat: list[Any] = []
    for value in values:
        flat += value if isinstance(value, list) else [value]
    return flat


def _plain(value: str | int | float) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
