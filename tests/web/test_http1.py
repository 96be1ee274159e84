"""The metrics port speaks HTTP/1.0 and 1.1 only, and abuse of it leaves no memory behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import h2.config
import h2.connection
import h2.settings
import pytest
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from resolver.listeners.address import SocketAddress, bind_tcp
from resolver.web import WebServer

PAGE_OCTETS = 1 << 20
GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n"
UPGRADE = (
    b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAAAAAAIAAAAA\r\n"
)
WEBSOCKET = (
    b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
STREAMS = 60
CONNECTIONS = 8
GROWTH_OCTETS_MAX = 6 << 20
"""One HTTP/2 connection with windows of zero kept 60 pages, so ten times this, for ever."""


async def page(_: Request) -> Response:
    return Response(bytes(PAGE_OCTETS))


async def over_a_socket(work: Callable[[WebServer], Awaitable[None]]) -> None:
    app = Starlette(routes=[Route("/", page)])
    server = WebServer(app, bind_tcp(SocketAddress("127.0.0.1", 0)), connections_max=64)
    server.start()
    try:
        await work(server)
    finally:
        await server.stop()


def reply_to(octets: bytes) -> bytes:
    """All that comes back until the server closes."""
    replies: list[bytes] = []

    async def ask(server: WebServer) -> None:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(octets)
        with contextlib.suppress(ConnectionError):
            replies.append(await asyncio.wait_for(reader.read(), 20))
        writer.close()

    asyncio.run(over_a_socket(ask))
    return b"".join(replies)


def preface_and_requests() -> bytes:
    """HTTP/2 by prior knowledge: windows of zero, and many requests."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    for number in range(STREAMS):
        head = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "localhost")]
        connection.send_headers(2 * number + 1, head, end_stream=True)
    return connection.data_to_send()


def test_http2_by_prior_knowledge_is_refused_and_closed() -> None:
    reply = reply_to(preface_and_requests())
    assert reply.startswith(b"HTTP/1.1 505 ") and b"connection: close" in reply.lower()


@pytest.mark.parametrize("upgrade", [UPGRADE, WEBSOCKET])
def test_an_upgrade_is_ignored_and_the_request_answered_once(upgrade: bytes) -> None:
    reply = reply_to(GET + upgrade + b"\r\n" + GET + b"connection: close\r\n\r\n")
    assert b"101" not in reply.split(b"\r\n", 1)[0] and b"HTTP/1.1 101" not in reply
    assert reply.count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9", b"HTTP/3.0"])
def test_other_versions_are_refused(version: bytes) -> None:
    assert reply_to(b"GET / " + version + b"\r\nhost: localhost\r\n\r\n").startswith(b"HTTP/1.1 505 ")


def test_http_1_0_is_answered_without_a_host() -> None:
    assert reply_to(b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def resident_octets() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def abuse(server: WebServer, opening: bytes) -> None:
    """Connections with a small window that send `opening`, read nothing, and stay a moment."""
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(CONNECTIONS):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.setblocking(False)
        await loop.sock_connect(client, server.address)
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(loop.sock_sendall(client, opening), 0.2)
        clients.append(client)
    await asyncio.sleep(0.05)
    for client in clients:
        client.close()
    while server.connections:  # noqa: ASYNC110 - nobody tells when the last is gone.
        await asyncio.sleep(0.01)


OPENINGS = {
    "streams with a zero window": preface_and_requests(),
    "upgrade to h2c": GET + UPGRADE + b"\r\n" + preface_and_requests(),
    "requests behind one another": (GET + b"\r\n") * 2000,
    "websocket": GET + WEBSOCKET + b"\r\n" + bytes(100_000),
    "a body that nobody reads": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999\r\n\r\n"
    + bytes(400_000),
    "a head without an end": GET + b"x-slow: " + b"x" * 60_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("opening", OPENINGS.values(), ids=OPENINGS.keys())
def test_memory_is_flat_over_rounds_of_abuse(opening: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolver.web.server.WRITE_STALL_S", 0.1)
    monkeypatch.setattr("resolver.web.server.IDLE_S", 0.1)

    async def rounds(server: WebServer) -> None:
        # The first rounds fill what the allocator keeps.
        for _ in range(2):
            await abuse(server, opening)
        before = resident_octets()
        for _ in range(4):
            await abuse(server, opening)
        assert resident_octets() - before < GROWTH_OCTETS_MAX

    # The loop that the server runs on.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(over_a_socket(rounds))


@pytest.mark.slow
@pytest.mark.parametrize(
    "opening",
    [*OPENINGS.values(), b"", GET + b"\r\n", GET + b"connection: close\r\n\r\n", b"\0\1 no HTTP\r\n\r\n"],
    ids=[*OPENINGS, "nothing", "a request", "a last request", "garbage"],
)
def test_a_closed_connection_leaves_no_circle_for_a_full_collection_that_never_comes(
    opening: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolver.web.server.WRITE_STALL_S", 0.1)
    monkeypatch.setattr("resolver.web.server.IDLE_S", 0.1)

    async def rounds(server: WebServer) -> None:
        await abuse(server, opening)
        await asyncio.sleep(0.05)
        gc.collect()
        gc.disable()
        found = []
        try:
            # What others left behind is found once; a connection's own circle would be found each time.
            for _ in range(3):
                await abuse(server, opening)
                # The tasks of connections end a turn or two after these.
                await asyncio.sleep(0.05)
                found.append(gc.collect())
            assert min(found) < CONNECTIONS
        finally:
            gc.enable()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(over_a_socket(rounds))
