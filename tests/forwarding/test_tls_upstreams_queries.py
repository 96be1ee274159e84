"""Connections to upstreams over TLS: what is sent, how long a connection is kept and used again."""

from __future__ import annotations

import pytest

from resolver.forwarding.connection import IDLE_S
from resolver.forwarding.tls_terms import VERIFIED_FOR_S
from resolver.forwarding.upstream import Upstream
from resolver.wire.query_options import QUERY_BLOCK_OCTETS
from tests.forwarding.tls_rig import Perform, Stage, perform, query, to
from tests.support import encrypted_upstreams as fake
from tests.support.encrypted_upstreams import HOST, LOOPBACK, Accepted, certified

__all__ = ["perform"]


# What is sent.


def test_nothing_of_a_question_can_be_read_on_the_way(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server()
        path = await stage.stack.enter_async_context(fake.eavesdropper(server.port))
        upstream = Upstream(LOOPBACK, path.port, "tls", host=HOST)
        assert await stage.ask(upstream) == fake.answer_to(query())
        assert path.seen and b"secret" not in path.seen.lower()

    perform(play)


def test_queries_are_padded_and_the_first_asks_for_how_long_it_may_stay(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        heard: list[bytes] = []

        async def keeping(accepted: Accepted) -> None:
            while True:
                heard.append(await accepted.read())
                accepted.reply(fake.answer_to(heard[-1]))

        upstream = to(await stage.server(keeping))
        for number in (1, 2):
            await stage.ask(upstream, query(number))
        await stage.ask(upstream, query(3, edns=False))
        assert [len(octets) for octets in heard[:2]] == [QUERY_BLOCK_OCTETS] * 2
        assert [b"\0\x0b\0\0\0\x0c" in octets for octets in heard] == [True, False, False]
        assert heard[2] == query(3, edns=False)

    perform(play)


def test_each_query_has_a_record_of_its_own(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server()
        path = await stage.stack.enter_async_context(fake.eavesdropper(server.port))
        upstream = Upstream(LOOPBACK, path.port, "tls", host=HOST)
        # All of them are sent when the connection is open.
        heard = [stage.asked(upstream, query(number)) for number in range(8)]
        for number in range(8):
            assert await heard[number] == fake.answer_to(query(number))
        assert path.seen.count(fake.RECORD_OF_A_QUERY) == 8

    perform(play)


def test_alpn_and_server_name_are_sent(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        seen: list[str | None] = []
        context = fake.server_context(stage.folder, certified(HOST), "dot")
        context.sni_callback = lambda _, name, __: seen.append(name)
        server = await stage.stack.enter_async_context(fake.upstream(context))
        await stage.ask(to(server))
        assert seen == [HOST]
        assert server.accepted[0].tls.selected_alpn_protocol() == "dot"

    perform(play)


# What is kept.


def test_a_connection_carries_many_questions(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        upstream = to(await stage.server())
        heard = [stage.asked(upstream, query(number)) for number in range(10)]
        for number in range(10):
            assert await heard[number] == fake.answer_to(query(number))
        assert (stage.streams.counts.opened, upstream.handshakes) == (1, 1)

    perform(play)


def test_a_certificate_is_looked_at_again_after_a_while(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        upstream = to(await stage.server(fake.closing_after_each))
        for pause_s, shaken in ((0.0, (1, 0)), (VERIFIED_FOR_S - 1.0, (1, 1)), (2.0, (2, 1)), (1.0, (2, 2))):
            stage.clock.advance(pause_s)
            assert await stage.ask(upstream) == fake.answer_to(query())
            assert (upstream.handshakes, upstream.resumptions) == shaken

    perform(play)


def test_a_session_is_resumed_on_the_next_connection(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        upstream = to(await stage.server(fake.closing_after_each))
        for _ in range(3):
            assert await stage.ask(upstream) == fake.answer_to(query())
            await stage.until_closed()
        assert (upstream.handshakes, upstream.resumptions) == (1, 2)

    perform(play)


def test_an_idle_connection_is_closed(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        upstream = to(await stage.server())
        await stage.ask(upstream)
        stage.clock.advance(IDLE_S - 0.1)
        assert stage.streams.open_connections == 1
        stage.clock.advance(0.2)
        assert stage.streams.open_connections == 0

    perform(play)


@pytest.mark.parametrize(("tenths", "open_after"), [(20, 1.9), (600, IDLE_S - 0.1)])
def test_the_server_says_for_how_long_a_connection_stays(
    perform: Perform, tenths: int, open_after: float
) -> None:
    async def play(stage: Stage) -> None:
        option = b"\0\0\x29\x04\xd0\0\0\0\0\0\6\0\x0b\0\2" + tenths.to_bytes(2, "big")

        async def keeping(accepted: Accepted) -> None:
            reply = bytearray(fake.answer_to(await accepted.read()) + option)
            reply[11] = 1
            accepted.reply(bytes(reply))
            await fake.silent(accepted)

        upstream = to(await stage.server(keeping))
        await stage.ask(upstream)
        stage.clock.advance(open_after)
        assert stage.streams.open_connections == 1
        stage.clock.advance(0.2)
        assert stage.streams.open_connections == 0

    perform(play)


def test_a_server_that_will_not_stay_gets_no_second_question_there(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        option = b"\0\0\x29\x04\xd0\0\0\0\0\0\6\0\x0b\0\2\0\0"

        async def leaving(accepted: Accepted) -> None:
            reply = bytearray(fake.answer_to(await accepted.read()) + option)
            reply[11] = 1
            accepted.reply(bytes(reply))
            await fake.silent(accepted)

        upstream = to(await stage.server(leaving))
        for number in (1, 2):
            assert isinstance(await stage.ask(upstream, query(number)), bytes)
        assert stage.streams.counts.opened == 2

    perform(play)
