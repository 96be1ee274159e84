"""Clients outside `clients.allow`: told so over TCP, closed before their handshake over TLS and HTTPS."""

from __future__ import annotations

import ssl
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from resolver.flow.clients import Clients, Networks, client_key
from resolver.flow.identities import Identities
from resolver.flow.peer import Transport
from resolver.listeners import stream
from resolver.listeners.handshakes import HandshakeLimits
from resolver.listeners.limits import STRANGERS_MAX, TOO_MANY_STRANGERS
from resolver.listeners.stream import STRANGER, StreamListener
from resolver.listeners.tls_connection import TlsSide
from tests.listeners.stream_rig import ScriptedService, connect, framed, is_closed, read_message, run
from tests.listeners.test_https import Sides, http1
from tests.listeners.test_proxy_heads import (
    CLIENT,
    FRAMED,
    LOCAL,
    PROXY,
    RecordingService,
    head,
    over_streams,
)
from tests.listeners.tls_rig import shake_hands
from tests.support.list_server import serving

FRIEND, OTHER = "127.0.0.1", "127.0.0.2"
CLIENTS = Clients([ip_network(f"{FRIEND}/32")])
NOBODY = Clients([])


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    made = serving(tmp_path_factory.mktemp("tls"))
    made.set_alpn_protocols(["dot"])
    return made


def test_a_stranger_over_tcp_is_answered_and_a_few_of_them_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STRANGER_IDLE_S", 60.0)

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        for number in range(STRANGERS_MAX):
            reader, writer = await connect(listener, OTHER)
            writer.write(framed(number, b"quick"))
            await read_message(reader)
        assert await is_closed((await connect(listener, OTHER))[0])
        reader, writer = await connect(listener, FRIEND)
        writer.write(framed(1, b"quick"))
        await read_message(reader)

    reporter = run(play, clients=CLIENTS)
    assert dict(reporter.drops) == {TOO_MANY_STRANGERS: 1}


def test_a_stranger_over_tcp_may_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SWEEP_EVERY_S", 0.01)
    monkeypatch.setattr(stream, "STRANGER_IDLE_S", 0.02)

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        friend, _ = await connect(listener, FRIEND)
        assert await is_closed((await connect(listener, OTHER))[0])
        assert not friend.at_eof()

    run(play, clients=CLIENTS)


def test_a_stranger_over_tls_uses_up_no_handshake_and_no_place(context: ssl.SSLContext) -> None:
    side = TlsSide(lambda now: context, handshakes=HandshakeLimits(1, 1))

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        for _ in range(3):
            assert await is_closed((await connect(listener, OTHER))[0])
        assert listener.connections == 0
        client = await shake_hands(listener)
        client.say(framed(1, b"quick"))
        await client.read_message()

    reporter = run(play, clients=CLIENTS, transport=Transport.TLS, tls=side)
    assert dict(reporter.drops) == {STRANGER: 3}


def test_of_whom_a_trusted_proxy_speaks_is_asked_request_by_request(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = serving(tmp_path_factory.mktemp("https"))
    made.set_alpn_protocols(["http/1.1"])
    trusted = Identities(trusted_proxies=Networks([ip_network("127.0.0.0/8")]))

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        await http1(listener)

    assert dict(run(play, **Sides(made).options, clients=NOBODY, identities=trusted).drops) == {}

    async def refused(service: ScriptedService, listener: StreamListener) -> None:
        assert await is_closed((await connect(listener))[0])

    assert dict(run(refused, **Sides(made).options, clients=NOBODY).drops) == {STRANGER: 1}


def test_behind_a_proxy_the_client_that_it_names_is_asked_for(context: ssl.SSLContext) -> None:
    named = Clients([ip_network("203.0.113.0/24")])

    async def over_tcp(exchange: Any) -> None:
        assert await exchange([head(CLIENT), FRAMED], PROXY) == FRAMED
        assert await exchange([head(ip_address("198.51.100.1").packed), FRAMED], PROXY) == FRAMED

    reporter = over_streams(RecordingService(), over_tcp, clients=named)
    assert dict(reporter.drops) == {}

    async def over_tls(exchange: Any) -> None:
        assert await exchange([head(ip_address("198.51.100.1").packed)], PROXY, ends=False) == b""

    side = TlsSide(lambda now: context)
    reporter = over_streams(RecordingService(), over_tls, tls=side, clients=named)
    assert dict(reporter.drops) == {STRANGER: 1}


def test_a_proxys_own_connections_begin_as_many_handshakes_as_anybodys(context: ssl.SSLContext) -> None:
    side = TlsSide(lambda now: context, handshakes=HandshakeLimits(10, 1))

    async def play(exchange: Any) -> None:
        # It looks whether we are there, which is its right wherever it is.
        assert await exchange([LOCAL], PROXY) == b""
        assert await exchange([LOCAL], PROXY, ends=False) == b""
        assert await exchange([head(CLIENT)], PROXY) == b""

    reporter = over_streams(RecordingService(), play, tls=side, clients=NOBODY)
    assert dict(reporter.drops) == {"tls_handshakes_per_s_per_client_max": 1, STRANGER: 1}
    assert client_key(ip_address(PROXY).packed) in side.handshakes._clients
