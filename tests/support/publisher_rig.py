"""A publisher with its files, on a clock moved by hand, compiling in this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from resolver.clock import BootMoment
from resolver.policy.policy import Policy
from resolver.problems import Problem
from resolver.publishing.compiled import Compiled, InputFile
from resolver.publishing.compiler import compile_policy
from resolver.publishing.publisher import (
    Publisher,
)
from resolver.publishing.timetable import Turn
from resolver.wire.names import name_from_text as n

HEAD = """\
version: 1
orders:
  one: {authority: Court, title: Order, reference: "1/2", date: 2018-08-23, url: null, imposed_by: external}
exchanges:
"""
DAY_S = 86400.0


def entry(label: str, more: str = "") -> str:
    return f"  {label}: {{name: {label.title()}, order: one, domains: [{label}.example]{more}}}\n"


class Timer:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class HandClock:
    """A clock moved by hand; wall time runs beside it until it is set."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.wall_ahead = 1.6e9
        self.timers: list[tuple[float, Callable[[], None], Timer]] = []

    def now(self) -> float:
        return self.seconds

    def wall(self) -> float:
        return self.seconds + self.wall_ahead

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = Timer()
        self.timers.append((self.seconds + delay_s, callback, timer))
        return timer

    def advance(self, seconds: float) -> None:
        until = self.seconds + seconds
        while True:
            due = [t for t in self.timers if t[0] <= until and not t[2].is_cancelled]
            if not due:
                break
            first = min(due, key=lambda t: t[0])
            self.timers.remove(first)
            self.seconds = max(self.seconds, first[0])
            first[1]()
        self.seconds = until


class Stage:
    """A publisher with its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blocklist = folder / "blocklist.yaml"
        self.state = folder / "state"
        self.state.mkdir(exist_ok=True)
        self.clock = HandClock()
        self.published: list[Policy] = []
        self.compiled = 0
        self.failing = False
        self.serial = 0
        self.number_in_history = 0
        self.with_state = False
        self.two_person = False
        self.clock_is_set = False
        self.earliest = 0.0
        self.boot_id = "first"
        self.turns: list[Turn] = []
        self.applied = 0

    def write(self, *entries: str, rest: str = "") -> None:
        self.blocklist.write_text(HEAD + "".join(entries) + rest)
        self.touch(self.blocklist)

    def touch(self, path: Path) -> None:
        """Two writes within one tick of the file system's clock are not what these tests are about."""
        self.serial += 1
        os.utime(path, ns=(self.serial * 10**9, self.serial * 10**9))

    async def compile(self, blocklist: Path, out: Path, idle: bool) -> Compiled:
        self.compiled += 1
        if self.failing:
            return Compiled(problems=[Problem("images", 0, "No space left on device")], transient=True)
        state_dir = self.state if self.with_state else None
        return compile_policy(
            blocklist, out, state_dir=state_dir, now=self.clock.wall(), two_person=self.two_person
        )

    def boot(self) -> BootMoment:
        """The clock that nobody can set; `boot_id`: a machine that is restarted has another."""
        return BootMoment(self.boot_id, self.clock.seconds)

    def publisher(self) -> Publisher:
        return Publisher(
            self.blocklist,
            self.state,
            self.clock,
            self.published.append,
            wall=self.clock.wall,
            compile_policy=self.compile,
            watch=False,
            number_in_history=lambda: self.number_in_history,
            earliest=self.earliest,
            clock_is_set=lambda: self.clock_is_set,
            boot=self.boot,
            on_applied=self._on_applied,
            on_turn=lambda inputs, counts, turn: self.turns.append(turn),
        )

    def _on_applied(self, inputs: list[InputFile], counts: dict[str, Any]) -> None:
        self.applied += 1

    def blocks(self, label: str) -> bool:
        return self.published[-1].everybody.judge_name(n(f"{label}.example"), self.clock.now()).is_blocked


def play(stage: Stage, story: Callable[[Publisher], Awaitable[None]]) -> None:
    """Start a publisher, run the story, close it."""

    async def run() -> None:
        publisher = stage.publisher()
        await publisher.start()
        try:
            await story(publisher)
        finally:
            await publisher.close()
        assert all(timer.is_cancelled for _, _, timer in stage.clock.timers)

    asyncio.run(run())


async def nothing(_: Publisher) -> None:
    """A story in which nothing happens."""


def logged(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if words in record.getMessage()]
