"""What one client can take from others, and what leaves for it at one moment; both engines, real sockets."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from resolver.flow.pacing import LATE_ANSWERS_PER_S, PULSE_MAX
from resolver.flow.shares import WAITERS_PER_CLIENT_MAX
from tests.loopback.process import poll
from tests.loopback.server import Server, running_server
from tests.loopback.slow_upstream import SlowUpstream
from tests.loopback.test_flood import encoded

pytestmark = [pytest.mark.slow, pytest.mark.loopback]

ATTACKER = "127.0.1.1"
SO_TIMESTAMPNS = 35
"""socket(7); Python has no name for it.  Who reads late does not see answers later than they came."""
PORTION = 100
SLACK_S = 0.02
"""Two ticks of either engine, and what two clocks may differ."""
CHANGES = {"threads": 1, "upstreams": {"timeout_s": 30.0}}
"""Nobody who waits gives up by himself, however long the machine takes over a test."""


@pytest.fixture
def upstream() -> Iterator[SlowUpstream]:
    with SlowUpstream() as upstream:
        yield upstream


@pytest.fixture
def server(upstream: SlowUpstream, serving_engine: str, tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path, upstream.port, changes=CHANGES) as server:
        yield server


@pytest.fixture
def attacker(server: Server) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        client.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        client.bind((ATTACKER, 0))
        client.connect(("127.0.0.1", server.port))
        client.settimeout(1.0)
        yield client


def send_all(client: socket.socket, names: list[str]) -> None:
    """In portions that a receive buffer holds: each when the server has read the one before."""
    port = client.getpeername()[1]
    for number, name in enumerate(names):
        client.send(number.to_bytes(2, "big") + encoded(name)[2:])
        if number % PORTION == PORTION - 1:
            poll(lambda: not unread_octets(port), timeout_s=20.0, what="the server reads")


def unread_octets(port: int) -> int:
    """In the receive buffers of the IPv4 sockets that are bound to this port (proc(5), /proc/net/udp)."""
    rows = [row.split() for row in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(row[4].split(":")[1], 16) for row in rows if row[1].endswith(f":{port:04X}"))


def arrivals(client: socket.socket) -> list[float]:
    """When each answer came, by the kernel's clock, until none comes for a second."""
    came = []
    try:
        while True:
            _, [(_, _, stamp)], _, _ = client.recvmsg(4096, 64)
            seconds, nanoseconds = struct.unpack("@qq", stamp[:16])
            came.append(seconds + nanoseconds / 1e9)
    except TimeoutError:
        return came


def dropped(server: Server, reason: str) -> float:
    return server.metric("resolver_dropped_total", reason=reason)


def test_one_client_whose_names_are_not_answered_takes_nobody_elses_places(
    server: Server, attacker: socket.socket
) -> None:
    names = WAITERS_PER_CLIENT_MAX + 200
    send_all(attacker, [f"held.n{number}.example.org" for number in range(names)])
    for number in range(20):
        assert server.ask(f"n{number}.example.net").rcode() == 0
    lost = dropped(server, "client_waits")
    # On a busy machine the oldest have given up their places meanwhile, as those that wait for the lost do.
    told = server.metric("resolver_responses_total", rcode="SERVFAIL")
    assert names - lost - told <= WAITERS_PER_CLIENT_MAX


def test_the_answers_of_one_crowd_are_bounded_and_do_not_leave_in_one_pulse(
    server: Server, upstream: SlowUpstream, attacker: socket.socket
) -> None:
    send_all(attacker, ["held.example.org"] * 5000)
    server.wait_for(lambda: dropped(server, "client_waits") >= 3000, "those without a place to be dropped")
    released_at = time.time()
    upstream.release()
    came = arrivals(attacker)
    assert WAITERS_PER_CLIENT_MAX * 0.9 <= len(came) <= WAITERS_PER_CLIENT_MAX
    # No answer before its turn.  A server that stood still sends at once what should have gone meanwhile.
    early_s = [
        released_at + (number - PULSE_MAX) / LATE_ANSWERS_PER_S - at for number, at in enumerate(sorted(came))
    ]
    assert max(early_s) <= SLACK_S


def test_a_query_that_comes_again_while_it_waits_gets_one_answer(
    server: Server, upstream: SlowUpstream, attacker: socket.socket
) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        other.bind((ATTACKER, 0))
        other.connect(("127.0.0.1", server.port))
        other.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        other.settimeout(1.0)
        for _ in range(5):
            attacker.send(encoded("held.example.org"))
            other.send(encoded("held.example.org"))
        server.wait_for(lambda: dropped(server, "repeat") == 8, "the repeated ones to be dropped")
        upstream.release()
        assert len(arrivals(attacker)) == len(arrivals(other)) == 1
