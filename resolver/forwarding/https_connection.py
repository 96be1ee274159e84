"""One HTTP/2 connection to an upstream: each query is a POST, each answer the body of its reply (RFC 8484).

Knows: HTTP/2 by the library h2, which status is an answer.  Does not know: TLS, which connection gets a
query, when one is overdue.

Theory.  A stream of HTTP/2 stands for the place that a query has on a DNS connection, so all else is as over
TLS.  POST, because then neither the path nor a log of it says what was asked; ID 0 (RFC 8484 §4.1), which
the answer gets back before anybody looks at it.  No cookies, no user agent: nothing that tells clients apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from resolver.forwarding.connection import MESSAGE_OCTETS_MIN, Connection, Owner
from resolver.forwarding.frame_bound import FrameBound
from resolver.forwarding.network import ABANDONED, MALFORMED
from resolver.forwarding.oddities import ANSWERS_UNLIMITED
from resolver.forwarding.pipeline import StreamTicket
from resolver.forwarding.upstream import HTTPS_PORT, Upstream
from resolver.wire.encode import STREAM_OCTETS_MAX
from resolver.wire.query_options import with_options

MEDIA_TYPE = b"application/dns-message"
STATUS_OK = b"200"

HEADERS_OCTETS_MAX = 16_384
"""Of one reply, decoded."""

STREAMS_MAX = 10_000
"""Queries of one connection, however long it lives: IDs of streams and HTTP/2's tables grow."""

BODIES_OCTETS_MAX = 4 << 20
"""Of answers of one upstream that are not whole yet, over all its connections: thousands of usual ones.  The
connection that brings more is shut."""

UNREAD_OCTETS_MAX = 1 << 18
"""What waits for an upstream that asks (PING, SETTINGS) and does not read; over it the connection is shut."""


class _Exchange:
    """One query on its stream."""

    __slots__ = ("body", "is_answer", "status", "ticket")

    def __init__(self, ticket: StreamTicket) -> None:
        self.ticket = ticket
        self.status = b""
        self.is_answer = False
        self.body = bytearray()


