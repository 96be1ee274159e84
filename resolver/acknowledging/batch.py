"""One batch of records of a list: what is new in force, what is not any more, and its JSON.

Knows: the words of the document that a command gets.  Does not know: where records come from, how they are
proved, the journal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

SCHEMA_VERSION: Final = 1
"""Of the document; raised when a field changes its meaning or goes."""

Row = tuple[str, str]
"""A record's id, and one rule of it as a blocklist has it: `x.example`, `=x.example` or `*.x.example`."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a list has now, held against what was acknowledged."""

    added: tuple[Row, ...]
    removed: tuple[Row, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of the list that a batch is of.  Times are Unix seconds; 0: not known."""

    list: str
    serial: int = 0
    """Of a transferred zone; 0: it is none."""
    updated_at: float = 0.0
    """When the list was last changed here."""
    policy: str = ""
    """The hash of the policy in force."""


def document_of(
    origin: Origin, difference: Difference, *, batch: str, number: int, proved_at: float
) -> dict[str, Any]:
    """What a command gets on its standard input; `batch` is the same each time it is run for this one."""
    return {
        "version": SCHEMA_VERSION,
        "batch": batch,
        "number": number,
        "list": origin.list,
        "serial": origin.serial or None,
        "updated": _moment(origin.updated_at),
        "proved": _moment(proved_at),
        "policy": origin.policy,
        "added": _records(difference.added),
        "removed": _records(difference.removed),
    }


def encoded(document: dict[str, Any]) -> bytes:
    """One line of JSON in UTF-8."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def without(rows: Iterable[Row], unproved: frozenset[str]) -> tuple[tuple[Row, ...], int]:
    """The rows of records all of whose rules are proved, and how many records are not among them."""
    all_rows = tuple(rows)
    withheld = {record for record, rule in all_rows if rule in unproved}
    return tuple(row for row in all_rows if row[0] not in withheld), len(withheld)


def _records(rows: Iterable[Row]) -> list[dict[str, Any]]:
    rules: dict[str, list[str]] = {}
    for record, rule in rows:
        rules.setdefault(record, []).append(rule)
    return [{"id": record, "rules": found} for record, found in rules.items()]


def _moment(at: float) -> str | None:
    return (
        datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at else None
    )
