"""Upstreams over TCP and TLS as the native plane asks them: what is sent, how long a connection is kept.

Knows: fake upstreams on loopback, the stub file.  Does not know: what Python does with a handover.
"""

from __future__ import annotations

import pytest

from resolver.wire.query_options import QUERY_BLOCK_OCTETS
from tests.native.upstreams_rig import Perform, Stage, image, is_good, perform
from tests.support import encrypted_upstreams as fake
from tests.support.encrypted_upstreams import HOST, LOOPBACK, Accepted, certified

__all__ = ["image", "perform"]
pytestmark = pytest.mark.loopback


def name_of(octets: bytes) -> str:
    """The first label of what is asked."""
    return octets[13 : 13 + octets[12]].decode()


@pytest.mark.parametrize("carrier", ["tcp", "tls"])
def test_a_miss_is_asked_over_a_stream_and_then_cached(perform: Perform, carrier: str) -> None:
    async def play(stage: Stage) -> None:
        if carrier == "tls":
            stage.use_tls(await stage.server())
        else:
            stage.use(LOOPBACK, (await stage.plain_server(fake.answering)).port, None)
        assert is_good(await stage.ask("one"))
        assert is_good(await stage.ask("one", 2), 2)
        is_tls = carrier == "tls"
        assert stage.report() == [1, 1, is_tls, 0, is_tls]
        assert stage.plane.counters()["streams_opened"] == 1

    perform(play)


# What is sent.


def test_queries_are_padded_in_lower_case_and_the_first_asks_for_how_long_it_may_stay(
    perform: Perform,
) -> None:
    async def play(stage: Stage) -> None:
        heard: list[bytes] = []

        async def keeping(accepted: Accepted) -> None:
            while True:
                heard.append(await accepted.read())
                accepted.reply(fake.answer_to(heard[-1]))

        stage.use_tls(await stage.server(keeping))
        for number in (1, 2):
            assert is_good(await stage.ask(f"letters-{number}", number), number)
        assert [len(octets) for octets in heard] == [QUERY_BLOCK_OCTETS] * 2
        assert [b"\0\x0b\0\0\0\x0c" in octets for octets in heard] == [True, False]
        assert [name_of(octets) for octets in heard] == ["letters-1", "letters-2"]

    perform(play)


def test_each_query_has_a_record_of_its_own(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        path = await stage.stack.enter_async_context(fake.eavesdropper((await stage.server()).port))
        stage.use_tls(path)
        ends = [stage.asked(f"n{number}", number) for number in range(8)]
        for number, end in enumerate(ends):
            assert is_good(await end, number)
        assert path.seen.count(fake.RECORD_OF_A_QUERY) == 8

    perform(play)


def test_alpn_and_server_name_are_sent(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        seen: list[str | None] = []
        context = fake.server_context(stage.folder, certified(HOST), "dot")
        context.sni_callback = lambda _, name, __: seen.append(name)
        server = await stage.stack.enter_async_context(fake.upstream(context))
        stage.use_tls(server)
        assert is_good(await stage.ask("one"))
        assert seen == [HOST]
        assert server.accepted[0].tls.selected_alpn_protocol() == "dot"

    perform(play)


# What is kept.


def test_a_connection_carries_many_questions_answered_in_any_order(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def backwards(accepted: Accepted) -> None:
            while True:
                queries = [await accepted.read() for _ in range(16)]
                for octets in reversed(queries):
                    accepted.reply(fake.answer_to(octets))

        server = await stage.server(backwards)
        stage.use_tls(server)
        ends = [stage.asked(f"n{number}", number) for number in range(16)]
        for number, end in enumerate(ends):
            assert is_good(await end, number)
        assert len(server.accepted) == 1
        assert (stage.report(), stage.connections) == ([16, 16, 1, 0, 1], 1)
        server.accepted[0].close()

        def is_told() -> bool:
            stage.report()
            return stage.connections == 0

        await stage.until(is_told)

    perform(play)


def test_a_session_is_resumed_on_the_next_connection(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        stage.use_tls(await stage.server(fake.closing_after_each))
        for number in range(3):
            assert is_good(await stage.ask(f"n{number}", number), number)
        assert stage.report() == [3, 3, 1, 2, 1]

    perform(play)


def test_a_server_that_will_not_stay_gets_no_second_question_there(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        option = b"\0\0\x29\x04\xd0\0\0\0\0\0\6\0\x0b\0\2\0\0"

        async def leaving(accepted: Accepted) -> None:
            reply = bytearray(fake.answer_to(await accepted.read()) + option)
            reply[11] = 1
            accepted.reply(bytes(reply))
            await fake.silent(accepted)

        server = await stage.server(leaving)
        stage.use_tls(server)
        for number in (1, 2):
            assert is_good(await stage.ask(f"n{number}", number), number)
        assert len(server.accepted) == 2

    perform(play)
