"""How many TCP connections to an upstream there are, and when one is opened or closed: idle, bounded, held back."""

from __future__ import annotations

import asyncio

import pytest

from resolver.forwarding.connection import IDLE_S, Connection
from resolver.forwarding.network import HELD_BACK, SendError
from resolver.forwarding.openings import FREE, OPENING_PAUSE_S_MAX, OPENING_PAUSE_S_MIN
from resolver.forwarding.pipeline import QUERIES_PER_CONNECTION_MAX
from resolver.forwarding.stream import (
    CONNECTIONS_PER_UPSTREAM_MAX,
    QUERIES_BEFORE_NEW_CONNECTION,
    Streams,
)
from tests.forwarding.stream_rig import Accepted, Heard, Perform, Stage, message, perform

__all__ = ["perform"]


def test_idle_connection_is_closed_and_a_busy_one_is_not(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        heard, _ = stage.ask(1)
        upstream = await stage.accepted.get()
        stage.clock.advance(IDLE_S * 2)
        assert stage.streams.open_connections == 1
        await upstream.read()
        upstream.reply(message(1))
        await heard.result
        stage.clock.advance(IDLE_S - 0.1)
        assert stage.streams.open_connections == 1
        stage.clock.advance(0.2)
        assert stage.streams.open_connections == 0
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await upstream.read()

    perform(play)


def test_slow_connection_is_given_up(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        heard, _ = stage.ask(1)
        # The connection is not made before the loop runs again.
        stage.clock.advance(6.0)
        assert await heard.result == "network"

    perform(play)


def test_connections_and_their_queries_are_bounded(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        room = CONNECTIONS_PER_UPSTREAM_MAX * QUERIES_PER_CONNECTION_MAX
        tickets = []
        for number in range(room):
            tickets.append(stage.ask(number)[1])
            if number == QUERIES_BEFORE_NEW_CONNECTION - 1:
                assert stage.streams.open_connections == 1
        assert stage.streams.open_connections == CONNECTIONS_PER_UPSTREAM_MAX
        assert stage.streams.ask(stage.upstream, message(60_000), Heard()) == SendError("stream")
        tickets[0].close()
        stage.ask(60_000)
        for _ in range(CONNECTIONS_PER_UPSTREAM_MAX):
            await stage.accepted.get()

    perform(play)


def test_an_upstream_that_refuses_gets_no_connection_for_each_query(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        stage.server.close()
        await stage.server.wait_closed()
        for number in range(FREE):
            heard, _ = stage.ask(number)
            assert await heard.result == "network"
        assert stage.refused(FREE) == HELD_BACK
        assert stage.refused(FREE) == HELD_BACK
        stage.clock.advance(OPENING_PAUSE_S_MIN)
        # One is tried, and whoever asks meanwhile joins it.
        tried, joined = stage.ask(5)[0], stage.ask(6)[0]
        assert stage.streams.counts.opened == FREE + 1
        assert [await heard.result for heard in (tried, joined)] == ["network"] * 2
        assert [heard.sends for heard in (tried, joined)] == [0, 0]
        assert stage.refused(7) == HELD_BACK
        assert stage.streams.counts.held_back == 3

    perform(play)


def test_an_upstream_that_is_back_is_noticed_and_gets_as_many_connections_as_ever(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        for number in range(FREE + 4):
            stage.clock.advance(OPENING_PAUSE_S_MAX)
            heard, _ = stage.ask(number)
            (await stage.accepted.get()).abort()
            assert await heard.result == "stream"
        assert stage.refused(8) == HELD_BACK
        stage.clock.advance(OPENING_PAUSE_S_MAX)
        heard, _ = stage.ask(9)
        upstream = await stage.accepted.get()
        await upstream.read()
        upstream.reply(message(9, b"x"))
        await heard.result
        for number in range(QUERIES_BEFORE_NEW_CONNECTION * 2 + 1):
            stage.ask(100 + number)
        assert stage.streams.open_connections == 3
        for _ in range(2):
            await (await stage.accepted.get()).read()

    perform(play)


def test_a_connection_that_lives_does_not_spare_the_upstream_others_that_come_to_nothing(
    perform: Perform,
) -> None:
    async def play(stage: Stage) -> None:
        async def answer(upstream: Accepted, query_id: int, heard: Heard) -> None:
            upstream.reply(message(query_id, b"x"))
            await heard.result

        heard, _ = stage.ask(0)
        alive = await stage.accepted.get()
        await answer(alive, 0, heard)
        waiting = [stage.ask(100 + number)[0] for number in range(QUERIES_BEFORE_NEW_CONNECTION)]
        for number in range(1, FREE + 1):
            heard, _ = stage.ask(number)
            (await stage.accepted.get()).abort()
            assert await heard.result == "stream"
        opened = stage.streams.counts.opened
        assert opened == FREE + 1
        # In the pause all go to the one that lives; its answers do not end it.
        await answer(alive, 100, waiting[0])
        for number in range(QUERIES_BEFORE_NEW_CONNECTION):
            stage.ask(200 + number)
        assert stage.streams.counts.opened == opened and stage.streams.open_connections == 1
        stage.clock.advance(OPENING_PAUSE_S_MIN)
        # Behind it one that few wait for is begun, and with its first answer as many as ever.
        _, heard = stage.ask(300)[0], stage.ask(301)[0]
        assert stage.streams.counts.opened == opened + 1
        fresh = await stage.accepted.get()
        await fresh.read()
        await answer(fresh, 301, heard)
        for number in range(2 * QUERIES_BEFORE_NEW_CONNECTION):
            stage.ask(400 + number)
        assert stage.streams.counts.opened == opened + 3
        for _ in range(2):
            await (await stage.accepted.get()).read()
        assert stage.streams.counts.held_back == 0

    perform(play)


def test_who_waits_for_a_handshake_goes_on_with_the_connection_that_opens_first(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        dials: list[Connection] = []

        def dial(connection: Connection) -> asyncio.Task[None]:
            dials.append(connection)
            return asyncio.get_running_loop().create_task(asyncio.sleep(3600))

        stage.streams.dial = dial  # type: ignore[method-assign]
        for number in range(QUERIES_BEFORE_NEW_CONNECTION + 1):
            stage.ask(number)
        slow, fast = dials
        assert (len(slow.waiting), len(fast.waiting)) == (QUERIES_BEFORE_NEW_CONNECTION, 1)
        for connection in dials:
            assert connection.dialling is not None
            connection.dialling.cancel()
        real = Streams.dial(stage.streams, fast)
        fast.dialling = real
        accepted = await stage.accepted.get()
        await accepted.read()
        assert (len(slow.waiting), slow.taken, slow.live) == (1, 1, 1)
        assert (len(fast.waiting), fast.live) == (QUERIES_BEFORE_NEW_CONNECTION,) * 2
        assert all((ticket.sends, ticket.left) == (1, 1) for ticket in fast.waiting.values())
        assert [ticket.left for ticket in slow.waiting.values()] == [0]

    perform(play)


def test_a_connection_that_closes_idle_is_no_failure(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        for number in range(FREE * 2):
            heard, _ = stage.ask(number)
            upstream = await stage.accepted.get()
            await upstream.read()
            upstream.reply(message(number, b"x"))
            await heard.result
            stage.clock.advance(IDLE_S)
            assert stage.streams.open_connections == 0
        assert stage.streams.counts.held_back == 0

    perform(play)
