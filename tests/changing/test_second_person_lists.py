"""Two people for each change of what lists hold, local ones and those that an edit names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from resolver.changing import second_person
from resolver.changing.blocklist import Place, alone, checked
from resolver.changing.refusal import Refused
from resolver.changing.second_person import Wanted, make_change
from resolver.publishing.approvals import Approval, add_approval, content_hash, read_approvals
from resolver.publishing.image_store import hash_file
from resolver.publishing.publisher import Publisher
from tests.support.office import ADD, ANN, BOB, EVE, NAMING_ADS, Office
from tests.support.publisher_rig import entry


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
