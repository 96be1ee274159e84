"""Makes a change, or proposes it; approves and rejects what is proposed.

Knows: who may do which, what of a proposal must still hold when it is approved.  Does not know: HTTP, argv,
how a text is changed.
Theory: what is proposed is checked as if it were written, so that nobody approves what would not load; and it
is checked again when it is approved, for meanwhile the world has gone on.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resolver.changing import pause_requests, proposals
from resolver.changing.blocklist import (
    Author,
    Place,
    Standing,
    Text,
    alone,
    checked,
    put,
    read_text,
    require_base,
    require_writable,
)
from resolver.changing.own_files import changed_lists, hashes_of, own_files
from resolver.changing.pause_requests import approve_pause, served_base
from resolver.changing.proposals import EXPIRES_S, Proposal, State
from resolver.changing.reasons import read_reason, shown_name
from resolver.changing.refusal import Kind, Refused
from resolver.changing.words import difference_of
from resolver.identity import user_name
from resolver.moments import iso_moment
from resolver.publishing.approvals import (
    Approval,
    add_approval,
    approvals_of,
    content_hash,
)
from resolver.publishing.compiled import Compiled, InputFile
from resolver.publishing.second_person import served_content, served_now
from resolver.publishing.served_text import TextLost, served_text
from resolver.suggestions.decisions import ACCEPTED, Decision, DecisionsUnusable, decide
from resolver.wire.names import name_from_text

FILE_PREFIX = "file-"
"""Begins the id of an edit that somebody made in the file itself."""
FILE_ID_CHARS = 32
"""So many that nobody finds two contents with the same id, and swaps them."""

WARNINGS_KEPT_MAX = 100
EDITORS_JOINED = ", "
"""Between the owners of files that wait."""
_AS_WHOM = re.compile(r" \(as [^()]*\)$")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change that somebody wants."""

    kind: str
    """`edit`, `rollback` or `suggestion`."""
    after: bytes
    reason: str
    about: str = ""
    is_forced: bool = False
    rolled_back_to: int = 0
    dry_run: bool = False
    """Only to say what it would do."""


def make_change(place: Place, author: Author, now: Text, wanted: Wanted) -> dict[str, Any]:
    """Put it in force, or propose it where two people are needed; call it within `alone`.

    Gives `{state: applied | proposed | previewed, proposal, headline, words, base, warnings}`.
    Raises Refused.
    """
    if wanted.is_forced and not author.may_approve and not place.two_person:
        raise Refused(Kind.FORBIDDEN, "to overrule a safety rail takes the role approve")
    if wanted.is_forced and not wanted.reason and not wanted.dry_run:
        raise Refused(Kind.BAD, "to overrule a safety rail takes a reason")
    require_writable(place)
    if wanted.after == now.octets:
        raise Refused(Kind.CONFLICT, "nothing would change")
    compiled = checked(place, wanted.after, force=wanted.is_forced)
    at = place.now()
    told = difference_of(place.blocklist, _served(place, now), wanted.after, at)
    warnings = [problem.message for problem in compiled.problems]
    if wanted.dry_run:
        return {"state": "previewed", "proposal": None, "base": now.sha256, **told, "warnings": warnings}
    if not place.two_person:
        standing = Standing(
            author.name,
            author.via,
            wanted.reason,
            wanted.is_forced,
            rolled_back_to=wanted.rolled_back_to,
        )
        put(place, wanted.after, compiled, standing, now)
        done = {"state": "applied", "proposal": None, "base": Text(wanted.after).sha256}
        return {**done, **told, "warnings": warnings}
    if wanted.kind == "rollback":
        # Nothing of an edit that waits is in it, but for lists.
        require_lists(place)
    else:
        require_nothing_waits(place, now)
    proposal = Proposal(
        id=proposals.new_id(),
        kind=wanted.kind,
        who=shown_name(author.name),
        via=author.via,
        at=at,
        expires_at=at + EXPIRES_S,
        reason=wanted.reason,
        base=now.sha256,
        sha256=Text(wanted.after).sha256,
        headline=told["headline"],
        words=told["words"],
        files=hashes_of(compiled.own_inputs),
        warnings=tuple(warnings[:WARNINGS_KEPT_MAX]),
        is_forced=wanted.is_forced,
        about=wanted.about or (str(wanted.rolled_back_to) if wanted.rolled_back_to else ""),
    )
    proposals.add(place.state_dir, proposal, wanted.after, at)
    return {"state": "proposed", "proposal": proposal.id, "base": now.sha256, **told, "warnings": warnings}


def _served(place: Place, now: Text) -> bytes:
    """What serves: an edit on top of another one that waits is shown with that."""
    with contextlib.suppress(TextLost):
        return served_text(place.state_dir) or now.octets
    return now.octets


# What waits.


