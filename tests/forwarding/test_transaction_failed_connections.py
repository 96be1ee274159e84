"""One question's way over connections that break, come to nothing, or are held back: what it pays and where it goes next."""

from __future__ import annotations

from resolver.forwarding.bounds import (
    AGAIN_S,
    GIVEN_BACK_MAX,
    GONE_FOR_LONG_S,
    PACKETS_PER_QUESTION_MAX,
    STREAM_COST,
)
from resolver.forwarding.network import ABANDONED
from resolver.forwarding.plan import Server
from tests.forwarding.transaction_rig import addresses
from tests.support.forwarding_rig import FIRST, SECOND, Rig, good

STREAMS = (Server("tcp", FIRST.address, 53), Server("tcp", SECOND.address, 53))
TLS = Server("tls", "192.0.2.1", 853, host="dns.example")


def break_off(rig: Rig) -> None:
    """The connection of the last query breaks."""
    rig.network.fail(rig.sent[-1], "stream")


def test_a_question_asks_again_while_packets_are_left_when_connections_break() -> None:
    rig = Rig(TLS)
    rig.ask()
    for rounds in range(1, PACKETS_PER_QUESTION_MAX // STREAM_COST):
        break_off(rig)
        assert len(rig.sent) == rounds and rig.results == []
        rig.clock.advance(AGAIN_S + 0.01)
        assert len(rig.sent) == rounds + 1
    break_off(rig)
    assert rig.failed.reason == "network"


def test_an_upstream_that_is_gone_for_long_is_not_waited_for() -> None:
    rig = Rig(TLS)
    [upstream] = rig.plan.upstreams
    upstream.is_up, upstream.backoff_s = False, GONE_FOR_LONG_S
    rig.ask()
    break_off(rig)
    assert rig.failed.reason == "network"


def test_who_refuses_or_is_not_trusted_is_not_asked_again() -> None:
    for reason in ("certificate_name", "bootstrap", "http"):
        rig = Rig(TLS)
        rig.ask()
        rig.network.fail(rig.sent[-1], reason)
        assert rig.failed.reason == "network"


def test_an_upstream_that_abandons_a_question_again_leaves_it_to_the_next_one() -> None:
    rig = Rig(*STREAMS)
    rig.ask()
    rig.network.fail(rig.sent[0], ABANDONED)
    rig.network.fail(rig.sent[1], ABANDONED)
    assert addresses(rig) == [FIRST.address, FIRST.address, SECOND.address]
    rig.deliver(rig.sent[2], good(rig.sent[2]))
    assert rig.answer.upstream.address == SECOND.address
    assert rig.plan.upstreams[0].consecutive_failures == 0


def test_with_nobody_else_an_abandoned_question_is_asked_as_often_as_it_may() -> None:
    rig = Rig(STREAMS[0])
    rig.ask()
    for number in range(PACKETS_PER_QUESTION_MAX // STREAM_COST):
        rig.network.fail(rig.sent[number], ABANDONED)
    assert addresses(rig) == [FIRST.address] * (PACKETS_PER_QUESTION_MAX // STREAM_COST)
    assert rig.failed.reason == "network"


def test_a_connection_that_came_to_nothing_before_the_query_left_costs_nothing() -> None:
    rig = Rig(TLS)
    rig.ask()
    for rounds in range(GIVEN_BACK_MAX):
        rig.network.fail(rig.sent[-1], "stream", 0)
        rig.clock.advance(AGAIN_S + 0.01)
        assert len(rig.sent) == rounds + 2 and rig.results == []
    rig.deliver(rig.sent[-1], good(rig.sent[-1]))
    assert rig.answer


def test_not_without_end() -> None:
    rig = Rig(TLS, timeout_s=30.0)
    rig.ask()
    while not rig.results:
        # It counts as gone for long in the end, and then is not waited for.
        rig.plan.upstreams[0].backoff_s = 0.0
        rig.network.fail(rig.sent[-1], "stream", 0)
        rig.clock.advance(AGAIN_S + 0.01)
    assert rig.failed.reason == "network"
    assert len(rig.sent) == GIVEN_BACK_MAX + PACKETS_PER_QUESTION_MAX // STREAM_COST


def test_what_left_is_paid_for() -> None:
    rig = Rig(TLS, timeout_s=30.0)
    rig.ask()
    while not rig.results:
        rig.network.fail(rig.sent[-1], "stream", 1)
        rig.clock.advance(AGAIN_S + 0.01)
    # One packet each; the last may have to be sent twice.
    assert len(rig.sent) == PACKETS_PER_QUESTION_MAX - STREAM_COST + 1


def test_an_upstream_that_is_held_back_is_none_the_worse_and_the_next_one_asked() -> None:
    rig = Rig(*STREAMS)
    rig.network.held_back.add(FIRST.address)
    rig.ask()
    assert addresses(rig) == [SECOND.address]
    rig.deliver(rig.sent[-1], good(rig.sent[-1]))
    assert rig.answer
    first = rig.plan.upstreams[0]
    assert (first.queries, first.consecutive_failures, sum(first.failures.values())) == (0, 0, 0)


def test_a_question_waits_a_moment_for_an_upstream_that_is_held_back() -> None:
    rig = Rig(TLS)
    rig.plan.upstreams[0].last_failure = "tls"
    rig.network.held_back.add(FIRST.address)
    rig.ask()
    assert rig.sent == [] and rig.results == []
    rig.network.held_back.clear()
    rig.clock.advance(AGAIN_S + 0.01)
    rig.deliver(rig.sent[-1], good(rig.sent[-1]))
    assert rig.answer


def test_who_is_not_trusted_is_not_waited_for() -> None:
    rig = Rig(TLS)
    rig.plan.upstreams[0].last_failure = "certificate_name"
    rig.network.held_back.add(FIRST.address)
    rig.ask()
    assert rig.failed.reason == "network"
