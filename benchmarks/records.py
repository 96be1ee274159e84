"""What a query log costs: blocked queries at fixed rates, with the log and without, round by round.

Knows: our own server with the native engine, its threads' names, its metrics page.  Does not know: peers.
A log is cheap when the threads that answer compute no more for a query, when nothing is lost that is not lost
without it, and when a client over TCP waits no longer.  What the reader of the records computes is shown
beside it.  `one core`: all threads of the server share a core; `two cores`: the reader may also have the core
of the load, as far as that leaves it any.
"""

from __future__ import annotations

import statistics
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from benchmarks.contestants import policy_with_list
from benchmarks.field import running_upstream
from benchmarks.measure import CORES, SERVER_CORE, Asking, compile_c, measure_waits, pinned
from benchmarks.side_by_side import Length
from benchmarks.workload import Workload
from resolver.plane import THREADS
from tests.loopback.server import Server

RATES = (30_000, 60_000, 90_000)
"""Blocked queries per second."""
VARIANTS = ("none", "blocked")
"""`log.queries`."""
CLIENTS = 16
READER_THREADS = ("records", "log")
TCP_EVERY_S = 0.05
TCP_PATIENCE_S = 5.0
SETTLE_S = 0.5
"""Longer than a record takes to its line."""


@dataclass(frozen=True)
class RecordReading:
    """One round of one variant at one rate."""

    placement: str
    queries: str
    rate: int
    sent: int
    lost: int
    worst_us: float
    answering_us: float
    """CPU of the threads that answer, for each query answered."""
    reader_us: float
    """CPU of the threads that read records and write lines, for each query answered."""
    other_us: float
    records: int
    records_lost: int
    records_per_s: float
    tcp_worst_ms: float
    tcp_median_ms: float


def thread_cpu_ns(pid: int) -> dict[str, int]:
    """CPU of the process by kind of thread: `answering`, `reader`, `other`; see proc_pid_schedstat."""
    spent = {"answering": 0, "reader": 0, "other": 0}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it ended
            name = (task / "comm").read_text().strip()
            kind = "answering" if name.startswith(THREADS) else "other"
            kind = "reader" if name in READER_THREADS else kind
            spent[kind] += int((task / "schedstat").read_text().split()[0])
    return spent


class TcpClient:
    """Asks one blocked name over TCP again and again, beside the load; how long each answer took."""

    def __init__(self, port: int, qname: str) -> None:
        self._query = dns.message.make_query(qname, "A")
        self._port = port
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.waits_s: list[float] = []

    def __enter__(self) -> TcpClient:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._is_over.wait(TCP_EVERY_S):
            began = time.monotonic()
            with suppress(OSError, dns.exception.DNSException):
                dns.query.tcp(self._query, "127.0.0.1", port=self._port, timeout=TCP_PATIENCE_S)
            self.waits_s.append(time.monotonic() - began)


def read_round(
    program: Path, server: Server, workload: Workload, queries: str, placement: str, rate: int, seconds: float
) -> RecordReading:
    """Ask blocked names at `rate` for `seconds`."""

    def records() -> tuple[int, int]:
        time.sleep(SETTLE_S)
        name = "resolver_query_records"
        return int(server.metric(f"{name}_total")), int(server.metric(f"{name}_lost_total"))

    before, spent_before = records(), thread_cpu_ns(server.pid)
    with TcpClient(server.port, workload.blocked[0]) as tcp:
        waits = measure_waits(
            program,
            server.pid,
            server.port,
            workload.queries("block"),
            seconds,
            rate,
            Asking(clients=CLIENTS),
        )
    written, lost = (now - then for now, then in zip(records(), before, strict=True))
    spent = {kind: now - spent_before[kind] for kind, now in thread_cpu_ns(server.pid).items()}
    cpu_us = {kind: ns / 1e3 / max(1, waits.completed) for kind, ns in spent.items()}
    return RecordReading(
        placement,
        queries,
        rate,
        waits.sent,
        waits.lost,
        waits.worst_us,
        cpu_us["answering"],
        cpu_us["reader"],
        cpu_us["other"],
        written,
        lost,
        written / seconds,
        max(tcp.waits_s, default=0.0) * 1e3,
        statistics.median(tcp.waits_s or [0.0]) * 1e3,
    )


def measure_records(directory: Path, names: int, length: Length) -> list[dict[str, str | int | float]]:
    """All rates, variants and placements, in turns."""
    program = compile_c("udp_load.c", directory)
    workload = Workload(directory, names)
    placements = {"one core": (SERVER_CORE,), "two cores": (SERVER_CORE, CORES[-1])}
    readings = []
    with running_upstream(directory / "upstream", workload.allowed[0]) as upstream_port:
        for placement, cores in placements.items():
            with ExitStack() as stack:
                servers = {}
                for queries in VARIANTS:
                    folder = directory / f"{placement} {queries}".replace(" ", "-")
                    server = Server(
                        folder,
                        upstream_ports=(upstream_port,),
                        blocklist=policy_with_list(workload.list_path),
                        prefix=pinned(*cores),
                        changes={
                            "engine": "native",
                            "threads": 1,
                            "log": {"level": "warning", "queries": queries},
                        },
                    )
                    servers[queries] = stack.enter_context(server)
                for _ in range(length.repeats):
                    for rate in RATES:
                        for queries, server in servers.items():
                            reading = read_round(
                                program, server, workload, queries, placement, rate, length.seconds
                            )
                            readings.append(asdict(reading))
                            print(line_of(reading), flush=True)
    return readings


def line_of(reading: RecordReading) -> str:
    """One reading, for who watches."""
    return (
        f"{reading.placement:9} log {reading.queries:7} {reading.rate:6}/s: "
        f"{reading.lost} of {reading.sent} answers lost, worst {reading.worst_us / 1e3:.1f} ms; "
        f"us per query: answering {reading.answering_us:.2f}, reader {reading.reader_us:.2f}, "
        f"other {reading.other_us:.2f}; {reading.records_per_s:.0f} records/s, {reading.records_lost} lost; "
        f"TCP median {reading.tcp_median_ms:.1f} ms, worst {reading.tcp_worst_ms:.1f} ms"
    )
