"""TCP connections to an upstream on loopback: shared, out of order, broken, bounded, idle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from resolver.forwarding.connection import IDLE_S, Connection
from resolver.forwarding.network import HELD_BACK, SendError, Ticket
from resolver.forwarding.oddities import ANSWERS_UNLIMITED, BELIEVED_S
from resolver.forwarding.openings import FREE, OPENING_PAUSE_S_MAX, OPENING_PAUSE_S_MIN
from resolver.forwarding.pipeline import OVERTAKEN_S_MAX, QUERIES_PER_CONNECTION_MAX
from resolver.forwarding.stream import (
    CONNECTIONS_PER_UPSTREAM_MAX,
    OVERDUE_PER_UPSTREAM_MAX,
    PATIENCE_FACTOR,
    QUERIES_BEFORE_NEW_CONNECTION,
    Streams,
)
from resolver.forwarding.upstream import ATTEMPT_TIMEOUT_S_FIRST, Upstream
from tests.support.scenario_clock import FakeClock

PATIENCE_S = ATTEMPT_TIMEOUT_S_FIRST * PATIENCE_FACTOR

Play = Callable[["Stage"], Coroutine[Any, Any, None]]


class Heard:
    """A receiver that can be awaited."""

    def __init__(self) -> None:
        self.result: asyncio.Future[bytes | str] = asyncio.get_running_loop().create_future()
        self.sends: int | None = None

    def on_octets(self, octets: bytes) -> None:
        self.result.set_result(octets)

    def on_error(self, reason: str, sends: int | None = None) -> None:
        self.sends = sends
        self.result.set_result(reason)


class Accepted:
    """The upstream's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read(self) -> bytes:
        length = int.from_bytes(await self.reader.readexactly(2), "big")
        return await self.reader.readexactly(length)

    def reply(self, octets: bytes) -> None:
        self.writer.write(len(octets).to_bytes(2, "big") + octets)

    def abort(self) -> None:
        self.writer.transport.abort()


class Stage:
    """An upstream, and the streams that ask it."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[Accepted] = asyncio.Queue()
        self.all: list[Accepted] = []
        self.clock = FakeClock()
        self.streams = Streams(asyncio.get_running_loop(), self.clock)

    async def open(self) -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.all.append(Accepted(reader, writer))
            self.accepted.put_nowait(self.all[-1])

        self.server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.upstream = Upstream("127.0.0.1", self.server.sockets[0].getsockname()[1], "tcp")

    async def close(self) -> None:
        self.streams.close()
        self.server.close()
        for accepted in self.all:
            accepted.abort()
        await self.server.wait_closed()
        await asyncio.sleep(0)

    def refused(self, query_id: int) -> str:
        """Why a query is not sent."""
        error = self.streams.ask(self.upstream, message(query_id), Heard())
        assert isinstance(error, SendError)
        return error.reason

    def ask(self, query_id: int) -> tuple[Heard, Ticket]:
        heard = Heard()
        ticket = self.streams.ask(self.upstream, message(query_id), heard)
        assert not isinstance(ticket, SendError)
        return heard, ticket


HEADER = b"\x81\x80\0\1\0\0\0\0\0\0"
QUESTION = b"\x03www\x07example\0\0\1\0\1"


def message(query_id: int, text: bytes = b"") -> bytes:
    """A query, or with `text` behind it a reply."""
    return query_id.to_bytes(2, "big") + HEADER + QUESTION + text


def framed(octets: bytes) -> bytes:
    return len(octets).to_bytes(2, "big") + octets


@pytest.fixture(params=["asyncio", "uvloop"])
def perform(request: pytest.FixtureRequest) -> Callable[[Play], None]:
    """Runs a play on either event loop."""

    async def run(play: Play) -> None:
        stage = Stage()
        await stage.open()
        try:
            await asyncio.wait_for(play(stage), 10.0)
        finally:
            await stage.close()

    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def perform(play: Play) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run(play))

    return perform


Perform = Callable[[Play], None]


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
        assert await heard.result == "stream"

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


LOST: dict[str, bytes] = {
    "an ID never asked": message(7),
    "a query": message(2)[:2] + b"\x01" + message(2)[3:],
    "another question": message(2)[:12] + QUESTION.replace(b"www", b"ftp"),
    "a length of none": b"",
}


@pytest.mark.parametrize("kind", LOST)
def test_a_connection_that_lost_its_framing_is_closed_and_the_others_are_asked_elsewhere(
    perform: Perform, kind: str
) -> None:
    async def play(stage: Stage) -> None:
        one, _ = stage.ask(1)
        two, _ = stage.ask(2)
        three, _ = stage.ask(3)
        old = await stage.accepted.get()
        old.reply(message(1))
        assert await one.result == message(1)
        old.reply(LOST[kind])
        new = await stage.accepted.get()
        asked = {await new.read()}
        if not two.result.done():
            asked.add(await new.read())
        assert message(3) in asked
        for octets in asked:
            new.reply(octets)
        assert await three.result == message(3)
        assert await two.result in (message(2), LOST[kind])
        assert (stage.streams.open_connections, stage.streams.counts.opened) == (1, 2)

    perform(play)


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
