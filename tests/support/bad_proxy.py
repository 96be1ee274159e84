"""A bad way to an upstream over TLS: loses, changes, and is down every other second.

Knows: sockets on loopback, seeded chance.  Does not know: what is carried, what is under test.
Loss is what TCP makes of it: the piece comes again a retransmission later, and all behind it waits.  While the
way is down, connections are broken off and none are made.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

LOOPBACK = "127.0.0.1"
RETRANSMISSION_S = 0.2
"""The least that Linux waits before it sends again."""


@dataclass(frozen=True)
class Faults:
    """How bad the way is."""

    loss: float = 0.2
    corruption: float = 0.01
    period_s: float = 1.0
    """It is up for so long, then down for so long."""
    begins_up: bool = True
    """Whether it is up in even periods or in odd ones."""


class BadProxy:
    """A relay to a port of this machine; use it in a running loop."""

    def __init__(self, target: int, faults: Faults, seed: int) -> None:
        self.port = 0
        self.connections = self.lost = self.changed = self.broken = 0
        self._target = target
        self._faults = faults
        self._chance = random.Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._is_up = faults.begins_up

    async def start(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self._keep(self._flap())

    async def close(self) -> None:
        """End all of it."""
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._break_off()

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_up:
            writer.transport.abort()
            return
        self.connections += 1
        self._keep(self._relay(reader, writer))

    async def _flap(self) -> None:
        """By one clock for all: two of them are never down together because one fell behind."""
        now = asyncio.get_running_loop().time
        period_s = self._faults.period_s
        while True:
            turn = int(now() // period_s)
            self._is_up = (turn % 2 == 0) is self._faults.begins_up
            if not self._is_up:
                self._break_off()
            await asyncio.sleep((turn + 1) * period_s - now())

    def _break_off(self) -> None:
        for writer in self._open:
            self.broken += 1
            writer.transport.abort()
        self._open.clear()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, back = await asyncio.open_connection(LOOPBACK, self._target)
        pair = {writer, back}
        self._open |= pair
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(onward, writer))
        finally:
            self._open -= pair
            for end in pair:
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65_536):
                if self._chance.random() < self._faults.loss:
                    self.lost += 1
                    await asyncio.sleep(RETRANSMISSION_S)
                if self._chance.random() < self._faults.corruption:
                    self.changed += 1
                    changed = bytearray(piece)
                    changed[self._chance.randrange(len(piece))] ^= 1 << self._chance.randrange(8)
                    piece = bytes(changed)
                writer.write(piece)
        with contextlib.suppress(ConnectionError):
            writer.close()
