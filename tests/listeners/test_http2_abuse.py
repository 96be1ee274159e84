"""HTTP/2 without sockets: clients that flood, reset, or break the rules of frames."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    ResponseReceived,
    StreamReset,
)
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from resolver.listeners.http import (
    BROKEN,
    CONTROL,
    MEDIA_TYPE,
    OVER_HEADERS,
    RESETS,
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
from tests.listeners.http2_rig import ANSWER, TARGET, Talk, breaks, frame
from tests.support.for_each import for_each


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
