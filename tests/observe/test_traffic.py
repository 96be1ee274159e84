"""Counts become steps that add up, and quantiles are read off their buckets."""

from __future__ import annotations

import pytest

from resolver.flow.outcome import Drop, Respond, Source
from resolver.flow.peer import Transport
from resolver.observe.tally import SECONDS_BOUNDS, Tallies
from resolver.observe.traffic import (
    SHOWN,
    Counted,
    Step,
    added_to,
    between,
    counted,
    in_steps,
    quantile_s,
    together,
)
from tests.observe.test_metric_table import verdict


def buckets(*counts: tuple[int, int]) -> tuple[int, ...]:
    found = [0] * (len(SECONDS_BOUNDS) + 1)
    for place, count in counts:
        found[place] = count
    return tuple(found)


def test_outcomes_are_counted_as_what_they_are() -> None:
    tallies = Tallies()
    blocked = Respond(b"", 3, 1, Source.POLICY, verdict("exchange", "acme"))
    tallies.settle([tallies.of(Transport.UDP, blocked)] * 6, 0.03)
    tallies.settle([tallies.of(Transport.TCP, Respond(b"", 0, 28, Source.CACHE))] * 3, 0.0)
    tallies.settle([tallies.of(Transport.UDP, Respond(b"", 0, 28, Source.STALE))] * 2, 9.0)
    tallies.settle([tallies.of(Transport.UDP, Drop("response"))] * 4, 0.0)
    tallies.settle([tallies.audited] * 9, 0.0)
    found = counted(tallies.snapshot())
    assert (found.queries, found.blocked, found.cache_hits, found.answers) == (15, 6, 5, 11)
    assert found.times["policy"] == buckets((6, 6)) and found.times["stale"][-1] == 2
    assert found.times["cache"] == buckets((0, 3))


def test_a_step_is_what_came_between_and_never_less_than_nothing() -> None:
    before = Counted(10, 1, 2, {"cache": buckets((0, 5))})
    after = Counted(15, 3, 4, {"cache": buckets((0, 7), (1, 1)), "local": buckets((0, 2))})
    assert between(before, after) == Counted(
        5, 2, 2, {"cache": buckets((0, 2), (1, 1)), "local": buckets((0, 2))}
    )
    assert between(after, before) == Counted()


def test_steps_add_up_to_longer_ones() -> None:
    steps = [Step(at, 60, 60.0, Counted(1, 0, 0, {"cache": buckets((0, 1))})) for at in range(0, 1_800, 60)]
    longer = in_steps(steps, 900)
    assert [(step.at, step.counted.queries, step.covered_s) for step in longer] == [
        (0, 15, 900.0),
        (900, 15, 900.0),
    ]
    assert together(step.counted for step in longer).times == {"cache": buckets((0, 30))}


def test_of_steps_the_oldest_go() -> None:
    held: dict[int, Step] = {}
    for at in (60, 0, 120, 60):
        added_to(held, Step(at, 60, 1.0, Counted(1)), 2)
    assert {at: step.counted.queries for at, step in held.items()} == {60: 2, 120: 1}


@pytest.mark.parametrize(
    ("counts", "share", "seconds"),
    [
        ([], 0.5, None),
        ([(0, 10)], 0.5, 0.00025),
        ([(1, 100)], 0.99, 0.000995),
        ([(0, 1), (3, 1)], 0.99, 0.002 + 0.003 * 0.98),
        ([(13, 5)], 0.5, 5.0),
        ([(0, 99), (13, 1)], 0.995, 5.0),
    ],
)
def test_a_quantile_stands_on_a_line_within_its_bucket(
    counts: list[tuple[int, int]], share: float, seconds: float | None
) -> None:
    found = quantile_s(buckets(*counts), share)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_each_chart_has_whole_steps() -> None:
    for shown in SHOWN.values():
        assert shown.span_s % shown.step_s == 0 and 24 <= shown.span_s // shown.step_s <= 300
