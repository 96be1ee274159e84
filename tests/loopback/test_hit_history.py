"""After many queries, a kill -9 and a restart, the history of hits and the counters agree within a minute."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from resolver.durable import locked
from resolver.hits.figures import HitKey, Hits
from resolver.hits.file import LOCK_FILE, HitsUnusable, hits_path
from resolver.hits.store import HitStore
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from tests.fuzz.rig import IS_LONG
from tests.loopback.process import poll
from tests.loopback.server import Server, running_server

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.usefixtures("serving_engine")]

HITS = "resolver_exchange_hits_total"
ALPHA = HitKey("exchange", "alpha", "nxdomain", "enforce")
ITS_ORDER = HitKey("order", "order-1", "nxdomain", "enforce")
AT_ONCE = 50
"""Queries on their way: fewer than a socket's buffer holds."""
ONE_OR_BOTH = pytest.mark.parametrize(
    "serving_engine", ["native", "python"] if IS_LONG else ["native"], indirect=True
)
"""Each takes a minute: what is written does not know the engine."""
FIFTH = 20_000 if IS_LONG else 2_000
MINUTE_S = 60.0
"""What a kill may cost."""


def ask_many(server: Server, count: int, name: str = "www.blocked.example.net") -> None:
    """So many queries over UDP, each of which is answered."""
    query = encode_query(name_from_text(name), 1, id=7, dnssec_ok=False, checking_disabled=False, edns=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", server.port))
        client.settimeout(10.0)
        for begun in range(0, count, AT_ONCE):
            batch = min(AT_ONCE, count - begun)
            for number in range(batch):
                client.send(number.to_bytes(2, "big") + query[2:])
            for _ in range(batch):
                assert client.recv(4096)[3] & 15 == 3


def totals(server: Server) -> Hits:
    try:
        with HitStore.open_for_reading(server.directory / "state") as store:
            return store.totals()
    except HitsUnusable:
        return {}


def wait_until_written(server: Server, count: int) -> None:
    poll(lambda: totals(server).get(ALPHA) == count, timeout_s=MINUTE_S, what=f"{count} hits in the history")


def kill(server: Server) -> None:
    server.send(signal.SIGKILL)
    server.stop()


@ONE_OR_BOTH
def test_history_and_counters_agree_after_a_kill(tmp_path: Path) -> None:
    server = Server(tmp_path, upstream_ports=(9,))
    with server:
        ask_many(server, 3 * FIFTH)
        counted_at = time.monotonic()
        wait_until_written(server, 3 * FIFTH)
        assert time.monotonic() - counted_at < MINUTE_S
        ask_many(server, 2 * FIFTH)
        assert server.metric(HITS, exchange="alpha") == 5 * FIFTH
        kill(server)
        survived = totals(server)[ALPHA]
        assert 3 * FIFTH <= survived <= 5 * FIFTH, "all that is older than a minute"
        server.start()
        server.wait_until_ready()
        assert server.metric(HITS, exchange="alpha") == 0, "counters of a process begin anew"
        ask_many(server, 5_000)
        assert server.metric(HITS, exchange="alpha") == 5_000
        if IS_LONG:
            wait_until_written(server, survived + 5_000)
            kill(server)
        else:
            server.stop()
        with HitStore.open_for_reading(tmp_path / "state") as store:
            found = store.totals()
            hours, minutes = store.per_hour(0, 1e12), store.per_minute(0, 1e12)
        assert found[ALPHA] == found[ITS_ORDER] == survived + 5_000
        for spans in (hours, minutes):
            assert sum(span.hits.get(ALPHA, 0) for span in spans) == survived + 5_000


def test_a_stop_loses_no_hit(tmp_path: Path) -> None:
    server = Server(tmp_path, upstream_ports=(9,))
    for round_number in (1, 2):
        with server:
            ask_many(server, 2_000)
        assert totals(server)[ALPHA] == 2_000 * round_number


@ONE_OR_BOTH
def test_a_full_or_damaged_store_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(parents=True)
    hits_path(tmp_path / "state").write_bytes(b"nonsense\n" * 10_000)
    with running_server(tmp_path, 9) as server:
        ask_many(server, 1_000)
        poll(
            lambda: server.metric("resolver_hit_history_damaged_files_total"),
            timeout_s=MINUTE_S,
            what="the damaged file is put aside",
        )
        assert server.metric("resolver_hit_history_damaged_files_total") == 1
        assert server.metric("resolver_hit_history_failures_total", reason="damaged") == 1
        assert (tmp_path / "state" / "hits.sqlite3.damaged-1").exists()
        assert "is now" in server.stderr()
    assert totals(server)[ALPHA] == 1_000


def test_a_server_writes_no_hits_while_another_process_does(tmp_path: Path) -> None:
    path = hits_path(tmp_path / "state")
    path.parent.mkdir()
    with ExitStack() as other:
        other.enter_context(locked(path.with_name(LOCK_FILE), wait=False))
        with running_server(tmp_path, 9) as server:
            poll(
                lambda: server.metric("resolver_hit_history_failures_total", reason="taken"),
                timeout_s=MINUTE_S,
                what="the server's refusal",
            )
            assert "another server writes it" in server.page("/readyz")[1]
            ask_many(server, 50)
            assert ALPHA not in totals(server)
            other.close()
        assert totals(server)[ALPHA] == 50, "it wrote its own when the other was gone"
