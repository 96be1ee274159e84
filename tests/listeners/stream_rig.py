"""A TCP listener on loopback in front of a scripted service, and clients that ask it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import uvloop

from resolver.clock import LoopClock
from resolver.flow.outcome import Ask, Drop, Outcome, Respond, Source
from resolver.flow.peer import Peer
from resolver.flow.service import Service
from resolver.flow.waiting import Deliver
from resolver.listeners.address import SocketAddress, bind_tcp
from resolver.listeners.limits import ConnectionLimits
from resolver.listeners.reporter import Reporter
from resolver.listeners.stream import StreamListener
from resolver.observe.tally import Tallies
from resolver.plane import DROP, DROP_AND_CLOSE, PUNT, RESPOND, UNSEEN

WAIT_S = 5.0


class ScriptedService:
    """Echoes a message behind its ID; a message whose third octet is `w` waits until released."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Ask, Deliver]] = []
        self.asked = 0
        self.punted = 0
        self.answers_at_once = False
        self.answer_octets = 0

    def answer_now(self, octets: bytes, peer: Peer, now: float) -> Outcome:
        self.asked += 1
        if octets[2:3] == b"d":
            return Drop("policy", close=True)
        if octets[2:3] == b"x":
            raise ZeroDivisionError
        if octets[2:3] == b"b":
            return self.answer(octets[:2] + b"b" * 60_000)
        if octets[2:3] == b"w":
            return Ask(
                cast(Any, SimpleNamespace(octets=octets)), cast(Any, None), peer, cast(Any, None), 0, now
            )
        return self.answer(octets)

    def answer_punted(self, octets: bytes, peer: Peer, asked_at: float, now: float) -> Outcome:
        self.punted += 1
        return self.answer_now(octets, peer, now)

    def resolve(self, ask: Ask, deliver: Deliver) -> None:
        if self.answers_at_once:
            # As when too many questions are in flight, or no upstream can be sent to.
            deliver(ask, self.answer(ask.query.octets))
        else:
            self.waiting.append((ask, deliver))

    def release(self, index: int = 0) -> None:
        ask, deliver = self.waiting.pop(index)
        deliver(ask, self.answer(ask.query.octets + b"a" * self.answer_octets))

    @staticmethod
    def answer(octets: bytes) -> Respond:
        return Respond(octets[2:], 0, 1, Source.LOCAL)


_opened: list[asyncio.StreamWriter] = []
"""Client connections of the play that runs."""


Play = Callable[[ScriptedService, StreamListener], Awaitable[None]]


def run(play: Play, *, limits: ConnectionLimits | None = None, **options: Any) -> Reporter:
    """Run `play` against a listener on a free port; returns what the listener reported."""
    reporter = Reporter(Tallies())
    _opened.clear()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        service = ScriptedService()
        listener = StreamListener(
            bind_tcp(SocketAddress("127.0.0.1", 0)),
            cast(Service, service),
            reporter,
            LoopClock(loop),
            loop,
            limits or ConnectionLimits(),
            **options,
        )
        await listener.start()
        try:
            await asyncio.wait_for(play(service, listener), 4 * WAIT_S)
        finally:
            listener.close()
            for writer in _opened:
                writer.close()
            for writer in _opened:
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
            await asyncio.sleep(0.01)  # let the loop close what was aborted

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    return reporter


def framed(message_id: int, text: bytes) -> bytes:
    octets = message_id.to_bytes(2, "big") + text.ljust(10, b".")
    return len(octets).to_bytes(2, "big") + octets


async def connect(
    listener: StreamListener, source: str = "127.0.0.1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*listener.bound_to, limit=1 << 20, local_addr=(source, 0))
    _opened.append(writer)
    return reader, writer


def reset(writer: asyncio.StreamWriter) -> None:
    """Leave without a word: a client that closes its half may still want its answers."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_message(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await asyncio.wait_for(reader.readexactly(2), WAIT_S), "big")
    return await asyncio.wait_for(reader.readexactly(length), WAIT_S)


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), WAIT_S) == b""
    except ConnectionError:
        return True


async def until(condition: Callable[[], bool]) -> None:
    async def poll() -> None:
        while not condition():  # noqa: ASYNC110 -- the listener has no event to wait for
            await asyncio.sleep(0.005)

    await asyncio.wait_for(poll(), WAIT_S)


class NativeGates:
    """Answers by the third octet: `n` here, `p` not, `u` unseen, `d` dropped, `c` with the connection, `x` a defect."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, int]] = []

    def answer(
        self, octets: bytes, address: bytes, transport: int, now: float, name: str = ""
    ) -> tuple[int, bytes]:
        self.asked.append((address, transport))
        if octets[2:3] == b"x":
            raise ZeroDivisionError
        word = {b"n": RESPOND, b"p": PUNT, b"u": UNSEEN, b"d": DROP, b"c": DROP_AND_CLOSE}[octets[2:3]]
        return word, octets[:2] + b"plane" if word == RESPOND else b""
