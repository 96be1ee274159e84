"""A policy image in which what is paused begins again at the end of the pause.

Knows: the layout in `image`, which rules stay (`pausing`).  Does not know: the time, the event loop.
Theory: a pause is a date.  Each rule that is paused gets the end of the pause for its `from`, so both engines
judge by it as by any date: what they let through lives no longer than the pause, and everything is in force
again when that time comes, whoever has forgotten the pause by then.  The names and their table stay as they
are; only records of rules are written anew, behind the end of a copy.

    state_dir/images/<key>.paused     made of <key>.policy; replaced with each pause
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from resolver.blocklist.openings import CONFIDENTIAL_MARK
from resolver.durable import replacing
from resolver.plurals import counted
from resolver.policy import image as layout
from resolver.policy.image import Effect, Image, Section
from resolver.policy.verdict import PolicyAction, PolicyRule
from resolver.publishing.compiled import PAUSED_SUFFIX
from resolver.publishing.pausing import is_paused

COPY_OCTETS = 1 << 20
_DIRECTORY_AT = 32
_ENTRY = struct.Struct("<QQ")
_FROM_UNTIL_AT = 32
_DATES = struct.Struct("<dd")
_OCTETS_AT = 16
_U64 = struct.Struct("<Q")


class CannotPause(Exception):
    """The image cannot be written; the message says why.  Nothing is paused."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a pause opens: of the rules in force at its beginning, those that it takes out of force."""

    exchanges: tuple[str, ...] = ()
    """Those that may be named."""
    lists: tuple[str, ...] = ()
    confidential: int = 0
    """So many more."""
    domains: int = 0
    """Of all those exchanges."""
    stays: int = 0
    """Exchanges and lists that stay in force."""

    def words(self, named_max: int = 0) -> str:
        """How much it is, with so many names at most."""
        count = len(self.exchanges) + len(self.lists) + self.confidential
        said = counted(count, "exchange or list", "exchanges and lists")
        shown = [*self.exchanges, *self.lists][:named_max]
        more = f" and {count - len(shown):,} more" if count > len(shown) else ""
        names = f"{', '.join(shown)}{more}" if shown else ""
        domains = f"{counted(self.domains, 'domain')} of exchanges" if self.domains else ""
        inside = "; ".join(filter(None, (names, domains)))
        stays = counted(self.stays, "exchange or list stays", "exchanges and lists stay")
        return f"{said}{f' ({inside})' if inside else ''}, {stays} in force"


def paused_path(image: Path) -> Path:
    """Where the paused form of an image stands."""
    return image.with_suffix(PAUSED_SUFFIX)


def what_opens(image: Image, span: tuple[float, float], *, including_orders: bool) -> Opened:
    """What a pause of `span` (Unix seconds) would open, for who decides on it: nothing is left unnamed."""
    return _opened(image, _paused(image, span, including_orders=including_orders), span[0], reveals=True)


def write_paused(image: Image, path: Path, span: tuple[float, float], *, including_orders: bool) -> Opened:
    """Write the paused form of `image` to `path`; what it opens.  `span`: of the pause, Unix seconds.

    Raises CannotPause, with nothing written.
    """
    try:
        octets, opened = _rewritten(image, span, including_orders=including_orders)
        with replacing(path, mode=0o444) as new:
            _write(new.file, image, octets)
            # Read back before the name exists, as with every image.
            Image(new.path).verify()
    except (OSError, layout.ImageUnusable) as error:
        raise CannotPause(f"the paused policy cannot be written: {error}") from None
    return opened


def _rewritten(
    image: Image, span: tuple[float, float], *, including_orders: bool
) -> tuple[dict[Section, bytes], Opened]:
    """The sections that say otherwise than those of `image`, and what that opens."""
    records = _records(image)
    people: list[dict[str, Any]] = list(image.meta["rules"])
    paused = _paused(image, span, including_orders=including_orders)
    kept = _exceptions_of(image, paused)
    copies: dict[int, int] = {}
    for first, count in kept.items():
        if len(records) + count > layout.RULES_MAX:
            raise CannotPause(f"the policy has over {layout.RULES_MAX} rules, with the exceptions of lists")
        copies[first] = len(records)
        records += records[first : first + count]
        people += people[first : first + count]
    for place in paused:
        records[place] = _begins_at(records[place], image.rules[place], span[1])
    meta = json.dumps({**image.meta, "rules": people}, ensure_ascii=False)
    sections = {
        Section.CLASSES: _classes(image, copies),
        Section.RULES: b"".join(records),
        Section.META: meta.encode("utf-8", "replace"),
    }
    return sections, _opened(image, paused, span[0])


def _paused(image: Image, span: tuple[float, float], *, including_orders: bool) -> set[int]:
    """The places of the rules that a pause takes out of force."""
    orders: dict[str, dict[str, Any]] = image.meta["orders"]
    return {
        place
        for place, rule in enumerate(image.rules)
        if is_paused(rule, orders, _within(rule, span), including_orders=including_orders)
    }