def list_proposals(place: Place) -> list[dict[str, Any]]:
    """All proposals, the newest first; before them an edit of the file itself that waits.  Raises Refused."""
    now = place.now()
    try:
        found = proposals.read_all(place.state_dir)
    except OSError as error:
        raise Refused(Kind.UNWRITABLE, f"{place.state_dir}: {error.strerror or error}") from None
    text = read_text(place)
    bases = {True: served_base(place), False: text.sha256}
    told = [as_json(one, now, is_current=one.base == bases[one.kind == pause_requests.KIND]) for one in found]
    waiting = waiting_file(place, text)
    return told if waiting is None else [waiting, *told]


def as_json(proposal: Proposal, now: float, *, is_current: bool) -> dict[str, Any]:
    """For programs; moments in ISO 8601."""
    return {
        "id": proposal.id,
        "kind": proposal.kind,
        "who": proposal.who,
        "at": iso_moment(proposal.at),
        "expires_at": iso_moment(proposal.expires_at),
        "reason": proposal.reason,
        "state": proposal.stands(now).value,
        "base_changed": proposal.stands(now) is State.OPEN and not is_current,
        "forced": proposal.is_forced,
        "about": proposal.about,
        "headline": proposal.headline,
        "words": proposal.words,
        "files": dict(proposal.files),
        "warnings": list(proposal.warnings),
        "decided_by": proposal.decided_by,
        "decided_at": iso_moment(proposal.decided_at) if proposal.decided_at else None,
        "decided_reason": proposal.decided_reason,
    }


def waiting_file(place: Place, text: Text) -> dict[str, Any] | None:
    """The edit of the files themselves that waits for a second person; None: there is none."""
    if not place.two_person or served_content(place.state_dir) is None:
        return None
    own = own_files(place, text)
    if served_content(place.state_dir) == content_hash(own) or _is_approved(place, own):
        return None
    before, lists = _served(place, text), changed_lists(place, own)
    told = difference_of(place.blocklist, before, text.octets, place.now())
    words = "\n".join([told["words"], *(f"list file changed: {entry.path}" for entry in lists)])
    edited = [Path(entry.path) for entry in lists if entry.sha256]
    if before != text.octets or not edited:
        edited.insert(0, place.blocklist)
    stats = [path.stat() for path in edited]
    return {
        "id": f"{FILE_PREFIX}{content_hash(own)[:FILE_ID_CHARS]}",
        "kind": "file",
        "who": EDITORS_JOINED.join(dict.fromkeys(user_name(stat.st_uid) for stat in stats)),
        "at": iso_moment(max(stat.st_mtime for stat in stats)),
        "expires_at": None,
        "reason": "",
        "state": State.OPEN.value,
        "base_changed": False,
        "forced": False,
        "about": str(edited[0]),
        "headline": told["headline"],
        "words": words,
        "files": hashes_of(own),
        "warnings": [],
        "decided_by": "",
        "decided_at": None,
        "decided_reason": "",
    }


def require_nothing_waits(place: Place, text: Text) -> None:
    """Raises Refused where the files were edited and that waits.

    A change on top of it would have it approved, perhaps by whoever made it, under another one's name.
    """
    if (waiting := waiting_file(place, text)) is None:
        return
    detail = f"{waiting['about']} was edited by {waiting['who']}, and waits for a second person itself"
    raise Refused(Kind.CONFLICT, detail, "have that approved, or take it back, first")


def require_lists(place: Place) -> None:
    """Raises Refused where a list's file was edited and waits: an approval is for the lists as they stand."""
    if served_content(place.state_dir) is None:
        return
    own = own_files(place, read_text(place))
    lists = changed_lists(place, own)
    if served_content(place.state_dir) == content_hash(own):
        return
    if lists and not _is_approved(place, own):
        detail = f"{lists[0].path} was edited, and waits for a second person itself"
        raise Refused(Kind.CONFLICT, detail, "have that approved, or take it back, first")


def _is_approved(place: Place, own: Sequence[InputFile]) -> bool:
    """Whether it is approved already, and only to be loaded."""
    approvals, _ = approvals_of(place.state_dir, own, served_now(place.state_dir))
    # One that forces what the text says counts for its rails whatever the lists are, and not for the lists.
    return any(one.is_seconded and one.content == content_hash(own) for one in approvals)


def require_same(seen: Mapping[str, str], compiled: Compiled) -> None:
    """Raises Refused where the files that were checked are not those that were looked at.

    `seen`: path -> hash.
    """
    now = hashes_of(compiled.own_inputs)
    if now == seen:
        return
    changed = sorted(path for path in {**seen, **now} if seen.get(path) != now.get(path))
    detail = f"{changed[0]} is not what it was when this was proposed"
    raise Refused(Kind.CONFLICT, detail, "look at it again, or propose it anew")


# Deciding.


