"""What a register says: the common model of all kinds.

Knows: the words.  Does not know: any format, what becomes of a record.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

TEXT_CHARS_MAX = 300
"""Longest text that is kept of a field that is shown only."""


class Scope(StrEnum):
    """How far what a record asks for reaches."""

    NAME = "name"
    """A host: it, and what is below it."""
    EXACT = "exact"
    """This name alone, as a zone has it."""
    MASK = "mask"
    """`*.x`: what is below x."""
    URL = "url"
    """A page, a port: less than a host."""
    ADDRESS = "address"
    """An address or a network."""
    NOTHING = "nothing"
    """It cannot be read."""


class Asked(NamedTuple):
    """One name, URL or address of a record."""

    scope: Scope
    owner: bytes
    """Wire form, lower case; of a mask, without the star.  Empty where there is no name."""
    written: str
    """As the register has it, cut to `TEXT_CHARS_MAX`."""
    why: str = ""
    """Of `NOTHING`: what is wrong."""


class Record(NamedTuple):
    """One entry of a register, with where it comes from."""

    number: int
    """From 1, in the order of the file."""
    line: int
    """Where it begins, from 1."""
    id: str
    """As the register has it; else what tells it best from others."""
    asks: tuple[Asked, ...]
    """All it asks for; never empty."""
    decision: str = ""
    """The number of the decision."""
    decided: str = ""
    """Its date: ISO 8601 where the register's form of dates is known, else as written."""
    authority: str = ""
    added: str = ""
    effective: str = ""
    removed: str = ""
    """A date or a word that says that it is not in force any more; empty: it is."""
    urgency: str = ""
    measure: str = ""
    """What is to be done, where the register says it."""
    holder: str = ""
    """Whose it is."""
    licence: str = ""
    """Of an authorised provider."""


class RegisterRefused(ValueError):
    """The register as a whole is not to be believed."""

    def __init__(self, why: str, *, line: int = 0, record: int = 0) -> None:
        """`line` and `record` from 1; 0: it is not about one."""
        super().__init__(f"record {record}: {why}" if record else why)
        self.line = line
        self.record = record


def cut(text: str) -> str:
    """A text that is only shown: on one line, printable, of bounded length."""
    if len(text) <= TEXT_CHARS_MAX and text.isprintable() and "  " not in text:
        return text.strip()  # Nearly every one; no other space is printable.
    text = " ".join(text.split())
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
    return text if len(text) <= TEXT_CHARS_MAX else text[: TEXT_CHARS_MAX - 3] + "..."
