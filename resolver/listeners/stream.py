"""DNS over TCP (RFC 7766) and over TLS (RFC 7858): framed messages on long-lived connections.

Knows: framing, limits of one connection, how outcomes are counted.  Does not know: why an answer is what
it is, what TLS does with octets.
Theory: queries of one connection are answered as they become ready, out of order (§6.2.1.1).  Every
connection has a bounded number of open questions and a bounded buffer; a client that exceeds one is
made to wait, one that never reads is cut off.  Only a whole message counts as a sign of life.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from functools import partial
from ipaddress import ip_address
from typing import cast

from resolver.clock import Clock, TimerHandle
from resolver.flow.outcome import Ask, Drop, Respond
from resolver.flow.peer import Peer, Transport
from resolver.flow.route import StreamRoute
from resolver.flow.service import Service
from resolver.listeners.address import TCP_BACKLOG
from resolver.listeners.limits import ConnectionLimits
from resolver.listeners.reporter import Reporter
from resolver.listeners.tls import TlsSession
from resolver.plane import ASK, DROP_AND_CLOSE, PUNT, RESPOND, UNSEEN, NativeGates

OPEN_QUESTIONS_MAX = 100
"""Questions of one connection that wait for an upstream; reading pauses at this many."""

MESSAGES_PER_TURN_MAX = 64
"""Messages of one connection answered before others get their turn."""

WRITE_BUFFER_OCTETS_MAX = 256 * 1024
"""Answers that a client has not read; beyond it no more of its queries are taken until it reads."""

SWEEP_EVERY_S = 1.0
"""How often idle connections are looked for; so an idle one lives at most this much longer."""

QUERY_OCTETS_MIN = 12
"""A message shorter than a header ends the connection: its framing cannot be trusted."""

_log = logging.getLogger(__name__)


class StreamListener:
    """One listening TCP socket and its connections."""

    def __init__(
        self,
        sock: socket.socket,
        service: Service,
        reporter: Reporter,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        limits: ConnectionLimits,
        *,
        idle_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
        native_gates: NativeGates | None = None,
    ) -> None:
        """`sock`: bound and listening; it is closed with the listener.  `limits`: those of the whole server.

        `tls`: speak TLS by this context (its ALPN is `dot`, RFC 7858); None: plain TCP.
        native_gates: what is asked before the service, and counts what it answers by itself.
        """
        self.service = service
        self.native_gates = native_gates
        self.reporter = reporter
        self.clock = clock
        self.loop = loop
        self.transport = Transport.TCP if tls is None else Transport.TLS
        self._make_connection = (
            partial(_Connection, self) if tls is None else partial(_TlsConnection, self, tls)
        )
        self._sock = sock
        self._bound_to = self._sock.getsockname()[:2]
        self._idle_s = idle_s
        self._limits = limits
        self._connections: set[_Connection] = set()
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
        self._server = await self.loop.create_server(
            self._make_connection, sock=self._sock, backlog=TCP_BACKLOG
        )
        self._sweeper = self.clock.call_later(SWEEP_EVERY_S, self._sweep)

    def stop_reading(self) -> None:
        """Accept no more connections and read no more queries; open questions are still answered."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.end()

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
        refusal = self._limits.take(connection.peer.address)
        if refusal is not None:
            self.reporter.count_drop(refusal)
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: _Connection) -> None:
        """The connection is gone."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._limits.free(connection.peer.address)

    def _sweep(self) -> None:
        now = self.clock.now()
        for connection in tuple(self._connections):
            connection.sweep(now - self._idle_s, now - 2 * self._idle_s)
        self._sweeper = self.clock.call_later(SWEEP_EVERY_S, self._sweep)


class _Connection(asyncio.Protocol):
    """One client's connection.

    Reading stops for good (`_is_ending`) when the client closes its half, breaks the framing, or the
    server shuts down or sweeps; whole messages already here are still answered before it closes.
    """

    def __init__(self, listener: StreamListener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self.peer = Peer(b"", listener.transport)
        self._is_ending = False
        self._has_client_ended = False
        self._is_half_closed = False
        self._is_turn_pending = False
        self._is_in_turn = False
        self._is_reading_paused = False
        self._is_client_slow = False
        self.open_questions = 0
        self.last_message_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")
        if not peername:  # gone before it was accepted
            self._transport.abort()
            return
        address = ip_address(peername[0].partition("%")[0]).packed
        self.peer = Peer(address, self._listener.transport)
        self.last_message_at = self._listener.clock.now()
        if not self._listener.admit(self):
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_OCTETS_MAX)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._buffer.clear()
        self._listener.forget(self)

    def eof_received(self) -> bool:
        # A client may close its half after the last query and still wants the answers.
        self._has_client_ended = True
        self.end()
        return True

    def pause_writing(self) -> None:
        # It reads more slowly than it asks: it waits, and `sweep` cuts it if it does not read at all.
        self._is_client_slow = True

    def resume_writing(self) -> None:
        self._is_client_slow = False
        self.last_message_at = self._listener.clock.now()
        self._take_turn()

    def data_received(self, data: bytes) -> None:
        if not self._is_ending:
            self._buffer += data
            self._take_turn()

    def abort(self) -> None:
        """Cut the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def end(self) -> None:
        """Read no more; close once everything that is here is answered."""
        self._is_ending = True
        self._take_turn()

    def sweep(self, quiet_since: float, hopeless_since: float) -> None:
        """End the connection if its last message came before `quiet_since`; cut it if long before."""
        if self._is_client_slow and self.last_message_at < quiet_since:
            self._listener.reporter.count_drop("tcp_client_does_not_read")
            self.abort()
        elif self.open_questions == 0 and self.last_message_at < quiet_since:
            if self.last_message_at < hopeless_since:
                self.abort()  # the end was sent, and it neither takes its answers nor leaves
            else:
                self._buffer.clear()  # half a message at most
                self.end()

    def _take_turn(self) -> None:
        """Answer whole messages, a bounded number of them; go on in a later turn of the loop."""
        # An answer may be delivered while its question is being asked; the turn that asked goes on by itself.
        if self._is_in_turn or self._is_turn_pending or self._transport is None:
            return
        self._is_in_turn = True
        try:
            has_message = self._answer_messages()
        finally:
            self._is_in_turn = False
        if has_message and self._may_answer():
            self._is_turn_pending = True
            self._listener.loop.call_soon(self._next_turn)
        self._regulate(has_message)

    def _answer_messages(self) -> bool:
        """Answer what is here, within the turn's bounds; whether a whole message is left."""
        buffer = self._buffer
        start = 0
        budget = MESSAGES_PER_TURN_MAX
        has_message = False
        while self._transport is not None:
            length = int.from_bytes(buffer[start : start + 2], "big")
            has_message = len(buffer) - start >= 2 + length and len(buffer) - start >= 2
            if has_message and length < QUERY_OCTETS_MIN:
                # Its framing cannot be trusted; open questions are still answered.
                self._listener.reporter.count_drop("tcp_short_message")
                self._is_ending = True
                start = len(buffer)
                has_message = False
            if not has_message or not budget or not self._may_answer():
                break
            octets = bytes(buffer[start + 2 : start + 2 + length])
            start += 2 + length
            budget -= 1
            self._answer(octets)
        del buffer[:start]
        return has_message

    def _may_answer(self) -> bool:
        """Whether the client has room for one more open question and one more answer."""
        return self.open_questions < OPEN_QUESTIONS_MAX and not self._is_client_slow

    def _next_turn(self) -> None:
        self._is_turn_pending = False
        self._take_turn()

    def _regulate(self, has_message: bool) -> None:
        """Read only while nothing is left to answer or to send here, and close when all is done."""
        transport = self._transport
        if transport is None:
            return
        # Over TLS also what is no message may need a reply.  What comes after the end is read and left alone,
        # up to the client's own end.
        must_pause = not self._is_ending and (has_message or self._is_client_slow)
        if must_pause != self._is_reading_paused:
            self._is_reading_paused = must_pause
            if must_pause:
                transport.pause_reading()
            else:
                transport.resume_reading()
        if self._is_ending and not has_message and not self.open_questions:
            self._leave(transport)

    def _leave(self, transport: asyncio.Transport) -> None:
        """Close what is still open of the connection on our side: all is answered."""
        if self._has_client_ended:
            transport.close()
        elif not self._is_half_closed:
            # Closing outright with unread octets would reset the connection, and with it the
            # answers on their way (RFC 1122 §4.2.2.13).  The client closes; or the sweep cuts.
            self._is_half_closed = True
            transport.write_eof()

    def _answer(self, octets: bytes) -> None:
        listener = self._listener
        now = listener.clock.now()
        self.last_message_at = now
        try:
            word = (
                UNSEEN
                if listener.native_gates is None
                else self._answer_natively(listener.native_gates, octets, now)
            )
            if word == UNSEEN:
                outcome = listener.service.answer_now(octets, self.peer, now)
            elif word in (ASK, PUNT):
                outcome = listener.service.answer_punted(octets, self.peer, now, now)
            else:
                return
        except Exception:
            # A defect of ours must cost one query, not the connection; it is counted and shown.
            listener.reporter.count_defect(_log, "answer_now", octets)
            return
        if isinstance(outcome, Ask):
            self.open_questions += 1
            outcome.route = StreamRoute(self)
            listener.service.resolve(outcome, _on_resolved)
            return
        self._settle(octets, outcome, listener.clock.now() - now)

    def _answer_natively(self, native_gates: NativeGates, octets: bytes, now: float) -> int:
        """Let the other plane answer; its word."""
        word, message = native_gates.answer(octets, self.peer.address, self.peer.transport, now)
        if word == RESPOND:
            self._write(message)
        elif word == DROP_AND_CLOSE:
            self.abort()
        return word

    def on_resolved(self, ask: Ask, outcome: Respond | Drop) -> None:
        """An open question of this connection has its answer."""
        self.open_questions -= 1
        self._settle(ask.query.octets, outcome, self._listener.clock.now() - ask.asked_at)
        self._take_turn()

    def _settle(self, octets: bytes, outcome: Respond | Drop, seconds: float) -> None:
        self._listener.reporter.settle(self.peer.transport, self.peer, octets, outcome, seconds)
        if self._transport is None:
            return
        if isinstance(outcome, Drop):
            if outcome.close:
                self.abort()
            return
        self._write(octets[:2] + outcome.tail)

    def _write(self, message: bytes) -> None:
        if self._transport is not None:
            self._transport.write(len(message).to_bytes(2, "big") + message)