def approve(
    place: Place, author: Author, name: str, reason: str | None, *, alone_here: bool = False
) -> dict[str, Any]:
    """Put a proposal in force.

    `alone_here`: somebody with rights on the machine does it alone, which takes a reason and is recorded.
    Raises Refused: to its proposer, where the text that it was made from changed, where it would not load.
    """
    why = read_reason(reason, is_needed=alone_here)
    if not author.may_approve:
        raise Refused(Kind.FORBIDDEN, "to approve takes the role approve")
    with alone(place) as text:
        if name.startswith(FILE_PREFIX):
            return _approve_file(place, author, name, text, why)
        now = place.now()
        proposal = proposals.find(place.state_dir, name, now)
        if not alone_here and same_person(proposal.who, author.name):
            raise Refused(Kind.FORBIDDEN, f"{author.name} proposed it: another one must approve it")
        if proposal.kind == pause_requests.KIND:
            # Decided before it begins: what is refused from here on begins never.
            pause_requests.require_what_was_seen(place, proposal)
            decided = proposals.decide(place.state_dir, proposal, State.APPROVED, author.name, now, why)
            approve_pause(place, author, proposal, why, alone_here=alone_here)
            return as_json(decided, now, is_current=True)
        require_base(place, text, proposal.base)
        require_lists(place)
        require_writable(place)
        after = proposals.text_of(place.state_dir, proposal)
        if Text(after).sha256 != proposal.sha256:
            raise Refused(Kind.CONFLICT, "the text of the proposal is damaged", "propose it anew")
        compiled = checked(place, after, force=proposal.is_forced)
        require_same(proposal.files, compiled)
        standing = Standing(
            proposal.who,
            author.via,
            proposal.reason,
            proposal.is_forced,
            approved_by=f"{author.name}, alone, on this machine: {why}" if alone_here else author.name,
            proposal=proposal.id,
            rolled_back_to=int(proposal.about) if proposal.kind == "rollback" else 0,
        )
        put(place, after, compiled, standing, text)
        if proposal.kind == "suggestion":
            accepted(place, proposal)
        decided = proposals.decide(place.state_dir, proposal, State.APPROVED, author.name, now, why)
        return as_json(decided, now, is_current=True)


def accepted(place: Place, proposal: Proposal) -> None:
    """Keep with the suggestions that one was accepted.  The name is written all the same where that fails."""
    decision = Decision(ACCEPTED, proposal.who, place.now(), proposal.reason)
    with contextlib.suppress(DecisionsUnusable, OSError, ValueError):
        decide(place.state_dir, name_from_text(proposal.about), decision)


def same_person(one: str, other: str) -> bool:
    """Whether two names may be one person's: `ann (as root)` is ann."""
    return _person(one) == _person(other)


def _person(name: str) -> str:
    return _AS_WHOM.sub("", name.strip()).strip().casefold()


def _approve_file(place: Place, author: Author, name: str, text: Text, why: str) -> dict[str, Any]:
    """Approve what somebody edited in the file itself, octet for octet."""
    waiting = waiting_file(place, text)
    if waiting is None or waiting["id"] != name:
        raise Refused(Kind.CONFLICT, "the file has changed since, or serves already", "look at it again")
    if any(same_person(one, author.name) for one in waiting["who"].split(EDITORS_JOINED)):
        raise Refused(Kind.FORBIDDEN, f"{author.name} edited it: another one must approve it")
    compiled = checked(place, text.octets, force=False)
    require_same(waiting["files"], compiled)
    served = served_now(place.state_dir)
    approval = Approval(
        content=content_hash(compiled.own_inputs),
        who=shown_name(waiting["who"]),
        at=place.now(),
        remark=why,
        serial=0 if served is None else served.serial,
        approved_by=shown_name(author.name),
        blocklist=text.sha256,
        proposal=name,
        via=author.via,
    )
    try:
        add_approval(place.state_dir, approval)
    except OSError as error:
        raise Refused(Kind.UNWRITABLE, f"{place.state_dir}: {error.strerror or error}") from None
    decided = {"state": State.APPROVED.value, "decided_by": author.name}
    return {**waiting, **decided, "decided_at": iso_moment(approval.at), "decided_reason": why}


def reject(place: Place, author: Author, name: str, reason: str | None) -> dict[str, Any]:
    """Put a proposal away; its proposer may, too.  Raises Refused."""
    why = read_reason(reason, is_needed=False)
    if name.startswith(FILE_PREFIX):
        detail = "an edit of the file itself is taken back in the file"
        raise Refused(Kind.CONFLICT, detail, "'exchange-resolver rollback' writes what serves over it")
    with alone(place) as text:
        now = place.now()
        proposal = proposals.find(place.state_dir, name, now)
        if not author.may_approve and not same_person(proposal.who, author.name):
            raise Refused(Kind.FORBIDDEN, "to reject what another one proposed takes the role approve")
        decided = proposals.decide(place.state_dir, proposal, State.REJECTED, author.name, now, why)
        return as_json(decided, now, is_current=proposal.base == text.sha256)