def _within(rule: PolicyRule, span: tuple[float, float]) -> tuple[float, float]:
    """The part of a span in which a rule is."""
    starts_at = -math.inf if rule.starts_at is None else rule.starts_at
    ends_at = math.inf if rule.ends_at is None else rule.ends_at
    return max(span[0], starts_at), min(span[1], ends_at)


def _records(image: Image) -> list[bytes]:
    octets = _section(image, Section.RULES)
    size = layout.RULE.size
    return [bytes(octets[at : at + size]) for at in range(0, len(octets), size)]


def _exceptions_of(image: Image, paused: set[int]) -> dict[int, int]:
    """The sources that are paused and have exceptions, which must stay: first record -> how many."""
    places = {id(rule): first for first, rule in image.sources.items()}
    found = {}
    for origin in image.classes:
        if origin.effect is not Effect.BLOCK:
            first, count = places[id(origin.rule)], len(origin.rule.phases) or 1
            if not paused.isdisjoint(range(first, first + count)):
                found[first] = count
    return found


def _begins_at(record: bytes, rule: PolicyRule, end: float) -> bytes:
    """A record of RULES whose rule is not in force before `end`."""
    starts_at = -math.inf if rule.starts_at is None else rule.starts_at
    ends_at = math.inf if rule.ends_at is None else rule.ends_at
    if ends_at <= end:
        # Over before the pause is: as if it had never been, so that the phase behind it is the one to come.
        dates = _DATES.pack(-math.inf, -math.inf)
    else:
        dates = _DATES.pack(max(starts_at, end), ends_at)
    return record[:_FROM_UNTIL_AT] + dates + record[_FROM_UNTIL_AT + _DATES.size :]


def _classes(image: Image, copies: dict[int, int]) -> bytes:
    """CLASSES with the exceptions led to the copies of their rules."""
    records = []
    for fields in layout.CLASS.iter_unpack(_section(image, Section.CLASSES)):
        rule, _, effect, *_ = fields
        if effect != Effect.BLOCK:
            rule = copies.get(rule, rule)
        records.append(layout.CLASS.pack(rule, *fields[1:]))
    return b"".join(records)


def _opened(image: Image, paused: set[int], wall: float, *, reveals: bool = False) -> Opened:
    """What was in force at `wall` and is paused; `reveals`: what is confidential is named, too."""
    counts: dict[str, int] = image.meta.get("counts", {}).get("per_exchange", {})
    names: dict[str, list[str]] = {"exchange": [], "list": []}
    confidential = domains = stays = 0
    firsts = {id(rule): first for first, rule in image.sources.items()}
    for key in ("exchanges", "lists"):
        for index in image.meta[key]:
            source = image.sources[index]
            now = source.at(wall)
            if not source.is_in_force(wall) or now.action is PolicyAction.PASSTHRU:
                continue
            phases = source.phases or (source,)
            place = firsts[id(source)] + next(n for n, phase in enumerate(phases) if phase is now)
            if place not in paused:
                stays += 1
                continue
            domains += counts.get(source.id, 0)
            if now.is_confidential and not reveals:
                confidential += 1
            else:
                mark = CONFIDENTIAL_MARK if now.is_confidential else ""
                names[source.kind].append(f"{source.id}{mark}")
    return Opened(tuple(names["exchange"]), tuple(names["list"]), confidential, domains, stays)


# The file.


def _section(image: Image, section: Section) -> memoryview:
    at = _DIRECTORY_AT + section * _ENTRY.size
    offset, length = _ENTRY.unpack_from(image.octets, at)
    return memoryview(image.octets)[offset : offset + length]


def _write(file: IO[bytes], image: Image, sections: dict[Section, bytes]) -> None:
    """A copy of the image, the sections behind it, and the header that says so."""
    whole = memoryview(image.octets)
    header = bytearray(whole[: layout.HEADER_OCTETS])
    position = len(whole)
    tail: list[bytes] = []
    for section, octets in sections.items():
        padding = b"\0" * (-position % 64)
        _ENTRY.pack_into(header, _DIRECTORY_AT + section * _ENTRY.size, position + len(padding), len(octets))
        tail += [padding, octets]
        position += len(padding) + len(octets)
    _U64.pack_into(header, _OCTETS_AT, position)
    header[layout.CHECKSUM_OFFSET : layout.HEADER_OCTETS] = _digest(header, whole, tail)
    file.write(header)
    for piece in _pieces(whole):
        file.write(piece)
    for octets in tail:
        file.write(octets)
    file.flush()


def _pieces(whole: memoryview) -> Iterator[memoryview]:
    for at in range(layout.HEADER_OCTETS, len(whole), COPY_OCTETS):
        yield whole[at : at + COPY_OCTETS]


def _digest(header: bytearray, whole: memoryview, tail: list[bytes]) -> bytes:
    digest = layout.new_checksum(memoryview(header))
    for piece in _pieces(whole):
        digest.update(piece)
    for octets in tail:
        digest.update(octets)
    return digest.digest()
