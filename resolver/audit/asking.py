"""Asks one listener over UDP, TCP, TLS or HTTPS: the sockets of a campaign.

Knows: datagrams, streams and their frames.  Does not know: what is asked, what is a right answer, when to
ask again; HTTP/2 (`http2` does).
Another transport is another `Lane`: what sends octets and tells the campaign what came, or that nothing can.
Socket errors are outcomes, never exceptions.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from resolver.audit.campaign import Campaign, Outcome, Send
from resolver.audit.http2 import Posts
from resolver.audit.results import Kind
from resolver.audit.targets import Target, Transport

Tag = TypeVar("Tag")

SOCKETS: Final = 8
"""Source ports that questions come from: a server with several threads sees them on all."""
AUDIT_RECEIVE_OCTETS: Final = 1 << 20
"""Socket buffer: answers to a burst wait here while others are judged."""
STREAM_QUESTIONS_MAX: Final = 32
"""Questions under way on one connection: servers bound them."""
STREAM_TOTAL_MAX: Final = 64
"""Questions on one connection, one after the other: servers bound these, too (dnsmasq: 100)."""
STREAMS: Final = 4
CONNECT_S: Final = 5.0
FRAME_OCTETS_MAX: Final = 65_535


class Ears(Protocol):
    """Who hears what comes."""

    def on_message(self, octets: bytes, now: float, lonely_id: int | None = None) -> None: ...

    def on_failure(self, query_id: int, kind: Kind, now: float, *, was_open: bool = True) -> None: ...


class Lane(Protocol):
    """One way to a listener."""

    def send(self, send: Send) -> None:
        """Send one query, soon."""
        ...

    def sweep(self, now: float) -> None:
        """Close what is waited for no more."""
        ...

    def close(self) -> None:
        """End everything."""
        ...


async def run_campaign(
    target: Target, campaign: Campaign[Tag], on_outcome: Callable[[Outcome[Tag]], None]
) -> None:
    """Ask all of a campaign; each outcome is told once."""
    loop = asyncio.get_running_loop()
    wake = asyncio.Event()
    lane = _LANES[target.transport](target, campaign, wake, loop)
    try:
        while True:
            wake.clear()
            now = loop.time()
            sends, wake_at = campaign.due(now)
            for send in sends:
                lane.send(send)
            while campaign.outcomes:
                on_outcome(campaign.outcomes.popleft())
            if campaign.is_over:
                return
            lane.sweep(now)
            # A few at a time: to wake for each would cost more than the query.
            wait_s = max(wake_at - loop.time(), 0.002)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await wake.wait()
    finally:
        lane.close()


class _UdpLane:
    """Shared sockets in turn, and one for each question that must be alone."""

    def __init__(
        self, target: Target, ears: Ears, wake: asyncio.Event, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._target = target
        self._ears = ears
        self._wake = wake
        self._loop = loop
        self._shared: list[socket.socket] = []
        self._lonely: dict[int, tuple[socket.socket, float]] = {}
        self._turn = 0

    def heard(self, octets: bytes, lonely_id: int | None) -> None:
        self._ears.on_message(octets, self._loop.time(), lonely_id)
        self._wake.set()

    def failed(self, query_id: int) -> None:
        self._ears.on_failure(query_id, Kind.NO_ANSWER, self._loop.time())
        self._wake.set()

    def send(self, send: Send) -> None:
        try:
            if send.is_lonely:
                sock = self._open(send.id)
                # A socket with this ID may still stand: of an older question that is over.
                self._close_lonely(send.id)
                self._lonely[send.id] = (sock, send.deadline)
            else:
                if len(self._shared) < SOCKETS:
                    self._shared.append(self._open(None))
                self._turn = (self._turn + 1) % len(self._shared)
                sock = self._shared[self._turn]
            sock.send(send.octets)
        except BlockingIOError:
            pass  # Full: lost, as on any network.
        except OSError:
            # The datagram before was refused, as ICMP says; of this one nothing is known yet.
            if send.is_lonely:
                self.failed(send.id)

    def _open(self, lonely_id: int | None) -> socket.socket:
        sock = socket.socket(
            self._target.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        try:
            sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, AUDIT_RECEIVE_OCTETS if lonely_id is None else 1 << 16
            )
            sock.connect((self._target.address, self._target.port))
            self._loop.add_reader(sock, self._read, sock, lonely_id)
        except OSError:
            sock.close()
            raise
        return sock

    def _read(self, sock: socket.socket, lonely_id: int | None) -> None:
        for _ in range(64):
            try:
                octets = sock.recv(FRAME_OCTETS_MAX)
            except BlockingIOError:
                return
            except OSError:
                if lonely_id is not None:
                    self.failed(lonely_id)
                return
            self.heard(octets, lonely_id)

    def sweep(self, now: float) -> None:
        for query_id in [key for key, (_, until) in self._lonely.items() if until <= now]:
            self._close_lonely(query_id)

    def _close_lonely(self, query_id: int) -> None:
        entry = self._lonely.pop(query_id, None)
        if entry is not None:
            self._loop.remove_reader(entry[0])
            entry[0].close()

    def close(self) -> None:
        for query_id in list(self._lonely):
            self._close_lonely(query_id)
        for sock in self._shared:
            self._loop.remove_reader(sock)
            sock.close()
        self._shared.clear()


class _Stream:
    """One connection and the questions on it."""

    def __init__(self, lane: _TcpLane, lonely_id: int | None) -> None:
        self._lane = lane
        self._lonely_id = lonely_id
        self._waiting: list[bytes] = []
        self.ids: dict[int, float] = {}
        """The questions on it, each with its deadline."""
        self.until = 0.0
        self.sent = 0
        self.is_over = False
        self._writer: asyncio.StreamWriter | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    def send(self, send: Send) -> None:
        self.ids[send.id] = send.deadline
        self.until = max(self.until, send.deadline)
        self.sent += 1
        if self._writer is None:
            self._waiting.append(send.octets)
        elif not self._writer.is_closing():  # Else its end is about to be told.
            self._writer.write(self._enclosed(send.octets))

    @property
    def was_open(self) -> bool:
        """Whether somebody took the connection."""
        return self._writer is not None

    def close(self) -> None:
        self.is_over = True
        self._task.cancel()

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, self._writer = await self._lane.connect()
            for octets in self._waiting:
                self._writer.write(self._enclosed(octets))
            await self._hear(reader)
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            self.is_over = True
            if self._writer is not None:
                self._writer.close()
            self._lane.ended(self)

    def _enclosed(self, octets: bytes) -> bytes:
        """A query as the connection carries it (RFC 1035 §4.2.2)."""
        return len(octets).to_bytes(2, "big") + octets

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        """Tell what comes, until the end: EOFError or OSError."""
        while True:
            length = int.from_bytes(await reader.readexactly(2), "big")
            self._tell(await reader.readexactly(length))

    def _tell(self, octets: bytes) -> None:
        self._lane.heard(octets, self._lonely_id)
        self.ids.pop(int.from_bytes(octets[:2], "big"), None)


class _HttpsStream(_Stream):
    """One HTTP/2 connection (RFC 8484)."""

    def __init__(self, lane: _TcpLane, lonely_id: int | None) -> None:
        target = lane.target
        self._posts = Posts(target.place if not target.server_name else target.server_name, target.path)
        super().__init__(lane, lonely_id)

    def send(self, send: Send) -> None:
        try:
            super().send(send)
        except EOFError:
            # The server has said that it takes no more: what waits is told at the end, which comes now.
            if self._writer is not None:
                self._writer.close()

    def _enclosed(self, octets: bytes) -> bytes:
        return self._posts.post(octets)

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        while octets := await reader.read(FRAME_OCTETS_MAX):
            answers, lost = self._posts.receive(octets)
            for answer in answers:
                self._tell(answer)
            for query_id in lost:
                if self.ids.pop(query_id, None) is not None:
                    self._lane.failed(query_id)
            if self._writer is not None and (control := self._posts.control()):
                self._writer.write(control)


class _TcpLane:
    """A few connections with several questions each, and one for each question that must be alone."""

    def __init__(
        self, target: Target, ears: Ears, wake: asyncio.Event, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.target = target
        self._ears = ears
        self._wake = wake
        self._loop = loop
        self._shared: list[_Stream] = []
        self._lonely: dict[int, _Stream] = {}

    _stream: type[_Stream] = _Stream
    _context: ssl.SSLContext | None = None

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection.  Raises OSError, of which an error of TLS is one."""
        host, port = self.target.address, self.target.port
        if self._context is None:
            return await asyncio.open_connection(host, port)
        # The name that is checked; without one some word must stand there, which is not sent where it is an
        # address.
        name = self.target.server_name or host
        return await asyncio.open_connection(host, port, ssl=self._context, server_hostname=name)

    def failed(self, query_id: int) -> None:
        """The listener has let go of one question, and of nothing else on the connection."""
        self._ears.on_failure(query_id, Kind.CLOSED, self._loop.time())
        self._wake.set()

    def heard(self, octets: bytes, lonely_id: int | None) -> None:
        self._ears.on_message(octets, self._loop.time(), lonely_id)
        self._wake.set()

    def ended(self, stream: _Stream) -> None:
        """Whatever was under way on a connection that is over has failed."""
        if stream in self._shared:
            self._shared.remove(stream)
        now = self._loop.time()
        for query_id in list(stream.ids):
            self._ears.on_failure(query_id, Kind.CLOSED, now, was_open=stream.was_open)
        stream.ids.clear()
        self._wake.set()

    def send(self, send: Send) -> None:
        if send.is_lonely:
            self._close_lonely(send.id)
            stream = self._lonely[send.id] = self._stream(self, send.id)
        else:
            stream = self._roomiest()
        stream.send(send)

    def _roomiest(self) -> _Stream:
        # A connection that has had its share is left to end; so is one that is over.
        usable = [one for one in self._shared if one.sent < STREAM_TOTAL_MAX and not one.is_over]
        best = min(usable, key=lambda one: len(one.ids), default=None)
        if best is None or (len(best.ids) >= STREAM_QUESTIONS_MAX and len(usable) < STREAMS):
            best = self._stream(self, None)
            self._shared.append(best)
        return best

    def sweep(self, now: float) -> None:
        for query_id in [key for key, stream in self._lonely.items() if stream.until <= now]:
            self._close_lonely(query_id)
        for stream in self._shared:
            for query_id in [key for key, until in stream.ids.items() if until <= now]:
                del stream.ids[query_id]
        for stream in [one for one in self._shared if one.sent >= STREAM_TOTAL_MAX and not one.ids]:
            self._shared.remove(stream)
            stream.close()

    def _close_lonely(self, query_id: int) -> None:
        stream = self._lonely.pop(query_id, None)
        if stream is not None:
            stream.ids.clear()
            stream.close()

    def close(self) -> None:
        for stream in [*self._shared, *self._lonely.values()]:
            stream.ids.clear()
            stream.close()
        self._shared.clear()
        self._lonely.clear()


class _TlsLane(_TcpLane):
    """The same over TLS (RFC 7858)."""

    def __init__(
        self, target: Target, ears: Ears, wake: asyncio.Event, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(target, ears, wake, loop)
        self._context = _context_for(target, "dot")


class _HttpsLane(_TcpLane):
    """Each question a POST of its own, over HTTP/2 (RFC 8484)."""

    _stream = _HttpsStream

    def __init__(
        self, target: Target, ears: Ears, wake: asyncio.Event, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(target, ears, wake, loop)
        self._context = _context_for(target, "h2")


def _context_for(target: Target, protocol: str) -> ssl.SSLContext:
    """The certificate must be the server's where its name is known; else it is taken as it is."""
    context = ssl.create_default_context()
    if not target.server_name:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


_LANES: dict[Transport, Callable[[Target, Ears, asyncio.Event, asyncio.AbstractEventLoop], Lane]] = {
    Transport.UDP: _UdpLane,
    Transport.TCP: _TcpLane,
    Transport.TLS: _TlsLane,
    Transport.HTTPS: _HttpsLane,
}
