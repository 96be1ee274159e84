"""What a flood on the block page does to DNS: hits at a fixed rate, without it, beside it, and beside a bare
server.

Knows: our own server with its block page, `http_flood.c`, `http_bare.c`.  Does not know: peers.
A flood of connections costs the machine something whoever answers it: the kernel does most of the work.  So
the page is held against a bare HTTP server in C on the same core at nice 10, which is offered the
same.  The server and its page, or the bare server, share one core; both loads have the other.  Each round
reads all three in turn.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.field import running_upstream
from benchmarks.measure import LOAD_CORE, SERVER_CORE, Asking, compile_c, measure_waits, pinned
from benchmarks.side_by_side import Length
from benchmarks.workload import Workload
from resolver.children import NICE
from tests.loopback.process import CLOCK_TICKS_PER_S, Program, cpu_s, free_port
from tests.loopback.server import BLOCKLIST, Server

HITS_PER_S = 5_000
"""Few enough to leave the core of the loads to the flood."""
CONNECTIONS_PER_S = 20_000
CLIENTS = 16
QUIET, BARE, PAGE = "quiet", "bare", "page"
VARIANTS = (QUIET, BARE, PAGE)
ADDRESS = "127.0.0.1"
BLOCKED_HOST = "www.blocked.example.net"
OTHERS_MAX = 0.10
"""Part of the machine's time that others may take in a reading that counts."""
TRIES_MAX = 2
NAMES = 1_000
"""Of the made-up list: hits are asked, and no list is looked at."""


@dataclass(frozen=True)
class FloodReading:
    """One round of one variant."""

    engine: str
    variant: str
    sent: int
    lost: int
    p50_us: float
    p99_us: float
    p999_us: float
    worst_us: float
    late_us: float
    offered_per_s: float
    answered: int
    refused: int
    given_up: int
    page_cpu_s: float
    """CPU seconds of the page's process, or of the bare server."""
    others: float
    """Part of the machine's time that programs of others took meanwhile."""


