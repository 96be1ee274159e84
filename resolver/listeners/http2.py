"""HTTP/2 of one connection, on hyper-h2: requests out of frames, answers into frames (RFC 9113).

Knows: streams, flow control, what a client may have open.  Does not know: sockets, TLS, DNS, what a request
asks (`http`).
Theory: frames are counted (`http2_frames`) and handed to the library one by one, so that a turn can end
behind each; those of a usual request go a shorter way (`http2_short`).  An answer that its client's window
has no room for waits here, and what waits is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import DenialOfServiceError, ProtocolError
from h2.settings import SettingCodes, Settings

from resolver.flow.client_names import NO_NAMES, ClientNames
from resolver.listeners.http import (
    BROKEN,
    HEADERS_TOO_LARGE,
    MESSAGE_OCTETS_MAX,
    OK,
    OVER_HEADERS,
    STALL_S,
    Arrived,
    Asked,
    HttpBroken,
    HttpRequest,
    Refused,
    refusal_of_body,
)
from resolver.listeners.http2_frames import FRAME_HEADER_OCTETS, FrameMeter
from resolver.listeners.http2_heads import Head, named_in
from resolver.listeners.http2_sent import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    GOAWAY_OCTETS,
    HAS_PRIORITY,
    HEADERS,
    answer_head,
    field,
    frame,
    goaway,
    refusal_head,
)
from resolver.listeners.http2_short import ShortConnection

WINDOW_OCTETS: Final = MESSAGE_OCTETS_MAX + 1
"""Of a request's body: one octet more than a message may have, so that a longer one is seen."""

_NO_LIMIT: Final = 1 << 30

_PRIORITY_OCTETS: Final = 5
_DEPENDS_ON: Final = slice(0, 4)


class _Coming:
    """A request whose body is coming."""

    __slots__ = ("body", "request", "since")

    def __init__(self, request: HttpRequest, since: float) -> None:
        self.request = request
        self.since = since
        self.body = bytearray()


class _Unsent:
    """An answer that is not sent yet."""

    __slots__ = ("octets", "since")

    def __init__(self, octets: bytes, since: float) -> None:
        self.octets = octets
        self.since = since


