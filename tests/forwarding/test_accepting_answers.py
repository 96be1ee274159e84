"""Which packets from an upstream are believed (RFC 5452), seen from the one who asked."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from resolver.forwarding.bounds import BAD_PACKETS_MAX
from resolver.forwarding.upstream import STANDS_BACK_AFTER
from tests.support.for_each import for_each
from tests.support.forwarding_rig import ADDRESS, FIRST, SECOND, WWW, A, Rig, good, question_of, reply_to
from tests.support.scenario_network import Sent
from tests.support.wirebuild import QNAME, rr

FORGED_ADDRESS = b"\xc6\x33\x64\x01"
FORGED = rr(QNAME, A, FORGED_ADDRESS)


def _flip_case(octets: bytes) -> bytes:
    question = question_of(octets)
    return question[:-4].swapcase() + question[-4:]


NEAR_MISSES: dict[str, Callable[[bytes], bytes]] = {
    "id": lambda q: reply_to(q, FORGED, id_=(q[0] << 8 | q[1]) ^ 0x0100),
    "qname": lambda q: reply_to(q, FORGED, question=b"\x03ftp" + question_of(q)[4:]),
    "qtype": lambda q: reply_to(q, FORGED, question=question_of(q)[:-4] + b"\0\x1c\0\1"),
    "qclass": lambda q: reply_to(q, FORGED, question=question_of(q)[:-4] + b"\0\1\0\3"),
    "case": lambda q: reply_to(q, FORGED, question=_flip_case(q)),
    "no-question": lambda q: reply_to(q, FORGED, question=b"", qdcount=0),
    "two-other-questions": lambda q: reply_to(q, FORGED, question=_flip_case(q) * 2, qdcount=2),
    "opcode-and-case": lambda q: reply_to(q, FORGED, flags=0xA180, question=_flip_case(q)),
}
NONSENSE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda q: b"",
    "one-octet": lambda q: q[:1],
    "eleven-octets": lambda q: reply_to(q, FORGED)[:11],
    "query": lambda q: reply_to(q, FORGED, flags=0x0180),
    "echo": lambda q: q,
}
BAD = NEAR_MISSES | NONSENSE
BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "opcode": lambda q: reply_to(q, FORGED, flags=0xA180),
    "two-questions": lambda q: reply_to(q, FORGED, question=question_of(q) * 2, qdcount=2),
    "unparsable": lambda q: reply_to(q, b"\xc0\xff\xff"),
    "counts": lambda q: reply_to(q, b"", b"", b"", b""),
}
"""What repeats ID and question letter by letter and is no answer all the same."""


@for_each("kind", BAD)
def test_good_answer_after_a_bad_packet_is_taken_when_tcp_is_closed(kind: str) -> None:
    rig = Rig()
    rig.ask()
    first = rig.sent[0]
    rig.deliver(first, BAD[kind](first.octets))
    for other in rig.sent[1:]:
        rig.network.fail(other, "network")
    rig.clock.advance(0.05)
    assert rig.results == []
    rig.deliver(first, good(first))
    assert rig.answer.response.addresses == (ADDRESS,)


@for_each("kind", BAD)
def test_bad_packet_alone_answers_nothing(kind: str) -> None:
    rig = Rig()
    rig.ask()
    first = rig.sent[0]
    rig.deliver(first, BAD[kind](first.octets))
    rig.clock.advance(2.0)
    assert rig.failed.reason in ("timeout", "malformed")


@pytest.mark.parametrize("kind", NEAR_MISSES)
def test_near_miss_moves_the_question_to_tcp(kind: str) -> None:
    rig = Rig()
    rig.ask()
    first = rig.sent[0]
    rig.deliver(first, NEAR_MISSES[kind](first.octets))
    stream = rig.sent[-1]
    assert stream.is_stream and stream.upstream is first.upstream
    rig.deliver(stream, good(stream))
    assert rig.answer.response.addresses == (ADDRESS,)
    assert first.upstream.failures["near_miss"] == 1


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_is_no_reason_for_tcp(kind: str) -> None:
    rig = Rig()
    rig.ask()
    first = rig.sent[0]
    rig.deliver(first, NONSENSE[kind](first.octets))
    assert len(rig.sent) == 1
    rig.deliver(first, good(first))
    assert rig.answer


def test_good_packet_alone_needs_no_tcp() -> None:
    rig = Rig()
    rig.ask()
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    assert rig.answer
    assert [sent.is_stream for sent in rig.sent] == [False]


def test_after_a_near_miss_tcp_has_the_last_word_over_udp() -> None:
    rig = Rig()
    rig.ask()
    first = rig.sent[0]
    rig.deliver(first, NEAR_MISSES["id"](first.octets))
    rig.deliver(first, good(first, FORGED_ADDRESS))
    assert rig.results == []
    rig.deliver(rig.sent[1], good(rig.sent[1]))
    assert rig.answer.response.addresses == (ADDRESS,)


def test_held_udp_answer_is_used_when_tcp_breaks() -> None:
    rig = Rig()
    rig.ask()
    first = rig.sent[0]
    rig.deliver(first, NEAR_MISSES["id"](first.octets))
    rig.deliver(first, good(first))
    rig.network.fail(rig.sent[1], "stream")
    assert rig.answer.response.addresses == (ADDRESS,)


def test_held_udp_answer_is_used_when_tcp_is_silent() -> None:
    rig = Rig()
    rig.ask()
    first = rig.sent[0]
    rig.deliver(first, NEAR_MISSES["id"](first.octets))
    rig.deliver(first, good(first))
    rig.clock.advance(1.9)
    assert rig.answer.response.addresses == (ADDRESS,)


def test_forger_gets_few_guesses_per_question() -> None:
    rig = Rig()
    rig.ask()
    first = rig.sent[0]
    for _ in range(BAD_PACKETS_MAX):
        rig.deliver(first, NEAR_MISSES["id"](first.octets))
    assert not first.is_open
    assert not rig.deliver(first, good(first))
    assert rig.results == []
    rig.deliver(rig.sent[1], good(rig.sent[1]))
    assert rig.answer


def test_attacked_upstream_without_tcp_is_left_for_the_next() -> None:
    rig = Rig(FIRST, SECOND)
    rig.ask()
    first = rig.sent[0]
    for _ in range(BAD_PACKETS_MAX):
        rig.deliver(first, NEAR_MISSES["id"](first.octets))
    rig.network.fail(rig.sent[1], "network")
    assert rig.sent[2].upstream.address == SECOND.address
    rig.deliver(rig.sent[2], good(rig.sent[2]))
    assert rig.answer


def test_hundred_thousand_forged_replies_are_all_refused() -> None:
    chance = random.Random(7)
    rig = Rig(in_flight_max=100_000)
    accepted = 0
    for round_ in range(2000):
        rig.ask(b"\x06%06x" % round_ + WWW)
        victim = rig.sent[-1]
        for _ in range(50):
            # The forger knows socket and question, not the ID and not the case of the letters.
            forged = reply_to(
                victim.octets,
                FORGED,
                id_=chance.choice([chance.randrange(65_536), victim.octets[0] << 8 | victim.octets[1]]),
                question=question_of(victim.octets).lower(),
            )
            rig.deliver(victim, forged)
        accepted += len(rig.results)
    assert accepted == 0


def test_ten_thousand_identical_misses_make_one_upstream_query() -> None:
    rig = Rig(waiters_max=10_000)
    for _ in range(10_000):
        rig.ask()
    assert len(rig.sent) == 1
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    rig.clock.advance(0.001)  # a crowd is told in turns
    assert len(rig.results) == 10_000
    rig.assert_nothing_pending()


def test_every_query_has_its_own_id_and_letter_case() -> None:
    rig = Rig()
    for number in range(200):
        rig.ask(b"\x03%03d" % number + WWW)
    ids = {sent.octets[:2] for sent in rig.sent}
    cases = {question_of(sent.octets)[4:-4] for sent in rig.sent}
    assert len(ids) > 190
    assert len(cases) > 150


def test_letter_case_is_left_alone_over_tcp() -> None:
    rig = Rig(FIRST._replace(scheme="tcp"))
    rig.ask()
    sent: Sent = rig.sent[0]
    assert sent.is_stream and question_of(sent.octets)[:-4] == WWW


def test_reply_after_the_answer_is_not_heard() -> None:
    rig = Rig()
    rig.ask()
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    assert not rig.deliver(rig.sent[0], good(rig.sent[0], FORGED_ADDRESS))
    assert len(rig.results) == 1


# Answers that cannot be read.


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_sends_the_question_to_the_next_upstream_at_once(kind: str) -> None:
    rig = Rig(FIRST, SECOND)
    rig.ask()
    first = rig.sent[0]
    rig.deliver(first, BROKEN[kind](first.octets))
    assert [(sent.upstream.address, sent.is_stream) for sent in rig.sent[1:]] == [(SECOND.address, False)]
    assert not first.is_open
    rig.deliver(rig.sent[1], good(rig.sent[1]))
    assert rig.answer
    assert {word for word, count in first.upstream.failures.items() if count} == {"malformed"}


@pytest.mark.parametrize("kind", BROKEN)
def test_with_no_other_upstream_a_broken_answer_is_asked_for_once_more_over_tcp(kind: str) -> None:
    rig = Rig()
    rig.ask()
    rig.deliver(rig.sent[0], BROKEN[kind](rig.sent[0].octets))
    assert [sent.is_stream for sent in rig.sent] == [False, True]
    rig.deliver(rig.sent[1], good(rig.sent[1]))
    assert rig.answer


@for_each("kind", [*BAD, *BROKEN])
def test_a_bad_message_over_tcp_ends_it_at_once_and_counts_as_malformed(kind: str) -> None:
    rig = Rig(FIRST._replace(scheme="tcp"))
    rig.ask()
    rig.deliver(rig.sent[0], (BAD | BROKEN)[kind](rig.sent[0].octets))
    assert rig.failed.reason == "malformed" and len(rig.sent) == 1
    assert rig.plan.upstreams[0].failures["malformed"] == 1


@for_each("kind", BROKEN)
@for_each("servers", [1, 2, 3, 5])
def test_who_answers_nothing_readable_gets_three_packets_at_most_and_the_failure_comes_at_once(
    kind: str, servers: int
) -> None:
    rig = Rig(*(FIRST._replace(address=f"192.0.2.{number}") for number in range(1, servers + 1)))
    rig.ask()
    handled = 0
    while handled < len(rig.sent):
        rig.deliver(rig.sent[handled], BROKEN[kind](rig.sent[handled].octets))
        handled += 1
    assert rig.failed.reason == "malformed" and rig.failed.ede[0] == 24
    assert rig.clock.now() == rig.started_at and handled <= 3


def test_a_near_miss_whose_check_over_tcp_cannot_be_read_ends_there() -> None:
    rig = Rig()
    rig.ask()
    rig.deliver(rig.sent[0], NEAR_MISSES["no-question"](rig.sent[0].octets))
    rig.deliver(rig.sent[1], NEAR_MISSES["no-question"](rig.sent[1].octets))
    assert rig.failed.reason == "malformed" and len(rig.sent) == 2


def test_a_check_over_tcp_that_cannot_be_read_leaves_what_udp_answered() -> None:
    rig = Rig()
    rig.ask()
    first = rig.sent[0]
    rig.deliver(first, NEAR_MISSES["id"](first.octets))
    rig.deliver(first, good(first))
    rig.deliver(rig.sent[1], BROKEN["unparsable"](rig.sent[1].octets))
    assert rig.answer.response.addresses == (ADDRESS,)


@for_each("kind", [*BAD, *BROKEN])
def test_no_bad_packet_takes_an_upstream_down_or_counts_as_a_timeout(kind: str) -> None:
    rig = Rig()
    for number in range(2 * STANDS_BACK_AFTER):
        rig.ask(b"\x02%02d" % number + WWW)
        for _ in range(25):
            for sent in [sent for sent in rig.sent if sent.is_open and not sent.is_stream]:
                rig.deliver(sent, (BAD | BROKEN)[kind](sent.octets))
            rig.clock.advance(0.1)
    upstream = rig.plan.upstreams[0]
    assert upstream.is_up
    if kind in BROKEN:
        assert upstream.stands_back
        assert upstream.failures["malformed"] == 2 * STANDS_BACK_AFTER
    assert upstream.consecutive_failures == 0


def test_a_packet_with_another_id_never_ends_an_attempt() -> None:
    rig = Rig(FIRST, SECOND)
    rig.ask()
    first = rig.sent[0]
    for kind in BROKEN:
        octets = BROKEN[kind](first.octets)
        rig.deliver(first, bytes((octets[0] ^ 1,)) + octets[1:])
    assert first.is_open
    assert SECOND.address not in [sent.upstream.address for sent in rig.sent]
