"""Every change by its word: edits, proposals and what becomes of them, rollbacks, pauses.

Knows: which word needs what.  Does not know: HTTP, argv, processes.
What each gives is JSON; what is not done is `Refused`.
"""

from __future__ import annotations

import re
from typing import Any

from resolver.changing.blocklist import (
    LAYOUT_HINT,
    Author,
    Place,
    alone,
    read_text,
    require_base,
    tidied,
    why_unwritable,
)
from resolver.changing.edits import COMMENTS_TOLD_MAX, edit_text, read_edits
from resolver.changing.pause_requests import pause
from resolver.changing.reasons import read_reason
from resolver.changing.refusal import Kind, Refused
from resolver.changing.rolling_back import save_unrecorded, text_of_generation
from resolver.changing.second_person import Wanted, approve, list_proposals, make_change, reject

_SHA256 = re.compile(r"[0-9a-f]{64}")


def standing(place: Place) -> dict[str, Any]:
    """What an editor has to know before: the text's hash, and whether it can be written."""
    why = why_unwritable(place.blocklist)
    return {
        "base": read_text(place).sha256,
        "changes": "two-person" if place.two_person else "direct",
        "writable": not why,
        "why": why or None,
        "remedy": LAYOUT_HINT if why else None,
    }


def edit(place: Place, author: Author, asked: dict[str, Any]) -> dict[str, Any]:
    """Carry out edits: `{base, edits, reason, force, dry_run}`; `base` null: of whatever stands there.

    `dry_run`: only say what it would do; all is checked, nothing is kept.  Raises Refused.
    """
    edits, dry_run = read_edits(asked.get("edits")), bool(asked.get("dry_run"))
    reason = read_reason(asked.get("reason"), is_needed=place.two_person and not dry_run)
    base = asked.get("base")
    if base is not None and not (isinstance(base, str) and _SHA256.fullmatch(base)):
        raise Refused(Kind.BAD, "base: is no SHA-256 of a blocklist", "take it from what you have read")
    with alone(place) as now:
        if base is not None:
            require_base(place, now, base)
        edited = edit_text(now.octets, edits)
        after = tidied(place.blocklist, now.octets, edited.octets)
        wanted = Wanted("edit", after, reason, is_forced=bool(asked.get("force")), dry_run=dry_run)
        done = make_change(place, author, now, wanted)
    gone = [f"a comment goes with what it is about: {text}" for text in edited.comments_gone]
    return {**done, "warnings": [*done["warnings"], *gone[:COMMENTS_TOLD_MAX]]}


def rollback(place: Place, author: Author, asked: dict[str, Any]) -> dict[str, Any]:
    """Write a generation back: `{generation, reason, force}`.  Raises Refused."""
    number = int(asked["generation"])
    reason = read_reason(asked.get("reason"), is_needed=place.two_person)
    if not place.two_person and not author.may_approve:
        raise Refused(Kind.FORBIDDEN, "to roll back takes the role approve")
    with alone(place) as now:
        text = text_of_generation(place.state_dir, number)
        wanted = Wanted("rollback", text, reason, is_forced=bool(asked.get("force")), rolled_back_to=number)
        if not place.two_person:
            _save(place, now.octets)
        return make_change(place, author, now, wanted)


def _save(place: Place, octets: bytes) -> None:
    try:
        save_unrecorded(place.state_dir, place.blocklist, octets)
    except OSError as error:
        detail = f"{error.filename or place.blocklist}: {error.strerror or error}"
        raise Refused(Kind.UNWRITABLE, detail, LAYOUT_HINT) from None


def do(place: Place, author: Author, word: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Carry out what `word` says.  Raises Refused, and KeyError for a word that is none."""
    match word:
        case "standing":
            return standing(place)
        case "edit":
            return edit(place, author, asked)
        case "rollback":
            return rollback(place, author, asked)
        case "pause":
            return pause(place, author, asked)
        case "proposals":
            return {"items": list_proposals(place)}
        case "approve":
            alone_here = bool(asked.get("alone_here")) and not author.via
            return approve(place, author, asked["id"], asked.get("reason"), alone_here=alone_here)
        case "reject":
            return reject(place, author, asked["id"], asked.get("reason"))
    raise KeyError(word)
