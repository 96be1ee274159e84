"""Sessions of TLS below DNS: new keys, slow readers, what is counted of them, how long a handshake may take."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import pytest

from resolver.flow.peer import Transport
from resolver.listeners import tls_connection
from resolver.listeners.handshakes import HandshakeLimits
from resolver.listeners.https_connection import HttpSide
from resolver.listeners.stream import StreamListener
from resolver.listeners.tls import TlsSession
from resolver.listeners.tls_connection import TlsSide
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
from tests.listeners.tls_rig import Client, Tls12Client, context, over_tls, quick_sweep, shake_hands
from tests.support.tls_client import KeyClient, openssl

__all__ = ["context", "quick_sweep"]


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
