"""Pauses: what stays in force, when they end, what no file and no clock can make of them."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resolver.changing import pausing as pausing_module
from resolver.changing.pausing import pause_filtering, resume_filtering
from resolver.changing.refusal import Refused
from resolver.clock import BootMoment
from resolver.publishing import pause_keeper
from resolver.publishing import publisher as publisher_module
from resolver.publishing.paused_image import CannotPause
from resolver.publishing.pausing import Pause, PauseUnusable, pause_path, read_pause, write_pause
from resolver.publishing.publisher import Publisher
from resolver.wire.names import name_from_text as n
from tests.support.publisher_rig import DAY_S, Stage, entry, logged, nothing, play

HOUSE = """\
  own: {authority: Us, title: House rule, imposed_by: house}
"""


def house(label: str, more: str = "") -> str:
    return f"  {label}: {{name: {label.title()}, domains: [{label}.example]{more}}}\n"


def ask(
    stage: Stage, for_s: float = 600.0, *, including_orders: bool = False, approved_by: str = ""
) -> Pause:
    return pause_filtering(
        stage.state,
        "ann",
        for_s,
        "the bank's portal fails",
        including_orders=including_orders,
        wall=stage.clock.wall(),
        boot=stage.boot(),
        approved_by=approved_by,
    )


def resume(stage: Stage) -> None:
    resume_filtering(stage.state, "bob", None, wall=stage.clock.wall(), boot=stage.boot())


def test_pause_opens_house_rules_and_leaves_external_orders_enforced(stage: Stage) -> None:
    stage.write(entry("alpha"), house("beta"))

    async def story(publisher: Publisher) -> None:
        ask(stage)
        await publisher.reload_if_changed()
        assert stage.blocks("alpha") and not stage.blocks("beta")
        assert stage.compiled == 1, "nothing is compiled for it"

    play(stage, story)


def test_pause_including_orders_opens_everything(stage: Stage) -> None:
    stage.write(entry("alpha"), house("beta"))

    async def story(publisher: Publisher) -> None:
        ask(stage, including_orders=True)
        await publisher.reload_if_changed()
        assert not stage.blocks("alpha") and not stage.blocks("beta")

    play(stage, story)


def test_pause_ends_by_itself_at_its_second_even_if_nobody_looks(stage: Stage) -> None:
    stage.write(house("beta"))

    async def story(publisher: Publisher) -> None:
        ask(stage, 600.0)
        await publisher.reload_if_changed()
        begun = stage.clock.wall()
        stage.clock.advance(599.0)
        assert not stage.blocks("beta") and publisher.pausing.until == pytest.approx(begun + 600)
        assert "by ann (the bank's portal fails)" in publisher.pausing.remark()
        assert publisher.pausing.remark_outside() == "filtering is paused until 2020-09-13T12:53:20Z"
        stage.clock.advance(1.0)
        assert stage.blocks("beta"), "the policy's own date"
        await publisher.reload_if_changed()
        assert publisher.pausing.until == 0 and stage.blocks("beta")

    play(stage, story)


def test_remark_of_a_pause_is_short_and_says_what_stays(stage: Stage) -> None:
    names = [f"x{number}" for number in range(9)]
    house_rules = "".join(
        f"  {name}: {{name: {name}, order: own, domains: [{name}.example, {name}.test]}}\n" for name in names
    )
    stage.blocklist.write_text(
        "version: 1\norders:\n"
        "  one: {authority: A, title: T, date: 2020-01-01}\n"
        "  own: {authority: Us, title: R, imposed_by: house}\n"
        f"exchanges:\n{entry('alpha')}{house_rules}"
    )

    async def story(publisher: Publisher) -> None:
        ask(stage)
        await publisher.reload_if_changed()
        assert publisher.pausing.remark().endswith(
            "not blocked: 9 exchanges and lists (x0, x1, x2 and 6 more; 18 domains of exchanges), "
            "1 exchange or list stays in force"
        )

    play(stage, story)


def test_answers_of_a_pause_live_no_longer_than_the_pause(stage: Stage) -> None:
    stage.write(house("beta"))

    async def story(publisher: Publisher) -> None:
        ask(stage, 600.0)
        await publisher.reload_if_changed()
        now = stage.clock.now()
        verdict = stage.published[-1].everybody.judge_name(n("beta.example"), now)
        assert verdict.valid_until == pytest.approx(now + 600)

    play(stage, story)


def test_resume_ends_a_pause_before_its_time(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.write(house("beta"))

    async def story(publisher: Publisher) -> None:
        ask(stage)
        await publisher.reload_if_changed()
        resume(stage)
        await publisher.reload_if_changed()
        assert stage.blocks("beta") and publisher.pausing.remark() == ""

    caplog.set_level(logging.WARNING)
    play(stage, story)
    assert logged(caplog, "FILTERING IS PAUSED until 2020-09-13T12:53:20Z by ann (the bank's portal fails)")
    assert logged(caplog, "filtering goes on: bob ended the pause by ann")


def test_pause_survives_a_restart_with_its_end(stage: Stage) -> None:
    stage.write(house("beta"))

    async def first(publisher: Publisher) -> None:
        ask(stage, 600.0)
        await publisher.reload_if_changed()

    async def second(publisher: Publisher) -> None:
        assert not stage.blocks("beta"), "from the first answer on"
        stage.clock.advance(301.0)
        assert stage.blocks("beta")

    play(stage, first)
    stage.clock.advance(300.0)
    play(stage, second)


def test_pause_survives_a_restart_of_the_machine_with_its_end(stage: Stage) -> None:
    stage.write(house("beta"))

    async def second(publisher: Publisher) -> None:
        assert not stage.blocks("beta")
        stage.clock.advance(301.0)
        assert stage.blocks("beta")

    play(stage, nothing)
    ask(stage, 600.0)
    stage.boot_id = "second"
    stage.clock.advance(300.0)
    play(stage, second)


def test_reload_within_a_pause_leaves_it_in_force(stage: Stage) -> None:
    stage.write(house("beta"))

    async def story(publisher: Publisher) -> None:
        ask(stage)
        await publisher.reload_if_changed()
        stage.write(house("beta"), house("gamma"), entry("alpha"))
        assert await publisher.reload_if_changed()
        assert not stage.blocks("beta") and not stage.blocks("gamma") and stage.blocks("alpha")
        assert await publisher.reload_if_changed(asked=True)
        assert not stage.blocks("beta"), "the same content again"

    play(stage, story)


def test_second_pause_takes_the_place_of_the_first(stage: Stage) -> None:
    stage.write(entry("alpha"), house("beta"))

    async def story(publisher: Publisher) -> None:
        ask(stage, 600.0, including_orders=True)
        await publisher.reload_if_changed()
        ask(stage, 60.0)
        await publisher.reload_if_changed()
        assert stage.blocks("alpha") and not stage.blocks("beta")
        stage.clock.advance(61.0)
        assert stage.blocks("beta")

    play(stage, story)


def test_wall_clock_set_within_a_pause_neither_ends_nor_stretches_it(stage: Stage) -> None:
    stage.write(house("beta"))

    async def story(publisher: Publisher) -> None:
        ask(stage, 600.0)
        await publisher.reload_if_changed()
        for ahead in (40 * DAY_S, -80 * DAY_S):
            stage.clock.wall_ahead += ahead
            publisher.heed_dates()
            await publisher.reload_if_changed()
            assert not stage.blocks("beta"), ahead
        stage.clock.advance(601.0)
        await publisher.reload_if_changed()
        assert stage.blocks("beta")

    play(stage, story)


def test_pause_made_by_a_clock_ahead_is_over_when_the_right_time_comes_with_a_restart(stage: Stage) -> None:
    stage.write(house("beta"))
    play(stage, nothing)
    stage.clock.wall_ahead += 9_000 * DAY_S
    ask(stage)
    stage.clock.wall_ahead -= 9_000 * DAY_S
    stage.boot_id = "second"

    async def story(publisher: Publisher) -> None:
        assert stage.blocks("beta")

    play(stage, story)


def test_external_order_that_is_over_keeps_nothing_in_a_pause(stage: Stage) -> None:
    stage.blocklist.write_text(
        "version: 1\norders:\n"
        "  law: {authority: Court, title: Order, until: 2019-01-01}\n"
        "  own: {authority: Us, title: Rule, imposed_by: house}\n"
        "exchanges:\n  beta: {name: Beta, order: [law, own], domains: [beta.example]}\n"
    )

    async def story(publisher: Publisher) -> None:
        assert stage.blocks("beta")
        ask(stage)
        await publisher.reload_if_changed()
        assert not stage.blocks("beta")

    play(stage, story)


def test_phase_of_an_external_order_stays_and_that_of_the_house_is_paused(stage: Stage) -> None:
    """The house blocks until noon, the court from noon on: each within one pause."""
    stage.blocklist.write_text(
        "version: 1\norders:\n"
        '  own: {authority: Us, title: Rule, imposed_by: house, until: "2020-09-13T12:45:00Z"}\n'
        '  law: {authority: Court, title: Order, from: "2020-09-13T12:45:00Z"}\n'
        "exchanges:\n  beta: {name: Beta, order: [law, own], domains: [beta.example]}\n"
    )

    async def story(publisher: Publisher) -> None:
        assert stage.blocks("beta")
        ask(stage, 3_600.0)
        await publisher.reload_if_changed()
        assert not stage.blocks("beta")
        verdict = stage.published[-1].everybody.judge_name(n("beta.example"), stage.clock.now())
        assert verdict.valid_until < stage.clock.now() + 400, "the court's day comes first"
        stage.clock.advance(400.0)
        assert stage.blocks("beta"), "an authority's order is not paused"

    play(stage, story)


def test_exceptions_of_a_paused_list_stay(stage: Stage) -> None:
    """A list of the house excepts a name that an authority's list blocks: it must not be blocked by a pause."""
    (stage.folder / "house.txt").write_text("||ads.example^\n@@||good.example^\n")
    (stage.folder / "law.txt").write_text("good.example\nbad.example\n")
    lists = (
        "lists:\n  - {name: house, path: house.txt, format: adblock}\n"
        "  - {name: law, path: law.txt, order: one}\n"
    )
    stage.write(house("beta"), rest=lists)

    async def story(publisher: Publisher) -> None:
        assert stage.blocks("ads") and not stage.blocks("good") and stage.blocks("bad")
        ask(stage)
        await publisher.reload_if_changed()
        assert not stage.blocks("ads") and not stage.blocks("good") and stage.blocks("bad")

    play(stage, story)