class Http2Session:
    """See `http.HttpSession`."""

    def __init__(self, *, streams_max: int, header_octets_max: int, names: ClientNames = NO_NAMES) -> None:
        self._names = names
        self._streams_max = streams_max
        self._meter = FrameMeter(header_octets_max)
        self._coming: dict[int, _Coming] = {}
        self._waiting: set[int] = set()
        """Requests without an answer."""
        self._unsent: dict[int, _Unsent] = {}
        self._draining: dict[int, float] = {}
        """Answered requests whose clients have not ended them -> since when."""
        self._highest = 0
        """The last request that was begun."""
        self._spoken = bytearray()
        """What is to be sent before the library's own."""
        self.refused = 0
        self.is_over = False
        self._h2 = h2 = ShortConnection(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                # `named_in` looks at them once, in a third of the time.
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            ),
            header_octets_max,
            names,
        )
        values = {
            SettingCodes.MAX_CONCURRENT_STREAMS: streams_max,
            SettingCodes.MAX_HEADER_LIST_SIZE: header_octets_max,
            SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_OCTETS,
        }
        h2.local_settings = Settings(client=False, initial_values=values)
        h2.initiate_connection()
        # A client learns of the limit after its first requests, and is to lose those beyond it and no more:
        # the library would end the connection.
        h2.local_settings = Settings(
            client=False, initial_values={**values, SettingCodes.MAX_CONCURRENT_STREAMS: _NO_LIMIT}
        )

    @property
    def takes_more(self) -> bool:
        """See `http.HttpSession`."""
        return True

    @property
    def owes(self) -> bool:
        """See `http.HttpSession`."""
        return bool(self._unsent)

    @property
    def waits_for_client(self) -> bool:
        """See `http.HttpSession`."""
        return bool(self._coming or self._unsent)

    @property
    def _open(self) -> int:
        return len(self._coming) + len(self._waiting) + len(self._unsent) + len(self._draining)

    @property
    def held_octets(self) -> int:
        """See `http.HttpSession`."""
        held = sum(len(coming.body) for coming in self._coming.values())
        return held + sum(len(unsent.octets) for unsent in self._unsent.values())

    def receive(self, buffer: bytearray, start: int, now: float) -> tuple[int, Sequence[Arrived]]:
        """See `http.HttpSession`."""
        is_in_block = self._meter.is_in_block
        try:
            length = self._meter.next(buffer, start)
            if not length:
                return 0, ()
            end = start + length
            if not is_in_block and (known := self._take_shortly(buffer, start, end, now)) is not None:
                return length, known
            octets = bytes(buffer[start:end])
            events = self._receive_goaway(octets) if octets[3] == GOAWAY else self._h2.receive_data(octets)
        except HttpBroken as broken:
            self._end_by(broken.reason, self._meter.block_stream)
            raise
        except DenialOfServiceError:
            # The library has said so already, in a frame that would end the connection before the status.
            self._spoken += self._h2.data_to_send()[:-GOAWAY_OCTETS]
            self._end_by(OVER_HEADERS, _stream_at(buffer, start))
            raise HttpBroken(OVER_HEADERS) from None
        except ProtocolError:
            # The library has said so to the client.
            self._forget_all()
            raise HttpBroken(BROKEN) from None
        arrived: list[Arrived] = []
        try:
            for event in events:
                self._take(event, arrived, now)
        except HttpBroken as broken:
            self._end_by(broken.reason, 0)
            raise
        return length, arrived

    def answer(self, request: HttpRequest, status: int, message: bytes, date: bytes, now: float) -> None:
        """See `http.HttpSession`."""
        stream = request.stream
        if stream not in self._waiting:
            return
        self._waiting.discard(stream)
        self._meter.answered()
        block = answer_head(message, date) if status == OK else refusal_head(status, date)
        # Behind what the library has to say until now; it knows nothing of these headers, and needs not to.
        self._spoken += self._h2.data_to_send()
        if not request.is_head and (whole := self._h2.answer(stream, block, message)):
            self._spoken += whole
            return
        self._spoken += frame(HEADERS, END_HEADERS, stream, block)
        if request.is_head or not message:
            self._h2.end_stream(stream)
            self._drain(stream, now)
        else:
            self._unsent[stream] = _Unsent(message, now)
            self._send(stream, now)

    def reset(self, request: HttpRequest) -> bool:
        """See `http.HttpSession`."""
        if request.stream in self._waiting:
            self._waiting.discard(request.stream)
            self._meter.answered()
            self._h2.reset_stream(request.stream, ErrorCodes.CANCEL)
        return True

    def stop(self) -> None:
        """See `http.HttpSession`.  Some clients take no answer behind the frame that says so: it is last."""

    def end(self) -> None:
        """See `http.HttpSession`."""
        if not self.is_over:
            self.is_over = True
            # The library's own word would let no answer pass behind it.
            self._spoken += self._h2.data_to_send() + goaway(self._highest)

    def give_up(self, now: float) -> int:
        """See `http.HttpSession`."""
        stalled = [stream for stream, coming in self._coming.items() if now - coming.since > STALL_S]
        stalled += [stream for stream, unsent in self._unsent.items() if now - unsent.since > STALL_S]
        stalled += [stream for stream, since in self._draining.items() if now - since > STALL_S]
        for stream in stalled:
            self._coming.pop(stream, None)
            self._unsent.pop(stream, None)
            self._draining.pop(stream, None)
            self._h2.reset_stream(stream, ErrorCodes.CANCEL)
        return len(stalled)

    def outgoing(self) -> bytes:
        """See `http.HttpSession`."""
        spoken = self._spoken + self._h2.data_to_send()
        self._spoken.clear()
        return bytes(spoken)

    # What comes.

    def _take_shortly(self, buffer: bytearray, start: int, end: int, now: float) -> list[Arrived] | None:
        """Take a whole frame as it nearly always is; None: it is the library's."""
        kind, flags = buffer[start + 3], buffer[start + 4]
        if kind == DATA and flags == END_STREAM:
            return self._take_body(_stream_at(buffer, start), buffer[start + FRAME_HEADER_OCTETS : end])
        if kind == HEADERS and flags & ~(END_STREAM | HAS_PRIORITY) == END_HEADERS:
            stream, block = _stream_at(buffer, start), bytes(buffer[start + FRAME_HEADER_OCTETS : end])
            if flags & HAS_PRIORITY:
                if int.from_bytes(block[_DEPENDS_ON], "big") & 0x7FFFFFFF == stream:
                    return None  # an error: nothing depends on itself
                block = block[_PRIORITY_OCTETS:]
            return self._take_head(stream, block, now, has_ended=bool(flags & END_STREAM))
        return None

    def _take_head(self, stream: int, block: bytes, now: float, *, has_ended: bool) -> list[Arrived] | None:
        head = self._h2.begin(stream, block, ends=has_ended)
        if head is None:
            return None
        arrived: list[Arrived] = []
        self._begin(stream, head, arrived, now, has_ended=has_ended)
        if has_ended:
            self._complete(stream, arrived)
        return arrived

    def _take_body(self, stream: int, body: bytearray) -> list[Arrived] | None:
        coming = self._coming.get(stream)
        if coming is None or not self._h2.take_body(stream, len(body)):
            return None
        coming.body = body
        arrived: list[Arrived] = []
        self._complete(stream, arrived)
        return arrived

    def _receive_goaway(self, octets: bytes) -> list[Event]:
        """The client takes nothing that we begin, and still wants its answers (RFC 9113 §6.8).

        To the library the connection is over: it throws away what is not sent yet, and lets no answer pass.
        """
        machine = self._h2.state_machine
        before = machine.state
        self._spoken += self._h2.data_to_send()
        events = self._h2.receive_data(octets)
        machine.state = before
        return events

    def _take(self, event: Event, arrived: list[Arrived], now: float) -> None:
        match event:
            case RequestReceived():
                self._begin_by(event, arrived, now)
            case DataReceived():
                self._add(event, arrived)
            case StreamEnded():
                self._complete(event.stream_id or 0, arrived)
            case StreamReset():
                self._forget(event.stream_id or 0)
                if not event.remote_reset:
                    # The library did it, for what the client sent: as good as a reset of its own.
                    self._meter.taken_back()
            case WindowUpdated() | RemoteSettingsChanged():
                for stream in list(self._unsent):
                    self._send(stream, now)

    def _begin_by(self, event: RequestReceived, arrived: list[Arrived], now: float) -> None:
        """Begin a request of which the library has told."""
        stream, headers = event.stream_id or 0, event.headers or []
        if self._is_full or self.is_over:
            self._turn_away(stream)
            return
        named = named_in(headers)
        if named is None:
            self._highest = stream
            raise HttpBroken(BROKEN)
        head = Head(headers, named, self._names)
        self._begin(stream, head, arrived, now, has_ended=event.stream_ended is not None)

    def _begin(self, stream: int, head: Head, arrived: list[Arrived], now: float, *, has_ended: bool) -> None:
        if self._is_full or self.is_over:
            self._turn_away(stream)
            return
        self._highest = stream
        request = HttpRequest(stream, head.is_head, head.headers, head.name)
        asked = head.asked
        if type(asked) is Asked:
            self._waiting.add(stream)
            arrived.append(Arrived(request, asked.message))
        elif type(asked) is Refused:
            self._waiting.add(stream)
            arrived.append(Arrived(request, b"", asked.status))
        else:
            self._coming[stream] = _Coming(request, now)
            if head.is_expecting and not has_ended:
                self._h2.send_headers(stream, [(b":status", b"100")])

    @property
    def _is_full(self) -> bool:
        return self._open >= self._streams_max

    def _turn_away(self, stream: int) -> None:
        """Refuse a request: as many are open as may be, or the connection ends."""
        self.refused += self._is_full
        self._h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)

    def _add(self, event: DataReceived, arrived: list[Arrived]) -> None:
        stream = event.stream_id or 0
        coming = self._coming.get(stream)
        octets = event.flow_controlled_length
        if coming is None:
            if octets:
                # Of the connection alone: its stream is to come to an end.
                self._h2.increment_flow_control_window(octets)
            return
        if octets:
            self._h2.acknowledge_received_data(octets, stream)
        coming.body += event.data or b""
        if len(coming.body) > MESSAGE_OCTETS_MAX:
            del self._coming[stream]
            self._waiting.add(stream)
            arrived.append(Arrived(coming.request, b"", refusal_of_body(len(coming.body))))

    def _complete(self, stream: int, arrived: list[Arrived]) -> None:
        self._draining.pop(stream, None)
        coming = self._coming.pop(stream, None)
        if coming is None:
            return
        self._waiting.add(stream)
        status = refusal_of_body(len(coming.body))
        arrived.append(Arrived(coming.request, b"" if status else bytes(coming.body), status))

    def _forget(self, stream: int) -> None:
        """The client has taken a request back, or wants no more of its answer."""
        self._coming.pop(stream, None)
        self._waiting.discard(stream)
        self._unsent.pop(stream, None)
        self._draining.pop(stream, None)

    # What is sent.

    def _send(self, stream: int, now: float) -> None:
        """Send of an answer what the client's windows have room for."""
        unsent, h2 = self._unsent[stream], self._h2
        while True:
            room = min(h2.local_flow_control_window(stream), h2.max_outbound_frame_size)
            part, unsent.octets = unsent.octets[: max(room, 0)], unsent.octets[max(room, 0) :]
            if not part:
                return
            unsent.since = now
            h2.send_data(stream, part, end_stream=not unsent.octets)
            if not unsent.octets:
                del self._unsent[stream]
                self._drain(stream, now)
                return

    def _drain(self, stream: int, now: float) -> None:
        """The answer is sent; what may still come of the request is nobody's business.

        RFC 9113 §8.1 has a reset for it, over which older clients (curl 7.88) forget the answer.
        """
        known = self._h2.streams.get(stream)
        if known is not None and not known.closed:
            self._draining[stream] = now

    def _forget_all(self) -> None:
        """Nothing can be answered any more."""
        self.is_over = True
        for known in (self._coming, self._waiting, self._unsent, self._draining):
            known.clear()

    def _end_by(self, reason: str, stream: int) -> None:
        """Say why the connection ends; a request with too many headers gets its status, too."""
        self._forget_all()
        self._spoken += self._h2.data_to_send()
        if reason == OVER_HEADERS and stream:
            # The library has no such stream.  0x08: the name `:status`, its value as it stands (RFC 7541
            # §6.2.2).
            block = field((b":status", b"%d" % HEADERS_TOO_LARGE))
            self._spoken += frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
        code = ErrorCodes.PROTOCOL_ERROR if reason == BROKEN else ErrorCodes.ENHANCE_YOUR_CALM
        self._spoken += goaway(max(stream, self._highest), code)


def _stream_at(buffer: bytearray, start: int) -> int:
    return int.from_bytes(buffer[start + 5 : start + 9], "big") & 0x7FFFFFFF
