"""HTTP/1.1 without sockets: requests one by one, and shapes that two programs can read in two ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.listeners import http1
from resolver.listeners.http import BROKEN, CONTROL, OVER_HEADERS, Arrived, HttpRequest
from resolver.listeners.http1 import CHUNKS_MAX, Http1Session
from tests.listeners.http2_rig import ANSWER, QUERY
from tests.support.for_each import for_each

TARGET = "/dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB"
GET = f"GET {TARGET} HTTP/1.1\r\nhost: dns.example\r\n\r\n".encode()
POST = "POST /dns-query HTTP/1.1\r\nhost: dns.example\r\ncontent-type: application/dns-message\r\n"


def post(more: str = f"content-length: {len(QUERY)}", body: bytes = QUERY) -> bytes:
    return f"{POST}{more}\r\n\r\n".encode() + body


CHUNKED = post("transfer-encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(QUERY), QUERY))


class Talk:
    """Octets of a client and the session under test."""

    def __init__(self, header_octets_max: int = 16_384) -> None:
        self.session = Http1Session(header_octets_max=header_octets_max)
        self.buffer = bytearray()
        self.said = b""
        self.reasons: list[str] = []

    def feed(self, octets: bytes = b"") -> list[Arrived]:
        self.buffer += octets
        arrived: list[Arrived] = []
        while True:
            taken, found = self.session.receive(self.buffer, 0, 0.0)
            del self.buffer[:taken]
            arrived += found
            if not taken:
                self.said += self.session.outgoing()
                return arrived

    def serve(self, octets: bytes) -> list[int]:
        """Answer everything that comes of `octets`; the statuses."""
        statuses = []
        arrived = self.feed(octets)
        while arrived:
            for one in arrived:
                self.reasons += [one.reason] * bool(one.reason)
                statuses.append(one.status or 200)
                self.session.answer(one.request, statuses[-1], b"" if one.status else ANSWER, b"Mon", 0.0)
            arrived = self.feed()
        return statuses


def test_a_get_is_answered_with_its_headers_and_the_connection_goes_on() -> None:
    talk = Talk()
    [arrived] = talk.feed(GET)
    assert arrived.message == QUERY
    talk.session.answer(arrived.request, 200, ANSWER, b"Mon", 0.0)
    head, _, body = talk.session.outgoing().partition(b"\r\n\r\n")
    assert body == ANSWER
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"content-length: %d" % len(ANSWER),
        b"date: Mon",
        b"content-type: application/dns-message",
        b"cache-control: max-age=300",
    ]
    assert talk.serve(GET) == [200] and not talk.session.is_over


@pytest.mark.parametrize(
    "octets", [post(), CHUNKED, post(body=QUERY) + GET, CHUNKED[:-2] + b"x-sum: 1\r\n\r\n"]
)
def test_a_post_is_a_query_however_its_body_is_measured(octets: bytes) -> None:
    [arrived] = Talk().feed(octets)
    assert (arrived.message, arrived.status) == (QUERY, 0)


@pytest.mark.parametrize("octets", [GET, post(), CHUNKED])
def test_one_octet_at_a_time_is_enough(octets: bytes) -> None:
    talk = Talk()
    arrived = [one for octet in octets for one in talk.feed(bytes([octet]))]
    assert [one.message for one in arrived] == [QUERY]


def test_requests_that_come_together_are_answered_in_order_one_at_a_time() -> None:
    talk = Talk()
    [first] = talk.feed(GET + post() + GET)
    assert not talk.session.takes_more
    talk.session.answer(first.request, 200, ANSWER, b"Mon", 0.0)
    assert talk.serve(b"") == [200, 200]
    assert talk.said.count(ANSWER) == 3


def test_head_gets_the_headers_of_get_and_no_body() -> None:
    talk = Talk()
    assert talk.serve(GET.replace(b"GET", b"HEAD") + GET) == [200, 200]
    assert talk.said.count(b"content-length: %d" % len(ANSWER)) == 2 and talk.said.count(ANSWER) == 1


def test_a_client_that_waits_for_a_sign_before_its_body_gets_it() -> None:
    talk = Talk()
    assert talk.feed(post(f"content-length: {len(QUERY)}\r\nexpect: 100-continue", b"")) == []
    assert talk.said.startswith(b"HTTP/1.1 100")
    assert talk.serve(QUERY) == [200]


def test_a_target_with_scheme_and_host_is_the_same() -> None:
    for prefix in (b"https://dns.example", b"HTTP://other.example:8443"):
        assert Talk().feed(GET.replace(b"/dns-query", prefix + b"/dns-query"))[0].message == QUERY


@pytest.mark.parametrize(
    "octets", [GET.replace(b"1.1", b"1.0"), GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")]
)
def test_a_client_that_wants_one_answer_gets_one_and_the_end(octets: bytes) -> None:
    talk = Talk()
    assert talk.serve(octets + GET) == [200]
    assert talk.session.is_over and b"connection: close" in talk.said.lower()


def test_a_client_that_would_switch_protocols_is_answered_as_ever() -> None:
    for more in (b"upgrade: h2c\r\nconnection: upgrade", b"upgrade: websocket\r\nconnection: upgrade"):
        assert Talk().serve(GET.replace(b"\r\n\r\n", b"\r\n" + more + b"\r\n\r\n"))[0] == 200


def test_empty_lines_before_a_request_are_passed_over() -> None:
    assert Talk().serve(b"\r\n\r\n" + GET) == [200]


def test_the_end_lets_an_open_request_be_answered() -> None:
    talk = Talk()
    [arrived] = talk.feed(GET + GET)
    talk.session.stop()
    talk.session.answer(arrived.request, 200, ANSWER, b"Mon", 0.0)
    assert talk.session.is_over and b"connection: close" in talk.session.outgoing().lower()
    assert talk.feed() == []


def test_a_query_that_gets_no_answer_ends_the_connection() -> None:
    talk = Talk()
    [arrived] = talk.feed(GET)
    assert not talk.session.reset(arrived.request)
    assert talk.session.reset(HttpRequest(0, False, ()))


# Refusals, after which the connection goes on.


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (GET.replace(b"dns=", b"dms="), 400),
        (GET.replace(b"/dns-query", b"/"), 404),
        (GET.replace(b"GET", b"PUT"), 405),
        (GET.replace(b"GET", b"OPTIONS"), 405),
        (post(body=b""[:0] + bytes(len(QUERY))).replace(b"application/dns-message", b"text/html"), 415),
        (post("content-length: 5", b"12345"), 400),
        (post("content-length: 0", b""), 400),
    ],
)
def test_a_refusal_has_its_status(octets: bytes, status: int) -> None:
    talk = Talk()
    assert talk.serve(octets)[0] == status
    assert (b"allow: GET, HEAD, POST" in talk.said) is (status == 405)


def test_after_a_refusal_whose_body_was_read_or_that_has_none_the_connection_goes_on() -> None:
    assert Talk().serve(GET.replace(b"GET", b"PUT") + post("content-length: 5", b"12345") + GET) == [
        405,
        400,
        200,
    ]


@pytest.mark.parametrize(
    "octets",
    [
        post("content-length: 70000", b"GET / HTTP/1.1\r\n"),
        post(body=QUERY).replace(b"application/dns-message", b"text/html"),
        post().replace(b"POST /dns-query", b"PUT /dns-query"),
        GET.replace(b"\r\n\r\n", b"\r\ncontent-length: 5\r\n\r\n12345"),
    ],
)
def test_a_body_that_is_not_read_ends_the_connection_with_the_answer(octets: bytes) -> None:
    talk = Talk()
    assert len(talk.serve(octets + GET)) == 1
    assert talk.session.is_over and b"connection: close" in talk.said.lower()


def test_a_body_of_chunks_that_is_too_long_gets_413() -> None:
    talk = Talk()
    body = b"4000\r\n" + bytes(0x4000) + b"\r\n"
    assert talk.serve(post("transfer-encoding: chunked", body * 5)) == [413]
    assert talk.session.is_over


# What two programs can read in two ways.


@for_each(
    "octets",
    [
        post(f"content-length: {len(QUERY)}\r\ntransfer-encoding: chunked", CHUNKED.partition(b"\r\n\r\n")[2]),
        post(f"transfer-encoding: chunked\r\ncontent-length: {len(QUERY)}", CHUNKED.partition(b"\r\n\r\n")[2]),
        post(f"content-length: {len(QUERY)}\r\ncontent-length: {len(QUERY) + 1}"),
        post("content-length: +33"),
        post("content-length: 0x21"),
        post("content-length: -1"),
        post("content-length: 33, 34"),
        post("content-length: ٣٣".encode().decode("latin-1")),
        post("transfer-encoding: xchunked"),
        post("transfer-encoding: gzip, chunked"),
        post("transfer-encoding: chunked, identity"),
        post("transfer-encoding : chunked"),
        post("transfer-encoding:\x0bchunked"),
        post("x: y\ntransfer-encoding: chunked"),
        post("x: y\rtransfer-encoding: chunked"),
        post("x: y\r\n transfer-encoding: chunked"),
        post("x: \0"),
        post(": empty"),
        CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0"),
        CHUNKED.replace(b"21\r\n", b"0x21\r\n"),
        CHUNKED.replace(b"21\r\n", b"+21\r\n"),
        CHUNKED.replace(b"21\r\n", b"-1\r\n"),
        CHUNKED.replace(b"21\r\n", b"fffffffffffffffffffff\r\n"),
        GET.replace(b"\r\n", b"\n"),
        GET.replace(b"host: dns.example\r\n", b""),
        GET.replace(b"host: dns.example", b"host: a\r\nhost: b"),
        GET.replace(b" HTTP/1.1", b""),
        GET.replace(b"HTTP/1.1", b"HTTP/2.0"),
        GET.replace(b"GET ", b"GET  "),
        GET.replace(b"GET ", b" GET "),
        GET.replace(b"GET ", b"G\xc3\x84T "),
        b"\x16\x03\x01\0\1\1\0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_gets_400_and_the_end(octets: bytes) -> None:
    talk = Talk()
    assert talk.serve(octets + GET) == [400]
    assert talk.session.is_over and talk.said.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in talk.said.lower()


def test_a_bare_line_end_is_refused_before_the_head_is_whole() -> None:
    talk = Talk()
    assert talk.serve(b"GET / HTTP/1.1\n") == [400] and talk.reasons == [BROKEN]


# Limits.


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GET /dns-query?dns=" + b"A" * 100_000, 414),
        (b"GET /dns-query?dns=" + b"A" * 9_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 414),
        (GET[:-2] + b"x: " + b"a" * 100_000, 431),
        (GET[:-2] + b"x: y\r\n" * 10_000, 431),
        (b"A" * 100_000, 414),
    ],
)
def test_a_head_that_is_too_long_gets_its_status_before_it_ends(octets: bytes, status: int) -> None:
    talk = Talk()
    assert talk.serve(octets) == [status]
    assert talk.reasons in ([OVER_HEADERS], []) and (talk.session.is_over or status == 414)


def test_a_body_in_too_many_pieces_is_refused() -> None:
    talk = Talk()
    assert talk.serve(post("transfer-encoding: chunked", b"1\r\na\r\n" * (CHUNKS_MAX + 1))) == [400]
    assert talk.reasons == [CONTROL]


def test_what_is_held_is_counted() -> None:
    talk = Talk()
    talk.feed(post("content-length: 60000", bytes(30_000)))
    assert talk.session.held_octets == 30_000
    talk.serve(bytes(30_000))
    assert talk.session.held_octets == 0


@given(st.lists(st.binary(max_size=80) | st.sampled_from([GET, POST.encode(), CHUNKED, b"\r\n\r\n", b"\r\n", b"content-length: 3\r\n", b"0\r\n\r\n"]), max_size=8))  # fmt: skip
def test_no_octets_raise(parts: list[bytes]) -> None:
    talk = Talk()
    for part in parts:
        talk.serve(part)
    talk.session.end()
    talk.session.outgoing()


def test_a_head_in_single_octets_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    class Noting:
        def search(self, octets: bytearray | bytes, start: int = 0) -> None:
            looked.append(len(octets) - start)

    monkeypatch.setattr(http1, "_TWO_WAYS", Noting())
    talk = Talk()
    head = GET[:-2] + b"x: " + b"a" * 4_000 + b"\r\n\r\n"
    for octet in head[:-1]:
        assert talk.feed(bytes([octet])) == []
    assert len(talk.feed(head[-1:])) == 1
    assert sum(looked) <= 6 * len(head)


@pytest.mark.parametrize("odd", [b"a\nb: c", b"a\rb: c", b"a: \0", b"a: b\r\n c: d"])
def test_what_two_programs_read_in_two_ways_is_found_however_it_comes(odd: bytes) -> None:
    talk = Talk()
    statuses = []
    for octet in GET[:-2] + odd + b"\r\n\r\n":
        statuses += talk.serve(bytes([octet]))
    assert statuses[:1] == [400] and talk.reasons == [BROKEN]
