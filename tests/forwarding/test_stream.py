"""TCP connections to an upstream on loopback: framing, sharing, out of order, used again, broken."""

from __future__ import annotations

import asyncio

import pytest

from resolver.forwarding.network import SendError
from tests.forwarding.stream_rig import QUESTION, Heard, Perform, Stage, message, perform

__all__ = ["perform"]


def framed(octets: bytes) -> bytes:
    return len(octets).to_bytes(2, "big") + octets


def test_query_is_framed_and_its_reply_is_whole(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        heard, _ = stage.ask(7)
        upstream = await stage.accepted.get()
        assert await upstream.read() == message(7)
        upstream.reply(message(7, b"x" * 60_000))
        assert await heard.result == message(7, b"x" * 60_000)

    perform(play)


def test_reply_in_single_octets_is_put_together(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        heard, _ = stage.ask(7)
        upstream = await stage.accepted.get()
        reply = message(7, b"reply")
        for octet in len(reply).to_bytes(2, "big") + reply:
            upstream.writer.write(bytes((octet,)))
            await asyncio.sleep(0)
        assert await heard.result == reply

    perform(play)


def test_replies_out_of_order_on_one_connection_find_their_askers(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        heard = [stage.ask(number)[0] for number in range(10)]
        upstream = await stage.accepted.get()
        for _ in range(10):
            await upstream.read()
        upstream.writer.write(
            b"".join(framed(message(number, b"r%d" % number)) for number in reversed(range(10)))
        )
        for number in range(10):
            assert await heard[number].result == message(number, b"r%d" % number)
        assert stage.streams.counts.opened == 1

    perform(play)


def test_connection_is_used_again(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        for number in range(3):
            heard, _ = stage.ask(number)
            upstream = stage.all[0] if stage.all else await stage.accepted.get()
            await upstream.read()
            upstream.reply(message(number))
            await heard.result
        assert (stage.streams.counts.opened, stage.streams.counts.reused) == (1, 2)

    perform(play)


def test_reused_connection_that_breaks_is_replaced_once(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        first, _ = stage.ask(1)
        old = await stage.accepted.get()
        await old.read()
        old.reply(message(1))
        await first.result
        second, _ = stage.ask(2)
        await old.read()
        old.abort()
        new = await stage.accepted.get()
        assert await new.read() == message(2)
        new.reply(message(2))
        assert await second.result == message(2)
        assert stage.streams.counts.retried == 1

    perform(play)


def test_second_connection_that_breaks_ends_it(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        first, _ = stage.ask(1)
        old = await stage.accepted.get()
        await old.read()
        old.reply(message(1))
        await first.result
        second, _ = stage.ask(2)
        await old.read()
        old.abort()
        new = await stage.accepted.get()
        await new.read()
        new.abort()
        assert await second.result == "stream"
        assert stage.streams.open_connections == 0

    perform(play)


def test_fresh_connection_that_breaks_is_not_retried(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        heard, _ = stage.ask(1)
        upstream = await stage.accepted.get()
        upstream.abort()
        assert await heard.result == "stream"
        assert stage.streams.counts.opened == 1

    perform(play)


def test_closed_port_is_told(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        stage.server.close()
        await stage.server.wait_closed()
        heard, _ = stage.ask(1)
        assert await heard.result == "network"
        assert stage.streams.open_connections == 0

    perform(play)


@pytest.mark.parametrize("length", [0, 1, 11])
def test_message_too_short_to_be_one_closes_the_connection(perform: Perform, length: int) -> None:
    async def play(stage: Stage) -> None:
        heard, _ = stage.ask(1)
        upstream = await stage.accepted.get()
        upstream.reply(b"\0" * length)
        assert await heard.result == "malformed"

    perform(play)


def test_an_answer_given_twice_is_dropped_and_counted(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        one, _ = stage.ask(1)
        two, _ = stage.ask(2)
        upstream = await stage.accepted.get()
        upstream.reply(message(1))
        upstream.reply(message(1))
        upstream.reply(message(2))
        assert (await one.result, await two.result) == (message(1), message(2))
        assert stage.streams.counts.unexpected == 1

    perform(play)


OF_NOBODY: dict[str, bytes] = {"an ID never asked": message(7), "a length of none": b""}
OF_ONE: dict[str, bytes] = {
    "a query": message(2)[:2] + b"\x01" + message(2)[3:],
    "another question": message(2)[:12] + QUESTION.replace(b"www", b"ftp"),
}


@pytest.mark.parametrize("kind", OF_NOBODY)
def test_garbage_that_is_nobodys_has_each_question_asked_again_on_a_connection_of_its_own(
    perform: Perform, kind: str
) -> None:
    async def play(stage: Stage) -> None:
        one, _ = stage.ask(1)
        two, _ = stage.ask(2)
        upstream = await stage.accepted.get()
        upstream.reply(message(1))
        assert await one.result == message(1)
        three, _ = stage.ask(3)
        upstream.reply(OF_NOBODY[kind])
        alone = [await stage.accepted.get(), await stage.accepted.get()]
        asked = {await each.read(): each for each in alone}
        assert set(asked) == {message(2), message(3)}
        # Now it is known whose it is.
        asked[message(2)].reply(OF_NOBODY[kind])
        assert await two.result == "malformed"
        asked[message(3)].reply(message(3))
        assert await three.result == message(3)
        assert (stage.streams.open_connections, stage.streams.counts.opened) == (0, 3)

    perform(play)


@pytest.mark.parametrize("kind", OF_ONE)
def test_garbage_for_one_question_ends_the_connection_and_the_others_are_asked_elsewhere(
    perform: Perform, kind: str
) -> None:
    async def play(stage: Stage) -> None:
        one, _ = stage.ask(1)
        two, _ = stage.ask(2)
        three, _ = stage.ask(3)
        old = await stage.accepted.get()
        old.reply(message(1))
        assert await one.result == message(1)
        old.reply(OF_ONE[kind])
        new = await stage.accepted.get()
        assert await new.read() == message(3)
        new.reply(message(3))
        assert (await two.result, await three.result) == (OF_ONE[kind], message(3))
        assert (stage.streams.open_connections, stage.streams.counts.opened) == (1, 2)

    perform(play)


def test_closed_ticket_hears_nothing(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        one, ticket = stage.ask(1)
        two, _ = stage.ask(2)
        upstream = await stage.accepted.get()
        ticket.close()
        ticket.close()
        upstream.reply(message(1))
        upstream.reply(message(2))
        assert await two.result == message(2)
        assert not one.result.done()

    perform(play)


def test_same_id_twice_goes_over_two_connections(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        one, _ = stage.ask(1)
        two, _ = stage.ask(1)
        first, second = await stage.accepted.get(), await stage.accepted.get()
        first.reply(message(1, b"one"))
        second.reply(message(1, b"two"))
        assert {await one.result, await two.result} == {message(1, b"one"), message(1, b"two")}

    perform(play)


def test_close_is_silent_and_complete(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        heard, _ = stage.ask(1)
        await stage.accepted.get()
        stage.streams.close()
        await asyncio.sleep(0)
        assert not heard.result.done() and stage.streams.open_connections == 0
        assert stage.clock.pending == 0
        assert isinstance(stage.streams.ask(stage.upstream, message(2), Heard()), SendError)

    perform(play)
