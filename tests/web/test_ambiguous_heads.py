"""What a proxy in front could have read in another way is refused, counted, and ends the connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from resolver.listeners.address import SocketAddress, bind_tcp
from resolver.web import WebServer
from tests.support.for_each import for_each

SECOND = b"GET /second HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


async def page(request: Request) -> Response:
    return PlainTextResponse(f"{request.url.path} {len(await request.body())}")


def exchange(*octets: bytes) -> tuple[bytes, Counter[str]]:
    """All that comes back until the server closes, and what it counted; parts come apart."""
    refused: Counter[str] = Counter()

    async def ask() -> bytes:
        app = Starlette(routes=[Route("/{rest:path}", page, methods=["GET", "POST"])])
        server = WebServer(
            app,
            bind_tcp(SocketAddress("127.0.0.1", 0)),
            connections_max=4,
            on_refused=lambda reason: refused.update([reason]),
        )
        server.start()
        reader, writer = await asyncio.open_connection(*server.address)
        # It may close before it has all.
        with contextlib.suppress(ConnectionError):
            for part in octets:
                writer.write(part)
                await writer.drain()
                # The server's turn: what it has read so far is looked at.
                await asyncio.sleep(0)
        reply = b""
        with contextlib.suppress(ConnectionError):
            reply = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        await server.stop()
        return reply

    return asyncio.run(ask()), refused


AMBIGUOUS = {
    "two lengths, one in chunks": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths, the other way round": b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
    "a length twice": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "lengths that differ": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcd",
    "a length with a sign": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +4\r\n\r\nabcd",
    "chunks of another kind": b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks twice": b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare line end": b"GET / HTTP/1.1\nhost: x\r\n\r\n",
    "bare line ends everywhere": b"GET / HTTP/1.1\nhost: x\n\n",
    "a bare carriage return": b"GET / HTTP/1.1\r\nhost: x\rx-more: 1\r\n\r\n",
    "a folded line": b"GET / HTTP/1.1\r\nhost: x\r\nx-a: 1\r\n two\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nhost: x\r\nx-a: \0\r\n\r\n",
    "a space before the colon": b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "an empty line in front": b"\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
    "a target with a host of its own": b"GET http://evil.example/ HTTP/1.1\r\nhost: x\r\n\r\n",
    "a target that is no path": b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
}


@for_each("head", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_it_is_refused_and_what_stands_behind_it_is_not_read(head: bytes) -> None:
    reply, refused = exchange(head + SECOND)
    status = reply.split(b" ")[1]
    assert status.startswith((b"4", b"5")) and b"connection: close" in reply.lower()
    assert b"/second" not in reply and reply.count(b"HTTP/1.1 ") == 1
    assert refused == {"broken": 1}


@for_each("head", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_it_is_refused_letter_by_letter_too(head: bytes) -> None:
    reply, refused = exchange(*(head[at : at + 1] for at in range(len(head))))
    # What it says may be lost to the letters that still come.
    assert b" 200" not in reply and refused == {"broken": 1}


def test_a_broken_head_behind_a_good_request_is_refused_too() -> None:
    good = b"GET /first HTTP/1.1\r\nhost: x\r\n\r\n"
    reply, refused = exchange(good + AMBIGUOUS["a bare line end"])
    assert b"/first 0" in reply and reply.count(b"HTTP/1.1 ") == 2 and refused == {"broken": 1}


@pytest.mark.parametrize(
    "request_octets",
    [
        b"GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 6\r\n\r\na\nb\rc\0",
        b"POST /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\na\nb\r\n0\r\n\r\n",
        b"GET /a HTTP/1.0\r\n\r\n",
    ],
)
def test_what_can_be_read_in_one_way_is_answered(request_octets: bytes) -> None:
    for parts in ([request_octets], [request_octets[at : at + 1] for at in range(len(request_octets))]):
        reply, refused = exchange(*parts)
        assert reply.startswith(b"HTTP/1.1 200") and b"/a " in reply and not refused


def test_two_requests_one_behind_the_other_are_both_answered() -> None:
    first = b"POST /first HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\na\nb\n"
    reply, refused = exchange(first + SECOND)
    assert b"/first 4" in reply and b"/second 0" in reply and not refused
