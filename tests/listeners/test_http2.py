"""HTTP/2 without sockets: an ordinary client, uncommon ones that are right, and those that are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from resolver.listeners.http import (
    BROKEN,
    CONTROL,
    MEDIA_TYPE,
    OVER_HEADERS,
    RESETS,
    STALL_S,
    Arrived,
    HttpBroken,
    HttpRequest,
)
from resolver.listeners.http2 import Http2Session
from resolver.listeners.http2_frames import (
    CONTINUATIONS_MAX,
    CONTROL_FRAMES_MAX,
    CONTROL_FRAMES_PER_ANSWER,
    PREFACE,
    RESETS_MAX,
    TINY_DATA_FRAMES_MAX,
)
from tests.support.for_each import for_each

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


# Ordinary clients.


def test_a_get_is_answered_with_its_headers() -> None:
    talk = Talk()
    stream = talk.ask()
    talk.pump()
    [arrived] = talk.arrived
    assert arrived.message == QUERY
    talk.answer_all()
    [response] = talk.heard_of(ResponseReceived, stream)
    assert dict(response.headers) == {
        b":status": b"200",
        b"content-type": MEDIA_TYPE,
        b"content-length": b"%d" % len(ANSWER),
        b"cache-control": b"max-age=300",
        b"date": b"Mon",
    }
    assert talk.body_of(stream) == ANSWER and talk.heard_of(StreamEnded, stream)


def test_a_post_is_answered_however_its_body_comes() -> None:
    for size in (1, 7, 100):
        talk = Talk()
        stream = talk.ask(b"POST", b"/dns-query", end=False, more=[(b"content-type", MEDIA_TYPE)])
        for at in range(0, len(QUERY), size):
            talk.client.send_data(stream, QUERY[at : at + size])
            talk.pump()
        assert talk.arrived == []
        talk.client.end_stream(stream)
        talk.pump()
        assert [arrived.message for arrived in talk.arrived] == [QUERY]


def test_requests_are_answered_out_of_order_and_each_once() -> None:
    talk = Talk()
    streams = [talk.ask() for _ in range(20)]
    talk.pump()
    for arrived in reversed(talk.arrived):
        talk.session.answer(arrived.request, 200, ANSWER, b"Mon", talk.now)
        talk.session.answer(arrived.request, 200, ANSWER, b"Mon", talk.now)
    talk.pump()
    assert [event.stream_id for event in talk.heard_of(ResponseReceived)] == streams[::-1]


def test_head_gets_the_headers_of_get_and_no_body() -> None:
    talk = Talk()
    stream = talk.ask(b"HEAD")
    talk.pump()
    talk.answer_all()
    [response] = talk.heard_of(ResponseReceived, stream)
    assert dict(response.headers)[b"content-length"] == b"%d" % len(ANSWER)
    assert talk.body_of(stream) == b"" and talk.heard_of(StreamEnded, stream)


def test_a_refusal_has_its_status_and_says_which_methods_there_are() -> None:
    talk = Talk()
    stream = talk.ask(b"DELETE")
    talk.pump()
    talk.answer_all()
    [response] = talk.heard_of(ResponseReceived, stream)
    headers = dict(response.headers)
    assert (headers[b":status"], headers[b"allow"]) == (b"405", b"GET, HEAD, POST")


def test_a_query_that_gets_no_answer_ends_its_stream_and_no_other() -> None:
    talk = Talk()
    first, second = talk.ask(), talk.ask()
    talk.pump()
    assert talk.session.reset(talk.arrived[0].request)
    del talk.arrived[0]
    talk.answer_all()
    [reset] = talk.heard_of(StreamReset)
    assert (reset.stream_id, reset.error_code) == (first, ErrorCodes.CANCEL)
    assert talk.status_of(second) == 200


def test_a_client_that_waits_for_a_sign_before_its_body_gets_it() -> None:
    talk = Talk()
    more = [(b"content-type", MEDIA_TYPE), (b"expect", b"100-continue")]
    stream = talk.ask(b"POST", b"/dns-query", end=False, more=more)
    talk.pump()
    assert talk.heard_of(InformationalResponseReceived, stream)
    talk.client.send_data(stream, QUERY, end_stream=True)
    talk.pump()
    talk.answer_all()
    assert talk.status_of(stream) == 200


# Uncommon ones, which are right all the same.


def test_padded_and_priority_frames_and_unknown_ones_are_taken() -> None:
    talk = Talk()
    talk.feed(frame(0xBE, 0, 0, b"grease") + frame(2, 0, 1, b"\0\0\0\0\x10"))
    stream = talk.ask(b"POST", b"/dns-query", end=False, more=[(b"content-type", MEDIA_TYPE)])
    talk.client.send_data(stream, QUERY, end_stream=True, pad_length=200)
    talk.client.prioritize(stream, weight=10)
    talk.pump()
    talk.answer_all()
    assert talk.body_of(stream) == ANSWER


def test_headers_in_pieces_with_padding_and_priority_are_taken() -> None:
    talk = Talk()
    block = Encoder().encode(
        [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"dns.example"), (b":path", TARGET)]
    )
    third = len(block) // 3
    first = b"\x05" + b"\0\0\0\0\x10" + block[:third] + bytes(5)
    talk.feed(frame(1, 0x1 | 0x8 | 0x20, 1, first) + frame(9, 0, 1, block[third : 2 * third]))
    talk.feed(frame(9, 4, 1, block[2 * third :]))
    assert [arrived.message for arrived in talk.arrived] == [QUERY]


def test_trailers_end_a_request() -> None:
    talk = Talk()
    stream = talk.ask(b"POST", b"/dns-query", end=False, more=[(b"content-type", MEDIA_TYPE)])
    talk.client.send_data(stream, QUERY)
    talk.client.send_headers(stream, [(b"x-sum", b"1")], end_stream=True)
    talk.pump()
    assert [arrived.message for arrived in talk.arrived] == [QUERY]


def test_one_octet_at_a_time_is_enough() -> None:
    talk = Talk()
    talk.ask()
    for octet in talk.client.data_to_send():
        talk.feed(bytes([octet]))
    assert [arrived.message for arrived in talk.arrived] == [QUERY]


def test_a_client_with_a_small_window_gets_its_answer_in_parts() -> None:
    talk = Talk(window=20)
    stream = talk.ask()
    talk.pump()
    talk.answer_all(ANSWER * 3)
    assert len(talk.body_of(stream)) == 20 and talk.session.owes
    assert talk.session.held_octets == 3 * len(ANSWER) - 20
    while not talk.heard_of(StreamEnded, stream):
        talk.client.increment_flow_control_window(30, stream)
        talk.pump()
    assert talk.body_of(stream) == ANSWER * 3
    assert talk.session.held_octets == 0


def test_a_long_answer_takes_several_frames() -> None:
    talk = Talk()
    stream = talk.ask()
    talk.pump()
    talk.answer_all(ANSWER + bytes(60_000))
    assert len(talk.body_of(stream)) == len(ANSWER) + 60_000
    assert len(talk.heard_of(DataReceived, stream)) == 4


# Limits.


@pytest.mark.parametrize("length", [True, False])
def test_a_body_that_is_too_long_gets_413_and_the_connection_goes_on(length: bool) -> None:
    talk = Talk()
    more = [(b"content-type", MEDIA_TYPE), *([(b"content-length", b"70000")] * length)]
    stream = talk.ask(b"POST", b"/dns-query", end=False, more=more)
    sent = 0
    while not talk.heard_of(ResponseReceived) and sent < 70_000:
        part = min(talk.client.local_flow_control_window(stream), 16_384, 70_000 - sent)
        assert part, "the session leaves no room for the octet that shows it"
        talk.client.send_data(stream, bytes(part))
        sent += part
        talk.pump()
        talk.answer_all()
    assert talk.status_of(stream) == 413
    assert sent <= (16_384 if length else 70_000)
    other = talk.ask()
    talk.pump()
    talk.answer_all()
    assert talk.status_of(other) == 200


def test_a_request_over_the_limit_of_streams_is_refused_and_costs_no_other() -> None:
    talk = Talk(streams_max=3)
    # As one that has not read the limit yet.
    talk.client.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 10
    talk.client.remote_settings.acknowledge()
    streams = [talk.ask() for _ in range(5)]
    talk.pump()
    assert len(talk.arrived) == 3 and talk.session.refused == 2
    assert {(event.stream_id, event.error_code) for event in talk.heard_of(StreamReset)} == {
        (stream, ErrorCodes.REFUSED_STREAM) for stream in streams[3:]
    }
    talk.answer_all()
    assert [talk.status_of(stream) for stream in streams[:3]] == [200] * 3
    again = talk.ask()
    talk.pump()
    talk.answer_all()
    assert talk.status_of(again) == 200


def test_half_open_requests_and_answers_that_nobody_takes_are_given_up() -> None:
    talk = Talk(window=10)
    half = [
        talk.ask(b"POST", b"/dns-query", end=False, more=[(b"content-type", MEDIA_TYPE)]) for _ in range(50)
    ]
    asked = talk.ask()
    talk.pump()
    talk.answer_all()
    assert talk.session.give_up(talk.now + STALL_S) == 0
    assert talk.session.give_up(talk.now + STALL_S + 0.1) == 51
    talk.hear()
    assert {event.stream_id for event in talk.heard_of(StreamReset)} == {*half, asked}
    assert talk.session.held_octets == 0 and not talk.session.owes


def test_a_client_that_says_goodbye_still_gets_its_answers() -> None:
    # RFC 9113 §6.8: it takes nothing that a server begins; browsers say so before they close.
    talk = Talk(window=20)
    asked = [talk.ask(), talk.post(QUERY, end=False), talk.ask()]
    talk.pump()
    answered, waiting = talk.arrived
    # One answer lies in the buffers when the frame comes, with a part that waits for its window.
    talk.session.answer(answered.request, 200, ANSWER, b"Mon", talk.now)
    goodbye = frame(7, 0, 0, bytes(8))
    ends_body = frame(0, 1, asked[1], b"")
    opens = b"".join(frame(8, 0, stream, (1_000).to_bytes(4, "big")) for stream in asked)
    talk.feed(talk.client.data_to_send() + goodbye + ends_body + opens + goodbye)
    talk.session.answer(waiting.request, 200, ANSWER, b"Mon", talk.now)
    assert talk.arrived[2].message == QUERY
    talk.session.answer(talk.arrived[2].request, 200, ANSWER, b"Mon", talk.now)
    for stream in asked:
        talk.client.increment_flow_control_window(1_000, stream)
    talk.hear()
    assert [talk.body_of(stream) for stream in asked] == [ANSWER] * 3
    assert talk.session.held_octets == 0


def test_the_end_lets_open_requests_be_answered_and_takes_no_more() -> None:
    talk = Talk()
    stream = talk.ask()
    talk.pump()
    talk.session.end()
    talk.session.answer(talk.arrived[0].request, 200, ANSWER, b"Mon", talk.now)
    talk.client.send_headers(stream + 2, [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", TARGET)], end_stream=True)  # fmt: skip
    talk.feed(talk.client.data_to_send())
    goaway, headers, data, reset = frames_in(talk.session.outgoing())
    assert goaway == (7, 0, stream.to_bytes(4, "big") + bytes(4))
    assert (headers[:2], data) == ((1, stream), (0, stream, ANSWER))
    assert reset == (3, stream + 2, int(ErrorCodes.REFUSED_STREAM).to_bytes(4, "big"))


# Abuse.


def breaks(talk: Talk, octets: bytes) -> str:
    with pytest.raises(HttpBroken) as caught:
        talk.feed(octets)
    assert talk.session.is_over or caught.value.reason == BROKEN
    return caught.value.reason


@pytest.mark.parametrize("flood", [frame(4, 0, 0, b""), frame(6, 0, 0, bytes(8)), frame(8, 0, 0, b"\0\0\0\1"), frame(2, 0, 1, b"\0\0\0\0\1"), frame(0xBE, 0, 0, b"")], ids=["SETTINGS", "PING", "WINDOW_UPDATE", "PRIORITY", "unknown"])  # fmt: skip
def test_a_flood_of_control_frames_ends_the_connection(flood: bytes) -> None:
    talk = Talk()
    assert breaks(talk, flood * (CONTROL_FRAMES_MAX + 1)) == CONTROL
    heard = talk.hear()
    assert heard[-1].error_code == ErrorCodes.ENHANCE_YOUR_CALM
    assert len(talk.session.outgoing()) == 0


def test_an_ordinary_number_of_control_frames_is_fine() -> None:
    talk = Talk()
    for _ in range(300):
        talk.feed(frame(6, 0, 0, bytes(8)) * CONTROL_FRAMES_PER_ANSWER)
        talk.ask()
        talk.pump()
        talk.answer_all()


def test_rapid_reset_ends_the_connection() -> None:
    talk = Talk()
    for _ in range(RESETS_MAX):
        talk.client.reset_stream(talk.ask())
        talk.pump()
    talk.client.reset_stream(talk.ask())
    assert breaks(talk, talk.client.data_to_send()) == RESETS
    [goaway] = [event for event in talk.hear() if isinstance(event, ConnectionTerminated)]
    assert goaway.error_code == ErrorCodes.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("odd", [(0, 0, b"x" * 20), (1, 5, b"")], ids=["data", "headers"])
def test_having_requests_reset_by_what_may_not_follow_them_ends_the_connection(
    odd: tuple[int, int, bytes],
) -> None:
    kind, flags, payload = odd
    talk = Talk()
    for _ in range(RESETS_MAX):
        stream = talk.ask()
        talk.feed(talk.client.data_to_send() + frame(kind, flags, stream, payload))
        talk.hear()
    assert len(talk.arrived) == len(talk.heard_of(StreamReset)) == RESETS_MAX
    stream = talk.ask()
    assert breaks(talk, talk.client.data_to_send() + frame(kind, flags, stream, payload)) == RESETS
    [goaway] = [event for event in talk.hear() if isinstance(event, ConnectionTerminated)]
    assert goaway.error_code == ErrorCodes.ENHANCE_YOUR_CALM


def test_requests_taken_back_now_and_then_are_fine() -> None:
    talk = Talk()
    for _ in range(2 * RESETS_MAX):
        talk.client.reset_stream(talk.ask())
        talk.ask()
        talk.pump()
        talk.answer_all()
    # What was taken back is answered all the same, to nobody.
    assert len(talk.heard_of(ResponseReceived)) == 2 * RESETS_MAX


def test_continuations_without_end_end_the_connection() -> None:
    talk = Talk()
    flood = frame(1, 1, 1, b"\x82") + frame(9, 0, 1, b"") * (CONTINUATIONS_MAX + 1)
    assert breaks(talk, flood) == CONTROL


@pytest.mark.parametrize("shape", ["one frame", "many frames", "references"])
def test_too_many_headers_get_431_and_end_the_connection(shape: str) -> None:
    talk = Talk()
    encoder = Encoder()
    head = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"dns.example"), (b":path", TARGET)]
    if shape == "references":
        # A header of 4 kB, and then an octet for each time that it comes again.
        block = encoder.encode([*head, (b"x", bytes(3_000))], huffman=False) + b"\xbe" * 1_000
        octets = frame(1, 5, 1, block)
    else:
        block = encoder.encode([*head, (b"x", b"a" * 40_000)], huffman=False)
        size = 16_384 if shape == "many frames" else 16_385
        octets = frame(1, 1, 1, block[:size]) + frame(9, 4, 1, block[size : size + 16_000])
    reason = breaks(talk, octets)
    if shape == "one frame":
        assert reason == BROKEN, "no frame may be so long"
        return
    assert reason == OVER_HEADERS
    said = talk.session.outgoing()
    other = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    other.initiate_connection()
    other.send_headers(1, head, end_stream=True)
    heard = other.receive_data(said)
    [response] = [event for event in heard if isinstance(event, ResponseReceived)]
    assert dict(response.headers)[b":status"] == b"431"
    [goaway] = [event for event in heard if isinstance(event, ConnectionTerminated)]
    assert goaway.error_code == ErrorCodes.ENHANCE_YOUR_CALM


def test_empty_and_tiny_data_without_end_end_the_connection() -> None:
    for payload, most in ((b"", CONTROL_FRAMES_MAX), (b"a", TINY_DATA_FRAMES_MAX)):
        talk = Talk()
        talk.ask(b"POST", b"/dns-query", end=False, more=[(b"content-type", MEDIA_TYPE)])
        talk.pump()
        flood = frame(0, 0, 1, payload) * (most + 1)
        assert breaks(talk, flood) == CONTROL


@pytest.mark.parametrize(
    "octets", [b"GET /dns-query HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX"], ids=["HTTP/1.1", "half"]
)
def test_what_is_no_preface_ends_the_connection(octets: bytes) -> None:
    session = Http2Session(streams_max=10, header_octets_max=16_384)
    with pytest.raises(HttpBroken):
        session.receive(bytearray(octets), 0, 0.0)


@for_each(
    "octets",
    [
        frame(4, 0, 0, b"\0"),
        frame(4, 0, 1, b""),
        frame(6, 0, 0, b"short"),
        frame(8, 0, 0, b"\0\0\0\0"),
        frame(0, 1, 0, b"data"),
        frame(0, 1, 7, b"data"),
        frame(1, 5, 2, b"\x82"),
        frame(1, 5, 1, b"\xff\xff\xff\xff\xff"),
        frame(9, 4, 1, b""),
        frame(5, 4, 1, b"\0\0\0\2\x82"),
        frame(1, 5 | 8, 1, b"\xff"),
        frame(4, 0, 0, b"\0\4\xff\xff\xff\xff"),
        b"\xff\xff\xff\0\0\0\0\0\1",
    ],
)
def test_what_breaks_the_rules_ends_the_connection(octets: bytes) -> None:
    talk = Talk()
    assert breaks(talk, octets) == BROKEN
    assert b"\x07" in talk.session.outgoing()


def test_after_the_end_nothing_is_answered() -> None:
    talk = Talk()
    talk.ask()
    talk.pump()
    [arrived] = talk.arrived
    breaks(talk, frame(6, 0, 0, b"short"))
    talk.session.outgoing()
    talk.session.answer(arrived.request, 200, ANSWER, b"Mon", 0.0)
    assert talk.session.reset(HttpRequest(1, False, ()))
    assert talk.session.outgoing() == b""


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=60)), max_size=30), st.integers(1, 50))  # fmt: skip
def test_no_frames_raise_anything_else(frames: list[tuple[int, int, int, bytes]], size: int) -> None:
    session = Http2Session(streams_max=3, header_octets_max=16_384)
    octets = PREFACE + b"".join(frame(*one) for one in frames)
    buffer, now = bytearray(), 0.0
    for at in range(0, len(octets), size):
        buffer += octets[at : at + size]
        now += 1.0
        try:
            while (taken := session.receive(buffer, 0, now))[0]:
                del buffer[: taken[0]]
                for arrived in taken[1]:
                    session.answer(
                        arrived.request, arrived.status or 200, b"" if arrived.status else ANSWER, b"", now
                    )
        except HttpBroken:
            break
        session.give_up(now)
    session.end()
    session.outgoing()


HEAD = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"dns.example"), (b":path", TARGET)]


@for_each(
    "headers",
    [
        [*HEAD, (b"Accept", b"x")],
        [*HEAD, (b"", b"x")],
        [*HEAD, (b"a b", b"x")],
        [*HEAD, (b"x", b"a\nb")],
        [*HEAD, (b"x", b"a\0")],
        [*HEAD, (b"x", b" a")],
        [*HEAD, (b"connection", b"close")],
        [*HEAD, (b"transfer-encoding", b"chunked")],
        [*HEAD, (b"upgrade", b"h2c")],
        [*HEAD, (b"te", b"gzip")],
        [*HEAD, (b":path", TARGET)],
        [*HEAD, (b":status", b"200")],
        [*HEAD, (b"host", b"other.example")],
        [(b"x", b"y"), *HEAD],
        HEAD[1:],
        HEAD[:3],
        [HEAD[0], HEAD[2], HEAD[3]],
        [HEAD[0], HEAD[1], HEAD[3]],
        [*HEAD[:3], (b":path", b"")],
    ],
)
def test_headers_that_are_not_well_formed_end_the_connection(headers: list[tuple[bytes, bytes]]) -> None:
    talk = Talk()
    block = Encoder().encode(headers, huffman=False)
    assert breaks(talk, frame(1, 5, 1, block)) == BROKEN
    assert talk.arrived == []
    assert frames_in(talk.session.outgoing())[-1][0] == 7


@pytest.mark.parametrize(
    "headers",
    [
        [*HEAD, (b"te", b"trailers")],
        [*HEAD, (b"host", b"dns.example")],
        [*HEAD[:2], HEAD[3], (b"host", b"dns.example")],
        [HEAD[3], HEAD[2], HEAD[1], HEAD[0], (b"x", b"")],
        [*HEAD, (b"cookie", b"a"), (b"cookie", b"b"), (b"x", b"\xc3\xa4")],
    ],
)
def test_uncommon_headers_that_are_well_formed_are_taken(headers: list[tuple[bytes, bytes]]) -> None:
    talk = Talk()
    talk.feed(frame(1, 5, 1, Encoder().encode(headers)))
    assert [arrived.message for arrived in talk.arrived] == [QUERY]


def test_connect_has_no_path_and_is_no_method_of_ours() -> None:
    talk = Talk()
    talk.feed(frame(1, 4, 1, Encoder().encode([(b":method", b"CONNECT"), (b":authority", b"dns.example")])))
    assert [arrived.status for arrived in talk.arrived] == [405]


def test_a_session_waits_for_its_client_while_a_request_or_an_answer_is_not_whole() -> None:
    talk = Talk(window=10)
    waits = [talk.session.waits_for_client]
    stream = talk.post(QUERY[:5], length=False, end=False)
    talk.pump()
    waits.append(talk.session.waits_for_client)
    talk.client.send_data(stream, QUERY[5:], end_stream=True)
    talk.pump()
    waits.append(talk.session.waits_for_client)
    talk.answer_all()
    waits.append(talk.session.waits_for_client)
    talk.client.increment_flow_control_window(100, stream)
    talk.pump()
    waits.append(talk.session.waits_for_client)
    assert waits == [False, True, False, True, False]
