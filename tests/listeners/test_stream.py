"""Framing of TCP connections, over real sockets on loopback, in front of a scripted service."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref

import pytest

from resolver.listeners import connection
from resolver.listeners.stream import StreamListener
from tests.listeners.stream_rig import (
    ScriptedService,
    connect,
    framed,
    is_closed,
    read_message,
    reset,
    run,
    until,
)


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
    # However busy the machine is.
    monkeypatch.setattr(connection, "TURN_S_MAX", 60.0)

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
