"""Makes the page's file of a policy image: which names lead to the page, for what, and what may be told.

Knows: the image, what policy says of a name at one time.  Does not know: the page, its languages, sockets.

    python -m resolver.block_page.writing IMAGE FILE --at UNIX_SECONDS

puts the file in its place, whole; prints how many names it holds and exits 0, or says why not and exits 1.

What is confidential is there as a number without words.  Names of lists are left out unless their answer is
an address: nobody comes to the page by NXDOMAIN, and a million names are 12 MB.  Names of exchanges are all
there.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from resolver.block_page.page_file import SUBJECTS_MAX, Outcome, hash_of, page_octets
from resolver.block_page.subject import ORDERS_SHOWN_MAX, Order, Subject, Words, tidy, web_address
from resolver.durable import replacing
from resolver.policy.image import Effect, Image, ImageUnusable, Tier
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule, Verdict
from resolver.portions import write_all

SOME_LABEL: Final = b"\x01\x00"
"""A label that owns no rule: it stands for any name under an owner."""
LEADS_HERE: Final = (PolicyAction.SINKHOLE, PolicyAction.LOCAL_DATA)
"""Actions whose answer is an address, perhaps the page's."""


class TooManySubjects(Exception):
    """More platforms and lists than the file can number."""


class _Subjects:
    """Numbers what names are blocked for, as it comes."""

    def __init__(self, table: PolicyTable) -> None:
        self._table = table
        self._wall = table.made_at[0]
        self._zone = _zone_of(table.image.meta)
        sources = table.image.sources.values()
        self._sources = {id(phase): source for source in sources for phase in source.phases}
        self._numbers: dict[int, int] = {}
        self._order_places: dict[str, int] = {}
        self._subjects: list[Subject] = []
        self._orders: list[Order] = []

    def number_of(self, verdict: Verdict) -> int:
        """Its number; 0: the name does not lead to the page."""
        if not verdict.is_blocked or verdict.match is None:
            return 0
        rule = verdict.match.rule
        if rule.kind == "list" and rule.action not in LEADS_HERE:
            return 0
        number = self._numbers.get(id(rule))
        if number is None:
            self._subjects.append(self._subject(rule))
            number = self._numbers[id(rule)] = len(self._subjects)
            if number > SUBJECTS_MAX:
                raise TooManySubjects(f"over {SUBJECTS_MAX:,} exchanges and lists")
        return number

    def words(self) -> Words:
        """All words of what was numbered."""
        return Words(tuple(self._subjects), tuple(self._orders), tidy(self._table.contact))

    def _subject(self, rule: PolicyRule) -> Subject:
        if rule.is_confidential:
            return Subject("confidential")
        known = self._table.orders
        public = [one for one in rule.orders if one in known and not known[one].get("confidential")]
        places = tuple(self._place_of(order) for order in public[:ORDERS_SHOWN_MAX])
        since = self._day(blocked_since(self._sources.get(id(rule), rule), self._wall))
        return Subject(rule.kind, tidy(rule.name), places, max(0, len(public) - ORDERS_SHOWN_MAX), since)

    def _place_of(self, order_id: str) -> int:
        place = self._order_places.get(order_id)
        if place is None:
            place = self._order_places[order_id] = len(self._orders)
            self._orders.append(self._order(self._table.orders[order_id]))
        return place

    def _order(self, fields: dict[str, Any]) -> Order:
        return Order(
            authority=tidy(fields["authority"]),
            title=tidy(fields["title"]),
            reference=tidy(fields["reference"]),
            date=tidy(fields["date"]),
            url=web_address(fields["url"]),
            is_external=fields["imposed_by"] == "external",
            since=self._day(fields.get("from")),
        )

    def _day(self, moment: float | None) -> str:
        if moment is None:
            return ""
        try:
            return datetime.fromtimestamp(moment, UTC).astimezone(self._zone).date().isoformat()
        except (ValueError, OverflowError, OSError):
            return ""


