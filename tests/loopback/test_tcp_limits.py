"""TCP as clients misuse it: each limit is met politely and hurts nobody else."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import dns.message
import dns.rcode
import pytest

from tests.loopback.process import poll, resident_mb
from tests.loopback.server import Server, running_server
from tests.loopback.slow_upstream import ADDRESS, SlowUpstream

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.usefixtures("serving_engine")]

IDLE_S = 1.0
"""Idle limit of these servers: as short as settings allow."""
IDLE_SLACK_S = 3.0
REPLY_S_MAX = 5.0


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory, serving_engine: str) -> Iterator[Server]:
    """A server whose upstream never lets go of `held` names."""
    with (
        SlowUpstream() as upstream,
        running_server(
            tmp_path_factory.mktemp("slow"), upstream.port, changes={"limits": {"tcp_idle_s": IDLE_S}}
        ) as server,
    ):
        yield server


def connect(server: Server, source: str = "127.0.0.1") -> socket.socket:
    connection = socket.create_connection(
        ("127.0.0.1", server.port), timeout=REPLY_S_MAX, source_address=(source, 0)
    )
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def framed(qname: str, qtype: str = "A", number: int = 1) -> bytes:
    query = dns.message.make_query(qname, qtype, id=number)
    octets = query.to_wire()
    return len(octets).to_bytes(2, "big") + octets


def read_exactly(connection: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        more = connection.recv(count - len(octets))
        if not more:
            raise EOFError
        octets += more
    return octets


def read_reply(connection: socket.socket) -> dns.message.Message:
    length = int.from_bytes(read_exactly(connection, 2), "big")
    return dns.message.from_wire(read_exactly(connection, length))


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_twenty_pipelined_queries_are_answered_and_a_slow_one_blocks_none(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with (
        SlowUpstream() as upstream,
        running_server(tmp_path_factory.mktemp("pipelined"), upstream.port) as server,
        connect(server) as connection,
    ):
        queries = [framed("held.example.org", number=1)]
        queries += [framed(f"name{number}.example.org", number=number) for number in range(2, 21)]
        connection.sendall(b"".join(queries))
        quick = [read_reply(connection) for _ in range(19)]
        assert {reply.id for reply in quick} == set(range(2, 21))
        upstream.release()
        last = read_reply(connection)
        assert last.id == 1
        assert ADDRESS in last.to_text()


def test_a_query_in_single_octets_is_answered(slow: Server) -> None:
    with connect(slow) as connection:
        for octet in framed("www.example.org"):
            connection.sendall(bytes([octet]))
        assert ADDRESS in read_reply(connection).to_text()


def test_a_client_that_closed_its_half_still_gets_its_answers(slow: Server) -> None:
    with connect(slow) as connection:
        connection.sendall(framed("half.example.org", number=1) + framed("half.example.net", number=2))
        connection.shutdown(socket.SHUT_WR)
        assert {read_reply(connection).id, read_reply(connection).id} == {1, 2}
        assert is_closed(connection)


def test_an_idle_connection_is_closed_but_not_too_soon(slow: Server) -> None:
    with connect(slow) as connection:
        connection.sendall(framed("www.example.org"))
        read_reply(connection)
        began = time.monotonic()
        assert is_closed(connection)
        assert IDLE_S * 0.9 <= time.monotonic() - began <= IDLE_S + IDLE_SLACK_S


def test_octets_that_never_become_a_query_do_not_keep_a_connection_alive(slow: Server) -> None:
    with connect(slow) as connection:
        connection.sendall(framed("www.example.org")[:5])
        began = time.monotonic()
        assert is_closed(connection)
        assert time.monotonic() - began <= IDLE_S + IDLE_SLACK_S


@pytest.mark.parametrize("message", [b"", bytes(1), bytes(11)])
def test_a_message_too_short_to_be_one_ends_the_connection(slow: Server, message: bytes) -> None:
    with connect(slow) as connection:
        began = time.monotonic()
        connection.sendall(len(message).to_bytes(2, "big") + message)
        assert is_closed(connection)
        assert time.monotonic() - began < IDLE_S * 0.9


def test_a_broken_query_gets_formerr_and_the_connection_lives(slow: Server) -> None:
    with connect(slow) as connection:
        header_only = bytes.fromhex("000701000000000000000000")
        connection.sendall(len(header_only).to_bytes(2, "big") + header_only)
        assert read_reply(connection).rcode() == dns.rcode.FORMERR
        connection.sendall(framed("www.example.org"))
        assert ADDRESS in read_reply(connection).to_text()


@pytest.mark.needs("nsd")
def test_a_client_that_never_reads_is_cut_off_and_costs_little(
    tmp_path_factory: pytest.TempPathFactory, authority: int
) -> None:
    with (
        running_server(tmp_path_factory.mktemp("unread"), authority) as server,
        connect(server) as connection,
    ):
        connection.sendall(framed("huge.example.org", "TXT"))
        read_reply(connection)
        before_mb = resident_mb(server.pid)
        connection.setblocking(False)
        burst = framed("huge.example.org", "TXT") * 100

        def is_cut() -> bool:
            try:
                connection.send(burst)
            except BlockingIOError:
                return False
            except OSError:
                return True
            return False

        poll(is_cut, timeout_s=20.0, what="the server cuts off a client that never reads")
        assert resident_mb(server.pid) - before_mb < 20
        assert server.metric("resolver_dropped_total", reason="tcp_client_does_not_read") == 1
        assert server.ask("www.example.org", tcp=True).rcode() == dns.rcode.NOERROR


def test_a_thousand_idle_connections_of_one_client_do_not_stop_another(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # Idle connections outlive the test here, so that all thousand count at once.
    limits = {"tcp_connections_per_client_max": 100, "tcp_idle_s": 600.0}
    with (
        SlowUpstream() as upstream,
        running_server(tmp_path_factory.mktemp("idle"), upstream.port, changes={"limits": limits}) as server,
        ExitStack() as stack,
    ):
        for _ in range(1000):
            stack.enter_context(connect(server, "127.0.0.2"))
        with connect(server, "127.0.0.3") as other:
            other.sendall(framed("www.example.org"))
            assert ADDRESS in read_reply(other).to_text()
        assert server.metric("resolver_dropped_total", reason="tcp_connections_per_client_max") == 900
        assert server.ask("www.example.org").rcode() == dns.rcode.NOERROR


def test_a_connection_that_keeps_asking_is_not_closed_as_idle(slow: Server) -> None:
    with connect(slow) as connection:
        began = time.monotonic()
        count = 0
        while time.monotonic() - began < 2 * IDLE_S + 1.0:
            connection.sendall(framed("www.example.org"))
            assert ADDRESS in read_reply(connection).to_text()
            count += 1
        assert count > 10
