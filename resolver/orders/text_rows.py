"""Lines of plain text -> rows: points of lists, lines of tables in columns, running text.

Knows: numbers and bullets, columns by wide gaps, lines that go on in the next.
Does not know: octets, platforms.
Theory: an order's annex is a list, and what stands around it (letterhead, reasons, footers) is not.  A line
counts as part of a list when a cell of it holds addresses and nothing else, or a number is followed by a
short name and addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from resolver.orders.headers import is_for_others, roles_of
from resolver.orders.items import NAME_WORDS_MAX, Item, is_label, items_of
from resolver.orders.rows import Budget, Cell, Kind, Role, Row, Unreadable
from resolver.orders.words import broken_end

LINE_CHARS_MAX = 65_536
"""Longest line of a text: no person wrote a longer one."""

_PREFIX = re.compile(
    r"\s*(?:[(\[]?(?:[0-9]{1,6}|[a-z]|[ivx]{1,5})[.)\]]{1,2}|[-–—*•·▪‣◦●○■□–])(?=\s)\s*", re.IGNORECASE
)
_NUMBER = re.compile(r"\s*[0-9]{1,6}(?:\t+|\s{2,})")
_GAP = re.compile(r"\t+|\s{2,}\|?\s*|\s*\|\s+")
_LAST_LABEL = re.compile(r"(?<![^\s•·])[^\W_][\w-]*[^\W_]$")
"""A bare label at the end of a line; a hyphen in the next may go on with it."""
_HYPHENS = "-\u2010\u2011\u2013"
_ENDS_LINES_MAX = 3
"""So many lines below a broken word its end is looked for."""
_NAME_CHARS_MAX = 253
_HEAD_WORDS_MAX = 3
_CONJUNCTIONS = frozenset(["and", "und", "e", "et", "y", "ou", "or", "oder", "i", "и", "или", "ve"])
_COLUMN_SLACK = 2
"""So many signs apart, two cells of two lines still stand one below the other."""


def text_rows(text: str, *, first_line: int = 1, budget: Budget | None = None, before: str = "") -> list[Row]:
    """The rows of a text, one for each line with anything in it; a table's may go on over some.

    `before`: the line above, which may have ended inside a word.
    Raises Unreadable for a line that is none, and for more addresses than an order may have.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", " ").split("\n")
    return _Reader(first_line, budget or Budget(), before).read(lines)


class _Reader:
    """Goes through the lines and remembers what the next may belong to."""

    def __init__(self, first_line: int, budget: Budget, before: str) -> None:
        self._first_line = first_line
        self._budget = budget
        self._rows: list[Row] = []
        self._block = 0
        self._column: int | None = None
        """Where the addresses of the last listed row begin; None: the last line was of no list."""
        self._goes_on = False
        """The last line ended with a comma."""
        self._was_blank = True
        self._ends = _ends(before, [Cell(text, 0) for _, text in _pieces(before, 0)], 0)
        """Words that the last lines ended inside of."""
        self._others: frozenset[_Place] = frozenset()
        """Places of the columns that hold no addresses that are asked for, by the last head of a table."""
        self._has_listed = False
        """Whether any row of a list came since that head."""

    def read(self, lines: Iterable[str]) -> list[Row]:
        for number, line in enumerate(lines, self._first_line):
            if len(line) > LINE_CHARS_MAX:
                message = f"has {len(line):,} characters; allowed: {LINE_CHARS_MAX:,}; is it a text?"
                raise Unreadable(number, message)
            if line.strip():
                self._take(line.rstrip(), number)
            else:
                self._was_blank = True
        return self._rows

    def _take(self, line: str, number: int) -> None:
        self._budget.spend(sum("." in word.strip(".") for word in line.split()), number)
        prefix = _PREFIX.match(line) or _NUMBER.match(line)
        body_at = prefix.end() if prefix else len(line) - len(line.lstrip())
        cells, column = _cells(line, body_at, number, self._ends)
        self._remember_ends(line, cells, body_at)
        if len(cells) > 1 and self._others:
            places = [places_of(line, at) for at, _ in _pieces(line, body_at)]
            cells = tuple(
                replace(cell, role=Role.OTHER) if self._is_for_others(place) else cell
                for cell, place in zip(cells, places, strict=True)
            )
        if prefix is None and self._is_continuation(cells, body_at):
            last = self._rows[-1]
            self._rows[-1] = replace(last, cells=(*last.cells, *cells))
            self._goes_on = line.rstrip().endswith((",", ";"))
            return
        kind = _kind(cells, has_prefix=prefix is not None)
        if kind is Kind.PROSE:
            self._block += 1
            self._column = None
            self._see_head(line, [cell.text for cell in cells])
        elif self._was_blank and (prefix is None or (self._rows and self._rows[-1].is_bare)):
            self._block += 1
        if kind is not Kind.PROSE:
            self._column = column
        self._has_listed |= kind is Kind.LISTED
        self._goes_on = kind is Kind.LISTED and line.rstrip().endswith((",", ";"))
        self._was_blank = False
        is_bare = prefix is None and len(cells) == 1
        self._rows.append(Row(number, cells, kind, self._block, is_bare))

    def _see_head(self, line: str, texts: list[str]) -> None:
        """A line that is no row may be a head, or a part of one: its columns are so up to the next head.

        What else stands between rows (a page's foot, a rule, a sentence) changes nothing: a column that is
        kept for others too long is only asked about.
        """
        is_head = len(texts) > 1 and bool(roles_of(texts))
        if is_head and self._has_listed:
            self._others, self._has_listed = frozenset(), False
        if any(len(text.split()) > _HEAD_WORDS_MAX for text in texts) or _is_justified(texts):
            return
        # The first line of a head that is broken may have one word alone, above its column.
        if len(texts) > 1 or (line[:1].isspace() and not self._has_listed):
            self._others |= _others_of(line)

    def _is_for_others(self, places: set[_Place]) -> bool:
        # Where a row's columns are parted in another way than the head's, nobody knows which is which.
        is_like_head = {kind for kind, _ in places} & {kind for kind, _ in self._others}
        return not is_like_head or not self._others.isdisjoint(places)

    def _remember_ends(self, line: str, cells: tuple[Cell, ...], body_at: int) -> None:
        used = {cell.cut_from for cell in cells if _begins_with_address(cell)}
        for end in self._ends:
            end.age += 1
        # In print of two columns the next line of one may stand some lines below.
        left = [end for end in self._ends if end.age < _ENDS_LINES_MAX and end.word not in used]
        self._ends = [end for end in left if not end.is_bare] + _ends(line, cells, body_at)

    def _is_continuation(self, cells: tuple[Cell, ...], indent: int) -> bool:
        """Whether a line without a number holds more addresses of the row above it."""
        if self._column is None or not self._rows or self._rows[-1].kind is Kind.PROSE:
            return False
        is_deep = self._column > 0 and indent >= self._column and not self._was_blank
        return (self._goes_on or is_deep) and all(is_pure(items_of(cell)) for cell in cells)


