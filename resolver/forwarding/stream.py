"""TCP connections to upstreams: shared, pipelined, kept for a while, bounded.

Knows: connections, length prefixes, IDs in use.  Does not know: why a question goes over TCP, or
whether a reply is good.

Theory (RFC 7766): many queries share a connection and are answered in any order, matched by ID.  A
server may close an idle connection at any time, so when a connection that has served before breaks, its
unanswered queries are sent once more, on a new one; when a fresh one breaks, they fail.
"""

from __future__ import annotations

import asyncio
from typing import cast

from resolver.clock import Clock, TimerHandle
from resolver.forwarding.network import Receiver, SendError, Ticket
from resolver.forwarding.upstream import Upstream

CONNECTIONS_PER_UPSTREAM_MAX = 8

QUERIES_PER_CONNECTION_MAX = 128
"""Unanswered queries on one connection; over all connections more fail at once."""

QUERIES_BEFORE_NEW_CONNECTION = 16
"""A connection with this many unanswered queries is joined only if no other may be opened."""

IDLE_S = 10.0
"""An unused connection is closed after this (RFC 7766 §6.2.3 asks for seconds, not minutes)."""

CONNECT_S_MAX = 5.0
"""A connection attempt is given up after this, when every question behind it has long moved on."""

WRITE_OCTETS_MAX = 65_536
"""Octets waiting for an upstream that does not read; over it the connection takes no more queries."""

MESSAGE_OCTETS_MIN = 12


class StreamCounts:
    """Counters of all connections, plain ints."""

    __slots__ = ("broken", "opened", "retried", "reused", "unexpected")

    def __init__(self) -> None:
        self.opened = 0
        self.reused = 0
        """Queries that found an open connection."""
        self.broken = 0
        """Connections that failed or were closed while queries waited."""
        self.retried = 0
        self.unexpected = 0
        """Messages that match no query of their connection."""


class _StreamTicket:
    """See `network.Ticket`."""

    __slots__ = ("connection", "is_retry", "octets", "query_id", "receiver")

    def __init__(self, octets: bytes, receiver: Receiver) -> None:
        self.octets = octets
        self.query_id = octets[0] << 8 | octets[1]
        self.receiver = receiver
        self.connection: _Connection | None = None
        self.is_retry = False

    def close(self) -> None:
        connection = self.connection
        if connection is not None:
            self.connection = None
            connection.drop(self)


