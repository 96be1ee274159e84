"""Pages that change something: pauses, edits, proposals, rollbacks, suggestions, reload, lists, audits.

Knows: which role each needs, what it takes and gives.  Does not know: how anything is changed (`changing`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response

from resolver.api.access import Need
from resolver.api.change_shapes import (
    AcceptWanted,
    Begun,
    Changed,
    Dismissed,
    DismissWanted,
    EditStanding,
    EditsWanted,
    Flushed,
    FlushWanted,
    PauseNow,
    PauseWanted,
    Proposal,
    Proposals,
    RollbackWanted,
    Why,
)
from resolver.api.changing import Changing
from resolver.api.endpoint import Call, Endpoint, PathPart
from resolver.api.refusal import Kind, json_response
from resolver.api.routes import NO_STORE
from resolver.api.values import IDENTIFIER

REFUSES = (Kind.BUSY, Kind.CONFLICT, Kind.NOT_FOUND, Kind.NOT_READY)
TWO_PERSON = (
    "With `changes: two-person` it waits as a proposal (202) until the owner of another token approves it."
)
ACCEPTED = 202

_PROPOSAL = {"id": PathPart("Of the proposal.", r"[0-9a-f]{12}|file-[0-9a-f]{32}", "0123456789ab")}
_GENERATION = {"generation": PathPart("Its number in the history.", r"[0-9]{1,9}", "1")}
_LIST = {"name": PathPart("As the blocklist has it.", IDENTIFIER, "ads")}
_NAME = {"name": PathPart("As it is suggested.", r"[A-Za-z0-9._-]{1,253}", "acme-login.example")}


def change_endpoints(changing: Changing) -> list[Endpoint]:
    """The rows."""
    return [
        *_pause_rows(changing),
        *_server_rows(changing),
        *_edit_rows(changing),
        *_proposal_rows(changing),
        *_other_rows(changing),
    ]


def _pause_rows(changing: Changing) -> list[Endpoint]:
    async def pause(call: Call) -> Response:
        wanted: PauseWanted = call.body
        now = await changing.pause(
            call.caller, wanted.for_s, wanted.reason, including_orders=wanted.including_orders
        )
        return _paused(now)

    async def paused(call: Call) -> dict[str, Any]:
        return changing.paused()

    async def resume(call: Call) -> Response:
        return _paused(await changing.resume(call.caller, call.body.reason or ""))

    row, approve = _row, Need.APPROVE
    return [
        Endpoint(
            "GET",
            "/pause",
            "changes",
            "Whether filtering is paused, by whom, why and until when",
            paused,
            PauseNow,
        ),
        row(
            "/pause",
            "Filter nothing for a while",
            pause,
            PauseNow,
            PauseWanted,
            need=approve,
            description=(
                "It goes on by itself, after a restart, too; history, report, `/readyz` and `/metrics` tell "
                "of it. What authorities ordered stays in force, unless `including_orders`. With `changes: "
                "two-person` it waits as a proposal (202) for an hour, until the owner of another token with "
                "the role approve approves it, and begins then."
            ),
            also=ACCEPTED,
        ),
        row(
            "/resume",
            "End a pause before its time",
            resume,
            PauseNow,
            Why,
            need=approve,
            description="At once, with `changes: two-person` too: it opens nothing.",
            also=ACCEPTED,
        ),
    ]


def _server_rows(changing: Changing) -> list[Endpoint]:
    async def reload(call: Call) -> dict[str, Any]:
        changing.reload(call.caller)
        return {"begun": True, "detail": "the blocklist is read again"}

    async def flush(call: Call) -> dict[str, Any]:
        wanted: FlushWanted = call.body
        answers = await changing.flush(call.caller, wanted.name, subtree=wanted.subtree)
        return {"name": wanted.name, "subtree": wanted.subtree, "answers": answers}

    async def update(call: Call) -> dict[str, Any]:
        changing.update_list(call.caller, call.path["name"])
        return {"begun": True, "detail": f"list {call.path['name']} is fetched"}

    async def audit(call: Call) -> dict[str, Any]:
        changing.audit(call.caller)
        return {"begun": True, "detail": "this server is audited; GET audits/latest has what comes of it"}

    row = _row
    return [
        row("/reload", "Read the blocklist again", reload, Begun, status=ACCEPTED),
        row("/cache/flush", "Forget what is known of a name", flush, Flushed, FlushWanted),
        row("/lists/{name}/update", "Fetch a list now", update, Begun, status=ACCEPTED, parts=_LIST),
        row("/audits", "Audit this server now", audit, Begun, status=ACCEPTED),
    ]


def _edit_rows(changing: Changing) -> list[Endpoint]:
    async def standing(call: Call) -> dict[str, Any]:
        return await changing.change("standing", call.caller)

    async def edit(call: Call) -> Response:
        asked = call.body.model_dump()
        return _changed(await changing.change("edit", call.caller, **asked))

    async def rollback(call: Call) -> Response:
        number, wanted = int(call.path["generation"]), call.body
        done = await changing.change(
            "rollback", call.caller, generation=number, reason=wanted.reason, force=wanted.force
        )
        return _changed(done)

    row = _row
    return [
        Endpoint(
            "GET",
            "/edits",
            "changes",
            "Whether the blocklist can be edited, and the hash of its text",
            standing,
            EditStanding,
            need=Need.EDIT,
            refuses=REFUSES,
        ),
        row(
            "/edits",
            "Change the blocklist",
            edit,
            Changed,
            EditsWanted,
            description=(
                f"All edits or none; comments stay; checked as the server would load it. {TWO_PERSON} Where "
                "the text is not the one of `base` any more: 409, with `base` and `changed`, what changed "
                "meanwhile. No key that names a file, a place to fetch from or a secret can be set."
            ),
            also=ACCEPTED,
        ),
        row(
            "/history/{generation}/rollback",
            "Write an earlier policy back",
            rollback,
            Changed,
            RollbackWanted,
            description=f"With `changes: direct` it takes the role approve. {TWO_PERSON}",
            also=ACCEPTED,
            parts=_GENERATION,
        ),
    ]


def _proposal_rows(changing: Changing) -> list[Endpoint]:
    async def proposals(call: Call) -> dict[str, Any]:
        found = await changing.change("proposals", call.caller)
        return {"items": found["items"], "next": None}

    async def approve(call: Call) -> dict[str, Any]:
        return await changing.change("approve", call.caller, id=call.path["id"], reason=call.body.reason)

    async def reject(call: Call) -> dict[str, Any]:
        return await changing.change("reject", call.caller, id=call.path["id"], reason=call.body.reason)

    return [
        Endpoint(
            "GET",
            "/proposals",
            "changes",
            "Changes that wait for a second person, and what became of others",
            proposals,
            Proposals,
            description="Confidential names stand in them: whoever approves must see what.",
            need=Need.EDIT,
            refuses=REFUSES,
        ),
        _row(
            "/proposals/{id}/approve",
            "Put a proposal in force",
            approve,
            Proposal,
            Why,
            need=Need.APPROVE,
            description=(
                "By another one than its proposer, and while the text that it was made from stands; of a "
                "pause, while what serves is the same. A pause that cannot be carried out (409) never begins."
            ),
            parts=_PROPOSAL,
        ),
        _row(
            "/proposals/{id}/reject",
            "Put a proposal away",
            reject,
            Proposal,
            Why,
            description="One's own with the role edit, those of others with the role approve.",
            parts=_PROPOSAL,
        ),
    ]


def _other_rows(changing: Changing) -> list[Endpoint]:
    async def accept(call: Call) -> Response:
        wanted: AcceptWanted = call.body
        done = await changing.change(
            "accept", call.caller, name=call.path["name"], exchange=wanted.exchange, reason=wanted.reason
        )
        return _changed(done)

    async def dismiss(call: Call) -> dict[str, Any]:
        wanted: DismissWanted = call.body
        return await changing.change(
            "dismiss", call.caller, name=call.path["name"], undo=wanted.undo, reason=wanted.reason
        )

    return [
        _row(
            "/suggestions/{name}/accept",
            "Block a suggested name",
            accept,
            Changed,
            AcceptWanted,
            description=f"An edit like any other. {TWO_PERSON}",
            also=ACCEPTED,
            parts=_NAME,
        ),
        _row(
            "/suggestions/{name}/dismiss",
            "Suggest a name no more",
            dismiss,
            Dismissed,
            DismissWanted,
            parts=_NAME,
        ),
    ]


def _paused(now: dict[str, Any]) -> Response:
    """202: it waits for a second person, or for the end of a reload."""
    return json_response(now, ACCEPTED if now["proposal"] is not None or now["soon"] else 200, NO_STORE)


def _changed(done: dict[str, Any]) -> Response:
    return json_response(done, ACCEPTED if done["state"] == "proposed" else 200, NO_STORE)


def _row(
    path: str,
    summary: str,
    answer: Callable[[Call], Awaitable[Any]],
    gives: Any,
    body: Any = None,
    *,
    need: Need = Need.EDIT,
    **others: Any,
) -> Endpoint:
    described = {"description": f"{summary}.", **others}
    return Endpoint(
        "POST", path, "changes", summary, answer, gives, need=need, body=body, refuses=REFUSES, **described
    )
