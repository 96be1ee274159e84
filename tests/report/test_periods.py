"""Days, moments, durations and bars: unambiguous, and in as many bars as one can take in."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree

import pytest

from resolver.report.chart import chart_svg, spark_svg
from resolver.report.document import Chart
from resolver.report.facts import Day, Hits, Period
from resolver.report.moments import iso_moment, shown_duration, shown_moment, shown_number
from resolver.report.periods import DAYS_MAX, WEEKS_MAX, bars_of, runs_of, width_of
from tests.report.support import ZONE, days

FIRST = date(2026, 1, 1)


def period(day_count: int) -> Period:
    return Period(FIRST, FIRST + timedelta(days=day_count - 1))


@pytest.mark.parametrize(
    ("day_count", "width"),
    [
        (1, "day"),
        (DAYS_MAX, "day"),
        (DAYS_MAX + 1, "week"),
        (7 * WEEKS_MAX, "week"),
        (7 * WEEKS_MAX + 1, "month"),
    ],
)
def test_a_long_period_has_wider_bars(day_count: int, width: str) -> None:
    assert width_of(period(day_count)) == width


@pytest.mark.parametrize("day_count", [1, 2, 31, 92, 93, 400, 742, 743, 4000])
def test_no_hit_is_lost_whatever_the_width_and_bars_are_few(day_count: int) -> None:
    of = period(day_count)
    hits = Hits(tuple(Day(FIRST + timedelta(days=n), n, 1) for n in range(day_count)))
    bars = bars_of(hits, of, width_of(of))
    assert sum(bar.blocked for bar in bars) == hits.blocked
    assert sum(bar.shadow for bar in bars) == hits.shadow
    assert len(bars) <= 140
    assert [bar.first for bar in bars] == sorted({bar.first for bar in bars})


def test_days_without_hits_have_their_bars() -> None:
    assert [bar.label for bar in bars_of(Hits(), period(3), "day")] == [
        "2026-01-01",
        "2026-01-02",
        "2026-01-03",
    ]


def test_a_week_is_named_as_iso_8601_names_it() -> None:
    assert [bar.label for bar in bars_of(Hits(), period(8), "week")] == ["2026-W01", "2026-W02"]


def test_days_that_follow_each_other_are_told_as_one() -> None:
    at = [date(2026, 1, day) for day in (1, 2, 3, 5, 30, 31)] + [date(2026, 2, 1)]
    assert runs_of(at) == ["2026-01-01 – 2026-01-03", "2026-01-05", "2026-01-30 – 2026-02-01"]
    assert runs_of([]) == []


@pytest.mark.parametrize(
    ("duration_s", "said"),
    [
        (0, "0\u00a0s"),
        (59.9, "59\u00a0s"),
        (60, "1\u00a0min"),
        (3660, "1\u00a0h 1\u00a0min"),
        (86_400, "1\u00a0d"),
        (86_460, "1\u00a0d"),
        (90_000, "1\u00a0d 1\u00a0h"),
        (-5, "0\u00a0s"),
    ],
)
def test_a_duration_has_its_two_largest_parts(duration_s: float, said: str) -> None:
    assert shown_duration(duration_s) == said


def test_a_moment_has_its_offset_and_a_days_beginning_is_the_day() -> None:
    noon = datetime(2026, 7, 1, 12, 30, tzinfo=ZONE).timestamp()
    assert shown_moment(noon, ZONE) == "2026-07-01 12:30 +02:00"
    assert shown_moment(noon, UTC) == "2026-07-01 10:30 UTC"
    assert shown_moment(datetime(2026, 1, 1, tzinfo=ZONE).timestamp(), ZONE) == "2026-01-01"
    assert iso_moment(noon, ZONE) == "2026-07-01T12:30:00+02:00"


@pytest.mark.parametrize("at", [float("inf"), float("-inf"), 1e18, -1e18])
def test_a_moment_that_no_calendar_has_is_none(at: float) -> None:
    assert iso_moment(at, ZONE) is None
    assert shown_moment(at, ZONE) == "?"


def test_a_number_has_thin_spaces() -> None:
    assert shown_number(1_234_567) == "1\u202f234\u202f567"
    assert shown_number(12) == "12"


@pytest.mark.parametrize("counts", [(), (0,), (1,), (3, 0, 7), (10**9, 1), tuple(range(92))])
def test_a_chart_is_well_formed_and_its_bars_stay_inside(counts: tuple[int, ...]) -> None:
    of = period(max(1, len(counts)))
    svg = chart_svg(Chart("per day", "refused", "counted", bars_of(days(FIRST, *counts), of, "day")))
    root = ElementTree.fromstring(svg)
    rects = [one for one in root if one.tag == "rect"]
    assert len(rects) == sum(count > 0 for count in counts)
    for rect in rects:
        assert float(rect.attrib["y"]) >= 0
        assert float(rect.attrib["y"]) + float(rect.attrib["height"]) <= 170
        assert float(rect.attrib["x"]) >= 0 and float(rect.attrib["x"]) + float(rect.attrib["width"]) <= 720
    assert not re.search(r"nan|inf", svg)


def test_the_highest_bar_is_the_day_with_most_hits() -> None:
    svg = chart_svg(Chart("c", "b", "s", bars_of(days(FIRST, 3, 9, 5), period(3), "day")))
    heights = [float(one.attrib["height"]) for one in ElementTree.fromstring(svg) if one.tag == "rect"]
    assert heights[1] == max(heights)
    assert heights[1] == pytest.approx(3 * heights[0], rel=0.01)


@pytest.mark.parametrize("values", [(), (0, 0), (5,), tuple(range(31))])
def test_a_spark_is_well_formed(values: tuple[int, ...]) -> None:
    root = ElementTree.fromstring(spark_svg(values))
    assert sum(one.tag == "rect" for one in root) == sum(value > 0 for value in values)
