"""The HTTP server: one address, one application, so many connections and no more.

Knows: sockets, hypercorn.  Does not know: the pages.
Theory: hypercorn has no limit on connections, and DNS takes its descriptors from the same table.  So
connections are accepted here, where each one over the limit gets status 503 and is closed, and only then
handed to hypercorn's protocol.  A silent client, one that sends slowly and one that does not read lose
their connections within seconds, so a full house empties by itself.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import cast

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from starlette.applications import Starlette

from resolver.web.http1 import Http1Server

HEAD_OCTETS_MAX = 16 * 1024
"""Largest request line and headers together; more is answered 431 or cut off."""
IDLE_S = 5.0
"""A connection without a whole request is closed after this, from its start or its last response: the
limit on silent clients and on those that send their headers letter by letter (slowloris).  Scrapers come
every 15 s or more and open a new connection."""
READ_TIMEOUT_S = 10
"""A client that sends nothing for so long over a request's body is cut off.  Whole seconds."""
WRITE_STALL_S = 10.0
"""A client that reads nothing for so long, while a response waits for it, is cut off."""
HANDSHAKE_S = 5.0
"""For the whole handshake of TLS; a client that is slower is cut off."""
ACCEPT_PAUSE_S = 0.1
"""After a connection could not be accepted."""
STOP_S = 0.4
"""How long requests under way may take when the server stops."""
BACKLOG = 64

FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
"""What a client over the limit gets."""


class WebServer:
    """Serves `app` on one socket until stopped.

    `on_drop` hears a word for each connection that was lost to a limit, `on_refused` one of
    `facts.HTTP_REFUSALS`.  `tls` gives what a connection that comes now is encrypted by, or None: then it is
    closed; without `tls` nothing is encrypted.
    """

    def __init__(
        self,
        app: Starlette,
        bound: socket.socket,
        *,
        connections_max: int,
        on_drop: Callable[[str], None] = lambda reason: None,
        on_refused: Callable[[str], None] = lambda reason: None,
        tls: Callable[[], ssl.SSLContext | None] | None = None,
    ) -> None:
        self._app = ASGIWrapper(app)  # type: ignore[arg-type]
        self._socket = bound
        self._address = bound.getsockname()[:2]
        self._connections_max = connections_max
        self._on_drop = on_drop
        self._on_refused = on_refused
        self._tls = tls
        self._shaking: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._context = WorkerContext(None)
        self._config = Config()
        self._config.accesslog = None
        self._config.errorlog = logging.getLogger("hypercorn.error")
        self._config.h11_max_incomplete_size = HEAD_OCTETS_MAX
        self._config.keep_alive_timeout = IDLE_S
        self._config.read_timeout = READ_TIMEOUT_S
        self._config.include_server_header = False
        self._open: set[_Connection] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._address
        return host, port

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def start(self) -> None:
        """Serve from now on, in a task of the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def stop(self) -> None:
        """Finish the requests that are running, for `STOP_S` at most, and close."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        self._socket.close()

    def admit(self, connection: _Connection) -> bool:
        """Whether there is room for one more; if not, that is counted."""
        if len(self._open) >= self._connections_max:
            self._on_drop("http_connections_max")
            return False
        self._open.add(connection)
        return True

    def forget(self, connection: _Connection) -> None:
        """It is closed."""
        self._open.discard(connection)

    def count_stall(self) -> None:
        """A client did not read."""
        self._on_drop("http_client_does_not_read")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection that was let in."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        connection = cast(_Connection, writer.transport.get_protocol())
        self._serving.add(task)
        connection.serving = task
        try:
            loop = asyncio.get_running_loop()
            server = Http1Server(self._app, loop, self._config, self._context, {}, reader, writer)
            server.on_broken = self._count_broken
            await server
        finally:
            connection.serving = None
            self._serving.discard(task)

    def _count_broken(self) -> None:
        self._on_refused("broken")

    async def _accept(self) -> None:
        """Let encrypted connections in, one task each: a slow handshake keeps nobody waiting.

        Whether there is room, and by what it is encrypted, is known before a connection costs anything.
        """
        loop = asyncio.get_running_loop()
        self._socket.setblocking(False)
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._socket)
            except OSError:
                # No descriptor is left, mostly.
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            connection = _Connection(self, loop)
            if not connection.is_admitted():
                accepted.close()
                continue
            task = loop.create_task(self._shake(accepted, connection))
            self._shaking.add(task)
            task.add_done_callback(self._shaking.discard)

    async def _shake(self, accepted: socket.socket, connection: _Connection) -> None:
        context = None if self._tls is None else self._tls()
        is_encrypted = False
        try:
            if context is not None:
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: connection, accepted, ssl=context, ssl_handshake_timeout=HANDSHAKE_S
                )
                is_encrypted = True
        except (OSError, TimeoutError, EOFError, RuntimeError):
            # Whatever comes instead of a handshake is the client's affair.
            pass
        finally:
            if not is_encrypted:
                self._on_refused("tls")
                self.forget(connection)
                accepted.close()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        if self._tls is not None:
            accepting = loop.create_task(self._accept(), name="http-accept")
            await self._stopping.wait()
            for task in (accepting, *self._shaking):
                task.cancel()
            await asyncio.gather(accepting, *self._shaking, return_exceptions=True)
        else:
            server = await loop.create_server(
                lambda: _Connection(self, loop), sock=self._socket, backlog=BACKLOG
            )
            await self._stopping.wait()
            server.close()
        # Idle connections close at this; those with a request finish it first.
        await self._context.terminated.set()
        if self._serving:
            await asyncio.wait(set(self._serving), timeout=STOP_S)
        for connection in list(self._open):
            connection.cut()
        if self._serving:
            await asyncio.wait(set(self._serving), timeout=STOP_S)
        for task in list(self._serving):
            task.cancel()


class _Connection(asyncio.StreamReaderProtocol):
    """One client's connection, let in or not."""

    def __init__(self, server: WebServer, loop: asyncio.AbstractEventLoop) -> None:
        # No method of this object, which would hold it for ever.
        super().__init__(asyncio.StreamReader(loop=loop), server.serve, loop)
        self._server = server
        self.serving: asyncio.Task[None] | None = None
        self._timers = loop
        self._client: asyncio.Transport | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._has_room = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in if there is room."""
        # Not `isinstance`: uvloop's transports are no subclasses of asyncio's.
        client = cast(asyncio.Transport, transport)
        if self.is_admitted():
            self._client = client
            super().connection_made(transport)
        else:
            client.write(FULL)
            client.close()

    def is_admitted(self) -> bool:
        """Whether there is room for it, asked once."""
        self._has_room = self._has_room or self._server.admit(self)
        return self._has_room

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._client = None
        self._rest_stall()
        self._server.forget(self)
        super().connection_lost(exc)
        if self.serving is not None:
            # Requests that it sent ahead would be answered one by one, each into a buffer that nobody reads.
            self.serving.cancel()

    def pause_writing(self) -> None:
        """The client does not read; it has a while to think better of it."""
        super().pause_writing()
        self._stall = self._timers.call_later(WRITE_STALL_S, self._on_stall)

    def resume_writing(self) -> None:
        """It reads again."""
        self._rest_stall()
        super().resume_writing()

    def cut(self) -> None:
        """Close it at once."""
        if self._client is not None:
            self._client.abort()

    def _on_stall(self) -> None:
        self._server.count_stall()
        self.cut()

    def _rest_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
