"""The bar: what this product asks of itself, beside what was measured.

Knows: every figure's limit.  Does not know: how it is measured or shown.
It judges only for the reader: nothing stops when a figure falls short.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks.field import ON_ONE_CORE
from benchmarks.figures import LOADS, Figures
from benchmarks.side_by_side import QUERIES_PER_S

ECHO_RATIO = {"hot": 1.25, "block": 1.25, "mix": 1.30}
"""Most CPU per query of the native engine, as a multiple of the bare echo's on the same load.

Not on names never asked before: each of them is asked of the upstream too, which the echo does not do.
"""
PEER_RATIO = 0.7
"""Most CPU per query of the native engine, as a multiple of the best peer's, on every load."""
THREADS_RATIO = 1.10
"""Most that two threads may take per query, as a multiple of one."""
UNBOUND_RATIO = {"hot": 1.0, "block": 1.5, "mix": 1.2, "miss": 1.5}
"""Most CPU per query of the Python engine, as a multiple of Unbound's, of the better one where two run."""

START_ADDED_S = {1_000_000: (1.0, 0.1), 10_000_000: (10.0, None)}
"""Names -> most seconds they may add to a start that builds the image, and to one that finds it."""
PROCESS_MB = 120.0
"""Most memory of the whole process with 1,000,000 names."""
MEMORY_ADDED_MB = {10_000_000: 450.0}
"""Names -> most megabytes they may add."""
STALL_MS = {("native", "half"): 5.0, ("python", "fixed"): 20.0}
"""Engine and load -> most that the worst answer during a reload may wait beyond the echo's own worst."""
RELOAD_LABELS = {"half": "at half the most it answers", "fixed": f"at {QUERIES_PER_S:,} queries/s"}

VARIANT_LABELS = {"plain": "", "edns": ", EDNS", "do": ", DO", "ipv6": ", IPv6"}


@dataclass(frozen=True)
class BarLine:
    """One claim."""

    what: str
    limit: str
    measured: str
    """Empty where it was not measured."""
    is_met: bool | None
    """None where it was not measured."""

    def verdict(self) -> str:
        """For the table."""
        return "not measured" if self.is_met is None else "met" if self.is_met else "**falls short**"


def bar_lines(figures: Figures) -> list[BarLine]:
    """Every claim, in the order of the page."""
    return [
        *_cpu_lines(figures),
        *_thread_lines(figures),
        *_start_lines(figures),
        *_reload_lines(figures),
        *_python_lines(figures),
    ]


def _at_most(what: str, limit: float, value: float | None, unit: str, digits: int = 2) -> BarLine:
    measured = "" if value is None else f"{value:.{digits}f}{unit}"
    return BarLine(
        what, f"≤ {limit:.{digits}f}{unit}", measured, None if value is None else value <= limit
    )  # fmt: skip


def _beside_the_best(what: str, limit: float, figures: Figures, best: tuple[str, float] | None) -> BarLine:
    """A ratio to the best of several, which is named."""
    line = _at_most(what, limit, best[1] if best else None, " ×")
    return replace(line, measured=f"{line.measured} ({figures.called(best[0])})") if best else line


def _cpu_lines(figures: Figures) -> Iterator[BarLine]:
    for variant, label in VARIANT_LABELS.items():
        for load in LOADS:
            what = f"native, {load}{label}"
            if load in ECHO_RATIO:
                ratio = figures.ratio(variant, "native", "echo", load)
                yield _at_most(f"{what}: times the echo's CPU", ECHO_RATIO[load], ratio, " ×")
            best = figures.best_peer(variant, "native", load)
            yield _beside_the_best(f"{what}: times the best peer's CPU", PEER_RATIO, figures, best)


def _thread_lines(figures: Figures) -> Iterator[BarLine]:
    for load in LOADS:
        for where, cores in (("", "x2"), (f" {ON_ONE_CORE}", f"x2 {ON_ONE_CORE}")):
            ratio, echo = (
                figures.ratio("threads", f"{name} {cores}", name, load, "threads")
                for name in ("native", "echo")
            )
            what = f"native, {load}: two threads{where}, times one thread's CPU"
            bar = _at_most(what, THREADS_RATIO, ratio, " ×")
            beside = f" (echo {echo:.2f} ×)" if bar.measured and echo is not None else ""
            yield replace(bar, measured=bar.measured + beside)


def _start_lines(figures: Figures) -> Iterator[BarLine]:
    for names, (first_s, found_s) in START_ADDED_S.items():
        label = f"native, {names:,} names"
        added_s = figures.added("native", names, "first", "seconds")
        yield _at_most(f"{label}: added to a first start", first_s, added_s, " s")
        if found_s is not None:
            added_s = figures.added("native", names, "found", "seconds")
            yield _at_most(f"{label}: added to a start that finds its image", found_s, added_s, " s")
            yield _at_most(f"{label}: the whole process", PROCESS_MB, _process_mb(figures, names), " MB", 0)
        if names in MEMORY_ADDED_MB:
            grown = [figures.added("native", names, image, "memory_mb") for image in ("first", "found")]
            most = max((each for each in grown if each is not None), default=None)
            yield _at_most(f"{label}: memory added", MEMORY_ADDED_MB[names], most, " MB", 0)


def _process_mb(figures: Figures, names: int) -> float | None:
    sizes = [figures.start("native", names, "long", image, "memory_mb") for image in ("first", "found")]
    return max((size for size in sizes if size is not None), default=None)


def _reload_lines(figures: Figures) -> Iterator[BarLine]:
    for (engine, load), limit_ms in STALL_MS.items():
        label = f"{engine}, reload {RELOAD_LABELS[load]}"
        lost = figures.reload_lost(engine, load)
        measured = "" if lost is None else str(lost)
        yield BarLine(f"{label}: queries lost", "0", measured, None if lost is None else lost == 0)
        stall_ms = figures.reload_stall_ms(engine, load)
        yield _at_most(f"{label}: stall beyond the echo's worst", limit_ms, stall_ms, " ms", 1)


def _python_lines(figures: Figures) -> Iterator[BarLine]:
    for load, limit in UNBOUND_RATIO.items():
        best = figures.best_peer("plain", "python", load, "unbound")
        yield _beside_the_best(f"python, {load}: times Unbound's CPU", limit, figures, best)
