"""The pause between turns, with it and without: how the readings of both builds become ratios."""

from __future__ import annotations

import tomllib
from typing import Any

from benchmarks.gathering import FEATURES, MANIFEST, WITH, WITHOUT, gathering_table


def reading(key: str, repeat: int, **fields: Any) -> dict[str, Any]:
    return {"contestant": key, "load": "hot", "repeat": repeat, **fields}


def test_ratios_are_medians_of_the_ratios_within_each_round() -> None:
    readings = []
    # The machine was twice as slow in the last round.
    for repeat, slowness in enumerate((1.0, 1.0, 2.0)):
        for key, cost, rate in ((WITH, 4.0, 90_000.0), (WITHOUT, 5.0, 100_000.0)):
            readings.append(reading(key, repeat, variant="plain", cpu_us=cost * slowness))
            readings.append(reading(key, repeat, kind="throughput", queries_per_s=rate / slowness))
    assert gathering_table(readings).splitlines()[-1].split() == [
        "hot", "4.00", "5.00", "0.800", "90,000", "100,000", "0.900",
    ]  # fmt: skip


def test_what_was_not_read_is_a_dash() -> None:
    only = [reading(WITH, 0, variant="plain", cpu_us=4.0)]
    assert gathering_table(only).splitlines()[-1].split() == ["hot", "4.00", *5 * "-"]


def test_the_builds_differ_by_a_feature_that_is_there_and_not_usual() -> None:
    features = tomllib.loads(MANIFEST.read_text())["features"]
    assert features[FEATURES[WITHOUT]] == []
    assert not FEATURES[WITH]
    assert "default" not in features
