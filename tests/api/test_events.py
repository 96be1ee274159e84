"""Streams of events: what is told when, how many may listen, and whose stream ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from resolver.api.access import Need
from resolver.api.endpoint import Call, Nothing
from resolver.api.events import STREAM_S, WAITING_MAX, Events, now_of
from resolver.api.refusal import Kind, Refusal
from resolver.api.token_file import LOOK_EVERY_S
from resolver.api.tokens import SOMEBODY_HERE, Caller, Role, line_of
from resolver.observe.facts import Facts, PolicyFacts
from resolver.observe.problem import Standing, Wrong
from resolver.observe.tally import SECONDS_BOUNDS
from resolver.observe.traffic import Counted
from tests.api.made import Made

EDGE = len(SECONDS_BOUNDS)


def buckets(**counts: int) -> tuple[int, ...]:
    """`at_0=5`: five answers in the first bucket."""
    found = [0] * (EDGE + 1)
    for name, count in counts.items():
        found[int(name.removeprefix("at_"))] = count
    return tuple(found)


class Stage:
    """A desk whose figures are set by hand, and streams of its events without a socket."""

    def __init__(self, **made: Any) -> None:
        self.counted = Counted()
        self.problems: list[Standing] = []
        self.policy = PolicyFacts(generation=1)
        self.made = Made(
            counted=lambda: self.counted,
            problems=lambda: self.problems,
            facts=lambda: Facts(policy=self.policy),
            **made,
        )
        self.events: Events = self.made.api.events

    async def listen(self, caller: Caller = SOMEBODY_HERE) -> AsyncIterator[bytes]:
        request = Request({"type": "http", "headers": []})
        response = await self.events.endpoint().answer(Call(request, caller, {}, Nothing()))
        return response.body_iterator  # type: ignore[no-any-return]

    @property
    def waiting(self) -> set[asyncio.Queue[bytes | None]]:
        return self.events._queues

    def tick(self, seconds: float = 1.0) -> dict[str, Any]:
        """One second passes; the events that are told."""
        self.made.at += seconds
        return events_in(self.events._second())


def events_in(octets: bytes) -> dict[str, Any]:
    found = {}
    for block in octets.decode("ascii").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line)
        if "event" in lines:
            found[lines["event"]] = json.loads(lines["data"])
    return found


def test_whoever_comes_is_told_at_once_what_is_in_force_and_wrong() -> None:
    async def act() -> None:
        stage = Stage()
        stage.problems = [Standing(Wrong("policy_empty", "x"), 5.0)]
        stream = await stage.listen()
        told = events_in(await anext(stream))
        assert told["policy"]["generation"] == 1 and told["problems"]["items"][0]["id"] == "policy_empty"
        await stage.events.close()

    asyncio.run(act())


def test_each_second_has_its_rates_and_changes_are_told_once() -> None:
    stage = Stage()
    assert stage.tick()["now"]["queries_per_s"] == 0.0
    stage.counted = Counted(200, 50, 100, {"cache": buckets(at_0=100), "policy": buckets(at_1=50)})
    now = stage.tick(2.0)["now"]
    assert now["queries_per_s"] == 100.0 and now["blocked_per_s"] == 25.0
    assert now["cache_hit_share"] == round(100 / 150, 4)
    assert now["latency"]["cache"] == {"p50_s": 0.00025, "p99_s": 0.000495}
    assert now["latency"]["upstream"] == {"p50_s": None, "p99_s": None}
    stage.problems = [Standing(Wrong("policy_empty", "x"), 5.0)]
    stage.policy = PolicyFacts(generation=2)
    assert set(stage.tick()) == {"now", "problems", "policy"}
    assert set(stage.tick()) == {"now"}
    stage.problems = []
    assert stage.tick()["problems"]["items"] == []


def test_one_copy_alone_has_no_rates() -> None:
    now = now_of([(1.0, Counted(5, 1, 1, {}))], 0.0)
    assert now.queries_per_s == 0.0 and now.cache_hit_share is None


def test_one_stream_too_many_is_refused_and_counted_and_room_comes_back() -> None:
    async def act() -> None:
        stage = Stage(event_streams_max=2)
        streams = [await stage.listen() for _ in range(2)]
        with pytest.raises(Refusal) as refused:
            await stage.listen()
        assert refused.value.kind is Kind.BUSY and "limits.http_event_streams_max" in refused.value.remedy
        assert stage.made.refused == {"event_streams": 1} and stage.events.open == 2
        await stage.events.close()
        assert stage.events.open == 0 and [part async for part in streams[0]]

    asyncio.run(act())


def test_who_does_not_read_loses_the_stream_and_nobody_waits() -> None:
    async def act() -> None:
        stage = Stage()
        slow, quick = await stage.listen(), await stage.listen()
        await anext(slow)
        await anext(quick)
        [first, second] = list(stage.waiting)
        for _ in range(WAITING_MAX + 1):
            stage.made.at += 1
            for queue in list(stage.waiting):
                try:
                    queue.put_nowait(b"x")
                except asyncio.QueueFull:
                    stage.events._end(queue)
            await anext(quick)
        assert stage.events.open == 1
        assert [part async for part in slow] == []
        await stage.events.close()
        assert first is not second

    asyncio.run(act())


@pytest.mark.parametrize("line", ["", line_of("ann", Role.READ, "xr_other")], ids=["taken", "replaced"])
def test_a_token_that_is_taken_away_or_replaced_ends_what_it_opened(tmp_path: Path, line: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(line_of("ann", Role.READ, "xr_ann"))

    async def act() -> None:
        stage = Stage(file=path, tokens={})
        caller = stage.made.tokens.caller_with("xr_ann")
        assert caller is not None
        stream = await stage.listen(caller)
        await anext(stream)
        [queue] = stage.waiting
        queue.put_nowait(b"still")
        assert await anext(stream) == b"still"
        path.write_text(line)
        stage.made.at += LOOK_EVERY_S
        queue.put_nowait(b"no more")
        assert [part async for part in stream] == []
        await stage.events.close()

    asyncio.run(act())


def test_a_stream_ends_after_an_hour_so_that_nothing_stays_for_ever() -> None:
    async def act() -> None:
        stage = Stage()
        stream = await stage.listen()
        await anext(stream)
        [queue] = stage.waiting
        stage.made.at += STREAM_S
        queue.put_nowait(b"too late")
        assert [part async for part in stream] == []
        await stage.events.close()

    asyncio.run(act())


def test_a_defect_is_a_remark_in_the_stream_and_not_its_end(caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        stage = Stage()
        stream = await stage.listen()
        await anext(stream)

        def breaks() -> Counted:
            raise RuntimeError("x")

        object.__setattr__(stage.made.desk, "counted", breaks)
        assert (await asyncio.wait_for(anext(stream), 10)).startswith(b": a defect")
        await stage.events.close()

    asyncio.run(act())
    assert "defect in streams of events" in caplog.text


def test_the_stream_says_what_it_is_and_needs_no_token_here() -> None:
    endpoint = Stage().events.endpoint()
    assert endpoint.media == ("text/event-stream",) and endpoint.need is Need.READ
