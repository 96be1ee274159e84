"""Upstreams with oddities, over real sockets: what they cannot do costs little, and nothing for ever."""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Timer

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from tests.fuzz.rig import IS_LONG
from tests.loopback.odd_upstream import (
    ADDRESS,
    OddUpstream,
    Reply,
    Serve,
    Stream,
    failing,
    good,
    name_of,
    serve_well,
)
from tests.loopback.server import Server, running_server

pytestmark = pytest.mark.loopback

PROMPT_S = 1.5
"""Well under the two seconds after which a question fails."""

Start = Callable[..., tuple[Server, OddUpstream]]


@pytest.fixture
def start(serving_engine: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a server in front of an upstream as the test wants it."""
    with ExitStack() as stack:

        def start(
            udp: Reply = good, tcp: Serve | None = None, scheme: str = "udp"
        ) -> tuple[Server, OddUpstream]:
            upstream = stack.enter_context(OddUpstream(udp, tcp))
            servers = [f"{scheme}://127.0.0.1:{upstream.port}"]
            changes = {"upstreams": {"servers": servers}}
            server = stack.enter_context(running_server(tmp_path, upstream.port, changes=changes))
            return server, upstream

        yield start


def rcode_of(answer: dns.message.Message) -> str:
    return dns.rcode.to_text(answer.rcode())


def ask_names(server: Server, names: Sequence[str]) -> list[str]:
    """The rcodes, one question after the other; each must come promptly."""
    rcodes = []
    for name in names:
        began = time.monotonic()
        rcodes.append(rcode_of(server.ask(name)))
        assert time.monotonic() - began < PROMPT_S, name
    return rcodes


def ask_at_once(server: Server, count: int, prefix: str) -> Counter[int]:
    """The rcodes of so many questions, all sent before the first answer is read."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        client.connect(("127.0.0.1", server.port))
        for number in range(count):
            client.send(encoded(f"{prefix}{number}.example.org", number))
        rcodes: Counter[int] = Counter()
        while rcodes.total() < count and select.select([client], [], [], 5.0)[0]:
            rcodes[client.recv(4096)[3] & 15] += 1
    return rcodes


def encoded(name: str, number: int) -> bytes:
    return encode_query(
        name_from_text(name), 1, id=number & 0xFFFF, dnssec_ok=False, checking_disabled=False, edns=False
    )


def numbered(count: int, word: str = "name") -> list[str]:
    return [f"{word}-{number}.example.org" for number in range(count)]


# Letter case.


def test_every_name_is_found_of_an_upstream_that_compares_case_and_soon_with_one_query(start: Start) -> None:
    def compare(query: bytes) -> bytes | None:
        return good(query) if name_of(query) == name_of(query).lower() else failing("NXDOMAIN")(query)

    server, upstream = start(compare)
    assert ask_names(server, numbered(20)) == ["NOERROR"] * 20
    before = len(upstream.asked)
    assert ask_names(server, numbered(20, "more")) == ["NOERROR"] * 20
    assert len(upstream.asked) - before == 20


def lower_the_question(query: bytes) -> bytes:
    end = 12 + len(name_of(query))
    return good(query[:12] + query[12:end].lower() + query[end:])


@pytest.mark.parametrize("tcp", [None, serve_well], ids=["without-tcp", "with-tcp"])
def test_an_upstream_that_answers_in_lower_case_soon_gets_one_query_a_name(
    start: Start, tcp: Serve | None
) -> None:
    server, upstream = start(lower_the_question, tcp)
    assert ask_names(server, numbered(20)) == ["NOERROR"] * 20
    before, connections = len(upstream.asked), upstream.connections
    assert ask_names(server, numbered(20, "more")) == ["NOERROR"] * 20
    assert (len(upstream.asked) - before, upstream.connections) == (20, connections)
    assert server.metric("resolver_upstream_up") == 1.0


def test_an_ordinary_upstream_is_asked_once_for_a_name_that_is_not_there(start: Start) -> None:
    def some(query: bytes) -> bytes | None:
        return failing("NXDOMAIN")(query) if b"gone" in name_of(query).lower() else good(query)

    server, upstream = start(some)
    assert ask_names(server, numbered(3)) == ["NOERROR"] * 3
    before = len(upstream.asked)
    assert ask_names(server, numbered(20, "gone")) == ["NXDOMAIN"] * 20
    assert len(upstream.asked) - before == 20


# TCP connections.


@pytest.mark.parametrize("answers", [1, 3])
def test_forty_at_a_time_are_answered_over_connections_that_take_few(start: Start, answers: int) -> None:
    def close_soon(stream: Stream, number: int) -> None:
        for _ in range(answers):
            if query := stream.read():
                stream.write(good(query))

    server, _ = start(tcp=close_soon, scheme="tcp")
    for turn in ("one", "two"):
        assert ask_at_once(server, 40, turn) == {0: 40}


def test_a_connection_that_fell_silent_is_replaced(start: Start, serving_engine: str) -> None:
    # The first is that of the question at the start, and the native plane has connections of its own.
    silent = 1 if serving_engine == "native" else 0

    def fall_silent(stream: Stream, number: int) -> None:
        if number != silent:
            serve_well(stream, number)
        elif query := stream.read():
            stream.write(good(query))
            stream.wait_for_the_end()

    server, upstream = start(tcp=fall_silent, scheme="tcp")
    assert ask_names(server, numbered(23)) == ["NOERROR"] * 23
    assert silent + 2 <= upstream.connections <= silent + 3
    server.wait_for(
        lambda: server.metric("resolver_upstream_connections_broken_total") >= 1.0, "a silent one is counted"
    )


@pytest.mark.parametrize("more", [1, -1, 2000])
def test_a_connection_that_lost_its_framing_is_replaced(start: Start, more: int) -> None:
    def miscount(stream: Stream, number: int) -> None:
        if number:
            return serve_well(stream, number)
        for left in (1, 0):
            if query := stream.read():
                octets = good(query)
                stream.write(octets, length=len(octets) if left else len(octets) + more)
        return serve_well(stream, number)

    server, upstream = start(tcp=miscount, scheme="tcp")
    rcodes = ask_names(server, numbered(23))
    assert rcodes.count("NOERROR") >= 22, "the answer of the wrong length itself may be lost"
    assert 2 <= upstream.connections <= 3


# Answers that are none.


def test_answers_that_cannot_be_read_fail_at_once_and_take_nothing_down(start: Start) -> None:
    def break_it(query: bytes) -> bytes:
        if b"broken" not in name_of(query).lower():
            return good(query)
        answer = good(query)
        end = 16 + len(name_of(query))
        return answer[:end] + b"\xff" * (len(answer) - end)

    def break_streams(stream: Stream, number: int) -> None:
        while query := stream.read():
            stream.write(break_it(query))

    server, upstream = start(break_it, break_streams)
    ask_names(server, numbered(1))
    before = len(upstream.asked)
    for number in range(20):
        began = time.monotonic()
        assert rcode_of(server.ask(f"broken-{number}.example.org")) == "SERVFAIL"
        assert time.monotonic() - began < 0.3
    assert len(upstream.asked) - before == 20
    reasons = {
        reason: server.metric("resolver_upstream_failures_total", reason=reason)
        for reason in ("malformed", "timeout", "near_miss")
    }
    assert reasons == {"malformed": 40.0, "timeout": 0.0, "near_miss": 0.0}
    assert server.metric("resolver_upstream_up") == 1.0
    assert ask_names(server, numbered(3, "fine")) == ["NOERROR"] * 3


GARBAGE: dict[str, Callable[[bytes], bytes]] = {
    "a frame without a message": lambda query: b"\0\0",
    "a frame that is too short": lambda query: b"\0\5HELLO",
    "an ID that nobody has": lambda query: framed(bytes([query[0] ^ 1]) + good(query)[1:]),
    "a query": lambda query: framed(query),
    "the answer to another question": lambda query: framed(query[:2] + good(other_query(query))[2:]),
    "an answer that ends too soon": lambda query: framed(good(query)[:-3]),
}


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


def other_query(query: bytes) -> bytes:
    return query[:13] + bytes([query[13] ^ 1]) + query[14:]


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_over_a_stream_fails_soon_with_three_queries_and_takes_nothing_down(
    start: Start, kind: str
) -> None:
    asked: Counter[bytes] = Counter()

    def break_streams(stream: Stream, number: int) -> None:
        while query := stream.read():
            name = name_of(query).lower()
            asked[name] += 1
            if b"broken" in name:
                stream.write_raw(GARBAGE[kind](query))
            else:
                stream.write(good(query))

    server, _ = start(tcp=break_streams, scheme="tcp")
    assert ask_names(server, numbered(1)) == ["NOERROR"]
    for number in range(5):
        began = time.monotonic()
        assert rcode_of(server.ask(f"broken-{number}.example.org")) == "SERVFAIL"
        assert time.monotonic() - began < 1.0
        assert ask_names(server, numbered(1, f"fine-{number}")) == ["NOERROR"]
    asked_of_broken = {name: count for name, count in asked.items() if b"broken" in name}
    assert len(asked_of_broken) == 5 and max(asked_of_broken.values()) <= 3
    assert max(count for name, count in asked.items() if b"broken" not in name) == 1
    reasons = {
        reason: server.metric("resolver_upstream_failures_total", reason=reason)
        for reason in ("timeout", "stream", "network")
    }
    assert reasons == {"timeout": 0.0, "stream": 0.0, "network": 0.0}
    assert server.metric("resolver_upstream_failures_total", reason="malformed") >= 5.0
    assert server.metric("resolver_upstream_up") == 1.0


@pytest.mark.parametrize("kind", GARBAGE)
def test_one_broken_name_takes_no_other_with_it(start: Start, kind: str) -> None:
    """Slow names wait on the connection that the broken one breaks, each time that it is asked again."""

    def answer_late(stream: Stream, query: bytes) -> None:
        # The client closes a connection with garbage.
        with suppress(OSError):
            stream.write(good(query))

    def break_streams(stream: Stream, number: int) -> None:
        while query := stream.read():
            if b"broken" in name_of(query).lower():
                stream.write_raw(GARBAGE[kind](query))
            else:
                Timer(0.05, answer_late, [stream, query]).start()

    server, _ = start(tcp=break_streams, scheme="tcp")
    assert ask_names(server, numbered(1)) == ["NOERROR"]
    for turn in range(5):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5.0)
            client.connect(("127.0.0.1", server.port))
            names = [f"slow-{turn}-{number}.example.org" for number in range(10)]
            for number, name in enumerate([*names[:5], f"broken-{turn}.example.org", *names[5:]]):
                client.send(encoded(name, number))
            rcodes = {answer[1]: answer[3] & 15 for answer in (client.recv(4096) for _ in range(11))}
        assert rcodes == {number: 2 if number == 5 else 0 for number in range(11)}
    assert server.metric("resolver_upstream_up") == 1.0


