"""TCP connections to an upstream that is silent, slow, or closes after a few answers: not chosen again."""

from __future__ import annotations

import asyncio

import pytest

from resolver.forwarding.oddities import ANSWERS_UNLIMITED, BELIEVED_S
from resolver.forwarding.pipeline import OVERTAKEN_S_MAX
from resolver.forwarding.stream import (
    CONNECTIONS_PER_UPSTREAM_MAX,
    OVERDUE_PER_UPSTREAM_MAX,
    PATIENCE_FACTOR,
)
from resolver.forwarding.upstream import ATTEMPT_TIMEOUT_S_FIRST
from tests.forwarding.stream_rig import Accepted, Heard, Perform, Stage, message, perform

__all__ = ["perform"]


PATIENCE_S = ATTEMPT_TIMEOUT_S_FIRST * PATIENCE_FACTOR


def test_a_silent_connection_is_not_chosen_again_and_closed(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        one, ticket = stage.ask(1)
        silent = await stage.accepted.get()
        stage.clock.advance(PATIENCE_S - 0.01)
        stage.ask(2)[1].close()
        assert stage.streams.counts.opened == 1
        stage.clock.advance(0.01)
        heard, _ = stage.ask(3)
        new = await stage.accepted.get()
        assert await new.read() == message(3)
        new.reply(message(3))
        assert await heard.result == message(3)
        ticket.close()
        assert stage.streams.open_connections == 1 and not one.result.done()
        await silent.read()
        await silent.read()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await silent.read()
        assert stage.streams.counts.broken == 1

    perform(play)


def test_a_slow_answer_is_still_taken_from_a_connection_that_nobody_chooses(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        one, _ = stage.ask(1)
        slow = await stage.accepted.get()
        stage.clock.advance(PATIENCE_S * 2)
        stage.ask(2)
        await stage.accepted.get()
        slow.reply(message(1))
        assert await one.result == message(1)

    perform(play)


def test_a_connection_with_a_slow_query_is_not_chosen_but_kept_while_others_overtake_it(
    perform: Perform,
) -> None:
    async def play(stage: Stage) -> None:
        _, slow = stage.ask(1)
        upstream = await stage.accepted.get()
        others = [stage.ask(number)[0] for number in range(2, 6)]
        for number, heard in enumerate(others, 2):
            stage.clock.advance(PATIENCE_S / 3)
            upstream.reply(message(number))
            await heard.result
        stage.ask(6)
        await stage.accepted.get()
        assert stage.streams.counts.opened == 2
        slow.close()
        assert stage.streams.open_connections == 2
        stage.clock.advance(OVERTAKEN_S_MAX)
        assert stage.streams.open_connections == 1

    perform(play)


def test_a_connection_that_answers_the_first_and_no_more_is_not_chosen_again(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        one, _ = stage.ask(1)
        stage.ask(2)
        upstream = await stage.accepted.get()
        upstream.reply(message(1))
        await one.result
        stage.clock.advance(PATIENCE_S)
        stage.ask(3)
        await stage.accepted.get()
        assert stage.streams.counts.opened == 2

    perform(play)


def test_who_gave_up_counts_too_and_an_unused_silent_connection_is_closed(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        _, ticket = stage.ask(1)
        await stage.accepted.get()
        await asyncio.sleep(0)
        ticket.close()
        assert stage.streams.open_connections == 1
        stage.clock.advance(PATIENCE_S)
        assert stage.streams.open_connections == 0

    perform(play)


def test_silent_connections_are_bounded(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        most = CONNECTIONS_PER_UPSTREAM_MAX + OVERDUE_PER_UPSTREAM_MAX
        for number in range(3 * most):
            stage.streams.ask(stage.upstream, message(number), Heard())
            stage.clock.advance(PATIENCE_S)
            assert stage.streams.open_connections <= most
            await stage.accepted.get()

    perform(play)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_forty_at_a_time_are_answered_by_who_closes_after_a_few(perform: Perform, limit: int) -> None:
    async def play(stage: Stage) -> None:
        async def serve() -> None:
            while True:
                upstream = await stage.accepted.get()
                tasks.append(asyncio.ensure_future(serve_one(upstream)))

        async def serve_one(upstream: Accepted) -> None:
            for _ in range(limit):
                upstream.reply(await upstream.read())
            await upstream.writer.drain()
            upstream.writer.close()

        tasks: list[asyncio.Future[None]] = [asyncio.ensure_future(serve())]
        heard = [stage.ask(number)[0] for number in range(40)]
        results = [await one.result for one in heard]
        assert results == [message(number) for number in range(40)]
        assert stage.upstream.oddities.answers_per_connection(stage.clock.now()) == limit
        before = stage.streams.counts.broken
        heard = [stage.ask(number)[0] for number in range(40)]
        assert [await one.result for one in heard] == results
        assert (stage.streams.counts.broken, stage.streams.queued) == (before, 0)
        for task in tasks:
            task.cancel()

    perform(play)


def test_how_many_answers_a_connection_takes_is_forgotten_in_time(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        stage.upstream.oddities.limit_answers(1, stage.clock.now())
        for heard in [stage.ask(1)[0], stage.ask(2)[0]]:
            upstream = await stage.accepted.get()
            upstream.reply(await upstream.read())
            await heard.result
        assert stage.streams.counts.opened == 2
        stage.clock.advance(BELIEVED_S)
        stage.ask(3)
        stage.ask(4)
        await stage.accepted.get()
        assert stage.streams.counts.opened == 3

    perform(play)


def test_an_idle_connection_that_ends_teaches_nothing(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        one, _ = stage.ask(1)
        old = await stage.accepted.get()
        await old.read()
        old.reply(message(1))
        await one.result
        stage.clock.advance(1.0)
        two, _ = stage.ask(2)
        await old.read()
        old.abort()
        new = await stage.accepted.get()
        new.reply(await new.read())
        assert await two.result == message(2)
        assert stage.upstream.oddities.answers_per_connection(stage.clock.now()) == ANSWERS_UNLIMITED

    perform(play)
