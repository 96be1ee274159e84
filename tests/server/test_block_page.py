"""The server's side of the block page: its file, its counts, its process that ends again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resolver.clock import LoopClock
from resolver.config.settings import BlockPageSection
from resolver.policy.policy import Policy
from resolver.server import block_page
from resolver.server.block_page import FIRST_PAUSE_S, PAUSE_S_MAX, STEADY_S, BlockPage, _Counts
from resolver.server.endpoints import CannotListen
from tests.support.policy_maker import PolicyMaker, make_rule

LISTEN = ("127.0.0.1:0",)


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return PolicyMaker().block(make_rule(), "example.org").policy(tmp_path)


class Clock(LoopClock):
    """Time that goes on only while somebody sleeps."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.at = 0.0

    def now(self) -> float:
        return self.at


def page_in(folder: Path, clock: Any, **more: Any) -> BlockPage:
    return BlockPage(BlockPageSection.model_validate({"listen": LISTEN}), folder, clock, **more)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_without_an_address_it_does_nothing(
    tmp_path: Path, policy: Policy, loop: asyncio.AbstractEventLoop
) -> None:
    async def play() -> None:
        page = BlockPage(BlockPageSection(), tmp_path, LoopClock(loop))
        page.start()
        page.publish(policy)
        assert page.facts() is None and page.remark == "" and page.addresses == []
        await page.stop()
        assert list(tmp_path.iterdir()) == [tmp_path / "test.policy"]

    loop.run_until_complete(play())


def test_a_port_that_may_not_be_bound_stops_the_start(
    tmp_path: Path, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(block_page, "bind_tcp", refuse)

    async def play() -> None:
        page = page_in(tmp_path, LoopClock(loop))
        with pytest.raises(CannotListen, match=r"block_page\.listen"):
            page.start()
        await page.stop()

    loop.run_until_complete(play())


def test_pauses_between_its_lives_grow_and_begin_anew_after_a_long_life(
    tmp_path: Path, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = [0.1] * 10 + [STEADY_S] + [0.1] * 2
    pauses: list[float] = []
    over = asyncio.Event()

    async def play() -> None:
        clock = Clock()
        page = page_in(tmp_path, clock)

        async def live() -> str:
            if not lives:
                over.set()
                await asyncio.Event().wait()
            clock.at += lives.pop(0)
            return "code 1"

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        monkeypatch.setattr(page, "_live", live)
        monkeypatch.setattr(asyncio, "sleep", sleep)
        page.start()
        await over.wait()
        monkeypatch.undo()
        assert page.restarts == 13 and not page.is_up and "does not answer" in page.remark
        await page.stop()

    loop.run_until_complete(play())
    assert pauses[:3] == [2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S, 8 * FIRST_PAUSE_S]
    assert pauses[9] == PAUSE_S_MAX and pauses[10] == FIRST_PAUSE_S and pauses[11] == 2 * FIRST_PAUSE_S


def test_a_file_that_cannot_be_made_is_told_and_made_later(
    tmp_path: Path, policy: Policy, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ["no space", ""]
    tries: list[tuple[Path, float]] = []

    async def play() -> None:
        handed_over = asyncio.Event()
        tried = asyncio.Event()

        async def make(image: Path, file: Path, wall: float) -> str:
            tries.append((image, wall))
            file.write_bytes(b"")
            tried.set()
            return said.pop(0)

        async def live() -> str:
            await asyncio.Event().wait()
            return ""

        page = page_in(tmp_path, LoopClock(loop), make_file=make)
        monkeypatch.setattr(page, "_live", live)
        monkeypatch.setattr(page, "_hand_over_file", handed_over.set)
        page.start()
        page.publish(policy)
        await tried.wait()
        await asyncio.sleep(0)
        facts = page.facts()
        assert facts is not None and facts.is_stale and "no space" in page.remark
        # The next change of the policy is tried at once.
        page.publish(policy)
        await handed_over.wait()
        facts = page.facts()
        assert facts is not None and not facts.is_stale
        await page.stop()

    loop.run_until_complete(asyncio.wait_for(play(), 20))
    assert tries == [(policy.image.path, policy.made_at[0])] * 2


def test_counts_go_on_over_the_ends_of_its_processes() -> None:
    counts = _Counts()
    counts.note({"requests": {"451": 3}, "refused": {"rate": 1}})
    counts.note({"requests": {"451": 5}, "refused": {"rate": 1}})
    counts.bank()
    counts.note({"requests": {"451": 2, "404": 1}, "refused": {}})
    requests, refused = counts.totals()
    assert requests == {"451": 7, "404": 1} and refused == {"rate": 1}


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"requests": []},
        {"requests": {"451": "x"}, "refused": {}},
        {"requests": {"451": float("inf")}, "refused": {}},
        {"requests": {"451": -1}, "refused": {}},
        {"requests": {"451": 10**400}, "refused": {}},
    ],
)
def test_a_report_that_cannot_be_read_counts_nothing(told: dict[str, Any]) -> None:
    counts = _Counts()
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError, OverflowError)):
        counts.note(told)
    assert counts.totals() == ({}, {})


def test_of_a_report_only_what_is_known_is_counted() -> None:
    counts = _Counts()
    counts.note({"requests": {"451": 1, "999": 5}, "refused": {"whatever": 2}})
    requests, refused = counts.totals()
    assert requests == {"451": 1} and refused == {}
