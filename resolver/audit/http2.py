"""Questions as HTTP/2 requests and what comes back, without a socket (RFC 8484, RFC 9113).

Knows: HTTP/2 by the library h2, what a POST of a query looks like.  Does not know: sockets, TLS, time, which
answer is right.
"""

from __future__ import annotations

from typing import Final

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

MEDIA_TYPE: Final = b"application/dns-message"
ANSWER_OCTETS_MAX: Final = 65_535
"""A longer body is no DNS message: its request is reset."""
HEADERS_OCTETS_MAX: Final = 16_384
"""Of one reply, decoded."""


class Posts:
    """The client's half of one connection."""

    def __init__(self, authority: str, path: str) -> None:
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._http.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: ANSWER_OCTETS_MAX,
                SettingCodes.MAX_HEADER_LIST_SIZE: HEADERS_OCTETS_MAX,
            },
        )
        self._http.decoder.max_header_list_size = HEADERS_OCTETS_MAX
        self._headers = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", authority.encode()),
            (b":path", path.encode()),
            (b"accept", MEDIA_TYPE),
            (b"content-type", MEDIA_TYPE),
        ]
        self._ids: dict[int, int] = {}
        """Stream -> the ID of the query on it."""
        self._bodies: dict[int, bytearray] = {}
        self._http.initiate_connection()

    def post(self, octets: bytes) -> bytes:
        """What to send for one query.  Raises EOFError where the connection takes no more."""
        try:
            number = self._http.get_next_available_stream_id()
            length = (b"content-length", b"%d" % len(octets))
            self._http.send_headers(number, [*self._headers, length])
            self._http.send_data(number, octets, end_stream=True)
        except H2Error as error:
            raise EOFError from error
        self._ids[number] = int.from_bytes(octets[:2], "big")
        return self.control()

    def receive(self, octets: bytes) -> tuple[list[bytes], list[int]]:
        """Whole answers, and IDs of queries that get none.  Raises EOFError when the connection is over."""
        answers: list[bytes] = []
        lost: list[int] = []
        try:
            events = self._http.receive_data(octets)
        except H2Error as error:
            raise EOFError from error
        for event in events:
            self._on_event(event, answers, lost)
        return answers, lost

    def control(self) -> bytes:
        """What HTTP/2 itself has to say: acknowledgements, windows."""
        return self._http.data_to_send()

    def _on_event(self, event: Event, answers: list[bytes], lost: list[int]) -> None:
        match event:
            case ResponseReceived(stream_id=int(number), headers=headers):
                if dict(headers or ()).get(b":status") == b"200":
                    self._bodies[number] = bytearray()
                else:
                    self._lose(number, lost)
            case DataReceived(stream_id=int(number), data=bytes(octets)):
                self._http.acknowledge_received_data(event.flow_controlled_length or 0, number)
                body = self._bodies.get(number)
                if body is not None:
                    body += octets
                    if len(body) > ANSWER_OCTETS_MAX:
                        self._http.reset_stream(number, ErrorCodes.CANCEL)
                        self._lose(number, lost)
            case StreamEnded(stream_id=int(number)):
                body = self._bodies.pop(number, None)
                if self._ids.pop(number, None) is not None and body is not None:
                    answers.append(bytes(body))
            case StreamReset(stream_id=int(number)):
                self._lose(number, lost)
            case ConnectionTerminated():
                raise EOFError

    def _lose(self, number: int, lost: list[int]) -> None:
        self._bodies.pop(number, None)
        query_id = self._ids.pop(number, None)
        if query_id is not None:
            lost.append(query_id)
