"""Whatever is done to the HTTP port, DNS answers go on: streams of events, slow clients, huge bodies."""

from __future__ import annotations

import contextlib
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from tests.loopback.process import patience_s
from tests.loopback.server import Server

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.usefixtures("serving_engine")]

QUERY = encode_query(
    name_from_text("blocked.example.net"), 1, id=7, dnssec_ok=False, checking_disabled=False, edns=True
)
STREAMS = 1_000
ASKED = 2_000
PAUSE_S = 0.0005
FLOOR_S = 0.001
"""Differences under this are those of the machine's scheduler."""
ATTACK = """
import socket, sys, threading, time
port, streams = int(sys.argv[1]), int(sys.argv[2])
held = []
def connect():
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=5)
    except OSError:
        return None
def hold():
    for _ in range(streams):
        one = connect()
        if one is not None:
            try:
                one.sendall(b"GET /api/v1/events HTTP/1.1\\r\\nhost: localhost\\r\\n\\r\\n")
                held.append(one)
            except OSError:
                pass
def slow():
    while True:
        one = connect()
        try:
            for octet in b"GET /api/v1/status HTTP/1.1\\r\\nhost: localhost\\r\\nx-slow: " + b"y" * 100:
                one.sendall(bytes([octet]))
                time.sleep(0.02)
        except (OSError, AttributeError):
            time.sleep(0.01)
def huge():
    while True:
        one = connect()
        try:
            one.sendall(b"POST /api/v1/status HTTP/1.1\\r\\nhost: localhost\\r\\ncontent-length: 100000000\\r\\n\\r\\n")
            for _ in range(100):
                one.sendall(bytes(1000000))
        except (OSError, AttributeError):
            time.sleep(0.01)
for work in (huge, slow, slow):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
hold()
print("held", flush=True)
time.sleep(600)
"""


def kept_waiting_s(pid: int) -> float:
    """For how long the threads of a process, and this one, were ready and had no processor (proc(5), schedstat)."""
    waited_ns = 0
    for task in (Path("/proc/thread-self"), *Path(f"/proc/{pid}/task").iterdir()):
        with contextlib.suppress(OSError):  # It has ended.
            waited_ns += int((task / "schedstat").read_text().split()[1])
    return waited_ns / 1e9


def times(server: Server, count: int) -> list[float]:
    """Seconds that each answer took, one after the other, less what others had the processor; all must come."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(patience_s(2.0))
        client.connect(("127.0.0.1", server.port))
        for _ in range(count):
            kept_s, began = kept_waiting_s(server.pid), time.perf_counter()
            client.send(QUERY)
            client.recv(4_096)
            taken_s = time.perf_counter() - began
            found.append(max(0.0, taken_s - (kept_waiting_s(server.pid) - kept_s)))
            time.sleep(PAUSE_S)
    return found


def p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


@contextmanager
def attacked(port: int) -> Iterator[None]:
    """The port under attack, by a program of its own."""
    attack = subprocess.Popen(
        ["nice", "-n", "10", sys.executable, "-c", ATTACK, str(port), str(STREAMS)], stdout=subprocess.PIPE
    )
    with ExitStack() as ending:
        ending.callback(attack.wait)
        ending.callback(attack.kill)
        assert attack.stdout is not None
        ending.callback(attack.stdout.close)
        assert attack.stdout.readline() == b"held\n"
        yield
        assert attack.poll() is None


def test_dns_answers_go_on_and_all_of_it_is_refused_and_counted(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.wait_until_ready()
        quiet = times(server, ASKED)
        with attacked(server.http_port):
            loaded = times(server, ASKED)
        print(f"p99 {1e3 * p99(quiet):.2f} ms quiet, {1e3 * p99(loaded):.2f} ms under attack")
        assert p99(loaded) <= 1.5 * max(p99(quiet), FLOOR_S)
        told = server.metrics()
        assert told['resolver_http_refused_total{reason="event_streams"}'] > 0
        assert told['resolver_http_refused_total{reason="body"}'] > 0
        assert told['resolver_dropped_total{reason="http_connections_max"}'] > STREAMS / 2
        assert told["resolver_http_event_streams"] <= 16
