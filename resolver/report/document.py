"""A document for people before it has a format: pages, tables, charts, in words of one language.

Knows: the parts of a document.  Does not know: what a report says, HTML, Markdown.
Theory: every text in here is plain text, whoever wrote it; each format writes it so that it is nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

Tone = Literal["good", "warn", "bad", "quiet"]
"""How a mark or a note is meant; every one of them says so in words, too: not all printers have colours."""


@dataclass(frozen=True, slots=True)
class Code:
    """A name, an id or a hash: runs from left to right, in letters of one width."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """An address of the web; a link where it is one that a browser opens."""

    url: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One word on how something stands."""

    text: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Strong:
    """What a reader should see first."""

    text: str


@dataclass(frozen=True, slots=True)
class Small:
    """What may be read later."""

    text: str


@dataclass(frozen=True, slots=True)
class Spark:
    """A row of tiny bars."""

    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Jump:
    """A text that leads to a section of the document."""

    anchor: str
    text: str


Inline = str | Code | Link | Jump | Mark | Strong | Small | Spark
"""`str`: text as anybody wrote it."""
Cell = Sequence[Inline]


@dataclass(frozen=True, slots=True)
class Title:
    """As large as a section's own, within one."""

    text: str


@dataclass(frozen=True, slots=True)
class Heading:
    """Within a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Some sentences."""

    content: Cell


@dataclass(frozen=True, slots=True)
class Note:
    """A paragraph that must not be missed."""

    content: Cell
    tone: Tone


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels and what belongs to them."""

    rows: tuple[tuple[str, Cell], ...]
    is_wide: bool = False
    """One below the other: their texts are long."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number in large."""

    label: str
    value: str
    note: str = ""
    tone: Tone = "quiet"


@dataclass(frozen=True, slots=True)
class Figures:
    """Some of them in a row."""

    items: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A head of a table."""

    text: str
    kind: Literal["text", "number", "tight", "wide"] = "text"
    """`tight`: what stands in it is short, and not broken; `wide`: it needs room."""


@dataclass(frozen=True, slots=True)
class Table:
    """Its rows have as many cells as there are columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    more: str = ""
    """What is said of rows that are left out; empty: none are."""


@dataclass(frozen=True, slots=True)
class Bar:
    """The hits of a day, a week or a month."""

    first: date
    label: str
    blocked: int
    shadow: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Hits over the period."""

    caption: str
    blocked: str
    """What these bars are called."""
    shadow: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of points."""

    items: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Commands:
    """What somebody types, line by line."""

    lines: tuple[str, ...]


Block = Title | Heading | Paragraph | Note | Facts | Figures | Table | Chart | Bullets | Commands


@dataclass(frozen=True, slots=True)
class Section:
    """A part that begins on a page of its own when printed."""

    anchor: str
    title: str
    running: str
    """Stands at the head of each of its pages."""
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """All of it."""

    language: str
    """BCP 47."""
    is_right_to_left: bool
    title: str
    subtitle: str
    running: str
    """Stands on every page."""
    page: str
    """The word before a page's number."""
    cover: tuple[Block, ...]
    sections: tuple[Section, ...]
