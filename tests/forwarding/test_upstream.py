"""What an upstream's health is made of."""

from __future__ import annotations

import pytest

from resolver.config.upstream_values import server_from
from resolver.forwarding.upstream import (
    ATTEMPT_TIMEOUT_S_FIRST,
    ATTEMPT_TIMEOUT_S_MAX,
    ATTEMPT_TIMEOUT_S_MIN,
    DOWN_AFTER_FAILURES,
    DOWN_AFTER_REFUSALS,
    PROBE_AFTER_S_MAX,
    PROBE_AFTER_S_MIN,
    Upstream,
)


def fail(upstream: Upstream, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        upstream.on_failure("timeout", now)


def test_unknown_upstream_gets_the_first_timeout() -> None:
    assert Upstream("192.0.2.1").attempt_timeout_s() == ATTEMPT_TIMEOUT_S_FIRST


@pytest.mark.parametrize(
    ("rtt_s", "timeout_s"), [(0.001, ATTEMPT_TIMEOUT_S_MIN), (0.2, 0.6), (3.0, ATTEMPT_TIMEOUT_S_MAX)]
)
def test_timeout_follows_the_measured_time_within_bounds(rtt_s: float, timeout_s: float) -> None:
    upstream = Upstream("192.0.2.1")
    upstream.on_answer(rtt_s, 0.0)
    assert upstream.attempt_timeout_s() == pytest.approx(timeout_s)


def test_steady_answers_narrow_the_variance() -> None:
    upstream = Upstream("192.0.2.1")
    for _ in range(50):
        upstream.on_answer(0.3, 0.0)
    assert upstream.rtt_s == pytest.approx(0.3)
    assert upstream.attempt_timeout_s() == pytest.approx(0.3, abs=0.01)


def test_time_that_says_nothing_of_the_path_is_counted_but_not_smoothed() -> None:
    upstream = Upstream("192.0.2.1")
    upstream.on_answer(0.3, 0.0, is_measured=False)
    assert upstream.rtt_s is None
    assert sum(upstream.response_buckets) == 1 and upstream.response_sum_s == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("elapsed_s", "bucket"), [(0.0005, 0), (0.001, 0), (0.0011, 1), (2.5, 10), (9.0, 11)]
)
def test_response_times_fall_into_their_bucket(elapsed_s: float, bucket: int) -> None:
    upstream = Upstream("192.0.2.1")
    upstream.on_answer(elapsed_s, 0.0)
    assert upstream.response_buckets.index(1) == bucket


def test_failures_in_a_row_take_it_down() -> None:
    upstream = Upstream("192.0.2.1")
    fail(upstream, DOWN_AFTER_FAILURES)
    assert not upstream.is_up


def test_failures_with_an_answer_between_do_not() -> None:
    upstream = Upstream("192.0.2.1")
    fail(upstream, DOWN_AFTER_FAILURES - 1)
    upstream.on_answer(0.1, 0.0)
    fail(upstream, DOWN_AFTER_FAILURES - 1)
    assert upstream.is_up


def test_burst_of_losses_right_after_an_answer_is_no_outage() -> None:
    upstream = Upstream("192.0.2.1")
    upstream.on_answer(0.1, 5.0)
    fail(upstream, 100, 5.1)
    assert upstream.is_up
    fail(upstream, 1, 5.3)
    assert not upstream.is_up


def test_one_answer_brings_it_up() -> None:
    upstream = Upstream("192.0.2.1")
    changes: list[bool] = []
    upstream.on_change.append(lambda changed: changes.append(changed.is_up))
    fail(upstream, DOWN_AFTER_FAILURES)
    upstream.on_answer(0.1, 1.0)
    assert upstream.is_up and changes == [False, True]


def test_refusing_everything_takes_it_down_until_a_good_answer() -> None:
    upstream = Upstream("192.0.2.1")
    for _ in range(DOWN_AFTER_REFUSALS):
        upstream.on_answer(0.1, 0.0, is_good=False)
        upstream.on_refusal("refused", 0.0)
    assert not upstream.is_up
    upstream.on_answer(0.1, 1.0, is_good=False)
    assert not upstream.is_up
    upstream.on_answer(0.1, 1.0)
    assert upstream.is_up


def test_many_failures_at_one_time_are_one_step_of_backing_off() -> None:
    upstream = Upstream("192.0.2.1")
    fail(upstream, 1000, now=5.0)
    assert upstream.probe_at == 5.0 + PROBE_AFTER_S_MIN


def test_backing_off_doubles_up_to_its_bound() -> None:
    upstream = Upstream("192.0.2.1")
    fail(upstream, DOWN_AFTER_FAILURES)
    waits = []
    for _ in range(10):
        now = upstream.probe_at
        fail(upstream, 1, now)
        waits.append(upstream.probe_at - now)
    assert waits[0] == 2 * PROBE_AFTER_S_MIN and waits[-1] == PROBE_AFTER_S_MAX
    assert waits == sorted(waits)


def test_recovery_forgets_the_backing_off() -> None:
    upstream = Upstream("192.0.2.1")
    fail(upstream, DOWN_AFTER_FAILURES)
    fail(upstream, 1, 10.0)
    upstream.on_answer(0.1, 11.0)
    fail(upstream, DOWN_AFTER_FAILURES, 12.0)
    assert upstream.probe_at == 12.0 + PROBE_AFTER_S_MIN


@pytest.mark.parametrize(
    ("upstream", "name"),
    [
        (Upstream("192.0.2.1"), "udp://192.0.2.1:53"),
        (Upstream("2001:db8::1", 5353, "tcp"), "tcp://[2001:db8::1]:5353"),
    ],
)
def test_name_reads_like_the_setting(upstream: Upstream, name: str) -> None:
    assert upstream.name == name


# Encrypted upstreams.


@pytest.mark.parametrize(
    ("upstream", "name"),
    [
        (Upstream("192.0.2.1", 853, "tls", host="dns.example"), "tls://192.0.2.1:853#dns.example"),
        (Upstream("", 853, "tls", host="dns.example"), "tls://dns.example:853"),
        (Upstream("2001:db8::1", 443, "https", path="/q"), "https://[2001:db8::1]/q"),
        (Upstream("", 8443, "https", host="dns.example", path="/q"), "https://dns.example:8443/q"),
    ],
)
def test_an_upstream_has_the_name_that_settings_give_it(upstream: Upstream, name: str) -> None:
    assert upstream.name == name == str(server_from(name))


def test_what_is_the_matter_is_said_in_words() -> None:
    upstream = Upstream("192.0.2.1", 853, "tls", host="dns.example")
    upstream.details["certificate_name"] = "it is not for dns.example"
    for _ in range(DOWN_AFTER_FAILURES):
        upstream.on_failure("certificate_name", 0.0)
    assert upstream.state == "down (certificate_name: it is not for dns.example)"
    assert upstream.failures["certificate_name"] == DOWN_AFTER_FAILURES


def test_addresses_take_turns_when_one_is_of_no_use() -> None:
    upstream = Upstream("", 853, "tls", host="dns.example")
    upstream.addresses = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
    upstream.turn_addresses(bad="192.0.2.2")
    assert upstream.addresses == ("192.0.2.1", "192.0.2.2", "192.0.2.3")
    upstream.turn_addresses(bad="192.0.2.1")
    assert upstream.addresses == ("192.0.2.2", "192.0.2.3", "192.0.2.1")
    upstream.prefer_address("192.0.2.1")
    assert upstream.addresses == ("192.0.2.1", "192.0.2.2", "192.0.2.3")
