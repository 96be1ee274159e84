"""When a second upstream is asked, and how often at most."""

from __future__ import annotations

from bisect import bisect_left

import pytest

from resolver.forwarding.hedging import (
    ALLOWANCE_MAX,
    ANSWERS_MIN,
    HEDGE_AFTER_S_MIN,
    LOOK_EVERY_S,
    Hedging,
    quantile_s,
)
from resolver.forwarding.plan import ForwardPlan, Server
from resolver.forwarding.upstream import RESPONSE_SECONDS_BOUNDS, Upstream


def answer(upstream: Upstream, count: int, each_s: float) -> None:
    buckets = [0] * (len(RESPONSE_SECONDS_BOUNDS) + 1)
    buckets[bisect_left(RESPONSE_SECONDS_BOUNDS, each_s)] = count
    upstream.queries += count
    upstream.on_answers(count, buckets, count * each_s, 0.0)


def test_an_upstream_of_which_little_is_known_gets_no_company() -> None:
    upstream = Upstream("192.0.2.1")
    hedging = Hedging(upstream, 0.5)
    answer(upstream, ANSWERS_MIN - 1, 0.04)
    assert hedging.delay_s(0.0) is None
    answer(upstream, 1, 0.04)
    assert hedging.delay_s(LOOK_EVERY_S / 2) is None
    assert hedging.delay_s(LOOK_EVERY_S) == pytest.approx(0.025 + 0.95 * 0.025)


def test_the_delay_follows_the_times_of_late() -> None:
    upstream = Upstream("192.0.2.1")
    hedging = Hedging(upstream, 0.5)
    answer(upstream, 1000, 0.04)
    slow = hedging.delay_s(0.0)
    answer(upstream, 1000, 0.008)
    fast = hedging.delay_s(1.0)
    assert slow is not None and fast == HEDGE_AFTER_S_MIN < slow


def test_no_second_query_where_patience_ends_sooner() -> None:
    upstream = Upstream("192.0.2.1")
    hedging = Hedging(upstream, 0.5)
    answer(upstream, 1000, 2.0)
    assert hedging.delay_s(0.0) is None


@pytest.mark.parametrize(("share", "queries", "most"), [(0.05, 200, 10), (0.05, 100, 5), (0.01, 150, 1)])
def test_second_queries_are_a_small_share(share: float, queries: int, most: int) -> None:
    upstream = Upstream("192.0.2.1")
    hedging = Hedging(upstream, share)
    answer(upstream, queries, 0.04)
    hedging.delay_s(0.0)
    assert sum(hedging.take() for _ in range(100)) == most == hedging.hedges
    assert hedging.delay_s(0.0) is None


def test_leave_is_not_saved_up_without_end() -> None:
    upstream = Upstream("192.0.2.1")
    hedging = Hedging(upstream, 0.05)
    answer(upstream, 1_000_000, 0.04)
    hedging.delay_s(0.0)
    assert sum(hedging.take() for _ in range(100)) == ALLOWANCE_MAX


def test_the_quantile_lies_where_the_histogram_says() -> None:
    buckets = [0] * (len(RESPONSE_SECONDS_BOUNDS) + 1)
    buckets[0] = 100
    assert quantile_s(buckets) == pytest.approx(0.00095)
    buckets[4] = 100
    assert quantile_s(buckets) == pytest.approx(0.01 + 0.9 * 0.015)
    buckets[-1] = 10_000
    assert quantile_s(buckets) == RESPONSE_SECONDS_BOUNDS[-1]


def test_an_upstream_of_two_zones_has_one_allowance() -> None:
    one, two = Server("udp", "192.0.2.1", 53), Server("udp", "192.0.2.2", 53)
    plan = ForwardPlan([one, two], "ordered", {b"\7example\0": [one, two]}, hedge_share=0.05)
    [first, _] = plan.upstreams
    answer(first, 200, 0.04)
    zone = plan.suffixes[b"\7example\0"]
    assert plan.default.hedge_after_s(first, 0.0) is not None
    assert sum(chosen.take_hedge(first) for chosen in (plan.default, zone) * 20) == 10 == plan.hedges


def test_nobody_gets_company_from_one_that_is_down() -> None:
    plan = ForwardPlan(
        [Server("udp", "192.0.2.1", 53), Server("udp", "192.0.2.2", 53)], "ordered", hedge_share=0.05
    )
    first, second = plan.upstreams
    answer(first, 200, 0.04)
    assert plan.default.hedge_after_s(first, 0.0) is not None
    for _ in range(3):
        second.on_failure("network", 100.0)
    plan.default.order(100.0)
    assert plan.default.hedge_after_s(first, 100.0) is None
