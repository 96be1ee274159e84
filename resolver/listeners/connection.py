"""One client's connection: messages cut out of a stream, answered as they become ready.

Knows: framing, limits of one connection, what its client does too slowly.  Does not know: why an answer is
what it is, TLS (`tls_connection`) and HTTP (`https_connection`), which connections there are besides.
Theory: queries are answered as they become ready, out of order (RFC 7766 §6.2.1.1).  A turn is bounded in
messages, octets and time; who has more to do stands in line (`turns`).  A client that asks more than it reads
is not read either, and cut off when it does not read at all, or when what waits for it grows too large
(`limits`).  Only a whole message counts as a sign of life.
"""

from __future__ import annotations

import asyncio
import logging
from ipaddress import ip_address
from typing import Final, Protocol, cast

from resolver.clock import Clock
from resolver.flow.identities import Identities
from resolver.flow.outcome import Ask, Drop, Respond
from resolver.flow.peer import Peer, Transport
from resolver.flow.proxies import PROXY_HEAD
from resolver.flow.route import StreamRoute
from resolver.flow.service import Service
from resolver.listeners.limits import NEVER, SLOW_AFTER_S, UNNOTED_OCTETS_MAX, Place
from resolver.listeners.reporter import Reporter
from resolver.listeners.turns import Turns
from resolver.plane import ASK, DROP, DROP_AND_CLOSE, PUNT, RESPOND, UNSEEN, NativeGates
from resolver.wire.proxy import BadHead, NeedMore

OPEN_QUESTIONS_MAX: Final = 100
"""Questions of one connection that wait for an upstream; reading pauses at this many."""

OPEN_QUERY_OCTETS_MAX: Final = 65_536
"""Octets of their queries; reading pauses at as many.  A hundred padded ones (RFC 8467 §4.1) take 13 kB."""

MESSAGES_PER_TURN_MAX: Final = 64
"""Messages of one connection answered before others get their turn."""

TURN_OCTETS_MAX: Final = 65_536
"""Octets of queries and answers after which others get their turn."""

TURN_S_MAX: Final = 0.001
"""Time after which others get their turn; at least one message is answered."""

WAITING_IN_LINE_OCTETS_MAX: Final = 65_536
"""A connection that waits for its turn with more unanswered octets is not read meanwhile."""

WRITE_BUFFER_OCTETS_MAX: Final = 262_144
"""Answers that a client has not read; beyond it no more of its queries are taken until it reads."""

QUERY_OCTETS_MIN: Final = 12
"""A message shorter than a header ends the connection: its framing cannot be trusted."""

_log = logging.getLogger(__name__)


class Host(Protocol):
    """What a connection needs of its listener."""

    service: Service
    identities: Identities
    native_gates: NativeGates | None
    reporter: Reporter
    clock: Clock
    transport: Transport
    turns: Turns

    def admit(self, connection: Connection, address: bytes) -> Place | None:
        """A place for a new connection; None: refused, and counted."""

    def change_hands(self, connection: Connection, address: bytes, *, is_proxys: bool) -> Place | None:
        """A place for it as this client's, and its own given back; None: refused, and counted."""

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""

    def lend(self, place: Place, octets: int) -> None:
        """A question is open, with a query of so many octets."""

    def give_back(self, place: Place, octets: int) -> None:
        """It has its answer."""

    def hold(self, place: Place, octets: int) -> None:
        """The connection's buffers hold so many octets; it, or another, may be cut for it."""


