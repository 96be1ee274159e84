"""Our load generator against the bare echo: what it sends is answered, counted and timed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from benchmarks.contestants import free_port_everywhere, hosts
from benchmarks.measure import Asking, compile_c, measure_waits
from tests.loopback.process import Program

pytestmark = [pytest.mark.loopback, pytest.mark.needs("gcc", "taskset")]


@pytest.fixture(scope="module")
def load_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c("udp_load.c", tmp_path_factory.mktemp("load"))


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, int]]:
    directory = tmp_path_factory.mktemp("echo")
    port = free_port_everywhere()
    with Program([compile_c("udp_echo.c", directory), str(port)], directory) as program:
        program.wait_for(lambda: _answers(port), "the echo answers")
        yield program, port


def _answers(port: int) -> bool:
    try:
        reply = dns.query.udp(dns.message.make_query("www.example.org", "A"), "127.0.0.1", 0.2, port)
    except dns.exception.Timeout:
        return False
    return bool(reply.rcode() == dns.rcode.NXDOMAIN)


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    path = tmp_path / "queries.txt"
    path.write_text("www.example.org A\nwww.example.net AAAA\n# nothing\n" + "a" * 64 + ".example A\n")
    return path


@pytest.mark.parametrize("host", hosts())
@pytest.mark.parametrize("edns", [False, True])
def test_fixed_rate_is_not_exceeded_and_every_answer_timed(
    load_program: Path, echo: tuple[Program, int], queries: Path, host: str, edns: bool
) -> None:
    program, port = echo
    asking = Asking(host=host, edns=edns, dnssec_ok=edns)
    waits = measure_waits(load_program, program.pid, port, queries, 0.5, 2_000, asking)
    # A machine that stands still for a while sends fewer.
    assert 100 < waits.sent <= 1_005
    assert waits.completed + waits.lost == waits.sent
    assert waits.rcodes == {"NXDOMAIN": waits.completed}
    assert 0 < waits.p50_us <= waits.p99_us <= waits.p999_us
    # A bucket is at most 3.2 % wide.
    assert waits.p999_us <= waits.worst_us * 1.04


def test_without_a_rate_it_asks_as_fast_as_it_is_answered(
    load_program: Path, echo: tuple[Program, int], queries: Path
) -> None:
    program, port = echo
    waits = measure_waits(load_program, program.pid, port, queries, 0.3)
    assert waits.completed > 100
    assert waits.queries_per_s > 100


def test_silence_is_counted_as_loss(load_program: Path, queries: Path) -> None:
    silent = Program([shutil.which("sleep") or "sleep", "60"], queries.parent)
    with silent:
        waits = measure_waits(load_program, silent.pid, free_port_everywhere(), queries, 0.1, 100)
    assert waits.completed == 0
    assert waits.lost == waits.sent
    assert waits.p50_us == float("inf")
