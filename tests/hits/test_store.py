"""What was written is read back: per minute, hour, day, in all; over restarts, and within limits."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from resolver.hits import writing
from resolver.hits.figures import HitKey
from resolver.hits.file import Failure, HitsUnusable, hits_path
from resolver.hits.store import HitStore
from resolver.hits.writing import OTHERS, Limits
from tests.hits.support import ADS, ALPHA, BETA, NOON, Driver, sum_of_hours, totals

ORDER = HitKey("order", "order-1", "nxdomain", "enforce")


def test_minutes_hours_and_totals_say_the_same(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    driver.orders = {("exchange", "alpha"): ("order-1",)}
    driver.count_and_write({ALPHA: 5, ADS: 1})
    driver.count_and_write({ALPHA: 7})
    driver.count_and_write({BETA: 2}, after_s=3600.0)
    driver.count_and_write({ALPHA: 1}, after_s=60.0)
    with HitStore.open_for_reading(tmp_path) as store:
        hours = store.per_hour(NOON, NOON + 7200)
        assert [(span.starts_at, span.length_s, span.hits) for span in hours] == [
            (NOON, 3600, {ALPHA: 12, ADS: 1, BETA: 2, ORDER: 12}),
            (NOON + 3600, 3600, {ALPHA: 1, ORDER: 1}),
        ]
        assert [span.covered_s for span in hours] == pytest.approx([3660.0, 60.0])
        minutes = store.per_minute(NOON, NOON + 7200)
        assert [(span.starts_at, span.length_s, span.hits) for span in minutes] == [
            (NOON, 60, {ALPHA: 12, ADS: 1, ORDER: 12}),
            (NOON + 60, 60, {BETA: 2}),
            (NOON + 3660, 60, {ALPHA: 1, ORDER: 1}),
        ]
        assert store.totals() == {ALPHA: 13, ADS: 1, BETA: 2, ORDER: 13}


def test_from_counts_and_up_to_does_not(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    for _ in range(3):
        driver.count_and_write(1, after_s=3600.0)
    with HitStore.open_for_reading(tmp_path) as store:
        assert [span.starts_at for span in store.per_hour(NOON, NOON + 7200)] == [NOON, NOON + 3600]
        assert [span.starts_at for span in store.per_hour(NOON + 1, NOON + 7201)] == [
            NOON + 3600,
            NOON + 7200,
        ]


def test_counts_go_on_over_restarts(tmp_path: Path) -> None:
    first = Driver(tmp_path)
    first.count_and_write(5)
    first.recorder.close()
    second = Driver(tmp_path, at=NOON + 100)
    second.count_and_write(7)
    assert totals(tmp_path) == {ALPHA: 12}
    assert sum_of_hours(tmp_path) == 12


def test_a_killed_process_loses_what_it_had_not_written_and_nothing_else(tmp_path: Path) -> None:
    first = Driver(tmp_path)
    first.count_and_write(5)
    first.count(3)
    first.recorder.close()  # The kernel ends the lock of a process that was killed.
    second = Driver(tmp_path, at=NOON + 100)
    second.count_and_write(1)
    assert totals(tmp_path) == {ALPHA: 6}


def test_a_restart_with_the_clock_behind_opens_no_hour_that_is_over(tmp_path: Path) -> None:
    first = Driver(tmp_path, at=NOON + 7200)
    first.count_and_write(5)
    first.count_and_write(5)
    first.recorder.close()
    second = Driver(tmp_path, at=NOON - 86_400)
    second.count_and_write(7)
    second.count_and_write(7)
    with HitStore.open_for_reading(tmp_path) as store:
        assert [(span.starts_at, span.hits[ALPHA]) for span in store.per_hour(0, 1e12)] == [(NOON + 7200, 24)]


def test_a_restart_does_not_wait_for_a_clock_that_was_ahead_once_and_is_right_again(tmp_path: Path) -> None:
    first = Driver(tmp_path)
    first.count(1, set_by=1e8)
    first.count_and_write(2)
    first.count(0, set_by=-1e8)
    for _ in range(3):
        first.count(0, after_s=1800.0)
    first.count_and_write(4)
    first.recorder.close()
    second = Driver(tmp_path, at=first.at)
    second.count_and_write(8)
    with HitStore.open_for_reading(tmp_path) as store:
        right = store.per_hour(NOON, NOON + 86_400)
        ahead = store.per_hour(NOON + 86_400, 1e12)
    assert sum(span.hits.get(ALPHA, 0) for span in right) == 1 + 4 + 8
    assert sum(span.hits.get(ALPHA, 0) for span in ahead) == 2


STEPS = st.lists(
    st.tuples(
        st.floats(0.0, 5_000.0),
        st.one_of(st.just(0.0), st.floats(-500_000, 500_000)),
        st.integers(0, 50),
        st.sampled_from(["look", "write", "write", "restart"]),
    ),
    max_size=25,
)


@given(STEPS)
@hypothesis_settings(max_examples=40)
def test_whatever_the_clock_does_hours_and_totals_have_every_hit_once(
    steps: list[tuple[float, float, int, str]],
) -> None:
    with TemporaryDirectory() as folder:
        state_dir = Path(folder)
        driver = Driver(state_dir)
        count = 0
        for passed, set_by, hits, then in steps:
            driver.count(hits, after_s=passed, set_by=set_by)
            count += hits
            if then != "look":
                driver.write()
            if then == "restart":
                driver.recorder.close()
                driver = Driver(state_dir, at=driver.at)
        driver.write()
        driver.recorder.close()
        assert driver.recorder.waiting == 0
        assert sum_of_hours(state_dir) == totals(state_dir).get(ALPHA, 0) == count


# Days.


def hourly(state_dir: Path, hours: int, *, at: float) -> None:
    """One hit in each hour from `at` on."""
    driver = Driver(state_dir, at=at)
    for _ in range(hours):
        driver.count(1, after_s=3600.0)
    driver.write()
    driver.recorder.close()


MARCH_30 = 1_711_756_800
"""2024-03-30 00:00 UTC; the night after it clocks in Berlin go forward."""


def test_a_day_has_the_hours_that_it_has_in_its_zone(tmp_path: Path) -> None:
    hourly(tmp_path, 72, at=MARCH_30)
    with HitStore.open_for_reading(tmp_path) as store:
        days = store.per_day(date(2024, 3, 30), date(2024, 4, 2), ZoneInfo("Europe/Berlin"))
    assert [(day.day.day, day.hits.get(ALPHA, 0)) for day in days] == [(30, 23), (31, 23), (1, 24), (2, 2)]
    assert days[1].covered_s == pytest.approx(23 * 3600)


def test_an_hour_that_midnight_cuts_belongs_to_the_day_in_which_it_begins(tmp_path: Path) -> None:
    hourly(tmp_path, 48, at=MARCH_30)
    with HitStore.open_for_reading(tmp_path) as store:
        days = store.per_day(date(2024, 3, 30), date(2024, 4, 1), ZoneInfo("Asia/Kolkata"))
    assert [day.hits.get(ALPHA, 0) for day in days] == [19, 24, 5]


@pytest.mark.parametrize(
    "zone", ["UTC", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu", "Africa/Cairo"]
)
def test_no_hour_is_in_two_days_and_none_in_no_day(tmp_path: Path, zone: str) -> None:
    hourly(tmp_path, 24 * 40, at=1_324_000_000 // 3600 * 3600)
    with HitStore.open_for_reading(tmp_path) as store:
        # In December 2011 Samoa left a day out.
        days = store.per_day(date(2011, 12, 14), date(2012, 1, 27), ZoneInfo(zone))
    assert sum(day.hits.get(ALPHA, 0) for day in days) == 24 * 40
    assert len(days) == 45


def test_days_without_hits_are_there_and_say_whether_a_server_counted(tmp_path: Path) -> None:
    driver = Driver(tmp_path, at=MARCH_30)
    driver.count_and_write(0, after_s=3600.0)
    with HitStore.open_for_reading(tmp_path) as store:
        days = store.per_day(date(2024, 3, 29), date(2024, 3, 30))
    assert [(day.hits, day.covered_s) for day in days] == [({}, 0.0), ({}, 3600.0)]


@pytest.mark.parametrize("count", [0, -3, 4_001, 800_000])
def test_days_beyond_reason_are_refused(tmp_path: Path, count: int) -> None:
    hourly(tmp_path, 1, at=NOON)
    with HitStore.open_for_reading(tmp_path) as store, pytest.raises(ValueError, match="allowed: 1 to 4000"):
        store.per_day(date(2024, 1, 1), date(2024, 1, 1) + timedelta(count - 1))


# Limits.


def test_the_oldest_hours_go_and_are_counted_and_their_hits_stay_in_the_totals(tmp_path: Path) -> None:
    driver = Driver(tmp_path, limits=Limits(hours=10))
    driver.orders = {("exchange", "alpha"): ("order-1",)}
    for _ in range(25):
        driver.count_and_write(2, after_s=3600.0)
    with HitStore.open_for_reading(tmp_path) as store:
        kept = store.kept()
        assert len(store.per_hour(0, 1e12)) == 10
        assert store.totals()[ALPHA] == 50
    assert (kept.dropped_hours, kept.dropped_hits) == (15, 30)
    assert (kept.first_hour, kept.last_hour) == (NOON + 15 * 3600, NOON + 24 * 3600)
    assert driver.recorder.dropped_hours == 15


def test_a_clock_that_is_years_ahead_empties_no_history(tmp_path: Path) -> None:
    driver = Driver(tmp_path, limits=Limits(hours=10))
    for _ in range(5):
        driver.count_and_write(1, after_s=3600.0)
    driver.count(0, set_by=10 * 365 * 86_400.0)
    driver.count_and_write(1)
    with HitStore.open_for_reading(tmp_path) as store:
        assert len(store.per_hour(NOON, NOON + 5 * 3600)) == 5
        assert store.kept().dropped_hours == 0


def test_minutes_are_kept_for_some_hours_only(tmp_path: Path) -> None:
    driver = Driver(tmp_path, limits=Limits(hours=10, minutes=30))
    for _ in range(45):
        driver.count_and_write(1, after_s=60.0)
    with HitStore.open_for_reading(tmp_path) as store:
        minutes = store.per_minute(0, 1e12)
        assert [span.starts_at for span in minutes] == [NOON + 60 * number for number in range(15, 45)]
        assert store.per_hour(0, 1e12)[0].hits == {ALPHA: 45}


def test_many_lines_an_hour_make_fewer_hours(tmp_path: Path) -> None:
    driver = Driver(tmp_path, limits=Limits(hours=100, entries=50))
    for _ in range(12):
        driver.count_and_write(
            {ALPHA._replace(label=f"x-{number}"): 1 for number in range(10)}, after_s=3600.0
        )
    with HitStore.open_for_reading(tmp_path) as store:
        assert len(store.per_hour(0, 1e12)) == 5


def test_the_file_stays_within_its_octets(tmp_path: Path) -> None:
    most = 200_000
    driver = Driver(tmp_path, limits=Limits(hours=100_000, minutes=5, octets=most))
    for _ in range(60):
        driver.count_and_write(
            {ALPHA._replace(label=f"x-{number}"): 1 for number in range(300)}, after_s=3600.0
        )
    assert driver.recorder.problem == ""
    assert driver.recorder.dropped_hours > 0
    assert hits_path(tmp_path).stat().st_size < most * 1.2
    with HitStore.open_for_reading(tmp_path) as store:
        assert len(store.per_hour(0, 1e12)) > 10


def test_a_setting_that_was_lowered_drops_a_bounded_number_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "HOURS_DROPPED_MAX", 4)
    hourly(tmp_path, 20, at=NOON)
    driver = Driver(tmp_path, at=NOON + 20 * 3600, limits=Limits(hours=10))
    left = []
    for _ in range(4):
        driver.count_and_write(1)
        with HitStore.open_for_reading(tmp_path) as store:
            left.append(len(store.per_hour(0, 1e12)))
    assert left == [17, 13, 10, 10]


def test_lines_beyond_the_limit_are_counted_together(tmp_path: Path) -> None:
    driver = Driver(tmp_path, limits=Limits(hours=10, series=3))
    driver.count_and_write({ALPHA._replace(label=f"x-{number}"): 10**number for number in range(6)})
    driver.count_and_write({ALPHA._replace(label=f"x-{number}"): 10**number for number in range(6)})
    counts = totals(tmp_path)
    assert counts == {
        ALPHA._replace(label="x-0"): 2,
        ALPHA._replace(label="x-1"): 20,
        ALPHA._replace(label="x-2"): 200,
        ALPHA._replace(label=OTHERS): 222_000,
    }


# Hostile words, and files that somebody else wrote.

HOSTILE = (
    "<script>alert(1)</script>",
    "'; DROP TABLE hour; --",
    "a\nb",
    "=cmd|x",
    "\u202eelif",
    "x" * 60_000,
    "\udcff",
    "nul\0nul",
    "",
)


def test_hostile_labels_are_counted_and_read_back_printable(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    driver.count_and_write({ALPHA._replace(label=text): 1 for text in HOSTILE})
    driver.count_and_write({ALPHA._replace(label=text): 1 for text in HOSTILE})
    counts = totals(tmp_path)
    assert driver.recorder.problem == ""
    assert sum(counts.values()) == 2 * len(HOSTILE)
    assert all(key.label.isprintable() and len(key.label) <= 255 for key in counts)
    assert counts[ALPHA._replace(label=HOSTILE[1])] == 2


def tampered(state_dir: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(hits_path(state_dir))) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(statement)
        connection.commit()


def test_what_somebody_else_wrote_is_made_printable(tmp_path: Path) -> None:
    Driver(tmp_path).count_and_write(1)
    tampered(tmp_path, "UPDATE series SET label = 'a' || char(27) || '[31m' || char(10)")
    tampered(tmp_path, "INSERT INTO series VALUES (99, 'nonsense', 'x', 'y', 'z', 5)")
    tampered(tmp_path, "INSERT INTO hour_hits VALUES (0, 98, 5)")
    with HitStore.open_for_reading(tmp_path) as store:
        [(key, count)] = store.totals().items()
        assert (key.label, count) == ("a\\x1b[31m\\n", 1)
        assert [dict(span.hits) for span in store.per_hour(0, 1e12)] == [{key: 1}]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE hour_hits SET hits = 9223372036854775807",
        "UPDATE series SET label = CAST(x'ff' AS TEXT)",
        "DROP TABLE series",
        "DROP TABLE note",
        "ALTER TABLE hour DROP COLUMN covered_s",
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_an_error_in_words(tmp_path: Path, statement: str) -> None:
    driver = Driver(tmp_path)
    driver.count_and_write({ALPHA: 1, BETA: 1})
    tampered(tmp_path, statement)
    with contextlib.suppress(HitsUnusable), HitStore.open_for_reading(tmp_path) as store:
        store.kept()
        store.totals()
        store.per_day(date(2023, 11, 14), date(2023, 11, 15))


def test_no_history_is_said_by_name(tmp_path: Path) -> None:
    with pytest.raises(HitsUnusable, match="no history of hits yet") as raised:
        HitStore.open_for_reading(tmp_path)
    assert raised.value.failure is Failure.MISSING
    assert not hits_path(tmp_path).exists()


def test_a_later_version_is_left_alone(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    driver.count_and_write(1)
    tampered(tmp_path, "PRAGMA user_version = 9")
    with pytest.raises(HitsUnusable, match="of version 9") as raised:
        HitStore.open_for_reading(tmp_path)
    assert raised.value.failure is Failure.FOREIGN
    before = hits_path(tmp_path).read_bytes()
    driver.count_and_write(1)
    assert hits_path(tmp_path).read_bytes() == before
    assert driver.recorder.failures == {Failure.FOREIGN: 1}