class Connection(asyncio.Protocol):
    """One client's connection.

    Reading stops for good (`_is_ending`) when the client closes its half, breaks the framing, or the
    server shuts down or sweeps; whole messages already here are still answered before it closes.
    """

    place: Place
    """From when it is admitted; before, nothing is received."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._arrived = self._buffer
        """Where octets from the client go."""
        self.peer = Peer(b"", host.transport)
        self._is_ending = False
        self._has_client_ended = False
        self._is_half_closed = False
        self._is_in_line = False
        self._is_in_turn = False
        self._is_reading_paused = False
        self._is_client_slow = False
        self._turn_octets = 0
        self._unsent: list[bytes] = []
        """Answers of the turn that goes on: they leave in one write."""
        self._is_head_due = bool(host.identities.proxies)
        """Whether what a proxy puts before everything else may still come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")
        place = None
        if peername:  # else it is gone before it was accepted
            address = ip_address(peername[0].partition("%")[0]).packed
            self.peer = Peer(address, self._host.transport)
            place = self._host.admit(self, address)
        if place is None:
            self.abort()
            return
        self.place = place
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_OCTETS_MAX)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._arrived.clear()
        self._buffer.clear()
        self._host.forget(self)

    def eof_received(self) -> bool:
        # A client may close its half after the last query and still wants the answers.
        self._has_client_ended = True
        self.end()
        return True

    def pause_writing(self) -> None:
        # It reads more slowly than it asks: it waits, and `sweep` cuts it if it does not read at all.
        self._is_client_slow = True
        self.place.slow_since = self._host.clock.now()

    def resume_writing(self) -> None:
        self._is_client_slow = False
        self.place.slow_since = NEVER
        self.place.quiet_since = self._host.clock.now()
        self._take_turn()

    def data_received(self, data: bytes) -> None:
        if self._is_ending or self._transport is None:
            return
        self._arrived += data
        if self._is_head_due and not self._take_head():
            return
        self._take_turn()
        if self._is_in_line and not self._is_reading_paused:
            self._wait_in_line()

    def _take_head(self) -> bool:
        """Take a proxy's head off what arrived: from then on the connection is that of the client it names.

        False: it is not whole, or the connection is refused for it, or its client's place.
        """
        found = self._host.identities.proxies.head_of(self.peer.address, self._arrived)
        if isinstance(found, NeedMore):
            return False
        if isinstance(found, BadHead):
            self._host.reporter.count_drop(PROXY_HEAD)
            self.abort()
            return False
        self._is_head_due = False
        del self._arrived[: found.length]
        if not found.length:
            return True  # of nobody's proxy
        is_proxys = found.source is None
        if found.source is not None:
            self.peer = Peer(found.source[0], self._host.transport)
        place = self._host.change_hands(self, self.peer.address, is_proxys=is_proxys)
        if place is None:
            self.abort()
            return False
        self.place = place
        return True

    def abort(self) -> None:
        """Cut the connection now."""
        transport, self._transport = self._transport, None
        if transport is not None:
            self._arrived.clear()
            self._buffer.clear()
            self._unsent.clear()
            transport.abort()
            self._host.forget(self)

    def end(self) -> None:
        """Read no more; close once everything that is here is answered."""
        self._is_ending = True
        self._take_turn()

    def sweep(self, now: float, idle_s: float) -> None:
        """End the connection if it was quiet for over `idle_s`; cut it if for long, or if nothing is read."""
        place = self.place
        if place.slow_since == NEVER and now - place.quiet_since >= SLOW_AFTER_S and self._is_owed_octets():
            place.slow_since = place.quiet_since
        if self._is_client_slow:
            if now - place.slow_since > idle_s:
                self._host.reporter.count_drop("tcp_client_does_not_read")
                self.abort()
        elif not place.open_questions and not self._is_in_line and now - place.quiet_since > idle_s:
            if now - place.quiet_since > 2 * idle_s:
                self.abort()  # the end was sent, and it neither takes its answers nor leaves
            else:
                self._arrived.clear()
                self._buffer.clear()  # half a message at most
                self.end()

    # Its place.

    @property
    def client(self) -> bytes:
        """See `turns.InLine`."""
        return self.place.client.key

    def held_octets(self) -> int:
        """See `limits.Holder`."""
        unread = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return len(self._arrived) + unread

    def give_way(self, reason: str) -> None:
        """See `limits.Holder`."""
        self._host.reporter.count_drop(reason)
        self.abort()

    def _account(self) -> None:
        """Say what the buffers hold, if that is worth saying."""
        held = self.held_octets()
        if held > UNNOTED_OCTETS_MAX or self.place.octets:
            self._host.hold(self.place, held)

    def _is_owed_octets(self) -> bool:
        """Whether the client has begun something that it does not go on with."""
        return bool(self._buffer) and not self._is_reading_paused and not self._is_in_line

    # Its turns.

    def _take_turn(self) -> None:
        """Answer whole messages, a bounded part of them: now, or when others have had their turn."""
        # An answer may be delivered while its question is being asked; the turn that asked goes on by itself.
        if self._is_in_turn or self._is_in_line or self._transport is None:
            return
        if self._host.turns.is_free:
            self._have_turn(self._transport)
        else:
            self._stand_in_line()

    def take_turn_in_line(self) -> None:
        """See `turns.InLine`."""
        self._is_in_line = False
        if self._transport is not None:
            self._have_turn(self._transport)

    def _wait_in_line(self) -> None:
        """More has come while others have their turns."""
        if self._transport is not None and len(self._arrived) > WAITING_IN_LINE_OCTETS_MAX:
            self._pause_reading(self._transport, True)
        self._account()

    def _stand_in_line(self) -> None:
        self._is_in_line = True
        self._host.turns.stand_in_line(self)

    def _have_turn(self, transport: asyncio.Transport) -> None:
        self._is_in_turn = True
        try:
            has_message = self._answer_messages(self._host.clock.now())
        finally:
            self._is_in_turn = False
        if self._transport is None:
            return
        if has_message and self._may_answer():
            self._stand_in_line()
        # Over TLS also what is no message may need a reply.  What comes after the end is read and left alone,
        # up to the client's own end.
        must_pause = not self._is_ending and (has_message or self._is_client_slow)
        if must_pause != self._is_reading_paused:
            self._pause_reading(transport, must_pause)
        if self._is_ending and not has_message and not self.place.open_questions and not self._owes():
            self._leave(transport)
        if self._buffer or self._arrived or self.place.octets or transport.get_write_buffer_size():
            self._account()

    def _answer_messages(self, began: float) -> bool:
        """Answer what is here, within the bounds of a turn that `began` now; whether a whole message is
        left."""
        buffer, place = self._buffer, self.place
        now = began
        start = messages = self._turn_octets = 0
        size = len(buffer)
        has_message = False
        while self._transport is not None:
            length = buffer[start] << 8 | buffer[start + 1] if size - start >= 2 else size
            has_message = size - start >= 2 + length
            if not has_message:
                break
            if length < QUERY_OCTETS_MIN:
                # Its framing cannot be trusted; open questions are still answered.
                self._host.reporter.count_drop("tcp_short_message")
                self._is_ending = True
                start = size
                has_message = False
                break
            if (self._is_client_slow or place.open_questions) and not self._may_answer():
                break
            if messages and (
                now - began >= TURN_S_MAX
                or messages == MESSAGES_PER_TURN_MAX
                or self._turn_octets >= TURN_OCTETS_MAX
            ):
                break
            octets = bytes(buffer[start + 2 : start + 2 + length])
            start += 2 + length
            messages += 1
            self._turn_octets += length
            now = self._answer(octets, now, self.peer)
        del buffer[:start]
        if messages:
            self._send()
            now = self._host.clock.now()
            place.quiet_since = now
            if not self._is_client_slow:
                place.slow_since = NEVER
        self._host.turns.spend(now - began)
        return has_message

    def _may_answer(self) -> bool:
        """Whether the client has room for one more open question and one more answer."""
        place = self.place
        return (
            place.open_questions < OPEN_QUESTIONS_MAX
            and place.lent < OPEN_QUERY_OCTETS_MAX
            and not self._is_client_slow
        )

    def _pause_reading(self, transport: asyncio.Transport, must_pause: bool) -> None:
        """Read only while nothing is left to answer or to send here."""
        self._is_reading_paused = must_pause
        if must_pause:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def _leave(self, transport: asyncio.Transport) -> None:
        """Close what is still open of the connection on our side: all is answered."""
        if self._has_client_ended:
            transport.close()
        elif not self._is_half_closed:
            # Closing outright with unread octets would reset the connection, and with it the
            # answers on their way (RFC 1122 §4.2.2.13).  The client closes; or the sweep cuts.
            self._is_half_closed = True
            transport.write_eof()

    # Its answers.

    def _answer(self, octets: bytes, now: float, peer: Peer, request: object = None) -> float:
        """Answer a query, or ask on; when that was done.

        `request`: what it came in, where one connection has several.
        """
        host = self._host
        try:
            word = (
                UNSEEN
                if host.native_gates is None
                else self._answer_natively(host.native_gates, octets, now, peer, request)
            )
            if word == UNSEEN:
                outcome = host.service.answer_now(octets, peer, now)
            elif word in (ASK, PUNT):
                outcome = host.service.answer_punted(octets, peer, now, now)
            else:
                return host.clock.now()
        except Exception:
            # A defect of ours must cost one query, not the connection; it is counted and shown.
            host.reporter.count_defect(_log, "answer_now", octets)
            # A request must come to an end all the same.
            self._refuse(request, close=False)
            return host.clock.now()
        if isinstance(outcome, Ask):
            host.lend(self.place, len(octets))
            outcome.route = StreamRoute(self, request)
            host.service.resolve(outcome, _on_resolved)
            return host.clock.now()
        done = host.clock.now()
        self._settle(octets, outcome, done - now, peer, request)
        return done

    def _answer_natively(
        self, native_gates: NativeGates, octets: bytes, now: float, peer: Peer, request: object
    ) -> int:
        """Let the other plane answer; its word."""
        word, message = native_gates.answer(octets, peer.address, peer.transport, now, peer.name)
        if word == RESPOND:
            self._reply(request, message)
        elif word in (DROP, DROP_AND_CLOSE):
            self._refuse(request, close=word == DROP_AND_CLOSE)
        return word

    def on_resolved(self, ask: Ask, outcome: Respond | Drop, request: object = None) -> None:
        """An open question of this connection has its answer; the connection may be gone."""
        octets = ask.query.octets
        now = self._host.clock.now()
        self._host.give_back(self.place, len(octets))
        self.place.quiet_since = now
        self._settle(octets, outcome, now - ask.asked_at, ask.peer, request)
        if self._transport is not None and not self._is_in_turn:
            self._account()
            self._take_turn()

    def _settle(
        self, octets: bytes, outcome: Respond | Drop, seconds: float, peer: Peer, request: object
    ) -> None:
        self._host.reporter.settle(peer.transport, peer, octets, outcome, seconds)
        if self._transport is None:
            return
        if isinstance(outcome, Drop):
            self._refuse(request, close=outcome.close)
            return
        self._reply(request, octets[:2] + outcome.tail)

    def _reply(self, request: object, message: bytes) -> None:
        """Send an answer, at the end of the turn; `request`: see `_answer`."""
        octets = len(message).to_bytes(2, "big") + message
        if self._is_in_turn:
            self._turn_octets += len(octets)
            self._unsent.append(octets)
        else:
            self._write(octets)

    def _send(self) -> None:
        """Send what this turn has answered."""
        unsent = self._unsent
        if unsent:
            octets = unsent[0] if len(unsent) == 1 else b"".join(unsent)
            unsent.clear()
            self._write(octets)

    def _refuse(self, request: object, *, close: bool) -> None:
        """A query gets no answer."""
        if close:
            self._close_behind_answers()

    def _close_behind_answers(self) -> None:
        """Close with nothing more but what was answered before."""
        self._send()
        transport = self._transport
        if transport is not None:
            self._arrived.clear()
            self._buffer.clear()
            self._has_client_ended = self._is_ending = True
            transport.close()

    def _write(self, octets: bytes) -> None:
        """Send what has its framing already."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(octets)

    def _owes(self) -> bool:
        """Whether answers wait here for something else than an upstream or the client's reading."""
        return False


def _on_resolved(ask: Ask, outcome: Respond | Drop) -> None:
    assert isinstance(ask.route, StreamRoute)
    ask.route.connection.on_resolved(ask, outcome, ask.route.request)
