"""HTTP/1.0 and HTTP/1.1 on one connection, and nothing that they can be turned into.

Knows: hypercorn's connection and its HTTP/1.1 protocol.  Does not know: sockets, limits, the pages.
Theory: by itself hypercorn also speaks HTTP/2 to who begins with its preface or asks for `Upgrade: h2c`, and
WebSocket.  Each stream of HTTP/2 has a window of its own, so one connection can hold many responses
that nobody reads.  HTTP/1.1 has one response at a time, and TCP says whether it is read.
What two programs can read in two ways is refused, though the library would take one of them: there may be a
proxy in front, and it may have taken the other (request smuggling).
"""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Callable
from typing import Any, Final

import h11
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed
from hypercorn.protocol.events import Request
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

VERSIONS = (b"1.0", b"1.1")
BAD_REQUEST = 400
HTTP_VERSION_NOT_SUPPORTED = 505

_TWO_WAYS: Final = re.compile(rb"[^\r]\n|\r[^\n]|\0|\n[ \t]")
"""Bare line ends, NUL and folded lines: what one program skips and another reads (RFC 9112 §2.2, §5.2,
§11.2)."""
_LENGTHS: Final = re.compile(rb"\n(?i:content-length|transfer-encoding)[ \t]*:")


class Http1Server(TCPServer):
    """One connection, without the wrapper that changes protocols."""

    on_broken: Callable[[], None] = staticmethod(lambda: None)
    """Called when a head can be read in two ways, or not at all."""

    async def run(self) -> None:
        """Answer its requests until it is closed."""
        socket = self.writer.get_extra_info("socket")
        try:
            client = parse_socket_addr(socket.family, socket.getpeername())
            server = parse_socket_addr(socket.family, socket.getsockname())
            async with TaskGroup(self.loop) as task_group:
                self._task_group = task_group
                self.protocol = _Http1Protocol(  # type: ignore[assignment]
                    self.app,
                    self.config,
                    self.context,
                    task_group,
                    ConnectionState(self.state),
                    self.writer.get_extra_info("ssl_object") is not None,
                    client,
                    server,
                    self.protocol_send,
                )
                self.protocol.on_broken = self.on_broken  # type: ignore[attr-defined]
                await self.idle_task.restart(task_group, self._idle_timeout)
                await self._read_data()
        except OSError:
            pass
        except asyncio.CancelledError as error:
            # The client has gone.  What the frames had would hold the error, which holds the frames.
            traceback.clear_frames(error.__traceback__)
        finally:
            await self._close()
            self._come_apart()

    async def _initiate_server_close(self) -> None:
        # The idle timer shields this from being cancelled, so it may come when all is over.
        if vars(self):
            await super()._initiate_server_close()

    def _come_apart(self) -> None:
        """Leave no circle of references: no full collection ever comes for what has lived for a while."""
        # A reset is raised again and again from where it is kept, and gathers every frame it passes.
        if (reset := self.reader.exception()) is not None:
            reset.__traceback__ = reset.__context__ = None
        if "protocol" in vars(self):
            vars(self.protocol).clear()
        vars(self).clear()


class _Parser(h11.Connection):
    """h11, whose errors hold the frames that hold them until they are taken apart; and less patient."""

    _looked_at = 0
    """Octets of the head that are known to be fine."""

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """See h11.  Raises `h11.RemoteProtocolError`."""
        try:
            if self.their_state is h11.IDLE:
                self._look_at_head()
            event = super().next_event()
            if isinstance(event, h11.Request):
                self._looked_at = 0
            return event
        except h11.RemoteProtocolError as error:
            traceback.clear_frames(error.__traceback__)
            raise

    def _look_at_head(self) -> None:
        """Refuse what can be read in two ways, before it is read in one.  Raises `RemoteProtocolError`."""
        octets = self.trailing_data[0]
        end = octets.find(b"\r\n\r\n")
        head = octets if end < 0 else octets[: end + 4]
        if _TWO_WAYS.search(head, max(0, self._looked_at - 1)):
            raise h11.RemoteProtocolError("a head that can be read in two ways")
        # A part is looked at once, however slowly the rest comes; the last octet may belong to a pair.
        self._looked_at = len(head)
        if end >= 0 and len(_LENGTHS.findall(head)) > 1:
            raise h11.RemoteProtocolError("two lengths of one body")


class _Http1Protocol(H11Protocol):
    def __init__(self, *of_hypercorn: Any) -> None:
        super().__init__(*of_hypercorn)
        self.connection = _Parser(h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size)
        self.on_broken: Callable[[], None] = lambda: None

    async def _send_error_response(self, status_code: int) -> None:
        self.on_broken()
        await super()._send_error_response(status_code)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Change to nothing: RFC 9110 §7.8 lets a server ignore `Upgrade`."""

    async def _create_stream(self, request: h11.Request) -> None:
        if request.http_version not in VERSIONS:
            # `PRI * HTTP/2.0`, too (RFC 9113 §3.4); what follows it is not read.
            await self._send_error_response(HTTP_VERSION_NOT_SUPPORTED)
            await self.send(Closed())
            return
        if _is_ambiguous(request):
            await self._send_error_response(BAD_REQUEST)
            await self.send(Closed())
            return
        self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1
        await self.context.mark_request()


def _is_ambiguous(request: h11.Request) -> bool:
    """Whether a proxy may have taken this for something else: another target, another end."""
    if not request.target.startswith(b"/"):
        # With scheme and host it would go by that host, not by `Host` (RFC 9112 §3.2.2).
        return True
    is_chunked = any(name == b"transfer-encoding" for name, _ in request.headers)
    return is_chunked and request.http_version == b"1.0"
