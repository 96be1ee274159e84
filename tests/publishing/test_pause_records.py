"""Pauses in the history: where one began, and how it ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from resolver.publishing.history import Generation, open_history
from resolver.publishing.image_store import hash_file
from resolver.publishing.recorder import Applied, applied_from_json, applied_to_json, record

BLOCKLIST = "version: 1\nexchanges:\n  acme: {name: Acme, domains: [acme.example]}\n"
AT = 1.7e9
NOW: dict[str, Any] = {
    "id": "01",
    "until": AT + 600,
    "who": "ann",
    "reason": "the bank's portal fails",
    "including_orders": False,
    "exchanges": ["acme"],
    "lists": [],
    "confidential": 0,
    "domains": 1,
    "stays": 0,
}
NOT_PAUSED: dict[str, Any] = {"now": None, "ended": None}


def applied(folder: Path, at: float, pause: dict[str, Any]) -> Applied:
    path = folder / "blocklist.yaml"
    path.write_text(BLOCKLIST)
    return Applied(at, [hash_file(path)], {"per_list": {}, "per_exchange": {"acme": 1}}, pause=pause)


def entries(folder: Path) -> list[Generation]:
    with open_history(folder) as history:
        return [one for one in history.newest(99)[::-1] if one.who_from == "pause"]


def test_pause_has_an_entry_at_its_beginning_and_one_at_its_end(tmp_path: Path) -> None:
    for at, state in ((AT, NOT_PAUSED), (AT + 1, {"now": NOW, "ended": None}), (AT + 601, NOT_PAUSED)):
        number = record(tmp_path, applied(tmp_path, at, state))
        assert record(tmp_path, applied(tmp_path, at, state)) == number, "each is recorded once"
    began, ended = entries(tmp_path)
    assert began.who == "ann" and began.at == AT + 1 and began.changes["pause"]["exchanges"] == ["acme"]
    assert (
        began.changes["pause"]["reason"] == "the bank's portal fails"
        and "ended_at" not in began.changes["pause"]
    )
    assert ended.changes["pause"]["ended_at"] == AT + 600 and ended.who == ""
    assert ended.has_text and ended.content == began.content and not ended.reason, "nothing was forced"


def test_who_resumed_filtering_is_in_the_history(tmp_path: Path) -> None:
    record(tmp_path, applied(tmp_path, AT, {"now": NOW, "ended": None}))
    ended = {"id": "01", "at": AT + 60, "who": "bob", "reason": "mended"}
    record(tmp_path, applied(tmp_path, AT + 61, {"now": None, "ended": ended}))
    [_, end] = entries(tmp_path)
    pause = end.changes["pause"]
    assert (end.who, pause["ended_by"], pause["ended_reason"], pause["ended_at"]) == (
        "bob",
        "bob",
        "mended",
        AT + 61,
    )


def test_pause_that_ended_while_no_server_ran_ends_in_the_history_at_its_own_end(tmp_path: Path) -> None:
    record(tmp_path, applied(tmp_path, AT, {"now": NOW, "ended": None}))
    record(tmp_path, applied(tmp_path, AT + 90_000, NOT_PAUSED))
    assert entries(tmp_path)[-1].changes["pause"]["ended_at"] == AT + 600


def test_second_pause_ends_the_first_one_in_the_history(tmp_path: Path) -> None:
    record(tmp_path, applied(tmp_path, AT, {"now": NOW, "ended": None}))
    record(tmp_path, applied(tmp_path, AT + 60, {"now": NOW | {"id": "02", "who": "bob"}, "ended": None}))
    told = [(one.changes["pause"]["id"], "ended_at" in one.changes["pause"]) for one in entries(tmp_path)]
    assert told == [("01", False), ("01", True), ("02", False)]


def test_pause_takes_no_approval_from_the_edit_behind_it(tmp_path: Path) -> None:
    from resolver.publishing.approvals import Approval, add_approval, content_hash

    record(tmp_path, applied(tmp_path, AT, NOT_PAUSED))
    edit = applied(tmp_path, AT + 5, {"now": NOW, "ended": None})
    path = tmp_path / "blocklist.yaml"
    path.write_text(BLOCKLIST + "# more\n")
    edit = replace(edit, inputs=[hash_file(path)])
    add_approval(tmp_path, Approval(content_hash(edit.inputs), "ann", AT + 1, "court order"))
    record(tmp_path, applied(tmp_path, AT + 2, {"now": NOW, "ended": None}))
    path.write_text(BLOCKLIST + "# more\n")
    record(tmp_path, edit)
    with open_history(tmp_path) as history:
        latest = history.latest()
    assert latest is not None and latest.reason == "court order"


def test_state_of_pauses_reaches_the_child_that_records(tmp_path: Path) -> None:
    note = applied(tmp_path, AT, {"now": NOW, "ended": None})
    assert applied_from_json(applied_to_json(note)) == note
