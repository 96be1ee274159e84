"""What was counted belongs to one minute each, whatever the clock does."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.hits import ledger as ledger_module
from resolver.hits.figures import HitKey
from resolver.hits.ledger import DOUBT_S, WAITING_MINUTES_MAX, Ledger, Look, Waiting

NOON = 1_700_000_000 // 3600 * 3600 + 0.0
"""The beginning of an hour, Unix seconds."""
MINUTE = int(NOON // 60)

ALPHA = HitKey("exchange", "alpha", "nxdomain", "enforce")
ADS = HitKey("list", "ads", "sinkhole", "enforce")
TRIED = HitKey("exchange", "alpha", "nxdomain", "shadow")


def order(label: str, key: HitKey = ALPHA) -> HitKey:
    return key._replace(kind="order", label=label)


def look(at: float, count: int, *, now: float | None = None, orders: tuple[str, ...] = ()) -> Look:
    """`now`: monotonic; None: the clock goes right since noon."""
    return Look(at, at - NOON if now is None else now, {ALPHA: count}, {("exchange", "alpha"): orders})


def per_minute(waiting: Waiting, key: HitKey = ALPHA) -> dict[int, int]:
    """Minute after noon -> hits."""
    return {
        minute - MINUTE: stretch.hits[key] for minute, stretch in waiting.minutes.items() if stretch.hits[key]
    }


def total(waiting: Waiting, key: HitKey = ALPHA) -> int:
    return sum(stretch.hits[key] for stretch in waiting.stretches)


def test_what_is_added_between_two_looks_belongs_to_the_minute_in_which_that_began() -> None:
    ledger = Ledger(NOON, 0.0)
    for at, count in ((30, 3), (60.01, 10), (90.01, 11), (120.02, 31)):
        ledger.take(look(NOON + at, count))
    assert per_minute(ledger.waiting) == {0: 10, 1: 21}
    assert [stretch.covered_s for stretch in ledger.waiting.minutes.values()] == pytest.approx([60.01, 60.01])


def test_a_count_that_did_not_grow_adds_nothing() -> None:
    ledger = Ledger(NOON, 0.0)
    ledger.take(look(NOON + 30, 7))
    ledger.take_out()
    ledger.take(look(NOON + 60, 7))
    assert total(ledger.waiting) == 0 and ledger.waiting.entries == 0


def test_a_count_that_began_anew_is_added_whole() -> None:
    ledger = Ledger(NOON, 0.0)
    ledger.take(look(NOON + 30, 7))
    ledger.take(look(NOON + 60, 5))
    assert total(ledger.waiting) == 12


def test_every_order_in_force_gets_the_hits_of_what_cites_it_and_no_other() -> None:
    ledger = Ledger(NOON, 0.0)
    ledger.take(look(NOON + 10, 2, orders=("a",)))
    ledger.take(look(NOON + 20, 5, orders=("a", "b")))
    ledger.take(look(NOON + 30, 9, orders=("b", "confidential")))
    waiting = ledger.waiting
    counts = {label: total(waiting, order(label)) for label in ("a", "b", "confidential", "c")}
    assert counts == {"a": 5, "b": 7, "confidential": 4, "c": 0}
    assert waiting.hits == 9, "orders are not counted beside what cites them"


def test_hits_of_a_list_and_of_shadow_rules_stand_apart() -> None:
    ledger = Ledger(NOON, 0.0)
    orders = {("exchange", "alpha"): ("a",), ("list", "ads"): ("a",)}
    ledger.take(Look(NOON + 30, 30.0, {ALPHA: 1, TRIED: 2, ADS: 4}, orders))
    [stretch] = ledger.waiting.stretches
    assert stretch.hits == {
        ALPHA: 1,
        TRIED: 2,
        ADS: 4,
        order("a"): 1,
        order("a", TRIED): 2,
        order("a", ADS): 4,
    }


def test_an_exchange_that_is_gone_is_counted_for_the_orders_it_had() -> None:
    ledger = Ledger(NOON, 0.0)
    ledger.take(look(NOON + 10, 2, orders=("a",)))
    # The other plane answered a few more before it heard of the new policy.
    ledger.take(Look(NOON + 20, 20.0, {ALPHA: 5}, {}))
    assert total(ledger.waiting, order("a")) == 5


def test_a_clock_that_goes_back_opens_no_minute_that_is_over() -> None:
    ledger = Ledger(NOON, 0.0)
    ledger.take(look(NOON + 600, 10, now=600.0))
    ledger.take(look(NOON - 1000, 15, now=630.0))
    ledger.take(look(NOON - 970, 18, now=660.0))
    assert per_minute(ledger.waiting) == {0: 10, 10: 8}


def test_a_clock_that_is_behind_for_an_hour_is_believed() -> None:
    ledger = Ledger(NOON + 86_400 - 30, 0.0)
    ledger.take(look(NOON + 86_400, 10, now=30.0))
    ledger.take(look(NOON + 60, 10, now=60.0))
    ledger.take(look(NOON + 60 + DOUBT_S - 1, 15, now=60.0 + DOUBT_S - 1))
    ledger.take(look(NOON + 60 + DOUBT_S, 15, now=60.0 + DOUBT_S))
    ledger.take(look(NOON + 120 + DOUBT_S, 17, now=120.0 + DOUBT_S))
    assert per_minute(ledger.waiting) == {1439: 10, 1440: 5, 61: 2}
    assert ledger.latest == MINUTE + 62


def test_a_clock_that_leapt_ahead_and_is_back_is_believed_at_once() -> None:
    ledger = Ledger(NOON, 0.0)
    ledger.take(look(NOON + 60, 1, now=60.0))
    ledger.take(look(NOON + 90_000, 2, now=90.0))
    ledger.take(look(NOON + 90_030, 4, now=120.0))
    ledger.take(look(NOON + 150, 8, now=150.0))
    ledger.take(look(NOON + 180, 16, now=180.0))
    assert per_minute(ledger.waiting) == {0: 1, 1: 1, 1500: 6, 2: 8}


def test_a_clock_that_is_behind_now_and_then_opens_no_minute_that_is_over() -> None:
    ledger = Ledger(NOON, 0.0)
    for number in range(1, 9):
        behind = 3000 if number % 2 else 0
        ledger.take(look(NOON + 30 * number - behind, number, now=30.0 * number))
    assert min(per_minute(ledger.waiting)) == 0


def test_a_clock_that_goes_back_elsewhere_than_it_leapt_from_is_doubted() -> None:
    ledger = Ledger(NOON, 0.0)
    ledger.take(look(NOON + 90_000, 2, now=30.0))
    ledger.take(look(NOON - 5_000, 3, now=60.0))
    ledger.take(look(NOON - 4_970, 7, now=90.0))
    assert per_minute(ledger.waiting) == {0: 2, 1500: 5}


def test_a_clock_that_catches_up_within_the_hour_is_doubted_anew_the_next_time() -> None:
    ledger = Ledger(NOON, 0.0)
    ledger.take(look(NOON + 600, 1, now=600.0))
    ledger.take(look(NOON + 300, 2, now=610.0))
    ledger.take(look(NOON + 601, 3, now=911.0))
    ledger.take(look(NOON + 300, 4, now=911.0 + DOUBT_S))
    ledger.take(look(NOON + 330, 5, now=941.0 + DOUBT_S))
    assert per_minute(ledger.waiting) == {0: 1, 10: 4}


def test_the_history_of_another_process_is_not_opened_again_either() -> None:
    ledger = Ledger(NOON, 0.0)
    ledger.has_been(MINUTE + 90)
    ledger.take(look(NOON + 30, 4))
    ledger.take(look(NOON + 90 * 60 + 30, 5))
    ledger.take(look(NOON + 91 * 60 + 30, 6))
    assert per_minute(ledger.waiting) == {90: 6}


def test_a_history_that_is_older_changes_nothing() -> None:
    ledger = Ledger(NOON, 0.0)
    ledger.has_been(MINUTE - 5)
    ledger.take(look(NOON + 30, 4))
    assert per_minute(ledger.waiting) == {0: 4}


STEPS = st.lists(
    st.tuples(
        st.floats(0.0, 400.0),  # Monotonic seconds since the last look.
        st.one_of(st.just(0.0), st.floats(-100_000, 100_000)),  # How far the clock is set meanwhile.
        st.integers(0, 50),  # Hits since the last look.
        st.booleans(),  # Whether everything is written now.
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_the_clock_does_every_hit_is_in_one_minute(
    steps: list[tuple[float, float, int, bool]],
) -> None:
    ledger = Ledger(NOON, 0.0)
    now, wall, count = 0.0, NOON, 0
    written: Counter[int] = Counter()
    for passed, set_by, hits, writes in steps:
        now, wall, count = now + passed, wall + passed + set_by, count + hits
        ledger.take(look(wall, count, now=now))
        if writes:
            taken = ledger.take_out()
            assert not taken.hours
            written.update({minute: stretch.hits[ALPHA] for minute, stretch in taken.minutes.items()})
    assert sum(written.values()) + total(ledger.waiting) == count
    assert ledger.lost == 0


@given(st.lists(st.tuples(st.floats(0.0, 60.0), st.floats(-3000, 0), st.integers(1, 9)), max_size=50))
def test_no_hour_that_is_over_is_opened_while_the_clock_is_doubted(
    steps: list[tuple[float, float, int]],
) -> None:
    """All within an hour of the time that it is at most: what it says when it is behind is never believed."""
    ledger = Ledger(NOON, 0.0)
    now, count, latest = 0.0, 0, NOON
    for passed, off, hits in steps:
        now, count = now + passed, count + hits
        ledger.take(look(NOON + now + off, count, now=now))
        minutes = [minute for minute, stretch in ledger.take_out().minutes.items() if stretch.hits]
        assert minutes and min(minutes) * 60 >= latest // 60 * 60
        latest = max(latest, NOON + now + off)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=60), st.sets(st.integers(0, 59)))
def test_a_look_that_is_left_out_loses_no_hit(hits: list[int], left_out: set[int]) -> None:
    ledger = Ledger(NOON, 0.0)
    for number, count in enumerate(accumulate(hits)):
        if number not in left_out or number == len(hits) - 1:
            ledger.take(look(NOON + 30 * number, count))
    assert total(ledger.waiting) == sum(hits)


def test_what_was_not_written_waits_again_beside_what_came_since() -> None:
    ledger = Ledger(NOON, 0.0)
    ledger.take(look(NOON + 30, 3))
    taken = ledger.take_out()
    ledger.take(look(NOON + 60, 5))
    ledger.take(look(NOON + 90, 6))
    ledger.put_back(taken)
    assert per_minute(ledger.waiting) == {0: 5, 1: 1}


def test_of_the_oldest_minutes_only_the_hours_wait() -> None:
    ledger = Ledger(NOON, 0.0)
    minutes = WAITING_MINUTES_MAX + 70
    for number in range(1, minutes + 1):
        ledger.take(look(NOON + 60 * number, number))
    waiting = ledger.waiting
    assert len(waiting.minutes) == WAITING_MINUTES_MAX
    assert [stretch.hits[ALPHA] for stretch in waiting.hours.values()] == [60, 10]
    assert waiting.hits == minutes and ledger.lost == 0


def test_what_has_no_room_is_lost_oldest_first_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "WAITING_ENTRIES_MAX", 5)
    ledger = Ledger(NOON, 0.0)
    for hour in range(1, 11):
        ledger.take(look(NOON + 3600 * hour, 10 * hour))
    assert ledger.waiting.entries == 5
    assert ledger.lost == 50 and ledger.waiting.hits == 50
    assert min(ledger.waiting.hours) == NOON // 3600 + 5
