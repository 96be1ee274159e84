"""What is kept of proposals and approvals: over restarts, faults and limits, and what of them must still hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from resolver.changing import proposals
from resolver.changing.proposals import EXPIRES_S, OPEN_MAX
from resolver.changing.refusal import Kind, Refused
from resolver.publishing.approvals import content_hash, read_approvals
from resolver.publishing.compiled import InputFile
from resolver.publishing.history import history_path
from resolver.publishing.image_store import hash_file, note_path
from resolver.publishing.publisher import Publisher
from resolver.publishing.second_person import served_content
from tests.support.office import ADD, BOB, EVE, Office, record
from tests.support.publisher_rig import entry


def test_note_that_is_lost_brings_no_old_approval_back(office: Office) -> None:
    """Of something that served in spring: nobody may put it back alone by damaging a file."""
    note, clock = note_path(office.stage.state), office.stage.clock

    async def story(publisher: Publisher) -> None:
        for number in range(2):
            office.stage.write(entry("alpha"), *([] if number else [entry("gamma")]))
            [waiting] = [one for one in office.do(BOB, "proposals")["items"] if one["kind"] == "file"]
            office.do(BOB, "approve", id=waiting["id"])
            assert await publisher.reload_if_changed()
            clock.advance(60.0)
        record(office.stage.state, hash_file(office.stage.blocklist), clock.wall())
        note.write_text("{")
        office.stage.write(entry("alpha"), entry("gamma"))
        assert not await publisher.reload_if_changed() and not office.stage.blocks("gamma")
        [waiting] = office.do(BOB, "proposals")["items"]
        clock.advance(60.0)
        office.do(BOB, "approve", id=waiting["id"])
        await publisher.reload_if_changed(asked=True)
        assert office.stage.blocks("gamma"), "one of today counts"
        office.stage.write(entry("alpha"))
        await publisher.reload_if_changed(asked=True)
        assert office.stage.blocks("gamma"), "nor does an old one once there is a note again"

    office.play(story)


def test_what_served_is_known_from_the_history_where_the_note_is_damaged(tmp_path: Path) -> None:
    assert served_content(tmp_path) is None and served_content(tmp_path / "none") is None
    note_path(tmp_path).write_text("{")
    assert served_content(tmp_path) == ""
    file = InputFile("blocklist.yaml", "aa", 1)
    record(tmp_path, file)
    assert served_content(tmp_path) == content_hash([file])
    note_path(tmp_path).unlink()
    history_path(tmp_path).write_bytes(b"no database")
    assert served_content(tmp_path) == ""


def test_proposals_survive_a_restart_and_expire(office: Office) -> None:
    async def first(publisher: Publisher) -> None:
        office.edit(EVE, ADD)

    async def second(publisher: Publisher) -> None:
        [found] = office.do(BOB, "proposals")["items"]
        assert found["state"] == "open" and found["who"] == "eve" and found["reason"] == "why"
        office.stage.clock.advance(EXPIRES_S)
        [found] = office.do(BOB, "proposals")["items"]
        assert found["state"] == "expired"
        with pytest.raises(Refused, match="is expired"):
            office.do(BOB, "approve", id=found["id"])

    office.play(first)
    office.play(second)


def test_proposal_whose_base_changed_says_what_changed_meanwhile(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        one = office.edit(EVE, ADD)
        other = office.edit(EVE, {"do": "remove-exchange", "id": "beta"})
        office.do(BOB, "approve", id=one["proposal"])
        [late] = [item for item in office.do(BOB, "proposals")["items"] if item["state"] == "open"]
        assert late["base_changed"]
        with pytest.raises(Refused, match="was changed meanwhile") as refused:
            office.do(BOB, "approve", id=other["proposal"])
        assert refused.value.kind is Kind.CONFLICT
        assert "more.example" in refused.value.more["changed"]

    office.play(story)


def test_second_of_two_editors_is_told_what_changed(office: Office) -> None:
    office.place = replace(office.place, two_person=False)
    seen = office.base()

    async def story(publisher: Publisher) -> None:
        office.edit(EVE, ADD, base=seen)
        with pytest.raises(Refused, match="was changed meanwhile") as refused:
            office.edit(BOB, {"do": "remove-exchange", "id": "beta"}, base=seen)
        assert refused.value.more["base"] == office.base()
        assert "more.example" in refused.value.more["changed"]

    office.play(story)


def test_rejected_proposal_is_gone_with_who_and_why(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        proposed = office.edit(EVE, ADD)
        with pytest.raises(Refused, match="role approve"):
            office.do(replace(EVE, name="mallory"), "reject", id=proposed["proposal"])
        done = office.do(EVE, "reject", id=proposed["proposal"], reason="a slip")
        assert (done["state"], done["decided_by"], done["decided_reason"]) == ("rejected", "eve", "a slip")
        with pytest.raises(Refused, match="is rejected by eve"):
            office.do(BOB, "approve", id=proposed["proposal"])

    office.play(story)


def test_proposals_have_a_limit(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposals, "OPEN_MAX", 2)
    assert OPEN_MAX > 2

    async def story(publisher: Publisher) -> None:
        for domain in ("a.example", "b.example"):
            office.edit(EVE, ADD | {"domains": [domain]})
        with pytest.raises(Refused, match="wait already") as refused:
            office.edit(EVE, ADD)
        assert refused.value.kind is Kind.FULL

    office.play(story)


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b'{"id": "x"}', b"[" * 100_000])
def test_damaged_proposal_is_none(office: Office, octets: bytes) -> None:
    folder = office.stage.state / "proposals"
    folder.mkdir()
    (folder / "0123456789ab.json").write_bytes(octets)

    async def story(publisher: Publisher) -> None:
        assert office.do(BOB, "proposals")["items"] == []
        with pytest.raises(Refused, match="there is no proposal"):
            office.do(BOB, "approve", id="0123456789ab")

    office.play(story)


@pytest.mark.parametrize("name", ["../approvals", "", "x" * 5_000, "0123456789AB", f"file-{0:032}"])
def test_id_leads_nowhere_else(office: Office, name: str) -> None:
    async def story(publisher: Publisher) -> None:
        with pytest.raises(Refused):
            office.do(BOB, "approve", id=name)

    office.play(story)


def test_text_of_a_proposal_that_was_tampered_with_is_not_put_in_force(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        proposed = office.edit(EVE, ADD)
        text = office.stage.state / "proposals" / f"{proposed['proposal']}.yaml"
        text.write_bytes(text.read_bytes().replace(b"more.example", b"evil.example"))
        with pytest.raises(Refused, match="is damaged"):
            office.do(BOB, "approve", id=proposed["proposal"])

    office.play(story)


def test_what_a_rail_objects_to_is_refused_and_forced_with_a_reason(office: Office) -> None:
    office.stage.write(*(entry(f"x{number}") for number in range(10)))
    edits = [{"do": "remove-exchange", "id": f"x{number}"} for number in range(8)]

    async def story(publisher: Publisher) -> None:
        with pytest.raises(Refused, match="a safety rail objects") as refused:
            office.edit(EVE, *edits)
        assert refused.value.kind is Kind.REFUSED and refused.value.more["problems"]
        proposed = office.edit(EVE, *edits, force=True)
        office.do(BOB, "approve", id=proposed["proposal"])
        office.stage.touch(office.stage.blocklist)
        assert await publisher.reload_if_changed() and not office.stage.blocks("x0")

    office.play(story)
    [approval] = read_approvals(office.stage.state)
    assert approval.is_forced and approval.approved_by == "bob"


def test_direct_change_is_written_at_once_and_names_who(office: Office) -> None:
    office.stage.two_person, office.place = False, replace(office.place, two_person=False)

    async def story(publisher: Publisher) -> None:
        done = office.edit(EVE, ADD)
        assert done["state"] == "applied" and done["base"] == office.base()
        office.stage.touch(office.stage.blocklist)
        assert await publisher.reload_if_changed() and office.stage.blocks("more")
        with pytest.raises(Refused, match="role approve"):
            office.edit(EVE, {"do": "remove-exchange", "id": "beta"}, force=True)

    office.play(story)
    [approval] = read_approvals(office.stage.state)
    assert (approval.who, approval.via, approval.approved_by) == ("eve", "api", "")


def test_blocklist_that_the_service_cannot_write_is_said_before_anything_is_proposed(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolver.changing.blocklist.os.access", lambda path, mode: False)

    async def story(publisher: Publisher) -> None:
        told = office.do(EVE, "standing")
        assert not told["writable"] and "cannot be written to by the service" in told["why"]
        with pytest.raises(Refused, match="cannot be written to") as refused:
            office.edit(EVE, ADD)
        assert refused.value.kind is Kind.UNWRITABLE and "layout" in refused.value.remedy

    office.play(story)


def test_broken_edit_is_refused_with_what_is_wrong(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        with pytest.raises(Refused, match="would not load it") as refused:
            office.edit(EVE, {"do": "set-exchange", "id": "alpha", "keys": {"order": "nothing"}})
        assert refused.value.more["problems"][0]["message"]

    office.play(story)