def test_servfail_for_every_name_leaves_the_upstream_up(start: Start) -> None:
    server, _ = start(failing("SERVFAIL"))
    assert ask_names(server, numbered(40)) == ["SERVFAIL"] * 40
    assert server.metric("resolver_upstream_up") == 1.0


def test_an_error_of_a_header_alone_to_edns_costs_a_few_names_one_query_more(start: Start) -> None:
    def refuse_edns(query: bytes) -> bytes:
        return query[:2] + b"\x81\x81" + bytes(8) if query[11] else good(query)

    server, upstream = start(refuse_edns)
    assert ask_names(server, numbered(10)) == ["NOERROR"] * 10
    before = len(upstream.asked)
    assert ask_names(server, numbered(10, "more")) == ["NOERROR"] * 10
    assert len(upstream.asked) - before == 10


def test_nodata_with_ns_alone_is_nodata(start: Start) -> None:
    def delegate(query: bytes) -> bytes:
        reply = dns.message.make_response(dns.message.from_wire(query), recursion_available=True)
        reply.authority.append(dns.rrset.from_text("example.org.", 60, "IN", "NS", "ns.example.net."))
        return reply.to_wire()

    server, _ = start(delegate)
    answer = server.ask("www.example.org")
    assert (rcode_of(answer), answer.answer, answer.authority) == ("NOERROR", [], [])


# Nobody answers.


@pytest.mark.slow
def test_while_the_only_upstream_is_silent_everybody_gets_an_answer(start: Start) -> None:
    server, _ = start(lambda query: None)
    server.wait_for(lambda: server.metric("resolver_upstream_up") == 0.0, "the upstream to be down", 15.0)
    for turn in range(10 if IS_LONG else 2):
        rcodes = ask_at_once(server, 2000, f"flood-{turn}-")
        assert rcodes == {2: 2000}
    assert server.metric("resolver_dropped_total", reason="ring_full") == 0.0
    answer = server.ask("last.example.org")
    assert {option.otype for option in answer.options} == {15}
    assert ADDRESS not in answer.to_text()
