"""The request flow's own bounds and defects; what it answers is played in `scenarios/`."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import cast

import pytest

from resolver.cache import ResponseCache
from resolver.flow import waiting
from resolver.flow.clients import Clients, Standing
from resolver.flow.outcome import Ask, Drop, Respond
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.forwarding.forwarder import Answered, Failed, Forwarder
from resolver.forwarding.upstream import Upstream
from resolver.local import LocalNames
from resolver.wire.message import read_message
from resolver.wire.question import Question
from resolver.wire.response import Response, SentQuery, accept_response
from tests.support.policy_maker import PolicyMaker, make_rule
from tests.support.scenario_clock import FakeClock

PEER = Peer(bytes([127, 0, 0, 1]), Transport.UDP)


class SilentForwarder:
    """Keeps every question; nobody answers until the test does."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[Answered | Failed], None]] = []

    def covers(self, qname: bytes) -> bool:
        return False

    def ask(self, question: Question, done: Callable[[Answered | Failed], None]) -> None:
        self.waiting.append(done)


@pytest.fixture
def forwarder() -> SilentForwarder:
    return SilentForwarder()


@pytest.fixture
def service(forwarder: SilentForwarder, tmp_path: Path) -> Service:
    return Service(
        policy=PolicyMaker().policy(tmp_path),
        cache=ResponseCache(1 << 20),
        forwarder=cast(Forwarder, forwarder),
        local=LocalNames(),
        clock=FakeClock(),
        clients=Clients([ip_network("127.0.0.0/8")]),
        memo_octets_max=1 << 20,
    )


def query(name: bytes = b"\x07example\x00") -> bytes:
    return b"\x12\x34\x01\x00\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1"


def ask(service: Service, answers: list[Respond | Drop]) -> None:
    outcome = service.answer_now(query(), PEER, 0.0)
    assert isinstance(outcome, Ask)
    service.resolve(outcome, lambda _, answer: answers.append(answer))


def test_clients_beyond_the_bound_are_told_so_at_once(
    service: Service, forwarder: SilentForwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "WAITING_MAX", 2)
    answers: list[Respond | Drop] = []
    for _ in range(3):
        ask(service, answers)
    assert len(forwarder.waiting) == service.waiting == 2
    [refused] = answers
    assert isinstance(refused, Respond)
    assert refused.rcode == 2


def test_an_answered_client_makes_room_for_another(service: Service, forwarder: SilentForwarder) -> None:
    answers: list[Respond | Drop] = []
    ask(service, answers)
    forwarder.waiting.pop()(Failed("timeout", (22, "")))
    assert service.waiting == 0
    assert len(answers) == 1


