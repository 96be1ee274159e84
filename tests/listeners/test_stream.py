"""Framing and limits of TCP connections, over real sockets on loopback, in front of a scripted service."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
import weakref
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvloop

from resolver.clock import LoopClock
from resolver.flow.outcome import Ask, Drop, Outcome, Respond, Source
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.flow.waiting import Deliver
from resolver.listeners import connection, stream
from resolver.listeners.address import SocketAddress, bind_tcp
from resolver.listeners.limits import CLIENT_OCTETS_MAX, CONNECTION_OCTETS_MAX, ConnectionLimits
from resolver.listeners.reporter import Reporter
from resolver.listeners.stream import StreamListener
from resolver.observe.tally import Tallies
from resolver.plane import DROP, DROP_AND_CLOSE, PUNT, RESPOND, UNSEEN

WAIT_S = 5.0


class ScriptedService:
    """Echoes a message behind its ID; a message whose third octet is `w` waits until released."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Ask, Deliver]] = []
        self.asked = 0
        self.punted = 0
        self.answers_at_once = False
        self.answer_octets = 0

    def answer_now(self, octets: bytes, peer: Peer, now: float) -> Outcome:
        self.asked += 1
        if octets[2:3] == b"d":
            return Drop("policy", close=True)
        if octets[2:3] == b"x":
            raise ZeroDivisionError
        if octets[2:3] == b"b":
            return self.answer(octets[:2] + b"b" * 60_000)
        if octets[2:3] == b"w":
            return Ask(
                cast(Any, SimpleNamespace(octets=octets)), cast(Any, None), peer, cast(Any, None), 0, now
            )
        return self.answer(octets)

    def answer_punted(self, octets: bytes, peer: Peer, asked_at: float, now: float) -> Outcome:
        self.punted += 1
        return self.answer_now(octets, peer, now)

    def resolve(self, ask: Ask, deliver: Deliver) -> None:
        if self.answers_at_once:
            # As when too many questions are in flight, or no upstream can be sent to.
            deliver(ask, self.answer(ask.query.octets))
        else:
            self.waiting.append((ask, deliver))

    def release(self, index: int = 0) -> None:
        ask, deliver = self.waiting.pop(index)
        deliver(ask, self.answer(ask.query.octets + b"a" * self.answer_octets))

    @staticmethod
    def answer(octets: bytes) -> Respond:
        return Respond(octets[2:], 0, 1, Source.LOCAL)


_opened: list[asyncio.StreamWriter] = []
"""Client connections of the play that runs."""

Play = Callable[[ScriptedService, StreamListener], Awaitable[None]]


def run(play: Play, *, limits: ConnectionLimits | None = None, **options: Any) -> Reporter:
    """Run `play` against a listener on a free port; returns what the listener reported."""
    reporter = Reporter(Tallies())
    _opened.clear()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        service = ScriptedService()
        listener = StreamListener(
            bind_tcp(SocketAddress("127.0.0.1", 0)),
            cast(Service, service),
            reporter,
            LoopClock(loop),
            loop,
            limits or ConnectionLimits(),
            **options,
        )
        await listener.start()
        try:
            await asyncio.wait_for(play(service, listener), 4 * WAIT_S)
        finally:
            listener.close()
            for writer in _opened:
                writer.close()
            for writer in _opened:
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
            await asyncio.sleep(0.01)  # let the loop close what was aborted

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    return reporter


def framed(message_id: int, text: bytes) -> bytes:
    octets = message_id.to_bytes(2, "big") + text.ljust(10, b".")
    return len(octets).to_bytes(2, "big") + octets


