"""CPU microseconds per query, waits and the most per second: ours beside the peers', interleaved.

Knows: the loads, the variants.  Does not know: how a contestant is configured or a load is made.
All contestants are up all the time, idle but for the one being asked, and are asked in turn, each round
starting with another one, so a slow minute of the machine hits them alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.contestants import OURS, has_ipv6
from benchmarks.field import CONTESTANTS, Entrant, Field
from benchmarks.measure import (
    CLIENTS_MANY,
    Asking,
    ask_once,
    compile_c,
    measure,
    measure_waits,
    server_cores,
    undisturbed,
)

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


def in_turn(entrants: Sequence[Entrant], repeat: int) -> Iterator[Entrant]:
    """All of them, beginning with another one each time."""
    for place in range(len(entrants)):
        yield entrants[(place + repeat) % len(entrants)]


def expected_rcode(name: str, load: str) -> str:
    """What all answers to this load must be; empty where they differ."""
    contestant = CONTESTANTS[name.split()[0]]
    if load == "block":
        return contestant.blocked_rcode
    return "" if load == "mix" else "NOERROR"


def oddities(name: str, load: str, completed: int, lost: int, rcodes: dict[str, int]) -> list[str]:
    """What makes a reading doubtful: lost queries, or other answers than the load must get."""
    found = []
    if not completed:
        return ["nothing was answered"]
    is_ours = name.split()[0] in OURS
    if lost > (0 if is_ours else LOST_SLACK * (completed + lost)):
        found.append(f"{lost:,} of {completed + lost:,} queries lost")
    expected = expected_rcode(name, load)
    share = rcodes.get(expected, 0) / completed
    if expected and name.split()[0] != "echo" and share < 1 - SHARE_SLACK:
        found.append(f"only {share:.1%} of the answers were {expected}")
    return found


def warm_up(running: Field, asking: Asking) -> None:
    """Let everyone have the hot names cached, in the form in which they will be asked."""
    for entrant in running.entrants.values():
        ask_once(entrant.port, running.workload.warm_up(), asking)


def measure_cpu(running: Field, loads: Sequence[str], lengths: dict[str, Length]) -> list[Reading]:
    """CPU per query of everyone, for each variant of `lengths`."""
    readings = []
    entrants = list(running.entrants.values())
    for repeat in range(max((length.repeats for length in lengths.values()), default=0)):
        for variant, length in lengths.items():
            if repeat >= length.repeats or (variant == "ipv6" and not has_ipv6()):
                continue
            warm_up(running, VARIANTS[variant])
            for load in loads:
                afresh = partial(running.workload.queries, load, length.seconds)
                queries = afresh()
                for entrant in in_turn(entrants, repeat):
                    read = partial(
                        measure, entrant.pid, entrant.port, seconds=length.seconds, asking=VARIANTS[variant]
                    )
                    got, stolen = undisturbed(read, queries, afresh)
                    key = _key(running, entrant)
                    odd = oddities(key, load, got.completed, got.lost, got.rcodes)
                    _tell(key, f"{variant} {load}", odd)
                    at = {"variant": variant, "load": load, "contestant": key, "repeat": repeat}
                    readings.append({**at, **asdict(got), "odd": odd, "stolen": stolen})
            print(f"CPU per query: {variant}, round {repeat + 1} of {length.repeats}", flush=True)
    return readings


def measure_all_waits(
    running: Field, loads: Sequence[str], length: Length, rate: int, directory: Path
) -> list[Reading]:
    """The most per second, and the waits at `rate`, of everyone."""
    readings = []
    program = compile_c("udp_load.c", directory)
    entrants = list(running.entrants.values())
    for repeat in range(length.repeats):
        warm_up(running, Asking())
        for load in loads:
            for kind, wanted in (("most", 0), ("rate", rate)):
                afresh = partial(running.workload.queries, load, length.seconds)
                queries = afresh()
                for entrant in in_turn(entrants, repeat):
                    read = partial(
                        measure_waits, program, entrant.pid, entrant.port, seconds=length.seconds, rate=wanted
                    )
                    got, stolen = undisturbed(read, queries, afresh)
                    key = _key(running, entrant)
                    odd = oddities(key, load, got.completed, got.lost, got.rcodes)
                    _tell(key, f"{kind} {load}", odd)
                    at = {"kind": kind, "rate": wanted, "load": load, "contestant": key, "repeat": repeat}
                    readings.append({**at, **_finite(asdict(got)), "odd": odd, "stolen": stolen})
        print(f"waits: round {repeat + 1} of {length.repeats}", flush=True)
    return readings


def _key(running: Field, entrant: Entrant) -> str:
    return next(key for key, one in running.entrants.items() if one is entrant)


def _finite(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no infinity: None says that it was never answered."""
    return {
        key: None if isinstance(value, float) and math.isinf(value) else value
        for key, value in fields.items()
    }


def _tell(key: str, what: str, odd: list[str]) -> None:
    for each in odd:
        print(f"  {key}, {what}: {each}", flush=True)
