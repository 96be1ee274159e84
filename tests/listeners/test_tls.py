"""DNS over TLS: the stream listener with a context, over real sockets on loopback, in front of a scripted service."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import pytest

from resolver.flow.peer import Transport
from resolver.listeners import stream, tls_connection
from resolver.listeners.handshakes import HandshakeLimits
from resolver.listeners.https_connection import HttpSide
from resolver.listeners.limits import ConnectionLimits
from resolver.listeners.stream import StreamListener
from resolver.listeners.tls import TlsSession
from resolver.listeners.tls_connection import TlsSide
from tests.listeners.stream_rig import (
    WAIT_S,
    NativeGates,
    ScriptedService,
    connect,
    framed,
    is_closed,
    read_message,
    reset,
    run,
    until,
)
from tests.support.list_server import HOST, serving, trusting
from tests.support.tls_client import KeyClient, openssl


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's, with a certificate made for these tests."""
    made = serving(tmp_path_factory.mktemp("tls"))
    made.set_alpn_protocols(["dot"])
    return made


@pytest.fixture
def quick_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SWEEP_EVERY_S", 0.01)


def over_tls(context: ssl.SSLContext) -> dict[str, Any]:
    """What makes a listener speak TLS."""
    return {"transport": Transport.TLS, "tls": TlsSide(lambda now: context)}


