"""What query records cost: blocked queries at fixed rates, with each sink and without any, round by round.

Knows: our own server with the native engine, its threads' names, its metrics page.  Does not know: peers.
Records are cheap when the threads that answer compute no more for a query, when nothing is lost that is not
lost without them, and when a client over TCP waits no longer.  What the readers of the records compute is
shown beside it.  `one core`: all threads of the server share a core; `two cores`: the readers may also have
the core of the load, as far as that leaves them any.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import dns.exception
import dns.message
import dns.query

from benchmarks.contestants import policy_with_list
from benchmarks.field import running_upstream
from benchmarks.measure import CORES, SERVER_CORE, Asking, compile_c, measure_waits, pinned
from benchmarks.side_by_side import Length, in_turn
from benchmarks.workload import Workload
from resolver.plane import THREADS
from tests.loopback.process import free_port
from tests.loopback.server import Server

RATES = (30_000, 60_000, 100_000)
"""Blocked queries per second."""
CLIENTS = 16
READER_THREADS = ("records", "log", "sink ")
"""How the names of threads begin that read records and pass them on."""
METRIC = "resolver_query_records"
TCP_EVERY_S = 0.05
TCP_PATIENCE_S = 5.0
SETTLE_S = 0.5
"""Longer than a record takes to its line."""


@dataclass(frozen=True)
class RecordReading:
    """One round of one variant at one rate."""

    placement: str
    sink: str
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
            kind = "reader" if name.startswith(READER_THREADS) else kind
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
    program: Path, server: Server, workload: Workload, sink: str, placement: str, rate: int, seconds: float
) -> RecordReading:
    """Ask blocked names at `rate` for `seconds`."""

    def records() -> tuple[int, int]:
        time.sleep(SETTLE_S)
        samples = server.metrics()
        return (
            sum(int(value) for name, value in samples.items() if name.startswith(f"{METRIC}_total")),
            sum(int(value) for name, value in samples.items() if name.startswith(f"{METRIC}_lost_total")),
        )

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
        sink,
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


def sink_settings(folder: Path) -> dict[str, dict[str, object]]:
    """What each variant writes; a reader listens where one is needed (`readers_for`)."""

    def sink(kind: str, to: str, name: str = "one") -> dict[str, object]:
        return {"name": name, "type": kind, "to": to, "queries": "blocked", "clients": "full"}

    tcp_port, udp_port = free_port(), free_port()
    jsonl = sink("jsonl", str(folder / "queries.jsonl"), "lines") | {"rotate_mb": 256, "keep": 1}
    dnstap = sink("dnstap", f"unix:{folder / 'dnstap.sock'}", "tap")
    syslog = sink("syslog", f"tcp://127.0.0.1:{tcp_port}", "syslog")
    return {
        "none": {},
        "log": {"log": {"level": "warning", "queries": "blocked"}},
        "jsonl": {"query_records": [jsonl]},
        "dnstap": {"query_records": [dnstap]},
        "syslog-tcp": {"query_records": [syslog]},
        "syslog-udp": {"query_records": [sink("syslog", f"udp://127.0.0.1:{udp_port}")]},
        "all": {"query_records": [jsonl, dnstap, syslog], "log": {"level": "warning", "queries": "blocked"}},
        "stalled": {"query_records": [sink("dnstap", f"unix:{folder / 'stalled.sock'}")]},
    }


SINKS = tuple(sink_settings(Path()))


@contextmanager
def readers_for(changes: dict[str, object], prefix: tuple[str, ...]) -> Iterator[None]:
    """The programs that read what these sinks send, on the core of the load and behind it."""
    with ExitStack() as stack:
        for sink in cast(list[dict[str, str]], changes.get("query_records", [])):
            to = sink["to"]
            kind = "stalled" if "stalled" in to else sink["type"]
            where = to.removeprefix("unix:")
            if "://" in to:
                kind, where = to.partition(":")[0], to.rpartition(":")[2]
            elif not to.startswith("unix:"):
                continue
            reader = subprocess.Popen(
                [*prefix, "nice", sys.executable, "-m", "benchmarks.sink_readers", f"{kind}:{where}"],
                stdout=subprocess.PIPE,
            )
            stack.callback(reader.wait)
            stack.callback(reader.kill)
            assert reader.stdout is not None
            reader.stdout.readline()
        yield


def measure_records(
    directory: Path, names: int, length: Length, sinks: Sequence[str] = SINKS, rates: Sequence[int] = RATES
) -> list[dict[str, str | int | float]]:
    """All rates, sinks and placements, in turns."""
    program = compile_c("udp_load.c", directory)
    workload = Workload(directory, names)
    placements = {"one core": (SERVER_CORE,), "two cores": (SERVER_CORE, CORES[-1])}
    readings = []
    with running_upstream(directory / "upstream", workload.allowed[0]) as upstream_port:
        for placement, cores in placements.items():
            with ExitStack() as stack:
                servers = {}
                for sink in sinks:
                    folder = directory / f"{placement} {sink}".replace(" ", "-")
                    folder.mkdir()
                    changes = sink_settings(folder)[sink]
                    stack.enter_context(readers_for(changes, pinned(CORES[-1])))
                    server = Server(
                        folder,
                        upstream_ports=(upstream_port,),
                        blocklist=policy_with_list(workload.list_path),
                        prefix=pinned(*cores),
                        changes={"engine": "native", "threads": 1, "log": {"level": "warning"}, **changes},
                    )
                    servers[sink] = stack.enter_context(server)
                for repeat in range(length.repeats):
                    for rate in rates:
                        for sink in in_turn(sinks, repeat):
                            reading = read_round(
                                program, servers[sink], workload, sink, placement, rate, length.seconds
                            )
                            readings.append(asdict(reading))
                            print(line_of(reading), flush=True)
    print(medians_of(readings))
    return readings


def medians_of(readings: Sequence[dict[str, str | int | float]]) -> str:
    """A table: the median of what the answering threads compute, and what was lost."""
    lines = ["placement  sink         rate  answering us  of none  reader us  answers lost  records lost"]
    groups: dict[tuple[object, ...], list[dict[str, Any]]] = {}
    for reading in readings:
        groups.setdefault((reading["placement"], reading["sink"], reading["rate"]), []).append(reading)
    for (placement, sink, rate), rounds in groups.items():
        us = statistics.median(each["answering_us"] for each in rounds)
        bare = groups.get((placement, "none", rate))
        ratio = us / statistics.median(each["answering_us"] for each in bare) if bare else 0.0
        reader_us = statistics.median(each["reader_us"] for each in rounds)
        lost = statistics.median(each["lost"] / each["sent"] for each in rounds)
        records_lost = statistics.median(each["records_lost"] for each in rounds)
        lines.append(
            f"{placement:9}  {sink:10} {rate:6}  {us:12.2f}  {ratio:7.3f}  {reader_us:9.2f}  {lost:12.1%}  "
            f"{records_lost:12.0f}"
        )
    return "\n".join(lines)


def line_of(reading: RecordReading) -> str:
    """One reading, for who watches."""
    return (
        f"{reading.placement:9} {reading.sink:10} {reading.rate:6}/s: "
        f"{reading.lost} of {reading.sent} answers lost, worst {reading.worst_us / 1e3:.1f} ms; "
        f"us per query: answering {reading.answering_us:.2f}, reader {reading.reader_us:.2f}, "
        f"other {reading.other_us:.2f}; {reading.records_per_s:.0f} records/s, {reading.records_lost} lost; "
        f"TCP median {reading.tcp_median_ms:.1f} ms, worst {reading.tcp_worst_ms:.1f} ms"
    )
