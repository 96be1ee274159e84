"""What nearly every request over HTTP/2 is, in fewer steps than the library takes for it (RFC 9113).

Knows: the library's connection and streams from inside.  Does not know: DNS, what a request asks, what a
client may have open.
Theory: a request is one frame with its head, perhaps a small one with a body, and an answer that fits into
the client's windows.  The library makes a dozen objects of that, and events that nobody looks at.  Here it is
a few assignments, behind which the library finds its own state as if it had done all of it.  Whatever is not
so is its own affair: each of these says no then, and has changed nothing that it would not find again.
`tests/listeners/test_http2_short.py` holds both ways to the same answers.
"""

from __future__ import annotations

from typing import Final

from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs, ConnectionState, H2Connection
from h2.stream import StreamClosedBy, StreamState
from hyperframe.frame import WindowUpdateFrame

from resolver.flow.client_names import ClientNames
from resolver.listeners.http2_heads import Head, HeadDecoder
from resolver.listeners.http2_sent import DATA, END_HEADERS, END_STREAM, HEADERS, frame

CLOSED_STREAMS_KEPT: Final = 256
"""Streams of which the library remembers how they ended; it would keep 65,536 for each connection."""

SHORT_BODY_OCTETS_MAX: Final = 4_096
"""A body of so many octets asks for no word on its stream's window."""


class ShortConnection(H2Connection):
    """The server's side of one connection."""

    MAX_CLOSED_STREAMS = CLOSED_STREAMS_KEPT

    decoder: HeadDecoder

    def __init__(self, config: H2Configuration, head_octets_max: int, names: ClientNames) -> None:
        super().__init__(config)
        self.decoder = HeadDecoder(head_octets_max, names)
        self._look_at = CLOSED_STREAMS_KEPT
        """So many streams are looked through for those that ended."""

    def begin(self, stream_id: int, block: bytes, *, ends: bool) -> Head | None:
        """A request has come, and this is its whole head; None: the library must look at it, as the next.

        `ends`: no body follows.
        """
        if (
            stream_id <= self.highest_inbound_stream_id
            or not stream_id & 1
            or self.state_machine.state is not ConnectionState.SERVER_OPEN  # before the first of them
        ):
            return None
        head = self.decoder.head_of(block)
        if head is None:
            return None
        if len(self.streams) >= self._look_at:
            # Some ended without an answer through here: the library lets go of them only when it counts.
            self._open_streams(1)
            self._look_at = CLOSED_STREAMS_KEPT + 2 * len(self.streams)
        stream = self._begin_new_stream(stream_id, AllowedStreamIDs.ODD)
        stream._expected_content_length = head.content_length
        machine = stream.state_machine
        machine.client = False
        machine.headers_received = True
        machine.state = StreamState.HALF_CLOSED_REMOTE if ends else StreamState.OPEN
        return head

    def take_body(self, stream_id: int, octets: int) -> bool:
        """A stream's first frame of data has come, with so many octets, and is its last; False: it is the
        library's."""
        stream = self.streams.get(stream_id)
        window = self._inbound_flow_control_window_manager
        if (
            stream is None
            or stream.state_machine.state is not StreamState.OPEN
            or octets > SHORT_BODY_OCTETS_MAX
            or octets > window.current_window_size
            or stream._actual_content_length
            or stream._expected_content_length not in (None, octets)
        ):
            return False
        stream._actual_content_length = octets
        stream.state_machine.state = StreamState.HALF_CLOSED_REMOTE
        window.window_consumed(octets)
        if increment := window.process_bytes(octets):
            update = WindowUpdateFrame(0)
            update.window_increment = increment
            self._prepare_for_sending([update])
        return True

    def answer(self, stream_id: int, block: bytes, body: bytes) -> bytes:
        """The frames of a whole answer, behind which its stream is closed; empty: it is the library's.

        `block`: the headers, which change no table.
        """
        stream, octets = self.streams.get(stream_id), len(body)
        if (
            stream is None
            or stream.state_machine.state is not StreamState.HALF_CLOSED_REMOTE
            or not 0 < octets <= self.max_outbound_frame_size
            or octets > self.outbound_flow_control_window
            or octets > stream.outbound_flow_control_window
        ):
            return b""
        self.outbound_flow_control_window -= octets
        del self.streams[stream_id]
        self._closed_streams[stream_id] = StreamClosedBy.SEND_END_STREAM
        return frame(HEADERS, END_HEADERS, stream_id, block) + frame(DATA, END_STREAM, stream_id, body)