class Client:
    """A client that says when each step of TLS happens."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        context = trusting()
        context.set_alpn_protocols(["dot"])
        self.tune(context)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=HOST)
        self._plain = b""

    def tune(self, context: ssl.SSLContext) -> None:
        """For clients of a special kind."""

    async def shake_hands(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                assert await self._more(), "the server hung up during the handshake"
            else:
                self.flush()
                return

    def flush(self) -> None:
        self.writer.write(self._outgoing.read())

    def say(self, octets: bytes) -> None:
        self.tls.write(octets)
        self.flush()

    def sealed(self, octets: bytes) -> bytes:
        """As `say` would send it."""
        self.tls.write(octets)
        return self._outgoing.read()

    def close_notify(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()

    async def _more(self) -> bool:
        octets = await asyncio.wait_for(self.reader.read(1 << 16), WAIT_S)
        self._incoming.write(octets)
        return bool(octets)

    async def read_message(self) -> bytes:
        while len(self._plain) < 2 or len(self._plain) < 2 + int.from_bytes(self._plain[:2], "big"):
            try:
                part = self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                assert await self._more(), "the server hung up"
                continue
            assert part, "the server said close_notify"
            self._plain += part
        end = 2 + int.from_bytes(self._plain[:2], "big")
        message, self._plain = self._plain[2:end], self._plain[end:]
        return message

    async def gets_close_notify(self) -> bool:
        """Whether close_notify comes, nothing before it, and the end of the stream behind it."""
        while True:
            try:
                said = self.tls.read(1)
            except ssl.SSLWantReadError:
                if not await self._more():
                    return False
            except ssl.SSLZeroReturnError:
                said = b""
                break
            else:
                break
        return not said and await is_closed(self.reader)


class Tls12Client(Client):
    def tune(self, context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2


async def shake_hands(listener: StreamListener, kind: type[Client] = Client) -> Client:
    client = kind(*await connect(listener))
    await client.shake_hands()
    return client


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


def has_openssl() -> bool:
    try:
        openssl()
    except (AttributeError, OSError):
        return False
    return True


needs_openssl = pytest.mark.skipif(not has_openssl(), reason="Python has its OpenSSL to itself")


@pytest.fixture
def key_client() -> Iterator[KeyClient]:
    client = KeyClient()
    yield client
    client.close()


async def connect_with(
    client: KeyClient, listener: StreamListener
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await connect(listener)
    is_done, octets = client.shake_hands()
    writer.write(octets)
    while not is_done:
        received = await asyncio.wait_for(reader.read(1 << 16), WAIT_S)
        assert received
        is_done, octets = client.shake_hands(received)
        writer.write(octets)
    return reader, writer


def has_been_asked(service: ScriptedService, times: int) -> bool:
    return service.asked == times


@needs_openssl
def test_a_client_may_ask_for_new_keys_between_its_queries(
    context: ssl.SSLContext, key_client: KeyClient
) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        _, writer = await connect_with(key_client, listener)
        for number in range(3):
            writer.write(key_client.new_keys(5) + key_client.say(framed(number, b"wait")))
        await until(lambda: len(service.waiting) == 3)

    assert not run(play, **over_tls(context)).drops


@needs_openssl
def test_a_client_that_asks_for_new_keys_without_end_loses_its_connection(
    context: ssl.SSLContext, key_client: KeyClient
) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        _, writer = await connect_with(key_client, listener)
        writer.write(key_client.new_keys(5_000))
        await until(lambda: listener.connections == 0)
        assert service.asked == 0

    assert run(play, **over_tls(context)).drops == {"tls_failed": 1}


@needs_openssl
def test_a_client_that_does_not_read_is_not_read_either(
    context: ssl.SSLContext, key_client: KeyClient
) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        _, writer = await connect_with(key_client, listener)
        cast(Any, writer.transport).pause_reading()
        [connection] = listener._connections
        # One at a time, so that no query waits behind the answers that it does not read.
        sent = 0
        while not connection._is_client_slow:
            sent += 1
            writer.write(key_client.say(framed(1, b"big")))
            await until(partial(has_been_asked, service, sent))
        unread = cast(Any, connection._transport).get_write_buffer_size()
        for _ in range(50):
            writer.write(key_client.new_keys(10))
            await asyncio.sleep(0.001)
        assert cast(Any, connection._transport).get_write_buffer_size() <= unread

    assert not run(play, **over_tls(context)).drops


def test_without_a_context_queries_count_as_tcp() -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"plain"))
        assert (await read_message(reader))[:2] == b"\0\1"

    reporter = run(play)
    assert {key.transport for key, _, _ in reporter.tallies.snapshot().counts} == {"tcp"}


def test_a_session_sends_close_notify_once_and_only_after_a_handshake(context: ssl.SSLContext) -> None:
    session = TlsSession(context)
    assert session.close() == b""
    with pytest.raises(ssl.SSLError):
        session.receive(b"GET / HTTP/1.1\r\n\r\n")
    assert (session.is_established, session.close()) == (False, b"")


# What handshakes come to is counted.


def test_sessions_and_failures_are_counted_by_what_they_came_to(context: ssl.SSLContext) -> None:
    side = TlsSide(lambda now: context, handshakes=HandshakeLimits(1000, 4))

    async def play(_: ScriptedService, listener: StreamListener) -> None:
        await shake_hands(listener)
        await shake_hands(listener, Tls12Client)
        reader, writer = await connect(listener)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await is_closed(reader)
        reader, writer = await connect(listener)
        writer.write_eof()
        await is_closed(reader)
        assert await is_closed((await connect(listener))[0])
        other = await connect(listener, "127.0.0.2")
        reset(other[1])
        await until(lambda: side.counts.failures["closed"] == 2)

    reporter = run(play, transport=Transport.TLS, tls=side)
    assert side.counts.failures == {"garbage": 1, "closed": 2, "limit": 1}
    assert reporter.drops == {"tls_failed": 1, "tls_handshakes_per_s_per_client_max": 1}
    assert {(labels[0], labels[1], labels[3]) for labels in side.counts.sessions} == {
        ("tls", "1.2", "false"),
        ("tls", "1.3", "false"),
    }
    assert {labels[2] for labels in side.counts.sessions} <= {"x25519", "secp256r1", "other"}


@pytest.mark.usefixtures("quick_sweep")
def test_a_handshake_that_takes_too_long_is_counted(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_connection, "HANDSHAKE_S", 0.05)
    side = TlsSide(lambda now: context)

    async def play(_: ScriptedService, listener: StreamListener) -> None:
        reader, _writer = await connect(listener)
        assert await is_closed(reader)

    assert run(play, transport=Transport.TLS, tls=side, idle_s=60.0).drops == {"tls_handshake_timeout": 1}
    assert side.counts.failures == {"timeout": 1} and not side.counts.sessions


@pytest.mark.usefixtures("quick_sweep")
@pytest.mark.parametrize("transport", [Transport.TLS, Transport.HTTPS], ids=lambda one: one.label)
def test_only_a_hello_that_was_answered_and_led_to_no_session_counts_against_its_client(
    context: ssl.SSLContext, transport: Transport
) -> None:
    side = TlsSide(lambda now: context)
    charged: list[bytes] = []
    side.handshakes.charge = lambda client, now: charged.append(client)  # type: ignore[method-assign]

    async def play(_: ScriptedService, listener: StreamListener) -> None:
        silent = await connect(listener)
        assert await is_closed(silent[0])
        await until(lambda: side.counts.failures["timeout"] == 1)
        assert not charged, "a browser opens connections ahead"
        begun = Client(*await connect(listener))
        with contextlib.suppress(ssl.SSLWantReadError):
            begun.tls.do_handshake()
        begun.flush()
        while await begun.reader.read(1 << 16):
            pass
        await until(lambda: len(charged) == 1)

    http = HttpSide(lambda now: b"") if transport is Transport.HTTPS else None
    run(play, transport=transport, tls=side, idle_s=0.1, http=http)
    assert side.counts.failures == {"timeout": 2}


def test_a_handshake_is_given_five_seconds() -> None:
    assert tls_connection.HANDSHAKE_S == 5.0
