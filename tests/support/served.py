"""A server in this process, on ports of its own, and who asks it.

Knows: settings, the server and its parts.  Does not know: what is tested.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from resolver.config.settings import load_settings
from resolver.listeners.address import SocketAddress
from resolver.observe.log import LogWriter
from resolver.server.server import Server
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text

BLOCKLIST = """\
version: 1
exchanges:
  acme: {name: Acme, domains: [acme.example]}
  ghost: {name: Ghost, domains: [ghost.example], mode: shadow}
"""


ORDERED = """\
version: 1
orders:
  x: {authority: A, title: T, due: 2026-12-06, asks: [acme.example, gone.example]}
  silent: {authority: A, title: S, confidential: true, due: 2020-01-01}
exchanges:
  acme: {name: Acme, order: x, domains: [acme.example]}
  mute: {name: Mute, order: silent, domains: [mute.example]}
"""


def make_server(
    folder: Path,
    blocklist: str = BLOCKLIST,
    limits: dict[str, int] | None = None,
    hits: dict[str, int] | None = None,
    pair: dict[str, str] | None = None,
    **listen: Any,
) -> Server:
    settings: dict[str, Any] = {
        "tls": pair or {},
        "limits": limits or {},
        "hits": hits or {},
        "listen": {"dns": ["127.0.0.1:0"], "http": "127.0.0.1:0", **listen},
        "upstreams": {"servers": ["udp://127.0.0.1:9"]},
        "blocklist": "blocklist.yaml",
        "state_dir": "state",
    }
    (folder / "blocklist.yaml").write_text(blocklist)
    path = folder / "resolver.yaml"
    path.write_text(json.dumps(settings))
    checked, problems = load_settings(path)
    assert checked is not None, problems
    server = Server(checked, engine="python", log_writer=LogWriter(io.BytesIO()))
    _made.append(server)
    return server


_made: list[Server] = []


def play(act: Callable[[], Awaitable[None]]) -> None:
    """Stops what the test did not come to stop: an open socket would be told of in some other test."""

    async def whole() -> None:
        try:
            await act()
        finally:
            while _made:
                server = _made.pop()
                if server.health.reasons().get("sockets") != "shutting down":
                    await server.stop()

    asyncio.run(whole())


async def ask(address: SocketAddress, name: str) -> bytes:
    """The reply over TCP."""
    reader, writer = await asyncio.open_connection(*address)
    query = encode_query(name_from_text(name), 1, id=7, dnssec_ok=False, checking_disabled=False, edns=True)
    writer.write(len(query).to_bytes(2, "big") + query)
    reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    writer.close()
    return reply


def refusals(server: Server) -> list[str]:
    return sorted(server.health.reasons())


@contextlib.contextmanager
def taken(kind: socket.SocketKind) -> Iterator[tuple[socket.socket, str]]:
    """A port that another program holds over UDP or TCP."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            sock.listen()
        yield sock, f"127.0.0.1:{sock.getsockname()[1]}"


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until `condition()`."""
    async with asyncio.timeout(30.0):
        while not condition():  # noqa: ASYNC110 -- whatever it is about
            await asyncio.sleep(0.01)
