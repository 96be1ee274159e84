"""Upstreams over TLS on loopback, and the connections that ask them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop

from resolver.forwarding.network import SendError
from resolver.forwarding.stream import Streams
from resolver.forwarding.tls_terms import TlsBook
from resolver.forwarding.upstream import Upstream
from resolver.wire.encode import encode_question
from resolver.wire.names import name_from_text
from tests.support import encrypted_upstreams as fake
from tests.support.encrypted_upstreams import HOST, LOOPBACK, certified
from tests.support.scenario_clock import FakeClock

QUESTION = name_from_text("secret.example.org") + b"\0\1\0\1"


def query(number: int = 1, *, edns: bool = True) -> bytes:
    return encode_question(number, QUESTION, False, False, edns)


class Stage:
    """Streams on a fake clock, and servers that are closed at the end."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.clock = FakeClock()
        self.streams = Streams(asyncio.get_running_loop(), self.clock, TlsBook(fake.authorities_file(folder)))

    async def server(
        self, play: fake.Play = fake.answering, own: fake.Certified | None = None, *alpn: str
    ) -> fake.Upstream:
        context = fake.server_context(self.folder, own or certified(HOST), *alpn)
        return await self.stack.enter_async_context(fake.upstream(context, play))

    async def plain_server(self, play: fake.Play) -> fake.Upstream:
        return await self.stack.enter_async_context(fake.upstream(None, play))

    async def ask(self, upstream: Upstream, octets: bytes | None = None) -> bytes | str:
        """The reply, or the reason why there is none."""
        return await self.asked(upstream, octets or query())

    def asked(self, upstream: Upstream, octets: bytes) -> asyncio.Future[bytes | str]:
        heard = Heard()
        ticket = self.streams.ask(upstream, octets, heard)
        if isinstance(ticket, SendError):
            heard.on_error(ticket.reason)
        return heard.result

    async def until_closed(self) -> None:
        """Until no connection is open any more."""
        for _ in range(10_000):
            if not self.streams.open_connections:
                return
            await asyncio.sleep(0)
        raise AssertionError("a connection stays open")


class Heard:
    """A receiver that can be awaited."""

    def __init__(self) -> None:
        self.result: asyncio.Future[bytes | str] = asyncio.get_running_loop().create_future()

    def on_octets(self, octets: bytes) -> None:
        self.result.set_result(octets)

    def on_error(self, reason: str, sends: int | None = None) -> None:
        self.result.set_result(reason)


Play = Callable[[Stage], Coroutine[Any, Any, None]]
Perform = Callable[[Play], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def perform(request: pytest.FixtureRequest, tmp_path: Path) -> Perform:
    """Runs a play on either event loop."""

    async def run(play: Play) -> None:
        async with AsyncExitStack() as stack:
            stage = Stage(tmp_path, stack)
            try:
                await asyncio.wait_for(play(stage), 10.0)
            finally:
                stage.streams.close()
                await asyncio.sleep(0)

    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def perform(play: Play) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run(play))

    return perform


def to(server: fake.Upstream, host: str = HOST, pins: tuple[bytes, ...] = ()) -> Upstream:
    return Upstream(LOOPBACK, server.port, "tls", host=host, pins=pins)