def _zone_of(meta: dict[str, Any]) -> tzinfo:
    try:
        return ZoneInfo(meta.get("time_zone") or "UTC")
    except (KeyError, ValueError, OSError):
        return UTC


def blocked_since(source: PolicyRule, wall: float) -> float | None:
    """Since when it is blocked without a break, at `wall`; None: since nobody knows when (Unix seconds)."""
    phases = source.phases or (source,)
    since = None
    ends_at = None
    for phase in reversed([phase for phase in phases if phase.starts_at is None or phase.starts_at <= wall]):
        if ends_at is not None and phase.ends_at != ends_at:
            break
        # What was confidential stays so: of it not even the day is told.
        if phase.mode is not Mode.ENFORCE or phase.is_confidential:
            break
        since = ends_at = phase.starts_at
        if since is None:
            break
    return since


def page_of(image: Image, wall: float, seed: int) -> tuple[dict[int, Outcome], Words]:
    """The names that own a rule, by their hash, and what they and names under them are blocked for."""
    table = PolicyTable(image, 0, wall, 0.0)
    subjects = _Subjects(table)
    skipped = _classes_without_effect(table)
    outcomes: dict[int, Outcome] = {}
    silent: list[bytes] = []
    for name, classes in owners_of(image):
        if skipped.issuperset(classes):
            continue
        exact = subjects.number_of(table.judge_name(name, 0.0))
        below = subjects.number_of(table.judge_name(SOME_LABEL + name, 0.0))
        if exact or below:
            outcomes[hash_of(name, seed)] = (exact, below)
        else:
            silent.append(name)
    # What is let through counts only within what is blocked.
    for name in silent:
        if _is_within(name, outcomes, seed):
            outcomes[hash_of(name, seed)] = (0, 0)
    return outcomes, subjects.words()


def _classes_without_effect(table: PolicyTable) -> frozenset[int]:
    """Classes of lists, where no list leads to the page: what exchanges say of a name goes before them."""
    lists = [number for number, one in enumerate(table.image.classes) if one.tier is Tier.LISTS]
    states = [table.class_state(number) for number in lists]
    leads = any(
        state.is_enforced and state.origin.effect is Effect.BLOCK and state.rule.action in LEADS_HERE
        for state in states
    )
    return frozenset() if leads else frozenset(lists)


def _is_within(name: bytes, outcomes: dict[int, Outcome], seed: int) -> bool:
    while name[0]:
        name = name[name[0] + 1 :]
        found = outcomes.get(hash_of(name, seed))
        if found is not None:
            return found[1] != 0
    return False


def owners_of(image: Image) -> Iterator[tuple[bytes, list[int]]]:
    """Every name that owns a rule or a mark, and the classes of its references."""
    blob = image.blob
    tags = image.octets[image.tags_offset : image.tags_offset + len(image.places)]
    for slot, tag in enumerate(tags):
        if not tag:
            continue
        start = end = image.places[slot]
        while blob[end]:
            end += blob[end] + 1
        end += 1
        yield bytes(blob[start:end]), [class_id for class_id, _ in image.refs_at(end)]


def write_page(image_path: Path, page_path: Path, wall: float) -> int:
    """Make the file; how many names it holds.  Raises OSError, ImageUnusable, TooManySubjects."""
    seed = int.from_bytes(os.urandom(8))
    outcomes, words = page_of(Image(image_path), wall, seed)
    with replacing(page_path, mode=0o640) as new:
        write_all(new.file.fileno(), page_octets(outcomes, words, seed))
    return len(outcomes)


def main(arguments: list[str] | None = None) -> int:
    """The child process: see the head of this file."""
    parser = argparse.ArgumentParser(prog="resolver.block_page.writing")
    parser.add_argument("image", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--at", type=float, required=True, help="the time it is to be true for")
    options = parser.parse_args(arguments)
    # Nothing here lives in cycles.
    gc.disable()
    try:
        print(write_page(options.image, options.file, options.at))
    except (OSError, ImageUnusable, TooManySubjects) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
