"""What the pause between turns of a native thread costs and saves: the usual build beside one without it.

Knows: how the native module is built, and run from a folder.  Does not know: what a turn is.
Both builds serve side by side and are asked in turn, as in every other part; a ratio is the median of the
ratios within each round.  `docs/decisions/0006-datagrams-gather.md` tells what the pause is for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.contestants import Setting, free_port_everywhere, native_server
from benchmarks.field import Field, contestant_of, running_upstream, start
from benchmarks.figures import Figures
from benchmarks.side_by_side import Length, Reading, measure_cpu, measure_throughput
from benchmarks.workload import Workload

ROOT = Path(__file__).parent.parent
MANIFEST = ROOT / "native" / "binding" / "Cargo.toml"
WITH, WITHOUT = "native@with", "native@without"
FEATURES = {WITH: "", WITHOUT: "without-gathering"}
"""The two builds, and what cargo is asked for."""
START_S_MAX = 180.0


def build_module(folder: Path, features: str) -> Path:
    """The native module with these cargo features, unpacked in `folder`."""
    maturin = Path(sys.executable).with_name("maturin")
    if not maturin.exists():
        raise SystemExit("the native module is built with maturin: run `make engine` first")
    environment = {"CARGO_TARGET_DIR": str(ROOT / "native" / "target"), **os.environ}
    environment["PATH"] += os.pathsep + str(Path.home() / ".cargo" / "bin")
    command: list[str | Path] = [maturin, "build", "--release", "--locked"]
    command += ["--interpreter", sys.executable, "--manifest-path", MANIFEST, "--out", folder]
    command += ["--features", features] if features else []
    subprocess.run(command, env=environment, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def measure_gathering(directory: Path, loads: Sequence[str], names: int, length: Length) -> dict[str, Any]:
    """CPU per query and throughput of both builds."""
    modules = {
        key: build_module(directory / f"module-{key.partition('@')[2]}", features)
        for key, features in FEATURES.items()
    }
    workload = Workload(directory, names)
    with ExitStack() as stack:
        upstream_port = stack.enter_context(running_upstream(directory / "upstream", workload.allowed[0]))
        running = Field(workload, upstream_port)
        for key, folder in modules.items():
            setting = Setting(folder / "server", free_port_everywhere(), upstream_port, workload)
            build = partial(native_server, modules=folder)
            words: list[str] = []
            contestant = replace(contestant_of(key), build=build)
            entrant = start(contestant, setting, start_s_max=START_S_MAX, last_words=words)
            if entrant is None:
                raise SystemExit(f"{key}: {words[0]}")
            stack.callback(entrant.program.stop)
            running.entrants[key] = entrant
        readings = measure_cpu(running, loads, {"plain": length})
        readings += measure_throughput(running, loads, length)
    return {"names": names, "readings": readings}


def gathering_table(readings: Sequence[Reading]) -> str:
    """Both builds' figures and their ratios, a line for each load."""
    figures = Figures({"gathering": {"readings": list(readings)}})
    lines = [
        f"{'':8}{'CPU us per query':>27}{'plain dnsperf, queries/s':>30}",
        f"{'load':8}" + f"{'with':>9}{'without':>9}{'ratio':>9}" + f"{'with':>11}{'without':>10}{'ratio':>9}",
    ]
    for load in dict.fromkeys(one["load"] for one in readings):
        cells = [f"{load:8}"]
        for field, digits, widths, wanted in (
            ("cpu_us", 2, (9, 9), {"variant": "plain"}),
            ("queries_per_s", 0, (11, 10), {"kind": "throughput"}),
        ):
            for key, width in zip((WITH, WITHOUT), widths, strict=True):
                median = figures.median_of(field, key, "gathering", load=load, **wanted)
                cells.append(f"{'-' if median is None else f'{median:,.{digits}f}':>{width}}")
            ratio = figures.ratio_of(field, WITH, WITHOUT, "gathering", load=load, **wanted)
            cells.append(f"{'-' if ratio is None else f'{ratio:.3f}':>9}")
        lines.append("".join(cells))
    return "\n".join(lines)
