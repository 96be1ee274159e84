"""One connection to an upstream, over TCP or over TLS: opens, frames, ends.

Knows: sockets of asyncio, length prefixes, what an encrypted query gets besides.  Does not know: which
connection gets a query (`stream`), when one is overdue (`pipeline`), TLS itself (`tls_transport`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Protocol, cast

from resolver.clock import Clock, TimerHandle
from resolver.forwarding.network import ABANDONED, MALFORMED
from resolver.forwarding.oddities import ANSWERS_UNLIMITED
from resolver.forwarding.pipeline import CLOCK_SLACK_S, Pipeline, StreamTicket
from resolver.forwarding.upstream import Upstream
from resolver.wire.query_options import keepalive_s, with_options

IDLE_S = 10.0
"""An unused connection is closed after this (RFC 7766 §6.2.3 asks for seconds, not minutes)."""

CONNECT_S_MAX = 5.0
"""A connection attempt is given up after this, when every question behind it has long moved on."""

LATE_TO_OPEN_S = 1.0
"""After this a connection attempt is chosen only where no other may be begun: its questions have moved on by
then, and those that would join it now would wait for nothing."""

WRITE_OCTETS_MAX = 65_536
"""Octets waiting for an upstream that does not read; over it the connection takes no more queries."""

MESSAGE_OCTETS_MIN = 12


class Owner(Protocol):
    """Whose connection it is."""

    upstream: Upstream
    clock: Clock
    bodies_octets: int
    """Of answers over HTTPS that are not whole yet, on all its connections."""

    def count_unexpected(self) -> None:
        """A message came that matches no query."""

    def on_first_answer(self) -> None:
        """It has come to something."""

    def on_room(self) -> None:
        """It has room again."""

    def on_ready(self, connection: Connection) -> None:
        """Queries can be sent on it."""

    def send_again(self, ticket: StreamTicket, reason: str, *, is_blameless: bool, once_more: bool) -> None:
        """It will not answer a query that waits there no more, which may be sent `once_more` elsewhere."""

    def on_end(self, connection: Connection, reason: str, *, by_peer: bool) -> None:
        """It is closed, and what waits there is to be taken."""


class Connection(Pipeline, asyncio.Protocol):
    """One TCP connection and the queries waiting on it."""

    def __init__(self, owner: Owner, answers_max: int = ANSWERS_UNLIMITED) -> None:
        super().__init__(answers_max)
        self.upstream = owner.upstream
        self.dialling: asyncio.Task[None] | None = None
        self.address = ""
        """Where it leads to; empty: nowhere yet."""
        self.began_at = owner.clock.now()
        self.connected_at = self.ready_at = float("-inf")
        """Monotonic seconds: TCP is open; queries can be sent."""
        self._idle_s = IDLE_S
        self._owner = owner
        self._clock = owner.clock
        self._transport: asyncio.Transport | None = None
        """None: queries cannot be sent yet, or any more."""
        self._carrier: asyncio.Transport | None = None
        """What is being agreed on."""
        self._buffer = bytearray()
        self._is_shut = False
        self._timer: TimerHandle | None = self._clock.call_later(CONNECT_S_MAX, self._on_connect_timeout)

    def send(self, ticket: StreamTicket, now: float, patience_s: float) -> None:
        """Send a query, now or when connected."""
        self.add(ticket, now, patience_s)
        if self._transport is not None:
            self._rest_timer(None)
            self._transmit(self._transport, (ticket,))

    def is_late(self, now: float) -> bool:
        """See `Pipeline`; who gave up before it was open has left no trace in it."""
        return super().is_late(now) or (
            self._transport is None and now >= self.began_at + LATE_TO_OPEN_S - CLOCK_SLACK_S
        )

    def give_up(self, ticket: StreamTicket) -> None:
        """See `Holder`."""
        super().give_up(ticket)
        if self._transport is None and self.waiting.get(ticket.query_id) is ticket:
            # It was never sent.
            del self.waiting[ticket.query_id]
            self.taken -= 1
        self._look_after()

    def on_connected(self, carrier: asyncio.Transport) -> None:
        """TCP is open, and `carrier` has still to be agreed on before queries can be sent."""
        self.connected_at = self._clock.now()
        self._carrier = carrier

    def on_not_connected(self, reason: str = "network", words: str = "") -> None:
        """The upstream refused, cannot be reached, or is not the one that was meant."""
        self.dialling = None
        self._fail_to_connect(reason, words)

    def _fail_to_connect(self, reason: str, words: str = "") -> None:
        if not self._is_shut:
            if words:
                self.upstream.details[reason] = words
            self.upstream.turn_addresses(bad=self.address)
        self.shut(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what has gathered meanwhile."""
        # Not `isinstance`: uvloop's transports are no subclasses of asyncio's.
        stream = cast(asyncio.Transport, transport)
        if self._is_shut:
            stream.abort()
            return
        self._transport = stream
        self.dialling = self._carrier = None
        stream.set_write_buffer_limits(high=WRITE_OCTETS_MAX)
        self._rest_timer(None)
        self.ready_at = self._clock.now()
        if self.connected_at < self.began_at:
            self.connected_at = self.ready_at
        self.number_anew()
        self._owner.on_ready(self)
        if self.waiting:
            self._transmit(stream, list(self.waiting.values()))
        self._look_after()

    def _transmit(self, stream: asyncio.Transport, tickets: Iterable[StreamTicket]) -> None:
        """Send queries, in one write."""
        tickets = list(tickets)
        for ticket in tickets:
            ticket.left += 1
        if self.upstream.is_encrypted:
            # RFC 8467 §4.1: padding; RFC 7828 §3.2.1: the first query asks how long to stay.
            messages = [with_options(t.octets, asks_keepalive=t.number == 1) for t in tickets]
        else:
            messages = [ticket.octets for ticket in tickets]
        # Over TLS each has a record of its own: see `TlsTransport.writelines`.
        stream.writelines([len(octets).to_bytes(2, "big") + octets for octets in messages])

    def data_received(self, data: bytes) -> None:
        """Take whole messages out of the stream."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= 2 and not self._is_shut:
            end = start + 2 + (buffer[start] << 8 | buffer[start + 1])
            if end - start - 2 < MESSAGE_OCTETS_MIN:
                self._lose_framing()
                return
            if end > len(buffer):
                break
            message = bytes(buffer[start + 2 : end])
            start = end
            self._dispatch(message)
        del buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`; an end that TLS did not announce says nothing of the upstream's ways."""
        self._transport = None
        self.shut("stream", by_peer=not isinstance(exc, ssl.SSLError))

    def pause_writing(self) -> None:
        """The upstream does not read."""
        self.is_blocked = True

    def resume_writing(self) -> None:
        """It reads again."""
        self.is_blocked = False

    def shut(self, reason: str = ABANDONED, *, by_peer: bool = False) -> None:
        """Close; what waits goes elsewhere or fails, for `reason`."""
        if self._is_shut:
            return
        self._is_shut = True
        self._rest_timer(None)
        if self.dialling is not None:
            self.dialling.cancel()
            self.dialling = None
        for carrier in (self._transport, self._carrier):
            if carrier is not None:
                carrier.abort()
        self._transport = self._carrier = None
        self._owner.on_end(self, reason, by_peer=by_peer)

    def _dispatch(self, message: bytes) -> None:
        ticket = self.answer(message, self._clock.now())
        if ticket is None:
            self._owner.count_unexpected()
            if not self.was_asked(message):
                self._lose_framing()
            return
        if self.answered == 1:
            self._owner.on_first_answer()
        if ticket.number == 1 and self.upstream.is_encrypted:
            self._heed(keepalive_s(message))
        is_reply = ticket.is_answered_by(message)
        receiver, ticket.receiver = ticket.receiver, None
        if receiver is not None:
            receiver.on_octets(message)
        if not is_reply:
            # Whose it is, is known: the others are asked elsewhere.
            self.shut("stream")
        self._look_after()
        if not self._is_shut:
            self._owner.on_room()

    def _lose_framing(self) -> None:
        """What is read here is no message of the upstream's any more: each question goes on by itself."""
        self.shut(MALFORMED)

    def _look_after(self) -> None:
        """Nobody may wait here any more: it is closed when it is of no use, or idle for long."""
        if self.live or self._is_shut:
            return
        now = self._clock.now()
        if self.is_overdue(now) or (self.is_spent and not self.waiting):
            self.shut()
        elif self._transport is not None:
            self._rest_timer(min(self._idle_s, self.overdue_at() - now) if self.waiting else self._idle_s)

    def _heed(self, keepalive: float | None) -> None:
        """RFC 7828 §3.4: the upstream says for how long it stays; 0: not for a further query."""
        if keepalive is not None:
            self._idle_s = min(IDLE_S, keepalive)
            if keepalive == 0:
                self.answers_max = self.taken

    def _rest_timer(self, delay_s: float | None) -> None:
        """Replace the connection's timer by one for closing it, or by none."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay_s is not None:
            self._timer = self._clock.call_later(delay_s, self._on_rest)

    def _on_rest(self) -> None:
        self._timer = None
        if not self.live:
            self.shut()

    def _on_connect_timeout(self) -> None:
        self._timer = None
        if self._transport is not None:
            return
        if self.connected_at >= self.began_at:
            self._fail_to_connect("tls", "it does not end the handshake")
        else:
            self._fail_to_connect("network")
