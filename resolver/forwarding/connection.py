"""One TCP connection to an upstream: opens, frames, ends.

Knows: sockets of asyncio, length prefixes.  Does not know: which connection gets a query (`stream`), when one
is overdue (`pipeline`).
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from resolver.clock import Clock, TimerHandle
from resolver.forwarding.network import ABANDONED
from resolver.forwarding.oddities import ANSWERS_UNLIMITED
from resolver.forwarding.pipeline import Pipeline, StreamTicket
from resolver.forwarding.upstream import Upstream

IDLE_S = 10.0
"""An unused connection is closed after this (RFC 7766 §6.2.3 asks for seconds, not minutes)."""

CONNECT_S_MAX = 5.0
"""A connection attempt is given up after this, when every question behind it has long moved on."""

WRITE_OCTETS_MAX = 65_536
"""Octets waiting for an upstream that does not read; over it the connection takes no more queries."""

MESSAGE_OCTETS_MIN = 12


class Owner(Protocol):
    """Whose connection it is."""

    upstream: Upstream
    clock: Clock

    def count_unexpected(self) -> None:
        """A message came that matches no query."""

    def on_room(self) -> None:
        """It has room again."""

    def on_end(self, connection: Connection, reason: str, *, by_peer: bool) -> None:
        """It is closed, and what waits there is to be taken."""


class Connection(Pipeline, asyncio.Protocol):
    """One TCP connection and the queries waiting on it."""

    def __init__(self, owner: Owner, answers_max: int = ANSWERS_UNLIMITED) -> None:
        super().__init__(answers_max)
        self.upstream = owner.upstream
        self.dialling: asyncio.Task[None] | None = None
        self._owner = owner
        self._clock = owner.clock
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._is_shut = False
        self._timer: TimerHandle | None = self._clock.call_later(CONNECT_S_MAX, self._on_connect_timeout)

    def send(self, ticket: StreamTicket, now: float, patience_s: float) -> None:
        """Send a query, now or when connected."""
        self.add(ticket, now, patience_s)
        if self._transport is not None:
            self._rest_timer(None)
            self._transport.write(_framed(ticket.octets))

    def give_up(self, ticket: StreamTicket) -> None:
        """See `Holder`."""
        super().give_up(ticket)
        if self._transport is None and self.waiting.get(ticket.query_id) is ticket:
            # It was never sent.
            del self.waiting[ticket.query_id]
            self.taken -= 1
        self._look_after()

    def on_not_connected(self) -> None:
        """The upstream refused, or cannot be reached."""
        self.dialling = None
        self.shut("network")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what has gathered meanwhile."""
        # Not `isinstance`: uvloop's transports are no subclasses of asyncio's.
        stream = cast(asyncio.Transport, transport)
        if self._is_shut:
            stream.abort()
            return
        self._transport = stream
        self.dialling = None
        stream.set_write_buffer_limits(high=WRITE_OCTETS_MAX)
        self._rest_timer(None)
        if self.waiting:
            stream.write(b"".join(_framed(ticket.octets) for ticket in self.waiting.values()))
        self._look_after()

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
        """See `asyncio.Protocol`."""
        self._transport = None
        self.shut("stream", by_peer=True)

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
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._owner.on_end(self, reason, by_peer=by_peer)

    def _dispatch(self, message: bytes) -> None:
        ticket = self.answer(message, self._clock.now())
        if ticket is None:
            self._owner.count_unexpected()
            if not self.was_asked(message):
                self._lose_framing()
            return
        is_reply = ticket.is_answered_by(message)
        receiver, ticket.receiver = ticket.receiver, None
        if receiver is not None:
            receiver.on_octets(message)
        if not is_reply:
            self._lose_framing()
        self._look_after()
        if not self._is_shut:
            self._owner.on_room()

    def _lose_framing(self) -> None:
        """What is read here is no message of the upstream's any more; others may be served elsewhere."""
        self.shut("stream")

    def _look_after(self) -> None:
        """Nobody may wait here any more: it is closed when it is of no use, or idle for long."""
        if self.live or self._is_shut:
            return
        now = self._clock.now()
        if self.is_overdue(now) or (self.is_spent and not self.waiting):
            self.shut()
        elif self._transport is not None:
            self._rest_timer(min(IDLE_S, self.overdue_at() - now) if self.waiting else IDLE_S)

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
        if self._transport is None:
            self.shut("network")


def _framed(octets: bytes) -> bytes:
    """With the two-octet length in front (RFC 1035 §4.2.2)."""
    return len(octets).to_bytes(2, "big") + octets
