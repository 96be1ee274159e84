"""Figures of zones are medians, each of its own primary and engine."""

from __future__ import annotations

from typing import Any

from benchmarks.zones import zones_table


def reading(kind: str, engine: str, told_s: float) -> dict[str, Any]:
    return {
        "kind": kind,
        "engine": engine,
        "names": 1_000_000,
        "first_s": 9.0,
        "told_s": told_s,
        "served_s": 2.0,
    }


def test_the_table_has_the_median_of_each_primary_and_engine() -> None:
    readings = [reading("bind", "native", told_s) for told_s in (9.0, 1.0, 1.5)]
    readings.append(reading("nsd", "python", 4.0))
    _, bind, nsd = zones_table(readings).splitlines()
    assert bind.split() == ["bind", "native", "1,000,000", "9.0", "1.50", "2.00"]
    assert nsd.split() == ["nsd", "python", "1,000,000", "9.0", "4.00", "2.00"]


def test_where_nothing_was_read_there_is_no_line() -> None:
    assert len(zones_table([]).splitlines()) == 1
