"""One client's connection: any method, any path, whatever octets."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.block_page.conversation import HEAD_OCTETS_MAX, REQUESTS_MAX, STATUSES, Conversation, Desk
from resolver.block_page.notice import Operator
from tests.block_page.pages import desk_of
from tests.support.for_each import for_each

DESK = desk_of()
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "PROPFIND", "BREW")


class Answer:
    """One answer, taken apart."""

    def __init__(self, octets: bytes) -> None:
        head, _, self.body = octets.partition(b"\r\n\r\n")
        first, *lines = head.decode("ascii").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    @property
    def text(self) -> str:
        return self.body.decode()


def request(
    host: str | None = "newcoin.example", method: str = "GET", target: str = "/", **headers: str
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [] if host is None else [f"Host: {host}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def ask(octets: bytes, desk: Desk = DESK) -> Answer:
    return Answer(Conversation(desk).receive(octets))


@for_each("method", METHODS)
@for_each("target", ["/", "/a/b?c=d", "*", "/%00/../..", "/" + "x" * 4_000])
def test_any_method_and_path_gets_the_page(method: str, target: str) -> None:
    answer = ask(request(method=method, target=target))
    assert answer.status == 451
    assert ("NewCoin" in answer.text) is (method != "HEAD")
    assert int(answer.headers["content-length"]) > 100


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("newcoin.example", 451),
        ("beta.example", 403),
        ("hidden.example", 403),
        ("ok.newcoin.example", 404),
        ("other.example", 404),
        ("192.0.2.80", 404),
        ("[2001:db8::80]:80", 404),
        ("a@newcoin.example", 400),
        ("x" * 5_000, 400),
    ],
)
def test_the_status_says_what_kind_of_refusal_it_is(host: str, status: int) -> None:
    assert ask(request(host)).status == status


def test_while_there_is_no_policy_visitors_are_asked_to_come_again() -> None:
    answer = ask(request(), Desk(DESK.catalogue, DESK.operator))
    assert answer.status == 503 and int(answer.headers["retry-after"]) > 0
    assert "newcoin" not in answer.text


def test_the_link_names_who_blocks_and_the_text_who_ordered_it() -> None:
    answer = ask(
        request(), desk_of(operator=Operator("Net", "mailto:a@example.net", "https://www.example.net/f"))
    )
    assert answer.headers["link"] == '<https://www.example.net/f>; rel="blocked-by"'
    assert "Financial Markets Authority" in answer.text and "FMA 2026/17" in answer.text


@pytest.mark.parametrize(
    ("operator", "target"),
    [
        (Operator(), "mailto:noc@example.net"),
        (Operator(contact="tel:+49301234"), "tel:+49301234"),
        (Operator(contact="Room 5, call 117"), None),
        (Operator(contact='mailto:x>; rel="evil'), None),
        (Operator(contact="javascript:alert(1)"), None),
        (Operator(contact="mailto:"), None),
    ],
)
def test_the_link_is_a_uri_or_left_out(operator: Operator, target: str | None) -> None:
    link = ask(request(), desk_of(operator=operator)).headers.get("link")
    assert link == (None if target is None else f'<{target}>; rel="blocked-by"')


@pytest.mark.parametrize("host", ["other.example", "192.0.2.80"])
def test_what_is_not_blocked_has_no_link(host: str) -> None:
    assert "link" not in ask(request(host)).headers


@pytest.mark.parametrize("host", ["newcoin.example", "hidden.example", "other.example", "192.0.2.80"])
def test_it_allows_one_style_and_nothing_else_and_sets_and_keeps_nothing(host: str) -> None:
    answer = ask(request(host, Accept="text/html", Cookie="a=b"))
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert f"style-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert answer.headers["cache-control"] == "no-store" and "set-cookie" not in answer.headers
    assert not re.search(
        r"<script|<img|<link|<iframe|<object|<form|style=|url\(|@import|\bon\w+=", answer.text
    )


def test_what_a_proxy_would_say_counts_nothing() -> None:
    answer = ask(
        request(
            "other.example",
            X_Forwarded_Host="newcoin.example",
            Forwarded="host=newcoin.example",
            X_Forwarded_For="192.0.2.7",
            X_Original_URL="http://newcoin.example/",
        )
    )
    assert answer.status == 404 and "newcoin" not in answer.text and "192.0.2.7" not in answer.text


@for_each(
    ("accept", "kind"),
    [("text/html", "text/html"), ("*/*", "text/plain"), ("application/json", "application/json")],
)
@for_each("host", ["newcoin.example", "hidden.example", "other.example", "192.0.2.1"])
def test_it_is_written_as_the_client_likes(accept: str, kind: str, host: str) -> None:
    answer = ask(request(host, Accept=accept, Accept_Language="de"))
    assert answer.headers["content-type"].startswith(kind) and answer.headers["content-language"] == "de"
    assert "Accept" in answer.headers["vary"] and "Accept-Language" in answer.headers["vary"]
    if kind == "application/json":
        told = json.loads(answer.body)
        assert told["status"] == answer.status and told["blocked"] is (
            host in ("newcoin.example", "hidden.example")
        )


@pytest.mark.parametrize("accept", ["text/html", "*/*", "application/json"])
def test_of_what_is_confidential_nothing_is_named(accept: str) -> None:
    text = ask(request("hidden.example", Accept=accept)).text
    assert "The reason cannot be given here." in text
    for word in ("NewCoin", "Authority", "FMA", "House", "2026", "451"):
        assert word not in text.replace("Financial", "")


def test_several_requests_get_as_many_answers_up_to_the_last_one() -> None:
    conversation = Conversation(DESK)
    answers = conversation.receive(request() * (REQUESTS_MAX + 5))
    assert answers.count(b"HTTP/1.1 451") == REQUESTS_MAX == len(conversation.statuses)
    assert answers.count(b"Connection: close") == 1 and conversation.is_over
    assert conversation.leaves_octets_unread and conversation.receive(request()) == b""


def test_a_further_request_over_the_rate_ends_the_connection_and_the_first_never_does() -> None:
    conversation = Conversation(DESK, lambda: False)
    assert conversation.receive(request() * 3).count(b"HTTP/1.1 451") == 1
    assert conversation.is_over


def test_a_body_is_not_read_and_ends_the_connection() -> None:
    conversation = Conversation(DESK)
    answer = conversation.receive(request(method="POST", Content_Length="1000000") + b"x" * 100)
    assert answer.startswith(b"HTTP/1.1 451") and b"Connection: close" in answer
    assert conversation.is_over and conversation.leaves_octets_unread


def test_a_client_that_closes_ends_it() -> None:
    conversation = Conversation(DESK)
    conversation.receive(request())
    assert conversation.is_resting and conversation.receive(b"") == b"" and conversation.is_over


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"garbage\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\x00\r\n\r\n",
    ],
)
def test_what_is_no_request_gets_one_refusal_and_the_end(octets: bytes) -> None:
    conversation = Conversation(DESK)
    answer = conversation.receive(octets)
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1") == 1
    assert conversation.is_over and conversation.statuses == [400]


@pytest.mark.parametrize(
    "octets", [b"x\r\n\r\n", b"\0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"y" * 9_000, b"GET", b""]
)
def test_what_is_no_request_behind_a_head_request_is_refused_all_the_same(octets: bytes) -> None:
    conversation = Conversation(DESK)
    assert conversation.receive(request(method="HEAD")).startswith(b"HTTP/1.1 451")
    conversation.receive(octets)
    conversation.receive(b"")
    assert conversation.is_over and set(conversation.statuses) <= {451, 400, 431}


def test_a_head_that_grows_for_ever_is_refused() -> None:
    conversation = Conversation(DESK)
    assert conversation.receive(b"GET / HTTP/1.1\r\n") == b""
    answer = b"".join(conversation.receive(b"X: y\r\n" * 100) for _ in range(HEAD_OCTETS_MAX // 600 + 2))
    assert answer.startswith(b"HTTP/1.1 431 ") and conversation.is_over


def test_it_makes_no_difference_in_how_many_pieces_a_request_comes() -> None:
    whole = request(Accept="text/html")
    conversation = Conversation(DESK)
    pieces = [conversation.receive(whole[at : at + 1]) for at in range(len(whole))]
    assert b"".join(pieces) == Conversation(DESK).receive(whole) and pieces[:-1] == [b""] * (len(whole) - 1)


PIECES = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([request(), request(method="HEAD"), request(method="POST"), b"GET", b"\r\n"]),
)


@given(st.lists(PIECES, max_size=5))
def test_no_octets_raise_and_no_other_status_is_sent(pieces: list[bytes]) -> None:
    conversation = Conversation(DESK)
    for piece in pieces:
        conversation.receive(piece)
    assert set(conversation.statuses) <= set(STATUSES)


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=300))
def test_no_host_breaks_out_of_the_page(host: str) -> None:
    octets = request(None, Accept="text/html").replace(
        b"\r\n", b"\r\nHost: " + host.encode("latin-1") + b"\r\n", 1
    )
    conversation = Conversation(DESK)
    answer = conversation.receive(octets)
    if answer and conversation.statuses[0] in (404, 451):
        page = Answer(answer).text
        assert page.count("<main") == 1 and "<script" not in page
