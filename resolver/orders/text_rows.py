"""Lines of plain text -> rows: points of lists, lines of tables in columns, running text.

Knows: numbers and bullets, columns by wide gaps, lines that go on in the next.
Does not know: octets, platforms.
Theory: an order's annex is a list, and what stands around it (letterhead, reasons, footers) is not.  A line
counts as part of a list when a cell of it holds addresses and nothing else, or a number is followed by a
short name and addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from resolver.orders.items import NAME_WORDS_MAX, Item, items_of
from resolver.orders.rows import Budget, Cell, Kind, Row, Unreadable

LINE_CHARS_MAX = 65_536
"""Longest line of a text: no person wrote a longer one."""

_PREFIX = re.compile(
    r"\s*(?:[(\[]?(?:[0-9]{1,6}|[a-z]|[ivx]{1,5})[.)\]]{1,2}|[-–—*•·▪‣◦●○■□–])(?=\s)\s*", re.IGNORECASE
)
_NUMBER = re.compile(r"\s*[0-9]{1,6}(?:\t+|\s{2,})")
_GAP = re.compile(r"\t+|\s{2,}\|?\s*|\s*\|\s+")
_BROKEN_END = re.compile(r"[A-Za-z0-9](?:[-_@]|\.-)$|[A-Za-z]://$")
"""The end of a line that ends inside a word."""


def text_rows(text: str, *, first_line: int = 1, budget: Budget | None = None) -> list[Row]:
    """The rows of a text, one for each line with anything in it; a table's may go on over some.

    Raises Unreadable for a line that is none, and for more addresses than an order may have.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", " ").split("\n")
    return _Reader(first_line, budget or Budget()).read(lines)


class _Reader:
    """Goes through the lines and remembers what the next may belong to."""

    def __init__(self, first_line: int, budget: Budget) -> None:
        self._first_line = first_line
        self._budget = budget
        self._rows: list[Row] = []
        self._block = 0
        self._column: int | None = None
        """Where the addresses of the last listed row begin; None: the last line was of no list."""
        self._goes_on = False
        """The last line ended with a comma."""
        self._was_blank = True

    def read(self, lines: Iterable[str]) -> list[Row]:
        before = ""
        for number, line in enumerate(lines, self._first_line):
            if len(line) > LINE_CHARS_MAX:
                message = f"has {len(line):,} characters; allowed: {LINE_CHARS_MAX:,}; is it a text?"
                raise Unreadable(number, message)
            if line.strip():
                self._take(line.rstrip(), number, is_cut=_BROKEN_END.search(before.rstrip()[-8:]) is not None)
            else:
                self._was_blank = True
            before = line
        return self._rows

    def _take(self, line: str, number: int, *, is_cut: bool) -> None:
        self._budget.spend(sum("." in word.strip(".") for word in line.split()), number)
        prefix = _PREFIX.match(line) or _NUMBER.match(line)
        body_at = prefix.end() if prefix else len(line) - len(line.lstrip())
        cells, column = _cells(line, body_at, number, is_cut=is_cut)
        if prefix is None and self._is_continuation(cells, body_at):
            last = self._rows[-1]
            self._rows[-1] = replace(last, cells=(*last.cells, *cells))
            self._goes_on = line.rstrip().endswith((",", ";"))
            return
        kind = _kind(cells, has_prefix=prefix is not None)
        if kind is Kind.PROSE:
            self._block += 1
            self._column = None
        elif self._was_blank and (prefix is None or (self._rows and self._rows[-1].is_bare)):
            self._block += 1
        if kind is not Kind.PROSE:
            self._column = column
        self._goes_on = kind is Kind.LISTED and line.rstrip().endswith((",", ";"))
        self._was_blank = False
        is_bare = prefix is None and len(cells) == 1
        self._rows.append(Row(number, cells, kind, self._block, is_bare))

    def _is_continuation(self, cells: tuple[Cell, ...], indent: int) -> bool:
        """Whether a line without a number holds more addresses of the row above it."""
        if self._column is None or not self._rows or self._rows[-1].kind is Kind.PROSE:
            return False
        is_deep = self._column > 0 and indent >= self._column and not self._was_blank
        return (self._goes_on or is_deep) and all(is_pure(items_of(cell)) for cell in cells)


def _cells(line: str, body_at: int, number: int, *, is_cut: bool) -> tuple[tuple[Cell, ...], int]:
    """The cells of a line, and the column in which its addresses begin."""
    body = line[body_at:]
    cells: list[Cell] = []
    column = at = 0
    for found in [*_GAP.finditer(body), None]:
        end = found.start() if found is not None else len(body)
        if text := body[at:end].strip().strip("|").strip():
            cell = Cell(text, number, is_cut=is_cut and not cells)
            if not column and is_pure(items_of(cell)):
                column = body_at + at
            cells.append(cell)
        at = found.end() if found is not None else len(body)
    return tuple(cells), column


def is_pure(items: list[Item]) -> bool:
    """Whether a cell holds addresses, and nothing else worth a word."""
    return bool(items) and all(item.is_address for item in items) and not _is_sentence(items)


def _is_sentence(items: list[Item]) -> bool:
    return any(len(item.text.split()) > NAME_WORDS_MAX for item in items)


def _kind(cells: tuple[Cell, ...], *, has_prefix: bool) -> Kind:
    texts = [cell.text for cell in cells]
    if any(
        len(text.split()) > NAME_WORDS_MAX and not is_pure(items_of(cell))
        for text, cell in zip(texts, cells, strict=True)
    ):
        return Kind.LISTED if has_prefix and _ends_in_addresses(cells[-1]) else Kind.PROSE
    pure = [is_pure(items_of(cell)) for cell in cells]
    if any(pure):
        return Kind.LISTED
    if has_prefix and _ends_in_addresses(cells[-1]):
        return Kind.LISTED
    if has_prefix and len(" ".join(texts).split()) <= NAME_WORDS_MAX:
        return Kind.NAMED
    return Kind.PROSE


def _ends_in_addresses(cell: Cell) -> bool:
    """Whether it is a short name, and then addresses to the end."""
    items = items_of(cell)
    if not items or not items[0].addresses:
        return False
    is_short = len(items[0].before.split()) <= NAME_WORDS_MAX
    has_end = not items[0].text.endswith(".") or len(items) == 1
    words = items[0].text.split()
    is_last = bool(words) and items[0].addresses[-1].written in words[-1]
    return is_short and has_end and is_last and all(item.is_address for item in items[1:])
