"""Live counts and the history, put together: which figure is whose, and what comes first."""

from __future__ import annotations

import pytest

from resolver.hits.figures import HitKey
from resolver.hits.ranking import Live, Past, rows_of
from tests.hits.support import ALPHA, BETA

ORDER = HitKey("order", "order-1", "nxdomain", "enforce")


def test_the_busiest_comes_first_and_rates_are_of_the_time_between_two_looks() -> None:
    live = Live({ALPHA: 100, BETA: 5}, {ALPHA: 101, BETA: 25}, 2.0)
    first, second = rows_of(live, Past(total={ALPHA: 5000, BETA: 25}))
    assert (first.label, first.per_s, first.total, first.since_start) == ("beta", 10.0, 25, 25)
    assert (second.label, second.per_s, second.total, second.since_start) == ("alpha", 0.5, 5000, 101)


def test_several_actions_of_one_mode_are_one_line_and_modes_are_two() -> None:
    other = ALPHA._replace(action="sinkhole")
    tried = ALPHA._replace(mode="shadow")
    rows = rows_of(Live({}, {ALPHA: 1, other: 2, tried: 4}, 1.0), Past())
    assert [(row.mode, row.actions, row.per_s) for row in rows] == [
        ("shadow", ("nxdomain",), 4.0),
        ("enforce", ("nxdomain", "sinkhole"), 3.0),
    ]


def test_an_order_has_its_rate_from_the_last_minute_written() -> None:
    past = Past(last_minute={ORDER: 120}, last_hour={ORDER: 150}, last_day={ORDER: 160}, total={ORDER: 200})
    [row] = rows_of(Live({}, {}, 1.0), past)
    assert (row.per_s, row.last_minute, row.last_hour, row.last_day, row.total) == (2.0, 120, 150, 160, 200)
    assert row.since_start is None


def test_without_a_server_what_the_history_knows_is_there() -> None:
    [row] = rows_of(None, Past(last_minute={ALPHA: 60}, total={ALPHA: 70}))
    assert (row.per_s, row.since_start, row.total) == (1.0, None, 70)


def test_an_exchange_without_hits_is_there_while_the_server_has_it() -> None:
    [row] = rows_of(Live({ALPHA: 0}, {ALPHA: 0}, 1.0), Past())
    assert (row.label, row.per_s, row.since_start) == ("alpha", 0.0, 0)


def test_a_count_that_fell_began_anew() -> None:
    [row] = rows_of(Live({ALPHA: 50}, {ALPHA: 4}, 2.0), Past())
    assert row.per_s == 2.0


def test_after_the_first_look_rates_are_those_of_the_last_minute() -> None:
    [row] = rows_of(Live(None, {ALPHA: 50}, 0.0), Past(last_minute={ALPHA: 6}))
    assert (row.per_s, row.since_start) == (0.1, 50)


def test_no_time_between_two_looks_is_no_error() -> None:
    [row] = rows_of(Live({ALPHA: 0}, {ALPHA: 0}, 0.0), Past())
    assert row.per_s == pytest.approx(0.0)
