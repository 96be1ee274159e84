"""Who is asked first."""

from __future__ import annotations

import pytest

from resolver.forwarding.plan import ORDER_KEPT_S, ForwardPlan, Server, Strategy, UpstreamSet
from resolver.forwarding.upstream import DOWN_AFTER_FAILURES, MEASURE_EVERY_S, Upstream
from resolver.wire.question import Question

ONE, TWO, THREE = (f"192.0.2.{n}" for n in (1, 2, 3))


def upstreams() -> tuple[Upstream, Upstream, Upstream]:
    return Upstream(ONE), Upstream(TWO), Upstream(THREE)


def take_down(upstream: Upstream, now: float = 0.0) -> None:
    for _ in range(DOWN_AFTER_FAILURES):
        upstream.on_failure("timeout", now)


def test_ordered_keeps_the_order_whatever_the_speed() -> None:
    one, two, three = upstreams()
    one.on_answer(0.5, 0.0)
    two.on_answer(0.1, 0.0)
    assert UpstreamSet([one, two, three], "ordered").order(0.0) == (one, two, three)


def test_ordered_puts_those_that_are_down_last_and_back_when_up() -> None:
    one, two, three = upstreams()
    chosen = UpstreamSet([one, two, three], "ordered")
    take_down(one)
    assert chosen.order(0.0) == (two, three, one)
    one.on_answer(0.1, 0.0)
    assert chosen.order(0.0) == (one, two, three)


def test_fastest_sorts_by_speed_then_the_unknown_then_those_down() -> None:
    one, two, three = upstreams()
    chosen = UpstreamSet([one, two, three], "fastest")
    three.on_answer(0.1, 0.0)
    one.on_answer(0.01, 0.0)
    take_down(one, 1.0)
    assert chosen.order(1.0) == (three, two, one)


def test_order_is_recomputed_after_a_while_only() -> None:
    one, two, _ = upstreams()
    chosen = UpstreamSet([one, two], "fastest")
    assert chosen.order(0.0) == (one, two)
    two.on_answer(0.1, 0.0)
    assert chosen.order(ORDER_KEPT_S / 2) == (one, two)
    assert chosen.order(ORDER_KEPT_S * 2) == (two, one)


def test_all_down_still_means_all_are_asked() -> None:
    one, two, _ = upstreams()
    chosen = UpstreamSet([one, two])
    take_down(one)
    take_down(two)
    assert set(chosen.order(0.0)) == {one, two}


def test_ordered_probes_none_that_is_up() -> None:
    one, two, _ = upstreams()
    assert UpstreamSet([one, two], "ordered").probe_target(0.0) is None


def test_fastest_probes_one_at_a_time() -> None:
    one, two, three = upstreams()
    chosen = UpstreamSet([one, two, three], "fastest")
    assert [chosen.probe_target(0.0) for _ in range(3)] == [two, three, None]


def test_empty_set_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        ForwardPlan([])


def test_server_named_twice_in_a_set_is_asked_once() -> None:
    server = Server("udp", ONE, 53)
    assert len(ForwardPlan([server, server]).default.upstreams) == 1


# Races and chance.


class Chosen:
    """Chance that says what it is told."""

    def __init__(self, number: int) -> None:
        self.number = number

    def below(self, bound: int) -> int:
        assert self.number < bound
        return self.number


def test_random_asks_any_that_works_and_the_others_behind_it() -> None:
    one, two, three = upstreams()
    chosen = UpstreamSet([one, two, three], "random")
    lines = [chosen.line_for_one(0.0, Chosen(number)) for number in range(3)]
    assert lines == [(one, two, three), (two, three, one), (three, one, two)]


def test_random_asks_those_that_are_down_last() -> None:
    one, two, three = upstreams()
    chosen = UpstreamSet([one, two, three], "random")
    take_down(two)
    assert [chosen.line_for_one(0.0, Chosen(number)) for number in range(2)] == [
        (one, three, two),
        (three, one, two),
    ]


@pytest.mark.parametrize("strategy", ["fastest", "ordered", "parallel"])
def test_other_strategies_leave_nothing_to_chance(strategy: Strategy) -> None:
    one, two, three = upstreams()
    assert UpstreamSet([one, two, three], strategy).line_for_one(0.0, Chosen(9)) == (one, two, three)


@pytest.mark.parametrize(("strategy", "race"), [("parallel", 3), ("fastest", 1), ("random", 1)])
def test_only_a_race_asks_several_at_once(strategy: Strategy, race: int) -> None:
    assert UpstreamSet(upstreams(), strategy, race=4).race == race


def test_one_that_never_answers_in_a_race_is_asked_alone_now_and_then() -> None:
    one, two, _ = upstreams()
    chosen = UpstreamSet([one, two], "parallel", race=2)
    assert chosen.probe_target(0.0) is None
    for second in range(1, 5):
        two.on_answer(0.01, float(second))
        assert chosen.probe_target(float(second)) is None
    assert chosen.probe_target(MEASURE_EVERY_S) is one
    take_down(one, MEASURE_EVERY_S)
    assert chosen.order(MEASURE_EVERY_S) == (two, one)


def test_nobody_in_clear_text_is_company_for_an_encrypted_upstream() -> None:
    secret, plain, here = (
        Server("tls", ONE, 853, host="a.example"),
        Server("udp", TWO, 53),
        Server("udp", "127.0.0.1", 53),
    )
    cases = (
        ((secret, plain), True, False),
        ((secret, here), False, True),  # what stays on this machine is read by nobody on the way
        ((plain, secret), True, True),
        ((plain, here), False, True),
        ((secret, plain, here), True, True),
    )
    for servers, is_mixed, has_company in cases:
        plan = ForwardPlan(servers, "ordered", hedge_share=0.05)
        first = plan.upstreams[0]
        buckets = [0, 0, 0, 0, 0, 200] + [0] * (len(first.response_buckets) - 6)
        first.queries += 200
        first.on_answers(200, buckets, 8.0, 0.0)
        assert plan.default.is_mixed == is_mixed
        assert (plan.default.hedge_after_s(first, 0.0) is not None) == has_company, servers


def test_a_plain_upstream_beside_encrypted_ones_is_probed_for_its_zone_alone() -> None:
    servers = [Server("tls", ONE, 853, host="a.example"), Server("udp", TWO, 53)]
    question = Question(b"\1a\7example\0", 1, True)
    plan = ForwardPlan(servers, "fastest", {b"\7example\0": servers, b"\4test\0": servers[1:]})
    secret, plain = plan.upstreams
    zone, only = plan.suffixes[b"\7example\0"], plan.suffixes[b"\4test\0"]
    assert plan.default.probe_question(plain, question) == Question(b"\0", 6)
    assert zone.probe_question(plain, question) == Question(b"\7example\0", 6)
    assert only.probe_question(plain, question) == zone.probe_question(secret, question) == question
