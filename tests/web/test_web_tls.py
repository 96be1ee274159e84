"""`listen.http` over TLS: who shakes no hands gets nothing, and one without a client's certificate neither."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from resolver.certificates.contexts import HTTP_PROTOCOLS, whole_context
from resolver.certificates.files import Source, read_pairs
from resolver.listeners.address import SocketAddress, bind_tcp
from resolver.web import WebServer
from tests.support.list_server import ca_pem, client_files, server_files, trusting

GET = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


async def page(request: Request) -> Response:
    return PlainTextResponse(f"scheme {request.url.scheme}")


class Door:
    """A web server with TLS."""

    def __init__(self, folder: Path, *, asks_clients: bool = False, connections_max: int = 4) -> None:
        self.refused: Counter[str] = Counter()
        self.drops: Counter[str] = Counter()
        [pair], _ = read_pairs([Source(*server_files(folder))])
        self.context: ssl.SSLContext | None = whole_context(
            pair, HTTP_PROTOCOLS, ca_pem().decode() if asks_clients else None
        )
        self.server = WebServer(
            Starlette(routes=[Route("/", page)]),
            bind_tcp(SocketAddress("127.0.0.1", 0)),
            connections_max=connections_max,
            on_drop=lambda reason: self.drops.update([reason]),
            on_refused=lambda reason: self.refused.update([reason]),
            tls=lambda: self.context,
        )

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Door]:
        self.server.start()
        yield self
        await self.server.stop()
        assert self.server.connections == 0

    async def ask(self, context: ssl.SSLContext | None, octets: bytes = GET) -> bytes:
        """All that comes back; empty also where the handshake fails."""
        server = self.server.address
        name = None if context is None else "localhost"
        try:
            reader, writer = await asyncio.open_connection(*server, ssl=context, server_hostname=name)
            writer.write(octets)
            reply = await reader.read()
            writer.close()
        except (OSError, ssl.SSLError):
            return b""
        return reply


def test_a_page_comes_over_tls_and_knows_it(tmp_path: Path) -> None:
    async def act() -> None:
        async with Door(tmp_path).serving() as door:
            reply = await door.ask(trusting())
            assert reply.startswith(b"HTTP/1.1 200") and reply.endswith(b"scheme https")
            assert not door.refused

    uvloop.run(act())


def test_in_clear_text_nobody_gets_anything(tmp_path: Path) -> None:
    async def act() -> None:
        async with Door(tmp_path).serving() as door:
            assert b"HTTP" not in await door.ask(None)
            assert door.refused == {"tls": 1}

    uvloop.run(act())


def test_who_says_nothing_is_cut_off_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolver.web.server.HANDSHAKE_S", 0.05)

    async def act() -> None:
        async with Door(tmp_path).serving() as door:
            assert await door.ask(None, b"") == b""
            assert door.refused == {"tls": 1}

    uvloop.run(act())


def test_handshakes_under_way_take_room_too(tmp_path: Path) -> None:
    async def act() -> None:
        async with Door(tmp_path, connections_max=2).serving() as door:
            silent = [await asyncio.open_connection(*door.server.address) for _ in range(2)]
            assert await door.ask(trusting()) == b""
            assert door.drops == {"http_connections_max": 1}
            for _, writer in silent:
                writer.close()

    uvloop.run(act())


def test_without_a_certificate_that_can_be_served_connections_are_closed(tmp_path: Path) -> None:
    async def act() -> None:
        door = Door(tmp_path)
        door.context = None
        async with door.serving():
            assert await door.ask(trusting()) == b""
            assert door.refused == {"tls": 1}

    uvloop.run(act())


def test_where_clients_must_show_a_certificate_others_get_nothing(tmp_path: Path) -> None:
    with_certificate = trusting()
    with_certificate.load_cert_chain(*client_files(tmp_path))

    async def act() -> None:
        async with Door(tmp_path, asks_clients=True).serving() as door:
            assert (await door.ask(with_certificate)).startswith(b"HTTP/1.1 200")
            assert await door.ask(trusting()) == b""
            assert door.refused == {"tls": 1}

    uvloop.run(act())


def test_no_ticket_lets_a_client_in_later(tmp_path: Path) -> None:
    [pair], _ = read_pairs([Source(*server_files(tmp_path))])
    assert whole_context(pair, HTTP_PROTOCOLS, ca_pem().decode()).num_tickets == 0
    assert whole_context(pair, HTTP_PROTOCOLS, None).verify_mode is ssl.CERT_NONE