def test_confidential_exchange_is_counted_in_what_is_told_of_a_pause(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.blocklist.write_text(
        "version: 1\norders:\n"
        "  own: {authority: Us, title: Rule, imposed_by: house, confidential: true}\n"
        "exchanges:\n  hidden: {name: Hidden, order: own, domains: [hidden.example]}\n"
    )

    async def story(publisher: Publisher) -> None:
        ask(stage)
        await publisher.reload_if_changed()
        assert not stage.blocks("hidden")
        told = publisher.pausing.remark() + json.dumps(publisher.pausing.as_json()) + caplog.text
        assert "hidden" not in told.lower() and "1 exchange or list" in told

    caplog.set_level(logging.INFO)
    play(stage, story)


def test_names_allowed_before_are_allowed_in_a_pause(stage: Stage) -> None:
    stage.write(entry("alpha"), rest="allow: [www.alpha.example]\n")

    async def story(publisher: Publisher) -> None:
        ask(stage)
        await publisher.reload_if_changed()
        table = stage.published[-1].everybody
        assert stage.blocks("alpha")
        assert not table.judge_name(n("www.alpha.example"), stage.clock.now()).is_blocked

    play(stage, story)


GOOD: dict[str, Any] = {
    "version": 1,
    "id": "0102",
    "at": 1.6e9 + 1000,
    "for_s": 600.0,
    "who": "ann",
    "reason": "why",
    "including_orders": True,
    "boot": "first",
    "boot_s": 1000.0,
    "ended": None,
}
DAMAGED: dict[str, dict[str, Any]] = {
    "longer than a day": {"for_s": 86_401.0},
    "endless": {"for_s": 1e300},
    "no number": {"for_s": math.nan},
    "no time": {"at": math.inf},
    "no reason": {"reason": ""},
    "no scope": {"including_orders": "no"},
    "another version": {"version": 2},
    "a huge reason": {"reason": "x" * 10_000},
}


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b"\xff\xfe", b"9" * 5_000, b"[" * 100_000], ids=repr)
def test_file_that_is_no_pause_pauses_nothing_and_says_so(stage: Stage, octets: bytes) -> None:
    stage.write(house("beta"))

    async def story(publisher: Publisher) -> None:
        pause_path(stage.state).write_bytes(octets)
        await publisher.reload_if_changed()
        assert stage.blocks("beta") and "pause.json" in publisher.pausing.remark()

    play(stage, story)


