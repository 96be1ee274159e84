"""Comma-separated values -> rows, with what each column is said to hold.

Knows: delimiters, quotes.  Does not know: octets, platforms, what a header means.
"""

from __future__ import annotations

import csv
import re

from resolver.orders.headers import roles_of
from resolver.orders.rows import Cell, Kind, Role, Row, Unreadable
from resolver.orders.text_rows import LINE_CHARS_MAX

RECORD_LINES_MAX = 200
"""A record over more lines has a quote that nobody closed."""
COLUMNS_MAX = 200
"""More columns have no meaning, and cost memory."""

_DELIMITERS = (";", "\t", "|", ",")


def csv_rows(text: str, *, delimiter: str | None = None) -> list[Row]:
    """The records of a text.  Raises Unreadable with the line."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for number, piece in enumerate(text.split("\n"), 1):
        if len(piece) > LINE_CHARS_MAX:
            raise Unreadable(number, f"has {len(piece):,} characters; allowed: {LINE_CHARS_MAX:,}")
    delimiter = delimiter or sniff(text) or ","
    # With their ends, which a quoted cell keeps: there they part items.
    lines = (f"{piece}\n" for piece in text.split("\n"))
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    rows: list[Row] = []
    roles: list[Role] | None = None
    start = 1
    try:
        for record in reader:
            line, start = start, reader.line_num + 1
            if start - line > RECORD_LINES_MAX:
                raise Unreadable(
                    line, f"a quote is opened here and not closed within {RECORD_LINES_MAX} lines"
                )
            if len(record) > COLUMNS_MAX:
                raise Unreadable(line, f"has {len(record):,} columns; allowed: {COLUMNS_MAX}")
            if not any(cell.strip() for cell in record):
                continue
            if roles is None and (roles := roles_of(record)):
                continue
            roles = roles or []
            cells = tuple(
                Cell(cell, line, roles[at] if at < len(roles) else Role.ANY)
                for at, cell in enumerate(record)
                if cell.strip()
            )
            rows.append(Row(line, cells, Kind.LISTED))
    except csv.Error as error:
        raise Unreadable(reader.line_num, f"is no CSV: {error}") from None
    return rows


def sniff(text: str) -> str | None:
    """The delimiter that the first record with anything in it uses; None where it has none."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    outside = re.sub(r'"(?:[^"]|"")*"', "", first)
    counts = {sign: outside.count(sign) for sign in _DELIMITERS}
    best = max(counts, key=lambda sign: counts[sign])
    return best if counts[best] else None
