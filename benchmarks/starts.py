"""What a long list adds to a start and to memory: with an image to build, and with one found.

Knows: how to start this resolver with either engine, and its peers.  Does not know: what an image is.
What our list adds is the difference to the same start without the list, median over the repeats.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.contestants import EXCHANGES_ONLY, Setting, on_a_free_port, our_server, policy_with_list
from benchmarks.field import Commands, enter, reason_absent, running_upstream
from benchmarks.workload import Workload
from tests.loopback.process import memory_mb

READY_S_MAX = 600.0
"""Ten million names in Python take a minute on one core."""


def measure_starts(
    directory: Path, engines: Sequence[str], names: int, repeats: int
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Seconds and megabytes of four kinds of start of each engine; and who could not be started, why."""
    workload = Workload(directory, names)
    readings: list[dict[str, Any]] = []
    absent: dict[str, str] = {}
    policies = {"short": EXCHANGES_ONLY, "long": policy_with_list(workload.list_path)}
    for repeat in range(repeats):
        for engine in engines:
            why_not = absent.get(engine) or reason_absent(engine, {})
            if why_not:
                absent[engine] = why_not
                continue
            place = directory / f"starts-{engine}"
            for policy, text in policies.items():
                for image in ("first", "found"):
                    start_on = partial(_start, place, workload, text, engine, image)
                    try:
                        taken_s, memory = on_a_free_port(start_on)
                    except AssertionError:
                        absent[engine] = "did not start"
                        break
                    at = {"names": names, "engine": engine, "policy": policy, "image": image}
                    readings.append({**at, "repeat": repeat, "seconds": taken_s, "memory_mb": memory})
                    print(
                        f"{engine}, {policy} list of {names:,}, image {image}: {taken_s:.2f} s,"
                        f" {memory:.0f} MB",
                        flush=True,
                    )
    return readings, absent


def _start(
    directory: Path, workload: Workload, policy: str, engine: str, image: str, port: int
) -> tuple[float, float]:
    """Seconds to the ready line and megabytes then; a "first" start has no image of an earlier one."""
    server = our_server(Setting(directory, port, 9, workload), policy, engine)
    if image == "first":
        server.forget_state()
    began = time.monotonic()
    server.start()
    try:
        server.wait_until_ready(READY_S_MAX)
        return time.monotonic() - began, memory_mb(server.pid)
    finally:
        server.stop()


def measure_lists(
    directory: Path, contestants: Sequence[str], names: int, start_s_max: float, commands: Commands
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Each contestant started alone with a list of `names`: load time, memory; who was not, and why."""
    workload = Workload(directory, names)
    readings: list[dict[str, Any]] = []
    absent: dict[str, str] = {}
    with running_upstream(directory / "upstream", workload.allowed[0]) as upstream_port:
        for name in contestants:
            if name == "echo":
                continue
            place = directory / f"{name.replace('@', '-')}-{names}"
            entrant = enter(name, place, upstream_port, workload, commands=commands, start_s_max=start_s_max)
            if isinstance(entrant, str):
                absent[name] = entrant
                print(f"{name}, {names:,} names: {entrant}", flush=True)
                continue
            entrant.program.stop()
            readings.append(
                {"contestant": name, "names": names, "load_s": entrant.load_s, "memory_mb": entrant.memory_mb}
            )
            print(f"{name}, {names:,} names: {entrant.load_s:.1f} s, {entrant.memory_mb:.0f} MB", flush=True)
    return readings, absent