class Streams:
    """The connections to all upstreams."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self.clock = clock
        self.counts = StreamCounts()
        self._connections: dict[Upstream, list[_Connection]] = {}
        self._is_closed = False

    @property
    def open_connections(self) -> int:
        """Connections open or opening."""
        return sum(map(len, self._connections.values()))

    def ask(self, upstream: Upstream, octets: bytes, receiver: Receiver) -> Ticket | SendError:
        """See `network.Network.ask_stream`."""
        ticket = _StreamTicket(octets, receiver)
        connection = self._choose(upstream, ticket.query_id)
        if connection is None:
            return SendError("stream")
        connection.add(ticket)
        return ticket

    def close(self) -> None:
        """Close every connection; receivers hear nothing."""
        self._is_closed = True
        for connections in list(self._connections.values()):
            for connection in list(connections):
                connection.waiting.clear()
                connection.shut()
        self._connections.clear()

    def _choose(self, upstream: Upstream, query_id: int) -> _Connection | None:
        connections = self._connections.setdefault(upstream, [])
        usable = [c for c in connections if c.takes(query_id)]
        best = min(usable, key=lambda c: len(c.waiting), default=None)
        if best is not None and len(best.waiting) < QUERIES_BEFORE_NEW_CONNECTION:
            self.counts.reused += 1
            return best
        return self._open(upstream) or best

    def _open(self, upstream: Upstream) -> _Connection | None:
        connections = self._connections.setdefault(upstream, [])
        if len(connections) >= CONNECTIONS_PER_UPSTREAM_MAX or self._is_closed:
            return None
        connection = _Connection(self, upstream)
        connections.append(connection)
        self.counts.opened += 1
        connection.connecting = self._loop.create_task(self._connect(connection))
        return connection

    async def _connect(self, connection: _Connection) -> None:
        upstream = connection.upstream
        try:
            await self._loop.create_connection(lambda: connection, upstream.address, upstream.port)
        except OSError:
            connection.connecting = None
            connection.shut("network")

    def forget(self, connection: _Connection) -> None:
        """It takes no more queries."""
        connections = self._connections.get(connection.upstream)
        if connections and connection in connections:
            connections.remove(connection)

    def retry_or_fail(self, ticket: _StreamTicket, upstream: Upstream, reason: str, may_retry: bool) -> None:
        """A connection broke under `ticket`."""
        if may_retry and not ticket.is_retry:
            connection = self._open(upstream)
            if connection is not None:
                ticket.is_retry = True
                self.counts.retried += 1
                connection.add(ticket)
                return
        ticket.receiver.on_error(reason)


class _Connection(asyncio.Protocol):
    """One TCP connection and the queries waiting on it."""

    def __init__(self, streams: Streams, upstream: Upstream) -> None:
        self.streams = streams
        self.upstream = upstream
        self.waiting: dict[int, _StreamTicket] = {}
        self.connecting: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._is_shut = False
        self._is_blocked = False
        self._has_served = False
        self._timer: TimerHandle | None = streams.clock.call_later(CONNECT_S_MAX, self._on_connect_timeout)

    def takes(self, query_id: int) -> bool:
        """Whether another query with this ID may go here."""
        return (
            len(self.waiting) < QUERIES_PER_CONNECTION_MAX
            and query_id not in self.waiting
            and not self._is_blocked
        )

    def add(self, ticket: _StreamTicket) -> None:
        """Send a query, now or when connected."""
        ticket.connection = self
        self.waiting[ticket.query_id] = ticket
        if self._transport is not None:
            self._rest_timer(None)
            self._transport.write(_framed(ticket.octets))

    def drop(self, ticket: _StreamTicket) -> None:
        """Nobody waits for it any more; its reply, if it comes, is unexpected."""
        if self.waiting.get(ticket.query_id) is ticket:
            del self.waiting[ticket.query_id]
            self._close_when_idle()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what has gathered meanwhile."""
        # Not `isinstance`: uvloop's transports are no subclasses of asyncio's.
        stream = cast(asyncio.Transport, transport)
        if self._is_shut:
            stream.abort()
            return
        self._transport = stream
        self.connecting = None
        stream.set_write_buffer_limits(high=WRITE_OCTETS_MAX)
        self._rest_timer(None)
        if self.waiting:
            stream.write(b"".join(_framed(ticket.octets) for ticket in self.waiting.values()))
        self._close_when_idle()

    def data_received(self, data: bytes) -> None:
        """Take whole messages out of the stream."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= 2 and not self._is_shut:
            end = start + 2 + (buffer[start] << 8 | buffer[start + 1])
            if end - start - 2 < MESSAGE_OCTETS_MIN:
                self.shut("stream")
                return
            if end > len(buffer):
                break
            message = bytes(buffer[start + 2 : end])
            start = end
            self._dispatch(message)
        del buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        self.shut("stream")

    def pause_writing(self) -> None:
        """The upstream does not read."""
        self._is_blocked = True

    def resume_writing(self) -> None:
        """It reads again."""
        self._is_blocked = False

    def shut(self, reason: str = "stream") -> None:
        """Close; retry or fail what waits."""
        if self._is_shut:
            return
        self._is_shut = True
        self._rest_timer(None)
        if self.connecting is not None:
            self.connecting.cancel()
            self.connecting = None
        self.streams.forget(self)
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        tickets = list(self.waiting.values())
        self.waiting.clear()
        if tickets:
            self.streams.counts.broken += 1
        for ticket in tickets:
            if ticket.connection is self:
                ticket.connection = None
                self.streams.retry_or_fail(ticket, self.upstream, reason, self._has_served)

    def _dispatch(self, message: bytes) -> None:
        ticket = self.waiting.pop(message[0] << 8 | message[1], None)
        if ticket is None:
            self.streams.counts.unexpected += 1
            return
        self._has_served = True
        ticket.connection = None
        ticket.receiver.on_octets(message)
        self._close_when_idle()

    def _close_when_idle(self) -> None:
        if not self.waiting and self._transport is not None and not self._is_shut:
            self._rest_timer(IDLE_S)

    def _rest_timer(self, delay_s: float | None) -> None:
        """Replace the connection's timer by one for closing it, or by none."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay_s is not None:
            self._timer = self.streams.clock.call_later(delay_s, self._on_idle)

    def _on_idle(self) -> None:
        self._timer = None
        if not self.waiting:
            self.shut()

    def _on_connect_timeout(self) -> None:
        self._timer = None
        if self._transport is None:
            self.shut("network")


def _framed(octets: bytes) -> bytes:
    """With the two-octet length in front (RFC 1035 §4.2.2)."""
    return len(octets).to_bytes(2, "big") + octets
