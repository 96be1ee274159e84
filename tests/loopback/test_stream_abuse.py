"""TCP as clients abuse it: who takes too much loses it, others lose nothing, and memory is flat over rounds."""

from __future__ import annotations

import resource
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from resolver.listeners.limits import HELD_OCTETS_MAX
from tests.loopback.process import poll, resident_mb
from tests.loopback.server import Server, running_server
from tests.loopback.slow_upstream import ADDRESS, SlowUpstream
from tests.loopback.test_tcp_limits import connect, framed, read_reply

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.usefixtures("serving_engine")]

OPTIONS = 16_000
DESCRIPTORS = 4_096
ROUNDS = 6
WAITS = 100
WAIT_S_MAX = 0.2
"""Median wait beside an attack, on a machine that may be busy: it was over a second, or for ever."""


@pytest.fixture(scope="module", autouse=True)
def room() -> Iterator[None]:
    """Descriptors for a thousand clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, DESCRIPTORS), hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def with_options(qname: str) -> bytes:
    """A framed query of 64 kB, full of empty EDNS options."""
    octets = bytearray(dns.message.make_query(qname, "A").to_wire())
    octets[10:12] = b"\0\1"
    rdata = b"\xfd\xe9\0\0" * OPTIONS
    octets += b"\0\0\x29\x04\xd0\0\0\0\0" + len(rdata).to_bytes(2, "big") + rdata
    return len(octets).to_bytes(2, "big") + octets


@contextmanager
def flooding(server: Server, message: bytes, connections: int) -> Iterator[None]:
    """Clients of one address that send `message` as fast as they are read, and read what they get."""
    is_over = threading.Event()

    def flood() -> None:
        with connect(server, "127.0.0.2") as connection:
            connection.settimeout(0.05)
            while not is_over.is_set():
                try:
                    connection.sendall(message)
                    connection.recv(65_536)
                except TimeoutError:
                    continue
                except OSError:
                    return

    threads = [threading.Thread(target=flood) for _ in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join(10.0)


def waits(server: Server, *, tcp: bool) -> list[float]:
    """Seconds that each of some questions took."""
    taken = []
    for _ in range(WAITS):
        began = time.monotonic()
        assert server.ask("www.example.org", tcp=tcp).rcode() == dns.rcode.NOERROR
        taken.append(time.monotonic() - began)
    return taken


def test_long_queries_full_of_options_delay_nobody_elses_answers(tmp_path: Path, serving_engine: str) -> None:
    with SlowUpstream() as upstream, running_server(tmp_path, upstream.port) as server:
        server.ask("www.example.org")
        with flooding(server, with_options("www.example.org"), 10):
            assert statistics.median(waits(server, tcp=False)) < WAIT_S_MAX
            assert statistics.median(waits(server, tcp=True)) < WAIT_S_MAX
        assert server.metric("resolver_responses_total", rcode="FORMERR") > 0


@pytest.mark.parametrize("are_busy", [False, True])
def test_ten_addresses_that_take_every_connection_shut_nobody_out(
    tmp_path: Path, serving_engine: str, are_busy: bool
) -> None:
    # Nothing is closed for being idle while the test runs.
    limits = {"tcp_idle_s": 600.0}
    with (
        SlowUpstream() as upstream,
        running_server(
            tmp_path, upstream.port, changes={"limits": limits, "upstreams": {"timeout_s": 30.0}}
        ) as server,
        ExitStack() as stack,
    ):
        for number in range(1_000):
            taken = stack.enter_context(connect(server, f"127.0.1.{number % 10}"))
            if are_busy:
                taken.sendall(framed(f"held.name{number % 10}.example.org"))
        poll(
            lambda: server.metric("resolver_tcp_connections") == 1_000,
            timeout_s=20.0,
            what="every connection is taken",
        )
        for number in range(69):
            other = stack.enter_context(connect(server, f"127.0.2.{number}"))
            other.sendall(framed("www.example.org"))
            assert ADDRESS in read_reply(other).to_text()
        reason = "tcp_yielded_share" if are_busy else "tcp_yielded_idle"
        assert server.metric("resolver_dropped_total", reason=reason) == 69
        assert server.metric("resolver_tcp_connections") == 1_000


@pytest.mark.needs("nsd")
def test_memory_is_flat_over_rounds_of_clients_that_read_nothing_or_stop_in_the_middle(
    tmp_path: Path, authority: int, serving_engine: str
) -> None:
    half = with_options("www.example.org")[:60_000]
    unread = framed("huge.example.org", "TXT") * 100
    long = with_options("www.example.org") * 4
    with running_server(tmp_path, authority) as server:
        server.ask("huge.example.org", "TXT", tcp=True)
        rest_mb = resident_mb(server.pid)
        peaks, afterwards = [], []
        for _ in range(ROUNDS):
            with ExitStack() as stack:
                for number in range(900):
                    client = stack.enter_context(connect(server, f"127.0.1.{number % 250 + 1}"))
                    client.setblocking(False)
                    send(client, (half, unread, long)[number % 3])
                for _ in range(10):
                    assert server.metric("resolver_tcp_held_bytes") <= HELD_OCTETS_MAX
                    assert server.ask("www.example.org").rcode() == dns.rcode.NOERROR
                peaks.append(resident_mb(server.pid) - rest_mb)
            poll(
                lambda: server.metric("resolver_tcp_connections") == 0,
                timeout_s=30.0,
                what="all are gone",
            )
            assert server.metric("resolver_tcp_held_bytes") == 0
            afterwards.append(resident_mb(server.pid))
        # Of the process alone: its part of what it shares with others, and its children, are what others do.
        assert max(peaks) < 3 * HELD_OCTETS_MAX / (1 << 20)
        # The first rounds make the standing size: what the allocator keeps of it is used again.
        assert max(afterwards[2:]) < 1.1 * max(afterwards[:2]), afterwards


def send(client: socket.socket, octets: bytes) -> None:
    """As much as is taken at once."""
    try:
        client.send(octets)
    except (BlockingIOError, ConnectionError):
        return
