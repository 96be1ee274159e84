"""What a long list adds to a start and to memory: with an image to build, and with one found.

Knows: the bar.  Does not know: what an image is.
Each figure is the difference to the same start without the list, median over the repeats.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from benchmarks.contestants import EXCHANGES_ONLY, Setting, our_server, policy_with_list
from benchmarks.workload import Workload
from tests.loopback.process import free_port, memory_mb

FIRST_START_S_BAR = 4.0
FOUND_IMAGE_S_BAR = 0.2
MEMORY_MB_BAR = 60.0


def report_starts(directory: Path, blocked_count: int, repeats: int) -> None:
    """Print seconds and megabytes of four kinds of start, and what the list adds."""
    workload = Workload(directory, blocked_count)
    setting = Setting(directory / "starts", free_port(), 9, workload)
    policies = {"short": EXCHANGES_ONLY, "long": policy_with_list(workload.list_path)}
    seconds: dict[tuple[str, str], list[float]] = {}
    megabytes: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeats):
        for policy, text in policies.items():
            our_server(setting, text).forget_state()
            for kind in ("first", "found"):
                taken_s, memory = _start(setting, text)
                seconds.setdefault((policy, kind), []).append(taken_s)
                megabytes.setdefault((policy, kind), []).append(memory)
    for key, values in seconds.items():
        print(f"{key[0]:6}{key[1]:6} {median(values):6.2f} s {median(megabytes[key]):6.0f} MB")
    for kind, bar in (("first", FIRST_START_S_BAR), ("found", FOUND_IMAGE_S_BAR)):
        added_s = median(seconds["long", kind]) - median(seconds["short", kind])
        added_mb = median(megabytes["long", kind]) - median(megabytes["short", kind])
        print(
            f"{blocked_count:,} names add to a start with image {kind}:"
            f" {added_s:.2f} s (bar {bar}), {added_mb:.0f} MB (bar {MEMORY_MB_BAR:.0f})"
        )


def _start(setting: Setting, policy: str) -> tuple[float, float]:
    """Seconds to the ready line and megabytes then."""
    server = our_server(setting, policy)
    began = time.monotonic()
    with server:
        return time.monotonic() - began, memory_mb(server.pid)
