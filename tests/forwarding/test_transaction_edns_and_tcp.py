"""One question's way to an upstream without EDNS, with truncated answers, and over TCP."""

from __future__ import annotations

import pytest

from resolver.forwarding.bounds import (
    STREAM_TIMEOUT_S_MAX,
)
from resolver.forwarding.oddities import BELIEVED_S, EVIDENCE_MIN
from tests.forwarding.transaction_rig import FORMERR, NOTIMP, SERVFAIL, addresses, truncated
from tests.support.forwarding_rig import ADDRESS, FIRST, SECOND, Rig, failure, good, has_opt, reply_to
from tests.support.scenario_network import Sent

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
