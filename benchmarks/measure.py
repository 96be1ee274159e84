"""One load against one server: CPU of the server's process per query, and what was lost.

Knows: dnsperf, /proc.  Does not know: which server it is.
The figure is CPU time, not queries per second: it holds when the load generator is the bottleneck.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.loopback.process import cpu_s

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = CORES[0]
LOAD_CORE = CORES[-1]
"""Load generator and upstream; the server keeps a core of its own where there are two."""

OUTSTANDING_MAX = 300
CLIENTS = 4


def pinned(core: int) -> tuple[str, ...]:
    """Command prefix that keeps a program on one core."""
    return ("taskset", "-c", str(core))


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

    def share(self, rcode: str) -> float:
        """Part of the answers with this rcode, 0 to 1."""
        return self.rcodes.get(rcode, 0) / max(1, self.completed)


def dnsperf_command(port: int, queries: Path, *more: str) -> list[str]:
    """A dnsperf on its own core against 127.0.0.1."""
    command = [*pinned(LOAD_CORE), "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(queries)]
    return [*command, "-c", str(CLIENTS), "-T", "1", "-q", str(OUTSTANDING_MAX), *more]


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
    )


def measure(pid: int, port: int, queries: Path, seconds: float, flags: Sequence[str] = ()) -> Reading:
    """Ask `queries` again and again for `seconds`."""
    before = cpu_s(pid)
    command = dnsperf_command(port, queries, "-l", str(seconds), *flags)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return read_dnsperf(output, cpu_s(pid) - before)


def ask_once(port: int, queries: Path) -> None:
    """Ask each line of `queries` once."""
    subprocess.run(dnsperf_command(port, queries, "-n", "1"), capture_output=True, check=True)