def test_a_defect_while_finishing_still_answers_the_client(
    service: Service, forwarder: SilentForwarder, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[Respond | Drop] = []
    ask(service, answers)
    forwarder.waiting.pop()(cast(Answered, object()))
    [answer] = answers
    assert isinstance(answer, Respond)
    message = read_message(b"\x12\x34" + answer.tail)
    assert message is not None and message.rcode == 2
    assert service.defects == 1
    assert "defect while finishing" in caplog.text
    assert service.waiting == 0


def limited_service(forwarder: SilentForwarder, tmp_path: Path, networks: list[str]) -> Service:
    return Service(
        policy=PolicyMaker().policy(tmp_path),
        cache=ResponseCache(1 << 20),
        forwarder=cast(Forwarder, forwarder),
        local=LocalNames(),
        clock=FakeClock(),
        clients=Clients([ip_network(network) for network in networks]),
        memo_octets_max=1 << 20,
        rate_limit_qps=2,
    )


MALFORMED = b"\x12\x34\x01\x00" + bytes(8)


@pytest.mark.parametrize("octets", [MALFORMED, b"\x12\x34\x28\x00" + bytes(8)])
def test_over_the_rate_even_the_smallest_reply_is_withheld(
    forwarder: SilentForwarder, tmp_path: Path, octets: bytes
) -> None:
    service = limited_service(forwarder, tmp_path, ["127.0.0.0/8"])
    peer = Peer(bytes([127, 0, 0, 1]), Transport.UDP)
    kinds = [type(service.answer_now(octets, peer, 0.0)) for _ in range(4)]
    assert kinds == [Respond, Respond, Drop, Drop]


def test_over_the_rate_a_stranger_hears_nothing(forwarder: SilentForwarder, tmp_path: Path) -> None:
    service = limited_service(forwarder, tmp_path, ["192.0.2.0/24"])
    peer = Peer(bytes([127, 0, 0, 1]), Transport.UDP)
    outcomes = [service.answer_now(query(), peer, 0.0) for _ in range(3)]
    assert [type(outcome) for outcome in outcomes] == [Respond, Respond, Drop]
    assert isinstance(outcomes[2], Drop) and outcomes[2].reason == "rate_limit"


def test_a_question_that_could_not_be_read_has_no_type(service: Service) -> None:
    answer = service.answer_now(MALFORMED, PEER, 0.0)
    assert isinstance(answer, Respond)
    assert answer.qtype is None


def test_any_is_not_to_be_kept_past_a_coming_date(forwarder: SilentForwarder, tmp_path: Path) -> None:
    maker = PolicyMaker()
    maker.block(make_rule(starts_at=12.0), "soon.example")
    service = Service(
        policy=maker.policy(tmp_path),
        cache=ResponseCache(1 << 20),
        forwarder=cast(Forwarder, forwarder),
        local=LocalNames(),
        clock=FakeClock(),
        clients=Clients([ip_network("127.0.0.0/8")]),
        memo_octets_max=1 << 20,
    )
    any_query = query(b"\x04soon\x07example\x00")[:-4] + b"\0\xff\0\1"
    over_tcp = Peer(PEER.address, Transport.TCP)
    answer = service.answer_now(any_query, over_tcp, 0.0)
    assert isinstance(answer, Respond)
    message = read_message(b"\x12\x34" + answer.tail)
    assert message is not None
    assert [record.ttl_s for record in message.answer] == [12]


def test_a_crowd_with_the_same_octets_shares_one_answer_and_others_do_not(
    service: Service, forwarder: SilentForwarder
) -> None:
    answers: list[Respond | Drop] = []
    for octets in (query(), b"\xff\xff" + query()[2:], query(b"\x07Example\x00")):
        outcome = service.answer_now(octets, PEER, 0.0)
        assert isinstance(outcome, Ask)
        service.resolve(outcome, lambda _, answer: answers.append(answer))
    octets = query()[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query()[12:]
    octets += b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2\x01"
    response = accept_response(octets, SentQuery(0x1234, b"\x07example\x00", 1, 1, False, False))
    assert isinstance(response, Response)
    result = Answered(response, Upstream("192.0.2.53"))
    for done in forwarder.waiting:
        done(result)
    first, second, other_case = answers
    assert first is second
    assert isinstance(other_case, Respond) and isinstance(first, Respond)
    assert b"\x07Example" in other_case.tail and b"\x07example" in first.tail


def test_groups_share_the_cache_and_no_verdict(forwarder: SilentForwarder, tmp_path: Path) -> None:
    maker = PolicyMaker().meant_for(1)
    maker.block(make_rule(), "blocked.example", "cdn.example")
    cache = ResponseCache(1 << 20)
    service = Service(
        policy=maker.policy(tmp_path),
        cache=cache,
        forwarder=cast(Forwarder, forwarder),
        local=LocalNames(),
        clock=FakeClock(),
        clients=Clients([]),
        memo_octets_max=1 << 20,
    )
    led, target = b"\x03led\x07example\x00", b"\x03cdn\x07example\x00"
    for qname, records in (
        (b"\x07blocked\x07example\x00", [b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2\x01"]),
        (
            led,
            [
                b"\xc0\x0c\0\5\0\1\0\0\1\x2c\0" + bytes((len(target),)) + target,
                target + b"\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2\x01",
            ],
        ),
    ):
        octets = query(qname)[:2] + b"\x81\x80\0\1" + bytes((0, len(records))) + bytes(4)
        octets += query(qname)[12:] + b"".join(records)
        response = accept_response(octets, SentQuery(0x1234, qname, 1, 1, False, False))
        assert isinstance(response, Response)
        cache.store(Question(qname, 1, False, False), response, 0.0)
        peers = [
            Peer(bytes((192, 0, 2, group)), Transport.UDP, Standing(group, is_allowed=True))
            for group in (0, 1, 2)
        ]
        for _ in range(4):
            outcomes = [service.answer_now(query(qname), peer, 1.0) for peer in peers]
            rcodes = [outcome.rcode for outcome in outcomes if isinstance(outcome, Respond)]
            assert rcodes == [0, 3, 0], qname
