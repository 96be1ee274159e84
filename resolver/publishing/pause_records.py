"""Pauses in the history: an entry where one began, and one where it was over.

Knows: what is recorded of a pause, which of them has no end yet.  Does not know: how a pause is kept, the
server, when (that is given).
Theory: whoever records a policy says how it stands with pauses at that moment.  Held against the last entry
of a pause that shows what is missing, also of a pause that ended while no server ran.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from resolver.publishing.history import Generation, History

PAUSE = "pause"
"""The key of what an entry says of a pause, and how it came about."""
NAMES_KEPT_MAX = 1_000


def settle_pauses(history: History, number: int, at: float, state: dict[str, Any]) -> int:
    """Record what began and what ended, as of `at` (Unix seconds); the last number, 0: nothing did.

    `number`: the generation in force.  `state`: as `PauseKeeper.as_json` has it; empty: not known.
    Raises `HistoryUnusable`.
    """
    now: dict[str, Any] | None = state.get("now")
    last = history.latest_from(PAUSE)
    is_open = last is not None and "ended_at" not in last.changes.get(PAUSE, {})
    served = history.get(number)
    if not state or served is None:
        return 0
    added = 0
    if last is not None and is_open and (now is None or now["id"] != last.changes[PAUSE].get("id")):
        added = history.add(_end(served, last, at, state.get("ended")), history.text(number))
        is_open = False
    if now is not None and not is_open:
        added = history.add(_beginning(served, now, at), history.text(number))
    return added


def _beginning(served: Generation, now: dict[str, Any], at: float) -> Generation:
    told = dict(now)
    for key in ("exchanges", "lists"):
        told[f"{key}_count"], told[key] = len(now[key]), now[key][:NAMES_KEPT_MAX]
    return _entry(served, at, now["who"], {**told, "began_at": at})


def _end(served: Generation, began: Generation, at: float, ended: dict[str, Any] | None) -> Generation:
    """The end of what `began`; `ended`: who ended the last pause, and when, if somebody did."""
    pause: dict[str, Any] = began.changes[PAUSE]
    who, reason, ended_at = "", "", at
    if ended is not None and ended["id"] == pause.get("id"):
        who, reason = ended["who"], ended["reason"]
    elif isinstance(until := pause.get("until"), int | float):
        # While no server ran nobody was there to end it, nor to answer.
        ended_at = min(at, until)
    told = {**pause, "ended_at": max(ended_at, began.at), "ended_by": who, "ended_reason": reason}
    return _entry(served, at, who, told)


def _entry(served: Generation, at: float, who: str, pause: dict[str, Any]) -> Generation:
    """The same policy as `served`, and what a pause makes of it."""
    nothing = {
        "summary": {},
        "properties": [],
        "exchanges": [],
        "orders": [],
        "lists": [],
        "exceptions": [],
        "left_out": 0,
    }
    return replace(
        served,
        number=0,
        at=at,
        who=who,
        who_from=PAUSE,
        reason="",
        changes={**nothing, "list_names": {}, "files": [], PAUSE: pause},
    )
