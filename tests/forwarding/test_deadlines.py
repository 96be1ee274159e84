"""Deadlines on one timer: never early, at most a tick late, none forgotten."""

from __future__ import annotations

import pytest

from resolver.forwarding.deadlines import TICK_S, Deadlines, Timed
from tests.support.scenario_clock import FakeClock


class Item(Timed):
    def __init__(self, log: list[tuple[str, float]], name: str) -> None:
        super().__init__()
        self.log = log
        self.name = name

    def on_due(self, now: float) -> None:
        self.log.append((self.name, now))


class Rig:
    def __init__(self) -> None:
        self.clock = FakeClock(100.0)
        self.deadlines = Deadlines(self.clock)
        self.log: list[tuple[str, float]] = []

    def set(self, name: str, delay_s: float) -> Item:
        item = Item(self.log, name)
        self.deadlines.set(item, self.clock.now() + delay_s)
        return item

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.log]


@pytest.mark.parametrize("delay_s", [0.0, 0.001, 0.4, 0.4049, 2.0])
def test_deadline_is_met_within_a_tick(delay_s: float) -> None:
    rig = Rig()
    rig.set("a", delay_s)
    rig.clock.advance(3.0)
    ((_, at),) = rig.log
    assert 100.0 + delay_s - 1e-6 <= at <= 100.0 + delay_s + TICK_S + 1e-6


def test_whole_ticks_are_met_exactly() -> None:
    rig = Rig()
    rig.set("a", 2.0)
    rig.clock.advance(2.0)
    assert rig.names == ["a"]


def test_discarded_item_is_never_due() -> None:
    rig = Rig()
    item = rig.set("a", 1.0)
    rig.deadlines.discard(item)
    rig.deadlines.discard(item)
    rig.clock.advance(2.0)
    assert rig.log == []


def test_items_come_in_the_order_of_their_deadlines() -> None:
    rig = Rig()
    for name, delay_s in (("c", 0.9), ("a", 0.1), ("b", 0.5)):
        rig.set(name, delay_s)
    rig.clock.advance(1.0)
    assert rig.names == ["a", "b", "c"]


def test_moved_deadline_comes_once_at_its_new_time() -> None:
    rig = Rig()
    item = rig.set("a", 0.1)
    rig.deadlines.set(item, 100.5)
    rig.clock.advance(0.4)
    assert rig.log == []
    rig.clock.advance(0.2)
    assert rig.names == ["a"]


def test_item_set_from_a_callback_does_not_hide_an_earlier_one() -> None:
    rig = Rig()

    class Again(Item):
        def on_due(self, now: float) -> None:
            super().on_due(now)
            if len(self.log) == 1:
                rig.deadlines.set(self, now + 5.0)

    rig.deadlines.set(Again(rig.log, "again"), 100.1)
    rig.set("b", 1.0)
    rig.clock.advance(1.1)
    assert rig.names == ["again", "b"]
    rig.clock.advance(5.0)
    assert rig.names == ["again", "b", "again"]


def test_no_timer_is_left_when_all_is_done() -> None:
    rig = Rig()
    rig.set("a", 0.1)
    rig.clock.advance(1.0)
    assert rig.clock.pending == 0


def test_ten_thousand_deadlines_take_one_timer() -> None:
    rig = Rig()
    for number in range(10_000):
        rig.set("a", 0.5 + number / 10_000)
    assert rig.clock.pending == 1


def test_close_forgets_all() -> None:
    rig = Rig()
    rig.set("a", 0.1)
    rig.deadlines.close()
    rig.clock.advance(1.0)
    assert rig.log == [] and rig.clock.pending == 0


def test_after_a_stall_reading_comes_first() -> None:
    rig = Rig()
    item = rig.set("answered meanwhile", 0.1)
    rig.set("late", 0.1)
    (timer,) = (timer for _, _, timer in rig.clock._timers)
    # The loop was busy for a second before it came to its timers.
    timer.cancel()
    rig.clock.advance(1.0)
    timer.callback()
    assert rig.log == [] and rig.deadlines.stalls == 1
    rig.deadlines.discard(item)
    rig.clock.advance(0.01)
    assert rig.names == ["late"]


def test_timer_on_time_is_no_stall() -> None:
    rig = Rig()
    rig.set("a", 0.1)
    rig.clock.advance(1.0)
    assert rig.deadlines.stalls == 0 and rig.names == ["a"]
