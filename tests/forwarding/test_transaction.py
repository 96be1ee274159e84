"""One question's way through silence, failure codes and broken sockets."""

from __future__ import annotations

import pytest

from resolver.forwarding.bounds import (
    PACKETS_PER_QUESTION_MAX,
    STREAM_COST,
)
from resolver.forwarding.plan import Server
from resolver.forwarding.upstream import DOWN_AFTER_FAILURES, STANDS_BACK_AFTER
from tests.forwarding.transaction_rig import REFUSED, SERVFAIL, addresses, truncated
from tests.support.forwarding_rig import FIRST, SECOND, WWW, Rig, failure, good
from tests.support.scenario_network import Sent


def cost(sent: list[Sent]) -> int:
    return sum(STREAM_COST if one.is_stream else 1 for one in sent)


# Silence.


def test_silent_upstream_is_asked_again_with_a_new_id() -> None:
    rig = Rig()
    rig.ask()
    rig.clock.advance(0.41)
    assert len(rig.sent) == 2
    assert rig.sent[0].octets[:2] != rig.sent[1].octets[:2]
    rig.deliver(rig.sent[1], good(rig.sent[1]))
    assert rig.answer


def test_patience_is_kept_before_the_timeout() -> None:
    rig = Rig()
    rig.ask()
    rig.clock.advance(0.39)
    assert len(rig.sent) == 1


def test_next_upstream_takes_over_from_a_silent_one() -> None:
    rig = Rig(FIRST, SECOND)
    rig.ask()
    rig.clock.advance(0.41)
    assert addresses(rig) == [FIRST.address, SECOND.address]
    rig.deliver(rig.sent[1], good(rig.sent[1]))
    assert rig.answer.upstream.address == SECOND.address


def test_late_answer_of_the_first_attempt_still_counts() -> None:
    rig = Rig(FIRST, SECOND)
    rig.ask()
    rig.clock.advance(0.5)
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    assert rig.answer.upstream.address == FIRST.address


def test_all_dead_fails_at_the_timeout_and_not_before() -> None:
    rig = Rig(FIRST, SECOND)
    rig.ask()
    rig.clock.advance(1.99)
    assert rig.results == []
    rig.clock.advance(0.01)
    assert rig.failed.reason == "timeout"
    assert rig.failed.ede[0] == 22


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_silence_never_costs_more_than_the_stated_packets(count: int, scheme: str) -> None:
    rig = Rig(*(Server(scheme, f"192.0.2.{n}", 53) for n in range(1, count + 1)), timeout_s=60.0)  # type: ignore[arg-type]
    rig.ask()
    rig.clock.advance(61.0)
    assert rig.failed
    assert 1 < cost(rig.sent) <= PACKETS_PER_QUESTION_MAX


def test_retransmission_grows_more_patient() -> None:
    rig = Rig(timeout_s=10.0)
    rig.ask()
    counts = []
    for _ in range(6):
        rig.clock.advance(0.5)
        counts.append(len(rig.sent))
    # Sent after 0, 0.4, 1.2 and 2.8 seconds.
    assert counts == [2, 2, 3, 3, 3, 4]


def test_measured_upstream_is_retried_sooner_than_an_unknown_one() -> None:
    rig = Rig()
    for number in range(5):
        rig.ask(b"\x01%d" % number + WWW)
        rig.clock.advance(0.01)
        rig.deliver(rig.sent[-1], good(rig.sent[-1]))
    before = len(rig.sent)
    rig.ask()
    rig.clock.advance(0.27)
    assert len(rig.sent) == before + 2


# Broken sockets.


def test_refused_port_is_left_for_the_next_upstream_at_once() -> None:
    rig = Rig(FIRST, SECOND)
    rig.ask()
    rig.network.fail(rig.sent[0], "network")
    assert addresses(rig) == [FIRST.address, SECOND.address]
    rig.deliver(rig.sent[1], good(rig.sent[1]))
    assert rig.answer


