"""Who may come in, who yields, who is late."""

from __future__ import annotations

from resolver.block_page.limits import (
    CONNECTIONS_PER_CLIENT_MAX,
    REQUEST_S,
    YIELD_S,
    Places,
    Rate,
)


def test_a_rate_lets_a_burst_in_and_then_so_many_a_second() -> None:
    rate = Rate(10, 3, 100.0)
    assert [rate.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [rate.take(100.125), rate.take(100.125)] == [True, False]
    assert [rate.take(200.0) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    rate = Rate(10, 1, 100.0)
    assert rate.take(100.0) and not rate.take(50.0) and not rate.take(50.05)


def test_one_client_has_so_many_places_and_gets_them_back() -> None:
    places = Places()
    for number in range(CONNECTIONS_PER_CLIENT_MAX):
        assert places.may_enter(b"a")
        places.enter(number, b"a", 0.0)
    assert not places.may_enter(b"a") and places.may_enter(b"b")
    places.leave(0)
    assert places.may_enter(b"a")


def test_the_longest_wait_yields_but_nobody_before_his_time() -> None:
    places = Places()
    places.enter(1, b"a", 0.0)
    places.enter(2, b"b", 0.1)
    assert places.who_yields(YIELD_S - 0.01) is None
    assert places.who_yields(YIELD_S) == 1
    places.begin_again(1, YIELD_S)
    assert places.who_yields(YIELD_S) is None and places.who_yields(YIELD_S + 0.1) == 2


def test_a_request_has_its_time_and_an_answer_begins_another() -> None:
    places = Places()
    assert places.next_late_s(0.0) is None
    places.enter(1, b"a", 0.0)
    assert places.who_is_late(REQUEST_S - 0.01) is None and places.who_is_late(REQUEST_S) == 1
    assert places.next_late_s(1.0) == REQUEST_S - 1.0
    places.begin_again(1, 3.0)
    assert places.who_is_late(REQUEST_S) is None and places.who_is_late(REQUEST_S + 3.0) == 1
