"""An upstream over TCP on loopback, the streams that ask it, and a clock in the hand of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from resolver.forwarding.network import SendError, Ticket
from resolver.forwarding.stream import (
    Streams,
)
from resolver.forwarding.upstream import Upstream
from tests.support.scenario_clock import FakeClock

Play = Callable[["Stage"], Coroutine[Any, Any, None]]


class Heard:
    """A receiver that can be awaited."""

    def __init__(self) -> None:
        self.result: asyncio.Future[bytes | str] = asyncio.get_running_loop().create_future()
        self.sends: int | None = None

    def on_octets(self, octets: bytes) -> None:
        self.result.set_result(octets)

    def on_error(self, reason: str, sends: int | None = None) -> None:
        self.sends = sends
        self.result.set_result(reason)


class Accepted:
    """The upstream's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read(self) -> bytes:
        length = int.from_bytes(await self.reader.readexactly(2), "big")
        return await self.reader.readexactly(length)

    def reply(self, octets: bytes) -> None:
        self.writer.write(len(octets).to_bytes(2, "big") + octets)

    def abort(self) -> None:
        self.writer.transport.abort()


class Stage:
    """An upstream, and the streams that ask it."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[Accepted] = asyncio.Queue()
        self.all: list[Accepted] = []
        self.clock = FakeClock()
        self.streams = Streams(asyncio.get_running_loop(), self.clock)

    async def open(self) -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.all.append(Accepted(reader, writer))
            self.accepted.put_nowait(self.all[-1])

        self.server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.upstream = Upstream("127.0.0.1", self.server.sockets[0].getsockname()[1], "tcp")

    async def close(self) -> None:
        self.streams.close()
        self.server.close()
        for accepted in self.all:
            accepted.abort()
        await self.server.wait_closed()
        await asyncio.sleep(0)

    def refused(self, query_id: int) -> str:
        """Why a query is not sent."""
        error = self.streams.ask(self.upstream, message(query_id), Heard())
        assert isinstance(error, SendError)
        return error.reason

    def ask(self, query_id: int) -> tuple[Heard, Ticket]:
        heard = Heard()
        ticket = self.streams.ask(self.upstream, message(query_id), heard)
        assert not isinstance(ticket, SendError)
        return heard, ticket


HEADER = b"\x81\x80\0\1\0\0\0\0\0\0"


QUESTION = b"\x03www\x07example\0\0\1\0\1"


def message(query_id: int, text: bytes = b"") -> bytes:
    """A query, or with `text` behind it a reply."""
    return query_id.to_bytes(2, "big") + HEADER + QUESTION + text


@pytest.fixture(params=["asyncio", "uvloop"])
def perform(request: pytest.FixtureRequest) -> Callable[[Play], None]:
    """Runs a play on either event loop."""

    async def run(play: Play) -> None:
        stage = Stage()
        await stage.open()
        try:
            await asyncio.wait_for(play(stage), 10.0)
        finally:
            await stage.close()

    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def perform(play: Play) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run(play))

    return perform


Perform = Callable[[Play], None]
