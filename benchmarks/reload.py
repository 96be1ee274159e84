"""A reload of the long list under load: what is lost, and how long an answer may wait.

Knows: the bar.  Does not know: how a reload works.
dnsperf asks 20,000 questions a second while the list file is replaced.  The echo is asked the same way
before each reload, so that what the machine itself stalls shows beside what the reload stalls.
"""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.contestants import Setting, our_server, policy_with_list, start, upstream
from benchmarks.measure import Reading, ask_once, dnsperf_command, measure, read_dnsperf
from benchmarks.workload import Workload
from tests.loopback.authority import answers
from tests.loopback.process import free_port, poll
from tests.loopback.server import Server

QUERIES_PER_S = 20_000
SECONDS = 10
STALL_MS_BAR = 20.0
"""Most that the worst answer may wait beyond the echo's own worst in the same run."""
RELOAD_S_MAX = 60.0


def report_reload(directory: Path, blocked_count: int, repeats: int) -> None:
    """Print lost queries and worst waits of echo, server at rest, and server reloading, per repeat."""
    workload = Workload(directory, blocked_count)
    with ExitStack() as stack:
        authority, upstream_port = upstream(directory / "upstream")
        stack.enter_context(authority)
        authority.wait_for(lambda: answers(upstream_port, workload.allowed[0]), "the upstream answers")
        echo, echo_port, _ = start("echo", directory / "echo", upstream_port, workload)
        stack.callback(echo.stop)
        list_path = directory / "reloaded.txt"
        list_path.write_bytes(workload.list_path.read_bytes())
        setting = Setting(directory / "reload", free_port(), upstream_port, workload)
        server = our_server(setting, policy_with_list(list_path))
        stack.enter_context(server)
        ask_once(setting.port, workload.warm_up())
        queries = workload.queries("hot")
        rate = ("-Q", str(QUERIES_PER_S))
        heads = ("echo", "at rest", "reloading", "beyond echo")
        print(f"{'worst wait':10}{''.join(f'{head:>14}' for head in heads)}{'lost':>6}  reload took")
        for repeat in range(repeats):
            calm = measure(echo.pid, echo_port, queries, SECONDS, rate)
            rest = measure(server.pid, setting.port, queries, SECONDS, rate)
            reading, reload_s = _measure_reload(server, setting.port, queries, list_path, repeat)
            beyond_ms = (reading.worst_s - calm.worst_s) * 1e3
            cells = "".join(f"{each.worst_s * 1e3:11.1f} ms" for each in (calm, rest, reading))
            print(
                f"repeat {repeat + 1:<3}{cells}{beyond_ms:11.1f} ms{reading.lost:6}  {reload_s:.1f} s",
                flush=True,
            )
        print(f"bar: nothing lost, at most {STALL_MS_BAR:.0f} ms beyond the echo")


def _measure_reload(
    server: Server, port: int, queries: Path, list_path: Path, repeat: int
) -> tuple[Reading, float]:
    """dnsperf's report while the list is replaced, and seconds from the change to the counted reload."""
    before = server.metrics()
    load = subprocess.Popen(
        dnsperf_command(port, queries, "-l", str(RELOAD_S_MAX), "-Q", str(QUERIES_PER_S)),
        stdout=subprocess.PIPE,
        text=True,
    )
    _wait_for_queries(server, sum_of_queries(before) + QUERIES_PER_S)
    changed = list_path.with_suffix(".new")
    changed.write_bytes(list_path.read_bytes() + f"added-{repeat}.example\n".encode())
    began = time.monotonic()
    changed.replace(list_path)
    server.wait_for_reload(before, timeout_s=RELOAD_S_MAX)
    reload_s = time.monotonic() - began
    # One more second's worth, so that the swap itself and what follows it lie within the load.
    _wait_for_queries(server, sum_of_queries(server.metrics()) + QUERIES_PER_S)
    load.send_signal(signal.SIGINT)
    output, _ = load.communicate()
    return read_dnsperf(output, 0.0), reload_s


def _wait_for_queries(server: Server, count: float) -> None:
    poll(lambda: sum_of_queries(server.metrics()) >= count, timeout_s=RELOAD_S_MAX, what="the load goes on")


def sum_of_queries(samples: dict[str, float]) -> float:
    """All queries counted, whatever their labels."""
    return sum(value for name, value in samples.items() if name.startswith("resolver_queries_total{"))
