"""DNS over TLS: the stream listener with a context, over real sockets on loopback, in front of a scripted service."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest

from resolver.flow.peer import Transport
from resolver.listeners.limits import ConnectionLimits
from resolver.listeners.stream import StreamListener
from tests.listeners.stream_rig import (
    NativeGates,
    ScriptedService,
    connect,
    framed,
    is_closed,
    run,
    until,
)
from tests.listeners.tls_rig import Client, Tls12Client, context, over_tls, quick_sweep, shake_hands

__all__ = ["context", "quick_sweep"]


@pytest.mark.parametrize(("kind", "version"), [(Client, "TLSv1.3"), (Tls12Client, "TLSv1.2")])
def test_queries_are_answered_as_they_become_ready_and_counted_as_tls(
    context: ssl.SSLContext, kind: type[Client], version: str
) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await shake_hands(listener, kind)
        assert (client.tls.version(), client.tls.selected_alpn_protocol()) == (version, "dot")
        client.say(framed(0, b"wait") + framed(1, b"quick"))
        assert await client.read_message() == b"\0\1quick....."
        [(ask, _)] = service.waiting
        assert ask.peer.transport is Transport.TLS
        service.release()
        assert (await client.read_message())[:2] == b"\0\0"

    reporter = run(play, **over_tls(context))
    assert {(key.transport, count) for key, count, _ in reporter.tallies.snapshot().counts} == {("tls", 2)}
    assert not reporter.drops


def test_a_query_may_come_with_the_last_octets_of_the_handshake_and_octet_by_octet(
    context: ssl.SSLContext,
) -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        client = Client(*await connect(listener))
        with contextlib.suppress(ssl.SSLWantReadError):
            client.tls.do_handshake()
        client.flush()
        await client._more()
        client.tls.do_handshake()
        client.say(framed(1, b"early"))
        assert (await client.read_message())[:2] == b"\0\1"
        for octet in client.sealed(framed(2, b"slow")):
            client.writer.write(bytes([octet]))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.read_message())[:2] == b"\0\2"

    run(play, **over_tls(context))


def test_answers_longer_than_a_record_arrive_whole_at_a_client_that_reads_slowly(
    context: ssl.SSLContext,
) -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        client = await shake_hands(listener)
        client.say(b"".join(framed(number, b"big") for number in range(100)))
        for number in range(100):
            message = await client.read_message()
            assert (message[:2], len(message)) == (number.to_bytes(2, "big"), 60_002)

    assert not run(play, **over_tls(context)).drops


@pytest.mark.usefixtures("quick_sweep")
def test_a_client_that_does_not_finish_the_handshake_loses_its_connection_within_the_idle_time(
    context: ssl.SSLContext,
) -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        silent_reader, _writer = await connect(listener)
        slow = Client(*await connect(listener))
        with contextlib.suppress(ssl.SSLWantReadError):
            slow.tls.do_handshake()
        hello = slow._outgoing.read()

        async def drip() -> None:
            # Octets alone are no sign of life.
            for octet in hello[:-1]:
                slow.writer.write(bytes([octet]))
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        assert await is_closed(silent_reader)
        assert await is_closed(slow.reader)
        dripping.cancel()
        await until(lambda: listener.connections == 0)

    assert run(play, **over_tls(context), idle_s=0.1).drops == {"tls_handshake_timeout": 2}


@pytest.mark.usefixtures("quick_sweep")
def test_an_idle_client_gets_close_notify_and_a_busy_one_does_not(context: ssl.SSLContext) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        idle = await shake_hands(listener)
        busy = await shake_hands(listener)
        busy.say(framed(1, b"wait"))
        await until(lambda: bool(service.waiting))
        assert await idle.gets_close_notify()
        idle.writer.close()
        await until(lambda: listener.connections == 1)
        service.release()
        assert (await busy.read_message())[:2] == b"\0\1"

    assert not run(play, **over_tls(context), idle_s=0.05).drops


# In TLS 1.2 close_notify ends both directions, and OpenSSL's client reads no more after its own.
@pytest.mark.parametrize(
    ("kind", "sends_close_notify"), [(Client, True), (Client, False), (Tls12Client, False)]
)
def test_a_client_that_closes_its_half_still_gets_every_answer(
    context: ssl.SSLContext, kind: type[Client], sends_close_notify: bool
) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await shake_hands(listener, kind)
        client.say(framed(1, b"wait"))
        if sends_close_notify:
            client.close_notify()
        else:
            client.writer.write_eof()
        await until(lambda: bool(service.waiting))
        service.release()
        assert (await client.read_message())[:2] == b"\0\1"
        assert await client.gets_close_notify()
        await until(lambda: listener.connections == 0)

    assert not run(play, **over_tls(context)).drops


def test_a_close_notify_without_open_questions_ends_the_connection(context: ssl.SSLContext) -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        client = await shake_hands(listener)
        client.close_notify()
        assert await client.gets_close_notify()
        await until(lambda: listener.connections == 0)

    assert not run(play, **over_tls(context)).drops


def test_who_speaks_no_tls_gets_no_answer(context: ssl.SSLContext) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"plain words"))
        assert await is_closed(reader)
        assert service.asked == 0
        await until(lambda: listener.connections == 0)

    assert run(play, **over_tls(context)).drops == {"tls_failed": 1}


def test_a_broken_record_ends_the_connection_and_open_questions_are_answered_to_nobody(
    context: ssl.SSLContext,
) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await shake_hands(listener)
        client.say(framed(1, b"wait"))
        await until(lambda: bool(service.waiting))
        record = bytearray(client.sealed(framed(2, b"never")))
        record[-1] ^= 1
        client.writer.write(bytes(record))
        with pytest.raises(ssl.SSLError, match="ALERT_BAD_RECORD_MAC"):
            await client.read_message()
        await until(lambda: listener.connections == 0)
        service.release()
        assert service.asked == 1

    assert run(play, **over_tls(context)).drops == {"tls_failed": 1}


def test_a_connection_counts_before_its_handshake(context: ssl.SSLContext) -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        silent = await connect(listener)
        await until(lambda: listener.connections == 1)
        assert await is_closed((await connect(listener))[0])
        silent[1].close()
        await until(lambda: limits.open == 0)
        client = await shake_hands(listener)
        client.say(framed(3, b"hello"))
        assert (await client.read_message())[:2] == b"\0\3"

    limits = ConnectionLimits(1000, 1)
    assert run(play, **over_tls(context), limits=limits).drops == {"tcp_connections_per_client_max": 1}


def test_shutting_down_answers_what_is_open_and_sends_close_notify(context: ssl.SSLContext) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await shake_hands(listener)
        early_reader, _ = await connect(listener)
        await until(lambda: listener.connections == 2)
        client.say(framed(1, b"wait"))
        await until(lambda: bool(service.waiting))
        listener.stop_reading()
        assert await is_closed(early_reader)
        client.say(framed(2, b"too late"))
        service.release()
        assert (await client.read_message())[:2] == b"\0\1"
        assert await client.gets_close_notify()
        assert service.asked == 1

    run(play, **over_tls(context))


def test_a_dropped_question_closes_the_connection(context: ssl.SSLContext) -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        client = await shake_hands(listener)
        client.say(framed(1, b"drop"))
        with pytest.raises((AssertionError, ConnectionError), match=r"hung up|reset"):
            await client.read_message()

    run(play, **over_tls(context))


def test_the_native_gates_answer_over_tls_and_know_it(context: ssl.SSLContext) -> None:
    native_gates = NativeGates()

    async def play(_: ScriptedService, listener: StreamListener) -> None:
        client = await shake_hands(listener)
        client.say(framed(1, b"native"))
        assert await client.read_message() == b"\0\1plane"
        assert native_gates.asked == [(b"\x7f\0\0\1", Transport.TLS)]

    run(play, **over_tls(context), native_gates=native_gates)
