"""Registers that are lists of names and little more: text, and zone text.

Knows: comments, a zone's `x` and `*.x`.  Does not know: what becomes of a name.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from resolver.lists.zone_text import ZoneText
from resolver.registers.asking import asked_of
from resolver.registers.octets import lines_of
from resolver.registers.record import Asked, Record, RegisterRefused, Scope, cut

_ZONE_SIGN = re.compile(
    rb"^(?:\$(?:TTL|ORIGIN)\s|\S*\s+(?:\d+\s+)?(?:IN\s+)?(?:SOA|CNAME)\s)", re.MULTILINE | re.IGNORECASE
)
_NUMBERED = frozenset(("SOA", "NS", "TXT"))
"""Records of a zone that say nothing of a name to be blocked."""


def name_records(pieces: Iterable[bytes], authority: str) -> Iterator[Record]:
    """One name a line.  Raises `RegisterRefused`."""
    number = 0
    for line, text in lines_of(pieces, "utf-8", must_end=True):
        written = text.strip()
        if written and not written.startswith("#"):
            number += 1
            yield Record(number, line, "", (asked_of(written),), authority=authority)


def gespa_records(pieces: Iterable[bytes]) -> Iterator[Record]:
    """One name a line, behind a header in comments."""
    return name_records(pieces, "Gespa (CH)")


def komdigi_records(pieces: Iterable[bytes]) -> Iterator[Record]:
    """The zone in text, or the list of its domains."""
    rest = iter(pieces)
    head = next(rest, b"")
    pieces = itertools.chain((head,), rest)
    if _ZONE_SIGN.search(head[:4096]):
        return _zone_records(pieces, "Komdigi (ID)")
    return name_records(pieces, "Komdigi (ID)")


def _zone_records(pieces: Iterable[bytes], authority: str) -> Iterator[Record]:
    """`x CNAME page` is this name, `*.x CNAME page` what is below it; owners without the zone's name."""
    zone = ZoneText()
    apex = ""
    number = line = 0
    for line, text in lines_of(pieces, "utf-8", must_end=True):
        try:
            found = zone.read_line(text.rstrip("\n").encode(), line)
        except ValueError as error:
            raise RegisterRefused(str(error), line=line) from None
        if found is None:
            continue
        owner = _absolute(found.owner, zone.origin)
        if found.rtype == "SOA":
            apex = apex or f".{owner}"
        if found.rtype in _NUMBERED:
            continue
        if found.rtype != "CNAME" or len(found.words) != 1:
            raise RegisterRefused(f"{found.rtype} is not a record of this register", line=found.line)
        number += 1
        name = owner.removesuffix(".")
        if apex and f".{name}.".endswith(apex) and len(apex) > 2:
            name = name[: -len(apex) + 1].removesuffix(".")
        asked = asked_of(name)
        if asked.scope is Scope.NAME:
            asked = Asked(Scope.EXACT, asked.owner, asked.written)
        yield Record(number, found.line, "", (asked,), authority=authority, measure=cut(found.words[0]))
    if zone.is_inside_record:
        raise RegisterRefused("the last record is left open by a (: the register is cut off", line=line)


def _absolute(owner: str, origin: str) -> str:
    if owner.endswith("."):
        return owner.lower()
    if owner == "@":
        return origin
    return f"{owner}.{origin}".lower() if origin else f"{owner}.".lower()
