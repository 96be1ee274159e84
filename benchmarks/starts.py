"""What a long list adds to a start and to memory: with an image to build, and with one found.

Knows: how to start this resolver with either engine, and its peers.  Does not know: what an image is.
What our list adds is the difference to the same start without the list, median over the repeats.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contestants import EXCHANGES_ONLY, Setting, free_port_everywhere, our_server, policy_with_list
from benchmarks.field import reason_absent, running_upstream, start
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
            setting = Setting(directory / f"starts-{engine}", free_port_everywhere(), 9, workload)
            for policy, text in policies.items():
                our_server(setting, text, engine).forget_state()
                for image in ("first", "found"):
                    try:
                        taken_s, memory = _start(setting, text, engine)
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


def _start(setting: Setting, policy: str, engine: str) -> tuple[float, float]:
    """Seconds to the ready line and megabytes then."""
    server = our_server(setting, policy, engine)
    began = time.monotonic()
    server.start()
    try:
        server.wait_until_ready(READY_S_MAX)
        return time.monotonic() - began, memory_mb(server.pid)
    finally:
        server.stop()


def measure_lists(
    directory: Path, contestants: Sequence[str], names: int, start_s_max: float, binaries: dict[str, str]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Each contestant started alone with a list of `names`: load time, memory; who was not, and why."""
    workload = Workload(directory, names)
    readings: list[dict[str, Any]] = []
    absent: dict[str, str] = {}
    with running_upstream(directory / "upstream", workload.allowed[0]) as upstream_port:
        for name in contestants:
            why_not = reason_absent(name, binaries)
            words = [why_not] if why_not else []
            if name == "echo":
                continue
            entrant = None
            if not why_not:
                setting = Setting(
                    directory / f"{name}-{names}",
                    free_port_everywhere(),
                    upstream_port,
                    workload,
                    binary=binaries.get(name, ""),
                )
                entrant = start(name, setting, start_s_max=start_s_max, last_words=words)
            if entrant is None:
                absent[name] = words[0]
                print(f"{name}, {names:,} names: {words[0]}", flush=True)
                continue
            entrant.program.stop()
            readings.append(
                {"contestant": name, "names": names, "load_s": entrant.load_s, "memory_mb": entrant.memory_mb}
            )
            print(f"{name}, {names:,} names: {entrant.load_s:.1f} s, {entrant.memory_mb:.0f} MB", flush=True)
    return readings, absent
