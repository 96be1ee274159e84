"""What is learnt of an upstream, from how much evidence, and for how long."""

from __future__ import annotations

import random

import pytest

from resolver.forwarding.bounds import PACKETS_PER_QUESTION_MAX, STREAM_COST
from resolver.forwarding.oddities import (
    ANSWERS_UNLIMITED,
    BELIEVED_S,
    EVIDENCE_MIN,
    EVIDENCE_S,
    LetterCase,
    Oddities,
    Trial,
)
from resolver.forwarding.plan import Server
from tests.support.for_each import for_each
from tests.support.forwarding_rig import FIRST, SECOND, WWW, Rig, failure, good, question_of, reply_to
from tests.support.scenario_network import Sent

NOW = 1000.0


def lower(oddities: Oddities, now: float = NOW) -> bool:
    return now < oddities.lower_case_until


def without_edns(oddities: Oddities, now: float = NOW) -> bool:
    return now < oddities.edns_refused_until


def test_a_whole_refusal_of_edns_is_believed_at_once_and_a_bare_one_is_not() -> None:
    whole, bare = Oddities(), Oddities()
    whole.learn("edns", NOW)
    bare.learn("bare", NOW)
    assert (without_edns(whole), without_edns(bare)) == (True, False)


@pytest.mark.parametrize("trial", ["bare", "compared", "lowered"])
def test_what_could_be_forged_takes_several_questions_in_a_row(trial: Trial) -> None:
    oddities = Oddities()
    for _ in range(EVIDENCE_MIN - 1):
        oddities.learn(trial, NOW)
    oddities.on_ordinary_answer()
    for number in range(EVIDENCE_MIN):
        assert not lower(oddities) and not without_edns(oddities), number
        oddities.learn(trial, NOW)
    assert (without_edns(oddities) if trial == "bare" else lower(oddities)) is True


@pytest.mark.parametrize("trial", ["bare", "compared", "lowered"])
def test_evidence_far_apart_says_nothing_together(trial: Trial) -> None:
    oddities = Oddities()
    for number in range(3 * EVIDENCE_MIN):
        oddities.learn(trial, NOW + number * (EVIDENCE_S + 1))
    now = NOW + 3 * EVIDENCE_MIN * (EVIDENCE_S + 1)
    assert not lower(oddities, now) and not without_edns(oddities, now)


def test_an_answer_without_edns_says_nothing_for_edns_nor_one_in_lower_case_for_case() -> None:
    bare, lowered = Oddities(), Oddities()
    for _ in range(EVIDENCE_MIN):
        bare.learn("bare", NOW)
        bare.on_ordinary_answer(edns=False, mixed=True)
        lowered.learn("lowered", NOW)
        lowered.on_ordinary_answer(edns=True, mixed=False)
    assert without_edns(bare) and lower(lowered)


def test_everything_learnt_is_forgotten_in_time() -> None:
    oddities = Oddities()
    for trial in ("edns", *["lowered"] * EVIDENCE_MIN):
        oddities.learn(trial, NOW)  # type: ignore[arg-type]
    oddities.show_case(NOW)
    oddities.limit_answers(2, NOW)
    later = NOW + BELIEVED_S
    assert not without_edns(oddities, later) and not lower(oddities, later)
    assert later >= oddities.case_shown_until
    assert oddities.answers_per_connection(NOW) == 2
    assert oddities.answers_per_connection(later) == ANSWERS_UNLIMITED


def test_the_fewest_answers_count_and_none_at_all_is_soon_tried_again() -> None:
    oddities = Oddities()
    oddities.limit_answers(0, NOW)
    assert oddities.answers_per_connection(NOW) == 1
    assert oddities.answers_per_connection(NOW + EVIDENCE_S) == ANSWERS_UNLIMITED
    for answers in (3, 2, 5):
        oddities.limit_answers(answers, NOW + BELIEVED_S)
    assert oddities.answers_per_connection(NOW + BELIEVED_S) == 2


@pytest.mark.parametrize(("letter_case", "is_lower"), [("mixed", False), ("lower", True)])
def test_letter_case_that_was_set_is_never_learnt(letter_case: LetterCase, is_lower: bool) -> None:
    oddities = Oddities(letter_case)
    for _ in range(2 * EVIDENCE_MIN):
        oddities.learn("lowered", NOW)
        oddities.learn("compared", NOW)
    assert lower(oddities) is is_lower
    assert lower(oddities, NOW + 10 * BELIEVED_S) is is_lower
    assert oddities.case_shown_until > NOW + 10 * BELIEVED_S


def test_what_is_given_up_for_an_upstream_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    oddities = rig.plan.upstreams[0].oddities
    with caplog.at_level("INFO", "resolver.forwarding.change_log"):
        for _ in range(3):
            oddities.learn("edns", NOW)
        for _ in range(2 * EVIDENCE_MIN):
            oddities.learn("lowered", NOW)
        for answers in (3, 1, 2):
            oddities.limit_answers(answers, NOW)
    assert caplog.messages == [
        f"upstream udp://{FIRST.address}:53 {news} for now"
        for news in (
            "is asked without EDNS",
            "is asked in lower case",
            "gets 3 queries on a TCP connection",
            "gets 1 query on a TCP connection",
        )
    ]


def _bare(sent: Sent) -> bytes:
    return reply_to(sent.octets, flags=0x8181, question=b"", qdcount=0)


def _lowered(sent: Sent) -> bytes:
    question = question_of(sent.octets)
    return reply_to(sent.octets, question=question[:-4].lower() + question[-4:])


REPLIES = (
    good,
    lambda sent: failure(sent, 3),
    lambda sent: failure(sent, 1),
    lambda sent: failure(sent, 2),
    lambda sent: failure(sent, 5),
    lambda sent: reply_to(sent.octets),
    lambda sent: reply_to(sent.octets, flags=0x8380),
    lambda sent: reply_to(sent.octets, b"\xff"),
    lambda sent: reply_to(sent.octets, id_=(sent.octets[0] << 8 | sent.octets[1]) ^ 1),
    lambda sent: sent.octets,
    lambda sent: b"short",
    _bare,
    _lowered,
)


@for_each("seed", range(40))
def test_whatever_upstreams_do_a_question_ends_in_time_and_within_its_packets(seed: int) -> None:
    chance = random.Random(seed)
    servers = [FIRST, SECOND, Server("tcp", "192.0.2.3", 53)]
    chance.shuffle(servers)
    rig = Rig(*servers[: chance.randint(1, 3)], case_shown=False)
    for number in range(60):
        rig.ask(b"\x04q%03d" % number + WWW)
        first = len(rig.sent) - 1
        until = rig.clock.now() + 2.0
        while len(rig.results) == number:
            assert rig.clock.now() <= until + 0.05
            for sent in [sent for sent in rig.sent[first:] if sent.is_open]:
                event = chance.random()
                if event < 0.4:
                    rig.deliver(sent, chance.choice(REPLIES)(sent))
                elif event < 0.5:
                    rig.network.fail(sent, chance.choice(("network", "stream", "abandoned")))
            rig.clock.advance(chance.choice((0.0, 0.01, 0.3)))
        asked = [sent for sent in rig.sent[first:] if question_of(sent.octets)[1:5] == b"q%03d" % number
                 or question_of(sent.octets)[1:5] == b"Q%03d" % number]  # fmt: skip
        packets = sum(STREAM_COST if sent.is_stream else 1 for sent in asked)
        assert packets <= PACKETS_PER_QUESTION_MAX
    rig.clock.advance(3.0)
    rig.assert_nothing_pending()
