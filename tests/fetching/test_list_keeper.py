"""When lists are fetched while the server runs; on a fake clock, with a scripted child."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from resolver.blocklist.downloads import Download, DownloadedList
from resolver.children import Ended, Share
from resolver.fetching import keeper as keeper_module
from resolver.fetching.keeper import BUSY_RETRY_S, Followed, ListKeeper, run_in_child
from resolver.fetching.outcome import Outcome, Result
from resolver.fetching.schedule import FIRST_RETRY_S, RETRY_MAX_S, SPREAD, refresh_in_s, retry_s
from resolver.fetching.store import ListStore, Notes

URL = "https://lists.example/ads.txt"
REFRESH_S = 3600
DOWNLOAD = Download(url=URL, refresh_s=REFRESH_S, timeout_s=10.0, octets_max=1 << 20)
WALL = 1.7e9


class Timer:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Stage:
    """A keeper whose child does as it is told, on a clock moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.state = folder
        self.seconds = 1000.0
        self.timers: list[tuple[float, Callable[[], None], Timer]] = []
        self.results: list[Result] = []
        """What the next attempts come to; then UPDATED."""
        self.fetched: list[str] = []
        self.updates = 0
        self.keeper = ListKeeper(
            folder, self.run, self, self.note_update, wall=lambda: self.seconds + WALL, roll=lambda: 1.0
        )

    def now(self) -> float:
        return self.seconds

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = Timer()
        self.timers.append((self.seconds + delay_s, callback, timer))
        return timer

    def note_update(self) -> None:
        self.updates += 1

    async def run(self, wanted: DownloadedList) -> Outcome:
        self.fetched.append(wanted.name)
        result = self.results.pop(0) if self.results else Result.UPDATED
        if result in (Result.UPDATED, Result.UNCHANGED):
            self.put(wanted.name, wanted.download)
        return Outcome(wanted.name, result, "" if result is Result.UPDATED else "why not")

    def put(self, name: str, download: Download = DOWNLOAD, *, age_s: float = 0.0) -> None:
        """A copy with its notes, as a download leaves them."""
        store = ListStore(self.state, name)
        with store.locked():
            store.path.write_bytes(b"ads.example\n")
            at = self.seconds + WALL - age_s
            store.note(Notes(url=download.url, proof=download.proof, sha256="x", succeeded_at=at, names=1))

    def follow(self, *names: str, download: Download = DOWNLOAD) -> None:
        self.keeper.follow([DownloadedList(name, "auto", 50, download) for name in names])

    @property
    def entry(self) -> Followed:
        [entry] = self.keeper.lists
        return entry

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - threads have to come back.
                await asyncio.sleep(0.001)

    async def idle(self) -> None:
        """Until the keeper waits for its timer."""
        await self.until(lambda: any(not timer.is_cancelled for _, _, timer in self.timers))

    async def advance(self, seconds: float) -> None:
        self.seconds += seconds
        due = [entry for entry in self.timers if entry[0] <= self.seconds and not entry[2].is_cancelled]
        for entry in due:
            self.timers.remove(entry)
            entry[1]()
        if due:
            await self.idle()


def play(folder: Path, story: Callable[[Stage], Awaitable[None]]) -> None:
    async def whole() -> None:
        stage = Stage(folder)
        try:
            await story(stage)
        finally:
            await stage.keeper.close()
        assert all(timer.is_cancelled for _, _, timer in stage.timers)

    asyncio.run(whole())


