"""Two people for each change: what waits, who may approve, and how the rule is kept up."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resolver.changing import second_person
from resolver.changing.blocklist import Place, alone, checked
from resolver.changing.refusal import Kind, Refused
from resolver.changing.second_person import Wanted, make_change
from resolver.publishing.approvals import Approval, add_approval, content_hash, read_approvals
from resolver.publishing.image_store import hash_file, note_path
from resolver.publishing.publisher import Publisher
from resolver.scratch import PREFIX
from resolver.server.facts import reload_facts
from tests.support.office import ADD, ANN, BOB, EVE, NAMING_ADS, Office, record
from tests.support.publisher_rig import Stage, entry


def test_proposal_changes_nothing_until_another_one_approves_it(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        before = office.stage.blocklist.read_bytes()
        proposed = office.edit(EVE, ADD)
        assert proposed["state"] == "proposed" and "+ more.example" in proposed["words"]
        assert office.stage.blocklist.read_bytes() == before
        await publisher.reload_if_changed(asked=True)
        assert not office.stage.blocks("more")
        approved = office.do(BOB, "approve", id=proposed["proposal"], reason="fine")
        assert approved["state"] == "approved" and approved["decided_by"] == "bob"
        office.stage.touch(office.stage.blocklist)
        assert await publisher.reload_if_changed()
        assert office.stage.blocks("more")

    office.play(story)
    [approval] = read_approvals(office.stage.state)
    assert (approval.who, approval.approved_by, approval.via) == ("eve", "bob", "api")
    assert not approval.is_forced and approval.remark == "why"


def test_what_a_killed_change_has_left_goes_with_the_next_one(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f"{PREFIX}left"
    left.mkdir(mode=0o700)
    (left / "image").write_bytes(b"x")

    async def story(publisher: Publisher) -> None:
        office.edit(EVE, ADD)

    office.play(story)
    assert not list(tmp_path.glob(f"{PREFIX}*"))


@pytest.mark.parametrize("two_person", [True, False])
def test_dry_run_says_what_an_edit_would_change_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_person: bool
) -> None:
    monkeypatch.setattr("resolver.publishing.believed.built_at", lambda: 0.0)
    office = Office(Stage(tmp_path), two_person=two_person)

    async def story(publisher: Publisher) -> None:
        before = office.stage.blocklist.read_bytes()
        seen = office.edit(EVE, ADD, dry_run=True, reason=None)
        assert seen["state"] == "previewed" and seen["proposal"] is None and "+ more.example" in seen["words"]
        assert office.stage.blocklist.read_bytes() == before and read_approvals(office.stage.state) == []
        assert office.do(BOB, "proposals")["items"] == []
        with pytest.raises(Refused, match="rail objects"):
            office.edit(EVE, {**ADD, "domains": ["co.uk"]}, dry_run=True)
        with pytest.raises(Refused, match="changed meanwhile"):
            office.edit(EVE, ADD, dry_run=True, base="0" * 64)

    office.play(story)


def test_proposer_cannot_approve(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        proposed = office.edit(ANN, ADD)
        for who in (ANN, replace(ANN, name=" Ann ")):
            with pytest.raises(Refused, match="another one must approve") as refused:
                office.do(who, "approve", id=proposed["proposal"])
            assert refused.value.kind is Kind.FORBIDDEN
        office.do(BOB, "approve", id=proposed["proposal"])

    office.play(story)


def test_editor_cannot_approve(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        proposed = office.edit(ANN, ADD)
        with pytest.raises(Refused, match="takes the role approve"):
            office.do(EVE, "approve", id=proposed["proposal"])

    office.play(story)


def test_edit_of_the_file_itself_is_not_loaded_until_it_is_approved(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        office.stage.write(entry("alpha"), entry("beta"), entry("gamma"))
        assert not await publisher.reload_if_changed()
        assert not office.stage.blocks("gamma") and office.stage.blocks("alpha")
        assert "waits for a second person" in publisher.status.last_problems[0].message
        told = reload_facts(publisher.status)
        assert told.waits_for_second and not told.serves_last_good, "it is in order, and only waits"
        [waiting] = office.do(BOB, "proposals")["items"]
        assert waiting["kind"] == "file" and "+ exchange gamma" in waiting["words"]
        office.do(BOB, "approve", id=waiting["id"])
        assert await publisher.reload_if_changed()
        assert office.stage.blocks("gamma") and office.do(BOB, "proposals")["items"] == []

    office.play(story)


def test_file_that_changed_again_is_not_what_was_approved(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        office.stage.write(entry("alpha"), entry("beta"), entry("gamma"))
        [waiting] = office.do(BOB, "proposals")["items"]
        office.stage.write(entry("alpha"), entry("beta"), entry("gamma"), entry("delta"))
        with pytest.raises(Refused, match="has changed since"):
            office.do(BOB, "approve", id=waiting["id"])
        assert not await publisher.reload_if_changed()

    office.play(story)


def test_whoever_edited_the_file_cannot_approve_it(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolver.changing.second_person.user_name", lambda uid: "bob")

    async def story(publisher: Publisher) -> None:
        office.stage.write(entry("alpha"), entry("beta"), entry("gamma"))
        [waiting] = office.do(BOB, "proposals")["items"]
        with pytest.raises(Refused, match="another one must approve it"):
            office.do(BOB, "approve", id=waiting["id"])

    office.play(story)


def test_whoever_edited_any_of_the_files_cannot_approve_them(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    ads = office.stage.folder / "ads.txt"
    owners = {0: "ann", 12: "bob"}
    stat = Path.stat

    def by_owner(path: Path, **more: Any) -> Any:
        found = stat(path, **more)
        return os.stat_result([*found[:4], 12, *found[5:10]]) if path == ads else found

    monkeypatch.setattr("resolver.changing.second_person.user_name", lambda uid: owners.get(uid, "ann"))

    async def story(publisher: Publisher) -> None:
        ads.write_text("ads.example\n")
        office.stage.write(entry("alpha"), entry("beta"), rest=NAMING_ADS)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "stat", by_owner)
            [waiting] = office.do(BOB, "proposals")["items"]
            assert waiting["who"] == "ann, bob"
            for who in (ANN, BOB, replace(BOB, name="Bob (as root)")):
                with pytest.raises(Refused, match="another one must approve it"):
                    office.do(who, "approve", id=waiting["id"])
            office.do(replace(BOB, name="carol"), "approve", id=waiting["id"])

    office.play(story)


def test_nothing_is_proposed_on_top_of_an_edit_that_waits_but_to_go_back(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        old = office.stage.blocklist.read_bytes()
        office.stage.write(entry("alpha"), entry("beta"), entry("gamma"))
        with pytest.raises(Refused, match="waits for a second person itself") as refused:
            office.edit(EVE, ADD)
        assert refused.value.kind is Kind.CONFLICT
        with alone(office.place) as now:
            make_change(office.place, ANN, now, Wanted("rollback", old, "why", rolled_back_to=1))

    office.play(story)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("ann (as root)", "Ann", True),
        ("ann", " ann ", True),
        ("ann", "anna", False),
        ("root", "ann (as root)", False),
    ],
)
def test_person_is_one_whatever_they_act_as(one: str, other: str, is_same: bool) -> None:
    assert second_person.same_person(one, other) is is_same


def test_force_on_the_machine_overrules_that_two_are_needed_and_is_recorded(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        office.stage.write(entry("alpha"), entry("beta"), entry("gamma"))
        assert not await publisher.reload_if_changed()
        content = content_hash([hash_file(office.stage.blocklist)])
        add_approval(
            office.stage.state, Approval(content, "root", office.stage.clock.wall(), "fire", serial=1)
        )
        assert await publisher.reload_if_changed()
        assert office.stage.blocks("gamma")

    office.play(story)


def test_approved_text_put_back_later_needs_a_second_person_again(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        old = office.stage.blocklist.read_bytes()
        for domain in ("more.example", "most.example"):
            proposed = office.edit(EVE, ADD | {"domains": [domain]})
            office.do(BOB, "approve", id=proposed["proposal"])
            office.stage.touch(office.stage.blocklist)
            assert await publisher.reload_if_changed()
        office.stage.blocklist.write_bytes(old)
        office.stage.touch(office.stage.blocklist)
        assert not await publisher.reload_if_changed()
        assert office.stage.blocks("most")

    office.play(story)


def test_file_that_an_editor_changes_while_a_change_is_checked_is_not_written_over(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.place = replace(office.place, two_person=False)

    def slowly(place: Place, after: bytes, *, force: bool) -> Any:
        compiled = checked(place, after, force=force)
        office.stage.blocklist.write_text(office.stage.blocklist.read_text() + "# by hand\n")
        return compiled

    monkeypatch.setattr(second_person, "checked", slowly)

    async def story(publisher: Publisher) -> None:
        with pytest.raises(Refused, match="was changed meanwhile"):
            office.edit(EVE, ADD)
        assert "# by hand" in office.stage.blocklist.read_text()
        assert "more.example" not in office.stage.blocklist.read_text()

    office.play(story)


def test_first_policy_needs_nobody(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        assert office.stage.blocks("alpha")

    office.play(story)


@pytest.mark.parametrize("fault", ["damaged", "gone"])
def test_note_that_is_lost_does_not_turn_the_rule_off(office: Office, fault: str) -> None:
    note = note_path(office.stage.state)

    async def story(publisher: Publisher) -> None:
        record(office.stage.state, hash_file(office.stage.blocklist))
        note.write_text("{")
        if fault == "gone":
            note.unlink()
        office.stage.write(entry("alpha"), entry("beta"), entry("gamma"))
        assert not await publisher.reload_if_changed() and not office.stage.blocks("gamma")
        [waiting] = office.do(BOB, "proposals")["items"]
        office.do(BOB, "approve", id=waiting["id"])
        assert await publisher.reload_if_changed() and office.stage.blocks("gamma")

    office.play(story)


def test_edit_that_cannot_be_loaded_is_a_fault_and_none_that_waits(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        office.stage.write(entry("alpha"), entry("beta"), "  broken: [")
        assert not await publisher.reload_if_changed()
        told = reload_facts(publisher.status)
        assert told.serves_last_good and not told.waits_for_second
        office.stage.write("  alpha: {name: Alpha, order: one, domains: [org]}\n")
        assert not await publisher.reload_if_changed()
        told = reload_facts(publisher.status)
        assert told.serves_last_good and not told.waits_for_second, "a rail objects, too"

    office.play(story)
