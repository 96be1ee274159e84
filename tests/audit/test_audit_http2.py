"""Queries as HTTP/2 requests: what an audit sends, and what it takes for an answer."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import pytest

from resolver.audit.http2 import ANSWER_OCTETS_MAX, Posts

QUERY = b"\x12\x34" + bytes(10) + b"\0\0\1\0\1"


class Server:
    """The other half."""

    def __init__(self) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.http = h2.connection.H2Connection(config)
        self.http.initiate_connection()
        self.requests: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = {}

    def take(self, octets: bytes) -> None:
        for event in self.http.receive_data(octets):
            if isinstance(event, h2.events.RequestReceived):
                self.requests[event.stream_id] = {str(name): str(value) for name, value in event.headers}
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data

    def reply(self, number: int, status: str, body: bytes) -> bytes:
        self.http.send_headers(number, [(":status", status)])
        for start in range(0, len(body), 16_384):
            self.http.send_data(number, body[start : start + 16_384])
        self.http.end_stream(number)
        return self.http.data_to_send()


@pytest.fixture
def pair() -> tuple[Posts, Server]:
    posts, server = Posts("dns.example", "/dns-query"), Server()
    server.take(posts.post(QUERY))
    return posts, server


def test_a_query_is_a_post_of_its_octets(pair: tuple[Posts, Server]) -> None:
    _, server = pair
    assert server.bodies == {1: QUERY}
    fields = server.requests[1]
    assert (fields[":method"], fields[":path"], fields[":authority"]) == ("POST", "/dns-query", "dns.example")
    assert fields["content-type"] == fields["accept"] == "application/dns-message"
    assert fields["content-length"] == str(len(QUERY))


def test_a_body_with_status_200_is_an_answer(pair: tuple[Posts, Server]) -> None:
    posts, server = pair
    assert posts.receive(server.reply(1, "200", b"an answer")) == ([b"an answer"], [])


def test_answers_come_out_of_order(pair: tuple[Posts, Server]) -> None:
    posts, server = pair
    server.take(posts.post(b"\x56\x78" + QUERY[2:]))
    assert posts.receive(server.reply(3, "200", b"second")) == ([b"second"], [])
    assert posts.receive(server.reply(1, "200", b"first")) == ([b"first"], [])


@pytest.mark.parametrize("status", ["400", "403", "415", "500"])
def test_another_status_answers_nothing(pair: tuple[Posts, Server], status: str) -> None:
    posts, server = pair
    assert posts.receive(server.reply(1, status, b"an answer")) == ([], [0x1234])


def test_a_stream_that_is_reset_answers_nothing(pair: tuple[Posts, Server]) -> None:
    posts, server = pair
    server.http.reset_stream(1)
    assert posts.receive(server.http.data_to_send()) == ([], [0x1234])


def test_a_body_longer_than_a_message_is_not_kept(pair: tuple[Posts, Server]) -> None:
    posts, server = pair
    head = server.http
    head.send_headers(1, [(":status", "200")])
    lost: list[int] = []
    for _ in range(ANSWER_OCTETS_MAX // 16_384 + 1):
        window = min(16_384, head.local_flow_control_window(1))
        head.send_data(1, bytes(window))
        answers, more = posts.receive(head.data_to_send())
        assert answers == []
        lost += more
        server.take(posts.control())
        if lost:
            break
    assert lost == [0x1234]


def test_who_says_goodbye_is_asked_no_more(pair: tuple[Posts, Server]) -> None:
    posts, server = pair
    server.http.close_connection()
    with pytest.raises(EOFError):
        posts.receive(server.http.data_to_send())
    with pytest.raises(EOFError):
        posts.post(QUERY)


def test_what_breaks_the_rules_ends_it(pair: tuple[Posts, Server]) -> None:
    posts, _ = pair
    with pytest.raises(EOFError):
        # DATA on the connection itself.
        posts.receive(b"\0\0\1\0\0\0\0\0\0x")
