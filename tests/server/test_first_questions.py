"""Each upstream is asked once at the start, and what became of it is said."""

from __future__ import annotations

import asyncio

import pytest

from resolver.forwarding.plan import ForwardPlan, Server
from resolver.server.first_questions import ask_each_upstream, first_questions
from resolver.wire.names import name_from_text
from resolver.wire.question import Question
from tests.support.forwarding_rig import FIRST, SECOND, Rig, failure, reply_to

NS, SOA = 2, 6
CORP = name_from_text("corp.example")


def started(*servers: Server) -> Rig:
    rig = Rig(*servers)
    ask_each_upstream(rig.forwarder, rig.clock)
    return rig


def test_each_upstream_gets_one_question_that_it_should_answer() -> None:
    inside = Server("tcp", "192.0.2.3", 53)
    plan = ForwardPlan([FIRST, SECOND], forward={CORP: [inside, FIRST]})
    asked = {upstream.name: question for upstream, question in first_questions(plan)}
    assert asked == {
        "udp://192.0.2.1:53": Question(b"\0", NS),
        "udp://192.0.2.2:53": Question(b"\0", NS),
        "tcp://192.0.2.3:53": Question(CORP, SOA),
    }


def test_an_answer_is_said_with_its_time_and_kept_by_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    rig = started(FIRST)
    rig.clock.advance(0.0123)
    [sent] = rig.sent
    assert rig.deliver(sent, reply_to(sent.octets))
    assert caplog.messages == ["upstream udp://192.0.2.1:53 answers, in 12.3 ms"]
    assert rig.forwarder.pending == rig.forwarder.probing == 0
    assert rig.forwarder.upstreams[0].is_up


def test_an_upstream_that_never_answered_is_down_from_then_on_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = started(FIRST, SECOND)
    for sent in list(rig.sent):
        sent.receiver.on_error("network")
    assert caplog.messages == [
        "upstream udp://192.0.2.1:53 is down (network)",
        "upstream udp://192.0.2.1:53 gave no usable answer to its first question: network, after 0.0 ms",
        "upstream udp://192.0.2.2:53 is down (network)",
        "no upstream is left",
        "upstream udp://192.0.2.2:53 gave no usable answer to its first question: network, after 0.0 ms",
    ]


def test_silence_is_a_timeout_after_all_tries(caplog: pytest.LogCaptureFixture) -> None:
    rig = started(FIRST)
    rig.clock.advance(2.0)
    assert (
        "upstream udp://192.0.2.1:53 gave no usable answer to its first question: timeout, after 2000.0 ms"
        in (caplog.messages)
    )
    assert not rig.forwarder.upstreams[0].is_up


def test_an_upstream_that_refuses_the_first_question_is_not_down(caplog: pytest.LogCaptureFixture) -> None:
    rig = started(FIRST)
    while (sent := rig.sent[-1]) and rig.forwarder.probing:
        assert rig.deliver(sent, failure(sent, 5))
    assert caplog.messages == [
        "upstream udp://192.0.2.1:53 gave no usable answer to its first question: refused, after 0.0 ms"
    ]
    assert rig.forwarder.upstreams[0].is_up


def test_an_upstream_that_has_answered_before_is_not_down_for_one_question() -> None:
    rig = Rig(FIRST)
    upstream = rig.forwarder.upstreams[0]
    upstream.on_answer(0.01, rig.clock.now())
    ask_each_upstream(rig.forwarder, rig.clock)
    rig.sent[-1].receiver.on_error("network")
    assert upstream.is_up


def test_a_server_that_stops_meanwhile_says_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    rig = started(FIRST)
    asyncio.run(rig.forwarder.close())
    assert not caplog.messages
