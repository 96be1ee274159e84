"""The first screen of the page: what a query costs here and elsewhere, and which bars are missed.

Knows: the figures and the judged bars.  Does not know: the tables behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from benchmarks.bars import BarLine
from benchmarks.contestants import Contestant
from benchmarks.figures import LOADS, NOT_PEERS, Figures
from benchmarks.markdown import label_of, number, table

SHORT_MAX = 8
"""Bars that fall short and are named on the first screen."""


def summary(figures: Figures, lines: Sequence[BarLine], contestants: Mapping[str, Contestant]) -> str:
    """The section."""

    def cost(key: str, load: str) -> float | None:
        return figures.cpu_us("plain", key, load)

    parts = [
        "## Summary",
        _ours_and_the_best(figures, contestants, "µs per query", "contest", cost, min, 1),
        _ours_and_the_best(
            figures, contestants, "queries/s, plain dnsperf", "throughput", figures.throughput, max, 0
        ),
        _verdicts(lines),
    ]
    return "\n\n".join(part for part in parts if part)


def _ours_and_the_best(
    figures: Figures,
    contestants: Mapping[str, Contestant],
    head: str,
    part: str,
    figure: Callable[[str, str], float | None],
    best_of: Callable[[list[tuple[float, str]]], tuple[float, str]],
    digits: int,
) -> str:
    """The echo, ours, and the best peer on each load by name."""
    keys = figures.contestants(part)
    rows = [
        [label_of(key, contestants), *(number(figure(key, load), digits) for load in LOADS)]
        for key in keys
        if key in NOT_PEERS
    ]
    best = []
    for load in LOADS:
        read = [(value, key) for key in keys if key not in NOT_PEERS if (value := figure(key, load))]
        value, key = best_of(read) if read else (None, "")
        best.append(f"{number(value, digits)} ({label_of(key, contestants)})" if key else number(None))
    return table((head, *LOADS), [*rows, ["best peer", *best]]) if keys else ""


def _verdicts(lines: Sequence[BarLine]) -> str:
    short = [line for line in lines if line.is_met is False]
    met = sum(line.is_met is True for line in lines)
    unmeasured = sum(line.is_met is None for line in lines)
    text = f"Of {len(lines)} [bars](#the-bar) {met} are met and {len(short)} are missed"
    text += f"; {unmeasured} were not measured." if unmeasured else "."
    named = [f"- {line.what}: {line.measured}, bar {line.limit}" for line in short[:SHORT_MAX]]
    if len(short) > SHORT_MAX:
        named.append(f"- and {len(short) - SHORT_MAX} more")
    return "\n".join([text, *(["", "What falls short:", "", *named] if named else [])])
