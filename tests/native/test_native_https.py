"""DNS over HTTPS on the native plane, over real sockets: requests, answers, statuses, and who waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.native.https_play import ADDRESS, HttpsPlay, query, reply
from tests.support.https_client import TYPE, Http1Client, Http2Client, Response, target_of

native: Any = pytest.importorskip("resolver_native", reason="resolver_native is not built")
testing: Any = pytest.importorskip("resolver_native.testing", reason="resolver_native is not built")

pytestmark = pytest.mark.loopback


@pytest.fixture
def play(ads_image: Path) -> Iterator[HttpsPlay]:
    with HttpsPlay(native, ads_image) as made:
        yield made


@pytest.fixture
def http2(play: HttpsPlay) -> Iterator[Http2Client]:
    client = play.http2()
    yield client
    client.close()


@pytest.fixture
def http1(play: HttpsPlay) -> Iterator[Http1Client]:
    client = play.http1()
    yield client
    client.close()


def request(target: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """A request of HTTP/1.1."""
    length = [f"Content-Length: {len(body)}"] if body else []
    return (
        "\r\n".join([f"{method} {target} HTTP/1.1", "Host: dns.example", *headers, *length, "", ""]).encode()
        + body
    )


def post(message: bytes, *headers: str) -> bytes:
    return request("/dns-query", f"Content-Type: {TYPE}", *headers, method="POST", body=message)


PRINTER = query("printer.example")


def assert_is_the_printers(response: Response | None, max_age_s: int = 300) -> None:
    assert response is not None
    assert (response.status, response.headers["content-type"]) == (200, TYPE)
    assert response.headers["cache-control"] == f"max-age={max_age_s}"
    assert int(response.headers["content-length"]) == len(response.body)
    assert response.body[:4] == PRINTER[:2] + b"\x81\x80"
    assert response.body.endswith(ADDRESS)


# Methods and versions.


def test_get_and_post_have_the_same_answer_over_http2(http2: Http2Client) -> None:
    by_get, by_post = http2.get(PRINTER), http2.post(PRINTER)
    assert_is_the_printers(http2.response(by_get))
    assert_is_the_printers(http2.response(by_post))
    assert http2.response(by_get).body == http2.response(by_post).body


def test_get_and_post_have_the_same_answer_over_http1(http1: Http1Client) -> None:
    http1.send(request(target_of(PRINTER)))
    assert_is_the_printers(http1.response())
    http1.send(post(PRINTER))
    assert_is_the_printers(http1.response())


def test_head_has_everything_but_the_body(http2: Http2Client, http1: Http1Client) -> None:
    whole = http2.response(http2.get(PRINTER))
    head = http2.response(http2.get(PRINTER, "HEAD"))
    http1.send(request(target_of(PRINTER), method="HEAD") + request(target_of(PRINTER)))
    head1 = http1.response(of_head=True)
    for response in (head, head1):
        assert response is not None
        assert (response.status, response.body) == (200, b"")
        for name in ("content-type", "cache-control", "content-length"):
            assert response.headers[name] == whole.headers[name]
    # Nothing of a body came: the next response stands where it would be.
    assert_is_the_printers(http1.response())


def test_a_client_without_alpn_speaks_http1(play: HttpsPlay) -> None:
    client = play.http1(protocols=())
    client.send(request(target_of(PRINTER)))
    assert_is_the_printers(client.response())
    client.close()


def test_a_body_may_come_in_chunks_and_is_the_last_request_then(http1: Http1Client) -> None:
    chunks = (
        b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (PRINTER[:5], PRINTER[5:])) + b"0\r\n\r\n"
    )
    head = (
        f"POST /dns-query HTTP/1.1\r\nHost: a\r\nContent-Type: {TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    http1.send(head.encode() + chunks + request(target_of(PRINTER)))
    response = http1.response()
    assert_is_the_printers(response)
    assert response is not None
    assert response.headers["connection"] == "close"
    assert http1.is_closed()


def test_a_body_may_come_octet_by_octet(http2: Http2Client, http1: Http1Client) -> None:
    stream = http2.begin("POST", "/dns-query", ("content-type", TYPE), end=False)
    for at in range(len(PRINTER)):
        http2.state.send_data(stream, PRINTER[at : at + 1], end_stream=at + 1 == len(PRINTER))
        http2.flush()
    assert_is_the_printers(http2.response(stream))
    for octet in post(PRINTER):
        http1.send(bytes([octet]))
    assert_is_the_printers(http1.response())


def test_padded_frames_and_priorities_are_legal(http2: Http2Client) -> None:
    stream = http2.begin("POST", "/dns-query", ("content-type", TYPE), end=False)
    http2.state.prioritize(stream, weight=7, depends_on=0, exclusive=True)
    http2.state.send_data(stream, PRINTER, end_stream=True, pad_length=200)
    assert_is_the_printers(http2.response(stream))


def test_pipelined_requests_are_answered_in_their_order(http1: Http1Client) -> None:
    numbers = range(1, 21)
    http1.send(b"".join(post(query("printer.example", number)) for number in numbers))
    for number in numbers:
        response = http1.response()
        assert response is not None
        assert response.body[:2] == number.to_bytes(2, "big")


# Answers.


def test_every_rcode_is_a_success_of_http(http2: Http2Client) -> None:
    blocked = http2.response(http2.get(query("ads.example")))
    assert (blocked.status, blocked.body[3] & 15) == (200, 3)
    assert int(blocked.headers["cache-control"].removeprefix("max-age=")) > 0
    refused = http2.response(http2.get(query("example.org", qtype=252)))
    assert refused.status == 200
    assert refused.body[3] & 15 in (1, 4, 5)
    assert refused.headers["cache-control"] == "max-age=0"
    broken = http2.response(http2.get(bytes(12)))
    assert (broken.status, broken.body[3] & 15) == (200, 1)


def test_a_response_as_a_query_is_reset_and_nothing_else_is(http2: Http2Client, http1: Http1Client) -> None:
    as_query = PRINTER[:2] + b"\x81\x80" + PRINTER[4:]
    lost = http2.response(http2.get(as_query))
    assert (lost.status, lost.reset is not None) == (0, True)
    assert_is_the_printers(http2.response(http2.get(PRINTER)))
    http1.send(request(target_of(as_query)))
    assert http1.is_closed()


def test_a_miss_is_asked_natively_and_kept(play: HttpsPlay, http2: Http2Client) -> None:
    stream = http2.post(query("miss.example", 7))
    http2.flush()
    asked, sender = play.asked()
    play.upstream.sendto(reply(asked, ttl_s=60), sender)
    first = http2.response(stream)
    assert (first.status, first.body[:2], first.body[-4:]) == (200, b"\0\7", ADDRESS)
    assert first.headers["cache-control"] == "max-age=60"
    again = http2.response(http2.get(query("miss.example", 8)))
    assert again.body[2:] == first.body[2:]
    assert play.counter("punts") == 0


def test_answers_come_in_the_order_in_which_they_are_known(play: HttpsPlay, http2: Http2Client) -> None:
    slow, quick, known = (
        http2.post(query(name)) for name in ("slow.example", "quick.example", "printer.example")
    )
    http2.flush()
    asked = {}
    for _ in range(2):
        octets, sender = play.asked()
        asked[octets[12:17].lower()] = octets, sender
    assert_is_the_printers(http2.response(known))
    for name, stream in ((b"\5quic", quick), (b"\4slow", slow)):
        octets, sender = asked[name]
        play.upstream.sendto(reply(octets), sender)
        assert http2.response(stream).status == 200
        if stream == quick:
            assert http2.responses[slow].status == 0


def test_a_client_that_takes_its_request_back_leaves_nothing(play: HttpsPlay, http2: Http2Client) -> None:
    stream = http2.post(query("late.example"))
    http2.flush()
    asked, sender = play.asked()
    http2.state.reset_stream(stream)
    http2.flush()
    assert_is_the_printers(http2.response(http2.get(PRINTER)))
    play.upstream.sendto(reply(asked), sender)
    later = http2.response(http2.get(query("late.example")))
    assert later.body.endswith(ADDRESS)


def test_a_half_closed_connection_of_http1_is_still_answered(play: HttpsPlay, http1: Http1Client) -> None:
    http1.send(request(target_of(query("half.example"))))
    asked, sender = play.asked()
    # The end of what the client says, as TLS says it, and as TCP does.
    http1.sock.settimeout(None)
    play.upstream.sendto(reply(asked), sender)
    response = http1.response()
    assert response is not None
    assert response.body.endswith(ADDRESS)


# Statuses.


@pytest.mark.parametrize(
    ("status", "target", "method", "headers", "body"),
    [
        (404, "/", "GET", (), b""),
        (404, "/metrics", "DELETE", (), b""),
        (405, "/dns-query", "PUT", (), b""),
        (405, target_of(PRINTER), "DELETE", (), b""),
        (400, "/dns-query", "GET", (), b""),
        (400, "/dns-query?dns=" + "A" * 15, "GET", (), b""),
        (400, target_of(PRINTER) + "==", "GET", (), b""),
        (400, target_of(PRINTER) + "&dns=" + "A" * 16, "GET", (), b""),
        (415, "/dns-query", "POST", (), PRINTER),
        (415, "/dns-query", "POST", (("content-type", "application/json"),), PRINTER),
        (400, "/dns-query", "POST", (("content-type", TYPE),), b"x" * 11),
        (400, "/dns-query", "POST", (("content-type", TYPE),), b""),
        (414, "/dns-query?dns=" + "A" * 8192, "GET", (), b""),
    ],
)
def test_statuses_are_the_same_over_both_versions(
    play: HttpsPlay,
    status: int,
    target: str,
    method: str,
    headers: tuple[tuple[str, str], ...],
    body: bytes,
) -> None:
    over2 = play.http2()
    stream = over2.begin(method, target, *headers, end=not body)
    if body:
        over2.state.send_data(stream, body, end_stream=True)
    response2 = over2.response(stream)
    over1 = play.http1()
    over1.send(request(target, *(f"{name}: {value}" for name, value in headers), method=method, body=body))
    response1 = over1.response()
    assert response1 is not None
    assert (response2.status, response1.status) == (status, status)
    allow = "GET, HEAD, POST" if status == 405 else None
    assert (response2.headers.get("allow"), response1.headers.get("allow")) == (allow, allow)
    assert dict(play.plane.https_responses())[status] == 2
    # The connection of HTTP/2 goes on.
    assert_is_the_printers(over2.response(over2.get(PRINTER)))
    over2.close()
    over1.close()


def test_a_body_that_is_too_long_is_refused_before_it_is_read(play: HttpsPlay) -> None:
    over2 = play.http2()
    stream = over2.begin("POST", "/dns-query", ("content-type", TYPE), ("content-length", "65536"), end=False)
    assert over2.response(stream).status == 413
    over1 = play.http1()
    over1.send(
        f"POST /dns-query HTTP/1.1\r\nHost: a\r\nContent-Type: {TYPE}\r\nContent-Length: 65536\r\n\r\n".encode()
    )
    response = over1.response()
    assert response is not None
    assert response.status == 413
    over2.close()
    over1.close()


def test_a_body_that_becomes_too_long_is_refused(play: HttpsPlay) -> None:
    client = play.http1()
    head = (
        f"POST /dns-query HTTP/1.1\r\nHost: a\r\nContent-Type: {TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    client.send(head.encode() + b"8000\r\n" + bytes(0x8000) + b"\r\n" + b"8000\r\n" + bytes(0x8000))
    response = client.response()
    assert response is not None
    assert response.status == 413
    client.close()


def test_the_longest_message_is_taken(play: HttpsPlay) -> None:
    longest = PRINTER + bytes(65_535 - len(PRINTER))
    over2 = play.http2()
    stream = over2.begin("POST", "/dns-query", ("content-type", TYPE), end=False)
    sent = 0
    while sent < len(longest):
        room = min(over2.state.local_flow_control_window(stream), 16_384, len(longest) - sent)
        if not room:
            over2.flush()
            over2.read()
            continue
        over2.state.send_data(stream, longest[sent : sent + room], end_stream=sent + room == len(longest))
        sent += room
    response = over2.response(stream)
    # Octets behind the question are no query: FORMERR.
    assert (response.status, response.body[3] & 15) == (200, 1)
    over2.close()


# Defects.


def test_a_panic_costs_one_request(play: HttpsPlay, http2: Http2Client) -> None:
    testing.panic_stream_thread(play.plane, 0)
    lost = http2.response(http2.get(PRINTER))
    assert lost.reset is not None
    assert_is_the_printers(http2.response(http2.get(PRINTER)))
    assert play.counter("panics") == 1


def test_a_server_that_stops_answers_what_was_asked_and_says_goodbye(
    play: HttpsPlay, http2: Http2Client
) -> None:
    stream = http2.post(query("last.example"))
    http2.flush()
    asked, sender = play.asked()
    play.plane.stop_reading()
    # GOAWAY (type 7) names no last stream yet; the answer to the PING behind it lets the server name one.
    said = b""
    while said.count(b"\7\0\0\0\0\0") < 1 or b"\6\0\0\0\0\0" not in said:
        said += http2.sock.recv(4096)
    ping = said[said.index(b"\0\0\x08\6\0") :][:17]
    http2.raw(ping[:4] + b"\1" + ping[5:])
    play.upstream.sendto(reply(asked), sender)
    while octets := http2.sock.recv(4096):
        said += octets
    assert said.count(b"\7\0\0\0\0\0") == 2
    assert ADDRESS in said
    assert stream == 1
