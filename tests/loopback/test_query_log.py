"""The query log of a running server: each query once, and never at the cost of an answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
import pytest

from tests.loopback.process import poll
from tests.loopback.server import Server
from tests.loopback.slow_upstream import SlowUpstream
from tests.loopback.test_flood import encoded

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("serving_engine")]

BURSTS = 40
BURST = 100


@pytest.fixture
def upstream() -> Iterator[SlowUpstream]:
    with SlowUpstream() as upstream:
        yield upstream


def logging_server(folder: Path, upstream: SlowUpstream, **log: str) -> Server:
    changes = {"log": {"level": "warning", "format": "json", **log}}
    return Server(folder, upstream_ports=(upstream.port,), changes=changes)


def queries_in(log: str) -> list[dict[str, Any]]:
    """The lines of queries; every line must be whole."""
    lines = [json.loads(line) for line in log.splitlines()]
    return [line for line in lines if line["event"] == "query"]


def told(line: dict[str, Any]) -> tuple[str, ...]:
    """What a line says, in short."""
    return line["transport"], line["qname"], line["qtype"], line["rcode"], line["source"]


def ask_some(server: Server) -> Counter[tuple[str, ...]]:
    """One query of each kind, and two of some; what the log must say of them, however it is answered."""
    for _ in range(2):
        server.ask("www.blocked.example.net")
        server.ask("www.example.org")
        server.ask("www.alpha.example", "AAAA", tcp=True)
        server.ask("new.example.org", tcp=True)
    server.ask("www.Blocked.example.net", "TYPE4660")
    return Counter(
        {
            ("udp", "www.blocked.example.net", "A", "NXDOMAIN", "policy"): 2,
            ("udp", "www.example.org", "A", "NOERROR", "upstream"): 1,
            ("udp", "www.example.org", "A", "NOERROR", "cache"): 1,
            ("tcp", "www.alpha.example", "AAAA", "NXDOMAIN", "policy"): 2,
            ("tcp", "new.example.org", "A", "NOERROR", "upstream"): 1,
            ("tcp", "new.example.org", "A", "NOERROR", "cache"): 1,
            ("udp", "www.blocked.example.net", "TYPE4660", "NXDOMAIN", "policy"): 1,
        }
    )


def test_every_query_is_logged_once_to_the_last(upstream: SlowUpstream, tmp_path: Path) -> None:
    with logging_server(tmp_path, upstream, queries="all", clients="full") as server:
        began = time.time()
        wanted = ask_some(server)
        # At once: what is in the buffers is written before the end.
        server.send(signal.SIGTERM)
        assert server.wait_for_end() == 0
        lines = queries_in(server.stderr())
    assert Counter(map(told, lines)) == wanted
    assert {line["client"] for line in lines} == {"127.0.0.1"}
    assert {(line["exchange"], line["action"]) for line in lines if "exchange" in line} == {
        ("alpha", "nxdomain")
    }
    iso = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(began))
    assert iso <= min(line["time"] for line in lines)
    assert max(line["time"] for line in lines) <= time.strftime("%Y-%m-%dT%H:%M:%S.999Z", time.gmtime())


def test_only_what_is_blocked_is_logged_and_no_client(upstream: SlowUpstream, tmp_path: Path) -> None:
    with logging_server(tmp_path, upstream, queries="blocked") as server:
        assert server.metric("resolver_query_records_total", sink="log") == 0
        samples = server.metrics()
        assert samples['resolver_query_records_total{sink="log"}'] == 0
        assert samples['resolver_query_records_lost_total{sink="log"}'] == 0
        wanted = {kind: count for kind, count in ask_some(server).items() if kind[-1] == "policy"}
        total = sum(wanted.values())
        poll(
            lambda: server.metric("resolver_query_records_total", sink="log") == total,
            timeout_s=5.0,
            what="every record is written",
        )
        log = server.stderr()
    assert Counter(map(told, queries_in(log))) == wanted
    assert "127.0.0.1" not in log


def test_without_a_log_no_sink_is_named(upstream: SlowUpstream, tmp_path: Path) -> None:
    with logging_server(tmp_path, upstream) as server:
        ask_some(server)
        assert not [name for name in server.metrics() if "sink=" in name]
        assert server.stderr() == ""


def test_a_question_that_waits_is_logged_when_it_is_answered(upstream: SlowUpstream, tmp_path: Path) -> None:
    with (
        logging_server(tmp_path, upstream, queries="all") as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.connect(("127.0.0.1", server.port))
        client.settimeout(10.0)
        for number in range(3):
            # Past the time of an attempt the native plane hands it over to Python.  Each with an ID of its own:
            # what is said twice is answered once.
            client.send(number.to_bytes(2) + encoded("held.example.org")[2:])
        poll(lambda: upstream.held_count, timeout_s=5.0, what="the question reaches the upstream")
        poll(lambda: upstream.held_count > 1, timeout_s=5.0, what="it is asked again")
        upstream.release()
        for _ in range(3):
            client.recv(4096)
        server.send(signal.SIGTERM)
        assert server.wait_for_end() == 0
        assert Counter(map(told, queries_in(server.stderr()))) == {
            ("udp", "held.example.org", "A", "NOERROR", "upstream"): 3
        }


def test_bursts_are_answered_and_logged_to_the_last_query(upstream: SlowUpstream, tmp_path: Path) -> None:
    answered = 0
    with logging_server(tmp_path, upstream, queries="blocked") as server:
        stop = threading.Event()
        waits_s: list[float] = []

        def ask_over_tcp() -> None:
            query = dns.message.make_query("www.example.org", "A")
            while not stop.wait(0.02):
                began = time.monotonic()
                dns.query.tcp(query, "127.0.0.1", port=server.port, timeout=10.0)
                waits_s.append(time.monotonic() - began)

        tcp = threading.Thread(target=ask_over_tcp)
        tcp.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            client.connect(("127.0.0.1", server.port))
            client.settimeout(5.0)
            for burst in range(BURSTS):
                for number in range(BURST):
                    client.send(encoded(f"n{burst}-{number}.blocked.example.net"))
                for _ in range(BURST):
                    assert client.recv(4096)[3] & 15 == dns.rcode.NXDOMAIN
                    answered += 1
        stop.set()
        tcp.join()
        assert answered == BURSTS * BURST
        assert server.metric("resolver_dropped_total", reason="ring_full") == 0
        assert server.metric("resolver_native_punted_queries_total") == 0
        server.send(signal.SIGTERM)
        assert server.wait_for_end() == 0
        lines = queries_in(server.stderr())
    assert len(lines) == answered
    # One socket is one thread's, and its records keep their order.
    assert [line["qname"].split(".")[0] for line in lines] == [
        f"n{burst}-{number}" for burst in range(BURSTS) for number in range(BURST)
    ]
    assert waits_s and max(waits_s) < 5.0


class MutedServer(Server):
    """A server whose standard error is a pipe that nobody reads."""

    def stderr(self) -> str:
        return ""


def test_a_reader_that_has_stopped_costs_lines_but_no_answer(upstream: SlowUpstream, tmp_path: Path) -> None:
    server = MutedServer(
        tmp_path, upstream_ports=(upstream.port,), changes={"log": {"queries": "all", "clients": "full"}}
    )
    os.mkfifo(server.stderr_path)
    # Read and written by us, so that the server's end opens at once and never breaks.
    pipe = os.open(server.stderr_path, os.O_RDWR | os.O_NONBLOCK)
    try:
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(pipe, bytes(4096))
        with server:
            for _ in range(20):
                reply = server.ask("www.blocked.example.net")
                assert reply.rcode() == dns.rcode.NXDOMAIN
            time.sleep(0.2)
            assert server.metric("resolver_query_records_total", sink="log") == 0
            server.send(signal.SIGTERM)
            assert server.wait_for_end(10.0) == 0
    finally:
        os.close(pipe)


def test_a_reader_that_is_gone_costs_lines_that_are_counted(upstream: SlowUpstream, tmp_path: Path) -> None:
    server = MutedServer(tmp_path, upstream_ports=(upstream.port,), changes={"log": {"queries": "all"}})
    os.mkfifo(server.stderr_path)
    pipe = os.open(server.stderr_path, os.O_RDONLY | os.O_NONBLOCK)
    is_open = True
    try:
        with server:
            os.close(pipe)
            is_open = False
            for _ in range(20):
                assert server.ask("www.blocked.example.net").rcode() == dns.rcode.NXDOMAIN
            poll(
                lambda: server.metric("resolver_query_records_lost_total", sink="log") == 20,
                timeout_s=5.0,
                what="what could not be written is counted",
            )
            assert server.metric("resolver_query_records_total", sink="log") == 0
    finally:
        if is_open:
            os.close(pipe)
