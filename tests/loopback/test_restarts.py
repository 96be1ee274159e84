"""Restarts under load lose nothing, and what the cache knew is known afterwards.

The short form has 3 restarts at 1,000 queries a second, the long one (`make long`) 50 at 5,000.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

from resolver.cli.files import EXIT_SERVES_ALREADY
from tests.loopback.process import poll
from tests.loopback.restarts import CountingUpstream, Generation, Restart, Run, loaded
from tests.loopback.server import Server

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

IS_LONG = os.environ.get("FUZZ_PROFILE", "short") == "long"
RESTARTS, RATE = (50, 5_000.0) if IS_LONG else (3, 1_000.0)
HOT = 500


class Place:
    """Where one server after another serves."""

    def __init__(self, folder: Path, upstream: CountingUpstream, **changes: object) -> None:
        self.server = Server(folder, upstream_ports=(upstream.port,), changes=dict(changes))
        self.port = self.server.port
        self.living: list[Generation] = []
        self._count = 0

    def start(self, *words: str) -> Generation:
        """One more process; it is ready when this returns."""
        self._count += 1
        new = Generation(self.server, self._count, *words)
        new.start(cwd=None)
        self.living.append(new)
        new.wait_until_ready()
        return new

    def take_over(self) -> Restart:
        """Another process, which takes the place of the one that serves."""
        began = time.monotonic()
        old = self.living[-1]
        self.start("--take-over")
        served = time.monotonic()
        code = old.wait_for_end(30.0)
        self.living.remove(old)
        return Restart(began, served, time.monotonic(), code)

    def stop(self) -> None:
        while self.living:
            self.living.pop().stop()


@contextmanager
def place(folder: Path, upstream: CountingUpstream, **changes: object) -> Iterator[Place]:
    one = Place(folder, upstream, **changes)
    try:
        one.start()
        yield one
    finally:
        one.stop()


def tell(what: str, run: Run) -> None:
    """Figures, for who looks at them."""
    account = run.account
    assert account is not None
    around = [account.p99_ms(one.began, one.ended + 0.5) for one in run.restarts]
    worst = [account.worst_ms(one.began, one.ended + 0.5) for one in run.restarts]
    shares = run.shares_from_cache()
    figures = {
        "what": what,
        "restarts": len(run.restarts),
        "queries": account.sent,
        "lost": account.lost,
        "failed": account.failed,
        "answered twice": account.strays,
        "p99_ms before": round(account.p99_ms(run.warm_at, run.restarts[0].began), 2),
        "p99_ms around": [round(median(around), 2), round(max(around), 2)],
        "worst_ms around": [round(median(worst), 2), round(max(worst), 2)],
        "from cache": [round(min(shares), 4), round(sum(shares) / len(shares), 4)],
        "start_s": round(median([one.served - one.began for one in run.restarts]), 2),
        "end_s": round(median([one.ended - one.served for one in run.restarts]), 2),
    }
    print(json.dumps(figures))


def test_restarts_by_taking_over_lose_no_query_and_the_cache_is_warm(
    tmp_path: Path, serving_engine: str
) -> None:
    with CountingUpstream() as upstream, place(tmp_path, upstream) as here:
        run = Run(upstream, HOT)
        with loaded(here.port, tmp_path, RATE, run) as warm:
            warm()
            poll(lambda: time.monotonic() > run.warm_at + 1.0, timeout_s=5.0, what="a second to compare with")
            for _ in range(RESTARTS):
                run.restarts.append(here.take_over())
    account = run.account
    assert account is not None
    tell(f"take over, {serving_engine}", run)
    assert [one.code for one in run.restarts] == [0] * RESTARTS
    assert (account.lost, account.failed, account.strays, account.refused) == (0, 0, 0, 0)
    assert min(run.shares_from_cache()) == 1.0


def test_a_process_that_cannot_start_takes_nothing_over(tmp_path: Path, serving_engine: str) -> None:
    with CountingUpstream() as upstream, place(tmp_path, upstream) as here:
        run = Run(upstream, HOT)
        kept = json.loads(here.server.settings_path.read_text())
        broken = tmp_path / "broken.pem"
        broken.write_text("no certificate")
        listen = {**kept["listen"], "tls": ["127.0.0.1:0"]}
        wrong: list[object] = [
            {"listen": {"dns": []}},
            # This is found out when it has the sockets already.
            {**kept, "listen": listen, "tls": {"certificate": str(broken), "key": str(broken)}},
        ]
        with loaded(here.port, tmp_path, 500.0, run) as warm:
            warm()
            for number, settings in enumerate(wrong):
                here.server.settings_path.write_text(json.dumps(settings))
                with Generation(here.server, 100 + number, "--take-over") as failed:
                    assert failed.wait_for_end(20.0) == 2, failed.stderr()
        old = here.living[0]
        old.wait_for(lambda: "this one serves on" in old.stderr(), "the word on it")
        # It turns nobody away who comes over a stream.
        assert here.server.ask("blocked.example.net", tcp=True).rcode() == 3
        here.server.settings_path.write_text(json.dumps(kept))
        assert here.take_over().code == 0
    account = run.account
    assert account is not None
    assert (account.lost, account.failed) == (0, 0)


@pytest.mark.parametrize(
    "change", [("python", "native", 0), ("native", "python", 0), ("native", "native", 3)]
)
def test_engine_and_threads_may_change_on_the_way(tmp_path: Path, change: tuple[str, str, int]) -> None:
    pytest.importorskip("resolver_native", reason="the native plane is not built")
    first, second, threads = change
    with CountingUpstream() as upstream, place(tmp_path, upstream, engine=first) as here:
        run = Run(upstream, HOT)
        settings = json.loads(here.server.settings_path.read_text())
        with loaded(here.port, tmp_path, RATE, run) as warm:
            warm()
            here.server.settings_path.write_text(
                json.dumps({**settings, "engine": second, "threads": threads})
            )
            run.restarts.append(here.take_over())
            here.server.settings_path.write_text(json.dumps({**settings, "engine": second, "threads": 1}))
            run.restarts.append(here.take_over())
    account = run.account
    assert account is not None
    assert (account.lost, account.failed, account.strays) == (0, 0, 0)
    assert min(run.shares_from_cache()) == 1.0


def test_sigusr2_starts_the_next_process_and_the_old_one_ends(tmp_path: Path, serving_engine: str) -> None:
    with CountingUpstream() as upstream, place(tmp_path, upstream) as here:
        old = here.living[0]
        old.send(signal.SIGUSR2)
        # It prints its own ready line, where the old one printed its.
        old.wait_for(lambda: old.stdout().count("ready: ") == 2 or not old.is_running(), "the next process")
        assert old.wait_for_end(20.0) == 0
        [pid] = _pids_of(here.server.settings_path)
        try:
            assert here.server.ask("blocked.example.net").rcode() == 3
        finally:
            os.kill(pid, signal.SIGTERM)


def test_what_a_plain_supervisor_starts_beside_a_server_does_not_serve(
    tmp_path: Path, serving_engine: str
) -> None:
    """runit and s6 start a service again when its process ends, be there another in its place by now."""
    with CountingUpstream() as upstream, place(tmp_path, upstream) as here:
        old = here.living[0]
        old.send(signal.SIGUSR2)
        assert old.wait_for_end(30.0) == 0
        [heir] = _pids_of(here.server.settings_path)
        # As its run script is without --take-over.
        beside = Generation(here.server, 2)
        beside.start(cwd=None)
        assert beside.wait_for_end(30.0) == EXIT_SERVES_ALREADY
        assert "serves with" in beside.stderr() and "`run --take-over`" in beside.stderr()
        assert _pids_of(here.server.settings_path) == [heir]
        # And with it: the supervisor has its service again.
        supervised = here.start("--take-over")
        poll(
            lambda: _pids_of(here.server.settings_path) == [supervised.pid], timeout_s=30.0, what="one server"
        )
        assert here.server.ask("blocked.example.net").rcode() == 3


def test_a_restart_by_stop_and_start_takes_the_cache_up(tmp_path: Path, serving_engine: str) -> None:
    with CountingUpstream() as upstream, place(tmp_path, upstream) as here:
        for number in range(50):
            here.server.ask(f"hot{number}.example.org")
        asked = len(upstream.asked)
        here.stop()
        snapshot = here.server.directory / "state" / "cache.snapshot"
        assert snapshot.stat().st_mode & 0o777 == 0o600
        again = here.start()
        assert not snapshot.exists()
        for number in range(50):
            assert here.server.ask(f"hot{number}.example.org").answer[0].ttl <= 3600
        # One question of its own at its start.
        assert upstream.hot_asked(0.0, float("inf")) == 50 and len(upstream.asked) <= asked + 1
        assert "is taken up" in again.stderr()


def _pids_of(settings_path: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(settings_path).encode() in words:
            found.append(int(path.parent.name))
    return found
