"""A reload of the long list, or of a register as long, under load: what is lost, how long an answer may wait.

Knows: how a list is replaced, how a finished reload shows.  Does not know: how a reload works.
Twenty thousand queries a second, and half of what the server answers at most, are asked of it while its
list file is replaced.  The echo is asked the same way before and after each reload, so that what the machine
itself stalls shows beside what the reload stalls: afterwards for as long as the reload took, since the worst
of some minutes is worse than the worst of some seconds, whoever answers.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from benchmarks.contestants import Setting, on_a_free_port, our_server, policy_with_list, policy_with_register
from benchmarks.field import enter, reason_absent, running_upstream
from benchmarks.measure import (
    LOAD_CORE,
    SLOW_US,
    Asking,
    Waits,
    ask_once,
    compile_c,
    keeping_to,
    load_command,
    measure_waits,
    read_waits,
    undisturbed,
)
from benchmarks.side_by_side import QUERIES_PER_S, Length
from benchmarks.stolen import TakenTimes, watching_the_host
from benchmarks.workload import Workload
from tests.loopback.server import Server

RELOAD_S_MAX = 900.0
"""A register of a million records is read in idle time, of which the load leaves little."""
AROUND_S = 1.0
"""Load before the list is replaced, and after the reload is counted, so that the swap lies within it."""
LOOK_S = 0.1
"""Between two looks at the metrics page: a scrape is work for the server too."""
LOADS_UNDER = ("fixed", "half")
"""How many queries a second are asked: `QUERIES_PER_S`, or half of what the server answers at most."""
FIRST = Asking(comes_first=True)
"""We look on the generator's core, which must not make it late."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """The file that is replaced."""

    name: str
    entry: Callable[[Path], str]
    """The blocklist's text, by the file's path."""
    write: Callable[[Path, Sequence[str]], None]
    """All names into the file."""


def _write_lines(path: Path, names: Sequence[str]) -> None:
    with path.open("w") as file:
        file.writelines(f"{name}\n" for name in names)
        _settle(file)


def _write_dump(path: Path, names: Sequence[str]) -> None:
    """As `dump.xml` has its records, one for each name."""
    with path.open("w", encoding="cp1251") as file:
        file.write(
            '<?xml version="1.0" encoding="windows-1251"?>\n'
            '<reg:register xmlns:reg="http://rsoc.ru" updateTime="2026-01-30T11:00:00+03:00">\n'
        )
        for number, name in enumerate(names, 1):
            file.write(
                f'<content id="{number}" includeTime="2025-01-12T10:00:00" entryType="1" blockType="domain">'
                f'<decision date="2025-01-10" number="2-{number}" org="Org"/>'
                f"<domain><![CDATA[{name}]]></domain></content>\n"
            )
        file.write("</reg:register>\n")
        _settle(file)


def _settle(file: IO[str]) -> None:
    """On the disk before anybody is asked: to write out what is ours would hold up who answers."""
    file.flush()
    os.fsync(file.fileno())


LIST = Replaced("reloaded.txt", policy_with_list, _write_lines)
REGISTER = Replaced("dump.xml", policy_with_register, _write_dump)


