"""What one client can take from others, and what leaves for it at one moment; both engines, real sockets."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from resolver.flow.shares import WAITERS_PER_CLIENT_MAX
from tests.loopback.server import Server, running_server
from tests.loopback.slow_upstream import SlowUpstream
from tests.loopback.test_flood import encoded

pytestmark = [pytest.mark.slow, pytest.mark.loopback]

ATTACKER = "127.0.1.1"
SO_TIMESTAMPNS = 35
"""socket(7); Python has no name for it.  Who reads late does not see answers later than they came."""
PULSE_S = 0.05
PULSE_ANSWERS_MAX = 500
"""50 at once, 250 more in 50 ms, and as much again for a machine that stood still."""


@pytest.fixture
def upstream() -> Iterator[SlowUpstream]:
    with SlowUpstream() as upstream:
        yield upstream


@pytest.fixture
def server(upstream: SlowUpstream, serving_engine: str, tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path, upstream.port, changes={"threads": 1}) as server:
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
    """In portions that a receive buffer holds."""
    for number, name in enumerate(names):
        client.send(number.to_bytes(2, "big") + encoded(name)[2:])
        if number % 100 == 99:
            time.sleep(0.005)


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
    send_all(attacker, [f"held.n{number}.example.org" for number in range(2500)])
    for number in range(20):
        assert server.ask(f"n{number}.example.net").rcode() == 0
    assert dropped(server, "client_waits") == 2500 - WAITERS_PER_CLIENT_MAX


def test_the_answers_of_one_crowd_are_bounded_and_do_not_leave_in_one_pulse(
    server: Server, upstream: SlowUpstream, attacker: socket.socket
) -> None:
    send_all(attacker, ["held.example.org"] * 5000)
    server.wait_for(lambda: dropped(server, "client_waits") >= 3000, "those without a place to be dropped")
    upstream.release()
    came = arrivals(attacker)
    assert WAITERS_PER_CLIENT_MAX * 0.9 <= len(came) <= WAITERS_PER_CLIENT_MAX
    assert max(sum(at <= later < at + PULSE_S for later in came) for at in came) <= PULSE_ANSWERS_MAX


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