def test_a_list_without_a_copy_is_fetched_at_once_and_told(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.follow("ads")
        stage.keeper.start()
        await stage.idle()
        assert stage.fetched == ["ads"] and stage.updates == 1
        assert stage.entry.downloads[Result.UPDATED] == 1 and stage.keeper.missing() == []

    play(tmp_path, story)


def test_a_fresh_copy_is_left_until_its_time(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.put("ads", age_s=100)
        stage.follow("ads")
        stage.keeper.start()
        await stage.idle()
        assert stage.fetched == []
        # The roll of 1 shortens the interval by all of the spread.
        await stage.advance(REFRESH_S * (1 - SPREAD) - 101)
        assert stage.fetched == []
        await stage.advance(2)
        assert stage.fetched == ["ads"]

    play(tmp_path, story)


def test_an_old_copy_is_fetched_after_a_restart(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.put("ads", age_s=2 * REFRESH_S)
        stage.follow("ads")
        stage.keeper.start()
        await stage.idle()
        assert stage.fetched == ["ads"]

    play(tmp_path, story)


def test_failures_back_off_and_a_success_ends_it(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.results = [Result.DNS, Result.CONNECT, Result.UNCHANGED]
        stage.follow("ads")
        stage.keeper.start()
        await stage.idle()
        assert stage.entry.due - stage.now() == FIRST_RETRY_S
        await stage.advance(FIRST_RETRY_S)
        assert stage.entry.due - stage.now() == 2 * FIRST_RETRY_S
        await stage.advance(2 * FIRST_RETRY_S)
        assert stage.entry.failures == 0 and stage.updates == 0
        assert stage.entry.due - stage.now() == pytest.approx(REFRESH_S * (1 - SPREAD))
        assert dict(stage.entry.downloads) == {Result.DNS: 1, Result.CONNECT: 1, Result.UNCHANGED: 1}

    play(tmp_path, story)


def test_somebody_elses_download_is_waited_for(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.results = [Result.BUSY]
        stage.follow("ads")
        stage.keeper.start()
        await stage.idle()
        assert stage.entry.due - stage.now() == BUSY_RETRY_S and stage.entry.failures == 0

    play(tmp_path, story)


def test_another_source_is_fetched_at_once(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.put("ads")
        stage.follow("ads")
        stage.keeper.start()
        await stage.idle()
        stage.follow("ads", download=replace(DOWNLOAD, url="https://other.example/ads.txt"))
        await stage.until(lambda: stage.fetched == ["ads"])

    play(tmp_path, story)


def test_a_list_that_is_no_longer_wanted_is_not_fetched(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.put("ads")
        stage.follow("ads")
        stage.keeper.start()
        await stage.idle()
        stage.follow()
        stage.seconds += 2 * REFRESH_S
        for _, callback, timer in list(stage.timers):
            if not timer.is_cancelled:
                callback()
        await asyncio.sleep(0)
        assert stage.fetched == [] and stage.keeper.lists == ()

    play(tmp_path, story)


def test_what_a_command_fetched_meanwhile_counts(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.results = [Result.TIMEOUT]
        stage.follow("ads")
        stage.keeper.start()
        await stage.idle()
        stage.put("ads")
        stage.follow("ads")  # As the publisher does when the copy's change has been loaded.
        await stage.until(lambda: stage.entry.has_copy)
        await stage.until(lambda: stage.entry.due - stage.now() > FIRST_RETRY_S)
        assert stage.fetched == ["ads"]

    play(tmp_path, story)


def test_settling_waits_for_one_attempt_of_each_and_not_for_success(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.results = [Result.DNS]
        stage.follow("ads", "tracker")
        stage.keeper.start()
        await stage.keeper.settle(20.0)
        assert sorted(stage.fetched) == ["ads", "tracker"]
        assert stage.keeper.missing() == [stage.fetched[0]]

    play(tmp_path, story)


def test_settling_ends_when_nothing_does(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        async def hang(wanted: DownloadedList) -> Outcome:
            await asyncio.Event().wait()
            raise AssertionError

        stage.keeper._run = hang
        stage.follow("ads")
        stage.keeper.start()
        await stage.keeper.settle(0.05)
        assert stage.keeper.missing() == ["ads"]

    play(tmp_path, story)


def test_a_child_that_says_nonsense_is_a_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    run = run_in_child(tmp_path, [])
    outcome = asyncio.run(run(DownloadedList("ads", "auto", 50, DOWNLOAD)))
    assert outcome.result is Result.DEFECT and "code 0" in outcome.message


def test_a_child_that_can_not_start_is_a_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    outcome = asyncio.run(run_in_child(tmp_path, [])(DownloadedList("ads", "auto", 50, DOWNLOAD)))
    assert outcome.result is Result.DEFECT and "cannot start" in outcome.message


def test_a_child_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "sleeper"
    script.write_text("#!/bin/sh\nexec sleep 1000\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(keeper_module, "GRACE_S", 0.0)
    wanted = DownloadedList("ads", "auto", 50, replace(DOWNLOAD, timeout_s=0.1))
    outcome = asyncio.run(run_in_child(tmp_path, [])(wanted))
    assert outcome.result is Result.DEFECT and "did not end" in outcome.message


def test_a_child_that_downloads_is_nice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, Share]] = []

    async def run_child(module: str, *, timeout_s: float, job: bytes, share: Share = Share.NICE) -> Ended:
        started.append((module, share))
        return Ended(1, b"", b"")

    monkeypatch.setattr(keeper_module, "run_child", run_child)
    asyncio.run(run_in_child(tmp_path, [])(DownloadedList("ads", "auto", 50, DOWNLOAD)))
    assert started == [("resolver.fetching.worker", Share.NICE)]


@pytest.mark.loopback
def test_the_child_downloads_and_tells(tmp_path: Path) -> None:
    # Refused before any packet leaves: enough to see job and outcome pass between the processes.
    wanted = DownloadedList("ads", "auto", 50, replace(DOWNLOAD, url="https://127.0.0.1:9/ads"))
    outcome = asyncio.run(run_in_child(tmp_path, [("127.0.0.1", 9)])(wanted))
    assert outcome.result is Result.ADDRESS
    assert json.loads((tmp_path / "lists" / "ads.json").read_text())["failures"] == 1


# The arithmetic.


@pytest.mark.parametrize("roll", [0.0, 0.5, 1.0])
def test_retries_double_and_end_at_an_hour(roll: float) -> None:
    daily = replace(DOWNLOAD, refresh_s=86_400)
    pauses = [retry_s(daily, Notes(), failures, roll) for failures in range(1, 40)]
    assert pauses == sorted(pauses)
    assert FIRST_RETRY_S / 2 <= pauses[0] <= FIRST_RETRY_S
    assert RETRY_MAX_S / 2 <= pauses[-1] <= RETRY_MAX_S


def test_a_list_is_not_retried_less_often_than_it_is_refreshed() -> None:
    assert retry_s(replace(DOWNLOAD, refresh_s=300), Notes(), 30, 1.0) == 300


def test_a_wall_clock_that_was_wrong_puts_nothing_off() -> None:
    notes = Notes(url=URL, proof=DOWNLOAD.proof, succeeded_at=WALL + 10 * 365 * 86_400)
    assert refresh_in_s(DOWNLOAD, notes, wall=WALL, roll=0.0) == REFRESH_S


def test_an_announcement_is_heeded_at_once_and_less_and_less_where_nothing_came_of_it(tmp_path: Path) -> None:
    async def announced(stage: Stage, after_s: float) -> bool:
        """Whether an announcement leads to an attempt `after_s` after the one before it began."""
        before, timers = len(stage.fetched), len(stage.timers)
        stage.seconds = stage.entry.tried_at + after_s
        stage.keeper.notified(["zone", "another"])
        await stage.until(lambda: len(stage.timers) > timers)
        return len(stage.fetched) > before

    async def story(stage: Stage) -> None:
        stage.follow("zone")
        stage.keeper.start()
        await stage.idle()
        stage.results = [Result.UNCHANGED, Result.TIMEOUT, Result.UPDATED]
        assert await announced(stage, 1.0)
        assert not await announced(stage, 1.9)
        assert await announced(stage, 2.0)
        assert not await announced(stage, 3.9)
        assert await announced(stage, 4.0)
        assert stage.entry.notify_pause_s == 1.0

    play(tmp_path, story)


def test_list_that_somebody_wants_now_is_fetched_now(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.follow("zone")
        stage.keeper.start()
        await stage.idle()
        before = len(stage.fetched)
        stage.seconds += 1.0
        assert not stage.keeper.fetch_now("another")
        assert stage.keeper.fetch_now("zone")
        await stage.until(lambda: len(stage.fetched) > before)

    play(tmp_path, story)
