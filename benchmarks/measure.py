"""One load against one server: CPU of the server's process per query, what was lost, how long answers took.

Knows: dnsperf, our own load generator, /proc.  Does not know: which server it is.
The figure of a load is CPU time, not queries per second: it holds when the load generator is the
bottleneck.  dnsperf reads that; waits and the most a server answers are read with `udp_load.c`, because
dnsperf tells only the average, the least and the greatest wait.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.loopback.process import CLOCK_TICKS_PER_S, cpu_s

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = CORES[0]
LOAD_CORE = CORES[-1]
"""Load generator and upstream; a server of one thread keeps a core of its own where there are two."""

OUTSTANDING_MAX = 300
CLIENTS = 4
CLIENTS_MANY = 32
"""Sockets of the load on servers of several threads: the kernel spreads senders, not datagrams."""
LOST_S = 1
"""A query that waits longer counts as lost.  Servers with the usual receive buffer lose some hundred of the
first burst: the shorter this is, the sooner those make room for other queries."""

SLOW_US = 2_000.0
"""`udp_load.c` tells when queries were asked that waited longer."""

RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")


T = TypeVar("T")

STOLEN_SHARE_MAX = 0.02
"""Part of the machine's time that a hypervisor may take for others during a reading that counts."""
TRIES_MAX = 4


def stolen_s() -> float:
    """CPU seconds, of all cores since the start, in which a hypervisor let others run; see proc_stat(5)."""
    cpu = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(cpu[8]) / CLOCK_TICKS_PER_S


def undisturbed(take: Callable[[Path], T], queries: Path, afresh: Callable[[], Path]) -> tuple[T, float]:
    """What `take` reads with `queries`, and the part of the machine's time that was stolen from it.

    Where that is too much it is taken again, with queries made `afresh`, since the others are known by now;
    of `TRIES_MAX` disturbed readings the least disturbed.
    """
    taken: list[tuple[float, T]] = []
    for try_number in range(TRIES_MAX):
        if try_number:
            queries = afresh()
        before_s, began = stolen_s(), time.monotonic()
        got = take(queries)
        share = (stolen_s() - before_s) / ((time.monotonic() - began) * (os.cpu_count() or 1))
        taken.append((share, got))
        if share <= STOLEN_SHARE_MAX:
            break
    share, got = min(taken, key=lambda each: each[0])
    return got, share


def pinned(*cores: int) -> tuple[str, ...]:
    """Command prefix that keeps a program on these cores."""
    return ("taskset", "-c", ",".join(str(core) for core in cores))


@contextlib.contextmanager
def keeping_to(core: int) -> Iterator[None]:
    """Keep ourselves on this core: what we do meanwhile is nothing to whoever is on another."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def server_cores(threads: int) -> tuple[int, ...]:
    """Cores of a server of this many threads, as far as there are so many."""
    return tuple(CORES[:threads])


@dataclass(frozen=True)
class Asking:
    """How a load is asked: over which protocol, with what in the query."""

    host: str = "127.0.0.1"
    edns: bool = False
    dnssec_ok: bool = False
    clients: int = CLIENTS
    comes_first: bool = False
    """Whether the generator comes before the other programs of its core, which then cost it no wait."""


@dataclass(frozen=True)
class Reading:
    """What one run of dnsperf showed."""

    cpu_us: float
    """CPU microseconds of the server's processes per completed query."""
    completed: int
    lost: int
    rcodes: dict[str, int]
    worst_s: float
    """Longest time to an answer."""
    queries_per_s: float = 0.0

    def share(self, rcode: str) -> float:
        """Part of the answers with this rcode, 0 to 1."""
        return self.rcodes.get(rcode, 0) / max(1, self.completed)


def dnsperf_command(port: int, queries: Path, *more: str, asking: Asking | None = None) -> list[str]:
    """A dnsperf on its own core against a loopback address."""
    asking = asking or Asking()
    command = [*pinned(LOAD_CORE), "dnsperf", "-s", asking.host, "-p", str(port), "-d", str(queries)]
    flags = ["-e"] * asking.edns + ["-D"] * asking.dnssec_ok
    return [
        *command,
        "-c",
        str(asking.clients),
        "-T",
        "1",
        "-q",
        str(OUTSTANDING_MAX),
        "-t",
        str(LOST_S),
        *flags,
        *more,
    ]


def read_dnsperf(output: str, cpu_used_s: float) -> Reading:
    """The figures in dnsperf's report."""

    def figure(pattern: str) -> float:
        found = re.search(pattern, output)
        return float(found.group(1)) if found else 0.0

    completed = int(figure(r"Queries completed:\s+(\d+)"))
    return Reading(
        cpu_us=cpu_used_s * 1e6 / max(1, completed),
        completed=completed,
        lost=int(figure(r"Queries lost:\s+(\d+)")),
        rcodes={name: int(count) for name, count in re.findall(r"([A-Z]+) (\d+) \(", output)},
        worst_s=figure(r"Average Latency \(s\):\s+\S+ \(min \S+, max ([\d.]+)\)"),
        queries_per_s=figure(r"Queries per second:\s+([\d.]+)"),
    )


