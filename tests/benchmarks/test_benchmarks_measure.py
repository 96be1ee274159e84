"""Reading what the load generators print, and what they are told."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks import measure
from benchmarks.measure import (
    TRIES_MAX,
    Asking,
    dnsperf_command,
    load_command,
    percentile_us,
    plain_dnsperf_command,
    read_dnsperf,
    read_waits,
    stolen_s,
    undisturbed,
)

REPORT = """\
Statistics:

  Queries sent:         108601
  Queries completed:    108500 (99.91%)
  Queries lost:         101 (0.09%)

  Response codes:       NOERROR 8500 (7.83%), NXDOMAIN 100000 (92.17%)
  Average packet size:  request 44, response 44
  Run time (s):         1.000298
  Queries per second:   108568.646543

  Average Latency (s):  0.000686 (min 0.000011, max 0.012995)
  Latency StdDev (s):   0.000619
"""


def test_report_of_dnsperf_becomes_figures() -> None:
    reading = read_dnsperf(REPORT, cpu_used_s=0.5425)
    assert reading.cpu_us == pytest.approx(5.0)
    assert (reading.completed, reading.lost) == (108_500, 101)
    assert reading.rcodes == {"NOERROR": 8_500, "NXDOMAIN": 100_000}
    assert reading.worst_s == 0.012995
    assert reading.queries_per_s == pytest.approx(108_568.6, abs=0.1)
    assert reading.share("NXDOMAIN") == pytest.approx(0.9217, abs=1e-4)
    assert reading.share("REFUSED") == 0.0


def test_report_without_answers_divides_by_nothing() -> None:
    reading = read_dnsperf("  Queries completed:    0 (-nan%)\n", cpu_used_s=0.1)
    assert (reading.completed, reading.worst_s, reading.share("NOERROR")) == (0, 0.0, 0.0)


@pytest.mark.parametrize(("share", "wait_us"), [(0.5, 1.0), (0.9, 1.0), (0.91, 5.0), (0.99, 5.0), (1.0, 9.0)])
def test_percentile_is_the_wait_that_the_share_stayed_within(share: float, wait_us: float) -> None:
    assert percentile_us([[1_000, 900], [5_000, 90], [9_000, 10]], 0, share) == wait_us


def test_lost_queries_waited_for_ever() -> None:
    waits_ns = [[1_000, 990]]
    assert percentile_us(waits_ns, 10, 0.99) == 1.0
    assert percentile_us(waits_ns, 10, 0.999) == math.inf


def test_report_of_our_generator_becomes_figures() -> None:
    report = {
        "seconds": 2.0,
        "cpu_s": 0.5,
        "sent": 1_000,
        "completed": 1_000,
        "lost": 0,
        "worst_ns": 9_000,
        "late_ns": 2_000,
        "rcodes": [900, 0, 0, 100, *([0] * 12)],
        "waits_ns": [[1_000, 995], [9_000, 5]],
        "slow": [[1_796_000_000.5, 3_000_000]],
    }
    waits = read_waits(json.dumps(report), cpu_used_s=1.0, took_s=2.0)
    assert (waits.queries_per_s, waits.busy, waits.cpu_us) == (500.0, 0.5, 1_000.0)
    assert (waits.p50_us, waits.p99_us, waits.p999_us, waits.worst_us, waits.late_us) == (1, 1, 9, 9, 2)
    assert list(waits.slow) == [(1_796_000_000.5, 3_000.0)]
    assert waits.rcodes == {"NOERROR": 900, "NXDOMAIN": 100}


def test_both_generators_are_told_the_variant() -> None:
    asking = Asking(host="::1", edns=True, dnssec_ok=True, clients=32)
    queries = Path("queries.txt")
    for command in (
        dnsperf_command(53, queries, asking=asking),
        load_command(Path("load"), 53, queries, 1.0, 20_000, asking),
    ):
        assert {"::1", "-e", "-D", "32"} <= set(command)
    plain = dnsperf_command(53, queries)
    assert "127.0.0.1" in plain
    assert not {"-e", "-D"} & set(plain)


def test_plain_dnsperf_is_told_nothing_but_where_what_and_how_long() -> None:
    command = plain_dnsperf_command(53, Path("queries.txt"), 2.0)
    options = [word for word in command[command.index("dnsperf") + 1 :] if word.startswith("-")]
    assert options == ["-s", "-p", "-d", "-l"]


def test_generator_without_a_rate_keeps_queries_outstanding() -> None:
    queries = Path("queries.txt")
    assert "-r" not in load_command(Path("load"), 53, queries, 1.0, 0)
    assert "-q" not in load_command(Path("load"), 53, queries, 1.0, 20_000)


def test_a_generator_that_comes_first_is_before_the_others_of_its_core(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, queries = Asking(comes_first=True), Path("queries.txt")
    for user, is_first in ((0, True), (1_000, False)):
        monkeypatch.setattr("os.geteuid", lambda user=user: user)
        assert ("chrt" in load_command(Path("load"), 53, queries, 1.0, 20_000, first)) is is_first
        assert "chrt" not in load_command(Path("load"), 53, queries, 1.0, 20_000)


class Machine:
    """One whose hypervisor takes this part of each reading of a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *shares: float) -> None:
        self.shares = shares
        self.asked: list[Path] = []
        self.now = self.stolen = 0.0
        monkeypatch.setattr(measure, "stolen_s", lambda: self.stolen)
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr("os.cpu_count", lambda: 2)

    def take(self, queries: Path) -> int:
        self.stolen += 2 * self.shares[len(self.asked)]
        self.now += 1
        self.asked.append(queries)
        return len(self.asked)

    def read(self) -> tuple[int, float]:
        return undisturbed(self.take, Path("first"), lambda: Path("afresh"))


def test_a_quiet_reading_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 0.01)
    number, share = machine.read()
    assert (number, round(share, 6)) == (1, 0.01)
    assert machine.asked == [Path("first")]


def test_a_disturbed_reading_is_taken_again_with_new_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 0.3, 0.0)
    assert machine.read() == (2, 0.0)
    assert machine.asked == [Path("first"), Path("afresh")]


def test_of_disturbed_readings_the_least_disturbed_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 0.3, 0.1, 0.2, 0.4)
    number, share = machine.read()
    assert (number, round(share, 6)) == (2, 0.1)
    assert len(machine.asked) == TRIES_MAX


def test_time_stolen_is_read_from_the_kernel() -> None:
    assert 0 <= stolen_s() <= stolen_s()
