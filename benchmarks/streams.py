"""What DNS over streams costs everyone: queries, handshakes, idle connections, misses over TLS, in turn.

Knows: who is up, the loads, in which order they are read.  Does not know: how a load is made, the bar.
Readings of a round stand beside each other, each round starting with another contestant, as in
`side_by_side`.  The rig's echoes are the limit: what kernel, TLS and HTTP take from any server.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.field import Commands
from benchmarks.measure import (
    Asking,
    ask_once,
    compile_c,
    measure,
    measure_waits,
    undisturbed,
)
from benchmarks.side_by_side import Length, in_turn, oddities
from benchmarks.stream_field import (
    ECHO,
    ECHO_GATHERING,
    OVER_TLS,
    TRANSPORTS,
    StreamEntrant,
    StreamField,
    running_stream_field,
)
from benchmarks.stream_loads import (
    CONNECTIONS,
    QUERY_SHAPES,
    SHAPES,
    StreamReading,
    ask_once_over,
    first_message,
    handshakes_command,
    load_over_streams,
)
from benchmarks.workload import Workload

LOADS = ("hot", "block")
"""What queries ask; handshakes and idle connections ask `hot` alone."""
HANDSHAKES_PER_S = 1_000
WAITS_PER_S = 10_000
"""Hits over UDP beside them."""
CONTESTANTS = ("native", "python", "dnsdist", "unbound", "kresd")

Reading = dict[str, Any]


def measure_streams(
    directory: Path,
    names: Sequence[str],
    blocked: int,
    length: Length,
    *,
    commands: Commands,
    start_s_max: float,
    shapes: Sequence[str] = SHAPES,
) -> dict[str, Any]:
    """All readings as a document, each printed as it is taken."""
    workload = Workload(directory, blocked)
    readings: list[Reading] = []
    program = compile_c("udp_load.c", directory)
    with running_stream_field(
        directory, names, workload, commands=commands, start_s_max=start_s_max
    ) as running:
        for repeat in range(length.repeats):
            _warm_up(running)
            for shape in shapes:
                for load in LOADS if shape in QUERY_SHAPES else LOADS[:1]:
                    readings += _read_round(running, shape, load, length.seconds, repeat)
            readings += _read_misses(running, length.seconds, repeat)
            readings += _read_beside(running, program, length.seconds, repeat)
            print(f"streams: round {repeat + 1} of {length.repeats}", flush=True)
        return {
            "names": blocked,
            "absent": running.absent,
            "versions": running.versions,
            "readings": readings,
        }


def _warm_up(running: StreamField) -> None:
    """Let everyone have the hot names cached: some keep answers to datagrams and to streams apart."""
    for name, entrant in running.entrants.items():
        if not entrant.udp_port or name == ECHO or name.endswith(OVER_TLS):
            continue
        ask_once(entrant.udp_port, running.workload.warm_up(), Asking())
        for transport in ("tcp", "tls"):
            if transport in entrant.ports:
                ask_once_over(entrant.ports[transport], transport, running.workload.warm_up())


def _served(running: StreamField, transport: str) -> list[tuple[str, StreamEntrant]]:
    return [
        (name, entrant)
        for name, entrant in running.entrants.items()
        if transport in entrant.ports and not name.endswith(OVER_TLS)
    ]


def _read_round(running: StreamField, shape: str, load: str, seconds: float, repeat: int) -> list[Reading]:
    """One shape over each transport, of everyone who speaks it."""
    readings = []
    for transport in TRANSPORTS:
        if (transport, shape) in (("tcp", "again"), ("tcp", "idle")):
            continue
        for name, entrant in in_turn(_served(running, transport), repeat):
            if name == ECHO_GATHERING and shape not in CONNECTIONS:
                continue
            at = {"contestant": name, "transport": transport, "shape": shape, "load": load, "repeat": repeat}
            readings.append(_read(running, entrant, at, seconds))
    return readings


def _read(running: StreamField, entrant: StreamEntrant, at: Reading, seconds: float) -> Reading:
    """One reading; what could not be read is said, and has no figure."""

    def take(queries: Path) -> StreamReading:
        return load_over_streams(running.rig, entrant, at["transport"], at["shape"], queries, seconds)

    afresh = partial(running.workload.queries, at["load"], seconds)
    try:
        got, stolen = undisturbed(take, afresh(), afresh)
    except (OSError, subprocess.SubprocessError) as failure:
        said = f"not read: {type(failure).__name__}"
        return _told({**at, "cpu_us": None, "completed": 0, "lost": 0, "odd": [said], "stolen": 0.0})
    return _told({**at, **asdict(got), "odd": _oddities(at, got), "stolen": stolen})


def _oddities(at: Reading, got: StreamReading) -> list[str]:
    """What makes a reading doubtful."""
    name, is_echo = at["contestant"], at["contestant"] in (ECHO, ECHO_GATHERING)
    found = []
    if at["shape"] in CONNECTIONS and at["transport"] != "https" and not is_echo:
        found += oddities(name, at["load"], got.completed, got.lost, got.rcodes)
    elif got.lost:
        found.append(f"{got.lost:,} of {got.completed + got.lost:,} queries lost")
    if at["shape"] == "again" and got.resumed < 0.9 * got.completed:
        found.append(f"only {got.resumed:,} of {got.completed:,} handshakes were resumed")
    if at["shape"] == "new" and got.resumed:
        found.append(f"{got.resumed:,} of {got.completed:,} handshakes were no full ones")
    return found


def _told(reading: Reading) -> Reading:
    unit = "kB" if reading["shape"] == "idle" else "µs"
    figure = f"{reading['cpu_us']:8.2f} {unit}" if reading["cpu_us"] is not None else "       –"
    groups = ", ".join(f"{what} {count:,}" for what, count in reading.get("handshakes", {}).items())
    said = "; ".join([*reading["odd"], *([groups] if groups else [])])
    print(
        f"{reading['contestant']:16} {reading['transport']:5} {reading['shape']:9} {reading['load']:5} "
        f"{figure}  {said}",
        flush=True,
    )
    return reading


def _read_misses(running: StreamField, seconds: float, repeat: int) -> list[Reading]:
    """Misses asked over UDP, of servers that ask their upstream over UDP and over TLS."""
    readings = []
    pairs = [name for name in running.entrants if f"{name}{OVER_TLS}" in running.entrants]
    for name in in_turn([each for pair in pairs for each in (pair, f"{pair}{OVER_TLS}")], repeat):
        entrant = running.entrants[name]
        queries = running.workload.queries("miss", seconds)
        got = measure(entrant.pid("tcp"), entrant.udp_port, queries, seconds)
        at = {"contestant": name, "transport": "udp", "shape": "miss", "load": "miss", "repeat": repeat}
        odd = oddities(name.removesuffix(OVER_TLS), "miss", got.completed, got.lost, got.rcodes)
        read = {"cpu_us": got.cpu_us, "completed": got.completed, "lost": got.lost, "odd": odd}
        readings.append(_told({**at, **read, "stolen": 0.0}))
    return readings


def _read_beside(running: StreamField, program: Path, seconds: float, repeat: int) -> list[Reading]:
    """The p99 of hits over UDP, alone and beside handshakes, of everyone who serves both."""
    readings = []
    queries = running.workload.queries("hot", seconds)
    everyone = [(name, entrant) for name, entrant in _served(running, "tls") if entrant.udp_port]
    for name, entrant in in_turn(everyone, repeat):
        take = partial(
            measure_waits,
            program,
            entrant.pid("tls"),
            entrant.udp_port,
            queries,
            seconds,
            WAITS_PER_S,
            # The clients that shake hands are on the generator's core, and as busy as the server.
            Asking(comes_first=True),
        )
        alone = take()
        # A second more, so that handshakes last as long as the load that is read beside them.
        command = handshakes_command(
            running.rig, "tls", entrant.ports["tls"], first_message(queries), seconds + 1, HANDSHAKES_PER_S
        )
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        beside = take()
        report = json.loads(client.communicate()[0] or '{"completed": 0, "failed": 0, "seconds": 1}')
        per_s = report["completed"] / report["seconds"]
        odd = [] if per_s > 0.9 * HANDSHAKES_PER_S else [f"only {per_s:.0f} handshakes a second"]
        at = {"contestant": name, "transport": "udp", "shape": "beside", "load": "hot", "repeat": repeat}
        figures = {"alone_us": _finite(alone.p99_us), "beside_us": _finite(beside.p99_us)}
        ratio = beside.p99_us / alone.p99_us if alone.p99_us else math.inf
        rest = {"completed": beside.completed, "lost": beside.lost, "handshakes_per_s": per_s, "stolen": 0.0}
        readings.append({**at, "ratio": _finite(ratio), **figures, **rest, "odd": odd})
        print(
            f"{name:16} p99 of hits {alone.p99_us:.0f} µs, beside {per_s:.0f} handshakes/s "
            f"{beside.p99_us:.0f} µs; {'; '.join(odd)}",
            flush=True,
        )
    return readings


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