@pytest.mark.parametrize("fault", DAMAGED)
def test_damaged_pause_pauses_nothing(tmp_path: Path, fault: str) -> None:
    pause_path(tmp_path).write_text(json.dumps(GOOD))
    assert read_pause(tmp_path) is not None
    pause_path(tmp_path).write_text(json.dumps(GOOD | DAMAGED[fault]))
    with pytest.raises(PauseUnusable):
        read_pause(tmp_path)


def test_file_damaged_within_a_pause_ends_it(stage: Stage) -> None:
    stage.write(house("beta"))

    async def story(publisher: Publisher) -> None:
        ask(stage)
        await publisher.reload_if_changed()
        pause_path(stage.state).write_text("{")
        await publisher.reload_if_changed()
        assert stage.blocks("beta")
        ask(stage)
        await publisher.reload_if_changed()
        assert not stage.blocks("beta"), "the command writes it anew"

    play(stage, story)


def test_pause_that_cannot_be_written_leaves_everything_blocked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.write(house("beta"))

    def full(*_: object, **__: object) -> None:
        raise CannotPause("no space")

    async def story(publisher: Publisher) -> None:
        monkeypatch.setattr(pause_keeper, "write_paused", full)
        ask(stage)
        await publisher.reload_if_changed()
        assert stage.blocks("beta") and publisher.pausing.until == 0
        assert publisher.pausing.remark() == "a pause was asked for and is refused: no space"
        stage.clock.advance(601.0)
        assert publisher.pausing.remark() == "", "it would be over"

    play(stage, story)


