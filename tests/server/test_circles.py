"""What has ended leaves no circle of references: a running server makes no full collection that would find it.

Objects that refer to each other in a circle stay when they have lived through two young collections; a
connection's buffers with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from pathlib import Path

import pytest
import uvloop

from resolver.server.server import Server
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from tests.support.served import make_server

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

CONNECTIONS = 12
TRIES = 3
SETTLE_S = 0.1
"""Turns of the loop in which answers come, and ends are finished with."""


def framed(name: str) -> bytes:
    octets = encode_query(name_from_text(name), 1, id=7, dnssec_ok=False, checking_disabled=False, edns=True)
    return len(octets).to_bytes(2, "big") + octets


def request(path: str, host: str = "localhost") -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()


BLOCKED, MISS = framed("www.acme.example"), framed("www.example.org")
OVER_TCP = {
    "answered": BLOCKED,
    "twenty at once": BLOCKED * 20,
    "a miss": MISS,
    "silent": b"",
    "half a query": BLOCKED[:9],
    "half of much": b"\xff\xff" + bytes(60_000),
    "too short": b"\0\1x",
    "garbage": b"\0\x20" + bytes(32),
}
OVER_HTTP = {
    "metrics": request("/metrics"),
    "readyz": request("/readyz"),
    "no such page": request("/nowhere"),
    "another host": request("/metrics", "www.example.org"),
}


async def circles_of(server: Server, address: tuple[str, int], octets: bytes, *, reads: bool) -> int:
    """Objects in circles that some connections leave behind."""
    loop = asyncio.get_running_loop()
    clients = [socket.socket() for _ in range(CONNECTIONS)]
    for client in clients:
        client.setblocking(False)
        await loop.sock_connect(client, address)
        await loop.sock_sendall(client, octets)
    await asyncio.sleep(SETTLE_S)
    for client in clients:
        if reads:
            # What is read by nobody makes the end a reset.
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while client.recv(65_536):
                    pass
        client.close()
    while server.facts().connections.tcp or server.facts().connections.http:  # noqa: ASYNC110 - nobody tells.
        await asyncio.sleep(0.01)
    await asyncio.sleep(SETTLE_S)
    return gc.collect()


@pytest.mark.parametrize("reads", [True, False], ids=["read", "reset"])
def test_connections_that_have_ended_leave_no_circle(
    tmp_path: Path, reads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolver.web.server.IDLE_S", 0.1)

    async def act() -> None:
        server = make_server(tmp_path)
        await server.start()
        assert server.http_address is not None
        try:
            for cases, address in ((OVER_TCP, server.dns_addresses[0]), (OVER_HTTP, server.http_address)):
                for case, octets in cases.items():
                    await circles_of(server, address, octets, reads=reads)
                    gc.disable()
                    # Something else may end in between; a circle of connections is there each time.
                    for _ in range(TRIES):
                        found = await circles_of(server, address, octets, reads=reads)
                        if found < CONNECTIONS:
                            break
                    assert found < CONNECTIONS, case
                    gc.enable()
        finally:
            gc.enable()
            await server.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(act())