@contextmanager
def running_flood(program: Path, port: int, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """A flood that lasts so long; its one line of JSON is its output."""
    words = [*pinned(LOAD_CORE), str(program), "-r", str(CONNECTIONS_PER_S), "-l", str(seconds)]
    words += ["-n", BLOCKED_HOST, ADDRESS, str(port)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as flood:
        try:
            yield flood
        finally:
            flood.kill()


def page_pid(server: Server) -> int:
    """The process of the block page."""
    for children in Path(f"/proc/{server.pid}/task").glob("*/children"):
        for child in children.read_text().split():
            if b"resolver.block_page.program" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    raise SystemExit("the block page does not run")


class Others:
    """How much of the machine programs take that are not ours."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._began = time.monotonic()
        self._before = self._taken_s()

    def _taken_s(self) -> float:
        cpu = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        busy_s = (sum(cpu) - cpu[3] - cpu[4]) / CLOCK_TICKS_PER_S
        ours = os.times()
        return busy_s - sum(ours[:4]) - sum(map(cpu_s, self._pids))

    def share(self) -> float:
        """Since it was made; every program of ours that ended meanwhile was waited for."""
        spent = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        return max(0.0, (self._taken_s() - self._before) / spent)


class Rig:
    """One server with its page, a bare server beside it, and both loads."""

    def __init__(self, directory: Path, engine: str, stack: ExitStack) -> None:
        self.engine = engine
        self._load = compile_c("udp_load.c", directory)
        self._flood = compile_c("http_flood.c", directory)
        self._workload = Workload(directory, NAMES)
        upstream = stack.enter_context(running_upstream(directory / "upstream", self._workload.allowed[0]))
        self._ports = {BARE: free_port(), PAGE: free_port()}
        changes: dict[str, Any] = {
            "engine": engine,
            "threads": 1,
            "log": {"level": "warning"},
            "block_page": {"listen": [f"{ADDRESS}:{self._ports[PAGE]}"]},
        }
        self._server: Server = stack.enter_context(
            Server(
                directory / f"server-{engine}",
                upstream_ports=(upstream,),
                blocklist=BLOCKLIST,
                prefix=pinned(SERVER_CORE),
                changes=changes,
            )
        )
        self._server.wait_for(lambda: self._server.metric("resolver_block_page_up") == 1, "the block page")
        bare: list[str | Path] = [*pinned(SERVER_CORE), "nice", "-n", str(NICE)]
        bare.append(compile_c("http_bare.c", directory))
        bare += [ADDRESS, str(self._ports[BARE])]
        self._bare = stack.enter_context(Program(bare, directory, name="bare"))
        self._pids = {BARE: self._bare.pid, PAGE: page_pid(self._server)}
        self._waits(self._workload.warm_up(), 1.0)

    def _waits(self, queries: Path, seconds: float) -> Any:
        asking = Asking(clients=CLIENTS)
        return measure_waits(
            self._load, self._server.pid, self._server.port, queries, seconds, HITS_PER_S, asking
        )

    def undisturbed(self, variant: str, seconds: float) -> FloodReading:
        """A reading that others left alone; of `TRIES_MAX` disturbed ones the least disturbed."""
        taken = []
        for _ in range(TRIES_MAX):
            taken.append(self.read(variant, seconds))
            if taken[-1].others <= OTHERS_MAX:
                break
        return min(taken, key=lambda one: one.others)

    def read(self, variant: str, seconds: float) -> FloodReading:
        """Ask hits for `seconds`, while the flood of this variant goes on."""
        queries = self._workload.queries("hot")
        told: dict[str, Any] = {"offered": 0, "answered": 0, "refused": 0, "given_up": 0, "seconds": seconds}
        others = Others([self._server.pid, self._bare.pid])
        if variant == QUIET:
            waits, spent = self._waits(queries, seconds), 0.0
        else:
            before = cpu_s(self._pids[variant])
            with running_flood(self._flood, self._ports[variant], seconds) as flood:
                waits = self._waits(queries, seconds)
                output, _ = flood.communicate(timeout=60)
            told, spent = json.loads(output), cpu_s(self._pids[variant]) - before
        return FloodReading(
            self.engine,
            variant,
            waits.sent,
            waits.lost,
            waits.p50_us,
            waits.p99_us,
            waits.p999_us,
            waits.worst_us,
            waits.late_us,
            told["offered"] / told["seconds"],
            told["answered"],
            told["refused"],
            told["given_up"],
            spent,
            others.share(),
        )


def measure_block_page(
    directory: Path, engines: Sequence[str], length: Length
) -> list[dict[str, str | int | float]]:
    """All variants of these engines, in turns."""
    readings = []
    for engine in engines:
        with ExitStack() as stack:
            rig = Rig(directory, engine, stack)
            for _ in range(length.repeats):
                for variant in VARIANTS:
                    reading = rig.undisturbed(variant, length.seconds)
                    readings.append(reading)
                    print(line_of(reading), flush=True)
        print(summary_of([reading for reading in readings if reading.engine == engine]), flush=True)
    return [asdict(reading) for reading in readings]


def line_of(reading: FloodReading) -> str:
    """One reading, for who watches."""
    return (
        f"{reading.engine:6} {reading.variant:5}: p50 {reading.p50_us:.0f} us, p99 {reading.p99_us:.0f} us, "
        f"p99.9 {reading.p999_us:.0f} us, worst {reading.worst_us / 1e3:.1f} ms, lost {reading.lost} of "
        f"{reading.sent}, generator late {reading.late_us / 1e3:.1f} ms; "
        f"{reading.offered_per_s:.0f} connections/s, answered {reading.answered}, "
        f"refused {reading.refused}, given up {reading.given_up}; CPU {reading.page_cpu_s:.2f} s; "
        f"others {reading.others:.0%}"
    )


def summary_of(readings: Sequence[FloodReading]) -> str:
    """The medians of p99, and by how much the page moves it, in the bare server's shifts."""
    of = {variant: [one.p99_us for one in readings if one.variant == variant] for variant in VARIANTS}
    medians = {variant: statistics.median(found) for variant, found in of.items()}
    shifts = {variant: medians[variant] - medians[QUIET] for variant in (BARE, PAGE)}
    ratio = shifts[PAGE] / shifts[BARE] if shifts[BARE] > 0 else float("nan")
    return (
        f"{readings[0].engine}: median p99 of hits: quiet {medians[QUIET]:.0f} us, "
        f"bare {medians[BARE]:.0f} us, "
        f"page {medians[PAGE]:.0f} us; shift of the page / of the bare server: {ratio:.2f}"
    )
