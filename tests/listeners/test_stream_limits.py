"""Limits of TCP connections: how many, how long, how many questions and octets each client may hold."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from resolver.flow.service import Service
from resolver.listeners import connection, stream
from resolver.listeners.address import SocketAddress, bind_tcp
from resolver.listeners.limits import CLIENT_OCTETS_MAX, CONNECTION_OCTETS_MAX, ConnectionLimits
from resolver.listeners.stream import StreamListener
from tests.listeners.stream_rig import (
    WAIT_S,
    ScriptedService,
    connect,
    framed,
    is_closed,
    read_message,
    reset,
    run,
    until,
)


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
