"""One client's connection over HTTPS: requests out of it, answers into it (RFC 8484).

Knows: turns, bounds, which of HTTP's two kinds is spoken.  Does not know: HTTP itself (`http1`, `http2`), why
an answer is what it is.
Theory: the same connection, with the same place, turns and limits, in which a request stands where a message
does.  Whatever one turn has to say leaves in one write.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from resolver.flow.forwarded import BadForwarded
from resolver.flow.outcome import Ask, Drop, Respond
from resolver.flow.peer import Peer
from resolver.listeners.connection import MESSAGES_PER_TURN_MAX, TURN_OCTETS_MAX, TURN_S_MAX
from resolver.listeners.http import (
    BAD_REQUEST,
    FORWARDED,
    HEADERS_TOO_LARGE,
    OK,
    OVER_HEADERS,
    STALLED,
    STREAMS,
    Arrived,
    HttpBroken,
    HttpRequest,
    HttpSession,
)
from resolver.listeners.http1 import Http1Session
from resolver.listeners.http2 import Http2Session
from resolver.listeners.limits import NEVER
from resolver.listeners.tls_connection import TlsConnection, TlsHost


@dataclass(slots=True)
class HttpSide:
    """What listeners for HTTPS need besides; one for all of a server."""

    date_at: Callable[[float], bytes]
    """The date of an answer that leaves `now`, as HTTP has it."""
    streams_max: int = 100
    """Open requests of one HTTP/2 connection."""
    header_octets_max: int = 16_384
    """Of one request."""
    statuses: Counter[int] = field(default_factory=Counter)
    """What requests were answered with."""


class HttpsHost(TlsHost, Protocol):
    """What a connection over HTTPS needs of its listener."""

    @property
    def http(self) -> HttpSide: ...


class HttpsConnection(TlsConnection):
    """HTTP/2 where the client agrees to it (ALPN), else HTTP/1.1."""

    def __init__(self, host: HttpsHost) -> None:
        super().__init__(host)
        self._side = host.http
        self._http: HttpSession | None = None
        """From the handshake on."""
        self._is_proxys = False
        """Whether it may speak for others; known with it."""

    def held_octets(self) -> int:
        """See `limits.Holder`."""
        return super().held_octets() + (0 if self._http is None else self._http.held_octets)

    def _is_owed_octets(self) -> bool:
        return super()._is_owed_octets() or (self._http is not None and self._http.waits_for_client)

    def end(self) -> None:
        # A client that has ended its half may have sent several requests before.
        if self._http is not None and not self._has_client_ended:
            self._http.stop()
        super().end()

    def sweep(self, now: float, idle_s: float) -> None:
        if self._http is not None and (given_up := self._http.give_up(now)):
            self._host.reporter.count_drop(STALLED, given_up)
            self._flush()
        super().sweep(now, idle_s)

    def _answer_messages(self, began: float) -> bool:
        began = self._unseal_arrived(began)
        if self._transport is None or not self._session.is_established:
            return False
        if self._http is None:
            self._http = self._begin()
        try:
            has_more = self._answer_requests(self._http, began)
        except HttpBroken as broken:
            self._count_broken(broken)
            self._flush()
            # What it still sends is read and left alone: a reset would take from it what it was told.
            self._buffer.clear()
            self._is_ending = True
            has_more = False
        self._host.turns.spend(self._host.clock.now() - began)
        return has_more

    def _begin(self) -> HttpSession:
        side, names = self._side, self._host.identities.names
        self._is_proxys = self.peer.address in self._host.identities.trusted_proxies
        if self._session.protocol == "h2":
            return Http2Session(
                streams_max=side.streams_max, header_octets_max=side.header_octets_max, names=names
            )
        return Http1Session(header_octets_max=side.header_octets_max, names=names)

    def _answer_requests(self, http: HttpSession, began: float) -> bool:
        """Answer what is here, within the turn's bounds; whether more is left.  Raises HttpBroken."""
        buffer, place, clock = self._buffer, self.place, self._host.clock
        now = began
        start = requests = self._turn_octets = 0
        has_more = False
        while self._transport is not None and not http.is_over:
            if (
                self._is_client_slow or place.open_questions or not http.takes_more
            ) and not self._may_answer():
                has_more = start < len(buffer)
                break
            if start and (
                now - began >= TURN_S_MAX
                or requests >= MESSAGES_PER_TURN_MAX
                or self._turn_octets >= TURN_OCTETS_MAX
            ):
                has_more = start < len(buffer)
                break
            taken, arrived = http.receive(buffer, start, now)
            if not taken:
                break
            start += taken
            self._turn_octets += taken
            for one in arrived:
                requests += 1
                self._serve(http, one, now)
            now = clock.now()
        del buffer[:start]
        if requests:
            place.quiet_since = now
            if not self._is_client_slow:
                place.slow_since = NEVER
        if http.refused:
            self._host.reporter.count_drop(STREAMS, http.refused)
            http.refused = 0
        self._flush()
        if http.is_over:
            # What stands behind the last request is nobody's.
            buffer.clear()
            self._is_ending = True
        return has_more and not http.is_over

    def _serve(self, http: HttpSession, arrived: Arrived, now: float) -> None:
        if arrived.reason:
            self._host.reporter.count_drop(arrived.reason)
        status, peer = arrived.status, self.peer
        if not status:
            try:
                peer = self._client_of(arrived.request)
            except BadForwarded:
                status = BAD_REQUEST
                self._host.reporter.count_drop(FORWARDED)
        if status:
            self._side.statuses[status] += 1
            http.answer(arrived.request, status, b"", self._side.date_at(now), now)
        else:
            self._answer(arrived.message, now, peer, arrived.request)

    def _client_of(self, request: HttpRequest) -> Peer:
        """Who asks: who is connected, or whom a trusted proxy names.  Raises BadForwarded."""
        own, identities = self.peer, self._host.identities
        address = own.address
        if self._is_proxys:
            forwarded, listed = (
                [value for name, value in request.headers if name == wanted]
                for wanted in (b"forwarded", b"x-forwarded-for")
            )
            address = identities.client_behind(address, forwarded, listed)
        name = request.name or own.name
        if address == own.address and name == own.name:
            return own
        return Peer(address, own.transport, name=name)

    def _may_answer(self) -> bool:
        return self._http is not None and self._http.takes_more and super()._may_answer()

    def _owes(self) -> bool:
        return self._http is not None and self._http.owes

    # Its answers.

    def on_resolved(self, ask: Ask, outcome: Respond | Drop, request: object = None) -> None:
        super().on_resolved(ask, outcome, request)
        if not self._is_in_turn:
            self._flush()

    def _reply(self, request: object, message: bytes) -> None:
        assert self._http is not None and isinstance(request, HttpRequest)
        now = self._host.clock.now()
        self._side.statuses[OK] += 1
        self._turn_octets += len(message)
        self._http.answer(request, OK, message, self._side.date_at(now), now)

    def _refuse(self, request: object, *, close: bool) -> None:
        assert self._http is not None and isinstance(request, HttpRequest)
        # A request cannot go without an end: its stream is reset, or its connection cut.
        if not self._http.reset(request):
            self._flush()
            self._close_behind_answers()

    def _flush(self) -> None:
        """Send what the session has to say."""
        if self._http is not None and (octets := self._http.outgoing()):
            self._write(octets)

    def _leave(self, transport: asyncio.Transport) -> None:
        if self._http is not None:
            self._http.end()
            self._flush()
        super()._leave(transport)

    def _count_broken(self, broken: HttpBroken) -> None:
        self._charge()
        self._host.reporter.count_drop(broken.reason)
        if broken.reason == OVER_HEADERS:
            self._side.statuses[HEADERS_TOO_LARGE] += 1
