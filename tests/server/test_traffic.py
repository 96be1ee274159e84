"""Steps for charts: each minute has its own, they outlive a restart, and a bad file costs nothing but them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from resolver.hits import traffic_file
from resolver.hits.traffic_file import FILE, Row
from resolver.observe.tally import SECONDS_BOUNDS
from resolver.observe.traffic import Counted
from resolver.server.traffic import Traffic

NOON = 1_796_040_000.0
BUCKETS = (5, *(0,) * len(SECONDS_BOUNDS))


class Hands:
    """A clock that is moved by hand; timers do not come by themselves."""

    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> float:
        return self.at

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Hands:
        self.delay_s = delay_s
        return self

    def cancel(self) -> None:
        """Nothing comes."""


class House:
    """One server's traffic."""

    def __init__(self, state_dir: Path | None, wall: float = NOON) -> None:
        self.clock = Hands()
        self.counted = Counted()
        self.wall = wall
        self.traffic = Traffic(state_dir, self.clock, lambda: self.counted, wall=lambda: self.wall)

    def pass_s(self, seconds: float, counted: Counted) -> None:
        self.clock.at += seconds
        self.wall += seconds
        self.counted = counted

    async def settle(self) -> None:
        task = self.traffic._writing
        if task is not None:
            await task


def test_what_came_in_a_minute_is_its_step() -> None:
    async def act() -> None:
        house = House(None)
        house.pass_s(60.0, Counted(10, 1, 4, {"cache": BUCKETS}))
        house.traffic.look()
        house.pass_s(30.0, Counted(15, 1, 4, {"cache": BUCKETS}))
        steps = await house.traffic.steps("hour")
        assert [(step.at - NOON, step.counted.queries, step.covered_s) for step in steps] == [
            (0, 10, 60.0),
            (60, 5, 30.0),
        ]
        [day] = await house.traffic.steps("day")
        [month] = await house.traffic.steps("month")
        assert day.counted.queries == month.counted.queries == 15 and day.counted.times == {"cache": BUCKETS}

    asyncio.run(act())


def test_what_is_older_than_a_chart_is_not_in_it() -> None:
    async def act() -> None:
        house = House(None)
        house.pass_s(60.0, Counted(10))
        house.traffic.look()
        house.pass_s(3 * 3_600.0, Counted(10))
        house.traffic.look()
        assert [step.counted.queries for step in await house.traffic.steps("hour")] == [0]
        assert sum(step.counted.queries for step in await house.traffic.steps("day")) == 10

    asyncio.run(act())


def test_steps_outlive_a_restart_and_go_on(tmp_path: Path) -> None:
    async def act() -> None:
        house = House(tmp_path)
        house.traffic.start()
        await house.settle()
        house.pass_s(60.0, Counted(10, 1, 4, {"cache": BUCKETS}))
        await house.traffic.close()
        again = House(tmp_path, house.wall)
        again.traffic.start()
        await again.settle()
        again.pass_s(5.0, Counted(3))
        steps = await again.traffic.steps("hour")
        assert [(step.counted.queries, step.covered_s) for step in steps] == [(10, 60.0), (3, 5.0)]
        assert steps[0].counted.times == {"cache": BUCKETS}
        [month] = await again.traffic.steps("month")
        assert month.counted.queries == 13

    asyncio.run(act())


def test_a_file_of_somebody_else_is_left_alone_and_told(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as foreign:
        foreign.execute("CREATE TABLE theirs (x)")
    foreign.close()
    before = (tmp_path / FILE).read_bytes()

    async def act() -> None:
        house = House(tmp_path)
        house.traffic.start()
        await house.settle()
        house.pass_s(60.0, Counted(10))
        house.traffic._on_minute()
        await house.settle()
        assert "another program" in house.traffic.trouble
        assert sum(step.counted.queries for step in await house.traffic.steps("hour")) == 10

    asyncio.run(act())
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize("octets", [b"", b"not a database at all, but text" * 100])
def test_a_damaged_file_costs_no_step(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / FILE).write_bytes(octets)

    async def act() -> None:
        house = House(tmp_path)
        house.traffic.start()
        await house.settle()
        house.pass_s(60.0, Counted(10))
        house.traffic._on_minute()
        await house.settle()
        assert len(await house.traffic.steps("hour")) == 2

    asyncio.run(act())


@pytest.mark.parametrize(
    "said", ["", "{}", "[]", '{"queries": 1, "blocked": 0, "cache_hits": 0, "times": {"cache": [1]}}', "null"]
)
def test_steps_that_are_not_ours_are_passed_over(tmp_path: Path, said: str) -> None:
    traffic_file.write(tmp_path, "minute", [Row(int(NOON), 60.0, said)])

    async def act() -> None:
        house = House(tmp_path)
        house.traffic.start()
        await house.settle()
        assert house.traffic._steps["minute"] == {}

    asyncio.run(act())


def test_of_rows_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(traffic_file._MOST, "minute", 3)
    for at in range(6):
        traffic_file.write(tmp_path, "minute", [Row(at * 60, 60.0, "{}")])
    assert [row.at for row in traffic_file.read(tmp_path, "minute", 10)] == [180, 240, 300]
    assert [row.at for row in traffic_file.read(tmp_path, "minute", 2)] == [240, 300]
