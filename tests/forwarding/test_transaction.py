"""One question's way through silence, failure codes, truncation and broken sockets."""

from __future__ import annotations

import pytest

from resolver.forwarding.bounds import (
    AGAIN_S,
    GIVEN_BACK_MAX,
    GONE_FOR_LONG_S,
    PACKETS_PER_QUESTION_MAX,
    STREAM_COST,
    STREAM_TIMEOUT_S_MAX,
)
from resolver.forwarding.network import ABANDONED
from resolver.forwarding.oddities import BELIEVED_S, EVIDENCE_MIN
from resolver.forwarding.plan import Server
from resolver.forwarding.upstream import DOWN_AFTER_FAILURES, STANDS_BACK_AFTER
from tests.support.forwarding_rig import ADDRESS, FIRST, SECOND, WWW, Rig, failure, good, has_opt, reply_to
from tests.support.scenario_network import Sent

STREAMS = (Server("tcp", FIRST.address, 53), Server("tcp", SECOND.address, 53))
FORMERR, SERVFAIL, NOTIMP, REFUSED = 1, 2, 4, 5


def cost(sent: list[Sent]) -> int:
    return sum(STREAM_COST if one.is_stream else 1 for one in sent)


def truncated(sent: Sent) -> bytes:
    return reply_to(sent.octets, flags=0x8380)


def addresses(rig: Rig) -> list[str]:
    return [sent.upstream.address for sent in rig.sent]


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


# EDNS.


@pytest.mark.parametrize("rcode", [FORMERR, NOTIMP])
def test_upstream_without_edns_is_asked_once_more_without(rcode: int) -> None:
    rig = Rig(FIRST, SECOND)
    rig.ask()
    assert has_opt(rig.sent[0].octets)
    rig.deliver(rig.sent[0], reply_to(rig.sent[0].octets, flags=0x8180 | rcode))
    assert addresses(rig) == [FIRST.address, FIRST.address]
    assert not has_opt(rig.sent[1].octets)
    rig.deliver(rig.sent[1], good(rig.sent[1]))
    assert rig.answer


def bare(sent: Sent, rcode: int = FORMERR) -> bytes:
    return reply_to(sent.octets, flags=0x8180 | rcode, question=b"", qdcount=0)


@pytest.mark.parametrize("rcode", [FORMERR, NOTIMP])
def test_an_error_of_a_header_alone_to_edns_leads_to_one_query_without(rcode: int) -> None:
    rig = Rig()
    rig.ask()
    rig.deliver(rig.sent[0], bare(rig.sent[0], rcode))
    assert [(sent.is_stream, has_opt(sent.octets)) for sent in rig.sent] == [(False, True), (False, False)]
    rig.deliver(rig.sent[1], good(rig.sent[1]))
    assert rig.answer


def test_a_forged_error_of_a_header_alone_does_not_cost_the_answer() -> None:
    rig = Rig()
    rig.ask()
    rig.deliver(rig.sent[0], bare(rig.sent[0]))
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    assert rig.answer
    rig.ask()
    assert has_opt(rig.sent[2].octets)


def test_errors_of_a_header_alone_teach_after_a_few_in_a_row_only() -> None:
    rig = Rig()

    def ask_and_refuse() -> None:
        rig.ask()
        rig.deliver(rig.sent[-1], bare(rig.sent[-1]))
        rig.deliver(rig.sent[-1], good(rig.sent[-1]))

    for _ in range(EVIDENCE_MIN - 1):
        ask_and_refuse()
    rig.ask()
    rig.deliver(rig.sent[-1], good(rig.sent[-1]))  # it does take EDNS
    for _ in range(EVIDENCE_MIN):
        rig.ask()
        assert has_opt(rig.sent[-1].octets)
        rig.deliver(rig.sent[-1], bare(rig.sent[-1]))
        rig.deliver(rig.sent[-1], good(rig.sent[-1]))
    rig.ask()
    assert not has_opt(rig.sent[-1].octets)


