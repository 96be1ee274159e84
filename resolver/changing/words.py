"""What a change of the blocklist's text would do, in words and for programs.

Knows: how two texts are compared.  Does not know: files, who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resolver.blocklist.by_order import changes_by_order
from resolver.blocklist.difference import compare
from resolver.blocklist.difference_text import as_text, headline
from resolver.blocklist.in_force import InForce
from resolver.blocklist.openings import find_opening
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist

WORDS_CHARS_MAX = 40_000
"""Longer differences are cut: the headline and what opens stand first."""
NAMES_MAX = 500

NOT_KNOWN = "what changed is not known"


def difference_of(path: Path, before: bytes | None, after: bytes, now: float) -> dict[str, Any]:
    """What `after` changes as of `now` (Unix seconds): `{headline, words}`; `path`: for names of files.

    A text that cannot be read changes what is not known.
    """
    old = None if before is None else _read(path, before)
    new = _read(path, after)
    if new is None or (before is not None and old is None):
        return {"headline": NOT_KNOWN, "words": NOT_KNOWN}
    difference, effects, names_max = compare(old, new), _effects(old, new, now), NAMES_MAX
    told: dict[str, Any] = {**difference.as_json(names_max=names_max), **effects}
    while len(words := as_text(told)) > WORDS_CHARS_MAX and names_max > 1:
        # Fewer names rather than a text that ends before what matters.
        names_max //= 2
        told = {**difference.as_json(names_max=names_max), **effects}
    cut = words[:WORDS_CHARS_MAX] + ("\n..." if len(words) > WORDS_CHARS_MAX else "")
    return {"headline": headline(told["summary"]), "words": cut}


def _effects(before: Blocklist | None, after: Blocklist, now: float) -> Mapping[str, Any]:
    found: dict[str, Any] = {"by_order": [change.as_json() for change in changes_by_order(before, after)]}
    if before is not None:
        found["opened"] = find_opening(InForce(before, now), InForce(after, now)).as_json()
    return found


def _read(path: Path, octets: bytes) -> Blocklist | None:
    return read_blocklist(path, octets=octets, force=True)[0]
