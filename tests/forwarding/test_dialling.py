"""Several addresses of one upstream: whichever answers first."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

import pytest

from resolver.forwarding import dialling
from resolver.forwarding.dialling import dial

DEAD = "192.0.2.1"
"""TEST-NET-1: nobody answers there, or nothing leads there."""


def perform(play: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(play, 5.0))


class Listening:
    """A socket that connections come to."""

    def __enter__(self) -> int:
        self.sock = socket.create_server(("127.0.0.1", 0))
        return int(self.sock.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self.sock.close()


def test_the_first_that_answers_wins() -> None:
    async def play() -> None:
        with Listening() as port:
            sock, address = await dial(asyncio.get_running_loop(), ["127.0.0.1", "127.0.0.2"], port)
            sock.close()
            assert address == "127.0.0.1"

    perform(play())


def test_one_that_refuses_costs_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "HEAD_START_S", 60.0)

    async def play() -> None:
        with Listening() as port:
            sock, address = await dial(asyncio.get_running_loop(), ["127.0.0.3", "127.0.0.1"], port)
            sock.close()
            assert address == "127.0.0.1"

    perform(play())


def test_one_that_is_silent_costs_a_head_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "HEAD_START_S", 0.01)
    connected = dialling._connected

    async def silent(loop: asyncio.AbstractEventLoop, address: str, port: int) -> socket.socket:
        if address == DEAD:
            await asyncio.Event().wait()
        return await connected(loop, address, port)

    monkeypatch.setattr(dialling, "_connected", silent)

    async def play() -> None:
        with Listening() as port:
            sock, address = await dial(asyncio.get_running_loop(), [DEAD, "127.0.0.1"], port)
            sock.close()
            assert address == "127.0.0.1"

    perform(play())


def test_where_nobody_answers_the_last_error_is_told() -> None:
    async def play() -> None:
        with Listening() as port:
            pass
        with pytest.raises(ConnectionRefusedError):
            await dial(asyncio.get_running_loop(), ["127.0.0.1", "127.0.0.2"], port)

    perform(play())