def _cells(line: str, body_at: int, number: int, ends: Sequence[_End]) -> tuple[tuple[Cell, ...], int]:
    """The cells of a line, and the column in which its addresses begin; `ends`: what may go on in it."""
    cells: list[Cell] = []
    column = 0
    for at, text in _pieces(line, body_at):
        cell = Cell(text, number, cut_from=_cut_from(at, text, ends))
        if not column and is_pure(items_of(cell)):
            column = at
        cells.append(cell)
    return tuple(cells), column


def _cut_from(at: int, text: str, ends: Sequence[_End]) -> str:
    """The word that a cell may go on with: of the column it stands in, or of one whose text is justified."""
    near = [end for end in ends if at <= end.end + _COLUMN_SLACK]
    fit = [end for end in near if not end.is_bare or text[0] in _HYPHENS]
    fit.sort(key=lambda end: (abs(end.start - at) > _COLUMN_SLACK, end.age, abs(end.start - at)))
    return fit[0].word if fit else ""


def _begins_with_address(cell: Cell) -> bool:
    items = items_of(cell)
    return bool(items) and not items[0].before and any(one.owner for one in items[0].addresses[:1])


@dataclass(slots=True)
class _End:
    """A word that a line ends inside of, in one of its columns."""

    start: int
    end: int
    word: str
    is_bare: bool = False
    """A whole word ends the line: it goes on where the next begins with a hyphen alone."""
    age: int = 0
    """Lines since."""


def _ends(line: str, cells: Sequence[Cell], body_at: int) -> list[_End]:
    found = []
    pieces = _pieces(line, body_at)
    for (at, text), cell in zip(pieces, cells, strict=True):
        if word := broken_end(text):
            # A long name is broken more than once.
            is_whole = " " in text or "://" in word or word.startswith("www.")
            before = "" if is_whole or len(cell.cut_from) > _NAME_CHARS_MAX else cell.cut_from
            found.append(_End(at, at + len(text), before + word))
    if pieces and (last := _LAST_LABEL.search(line)):
        at, text = pieces[-1]
        found.append(_End(at, at + len(text), last[0], is_bare=True))
    return found


_Place = tuple[str, int]
"""How columns are parted, and which one it is."""


def _others_of(line: str) -> frozenset[_Place]:
    """Places of the columns that the head of a table keeps for others than what is asked for."""
    heads = [(at, text) for at, text in _pieces(line, 0) if is_for_others(text)]
    return frozenset(place for at, _ in heads for place in places_of(line, at))


def places_of(line: str, at: int) -> set[_Place]:
    """Where a cell stands: by the tabs or bars before it where there are some, else by where it begins."""
    if "\t" in line:
        return {("tabs", line.count("\t", 0, at))}
    if "|" in line:
        return {("bars", line.count("|", 0, at) - line.lstrip().startswith("|"))}
    return {("column", at + slack) for slack in range(-_COLUMN_SLACK, _COLUMN_SLACK + 1)}


def _pieces(line: str, body_at: int) -> list[tuple[int, str]]:
    """What stands between the gaps of a line from `body_at` on, with the columns where it begins."""
    pieces = []
    at = body_at
    for found in [*_GAP.finditer(line, body_at), None]:
        end = found.start() if found is not None else len(line)
        if text := line[at:end].strip().strip("|").strip():
            pieces.append((at, text))
        at = found.end() if found is not None else len(line)
    return pieces


def is_pure(items: list[Item]) -> bool:
    """Whether a cell holds addresses, and nothing else worth a word."""
    return bool(items) and all(item.is_address for item in items) and not _is_sentence(items)


def _is_sentence(items: list[Item]) -> bool:
    return any(len(item.text.split()) > NAME_WORDS_MAX for item in items)


def _is_justified(texts: list[str]) -> bool:
    """Whether the gaps of a line are those of justified print: words of a sentence stand between them."""
    # A letter alone in upper case (`Y`, `I`) is a mark or a number.
    joining = [text.lower() in _CONJUNCTIONS and (len(text) > 1 or text.islower()) for text in texts]
    return any(joining) or sum(is_label(text) and text.isalpha() for text in texts) > 1


def _kind(cells: tuple[Cell, ...], *, has_prefix: bool) -> Kind:
    texts = [cell.text for cell in cells]
    if len(cells) > 1 and _is_justified(texts):
        return Kind.PROSE
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
