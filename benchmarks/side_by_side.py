"""CPU microseconds per query, ours beside the peers', in interleaved repeats of one run.

Knows: the loads, the bar.  Does not know: how a contestant is configured or a load is made.
All contestants are up all the time, idle but for the one being asked, so a slow minute of the machine
hits them alike; the table shows medians, and ratios beside the bar.  It judges nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.contestants import is_installed, start, upstream
from benchmarks.measure import Reading, ask_once, measure
from benchmarks.workload import LOADS, Workload
from tests.loopback.authority import answers
from tests.loopback.process import Program, memory_mb

BAR = {"hot": 1.3, "block": 1.5, "miss": 1.0}
"""Most that ours may cost, as a multiple of Unbound's CPU per query on the same load."""
RCODE_SHARES = {"hot": ("NOERROR", 1.0), "block": ("NXDOMAIN", 1.0), "miss": ("NOERROR", 1.0)}
"""What a load's answers must be for its figure to mean anything."""
SHARE_SLACK = 0.001


@dataclass
class Contest:
    """Everything read in one run."""

    load_s: dict[str, float]
    """Seconds from a start to the first blocked and the first forwarded answer."""
    memory_mb: dict[str, float]
    readings: dict[tuple[str, str], list[Reading]]
    """(contestant, load) -> one reading per repeat."""

    def cpu_us(self, contestant: str, load: str) -> float | None:
        """Median over the repeats; None where it did not take part."""
        readings = self.readings.get((contestant, load))
        return median(reading.cpu_us for reading in readings) if readings else None


def run_contest(
    directory: Path,
    names: Sequence[str],
    *,
    loads: Sequence[str] = LOADS,
    blocked_count: int,
    seconds: float,
    repeats: int,
    flags: Sequence[str] = (),
) -> Contest:
    """Start everyone who is installed, then ask them all in turn, `repeats` times."""
    workload = Workload(directory, blocked_count)
    contest = Contest({}, {}, defaultdict(list))
    running: dict[str, tuple[Program, int]] = {}
    with ExitStack() as stack:
        authority, upstream_port = upstream(directory / "upstream")
        stack.enter_context(authority)
        authority.wait_for(lambda: answers(upstream_port, workload.allowed[0]), "the upstream answers")
        for name in names:
            if not is_installed(name):
                print(f"{name}: not installed", flush=True)
                continue
            program, port, load_s = start(name, directory / name, upstream_port, workload)
            stack.callback(program.stop)
            running[name] = (program, port)
            contest.load_s[name] = load_s
            contest.memory_mb[name] = memory_mb(program.pid)
            print(f"{name}: up in {load_s:.1f} s, {contest.memory_mb[name]:.0f} MB", flush=True)
        for _, port in running.values():
            ask_once(port, workload.warm_up())
        for repeat in range(repeats):
            for load in loads:
                for name, (program, port) in running.items():
                    reading = measure(program.pid, port, workload.queries(load), seconds, flags)
                    contest.readings[name, load].append(reading)
                    _report_oddities(name, load, reading)
            print(f"repeat {repeat + 1} of {repeats} done", flush=True)
    return contest


def _report_oddities(name: str, load: str, reading: Reading) -> None:
    if reading.lost:
        print(f"  {name} {load}: {reading.lost} queries lost", flush=True)
    rcode, share = RCODE_SHARES.get(load, ("", 0.0))
    if rcode and name != "echo" and reading.share(rcode) < share - SHARE_SLACK:
        print(f"  {name} {load}: only {reading.share(rcode):.1%} of the answers were {rcode}", flush=True)


def table(contest: Contest, loads: Sequence[str] = LOADS) -> str:
    """The figures as text: one line per contestant, then ours as multiples of the others'."""
    lines = [f"{'CPU µs per query':18}" + "".join(f"{load:>9}" for load in loads) + "       MB   load s"]
    for name in contest.load_s:
        cells = "".join(_cell(contest.cpu_us(name, load)) for load in loads)
        lines.append(f"{name:18}{cells}{contest.memory_mb[name]:9.0f}{contest.load_s[name]:9.1f}")
    for other in contest.load_s:
        if other == "ours" or "ours" not in contest.load_s:
            continue
        cells = "".join(
            _cell(_ratio(contest.cpu_us("ours", load), contest.cpu_us(other, load))) for load in loads
        )
        lines.append(f"{'ours / ' + other:18}{cells}")
        if other == "unbound":
            lines.append(f"{'  bar, at most':18}" + "".join(_cell(BAR.get(load)) for load in loads))
    return "\n".join(lines)


def _ratio(ours: float | None, other: float | None) -> float | None:
    return ours / other if ours is not None and other else None


def _cell(value: float | None) -> str:
    return f"{'-':>9}" if value is None else f"{value:9.2f}"