def test_a_second_error_of_a_header_alone_goes_to_tcp_as_a_near_miss() -> None:
    rig = Rig()
    rig.ask()
    for _ in range(3):
        rig.deliver(rig.sent[-1], bare(rig.sent[-1]))
    assert [(sent.is_stream, has_opt(sent.octets)) for sent in rig.sent] == [
        (False, True),
        (False, False),
        (True, False),
    ]
    assert rig.failed.reason == "rcode"


def test_upstream_without_edns_is_remembered_for_a_while_and_then_tried_again() -> None:
    rig = Rig()
    rig.ask()
    rig.deliver(rig.sent[0], reply_to(rig.sent[0].octets, flags=0x8180 | FORMERR))
    rig.deliver(rig.sent[1], good(rig.sent[1]))
    rig.ask()
    assert not has_opt(rig.sent[2].octets)
    rig.deliver(rig.sent[2], good(rig.sent[2]))
    rig.clock.advance(BELIEVED_S + 1)
    rig.ask()
    assert has_opt(rig.sent[3].octets)


def test_formerr_without_edns_too_is_no_proof_against_edns() -> None:
    rig = Rig()
    rig.ask()
    rig.deliver(rig.sent[0], failure(rig.sent[0], FORMERR))
    rig.deliver(rig.sent[1], failure(rig.sent[1], FORMERR))
    assert rig.failed.reason == "rcode"
    rig.ask()
    assert has_opt(rig.sent[2].octets)


def test_servfail_is_not_retried_without_edns() -> None:
    rig = Rig()
    rig.ask()
    rig.deliver(rig.sent[0], failure(rig.sent[0], SERVFAIL))
    assert len(rig.sent) == 1 and rig.failed


# Truncation.


def test_truncated_answer_is_asked_for_again_over_tcp() -> None:
    rig = Rig()
    rig.ask()
    rig.deliver(rig.sent[0], truncated(rig.sent[0]))
    assert not rig.sent[0].is_open
    assert rig.sent[1].is_stream and rig.sent[1].upstream is rig.sent[0].upstream
    rig.deliver(rig.sent[1], good(rig.sent[1]))
    assert rig.answer.response.addresses == (ADDRESS,)


def test_truncated_answer_over_tcp_ends_the_circle() -> None:
    rig = Rig()
    rig.ask()
    rig.deliver(rig.sent[0], truncated(rig.sent[0]))
    rig.deliver(rig.sent[1], truncated(rig.sent[1]))
    assert rig.failed.reason == "malformed"
    assert len(rig.sent) == 2


def test_failed_tcp_after_truncation_goes_to_the_next_upstream() -> None:
    rig = Rig(FIRST, SECOND)
    rig.ask()
    rig.deliver(rig.sent[0], truncated(rig.sent[0]))
    rig.network.fail(rig.sent[1], "stream")
    assert addresses(rig)[2] == SECOND.address
    rig.deliver(rig.sent[2], good(rig.sent[2]))
    assert rig.answer


def test_a_silent_connection_to_a_slow_upstream_leaves_time_for_another() -> None:
    rig = Rig(FIRST._replace(scheme="tcp"))
    rig.plan.upstreams[0].rtt_s = 1.4
    rig.ask()
    rig.clock.advance(STREAM_TIMEOUT_S_MAX + 0.02)
    assert len(rig.sent) == 2
    rig.deliver(rig.sent[1], good(rig.sent[1]))
    assert rig.answer


def test_tcp_upstream_is_asked_over_tcp_from_the_start() -> None:
    rig = Rig(FIRST._replace(scheme="tcp"))
    rig.ask()
    assert rig.sent[0].is_stream
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    assert rig.answer


def test_garbage_over_tcp_goes_to_the_next_upstream() -> None:
    rig = Rig(FIRST._replace(scheme="tcp"), SECOND)
    rig.ask()
    rig.deliver(rig.sent[0], b"\0" * 20)
    assert addresses(rig) == [FIRST.address, SECOND.address]


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
