"""A blocklist, and the catalogue beside it, as the exchanges that names are held against.

Knows: which exchanges count, which names are decided, how both go from one process to another.
Does not know: what looks alike.

    python -m resolver.suggestions.listed BLOCKLIST

prints what a server needs as one line of JSON, or `{"error": "why"}`: a process of its own, for a blocklist
may take seconds to read, which the server has not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.children import OUTPUT_OCTETS_MAX
from resolver.orders.platforms import SHIPPED, Platform, Platforms, is_same
from resolver.plurals import counted
from resolver.policy.verdict import Mode, PolicyRule
from resolver.problems import has_errors
from resolver.suggestions.names import registrable
from resolver.suggestions.score import Index
from resolver.suggestions.spellings import Listed
from resolver.wire.names import name_from_text, name_to_text

EXCHANGES_MAX: Final = 10_000
NAMES_MAX: Final = 50_000
"""Names of listed exchanges altogether, and as many that are decided otherwise."""
ALIASES_MAX: Final = 50
"""Of one exchange."""


@dataclass(frozen=True, slots=True)
class Known:
    """What names are held against."""

    listed: tuple[Listed, ...]
    decided: frozenset[bytes]
    """Names (wire form) about which the blocklist says something: they and what is under them are no news."""
    left_out: int = 0
    """Names of listed exchanges that did not fit: nothing is held against them."""

    def index(self) -> Index:
        """Make the index; some milliseconds for a thousand exchanges."""
        return Index(self.listed, self.decided)


NOTHING_KNOWN: Final = Known((), frozenset())


def known_of(policy: Blocklist, catalogue: Blocklist | None = None, names_max: int = NAMES_MAX) -> Known:
    """The exchanges of `policy` that are not disabled, with what `catalogue` knows of them besides."""
    shipped = Platforms(catalogue).by_id if catalogue is not None and catalogue.path != policy.path else {}
    listed: list[Listed] = []
    room, left_out = names_max, 0
    for platform in Platforms(policy).by_id.values():
        if _is_disabled(platform.rule):
            continue
        if len(listed) >= EXCHANGES_MAX or room <= 0:
            left_out += len(platform.names)
            continue
        one = _listed(platform, shipped.get(platform.id), room)
        room -= len(one.owners) + len(one.known_owners)
        left_out += max(0, len({rule.owner for rule in platform.names}) - len(one.owners))
        listed.append(one)
    return Known(tuple(listed), frozenset(islice(_decided(policy), names_max)), left_out)


def known_within(policy: Blocklist, catalogue: Blocklist | None, octets_max: int) -> bytes:
    """What is known, as JSON of at most so many octets: of a larger blocklist as many names as fit."""
    names_max = NAMES_MAX
    while True:
        octets = json.dumps(known_to_json(known_of(policy, catalogue, names_max))).encode()
        if len(octets) <= octets_max or not names_max:
            return octets
        names_max //= 2


def left_out_words(known: Known) -> str:
    """What is to be said of names that did not fit; empty: all did."""
    if not known.left_out:
        return ""
    names = counted(known.left_out, "name")
    return f"{names} of listed exchanges do not fit: what looks like them alone is not suggested"


def _decided(policy: Blocklist) -> Iterator[bytes]:
    """What the blocklist speaks of; of exceptions and protected names also what they belong to."""
    for rule in policy.name_rules:
        if rule.effect != "block":
            # A rule for all of it would be one against the exception.
            yield registrable(rule.owner) or rule.owner
        yield rule.owner


def _listed(platform: Platform, twin: Platform | None, room: int) -> Listed:
    owners = dict.fromkeys(rule.owner for rule in platform.names)
    aliases = list(platform.all_names())[1:]
    known: dict[bytes, None] = {}
    if twin is not None and is_same(platform, twin):
        aliases += twin.all_names()
        known = {rule.owner: None for rule in twin.names if rule.owner not in owners}
    return Listed(
        platform.id,
        platform.name,
        tuple(owners)[:room],
        tuple(dict.fromkeys(aliases))[:ALIASES_MAX],
        tuple(known)[: max(0, room - len(owners))],
        platform.rule.is_ever_confidential,
    )


def _is_disabled(rule: PolicyRule) -> bool:
    return all(phase.mode is Mode.DISABLED for phase in rule.phases or (rule,))


def known_to_json(known: Known) -> dict[str, Any]:
    """For another process."""
    return {
        "listed": [
            {
                **one._asdict(),
                "owners": _texts(one.owners),
                "known_owners": _texts(one.known_owners),
            }
            for one in known.listed
        ],
        "decided": _texts(known.decided),
        "left_out": known.left_out,
    }


def known_from_json(octets: bytes) -> Known:
    """What another process wrote.  Raises ValueError, KeyError or TypeError for anything else."""
    fields = json.loads(octets)
    if "error" in fields:
        raise ValueError(str(fields["error"]))
    listed = (
        Listed(
            str(one["id"]),
            str(one["name"]),
            tuple(_names(one["owners"])),
            tuple(map(str, one["aliases"])),
            tuple(_names(one["known_owners"])),
            bool(one["is_confidential"]),
        )
        for one in fields["listed"]
    )
    return Known(tuple(listed), frozenset(_names(fields["decided"])), int(fields["left_out"]))


def _texts(names: tuple[bytes, ...] | frozenset[bytes]) -> list[str]:
    return [name_to_text(name) for name in names]


def _names(texts: list[str]) -> Iterator[bytes]:
    return map(name_from_text, texts)


def main(words: list[str]) -> int:
    """Read the blocklist that `words` name, and the shipped catalogue; print what is known."""
    path = Path(words[0])
    policy, problems = read_blocklist(path, force=True)
    if policy is None:
        errors = [problem for problem in problems if has_errors([problem])]
        print(json.dumps({"error": str(errors[0]) if errors else f"{path}: cannot be read"}))
        return 1
    sys.stdout.buffer.write(known_within(policy, shipped_catalogue(), OUTPUT_OCTETS_MAX - 1) + b"\n")
    return 0


def shipped_catalogue() -> Blocklist | None:
    """The catalogue that comes with the program; None: there is none, or none that can be read."""
    return read_blocklist(SHIPPED, force=True)[0] if SHIPPED.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
