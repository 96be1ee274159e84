"""The request flow's own bounds and defects; what it answers is played in `scenarios/`."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import pytest

from resolver import service as service_module
from resolver.access import AccessList
from resolver.cache import ResponseCache
from resolver.forwarding.forwarder import Answered, Failed, Forwarder
from resolver.local import LocalNames
from resolver.outcome import Ask, Drop, Peer, Respond, Transport
from resolver.service import Service
from resolver.wire.message import read_message
from tests.policy_maker import PolicyMaker
from tests.scenario_clock import FakeClock

PEER = Peer(bytes([127, 0, 0, 1]), Transport.UDP)


class SilentForwarder:
    """Keeps every question; nobody answers until the test does."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[Answered | Failed], None]] = []

    def covers(self, qname: bytes) -> bool:
        return False

    def ask(self, *question: Any) -> None:
        self.waiting.append(question[-1])


@pytest.fixture
def forwarder() -> SilentForwarder:
    return SilentForwarder()


@pytest.fixture
def service(forwarder: SilentForwarder, tmp_path: Path) -> Service:
    return Service(
        table=PolicyMaker().table(tmp_path),
        cache=ResponseCache(1 << 20),
        forwarder=cast(Forwarder, forwarder),
        local=LocalNames(),
        clock=FakeClock(),
        access=AccessList([ip_network("127.0.0.0/8")]),
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
    monkeypatch.setattr(service_module, "WAITING_MAX", 2)
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
