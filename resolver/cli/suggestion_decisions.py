"""`suggestions accept` and `suggestions dismiss`: what a person decides is carried out, and kept.

Knows: the steps and their order.  Does not know: how a text is edited, the rails.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from resolver.blocklist.conflicts import entry_text
from resolver.cli.edit import check_and_write, edited
from resolver.cli.files import EXIT_FINE, BadInput, bad_input
from resolver.cli.suggestions import Desk, decided_words, decision_json, read_desk
from resolver.cli.waiting import waits_as, waits_json, waits_lines
from resolver.orders.plan import AddDomains
from resolver.policy.verdict import PolicyRule
from resolver.problems import Problem, printable, show
from resolver.publishing.approvals import Approval, add_approval, content_hash, current_user
from resolver.publishing.compiled import Compiled
from resolver.suggestions.advice import Suggestion
from resolver.suggestions.decisions import (
    ACCEPTED,
    DISMISSED,
    REASON_CHARS_MAX,
    Decision,
    DecisionsUnusable,
    decide,
)
from resolver.suggestions.names import registrable
from resolver.wire.idn import with_unicode
from resolver.wire.names import name_from_text, name_to_text, suffix_offsets


def accept_suggestion(
    name: str,
    exchange: str | None,
    reason: str | None,
    config: Path | None,
    blocklist: Path | None,
    *,
    as_json: bool,
) -> int:
    """Write a suggested name into the domains of its exchange; the exit code."""
    try:
        wire, why = _name(name), _reason(reason)
        desk = read_desk(config, blocklist)
        suggestion = _suggestion(desk, wire)
        rule = _exchange(desk, exchange or suggestion.exchange.id)
        text = name_to_text(wire)
        after = edited(desk.path, desk.octets, [AddDomains(rule.id, (text,))], what=f"with {text}")
        who, at = current_user(), time.time()
        said = f"accepted the suggestion {text}: {'; '.join(suggestion.reasons)}"

        def note(compiled: Compiled) -> None:
            # First: the server may look at the new file at once, and the history says who it was.
            content = content_hash(compiled.own_inputs)
            add_approval(desk.settings.state_dir, Approval(content, who, at, remark=why or said))

        compiled = check_and_write(
            desk.path, desk.octets, after, desk.settings.state_dir, again="accept again", first=note
        )
        decision = Decision(ACCEPTED, who, at, why, rule.id)
        remarks = [
            *_shortened(suggestion),
            *_remarks(desk, rule, at),
            *compiled.losses,
            *_decide(desk, wire, decision),
        ]
    except (BadInput, OSError) as error:
        return _failed(error, as_json=as_json)
    waits = waits_as(desk.settings, desk.path)
    done = f"{with_unicode(text)} is now among the domains of {rule.id}, in {desk.path}"
    _tell(done, wire, decision, remarks, as_json=as_json, waits=waits)
    if waits is None and not as_json:
        print("a running server loads it within seconds; then 'exchange-resolver history' lists it")
    return EXIT_FINE


def dismiss_suggestion(
    name: str,
    reason: str | None,
    config: Path | None,
    blocklist: Path | None,
    *,
    undo: bool,
    as_json: bool,
) -> int:
    """Remember that a name is not to be suggested, or forget it; the exit code."""
    try:
        wire, why = _name(name), _reason(reason)
        desk = read_desk(config, blocklist)
        shown = with_unicode(name_to_text(wire))
        before = desk.decisions.get(wire)
        if undo:
            if before is None or before.what != DISMISSED:
                raise BadInput([Problem(show(name), 0, "was not dismissed")])
            decide(desk.settings.state_dir, wire, None)
            _tell(f"{shown} may be suggested again", wire, before, [], as_json=as_json)
            return EXIT_FINE
        suggestion = _suggestion(desk, wire)
        decision = Decision(DISMISSED, current_user(), time.time(), why, suggestion.exchange.id)
        decide(desk.settings.state_dir, wire, decision)
    except DecisionsUnusable as error:
        return bad_input([Problem("suggestions", 0, str(error))], as_json=as_json)
    except (BadInput, OSError) as error:
        return _failed(error, as_json=as_json)
    _tell(f"{shown} is suggested no more: {decided_words(decision)}", wire, decision, [], as_json=as_json)
    return EXIT_FINE


def _failed(error: BadInput | OSError, *, as_json: bool) -> int:
    if isinstance(error, BadInput):
        return bad_input(error.problems, as_json=as_json)
    return bad_input([Problem(str(error.filename), 0, str(error.strerror))], as_json=as_json)


def _tell(
    done: str,
    name: bytes,
    decision: Decision,
    remarks: list[str],
    *,
    as_json: bool,
    waits: str | None = None,
) -> None:
    if as_json:
        fields: dict[str, Any] = {
            "name": name_to_text(name),
            **decision_json(decision),
            "remarks": remarks,
            "waits": waits_json(waits),
        }
        print(json.dumps(fields, indent=2, ensure_ascii=False))
        return
    print(printable(done))
    for remark in remarks:
        print(printable(f"note: {remark}"))
    for line in [] if waits is None else waits_lines(waits):
        print(line)


def _name(text: str) -> bytes:
    try:
        return name_from_text(text)
    except ValueError as error:
        raise BadInput([Problem("NAME", 0, str(error))]) from None


def _reason(text: str | None) -> str:
    reason = (text or "").strip()
    if len(reason) > REASON_CHARS_MAX or not reason.isprintable():
        raise BadInput([Problem("--reason", 0, f"at most {REASON_CHARS_MAX} printable characters")])
    return reason


def _suggestion(desk: Desk, name: bytes) -> Suggestion:
    """The suggestion of this name.  Raises BadInput, saying why there is none."""
    for one in desk.found:
        if one.name == name:
            return one
    text = show(name_to_text(name))
    above = {name[at:] for at in suffix_offsets(name)}
    for rule in desk.blocklist.name_rules:
        if rule.owner in above:
            entry = entry_text(rule.owner, rule.form)
            message = f"is no suggestion: the blocklist has {entry} already ({rule.effect}, line {rule.line})"
            raise BadInput([Problem(text, 0, message)])
    message = "is no suggestion; 'exchange-resolver suggestions --all' lists those there are"
    raise BadInput([Problem(text, 0, message)])


def _exchange(desk: Desk, exchange: str) -> PolicyRule:
    for rule in desk.blocklist.exchanges:
        if rule.id == exchange:
            return rule
    message = f"{show(exchange)} is no exchange of the blocklist; 'exchange-resolver find' looks for one"
    raise BadInput([Problem("--exchange", 0, message)])


def _remarks(desk: Desk, rule: PolicyRule, now: float) -> list[str]:
    """What whoever accepted it should know."""
    remarks = []
    orders = [desk.blocklist.orders[order] for order in rule.orders if order in desk.blocklist.orders]
    if named := [order.id for order in orders if order.imposed_by == "external"]:
        remarks.append(
            f"{rule.id} cites {', '.join(named)} of an authority, and the blocked person is told so; where "
            "that does not mean this name, give it an exchange of its own"
        )
    if not rule.is_in_force(now):
        remarks.append(f"{rule.id} is not in force now, so nothing is blocked yet")
    return remarks


def _shortened(suggestion: Suggestion) -> list[str]:
    """What is to be said where the name is not, or not only, what was asked."""
    name = suggestion.name
    text, owner = name_to_text(name), registrable(name)
    if owner is not None and owner != name:
        label, above = text.partition(".")[0], name_to_text(owner)
        return [
            f"labels between {label} and {above} are not kept: where somebody asked for "
            f"{label}.SOMETHING.{above}, {text} does not cover it, and {above} would"
        ]
    if suggestion.seen.shared:
        return [
            f"of what was asked only {text} is kept: all of it is blocked now, also names under it whose "
            f"answers do not lead to {suggestion.exchange.name}"
        ]
    return []


def _decide(desk: Desk, name: bytes, decision: Decision) -> list[str]:
    """Keep it; a remark where that fails: the name is written all the same."""
    try:
        decide(desk.settings.state_dir, name, decision)
    except (DecisionsUnusable, OSError) as error:
        return [f"who accepted it could not be kept with the suggestions: {error}"]
    return []
