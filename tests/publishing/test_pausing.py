"""Pauses: what stays in force, and when they end."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from resolver.clock import BootMoment
from resolver.publishing.pausing import Pause
from resolver.publishing.publisher import Publisher
from resolver.wire.names import name_from_text as n
from tests.publishing.pausing_rig import ask, house, resume
from tests.support.publisher_rig import DAY_S, Stage, entry, logged, nothing, play


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
