"""What every reader makes of an order's file: rows of cells, with the line that each came from.

Knows: the words.  Does not know: text, CSV, HTML, addresses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from resolver.blocklist.keys import ASKS_MAX


class Role(StrEnum):
    """What a column is said to hold."""

    ANY = "any"
    """Nobody says: it shows by what stands in it."""
    NAME = "name"
    ADDRESSES = "addresses"
    OTHER = "other"
    """Dates, sources, remarks: an address there is none that the order asks for."""


class Kind(StrEnum):
    """What a row is."""

    LISTED = "listed"
    """A row of a table or a list: its addresses are what is asked for."""
    NAMED = "named"
    """A point of a list without an address: a platform's name, or a heading."""
    PROSE = "prose"
    """Running text: addresses there may be anybody's."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a row."""

    text: str
    line: int
    """Where it begins, from 1."""
    role: Role = Role.ANY
    links: tuple[str, ...] = ()
    """Targets of links in it, which a reader of the page does not see."""
    cut_from: str = ""
    """The word within which the line before ended, so that the first word here may be the end of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table, point of a list, or line of text."""

    line: int
    cells: tuple[Cell, ...]
    kind: Kind
    block: int = 0
    """Rows of one block stand together, as one list or table."""
    is_bare: bool = False
    """An address is all there is: no number, no bullet, no name."""


class Unreadable(Exception):
    """The file cannot be read as an order; `line` (0: the whole file) and the message say why."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


ADDRESSES_MAX = ASKS_MAX
"""More than an order may ask for is a register."""


@dataclass(slots=True)
class Budget:
    """How many addresses a file may still name: judging one takes time."""

    left: int = ADDRESSES_MAX

    def spend(self, count: int, line: int) -> None:
        """Note that a line has so many.  Raises Unreadable when it is too much for an order."""
        self.left -= count
        if self.left < 0:
            message = f"names more than {ADDRESSES_MAX:,} addresses; a register is configured under 'lists'"
            raise Unreadable(line, message)


@dataclass(slots=True)
class Document:
    """A file as it was read."""

    kind: str
    """`text`, `csv`, `html` or `pdf`."""
    rows: list[Row] = field(default_factory=list)