def plain_dnsperf_command(port: int, queries: Path, seconds: float) -> list[str]:
    """A dnsperf on its own core with nothing else said: one socket, 100 queries outstanding."""
    words = ["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(queries), "-l", str(seconds)]
    return [*pinned(LOAD_CORE), *words]


def measure(pid: int, port: int, queries: Path, seconds: float, asking: Asking | None = None) -> Reading:
    """Ask `queries` again and again for `seconds`."""
    return _run_dnsperf(pid, dnsperf_command(port, queries, "-l", str(seconds), asking=asking))


def measure_plain(pid: int, port: int, queries: Path, seconds: float) -> Reading:
    """The same with a plain dnsperf: what counts is how many queries per second it gets answered."""
    return _run_dnsperf(pid, plain_dnsperf_command(port, queries, seconds))


def _run_dnsperf(pid: int, command: list[str]) -> Reading:
    before = cpu_s(pid)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return read_dnsperf(output, cpu_s(pid) - before)


def ask_once(port: int, queries: Path, asking: Asking | None = None) -> None:
    """Ask each line of `queries` once."""
    command = dnsperf_command(port, queries, "-n", "1", asking=asking)
    subprocess.run(command, capture_output=True, check=True)


@dataclass(frozen=True)
class Waits:
    """What one run of our load generator showed."""

    queries_per_s: float
    sent: int
    completed: int
    lost: int
    p50_us: float
    p99_us: float
    p999_us: float
    """Waits that this share of the queries stayed within; infinite where more than the rest were lost."""
    worst_us: float
    late_us: float
    """Most by which the generator itself was behind its rate."""
    rcodes: dict[str, int]
    cpu_us: float
    """Of the server, per completed query."""
    busy: float
    """Part of the time the server computed; near 1 per core, it is the server that was the limit."""
    slow: Sequence[tuple[float, float]] = ()
    """The slowest query of each twentieth of a second that had one over 2 ms: sent at (seconds since 1970),
    waited (microseconds)."""


def compile_c(source: str, directory: Path) -> Path:
    """The program made of one of our C files; the compiler's exit code when it cannot be."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / Path(source).stem
    if shutil.which("gcc") is None:
        raise SystemExit("gcc is needed for the load generator and the echo")
    subprocess.run(["gcc", "-O2", "-o", program, HERE / source], check=True)
    return program


def before_others() -> tuple[str, ...]:
    """Command prefix of a generator that no other client of its core may hold up; only root may do so."""
    return ("chrt", "--fifo", "1") if os.geteuid() == 0 else ()


def load_command(
    program: Path, port: int, queries: Path, seconds: float, rate: float, asking: Asking | None = None
) -> list[str]:
    """Our load generator on its own core; `rate` in queries per second, 0: as many as are answered."""
    asking = asking or Asking()
    flags = ["-e"] * asking.edns + ["-D"] * asking.dnssec_ok + ["-c", str(asking.clients)]
    flags += ["-t", str(LOST_S * 1000), *(["-r", str(rate)] if rate else ["-q", str(OUTSTANDING_MAX)])]
    return [
        *pinned(LOAD_CORE),
        *(before_others() if asking.comes_first else ()),
        str(program),
        *flags,
        "-l",
        str(seconds),
        asking.host,
        str(port),
        str(queries),
    ]


def percentile_us(waits_ns: Sequence[Sequence[int]], lost: int, share: float) -> float:
    """The wait that `share` of the queries stayed within; `waits_ns`: [up to, how many], ascending."""
    wanted = share * (sum(count for _, count in waits_ns) + lost)
    seen = 0
    for up_to_ns, count in waits_ns:
        seen += count
        if seen >= wanted:
            return up_to_ns / 1e3
    return math.inf


def read_waits(output: str, cpu_used_s: float, took_s: float) -> Waits:
    """The figures in the load generator's line; the server computed for `cpu_used_s` of `took_s`."""
    report: dict[str, Any] = json.loads(output)
    p50_us, p99_us, p999_us = (
        percentile_us(report["waits_ns"], report["lost"], share) for share in (0.50, 0.99, 0.999)
    )
    return Waits(
        queries_per_s=report["completed"] / report["seconds"],
        sent=report["sent"],
        completed=report["completed"],
        lost=report["lost"],
        p50_us=p50_us,
        p99_us=p99_us,
        p999_us=p999_us,
        worst_us=report["worst_ns"] / 1e3,
        late_us=report["late_ns"] / 1e3,
        rcodes={
            name: count for name, count in zip(RCODES, report["rcodes"], strict=False) if count
        },
        cpu_us=cpu_used_s * 1e6 / max(1, report["completed"]),
        busy=cpu_used_s / took_s if took_s else 0.0,
        slow=[(sent_at_s, wait_ns / 1e3) for sent_at_s, wait_ns in report["slow"]],
    )  # fmt: skip


def measure_waits(
    program: Path,
    pid: int,
    port: int,
    queries: Path,
    seconds: float,
    rate: float = 0,
    asking: Asking | None = None,
) -> Waits:
    """Ask `queries` at `rate`, 0: as fast as they are answered, for `seconds`."""
    before, began = cpu_s(pid), time.monotonic()
    command = load_command(program, port, queries, seconds, rate, asking)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Reading the file of queries is not part of the load, so the generator's own seconds count.
    took_s = min(json.loads(output)["seconds"], time.monotonic() - began)
    return read_waits(output, cpu_s(pid) - before, took_s)
