"""Accepts and dismisses suggestions of names that look like a listed exchange.

Knows: that accepting one is an edit of the blocklist, where decisions are kept.  Does not know: how names are
found alike, who asks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from resolver.blocklist.entries import asked_name
from resolver.changing.blocklist import Author, Place, alone, tidied
from resolver.changing.edits import Edit, edit_text
from resolver.changing.reasons import read_reason
from resolver.changing.refusal import Kind, Refused
from resolver.changing.second_person import Wanted, make_change
from resolver.problems import show
from resolver.suggestions.advice import Suggestion
from resolver.suggestions.decisions import ACCEPTED, DISMISSED, Decision, DecisionsUnusable, decide
from resolver.wire.names import name_to_text


class Desk(Protocol):
    """What is suggested now."""

    @property
    def found(self) -> Sequence[Suggestion]: ...
    @property
    def decisions(self) -> Mapping[bytes, Decision]: ...


def accept(place: Place, author: Author, desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Write a suggested name among its exchange's, as any edit: `{name, exchange, reason}`.

    Raises Refused.
    """
    wire = _name(asked["name"])
    reason = read_reason(asked.get("reason"), is_needed=False)
    suggestion = _suggestion(desk, wire)
    exchange = asked.get("exchange") or suggestion.exchange.id
    text = name_to_text(wire)
    said = reason or f"accepted the suggestion {text}: {'; '.join(suggestion.reasons)}"
    with alone(place) as now:
        edited = edit_text(now.octets, [Edit("add-domains", exchange, {}, (text,))])
        after = tidied(place.blocklist, now.octets, edited.octets)
        done = make_change(place, author, now, Wanted("suggestion", after, said, about=text))
    if done["state"] == "applied":
        decision = Decision(ACCEPTED, author.name, place.now(), said, exchange)
        # The name is written all the same where that fails.
        with contextlib.suppress(DecisionsUnusable, OSError):
            decide(place.state_dir, wire, decision)
    return done


def dismiss(place: Place, author: Author, desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Remember that a name is not to be suggested: `{name, reason, undo}`.  Raises Refused."""
    wire = _name(asked["name"])
    reason = read_reason(asked.get("reason"), is_needed=False)
    decision = None
    if asked.get("undo"):
        before = desk.decisions.get(wire)
        if before is None or before.what != DISMISSED:
            raise Refused(Kind.CONFLICT, f"{show(asked['name'])} was not dismissed")
    else:
        exchange = _suggestion(desk, wire).exchange.id
        decision = Decision(DISMISSED, author.name, place.now(), reason, exchange)
    try:
        decide(place.state_dir, wire, decision)
    except DecisionsUnusable as error:
        raise Refused(Kind.CONFLICT, str(error)) from None
    except OSError as error:
        raise Refused(Kind.UNWRITABLE, f"{place.state_dir}: {error.strerror or error}") from None
    return {"name": name_to_text(wire), "dismissed": decision is not None}


def _name(text: object) -> bytes:
    try:
        return asked_name(str(text))
    except ValueError as error:
        raise Refused(Kind.BAD, f"name: {error}") from None


def _suggestion(desk: Desk, name: bytes) -> Suggestion:
    for one in desk.found:
        if one.name == name:
            return one
    raise Refused(Kind.MISSING, f"{show(name_to_text(name))} is no suggestion now")