@pytest.mark.parametrize("later", ["a reload", "a restart"])
def test_pause_that_was_refused_never_begins_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, later: str
) -> None:
    stage.write(house("beta"))

    def full(*_: object, **__: object) -> None:
        raise CannotPause("no space")

    async def refused(publisher: Publisher) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(pause_keeper, "write_paused", full)
            ask(stage)
            await publisher.heed_pause()
            assert publisher.pausing.trouble
        if later == "a reload":
            stage.write(house("beta"), house("gamma"))
            assert await publisher.reload_if_changed()
            assert stage.blocks("beta") and stage.blocks("gamma")
        told = publisher.pausing.as_json()["ended"]
        assert told["who"] == "the server" and told["reason"] == "no space"

    async def afterwards(publisher: Publisher) -> None:
        assert stage.blocks("beta") and publisher.pausing.until == 0
        ask(stage)
        await publisher.heed_pause()
        assert not stage.blocks("beta"), "another one may"

    play(stage, refused)
    play(stage, afterwards)


def test_pause_that_is_refused_is_withdrawn_though_the_disk_is_full(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.write(house("beta"))

    def full(*_: object, **__: object) -> None:
        raise CannotPause("no space")

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def story(publisher: Publisher) -> None:
        ask(stage)
        with monkeypatch.context() as patched:
            patched.setattr(pause_keeper, "write_paused", full)
            patched.setattr("resolver.publishing.pausing._write", no_room)
            await publisher.heed_pause()
        assert not pause_path(stage.state).exists()

    play(stage, story)
    play(stage, nothing)
    assert stage.blocks("beta")


def test_pause_that_ends_with_a_reload_without_room_stays_over(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.write(house("beta"))

    def full(*_: object, **__: object) -> None:
        raise CannotPause("no space")

    async def story(publisher: Publisher) -> None:
        ask(stage)
        await publisher.heed_pause()
        assert not stage.blocks("beta")
        with monkeypatch.context() as patched:
            patched.setattr(pause_keeper, "write_paused", full)
            stage.write(house("beta"), house("gamma"))
            assert await publisher.reload_if_changed()
        assert stage.blocks("beta")
        stage.write(house("beta"))
        assert await publisher.reload_if_changed() and stage.blocks("beta")

    play(stage, story)


def test_pause_that_the_command_cannot_keep_for_sure_is_withdrawn(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails may be the last step, behind the rename."""
    stage.write(house("beta"))
    keep = write_pause

    def kept_and_failed(state_dir: Path, pause: Pause) -> None:
        keep(state_dir, pause)
        raise OSError(5, "Input/output error")

    async def story(publisher: Publisher) -> None:
        monkeypatch.setattr(pausing_module, "write_pause", kept_and_failed)
        with pytest.raises(Refused, match="Input/output"):
            ask(stage)
        await publisher.heed_pause()
        assert stage.blocks("beta") and publisher.pausing.until == 0

    play(stage, story)


def test_with_two_people_a_pause_that_one_asks_for_is_refused(stage: Stage) -> None:
    stage.write(house("beta"))

    async def story(publisher: Publisher) -> None:
        publisher.pausing.two_person = True
        ask(stage, approved_by="bob")
        await publisher.heed_pause()
        assert not stage.blocks("beta")
        ask(stage)
        await publisher.heed_pause()
        assert stage.blocks("beta"), "nor does the one go on whose place it took"
        assert "two people are needed" in publisher.pausing.remark()
        pause = read_pause(stage.state)
        assert pause is not None and pause.ended is not None

    play(stage, story)


@pytest.mark.parametrize("where", ["read_pause", "make_policy"])
def test_resume_that_is_cancelled_within_is_found_by_the_next_look(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    stage.write(house("beta"))
    place = pause_keeper if where == "read_pause" else publisher_module

    def cancelled(*_: object) -> None:
        raise asyncio.CancelledError

    async def story(publisher: Publisher) -> None:
        ask(stage)
        await publisher.heed_pause()
        resume(stage)
        with monkeypatch.context() as patched:
            patched.setattr(place, where, cancelled)
            with pytest.raises(asyncio.CancelledError):
                await publisher.heed_pause()
        assert not stage.blocks("beta")
        await publisher.reload_if_changed()
        assert stage.blocks("beta") and publisher.pausing.until == 0

    play(stage, story)


def test_left_time_counts_by_the_clock_that_nobody_sets() -> None:
    pause = Pause("1", 1.6e9, 600.0, "ann", "why", False, "a", 50.0)
    same, other = BootMoment("a", 350.0), BootMoment("b", 1.0)
    assert pause.left_s(9e9, same) == pause.left_s(0.0, same) == 300.0
    assert pause.left_s(1.6e9 + 100, other) == 500.0
    assert pause.left_s(1.6e9 - 30, other) == 600.0, "never more than its length"
    assert pause.left_s(1.6e9 - 61, other) == 0.0 and pause.left_s(1.6e9 + 601, other) == 0.0
    assert replace(pause, boot_s=400.0).left_s(1.6e9, same) == 0.0, "made in the future of this start"


def test_native_engine_judges_a_paused_image_as_python_does(stage: Stage) -> None:
    testing = pytest.importorskip("resolver_native.testing")
    (stage.folder / "house.txt").write_text("||ads.example^\n@@||good.example^\n")
    stage.write(
        entry("alpha"), house("beta"), rest="lists: [{name: house, path: house.txt, format: adblock}]\n"
    )

    async def story(publisher: Publisher) -> None:
        ask(stage)
        await publisher.reload_if_changed()
        policy = stage.published[-1]
        wall, now = policy.made_at
        native = testing.PolicyTable(str(policy.image.path), 1, wall, now)
        for label in ("alpha", "beta", "ads", "good", "www.beta"):
            name = n(f"{label}.example")
            ours, theirs = policy.everybody.judge_name(name, now), native.judge_name(name, now)
            assert theirs[0] == ours.action.value, label

    play(stage, story)
