"""HTTP/2 without sockets: an ordinary client, and uncommon ones that are right."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes
from hpack import Encoder

from resolver.listeners.http import (
    MEDIA_TYPE,
    STALL_S,
)
from tests.listeners.http2_rig import ANSWER, QUERY, TARGET, Talk, frame, frames_in

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
