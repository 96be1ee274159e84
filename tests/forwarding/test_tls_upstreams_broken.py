"""Connections to upstreams over TLS that are silent, break, or answer out of order."""

from __future__ import annotations

import asyncio
import os

from resolver.forwarding.oddities import ANSWERS_UNLIMITED
from tests.forwarding.tls_rig import Perform, Stage, perform, query, to
from tests.support import encrypted_upstreams as fake
from tests.support.encrypted_upstreams import Accepted

__all__ = ["perform"]


# What breaks.


def test_a_silent_connection_is_not_chosen_again(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        asked = asyncio.Event()

        async def falling_silent(accepted: Accepted) -> None:
            if len(server.accepted) == 1:
                await accepted.read()
                asked.set()
                await fake.silent(accepted)
            await fake.answering(accepted)

        server = await stage.server(falling_silent)
        upstream = to(server)
        stage.asked(upstream, query(1))
        await asked.wait()
        stage.clock.advance(1.0)
        assert await stage.ask(upstream, query(2)) == fake.answer_to(query(2))
        assert len(server.accepted) == 2

    perform(play)


def test_a_connection_that_breaks_after_an_answer_is_replaced_once(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def breaking(accepted: Accepted) -> None:
            accepted.reply(fake.answer_to(await accepted.read()))
            await accepted.read()
            accepted.abort()

        upstream = to(await stage.server(breaking))
        await stage.ask(upstream, query(1))
        assert await stage.ask(upstream, query(2)) == fake.answer_to(query(2))
        assert stage.streams.counts.retried == 1

    perform(play)


def test_one_that_closes_after_two_answers_is_learnt_when_it_did_so_twice(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def closing_after_two(accepted: Accepted) -> None:
            queries = [await accepted.read() for _ in range(4 if len(server.accepted) < 3 else 2)]
            for octets in queries[:2]:
                accepted.reply(fake.answer_to(octets))
            await accepted.writer.drain()
            accepted.close()

        server = await stage.server(closing_after_two)
        upstream = to(server)
        heard = [stage.asked(upstream, query(number)) for number in range(6)]
        for one in heard:
            await one
        assert upstream.oddities.answers_per_connection(stage.clock.now()) == 2

    perform(play)


def test_a_connection_that_is_cut_off_says_nothing_of_how_many_answers_there_are(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def cut_off(accepted: Accepted) -> None:
            accepted.reply(fake.answer_to(await accepted.read()))
            for _ in range(2):
                await accepted.read()
            accepted.abort()  # nobody said goodbye

        upstream = to(await stage.server(cut_off))
        for number in (0, 10, 20):
            await stage.ask(upstream, query(number))
            heard = [stage.asked(upstream, query(number + one)) for one in (1, 2)]
            await asyncio.wait(heard, timeout=0.2)
        assert upstream.oddities.answers_per_connection(stage.clock.now()) == ANSWERS_UNLIMITED

    perform(play)


def test_a_new_connection_that_breaks_is_replaced_where_others_were_answered_just_now(
    perform: Perform,
) -> None:
    async def play(stage: Stage) -> None:
        async def breaking_once(accepted: Accepted) -> None:
            if len(server.accepted) == 1:
                accepted.reply(fake.answer_to(await accepted.read()))
                await accepted.writer.drain()
                accepted.close()
            elif len(server.accepted) == 2:
                await fake.resetting(accepted)
            else:
                await fake.answering(accepted)

        server = await stage.server(breaking_once)
        upstream = to(server)
        upstream.answered_at = stage.clock.now()
        assert isinstance(await stage.ask(upstream, query(1)), bytes)
        await stage.until_closed()
        assert await stage.ask(upstream, query(2)) == fake.answer_to(query(2))
        assert len(server.accepted) == 3

    perform(play)


def test_one_that_breaks_off_each_question_fails_at_once(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server(fake.resetting)
        assert await stage.ask(to(server)) == "stream"
        assert len(server.accepted) == 1

    perform(play)


def test_an_answer_without_framing_ends_the_connection(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def broken(accepted: Accepted) -> None:
            await accepted.read()
            accepted.writer.write(b"\0\3abc")
            await fake.silent(accepted)

        assert await stage.ask(to(await stage.server(broken))) == "malformed"
        assert stage.streams.open_connections == 0

    perform(play)


def test_octets_changed_on_the_way_end_the_connection(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def changed(accepted: Accepted) -> None:
            await accepted.read()
            # Behind TLS's back: a record that nobody sealed.
            socket = accepted.writer.get_extra_info("socket")
            os.write(socket.fileno(), b"\x17\x03\x03\0\x20" + bytes(32))
            await fake.silent(accepted)

        assert await stage.ask(to(await stage.server(changed))) == "stream"
        assert stage.streams.open_connections == 0

    perform(play)
