"""Writes an earlier generation back over the blocklist, and keeps what that would lose.

Knows: the texts of the history.  Does not know: who may, how a text is put in force.
"""

from __future__ import annotations

import sys
from itertools import chain, count
from pathlib import Path

from resolver.changing.refusal import Kind, Refused
from resolver.durable import replace_file
from resolver.portions import open_regular, read_up_to
from resolver.publishing.history import HistoryUnusable, open_history

BEFORE_ROLLBACK = ".before-rollback"
"""Ends the name of the copy of a blocklist that was never served, and so is in no generation."""


def text_of_generation(state_dir: Path, number: int) -> bytes:
    """The blocklist of one generation, octet for octet.  Raises Refused."""
    try:
        with open_history(state_dir) as history:
            text = history.text(number)
            if text is None:
                known = history.get(number) is not None
                why = "its text is no longer kept" if known else "there is no such generation"
                raise Refused(Kind.MISSING, f"generation {number}: {why}")
            return text
    except HistoryUnusable as error:
        raise Refused(Kind.CONFLICT, str(error)) from None


def save_unrecorded(state_dir: Path, path: Path, octets: bytes) -> Path | None:
    """Keep what stands in the file, if no generation can give it back; where.  Raises Refused and OSError."""
    try:
        with open_history(state_dir) as history:
            if history.keeps(octets):
                return None
    except HistoryUnusable as error:
        raise Refused(Kind.CONFLICT, str(error)) from None
    saved = free_name(path, octets)
    replace_file(saved, octets, mode=path.stat().st_mode & 0o7777)
    return saved


def free_name(path: Path, octets: bytes) -> Path:
    """Where to save what a rollback would lose: not over what an earlier one saved."""
    name = f"{path.name}{BEFORE_ROLLBACK}"
    places = chain([path.with_name(name)], (path.with_name(f"{name}.{number}") for number in count(2)))
    return next(place for place in places if not place.exists() or octets_of(place) == octets)


def octets_of(path: Path) -> bytes:
    """All of a file that has an end, however large.  Raises OSError."""
    with open_regular(path) as file:
        return read_up_to(file, sys.maxsize)