class HttpsConnection(Connection):
    """See the module's docstring."""

    def __init__(self, owner: Owner, answers_max: int = ANSWERS_UNLIMITED) -> None:
        super().__init__(owner, min(answers_max, STREAMS_MAX))
        self._exchanges: dict[int, _Exchange] = {}
        self._bodies_octets = 0
        self._bound = FrameBound()
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._http.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_OCTETS_MAX,
                SettingCodes.MAX_HEADER_LIST_SIZE: HEADERS_OCTETS_MAX,
            },
        )
        self._http.decoder.max_header_list_size = HEADERS_OCTETS_MAX
        self._headers = _headers_for(self.upstream)

    def takes(self, query_id: int, now: float) -> bool:
        """See `Pipeline`; the upstream has a bound on streams, too."""
        return super().takes(query_id, now) and len(self.waiting) < self._streams_max()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `Connection`."""
        self._http.initiate_connection()
        super().connection_made(transport)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take whole replies out of the stream."""
        if not self._bound.takes(data, self.taken):
            self.shut("stream")
            return
        try:
            events = self._http.receive_data(data)
        except H2Error:
            self._flush()  # what was wrong, for its log
            self.shut("stream")
            return
        for event in events:
            if self._is_shut:
                return
            self._on_event(event)
        self._flush()

    def shut(self, reason: str = ABANDONED, *, by_peer: bool = False) -> None:
        """See `Connection`; who takes so many queries and no more says so by GOAWAY (RFC 9113 §9.1)."""
        self._count_body(-self._bodies_octets)
        super().shut(reason)
        self._exchanges.clear()

    def _transmit(self, stream: asyncio.Transport, tickets: Iterable[StreamTicket]) -> None:
        unsent = []
        for ticket in tickets:
            if len(self._exchanges) >= self._streams_max():
                unsent.append(ticket)
                continue
            octets = with_options(b"\0\0" + ticket.octets[2:], asks_keepalive=False)
            try:
                number = self._http.get_next_available_stream_id()
                headers = [*self._headers, (b"content-length", b"%d" % len(octets))]
                self._http.send_headers(number, headers)
                self._http.send_data(number, octets, end_stream=True)
            except H2Error:
                # No room in its window, or it has said goodbye: another connection has.
                unsent.append(ticket)
                continue
            self._exchanges[number] = _Exchange(ticket)
            ticket.left += 1
        self._flush()
        if unsent:
            # Not from inside `ask`: who waits there hears of it at once.
            self._clock.call_later(0.0, lambda: self._abandon(unsent))

    def _abandon(self, tickets: list[StreamTicket]) -> None:
        for ticket in tickets:
            self._fail(ticket, ABANDONED)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            self._on_goodbye(event)
            return
        number = getattr(event, "stream_id", None)
        exchange = self._exchanges.get(number) if isinstance(number, int) else None
        if isinstance(event, DataReceived):
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if exchange is None or number is None:
            return
        if isinstance(event, ResponseReceived):
            exchange.status, exchange.is_answer = _read_headers(event)
        elif isinstance(event, DataReceived):
            self._take_body(number, exchange, event.data or b"")
        elif isinstance(event, StreamEnded):
            self._end_exchange(number, exchange)
            self._on_reply(exchange)
        elif isinstance(event, StreamReset):
            self._end_exchange(number, exchange)
            is_unread = event.error_code == ErrorCodes.REFUSED_STREAM  # RFC 9113 §8.7: it may be sent again
            self._fail(exchange.ticket, ABANDONED if is_unread and self.answered else "stream")

    def _take_body(self, number: int, exchange: _Exchange, octets: bytes) -> None:
        exchange.body += octets
        self._count_body(len(octets))
        if len(exchange.body) > STREAM_OCTETS_MAX:
            self._http.reset_stream(number, ErrorCodes.CANCEL)
            self._end_exchange(number, exchange)
            self._fail(exchange.ticket, "http", "its answer is longer than a DNS message can be")
        elif self._owner.bodies_octets > BODIES_OCTETS_MAX:
            self.upstream.details["http"] = "its unfinished answers are too long together"
            self.shut("http")

    def _end_exchange(self, number: int, exchange: _Exchange) -> None:
        del self._exchanges[number]
        self._count_body(-len(exchange.body))

    def _count_body(self, octets: int) -> None:
        """What the bodies of this connection, and so of its upstream, hold changes by so much."""
        self._bodies_octets += octets
        self._owner.bodies_octets += octets

    def _on_goodbye(self, event: ConnectionTerminated) -> None:
        """GOAWAY.  Whatever was asked can be asked again, for a question changes nothing."""
        if event.error_code != ErrorCodes.NO_ERROR:
            self.upstream.details["stream"] = "it broke off HTTP/2"
        self.shut(ABANDONED if self.answered else "stream")

    def _on_reply(self, exchange: _Exchange) -> None:
        ticket = exchange.ticket
        body = bytes(exchange.body)
        if not exchange.is_answer:
            shown = exchange.status.decode("ascii", "replace")
            words = f"HTTP status {shown}" if exchange.status != STATUS_OK else "its reply is no DNS message"
            self._fail(ticket, "http", words)
            return
        if len(body) < MESSAGE_OCTETS_MIN:
            self._fail(ticket, MALFORMED, "its answer is too short for a DNS message")
            return
        if body[:2] == b"\0\0":
            body = ticket.octets[:2] + body[2:]
        if body[:2] != ticket.octets[:2]:
            self._fail(ticket, MALFORMED, "its answer has another ID than the query")
            return
        self._dispatch(body)

    def _fail(self, ticket: StreamTicket, reason: str, words: str = "") -> None:
        """One query has come to nothing; the connection goes on."""
        if self.waiting.get(ticket.query_id) is not ticket or self._is_shut:
            return
        if words:
            self.upstream.details[reason] = words
        self.release(ticket)
        is_blameless = reason == ABANDONED
        self._owner.send_again(ticket, reason, is_blameless=is_blameless, once_more=is_blameless)
        self._look_after()
        if not self._is_shut:
            self._owner.on_room()

    def _streams_max(self) -> int:
        return self._http.remote_settings.max_concurrent_streams

    def _flush(self) -> None:
        if self._transport is None:
            return
        octets = self._http.data_to_send()
        if octets:
            self._transport.write(octets)
            if self._transport is not None and self._transport.get_write_buffer_size() > UNREAD_OCTETS_MAX:
                self.shut("stream")


def _headers_for(upstream: Upstream) -> list[tuple[bytes, bytes]]:
    """What stands before each query."""
    host = upstream.host or (f"[{upstream.address}]" if ":" in upstream.address else upstream.address)
    authority = host if upstream.port == HTTPS_PORT else f"{host}:{upstream.port}"
    return [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", authority.encode("ascii")),
        (b":path", upstream.path.encode("ascii")),
        (b"accept", MEDIA_TYPE),
        (b"content-type", MEDIA_TYPE),
    ]


def _read_headers(event: ResponseReceived) -> tuple[bytes, bool]:
    """The status, and whether what follows is an answer."""
    status, media_type = b"", b""
    for name, value in event.headers or ():
        if name == b":status":
            status = bytes(value)
        elif name == b"content-type":
            media_type = bytes(value).partition(b";")[0].strip().lower()
    return status, status == STATUS_OK and media_type == MEDIA_TYPE