def _on_resolved(ask: Ask, outcome: Respond | Drop) -> None:
    assert isinstance(ask.route, StreamRoute)
    ask.route.connection.on_resolved(ask, outcome)


class _TlsConnection(_Connection):
    """The same over TLS.  A client that closes its half, by close_notify or FIN, still gets its answers."""

    def __init__(self, listener: StreamListener, context: ssl.SSLContext) -> None:
        super().__init__(listener)
        self._session = TlsSession(context)

    def data_received(self, data: bytes) -> None:
        if self._is_ending or self._transport is None:
            return
        session = self._session
        was_established = session.is_established
        try:
            received = session.receive(data)
        except ssl.SSLError:
            self._break_off(self._transport)
            return
        if octets := session.outgoing():
            self._transport.write(octets)
        if session.is_established and not was_established:
            self.last_message_at = self._listener.clock.now()
        self._buffer += received
        if session.has_client_closed:
            self._has_client_ended = True
            self.end()
        else:
            self._take_turn()

    def sweep(self, quiet_since: float, hopeless_since: float) -> None:
        if self._session.is_established:
            super().sweep(quiet_since, hopeless_since)
        elif self.last_message_at < quiet_since:
            # There is no session yet, so no close_notify is due.
            self._listener.reporter.count_drop("tls_handshake_timeout")
            self.abort()

    def _leave(self, transport: asyncio.Transport) -> None:
        if octets := self._session.close():
            transport.write(octets)
        super()._leave(transport)

    def _write(self, message: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        try:
            transport.write(self._session.seal(len(message).to_bytes(2, "big") + message))
        except ssl.SSLError:
            self._break_off(transport)

    def _break_off(self, transport: asyncio.Transport) -> None:
        """The client broke the protocol: send the alert, answer nothing more."""
        self._listener.reporter.count_drop("tls_failed")
        self._buffer.clear()
        self._has_client_ended = self._is_ending = True
        if octets := self._session.outgoing():
            transport.write(octets)
        transport.close()
