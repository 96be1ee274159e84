"""A flood of names that nobody asks twice: what is asked often stays known, and memory stays what was configured."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from resolver.wire.encode import encode_query
from tests.loopback.process import patience_s, resident_mb
from tests.loopback.server import Server, running_server

pytestmark = [pytest.mark.slow, pytest.mark.loopback]

SOCKETS_MB = 18
"""Towards an upstream that is asked much there come to be 20,000 sockets (`forwarding.source_ports`)."""
CACHE_MB = 16
HOT = 500
FLOOD = 150_000
"""Their answers are several times what the cache holds."""
BATCH = 100
HOT_PER_BATCH = 20


def encoded(name: str) -> bytes:
    qname = b"".join(bytes((len(label),)) + label.encode() for label in name.split(".")) + b"\0"
    return encode_query(qname, 1, id=4711, dnssec_ok=False, checking_disabled=False, edns=False)


class Client(AbstractContextManager["Client"]):
    """One socket that asks in batches and waits until each of a batch is answered."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.connect(("127.0.0.1", port))

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, queries: Sequence[bytes]) -> int:
        """How many were answered; a batch that is not answered whole in time is asked once more."""
        for _ in range(2):
            while select.select([self.socket], [], [], 0.0)[0]:
                self.socket.recv(4096)  # late, of the time before
            for query in queries:
                self.socket.send(query)
            answers = 0
            while answers < len(queries) and select.select([self.socket], [], [], patience_s(5.0))[0]:
                reply = self.socket.recv(4096)
                assert reply[3] & 15 == 0
                answers += 1
            if answers == len(queries):
                break
        return answers


@pytest.fixture
def server(authority: int, serving_engine: str, tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path, authority, changes={"cache": {"size_mb": CACHE_MB}}) as server:
        yield server


def test_the_hot_set_and_the_memory_outlast_a_flood(server: Server) -> None:
    hot = [encoded(f"h{number}.wild.example.com") for number in range(HOT)]
    asked = 0
    with Client(server.port) as client:
        for _ in range(3):
            for start in range(0, HOT, BATCH):
                assert client.ask(hot[start : start + BATCH]) == BATCH
        before_mb = resident_mb(server.pid)
        hits = server.metric("resolver_cache_hits_total")
        for start in range(0, FLOOD, BATCH):
            flood = [encoded(f"{number}.once.wild.example.com") for number in range(start, start + BATCH)]
            place = asked % HOT
            again = hot[place : place + HOT_PER_BATCH]
            assert client.ask([*flood, *again]) == BATCH + HOT_PER_BATCH
            asked += len(again)
    hits = server.metric("resolver_cache_hits_total") - hits
    grown_mb = resident_mb(server.pid) - before_mb
    print(f"{hits / asked:.2%} hits, {grown_mb:.1f} MB more")
    assert server.metric("resolver_cache_evictions_total") > FLOOD / 4
    assert hits >= 0.99 * asked
    assert grown_mb <= 1.1 * CACHE_MB + SOCKETS_MB
