"""The days of a period in as many bars as a reader can take in.

Knows: days, weeks, months.  Does not know: languages, drawing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Literal

from resolver.report.document import Bar
from resolver.report.facts import Hits, Period

Width = Literal["day", "week", "month"]

DAYS_MAX = 92
"""Bars a chart has at most by day: a quarter of a year."""
WEEKS_MAX = 106
"""The same by week: two years."""


def width_of(period: Period, days_max: int = DAYS_MAX) -> Width:
    """What one bar stands for."""
    if period.day_count <= days_max:
        return "day"
    return "week" if period.day_count <= 7 * WEEKS_MAX else "month"


def bars_of(hits: Hits, period: Period, width: Width) -> tuple[Bar, ...]:
    """The bars of a period, empty ones included; a week begins on Monday (ISO 8601)."""
    counts: dict[date, tuple[int, int]] = {}
    for day in hits.days:
        first = _first_of(day.day, width)
        blocked, shadow = counts.get(first, (0, 0))
        counts[first] = (blocked + day.blocked, shadow + day.shadow)
    return tuple(
        Bar(first, _label(first, width), *counts.get(first, (0, 0))) for first in _firsts(period, width)
    )


def runs_of(days: Sequence[date]) -> list[str]:
    """Days (in order) in words, those that follow each other as one: `2026-11-01 – 2026-11-04`."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day - runs[-1][1] == timedelta(days=1):
            runs[-1][1] = day
        else:
            runs.append([day, day])
    return [str(first) if first == last else f"{first} – {last}" for first, last in runs]


def _firsts(period: Period, width: Width) -> Iterator[date]:
    first = _first_of(period.first, width)
    while first <= period.last:
        yield first
        first = _first_of(first + timedelta(days={"day": 1, "week": 7, "month": 32}[width]), width)


def _first_of(day: date, width: Width) -> date:
    if width == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if width == "month" else day


def _label(first: date, width: Width) -> str:
    if width == "week":
        year, week, _ = first.isocalendar()
        return f"{year}-W{week:02}"
    return f"{first:%Y-%m}" if width == "month" else first.isoformat()
