"""What people decided about suggestions: which they dismissed and which they accepted, who and when.

Knows: the file, its limits.  Does not know: names that were asked for, what a decision does.
Theory: commands write this file and the server only reads it, so the two never write one file.  Two people
may decide at the same moment: whoever changes the file holds its lock.  Full, it forgets the oldest decision:
then a dismissed name may come again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from resolver.durable import locked, replace_file
from resolver.identity import as_owner_of
from resolver.portions import open_regular, read_up_to
from resolver.problems import printable
from resolver.suggestions.seen import FOLDER
from resolver.wire.names import name_from_text, name_to_text

DECISIONS_FILE: Final = "decisions.json"
LOCK_FILE: Final = ".decisions.lock"
DECISIONS_MAX: Final = 2_000
REASON_CHARS_MAX: Final = 500
FILE_OCTETS_MAX: Final = 4 << 20
"""Larger files are not ours."""
DISMISSED: Final = "dismissed"
ACCEPTED: Final = "accepted"


class DecisionsUnusable(Exception):
    """The file is there and cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One name that somebody decided about."""

    what: str
    """`dismissed` or `accepted`."""
    who: str
    at: float
    """Unix seconds."""
    reason: str = ""
    exchange: str = ""
    """The id of the exchange it was written to."""


def decisions_path(state_dir: Path) -> Path:
    """Where decisions are kept."""
    return state_dir / FOLDER / DECISIONS_FILE


def read_decisions(state_dir: Path) -> dict[bytes, Decision]:
    """Name (wire form) -> what was decided, oldest first; nothing where there is no file.

    Raises `DecisionsUnusable`.
    """
    path = decisions_path(state_dir)
    try:
        with open_regular(path) as file:
            octets = read_up_to(file, FILE_OCTETS_MAX + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DecisionsUnusable(f"{path}: {error.strerror}") from None
    try:
        if len(octets) > FILE_OCTETS_MAX:
            raise ValueError("too large")
        entries = json.loads(octets)["decisions"]
        return {name_from_text(name): _decision(entry) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        raise DecisionsUnusable(f"{path}: is damaged: {why}; mend it, or delete it to begin anew") from None


def _decision(entry: Mapping[str, Any]) -> Decision:
    if entry["what"] not in (DISMISSED, ACCEPTED):
        raise ValueError("a decision of no kind")
    return Decision(
        str(entry["what"]),
        printable(str(entry["who"])),
        float(entry["at"]),
        printable(str(entry["reason"])),
        printable(str(entry["exchange"])),
    )


def decide(state_dir: Path, name: bytes, decision: Decision | None) -> Decision | None:
    """Note a decision, or with None take one back; what stood before.

    Raises OSError and `DecisionsUnusable`, with the old file in its place.
    """
    with as_owner_of(state_dir) as folder:
        path = decisions_path(folder)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(path.with_name(LOCK_FILE)):
            decisions = read_decisions(folder)
            before = decisions.pop(name, None)
            if decision is not None:
                decisions[name] = decision
            kept = list(decisions.items())[-DECISIONS_MAX:]
            entries = {name_to_text(key): asdict(value) for key, value in kept}
            octets = json.dumps({"decisions": entries}, indent=1).encode()
            replace_file(path, octets, mode=0o600)
    return before
