"""Two people for each change: what waits, who may approve, what of a proposal must still hold."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resolver.blocklist.downloads import stored_path
from resolver.changing import proposals, second_person
from resolver.changing.blocklist import Author, Place, alone, checked, read_text
from resolver.changing.doing import do
from resolver.changing.pause_requests import EXPIRES_S as PAUSE_EXPIRES_S
from resolver.changing.proposals import EXPIRES_S, OPEN_MAX
from resolver.changing.refusal import Kind, Refused
from resolver.changing.second_person import Wanted, make_change
from resolver.publishing.approvals import Approval, add_approval, content_hash, read_approvals
from resolver.publishing.compiled import InputFile
from resolver.publishing.history import Generation, history_path, open_history
from resolver.publishing.image_store import hash_file, note_path
from resolver.publishing.pausing import Pause, read_pause
from resolver.publishing.publisher import Publisher
from resolver.publishing.second_person import served_content
from resolver.scratch import PREFIX
from resolver.server.facts import reload_facts
from tests.support.publisher_rig import Stage, entry, play

ANN = Author("ann", "api", may_approve=True)
BOB = Author("bob", "api", may_approve=True)
EVE = Author("eve", "api")
"""An editor, who may not approve."""
NAMING_ADS = "lists: [{name: ads, path: ads.txt}]\n"
ADD = {"do": "add-domains", "id": "alpha", "domains": ["more.example"]}


class Office:
    """A served blocklist, and people who change it."""

    def __init__(self, stage: Stage, *, two_person: bool = True) -> None:
        self.stage = stage
        stage.with_state, stage.two_person = True, two_person
        stage.earliest = 0.0
        self.place = Place(stage.blocklist, stage.state, two_person, stage.clock.wall)
        stage.write(entry("alpha"), entry("beta"))

    def base(self) -> str:
        return read_text(self.place).sha256

    def do(self, who: Author, word: str, **asked: Any) -> dict[str, Any]:
        return do(self.place, who, word, asked)

    def edit(self, who: Author, *edits: dict[str, Any], **asked: Any) -> dict[str, Any]:
        return self.do(who, "edit", **{"base": self.base(), "edits": [*edits], "reason": "why", **asked})

    def play(self, story: Callable[[Publisher], Awaitable[None]]) -> None:
        play(self.stage, story)


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    # The stage's clock is behind this program's own files.
    monkeypatch.setattr("resolver.publishing.believed.built_at", lambda: 0.0)
    return Office(Stage(tmp_path))


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


def test_edited_local_list_waits_as_the_blocklist_does(office: Office) -> None:
    stage = office.stage
    (stage.folder / "ads.txt").write_text("ads.example\n")
    stage.write(entry("alpha"), rest="lists: [{name: ads, path: ads.txt}]\n")

    async def story(publisher: Publisher) -> None:
        (stage.folder / "ads.txt").write_text("ads.example\nnews.example\n")
        stage.touch(stage.folder / "ads.txt")
        assert not await publisher.reload_if_changed()
        [waiting] = office.do(BOB, "proposals")["items"]
        assert "list file changed" in waiting["words"]
        office.do(BOB, "approve", id=waiting["id"])
        assert await publisher.reload_if_changed() and stage.blocks("news")

    office.play(story)


def test_list_edited_while_a_forced_text_serves_waits_all_the_same(office: Office) -> None:
    stage = office.stage
    ads = stage.folder / "ads.txt"
    ads.write_text("ads.example\n")
    stage.write(entry("alpha"), rest="lists: [{name: ads, path: ads.txt}]\n")

    async def story(publisher: Publisher) -> None:
        stage.write(entry("alpha"), entry("beta"), rest="lists: [{name: ads, path: ads.txt}]\n")
        own, text = [hash_file(stage.blocklist), hash_file(ads)], hash_file(stage.blocklist).sha256
        forced = Approval(content_hash(own), "root", stage.clock.wall(), "fire", text, serial=1)
        add_approval(stage.state, forced)
        assert await publisher.reload_if_changed() and stage.blocks("beta")
        ads.write_text("ads.example\nnews.example\n")
        stage.touch(ads)
        assert not await publisher.reload_if_changed() and not stage.blocks("news")
        [waiting] = office.do(BOB, "proposals")["items"]
        office.do(BOB, "approve", id=waiting["id"])
        assert await publisher.reload_if_changed() and stage.blocks("news")

    office.play(story)


def test_list_that_an_edited_file_names_anew_is_approved_with_its_content(office: Office) -> None:
    ads = office.stage.folder / "ads.txt"

    async def story(publisher: Publisher) -> None:
        ads.write_text("ads.example\n")
        office.stage.write(entry("alpha"), entry("beta"), rest=NAMING_ADS)
        [seen] = office.do(BOB, "proposals")["items"]
        assert (
            seen["files"][str(ads)] == hash_file(ads).sha256 and f"list file changed: {ads}" in seen["words"]
        )
        ads.write_text("news.example\n")
        with pytest.raises(Refused, match="has changed since"):
            office.do(BOB, "approve", id=seen["id"])
        ads.write_text("ads.example\n")
        office.do(BOB, "approve", id=seen["id"])
        assert office.do(BOB, "proposals")["items"] == []
        assert await publisher.reload_if_changed() and office.stage.blocks("ads")

    office.play(story)


def test_list_that_changes_while_the_file_is_checked_is_not_approved(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    ads = office.stage.folder / "ads.txt"

    def slowly(place: Place, after: bytes, *, force: bool) -> Any:
        ads.write_text("news.example\n")
        return checked(place, after, force=force)

    async def story(publisher: Publisher) -> None:
        ads.write_text("ads.example\n")
        office.stage.write(entry("alpha"), entry("beta"), rest=NAMING_ADS)
        [seen] = office.do(BOB, "proposals")["items"]
        monkeypatch.setattr(second_person, "checked", slowly)
        with pytest.raises(Refused, match=r"ads\.txt is not what it was"):
            office.do(BOB, "approve", id=seen["id"])

    office.play(story)
    assert read_approvals(office.stage.state) == []


def test_list_of_a_proposal_is_approved_as_it_was_when_it_was_proposed(office: Office) -> None:
    ads = office.stage.folder / "ads.txt"
    ads.write_text("ads.example\n")

    async def story(publisher: Publisher) -> None:
        after = office.stage.blocklist.read_bytes() + NAMING_ADS.encode()
        with alone(office.place) as now:
            wanted = Wanted("rollback", after, "why", rolled_back_to=1)
            proposed = make_change(office.place, ANN, now, wanted)
        [seen] = office.do(BOB, "proposals")["items"]
        assert seen["files"][str(ads)] == hash_file(ads).sha256
        ads.write_text("news.example\n")
        with pytest.raises(Refused, match="is not what it was when this was proposed"):
            office.do(BOB, "approve", id=proposed["proposal"])
        ads.write_text("ads.example\n")
        office.do(BOB, "approve", id=proposed["proposal"])

    office.play(story)


def test_approver_sees_where_answers_lead_and_what_was_remarked(office: Office) -> None:
    """However many names stand beside it."""
    hole = {
        "do": "add-exchange",
        "id": "zeta",
        "keys": {"name": "Zeta", "order": "one", "action": "sinkhole", "sinkhole": {"ipv4": "192.0.2.66"}},
        "domains": ["z.example"],
    }
    many = [f"{'n' * 60}{number:03}.example" for number in range(500)]

    async def story(publisher: Publisher) -> None:
        proposed = office.edit(EVE, ADD | {"domains": many}, hole)
        [seen] = office.do(BOB, "proposals")["items"]
        assert "action: sinkhole\n" in seen["words"] and "192.0.2.66" in seen["words"]
        assert "more" in seen["words"].splitlines()[-1]
        assert seen["warnings"] == proposed["warnings"]

    office.play(story)


def test_approval_of_a_proposal_is_none_of_a_list_that_was_edited_beside_it(office: Office) -> None:
    stage = office.stage
    ads = stage.folder / "ads.txt"
    ads.write_text("ads.example\n")
    stage.write(entry("alpha"), rest="lists: [{name: ads, path: ads.txt}]\n")

    async def story(publisher: Publisher) -> None:
        proposed = office.edit(EVE, ADD)
        ads.write_text("ads.example\nnews.example\n")
        asks: list[Callable[[], Any]] = [
            lambda: office.do(BOB, "approve", id=proposed["proposal"]),
            lambda: office.edit(EVE, ADD | {"domains": ["x.example"]}),
        ]
        for ask in asks:
            with pytest.raises(Refused, match="waits for a second person itself"):
                ask()
        ads.write_text("ads.example\n")
        office.do(BOB, "approve", id=proposed["proposal"])

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


def paused(office: Office) -> Pause | None:
    pause = read_pause(office.stage.state)
    return pause if pause is not None and pause.ended is None else None


PAUSE = {"for_s": 1_800, "reason": "the bank's portal fails", "including_orders": True}


def test_pause_waits_for_another_person_and_says_what_it_opens(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        publisher.pausing.two_person = True
        asked = office.do(ANN, "pause", **PAUSE)
        assert asked["state"] == "proposed" and paused(office) is None
        assert "stands still for 30 min" in asked["words"] and "- exchange alpha" in asked["words"]
        assert asked["warnings"] == ["what authorities ordered is not enforced meanwhile: one"]
        [waiting] = office.do(BOB, "proposals")["items"]
        assert (waiting["kind"], waiting["about"], waiting["base_changed"]) == ("pause", "30 min", False)
        for who in (ANN, EVE):
            with pytest.raises(Refused) as refused:
                office.do(who, "approve", id=asked["proposal"])
            assert refused.value.kind is Kind.FORBIDDEN
        await publisher.heed_pause()
        assert office.stage.blocks("alpha")
        office.do(BOB, "approve", id=asked["proposal"])
        await publisher.heed_pause()
        assert not office.stage.blocks("alpha")
        told = publisher.pausing.as_json()["now"]
        assert (told["who"], told["approved_by"], told["proposal"]) == ("ann", "bob", asked["proposal"])
        with pytest.raises(Refused, match="is approved by bob"):
            office.do(BOB, "approve", id=asked["proposal"])

    office.play(story)


def test_pause_of_house_rules_says_that_orders_stay(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        office.stage.write(entry("alpha"), "  beta: {name: Beta, domains: [beta.example]}\n")
        [waiting] = office.do(BOB, "proposals")["items"]
        office.do(BOB, "approve", id=waiting["id"])
        assert await publisher.reload_if_changed()
        words = office.do(ANN, "pause", for_s=60, reason="why")["words"]
        assert (
            "- exchange beta" in words
            and "alpha" not in words
            and words.endswith(
                "not blocked meanwhile: 1 exchange or list (1 domain of exchanges), 1 exchange or list stays in force"
            )
        )

    office.play(story)


def test_request_of_a_pause_lapses_after_an_hour(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        asked = office.do(ANN, "pause", **PAUSE)
        office.stage.clock.advance(PAUSE_EXPIRES_S)
        with pytest.raises(Refused, match="is expired"):
            office.do(BOB, "approve", id=asked["proposal"])
        assert paused(office) is None

    office.play(story)


def test_pause_is_for_what_served_when_it_was_asked_for(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        asked = office.do(ANN, "pause", **PAUSE)
        office.stage.write(entry("alpha"), entry("beta"), entry("gamma"))
        [_, still] = office.do(BOB, "proposals")["items"]
        assert not still["base_changed"], "an edit that waits changes nothing of what it opens"
        office.do(BOB, "approve", id=office.do(BOB, "proposals")["items"][0]["id"])
        assert await publisher.reload_if_changed()
        with pytest.raises(Refused, match="another policy serves since"):
            office.do(BOB, "approve", id=asked["proposal"])
        assert paused(office) is None

    office.play(story)


@pytest.mark.parametrize("kind", ["local", "downloaded"])
def test_pause_is_for_the_lists_that_served_when_it_was_asked_for(office: Office, kind: str) -> None:
    stage = office.stage
    if kind == "local":
        path, place = stage.blocklist.parent / "names.txt", "path: names.txt"
    else:
        path, place = stored_path(stage.state, "names"), "url: https://lists.example/names.txt"
    path.parent.mkdir(exist_ok=True)

    async def story(publisher: Publisher) -> None:
        path.write_text("one.example\n")
        stage.write(entry("alpha"), rest=f"lists: [{{name: names, {place}, format: domains}}]\n")
        office.do(BOB, "approve", id=office.do(BOB, "proposals")["items"][0]["id"])
        assert await publisher.reload_if_changed()
        asked = office.do(ANN, "pause", **PAUSE)
        path.write_text("one.example\ntwo.example\n")
        if kind == "local":
            waits = next(one for one in office.do(BOB, "proposals")["items"] if one["kind"] == "file")
            office.do(BOB, "approve", id=waits["id"])
        assert await publisher.reload_if_changed()
        [told] = [one for one in office.do(BOB, "proposals")["items"] if one["kind"] == "pause"]
        assert told["base_changed"]
        with pytest.raises(Refused, match="another policy serves since"):
            office.do(BOB, "approve", id=asked["proposal"])
        assert paused(office) is None

    office.play(story)


def test_pause_alone_on_this_machine_is_recorded_as_such(office: Office) -> None:
    async def story(publisher: Publisher) -> None:
        publisher.pausing.two_person = True
        root = Author("root", may_approve=True)
        with pytest.raises(Refused, match="role approve"):
            office.do(EVE, "pause", **PAUSE)
        assert office.do(replace(BOB), "pause", **PAUSE, alone_here=True)["state"] == "proposed", (
            "not by the API"
        )
        assert office.do(root, "pause", **PAUSE, alone_here=True)["state"] == "paused"
        await publisher.heed_pause()
        assert publisher.pausing.as_json()["now"]["approved_by"] == "root, alone, on this machine"
        asked = office.do(root, "pause", **PAUSE)
        office.do(root, "approve", id=asked["proposal"], alone_here=True, reason="nobody is awake")
        pause = paused(office)
        assert pause is not None and pause.approved_by == "root, alone, on this machine: nobody is awake"

    office.play(story)


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


def record(state_dir: Path, file: InputFile, at: float = 1.0) -> None:
    with open_history(state_dir, create=True) as history:
        content = content_hash([file])
        history.add(Generation(0, at, content, file.sha256, "ann", "apply", "", {}, {}, False), None)


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
