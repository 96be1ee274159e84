"""Dates and clocks: what begins and ends while the server runs, and while it does not."""

from __future__ import annotations

import asyncio
import logging
from ipaddress import IPv6Network
from typing import Any

import pytest

from resolver.policy.image import Image
from resolver.policy.policy import Policy, make_policy
from resolver.publishing import publisher as publisher_module
from resolver.publishing.publisher import (
    CHECK_S,
    Publisher,
)
from resolver.publishing.timetable import Timetable
from resolver.wire.carried_addresses import nat64_prefix
from resolver.wire.names import name_from_text as n
from tests.support.publisher_rig import DAY_S, Stage, entry, logged, nothing, play


def test_coming_date_swaps_a_table_over_the_same_image(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stage.clock.wall_ahead = 1.6e9 - (1.6e9 % DAY_S) - 1000.0 + 12 * 3600  # Noon, 2020-09-13.
    stage.write(entry("alpha", ", from: 2020-09-14"), entry("beta", ", until: 2020-09-15"))

    async def story(publisher: Publisher) -> None:
        assert not stage.blocks("alpha") and stage.blocks("beta")
        stage.clock.advance(12 * 3600 - 1)
        assert len(stage.published) == 1
        stage.clock.advance(1)
        assert [policy.generation for policy in stage.published] == [1, 2]
        assert stage.blocks("alpha") and stage.compiled == 1
        assert stage.published[1].image is stage.published[0].image
        stage.clock.advance(DAY_S)
        assert publisher.status.generation == 3 and not stage.blocks("beta")

    play(stage, story)
    # Once each.
    come = [line for line in caplog.messages if "come" in line or "judged" in line]
    assert len(come) == 2 and come[0].endswith(": alpha") and come[1].endswith(": beta")


PREFIXES = (nat64_prefix(IPv6Network("2001:db8:64::/96")),)


def test_other_nat64_prefixes_swap_a_table_over_the_same_image(stage: Stage) -> None:
    stage.write(entry("alpha"))

    async def story(publisher: Publisher) -> None:
        publisher.judge_by(PREFIXES)
        publisher.judge_by(PREFIXES)
        assert [(policy.generation, policy.nat64_prefixes) for policy in stage.published] == [
            (1, ()),
            (2, PREFIXES),
        ]
        assert stage.published[1].image is stage.published[0].image
        assert stage.published[1].table_for(3).nat64_prefixes == PREFIXES
        stage.write(entry("beta"))
        assert await publisher.reload_if_changed()
        assert stage.published[-1].nat64_prefixes == PREFIXES

    play(stage, story)


def test_prefixes_that_come_while_a_policy_is_made_are_in_it_and_share_no_generation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.write(entry("alpha"))

    async def story(publisher: Publisher) -> None:
        loop = asyncio.get_running_loop()
        made: list[int] = []

        def make(*arguments: Any) -> Policy:
            if not made:
                asyncio.run_coroutine_threadsafe(found(), loop).result(10)
            made.append(arguments[1])
            return make_policy(*arguments)

        async def found() -> None:
            monkeypatch.undo()
            publisher.judge_by(PREFIXES)
            monkeypatch.setattr(publisher_module, "make_policy", make)

        monkeypatch.setattr(publisher_module, "make_policy", make)
        stage.write(entry("beta"))
        assert await publisher.reload_if_changed()
        assert [policy.generation for policy in stage.published] == [1, 2, 3]
        assert stage.published[-1].nat64_prefixes == PREFIXES and stage.blocks("beta")

    play(stage, story)


def test_prefixes_that_come_while_the_timetable_is_read_are_in_the_new_policy_and_share_no_generation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.write(entry("alpha"))

    async def story(publisher: Publisher) -> None:
        loop = asyncio.get_running_loop()

        async def found() -> None:
            publisher.judge_by(PREFIXES)

        def read(image: Image | None) -> Timetable:
            asyncio.run_coroutine_threadsafe(found(), loop).result(10)
            return Timetable(image)

        monkeypatch.setattr(publisher_module, "Timetable", read)
        stage.write(entry("beta"))
        assert await publisher.reload_if_changed()
        assert [policy.generation for policy in stage.published] == [1, 2, 3]
        assert stage.published[-1].nat64_prefixes == PREFIXES and stage.blocks("beta")

    play(stage, story)


def test_wall_clock_that_was_set_is_noticed_and_slewing_is_not(stage: Stage) -> None:
    stage.write(entry("alpha", ", from: 2030-01-01"))

    async def story(publisher: Publisher) -> None:
        stage.clock.wall_ahead += 0.5
        stage.clock.advance(CHECK_S)
        assert publisher.status.generation == 1 and not stage.blocks("alpha")
        stage.clock.wall_ahead += 20 * 365 * DAY_S
        stage.clock.advance(CHECK_S)
        assert publisher.status.generation == 2 and stage.blocks("alpha")

    play(stage, story)


ORDERED = "exchanges:\n  alpha: {name: Alpha, order: two, domains: [alpha.example]}\n"


def ordered(stage: Stage, keys: str) -> None:
    """Write a blocklist of one exchange under one order with these keys."""
    head = f"version: 1\norders:\n  two: {{authority: Court, title: Order, {keys}}}\n"
    stage.blocklist.write_text(head + ORDERED)
    stage.touch(stage.blocklist)


def noon(stage: Stage) -> None:
    stage.clock.wall_ahead = 1.6e9 - (1.6e9 % DAY_S) - 1000.0 + 12 * 3600  # Noon, 2020-09-13.


def test_a_date_that_passes_is_one_log_line_and_one_entry_for_the_record(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    ordered(stage, "until: 2020-09-14")

    async def story(publisher: Publisher) -> None:
        assert stage.blocks("alpha")
        stage.clock.advance(DAY_S)
        assert not stage.blocks("alpha")

    play(stage, story)
    assert [turn.at for turn in stage.turns] == [1.6e9 - (1.6e9 % DAY_S) + DAY_S]
    [line] = logged(caplog, "has come")
    assert "ends: order two; not blocked any more: 1 exchange, 1 domain: alpha" in line
    [ahead] = logged(caplog, "in less than a day")
    assert "on 2020-09-14: ends: order two" in ahead


def test_an_order_that_changes_no_rule_is_told_on_its_day_all_the_same(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    stage.blocklist.write_text(
        "version: 1\norders:\n  two: {authority: C, title: T, until: 2020-09-14}\n"
        "exchanges:\n  alpha: {name: Alpha, domains: [alpha.example]}\n"
    )

    async def story(publisher: Publisher) -> None:
        stage.clock.advance(DAY_S)

    play(stage, story)
    assert len(logged(caplog, "has come: ends: order two; no exchange and no list opens")) == 1


def test_dates_that_passed_while_the_server_was_off_are_told_at_the_start(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    ordered(stage, "until: 2020-09-14")
    play(stage, nothing)
    caplog.clear()
    stage.clock.wall_ahead += 3 * DAY_S
    play(stage, nothing)
    assert len(logged(caplog, "2020-09-14 has come: ends: order two")) == 1
    caplog.clear()
    play(stage, nothing)
    assert logged(caplog, "has come") == []


def test_an_announcement_is_made_once_over_restarts(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    noon(stage)
    ordered(stage, "until: 2020-09-20")
    for _ in range(2):
        play(stage, nothing)
    assert len(logged(caplog, "in 7 days, on 2020-09-20")) == 1


def test_a_board_whose_clock_starts_in_1970_does_not_start_open(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    ordered(stage, "from: 2020-09-13")
    play(stage, nothing)
    stage.clock.wall_ahead = 0.0

    async def story(publisher: Publisher) -> None:
        assert stage.blocks("alpha") and "1970-01-01" in publisher.dates.wall.remark()
        # That time goes on, and the right one is believed when it comes.
        stage.clock.advance(DAY_S)
        assert stage.blocks("alpha")
        stage.clock.wall_ahead = 1.6e9 + 10 * DAY_S
        stage.clock.advance(CHECK_S)
        assert stage.blocks("alpha") and publisher.dates.wall.remark() == ""

    play(stage, story)


def test_a_clock_before_the_program_was_built_is_not_believed(stage: Stage) -> None:
    ordered(stage, "from: 2020-01-01")
    stage.clock.wall_ahead = 0.0

    async def run() -> None:
        publisher = Publisher(
            stage.blocklist,
            stage.state,
            stage.clock,
            stage.published.append,
            wall=stage.clock.wall,
            compile_policy=stage.compile,
            watch=False,
            earliest=1.6e9,
        )
        await publisher.start()
        await publisher.close()

    asyncio.run(run())
    assert stage.blocks("alpha")


def test_a_clock_that_leaps_ahead_and_back_is_not_held_to_its_mistake(stage: Stage) -> None:
    noon(stage)
    ordered(stage, "until: 2021-01-01")

    async def story(publisher: Publisher) -> None:
        stage.clock.wall_ahead += 3650 * DAY_S
        stage.clock.advance(CHECK_S)
        assert not stage.blocks("alpha")
        stage.clock.wall_ahead -= 3650 * DAY_S
        stage.clock.advance(CHECK_S)
        assert stage.blocks("alpha") and publisher.dates.wall.remark() == ""

    play(stage, story)


def test_an_exception_that_ends_stops_within_a_second_without_a_reload(stage: Stage) -> None:
    noon(stage)
    stage.write(entry("alpha"), rest="allow: [{name: shop.alpha.example, through: 2020-09-13}]\n")

    def passes() -> bool:
        table = stage.published[-1].everybody
        return not table.judge_name(n("shop.alpha.example"), stage.clock.now()).is_blocked

    async def story(publisher: Publisher) -> None:
        stage.clock.advance(12 * 3600 - 1)
        assert passes()
        stage.clock.advance(1)
        assert not passes() and stage.compiled == 1

    play(stage, story)


def test_the_reloads_log_says_what_is_not_blocked_any_more(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.write(entry("alpha"), entry("beta"))

    async def story(publisher: Publisher) -> None:
        stage.write(entry("alpha"))
        stage.with_state = True
        assert await publisher.reload_if_changed()

    play(stage, story)
    # Whether the line that sums up is there as well depends on the level.
    [line] = logged(
        caplog, "new policy in force: 1 exchange, 1 domain blocked now are not blocked after this"
    )
    assert line == ("new policy in force: 1 exchange, 1 domain blocked now are not blocked after this: beta")


YEARS_S = 24 * 365 * DAY_S


def test_a_board_whose_clock_starts_in_2050_says_loudly_what_that_opens(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    ordered(stage, "until: 2021-01-01")
    play(stage, nothing)
    caplog.clear()
    stage.clock.wall_ahead += YEARS_S

    async def story(publisher: Publisher) -> None:
        assert not stage.blocks("alpha")
        assert publisher.dates.wall.doubt() == "ahead" and "2044" in publisher.dates.wall.remark()

    play(stage, story)
    [line] = logged(caplog, "the clock leapt from 2020-09-13")
    assert "ends: order two; not blocked any more: 1 exchange, 1 domain: alpha" in line
    [doubted] = [record for record in caplog.records if "THE CLOCK IS DOUBTED" in record.getMessage()]
    assert doubted.levelno == logging.ERROR
    [turn] = stage.turns
    assert turn.leapt_from is not None and turn.at - turn.leapt_from == pytest.approx(YEARS_S, abs=60)


def test_the_right_clock_is_believed_after_one_that_was_far_ahead_and_what_closes_is_told(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    ordered(stage, "until: 2021-01-01")
    play(stage, nothing)
    stage.clock.wall_ahead += YEARS_S
    for _ in range(2):

        async def edited(publisher: Publisher) -> None:
            # A policy put in force meanwhile, and a day that passes, hold the clock to nothing.
            ordered(stage, f"until: 2021-01-01, due: 2021-02-{len(stage.published):02}")
            assert await publisher.reload_if_changed()
            stage.clock.advance(2 * DAY_S)

        play(stage, edited)
    stage.clock.wall_ahead -= YEARS_S
    caplog.clear()

    async def story(publisher: Publisher) -> None:
        assert stage.blocks("alpha") and publisher.dates.wall.remark() == ""

    play(stage, story)
    [line] = logged(caplog, "the clock leapt from 20")
    assert "begins: order two; blocked from then on: 1 exchange, 1 domain: alpha" in line
    assert logged(caplog, "DOUBTED") == []


def test_a_leap_is_told_where_it_happens_while_the_server_runs_and_undone_likewise(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    ordered(stage, "until: 2021-01-01")

    async def story(publisher: Publisher) -> None:
        stage.clock.wall_ahead += YEARS_S
        stage.clock.advance(CHECK_S)
        assert not stage.blocks("alpha") and len(logged(caplog, "THE CLOCK IS DOUBTED")) == 1
        stage.clock.wall_ahead -= YEARS_S
        stage.clock.advance(CHECK_S)
        assert stage.blocks("alpha") and len(logged(caplog, "the clock is believed again")) == 1

    play(stage, story)
    assert [len(turn.opened) - len(turn.closed) for turn in stage.turns] == [1, -1]
    assert all(turn.leapt_from for turn in stage.turns)


def test_a_first_start_decades_after_the_installation_is_doubted(stage: Stage) -> None:
    ordered(stage, "until: 2021-01-01")
    stage.earliest = stage.clock.wall()
    stage.clock.wall_ahead += YEARS_S
    play(stage, nothing)
    stage.clock.wall_ahead -= YEARS_S

    async def story(publisher: Publisher) -> None:
        assert stage.blocks("alpha") and publisher.dates.wall.remark() == ""

    play(stage, story)


def test_a_server_that_was_off_for_weeks_is_not_doubted_nor_one_that_runs_for_years(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    ordered(stage, "until: 2021-01-01")

    async def story(publisher: Publisher) -> None:
        for _ in range(400):
            stage.clock.seconds += DAY_S
            stage.clock.advance(CHECK_S)
            await asyncio.sleep(0)

    play(stage, story)
    stage.clock.wall_ahead += 30 * DAY_S
    play(stage, nothing)
    assert logged(caplog, "DOUBTED") == []
    assert len(logged(caplog, "2021-01-01 has come")) == 1


def test_a_clock_that_a_time_service_sets_is_believed_there_and_back(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    ordered(stage, "until: 2021-01-01")
    play(stage, nothing)
    stage.clock_is_set = True
    stage.clock.wall_ahead += YEARS_S
    play(stage, nothing)
    assert logged(caplog, "DOUBTED") == []
    stage.clock.wall_ahead -= YEARS_S

    async def story(publisher: Publisher) -> None:
        assert stage.blocks("alpha") and publisher.dates.wall.remark() == ""

    play(stage, story)
    assert len(logged(caplog, "which it said before, was a mistake")) == 1
    # And what it was held to is no more, whoever sets it.
    stage.clock_is_set = False
    play(stage, story)


@pytest.mark.slow
def test_a_note_that_was_wrong_by_days_is_over_after_as_many_days(stage: Stage) -> None:
    noon(stage)
    ordered(stage, "until: 2021-01-01")
    stage.clock.wall_ahead += 20 * DAY_S
    play(stage, nothing)
    stage.clock.wall_ahead -= 20 * DAY_S

    async def story(publisher: Publisher) -> None:
        assert publisher.dates.wall.doubt() == "behind"
        ordered(stage, "until: 2021-01-01, due: 2021-02-01")
        assert await publisher.reload_if_changed()
        stage.clock.advance(20 * DAY_S)
        assert publisher.dates.wall.doubt() == ""

    play(stage, story)


def test_dates_that_passed_while_the_server_was_off_are_told_though_the_file_changed(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    ordered(stage, "until: 2020-09-14")
    play(stage, nothing)
    stage.applied = 0
    stage.clock.wall_ahead += 3 * DAY_S
    stage.write(entry("beta"))
    play(stage, nothing)
    [line] = logged(caplog, "2020-09-14 has come: ends: order two")
    assert "not blocked any more: 1 exchange, 1 domain: alpha" in line
    assert [turn.at for turn in stage.turns] == [1.6e9 - (1.6e9 % DAY_S) + DAY_S]
    assert stage.applied == 2, "what served then, in case nobody recorded it, and what serves now"


def test_dates_that_passed_are_told_by_what_serves_where_what_served_is_lost(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    ordered(stage, "until: 2020-09-14")
    play(stage, nothing)
    for image in (stage.state / "images").glob("*.policy"):
        image.write_bytes(b"")
    stage.clock.wall_ahead += 3 * DAY_S
    play(stage, nothing)
    assert len(logged(caplog, "2020-09-14 has come: ends: order two")) == 1
