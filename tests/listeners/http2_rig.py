"""A session of HTTP/2 without sockets, and a client that talks to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    ResponseReceived,
)
from h2.settings import SettingCodes

from resolver.listeners.http import (
    BROKEN,
    MEDIA_TYPE,
    Arrived,
    HttpBroken,
)
from resolver.listeners.http2 import Http2Session

QUERY = bytes.fromhex("00000100000100000000000003777777076578616d706c6503636f6d0000010001")
TARGET = b"/dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB"


ANSWER = bytes.fromhex(
    "00008180000100010000000003777777076578616d706c6503636f6d0000010001c00c000100010000012c0004c0000201"
)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def frames_in(octets: bytes) -> list[tuple[int, int, bytes]]:
    """Kind, stream and payload of each."""
    found = []
    while octets:
        end = 9 + int.from_bytes(octets[:3], "big")
        found.append((octets[3], int.from_bytes(octets[5:9], "big"), octets[9:end]))
        octets = octets[end:]
    return found


class Talk:
    """A client and the session under test."""

    def __init__(self, *, streams_max: int = 100, header_octets_max: int = 16_384, window: int = 0) -> None:
        self.session = Http2Session(streams_max=streams_max, header_octets_max=header_octets_max)
        self.client = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.client.initiate_connection()
        if window:
            self.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.arrived: list[Arrived] = []
        self.events: list[Any] = []
        self.now = 100.0
        self._left = bytearray()
        self.pump()

    def feed(self, octets: bytes) -> None:
        """Octets from a client to the session, which may be broken."""
        self._left += octets
        start = 0
        try:
            while True:
                taken, arrived = self.session.receive(self._left, start, self.now)
                if not taken:
                    break
                start += taken
                self.arrived += arrived
        finally:
            del self._left[:start]

    def pump(self) -> None:
        """Octets both ways."""
        self.feed(self.client.data_to_send())
        self.hear()

    def hear(self) -> list[Any]:
        """What the session says, to the client."""
        heard = self.client.receive_data(self.session.outgoing())
        self.events += heard
        return heard

    def ask(
        self, method: bytes = b"GET", target: bytes = TARGET, *, end: bool = True, more: Sequence[tuple[bytes, bytes]] = ()
    ) -> int:  # fmt: skip
        stream = self.client.get_next_available_stream_id()
        headers = [
            (b":method", method),
            (b":scheme", b"https"),
            (b":authority", b"dns.example"),
            (b":path", target),
        ]
        self.client.send_headers(stream, [*headers, *more], end_stream=end)
        return stream

    def post(self, body: bytes, *, length: bool = True, end: bool = True) -> int:
        more = [(b"content-type", MEDIA_TYPE)]
        if length:
            more.append((b"content-length", b"%d" % len(body)))
        stream = self.ask(b"POST", b"/dns-query", end=False, more=more)
        self.client.send_data(stream, body, end_stream=end)
        return stream

    def answer_all(self, answer: bytes = ANSWER) -> None:
        for arrived in self.arrived:
            body = b"" if arrived.status else answer
            self.session.answer(arrived.request, arrived.status or 200, body, b"Mon", self.now)
        self.arrived.clear()
        self.pump()

    def heard_of(self, kind: type[Any], stream: int | None = None) -> list[Any]:
        return [
            event
            for event in self.events
            if isinstance(event, kind) and (stream is None or event.stream_id == stream)
        ]

    def status_of(self, stream: int) -> int:
        [response] = self.heard_of(ResponseReceived, stream)
        return int(dict(response.headers)[b":status"])

    def body_of(self, stream: int) -> bytes:
        return b"".join(event.data for event in self.heard_of(DataReceived, stream))


# Abuse.


def breaks(talk: Talk, octets: bytes) -> str:
    with pytest.raises(HttpBroken) as caught:
        talk.feed(octets)
    assert talk.session.is_over or caught.value.reason == BROKEN
    return caught.value.reason
