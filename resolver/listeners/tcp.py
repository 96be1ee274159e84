"""Plain DNS over TCP (RFC 7766): framed messages on long-lived connections.

Knows: framing, limits on connections, how outcomes are counted.  Does not know: why an answer is what it is.
Theory: queries of one connection are answered as they become ready, out of order (§6.2.1.1).  Every
connection has a bounded number of open questions and a bounded buffer; a client that exceeds one is
made to wait, one that never reads is cut off.  Only a whole message counts as a sign of life.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from functools import partial
from ipaddress import ip_address
from typing import cast

from resolver.clock import Clock, TimerHandle
from resolver.listeners.address import SocketAddress, bind_tcp
from resolver.listeners.reporter import Reporter
from resolver.outcome import Ask, Drop, Peer, Respond, Transport
from resolver.service import Service

OPEN_QUESTIONS_MAX = 100
"""Questions of one connection that wait for an upstream; reading pauses at this many."""

WRITE_BUFFER_OCTETS_MAX = 256 * 1024
"""Answers that a client has not read; beyond it the connection is cut."""

SWEEP_EVERY_S = 1.0
"""How often idle connections are looked for; so an idle one lives at most this much longer."""

QUERY_OCTETS_MIN = 12
"""A message shorter than a header ends the connection: its framing cannot be trusted."""

_log = logging.getLogger(__name__)


class TcpListener:
    """One listening TCP socket and its connections."""

    def __init__(
        self,
        address: SocketAddress,
        service: Service,
        reporter: Reporter,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        *,
        idle_s: float = 10.0,
        connections_max: int = 1000,
        connections_per_client_max: int = 100,
    ) -> None:
        self.service = service
        self.reporter = reporter
        self.clock = clock
        self._loop = loop
        self._sock = bind_tcp(address)
        self._bound_to = self._sock.getsockname()[:2]
        self._idle_s = idle_s
        self._connections_max = connections_max
        self._per_client_max = connections_per_client_max
        self._connections: set[_Connection] = set()
        self._per_client: Counter[bytes] = Counter()
        self._server: asyncio.Server | None = None
        self._sweeper: TimerHandle | None = None

    @property
    def bound_to(self) -> tuple[str, int]:
        """The address and port it really listens on."""
        return self._bound_to[0], self._bound_to[1]

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    async def start(self) -> None:
        """Begin to accept."""
        self._server = await self._loop.create_server(partial(_Connection, self), sock=self._sock)
        self._sweeper = self.clock.call_later(SWEEP_EVERY_S, self._sweep)

    def stop_reading(self) -> None:
        """Accept no more connections and read no more queries; open questions are still answered."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.close_when_answered()

    def close(self) -> None:
        """Cut what is left."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
        else:
            self._sock.close()
        for connection in tuple(self._connections):
            connection.abort()

    def admit(self, connection: _Connection) -> bool:
        """Take a new connection in, unless there are too many of them or of its client's."""
        if len(self._connections) >= self._connections_max:
            self.reporter.count_drop("tcp_connections_max")
            return False
        if self._per_client[connection.client] >= self._per_client_max:
            self.reporter.count_drop("tcp_connections_per_client_max")
            return False
        self._connections.add(connection)
        self._per_client[connection.client] += 1
        return True

    def forget(self, connection: _Connection) -> None:
        """The connection is gone."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._per_client[connection.client] -= 1
            if not self._per_client[connection.client]:
                del self._per_client[connection.client]

    def _sweep(self) -> None:
        oldest_allowed = self.clock.now() - self._idle_s
        for connection in tuple(self._connections):
            if connection.open_questions == 0 and connection.last_message_at < oldest_allowed:
                connection.close_when_answered()
        self._sweeper = self.clock.call_later(SWEEP_EVERY_S, self._sweep)


class _Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, listener: TcpListener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._peer = Peer(b"", Transport.TCP)
        self._is_closing = False
        self._is_paused = False
        self.client = b""
        """Whom a connection counts against: the IPv4 address, or the IPv6 /64."""
        self.open_questions = 0
        self.last_message_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")
        if not peername:  # gone before it was accepted
            self._transport.abort()
            return
        address = ip_address(peername[0].partition("%")[0]).packed
        self._peer = Peer(address, Transport.TCP)
        self.client = address[:8]
        self.last_message_at = self._listener.clock.now()
        if not self._listener.admit(self):
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_OCTETS_MAX)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._listener.forget(self)

    def eof_received(self) -> bool:
        # A client may close its half after the last query and still wants the answers.
        self.close_when_answered()
        return True

    def pause_writing(self) -> None:
        # The limit is the most we keep for a client that does not read.
        self._listener.reporter.count_drop("tcp_client_does_not_read")
        self.abort()

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            return
        self._buffer += data
        self._answer_messages()

    def abort(self) -> None:
        """Cut the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def close_when_answered(self) -> None:
        """Read no more; close once no question is open."""
        self._is_closing = True
        if self._transport is not None and not self.open_questions:
            self._transport.close()

    def _answer_messages(self) -> None:
        buffer = self._buffer
        start = 0
        while self._transport is not None and not self._is_paused:
            if len(buffer) - start < 2:
                break
            length = int.from_bytes(buffer[start : start + 2], "big")
            if length < QUERY_OCTETS_MIN:
                self._listener.reporter.count_drop("tcp_short_message")
                self._buffer.clear()
                self.abort_after_answers()
                return
            if len(buffer) - start < 2 + length:
                break
            octets = bytes(buffer[start + 2 : start + 2 + length])
            start += 2 + length
            self._answer(octets)
        del buffer[:start]

    def abort_after_answers(self) -> None:
        """The client's framing is broken: nothing more is read, open questions are still answered."""
        self.close_when_answered()

    def _answer(self, octets: bytes) -> None:
        listener = self._listener
        now = listener.clock.now()
        self.last_message_at = now
        try:
            outcome = listener.service.answer_now(octets, self._peer, now)
        except Exception:
            # A defect of ours must cost one query, not the connection; it is counted and shown.
            listener.reporter.count_defect(_log, "answer_now", octets)
            return
        if isinstance(outcome, Ask):
            self.open_questions += 1
            if self.open_questions >= OPEN_QUESTIONS_MAX:
                self._pause()
            listener.service.resolve(outcome, partial(self._on_resolved, octets, now))
            return
        self._settle(octets, outcome, listener.clock.now() - now)

    def _on_resolved(self, octets: bytes, asked_at: float, outcome: Respond | Drop) -> None:
        self.open_questions -= 1
        self._settle(octets, outcome, self._listener.clock.now() - asked_at)
        if self._is_closing:
            self.close_when_answered()
        elif self._is_paused and self.open_questions < OPEN_QUESTIONS_MAX // 2:
            self._resume()

    def _settle(self, octets: bytes, outcome: Respond | Drop, seconds: float) -> None:
        reporter = self._listener.reporter
        reporter.count(Transport.TCP, outcome, seconds)
        if reporter.query_log is not None:
            reporter.query_log.write(self._peer, octets, outcome)
        if self._transport is None:
            return
        if isinstance(outcome, Drop):
            if outcome.close:
                self.abort()
            return
        length = 2 + len(outcome.tail)
        self._transport.write(length.to_bytes(2, "big") + octets[:2] + outcome.tail)

    def _pause(self) -> None:
        self._is_paused = True
        if self._transport is not None and not self._is_closing:
            self._transport.pause_reading()

    def _resume(self) -> None:
        self._is_paused = False
        if self._transport is not None:
            self._transport.resume_reading()
            self._answer_messages()
