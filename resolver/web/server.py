"""The HTTP server: one address, one application.

Knows: hypercorn.  Does not know: the pages.
"""

from __future__ import annotations

import asyncio
import logging
import socket

from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette

HEAD_OCTETS_MAX = 16 * 1024
"""Largest request line and headers together; more is answered 431 or cut off."""
KEEP_ALIVE_S = 30.0
"""An idle connection is closed after this: twice the usual scrape interval."""
READ_TIMEOUT_S = 10.0
"""A client that takes longer over its request is cut off (slowloris)."""
STOP_S = 0.4
"""How long requests under way may take when the server stops."""
BACKLOG = 64


def bind(address: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes any free one.  Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.setblocking(False)
        bound.bind((address, port))
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


class WebServer:
    """Serves `app` on one socket until stopped."""

    def __init__(self, app: Starlette, bound: socket.socket) -> None:
        self._app = app
        self._socket = bound
        self._address = bound.getsockname()[:2]
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._address
        return host, port

    def start(self) -> None:
        """Serve from now on, in a task of the running loop."""
        config = Config()
        # The descriptor is hypercorn's from here on: it closes it.
        config.bind = [f"fd://{self._socket.detach()}"]
        config.accesslog = None
        config.errorlog = logging.getLogger("hypercorn.error")
        config.h11_max_incomplete_size = HEAD_OCTETS_MAX
        config.keep_alive_timeout = KEEP_ALIVE_S
        config.read_timeout = int(READ_TIMEOUT_S)
        config.graceful_timeout = STOP_S / 2
        config.shutdown_timeout = 1.0
        config.include_server_header = False
        self._task = asyncio.get_running_loop().create_task(
            serve(self._app, config, shutdown_trigger=self._wait_for_stop, mode="asgi")  # type: ignore[arg-type]
        )

    async def stop(self) -> None:
        """Finish the requests that are running, for `STOP_S` at most, and close."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=STOP_S)
            self._task.cancel()
        self._socket.close()

    async def _wait_for_stop(self) -> None:
        await self._stopping.wait()
