"""CPU microseconds per query, waits and the most per second: ours beside the peers', interleaved.

Knows: the loads, the variants.  Does not know: how a contestant is configured or a load is made.
All contestants are up all the time, idle but for the one being asked, and are asked in turn, each round
starting with another one, so a slow minute of the machine hits them alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.contestants import OURS, has_ipv6
from benchmarks.field import Entrant, Field, contestant_of
from benchmarks.measure import (
    CLIENTS_MANY,
    Asking,
    Waits,
    ask_once,
    compile_c,
    measure,
    measure_plain,
    measure_waits,
    server_cores,
    undisturbed,
)
from benchmarks.measure import Reading as DnsperfReading

T = TypeVar("T")

VARIANTS: dict[str, Asking] = {
    "plain": Asking(),
    "edns": Asking(edns=True),
    "do": Asking(edns=True, dnssec_ok=True),
    "ipv6": Asking(host="::1"),
    "threads": Asking(clients=CLIENTS_MANY),
}
"""Ways to ask the loads.  `threads` is the plain one from more sockets, for servers of two threads."""
THREADS_FIELD = tuple(
    (name, cores)
    for name in ("echo", "native")
    for cores in dict.fromkeys((server_cores(1), 2 * server_cores(1), server_cores(2)))
)
"""Who takes part in the variant `threads`: one thread, two on its core, and two on a core each.

Two threads take the same queries in more batches, each of which costs two system calls and a wake-up; where
there are no more cores than two, the second one's also runs the load generator.
"""

QUERIES_PER_S = 20_000
"""The fixed rate at which waits are read: a busy network of some ten thousand users."""
SHARE_SLACK = 0.001
LOST_SLACK = 0.005
"""Part of the queries that a peer may lose unmentioned: the first burst does not fit the usual receive
buffer, and not all of them can be told to ask for a larger one."""

Reading = dict[str, Any]
"""One run of a load generator, as it is written to the file of raw readings."""


@dataclass(frozen=True)
class Length:
    """How long and how often."""

    seconds: float
    repeats: int


def in_turn(everyone: Sequence[T], repeat: int) -> Iterator[T]:
    """All of them, beginning with another one each time."""
    for place in range(len(everyone)):
        yield everyone[(place + repeat) % len(everyone)]


def expected_rcode(name: str, load: str) -> str:
    """What all answers to this load must be; empty where they differ."""
    if load == "block":
        return contestant_of(name).blocked_rcode
    return "" if load == "mix" else "NOERROR"


def oddities(name: str, load: str, completed: int, lost: int, rcodes: dict[str, int]) -> list[str]:
    """What makes a reading doubtful: lost queries, or other answers than the load must get."""
    found = []
    if not completed:
        return ["nothing was answered"]
    contestant = contestant_of(name)
    is_ours = contestant in OURS.values()
    if lost > (0 if is_ours else LOST_SLACK * (completed + lost)):
        found.append(f"{lost:,} of {completed + lost:,} queries lost")
    expected = expected_rcode(name, load)
    share = rcodes.get(expected, 0) / completed
    if expected and contestant.is_forwarder and share < 1 - SHARE_SLACK:
        found.append(f"only {share:.1%} of the answers were {expected}")
    return found


def warm_up(running: Field, asking: Asking) -> None:
    """Let everyone have the hot names cached, in the form in which they will be asked."""
    for entrant in running.entrants.values():
        ask_once(entrant.port, running.workload.warm_up(), asking)


def read_in_turn(
    running: Field, load: str, seconds: float, at: Reading, take: Callable[[Entrant, Path], Any]
) -> list[Reading]:
    """What `take` reads of everyone with the same queries, each reading with `at`, which names its repeat."""
    readings = []
    afresh = partial(running.workload.queries, load, seconds)
    queries = afresh()
    for key, entrant in in_turn(list(running.entrants.items()), at["repeat"]):
        got, stolen = undisturbed(partial(take, entrant), queries, afresh)
        odd = oddities(key, load, got.completed, got.lost, got.rcodes)
        for each in odd:
            print(f"  {key}, {at.get('variant') or at['kind']} {load}: {each}", flush=True)
        where = {"contestant": key, "load": load, **at}
        readings.append({**where, **_finite(asdict(got)), "odd": odd, "stolen": stolen})
    return readings


def measure_cpu(running: Field, loads: Sequence[str], lengths: dict[str, Length]) -> list[Reading]:
    """CPU per query of everyone, for each variant of `lengths`."""
    readings = []
    for repeat in range(max((length.repeats for length in lengths.values()), default=0)):
        for variant, length in lengths.items():
            if repeat >= length.repeats or (variant == "ipv6" and not has_ipv6()):
                continue
            take = partial(_take_cpu, length.seconds, VARIANTS[variant])
            warm_up(running, VARIANTS[variant])
            for load in loads:
                at = {"variant": variant, "repeat": repeat}
                readings += read_in_turn(running, load, length.seconds, at, take)
            print(f"CPU per query: {variant}, round {repeat + 1} of {length.repeats}", flush=True)
    return readings


def _take_cpu(seconds: float, asking: Asking, entrant: Entrant, queries: Path) -> DnsperfReading:
    return measure(entrant.pid, entrant.port, queries, seconds, asking)


def measure_throughput(running: Field, loads: Sequence[str], length: Length) -> list[Reading]:
    """Queries per second that a plain dnsperf gets from everyone."""
    readings = []
    take = partial(_take_throughput, length.seconds)
    for repeat in range(length.repeats):
        warm_up(running, Asking())
        for load in loads:
            at = {"kind": "throughput", "repeat": repeat}
            readings += read_in_turn(running, load, length.seconds, at, take)
        print(f"throughput: round {repeat + 1} of {length.repeats}", flush=True)
    return readings


def _take_throughput(seconds: float, entrant: Entrant, queries: Path) -> DnsperfReading:
    return measure_plain(entrant.pid, entrant.port, queries, seconds)


def measure_all_waits(
    running: Field, loads: Sequence[str], length: Length, rate: int, directory: Path
) -> list[Reading]:
    """The most per second, and the waits at `rate`, of everyone."""
    readings = []
    program = compile_c("udp_load.c", directory)
    for repeat in range(length.repeats):
        warm_up(running, Asking())
        for load in loads:
            for kind, wanted in (("most", 0), ("rate", rate)):
                at = {"kind": kind, "rate": wanted, "repeat": repeat}
                take = partial(_take_waits, program, length.seconds, wanted)
                readings += read_in_turn(running, load, length.seconds, at, take)
        print(f"waits: round {repeat + 1} of {length.repeats}", flush=True)
    return readings


def _take_waits(program: Path, seconds: float, rate: int, entrant: Entrant, queries: Path) -> Waits:
    return measure_waits(program, entrant.pid, entrant.port, queries, seconds, rate)


def _finite(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no infinity: None says that it was never answered."""
    return {
        key: None if isinstance(value, float) and math.isinf(value) else value
        for key, value in fields.items()
    }
