"""A pause where two people are needed: proposed like any change, it begins when another one approves it.

Knows: what a pause would open, in words; how long a request waits; how one person overrules the rule.
Does not know: who may decide (`second_person`), how a pause is carried out.
Theory: a pause opens what nobody could open alone by an edit, so it takes two people as an edit does.  To end
one is never held up: that opens nothing.  A request is for what serves when it is made, and for now: an hour
later it is another morning, and whoever finds it then must not open the network by it.
"""

from __future__ import annotations

import json
from typing import Any, Final

from resolver.changing import proposals
from resolver.changing.blocklist import Author, Place, lock_of
from resolver.changing.pausing import pause_filtering, require_length
from resolver.changing.proposals import Proposal
from resolver.changing.reasons import read_reason, shown_name
from resolver.changing.refusal import Kind, Refused
from resolver.clock import boot_moment
from resolver.identity import as_owner_of
from resolver.moments import iso_moment
from resolver.policy.image import Image, ImageUnusable
from resolver.publishing.image_store import ImageStore
from resolver.publishing.paused_image import Opened, what_opens
from resolver.publishing.pausing import Pause, is_imposed

KIND: Final = "pause"
EXPIRES_S: Final = 3_600.0
"""What nobody has approved by then was not so urgent."""
NAMES_TOLD_MAX: Final = 500
ORDERS_TOLD_MAX: Final = 50
ALONE: Final = "alone, on this machine"


def pause(place: Place, author: Author, asked: dict[str, Any]) -> dict[str, Any]:
    """Pause filtering, or propose that: `{for_s, reason, including_orders, alone_here}`.

    Gives `{state: paused | proposed, until, proposal, headline, words, warnings}`.  Raises Refused.
    """
    for_s, including_orders = float(asked["for_s"]), bool(asked.get("including_orders"))
    reason = read_reason(asked.get("reason"))
    require_length(for_s)
    if not author.may_approve:
        raise Refused(Kind.FORBIDDEN, "to pause takes the role approve")
    alone_here = bool(asked.get("alone_here")) and not author.via
    if place.two_person and not alone_here:
        return _propose(place, author, for_s, reason, including_orders=including_orders)
    by = f"{shown_name(author.name)}, {ALONE}" if place.two_person else ""
    begun = _begin(place, author.name, for_s, reason, including_orders=including_orders, approved_by=by)
    nothing: dict[str, Any] = {"proposal": None, "headline": "", "words": "", "warnings": []}
    return {"state": "paused", "until": iso_moment(begun.until), **nothing}


def approve_pause(place: Place, author: Author, proposal: Proposal, why: str, *, alone_here: bool) -> Pause:
    """Begin the pause that was asked for.  Raises Refused, also where something else serves by now."""
    require_what_was_seen(place, proposal)
    by = f"{shown_name(author.name)}, {ALONE}: {why}" if alone_here else shown_name(author.name)
    return _begin(
        place,
        proposal.who,
        float(proposal.pause["for_s"]),
        proposal.reason,
        including_orders=bool(proposal.pause["including_orders"]),
        approved_by=by,
        proposal=proposal.id,
    )


def require_what_was_seen(place: Place, proposal: Proposal) -> None:
    """Raises Refused where something else serves than when the pause was asked for."""
    if proposal.base and served_base(place) == proposal.base:
        return
    detail = "another policy serves since: what the pause opens is not what was asked for"
    raise Refused(Kind.CONFLICT, detail, "ask for the pause anew, and look at what it opens")


def served_base(place: Place) -> str:
    """The policy that serves, told by every file that it is made of; empty: it is not known.

    Lists are among them, also those that are downloaded: a pause of other names is another pause.
    """
    try:
        with as_owner_of(place.state_dir) as folder:
            note = ImageStore(folder).last_good()
    except OSError:
        return ""
    return "" if note is None else note.key


def _begin(
    place: Place,
    who: str,
    for_s: float,
    reason: str,
    *,
    including_orders: bool,
    approved_by: str,
    proposal: str = "",
) -> Pause:
    return pause_filtering(
        place.state_dir,
        who,
        for_s,
        reason,
        including_orders=including_orders,
        wall=place.wall(),
        boot=boot_moment(),
        approved_by=approved_by,
        proposal=proposal,
    )


def _propose(
    place: Place, author: Author, for_s: float, reason: str, *, including_orders: bool
) -> dict[str, Any]:
    at, wall = place.now(), place.wall()
    base = served_base(place)
    opened, orders = _opened(place, (wall, wall + for_s), including_orders=including_orders)
    headline = f"pause of filtering for {length_words(for_s)}: opens {opened.words()}"
    words = "\n".join(_lines(opened, for_s, including_orders=including_orders))
    warnings = []
    if including_orders:
        told = ", ".join(orders[:ORDERS_TOLD_MAX]) or "none is in force"
        warnings.append(f"what authorities ordered is not enforced meanwhile: {told}")
    proposal = Proposal(
        id=proposals.new_id(),
        kind=KIND,
        who=shown_name(author.name),
        via=author.via,
        at=at,
        expires_at=at + EXPIRES_S,
        reason=reason,
        base=base,
        sha256="",
        headline=headline,
        words=words,
        warnings=tuple(warnings),
        about=length_words(for_s),
        pause={"for_s": for_s, "including_orders": including_orders},
    )
    with lock_of(place):
        proposals.add(place.state_dir, proposal, None, at)
    told_of = {"headline": headline, "words": words, "warnings": warnings}
    return {"state": "proposed", "until": None, "proposal": proposal.id, **told_of}


def _opened(place: Place, span: tuple[float, float], *, including_orders: bool) -> tuple[Opened, list[str]]:
    """What a pause would open, and the orders of authorities that are in force meanwhile."""
    try:
        with as_owner_of(place.state_dir) as folder:
            store = ImageStore(folder)
            note = store.last_good()
            if note is None:
                raise Refused(Kind.CONFLICT, "nothing serves yet, so nobody can say what a pause opens")
            image = Image(store.path_of(note.key))
    except (OSError, ImageUnusable, json.JSONDecodeError) as error:
        detail = f"what a pause opens is not known: {error}"
        raise Refused(Kind.CONFLICT, detail, "have the server load the blocklist anew") from None
    orders: dict[str, dict[str, Any]] = image.meta["orders"]
    imposed = sorted(key for key, order in orders.items() if is_imposed(order, span))
    return what_opens(image, span, including_orders=including_orders), imposed


def _lines(opened: Opened, for_s: float, *, including_orders: bool) -> list[str]:
    scope = (
        "everything, orders of authorities included" if including_orders else "all but orders of authorities"
    )
    lines = [f"filtering stands still for {length_words(for_s)} from the approval on: {scope}"]
    named = [f"exchange {name}" for name in opened.exchanges] + [f"list {name}" for name in opened.lists]
    lines += [f"- {name}" for name in named[:NAMES_TOLD_MAX]]
    if (more := len(named) - NAMES_TOLD_MAX) > 0:
        lines.append(f"- and {more:,} more")
    return [*lines, f"not blocked meanwhile: {opened.words()}"]


def length_words(for_s: float) -> str:
    """`1 h 30 min`."""
    rest, parts = int(for_s), []
    for seconds, unit in ((3_600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, seconds)
        parts += [f"{count} {unit}"] if count else []
    return " ".join(parts)