def test_only_refused_ports_fail_at_once() -> None:
    rig = Rig(FIRST, SECOND)
    rig.ask()
    rig.network.fail(rig.sent[0], "network")
    rig.network.fail(rig.sent[1], "network")
    assert rig.failed.reason == "network"
    assert rig.failed.ede[0] == 23


def test_upstream_that_cannot_be_sent_to_is_skipped() -> None:
    rig = Rig(FIRST, SECOND, unreachable=["udp://192.0.2.1:53"])
    rig.ask()
    assert addresses(rig) == [SECOND.address]
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    assert rig.answer


def test_nothing_reachable_fails_inside_ask() -> None:
    rig = Rig(unreachable=["udp://192.0.2.1:53"])
    rig.ask()
    assert rig.failed.reason == "network"


# Failure codes.


@pytest.mark.parametrize(("rcode", "reason"), [(SERVFAIL, "servfail"), (REFUSED, "refused"), (9, "rcode")])
def test_failure_code_moves_on_to_the_next_upstream(rcode: int, reason: str) -> None:
    rig = Rig(FIRST, SECOND)
    rig.ask()
    rig.deliver(rig.sent[0], failure(rig.sent[0], rcode))
    assert addresses(rig) == [FIRST.address, SECOND.address]
    assert rig.sent[0].upstream.failures[reason] == 1
    rig.deliver(rig.sent[1], good(rig.sent[1]))
    assert rig.answer


def test_failure_codes_from_all_fail_at_once_without_a_second_round() -> None:
    rig = Rig(FIRST, SECOND)
    rig.ask()
    rig.deliver(rig.sent[0], failure(rig.sent[0], SERVFAIL))
    rig.deliver(rig.sent[1], failure(rig.sent[1], REFUSED))
    assert rig.failed.reason == "rcode"
    assert len(rig.sent) == 2


def test_broken_domain_does_not_take_an_upstream_down() -> None:
    rig = Rig()
    for number in range(DOWN_AFTER_FAILURES * 2):
        rig.ask(b"\x01%d" % number + WWW)
        rig.deliver(rig.sent[-1], failure(rig.sent[-1], SERVFAIL))
    assert rig.plan.upstreams[0].is_up


def test_servfail_alone_never_takes_an_upstream_down_but_lets_it_stand_back() -> None:
    rig = Rig(FIRST, SECOND)
    for number in range(STANDS_BACK_AFTER):
        rig.ask(b"\x02%02d" % number + WWW)
        assert rig.sent[-1].upstream.address == FIRST.address
        rig.deliver(rig.sent[-1], failure(rig.sent[-1], SERVFAIL))
        rig.deliver(rig.sent[-1], good(rig.sent[-1]))
        rig.clock.advance(1.0)
    first = rig.plan.upstreams[0]
    assert first.is_up and first.stands_back
    rig.ask()
    asked = {sent.upstream.address: sent for sent in rig.sent[-2:]}
    rig.deliver(asked[SECOND.address], good(asked[SECOND.address]))
    # It is measured now and then, and one good answer brings it back.
    rig.clock.advance(6.0)
    rig.ask(b"\x01x" + WWW)
    probe = next(sent for sent in rig.sent[-2:] if sent.upstream is first)
    rig.deliver(probe, good(probe))
    assert not first.stands_back


def test_a_udp_upstream_whose_tcp_is_silent_is_not_down() -> None:
    rig = Rig()
    for number in range(DOWN_AFTER_FAILURES * 2):
        rig.ask(b"\x01%d" % number + WWW)
    for _ in range(25):
        for sent in [sent for sent in rig.sent if sent.is_open and not sent.is_stream]:
            rig.deliver(sent, truncated(sent))
        rig.clock.advance(0.1)
    upstream = rig.plan.upstreams[0]
    assert upstream.failures["timeout"] and upstream.is_up


def test_name_that_does_not_exist_is_an_answer_not_a_failure() -> None:
    rig = Rig(FIRST, SECOND)
    rig.ask()
    rig.deliver(rig.sent[0], failure(rig.sent[0], 3))
    assert rig.answer.response.rcode == 3
