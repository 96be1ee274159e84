"""Two people for a pause: what waits, for how long, and what is recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from resolver.blocklist.downloads import stored_path
from resolver.changing.blocklist import Author
from resolver.changing.pause_requests import EXPIRES_S as PAUSE_EXPIRES_S
from resolver.changing.refusal import Kind, Refused
from resolver.publishing.publisher import Publisher
from tests.support.office import ANN, BOB, EVE, PAUSE, Office, paused
from tests.support.publisher_rig import entry


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