def measure_reloads(
    directory: Path,
    engines: Sequence[str],
    names: int,
    length: Length,
    under: Sequence[str] = LOADS_UNDER,
    replaced: Replaced = LIST,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Waits of the echo, the server at rest and the server reloading, per engine and repeat."""
    workload = Workload(directory, names)
    readings: list[dict[str, Any]] = []
    absent: dict[str, str] = {}
    program = compile_c("udp_load.c", directory)
    with (
        keeping_to(LOAD_CORE),
        running_upstream(directory / "upstream", workload.allowed[0]) as upstream_port,
    ):
        for engine in engines:
            why_not = reason_absent(engine, {})
            if why_not:
                absent[engine] = why_not
                continue
            try:
                readings += _measure_engine(
                    directory, engine, workload, upstream_port, program, length, under, replaced
                )
            except AssertionError as failure:
                absent[engine] = "did not start or reload"
                print(f"{engine}: {str(failure)[:300]}", flush=True)
    return readings, absent


def _measure_engine(
    directory: Path,
    engine: str,
    workload: Workload,
    upstream_port: int,
    program: Path,
    length: Length,
    under: Sequence[str],
    replaced: Replaced,
) -> list[dict[str, Any]]:
    readings = []
    with ExitStack() as stack:
        place = directory / f"reload-{engine}"
        place.mkdir(parents=True, exist_ok=True)
        echo = enter("echo", place / "echo", upstream_port, workload, commands={}, start_s_max=RELOAD_S_MAX)
        assert not isinstance(echo, str), f"echo: {echo}"
        stack.callback(echo.program.stop)
        list_path = place / replaced.name
        replaced.write(list_path, workload.blocked)

        def serve(port: int) -> Server:
            setting = Setting(place, port, upstream_port, workload)
            return stack.enter_context(our_server(setting, replaced.entry(list_path), engine))

        server = on_a_free_port(serve)
        ask_once(server.port, workload.warm_up())
        queries = workload.queries("hot")
        most = measure_waits(program, server.pid, server.port, queries, 2.0).queries_per_s
        count = itertools.count()

        def read(queries: Path, rate: int) -> dict[str, Any]:
            waits = partial(
                measure_waits, program, queries=queries, seconds=length.seconds, rate=rate, asking=FIRST
            )
            with watching_the_host() as taken:
                before = waits(echo.pid, echo.port)
                rest = waits(server.pid, server.port)
                changed = list_path.with_suffix(".new")
                replaced.write(changed, [*workload.blocked, f"added-{next(count)}.example"])
                reloading, reload_s = _measure_one(
                    server, program, queries, lambda: changed.replace(list_path), rate
                )
                as_long = max(length.seconds, reload_s + 2 * AROUND_S)
                after = waits(echo.pid, echo.port, seconds=as_long)
            four = {"echo before": before, "rest": rest, "reloading": reloading, "echo after": after}
            return {"reload_s": reload_s, **{what: _told(one, taken) for what, one in four.items()}}

        for repeat in range(length.repeats):
            for load in under:
                rate = QUERIES_PER_S if load == "fixed" else round(most / 2)
                one, stolen = undisturbed(partial(read, rate=rate), queries, lambda: queries)
                readings.append(
                    {
                        "engine": engine,
                        "names": len(workload.blocked),
                        "repeat": repeat,
                        "load": load,
                        "rate": rate,
                        "stolen": stolen,
                        **one,
                    }
                )
                _print(readings[-1])
    return readings


def _told(waits: Waits, taken: TakenTimes) -> dict[str, Any]:
    own_us = [wait_us for at_s, wait_us in waits.slow if not taken.touches(at_s, at_s + wait_us / 1e6)]
    told = asdict(waits)
    del told["slow"]
    return {**told, "own_worst_us": max(own_us, default=min(waits.worst_us, SLOW_US))}


def _print(one: dict[str, Any]) -> None:
    worst = ", ".join(
        f"{what} {one[what]['own_worst_us'] / 1e3:.1f} ms (in all {one[what]['worst_us'] / 1e3:.1f})"
        for what in ("echo before", "rest", "reloading", "echo after")
    )
    print(
        f"{one['engine']} at {one['rate']:,} queries/s: worst wait {worst};"
        f" {one['reloading']['lost']} lost, reload took {one['reload_s']:.1f} s, {one['stolen']:.1%} stolen",
        flush=True,
    )


def _measure_one(
    server: Server, program: Path, queries: Path, replace: Callable[[], object], rate: int
) -> tuple[Waits, float]:
    """What is read while the list is replaced, and seconds from the change to the counted reload."""
    before = server.metrics()
    command = load_command(program, server.port, queries, RELOAD_S_MAX, rate, FIRST)
    load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        _look_until(
            lambda: _queries(server.metrics()) >= _queries(before) + rate * AROUND_S, "the load is on"
        )
        began = time.monotonic()
        replace()
        done = 'resolver_reloads_total{result="success"}'
        _look_until(lambda: server.metrics()[done] > before.get(done, 0.0), "the reload is counted")
        reload_s = time.monotonic() - began
        counted = _queries(server.metrics())
        _look_until(lambda: _queries(server.metrics()) >= counted + rate * AROUND_S, "the load goes on")
        load.send_signal(signal.SIGINT)
        output, _ = load.communicate(timeout=RELOAD_S_MAX)
    finally:
        if load.poll() is None:
            load.kill()
            load.wait()
    return read_waits(output, 0.0, 1.0), reload_s


def _look_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + RELOAD_S_MAX
    while not condition():
        assert time.monotonic() < deadline, f"not within {RELOAD_S_MAX:.0f} s: {what}"
        time.sleep(LOOK_S)


def _queries(samples: dict[str, float]) -> float:
    """All queries counted, whatever their labels."""
    return sum(value for name, value in samples.items() if name.startswith("resolver_queries_total{"))