async def connect(
    listener: StreamListener, source: str = "127.0.0.1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*listener.bound_to, limit=1 << 20, local_addr=(source, 0))
    _opened.append(writer)
    return reader, writer


def reset(writer: asyncio.StreamWriter) -> None:
    """Leave without a word: a client that closes its half may still want its answers."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_message(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await asyncio.wait_for(reader.readexactly(2), WAIT_S), "big")
    return await asyncio.wait_for(reader.readexactly(length), WAIT_S)


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), WAIT_S) == b""
    except ConnectionError:
        return True


async def until(condition: Callable[[], bool]) -> None:
    async def poll() -> None:
        while not condition():  # noqa: ASYNC110 -- the listener has no event to wait for
            await asyncio.sleep(0.005)

    await asyncio.wait_for(poll(), WAIT_S)


def test_one_octet_writes_make_a_message() -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in framed(7, b"hello"):
            writer.write(bytes([octet]))
            await writer.drain()
        assert await read_message(reader) == b"\0\7hello....."

    run(play)


def test_what_is_answered_in_one_turn_leaves_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = connection.Connection._write

    def noting(self: connection.Connection, octets: bytes) -> None:
        written.append(octets)
        write(self, octets)

    monkeypatch.setattr(connection.Connection, "_write", noting)

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        service.answers_at_once = True  # also an answer that its question did not have to wait for
        reader, writer = await connect(listener)
        messages = [framed(number, b"wait" if number == 3 else b"quick") for number in range(16)]
        writer.write(b"".join(messages))
        for message in messages:
            assert await read_message(reader) == message[2:]
        assert written == [b"".join(messages)]
        # What a client has sent before it is cut off was answered.
        writer.write(framed(7, b"quick") + framed(8, b"dead"))
        assert await read_message(reader) == framed(7, b"quick")[2:] and await is_closed(reader)

    run(play)


def test_a_slow_question_blocks_none_of_those_behind_it() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(0, b"wait"))
        writer.writelines(framed(number, b"quick") for number in range(1, 20))
        for number in range(1, 20):
            assert (await read_message(reader))[:2] == number.to_bytes(2, "big")
        service.release()
        assert (await read_message(reader))[:2] == b"\0\0"

    run(play)


@pytest.mark.parametrize("length", [0, 1, 11])
def test_a_message_too_short_to_be_one_ends_the_connection(length: int) -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"good") + length.to_bytes(2, "big") + b"x" * length + framed(2, b"never"))
        assert (await read_message(reader))[:2] == b"\0\1"
        assert await is_closed(reader)

    assert run(play).drops["tcp_short_message"] == 1


def test_a_half_closed_client_still_gets_every_answer() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        questions = connection.MESSAGES_PER_TURN_MAX * 3
        writer.writelines(framed(number, b"quick") for number in range(questions))
        writer.write(framed(9999, b"wait"))
        writer.write_eof()
        for number in range(questions):
            assert (await read_message(reader))[:2] == number.to_bytes(2, "big")
        await until(lambda: bool(service.waiting))
        service.release()
        assert (await read_message(reader))[:2] == (9999).to_bytes(2, "big")
        assert await is_closed(reader)

    run(play)


def test_a_connection_may_have_only_so_many_open_questions() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        asked = connection.OPEN_QUESTIONS_MAX + 50
        writer.writelines(framed(number, b"wait") for number in range(asked))
        await until(lambda: len(service.waiting) == connection.OPEN_QUESTIONS_MAX)
        for _ in range(10):
            await asyncio.sleep(0)
        assert service.asked == connection.OPEN_QUESTIONS_MAX
        answered = set()
        for _ in range(asked):
            await until(lambda: bool(service.waiting))
            service.release()
            answered.add((await read_message(reader))[:2])
        assert len(answered) == asked

    run(play)


def test_a_client_that_never_reads_is_made_to_wait_and_then_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SWEEP_EVERY_S", 0.01)

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        _, writer = await connect(listener)
        cast(Any, writer.transport).pause_reading()
        writer.writelines(framed(number, b"big") for number in range(2000))
        await until(lambda: bool(listener.reporter.drops))
        # Far from all of its queries were worked on: 60 kB each would be 120 MB.
        assert service.asked < 1000
        await until(lambda: listener.connections == 0)

    assert run(play, idle_s=0.1).drops["tcp_client_does_not_read"] == 1


def test_a_client_that_reads_slowly_gets_every_answer() -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        asked = 200
        writer.writelines(framed(number, b"big") for number in range(asked))
        for number in range(asked):
            message = await read_message(reader)
            assert message[:2] == number.to_bytes(2, "big")
            assert len(message) == 60_002

    assert not run(play).drops


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SWEEP_EVERY_S", 0.01)

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        idle_reader, idle_writer = await connect(listener)
        busy_reader, busy_writer = await connect(listener)
        busy_writer.write(framed(1, b"wait"))
        await until(lambda: bool(service.waiting))
        # Octets that never become a message are no sign of life.
        idle_writer.write(b"\0\x20slow")
        assert await is_closed(idle_reader)
        await until(lambda: listener.connections == 1)
        service.release()
        assert (await read_message(busy_reader))[:2] == b"\0\1"

    run(play, idle_s=0.05)


def test_one_clients_connections_do_not_use_up_anothers() -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        connections = [await connect(listener) for _ in range(5)]
        assert await is_closed(connections[4][0])
        reader, writer = await connect(listener, "127.0.0.9")
        writer.write(framed(3, b"hello"))
        assert (await read_message(reader))[:2] == b"\0\3"

    reporter = run(play, limits=ConnectionLimits(1000, 4))
    assert reporter.drops["tcp_connections_per_client_max"] == 1


def test_connections_are_bounded_in_all_and_a_closed_one_makes_room() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        first = await connect(listener)
        first[1].write(framed(1, b"wait"))
        await until(lambda: bool(service.waiting))
        second = await connect(listener, "127.0.0.2")
        assert await is_closed(second[0])
        reset(first[1])
        await until(lambda: listener.connections == 0)
        third = await connect(listener)
        third[1].write(framed(3, b"hello"))
        assert (await read_message(third[0]))[:2] == b"\0\3"

    assert run(play, limits=ConnectionLimits(1, 1)).drops == {"tcp_connections_max": 1}


@pytest.mark.parametrize("are_busy", [False, True])
def test_clients_that_take_every_place_shut_nobody_out(are_busy: bool) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        for number in range(10):
            for _ in range(10):
                _, writer = await connect(listener, f"127.0.1.{number}")
                writer.write(framed(1, b"wait" if are_busy else b"quick"))
        await until(lambda: service.asked == 100)
        others = [await connect(listener, f"127.0.2.{number}") for number in range(7)]
        for reader, writer in others:
            writer.write(framed(2, b"hello"))
            assert (await read_message(reader))[:2] == b"\0\2"
        assert listener.connections == 100

    drops = run(play, limits=ConnectionLimits(100, 10)).drops
    assert drops == {"tcp_yielded_share" if are_busy else "tcp_yielded_idle": 7}


def test_a_connection_of_another_listener_yields_as_one_of_its_own() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        second = StreamListener(
            bind_tcp(SocketAddress("127.0.0.2", 0)),
            cast(Service, service),
            listener.reporter,
            listener.clock,
            listener.loop,
            limits,
        )
        await second.start()
        try:
            first_reader, _ = await connect(listener)
            await until(lambda: listener.connections == 1)
            reader, writer = await connect(second, "127.0.0.3")
            writer.write(framed(2, b"hello"))
            assert (await read_message(reader))[:2] == b"\0\2"
            assert await is_closed(first_reader)
            assert (listener.connections, second.connections, limits.open) == (0, 1, 1)
        finally:
            second.close()

    limits = ConnectionLimits(1, 1)
    assert run(play, limits=limits).drops == {"tcp_yielded_idle": 1}


def test_a_connection_idles_for_less_time_in_a_full_house(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SWEEP_EVERY_S", 0.01)

    async def play(_: ScriptedService, listener: StreamListener) -> None:
        first, _unused = await connect(listener)
        last, _unused = await connect(listener, "127.0.0.2")
        assert await is_closed(first)
        assert await is_closed(last)

    # Long beyond the end of the play, but a tenth of it is not.
    run(play, limits=ConnectionLimits(2, 1), idle_s=0.9 * WAIT_S)


def test_a_closed_connection_leaves_no_circle_behind() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        closed = []
        for end in (reset, asyncio.StreamWriter.write_eof, asyncio.StreamWriter.close):
            reader, writer = await connect(listener)
            writer.write(framed(1, b"quick"))
            await read_message(reader)
            closed += [weakref.ref(one) for one in listener._connections]
            end(writer)
            await until(lambda: listener.connections == 0)
        await until(lambda: not any(one() for one in closed))

    gc.disable()
    try:
        run(play)
    finally:
        gc.enable()


def test_a_crowd_of_long_answers_for_a_client_that_does_not_read_is_not_kept() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        service.answer_octets = 60_000
        connections = []
        for _ in range(10):
            _, writer = await connect(listener)
            cast(Any, writer.transport).pause_reading()
            writer.writelines(framed(number, b"wait") for number in range(connection.OPEN_QUESTIONS_MAX))
            connections.append(writer)
        await until(lambda: len(service.waiting) == 10 * connection.OPEN_QUESTIONS_MAX)
        # All in one turn of the loop, as it is when they wait for the same name: 60 MB.
        while service.waiting:
            service.release()
            assert limits.octets <= CLIENT_OCTETS_MAX
            assert max((c.held_octets() for c in listener._connections), default=0) <= CONNECTION_OCTETS_MAX
        await until(lambda: listener.connections == 0)

    limits = ConnectionLimits()
    drops = run(play, limits=limits).drops
    assert drops == {"tcp_connection_octets_max": 10}
    assert limits.octets == 0


def test_what_the_connections_of_one_client_hold_together_is_bounded() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        service.answer_octets = 60_000
        for _ in range(30):
            _, writer = await connect(listener)
            cast(Any, writer.transport).pause_reading()
            writer.writelines(framed(number, b"wait") for number in range(10))
        await until(lambda: len(service.waiting) == 300)
        while service.waiting:
            service.release()
            assert sum(c.held_octets() for c in listener._connections) <= CLIENT_OCTETS_MAX + 60_000
        assert listener.connections >= 10

    assert set(run(play).drops) == {"tcp_client_octets_max"}


def test_long_queries_that_wait_for_upstreams_are_bounded_in_octets() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        _, writer = await connect(listener)
        writer.writelines(framed(number, b"wait".ljust(30_000)) for number in range(20))
        await until(lambda: len(service.waiting) == 3)
        await until(lambda: listener._limits.octets > 90_000)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(service.waiting) == 3
        [one] = listener._connections
        assert one.held_octets() + one.place.lent <= CONNECTION_OCTETS_MAX
        for _ in range(20):
            await until(lambda: bool(service.waiting))
            service.release()
        await until(lambda: listener._limits.octets == 0)

    assert not run(play).drops


def test_octets_of_an_open_question_are_counted_until_its_answer_though_its_connection_is_gone() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        _, writer = await connect(listener)
        writer.write(framed(1, b"wait".ljust(9_998)))
        await until(lambda: bool(service.waiting))
        reset(writer)
        await until(lambda: listener.connections == 0)
        assert limits.octets == 10_000
        service.release()
        assert limits.octets == 0

    limits = ConnectionLimits()
    run(play, limits=limits)


def test_listeners_of_one_server_share_its_limits() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        second = StreamListener(
            bind_tcp(SocketAddress("127.0.0.2", 0)),
            cast(Service, service),
            listener.reporter,
            listener.clock,
            listener.loop,
            limits,
        )
        await second.start()
        try:
            first = await connect(listener)
            await until(lambda: listener.connections == 1)
            assert await is_closed((await connect(second))[0])
            assert listener.reporter.drops["tcp_connections_per_client_max"] == 1
            first[1].close()
            await until(lambda: limits.open == 0)
            reader, writer = await connect(second)
            writer.write(framed(2, b"hello"))
            assert (await read_message(reader))[:2] == b"\0\2"
            assert (listener.connections, second.connections, limits.open) == (0, 1, 1)
        finally:
            second.close()

    limits = ConnectionLimits(1000, 1)
    run(play, limits=limits)
    assert limits.open == 0


def test_a_dropped_question_closes_the_connection() -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"drop"))
        assert await is_closed(reader)

    run(play)


def test_answers_before_a_dropped_question_reach_their_client_and_nothing_behind_it() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"quick") + framed(2, b"big") + framed(3, b"drop") + framed(4, b"quick"))
        assert (await read_message(reader))[:2] == b"\0\1"
        assert (await read_message(reader))[:2] == b"\0\2"
        assert await is_closed(reader)
        assert service.asked == 3

    run(play)


def test_a_defect_costs_one_query_not_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"x") + framed(2, b"fine"))
        assert (await read_message(reader))[:2] == b"\0\2"

    assert run(play).drops["defect"] == 1
    assert "defect in answer_now" in caplog.text


def test_shutting_down_answers_what_is_open_and_reads_no_more() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"wait"))
        await until(lambda: bool(service.waiting))
        listener.stop_reading()
        writer.write(framed(2, b"too late"))
        service.release()
        assert (await read_message(reader))[:2] == b"\0\1"
        assert await is_closed(reader)
        assert service.asked == 1

    run(play)


def test_a_client_that_was_made_to_wait_and_leaves_at_the_end_is_seen_to_leave() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.writelines(framed(number, b"wait") for number in range(connection.OPEN_QUESTIONS_MAX + 1))
        await until(lambda: len(service.waiting) == connection.OPEN_QUESTIONS_MAX)
        listener.stop_reading()
        for _ in range(connection.OPEN_QUESTIONS_MAX + 1):
            service.release()
            await read_message(reader)
        assert await is_closed(reader)
        writer.close()
        await until(lambda: listener.connections == 0)

    run(play)


def test_answers_delivered_while_asking_are_each_sent_once() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        service.answers_at_once = True
        reader, writer = await connect(listener)
        asked = 2 * connection.MESSAGES_PER_TURN_MAX
        last = framed(asked, b"wait")
        writer.write(b"".join(framed(number, b"wait") for number in range(asked)) + last[:7])
        for number in range(asked):
            assert (await read_message(reader))[:2] == number.to_bytes(2, "big")
        writer.write(last[7:])
        assert (await read_message(reader))[:2] == asked.to_bytes(2, "big")
        assert service.asked == asked + 1
        writer.write_eof()
        assert await is_closed(reader)

    run(play)


def test_a_half_closed_client_is_let_go_after_answers_delivered_while_asking() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        service.answers_at_once = True
        reader, writer = await connect(listener)
        writer.write(framed(1, b"wait") + framed(2, b"quick"))
        writer.write_eof()
        assert (await read_message(reader))[:2] == b"\0\1"
        assert (await read_message(reader))[:2] == b"\0\2"
        assert await is_closed(reader)
        await until(lambda: listener.connections == 0)

    run(play)


class NativeGates:
    """Answers by the third octet: `n` here, `p` not, `u` unseen, `d` dropped, `c` with the connection, `x` a defect."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, int]] = []

    def answer(
        self, octets: bytes, address: bytes, transport: int, now: float, name: str = ""
    ) -> tuple[int, bytes]:
        self.asked.append((address, transport))
        if octets[2:3] == b"x":
            raise ZeroDivisionError
        word = {b"n": RESPOND, b"p": PUNT, b"u": UNSEEN, b"d": DROP, b"c": DROP_AND_CLOSE}[octets[2:3]]
        return word, octets[:2] + b"plane" if word == RESPOND else b""


def test_what_the_native_gates_answer_is_not_asked_or_counted_again() -> None:
    native_gates = NativeGates()

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"native") + framed(2, b"dropped") + framed(3, b"punted"))
        assert await read_message(reader) == b"\0\1plane"
        assert (await read_message(reader))[:8] == b"\0\3punted"
        assert native_gates.asked == [(b"\x7f\0\0\1", Transport.TCP)] * 3
        assert service.punted == 1

    reporter = run(play, native_gates=native_gates)
    assert sum(count for _, count, _ in reporter.tallies.snapshot().counts) == 1


def test_what_the_native_gates_did_not_look_at_is_asked_as_if_there_were_none() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"unseen"))
        assert (await read_message(reader))[:8] == b"\0\1unseen"
        assert (service.asked, service.punted) == (1, 0)

    run(play, native_gates=NativeGates())


def test_the_native_gates_may_close_a_connection() -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"close"))
        assert await is_closed(reader)

    run(play, native_gates=NativeGates())


def test_a_defect_of_the_native_gates_costs_one_query() -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"x") + framed(2, b"native"))
        assert await read_message(reader) == b"\0\2plane"

    assert run(play, native_gates=NativeGates()).drops["defect"] == 1
