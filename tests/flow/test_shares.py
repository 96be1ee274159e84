"""Places of clients that wait, and the pace at which their answers leave."""

from __future__ import annotations

import pytest

from resolver.flow.outcome import Ask, Drop, Respond
from resolver.flow.pacing import LATE_ANSWERS_PER_S, PACES_MAX, PULSE_MAX, HeldAnswers, Pacing
from resolver.flow.peer import Peer, Transport
from resolver.flow.route import DatagramRoute
from resolver.flow.service import Service
from resolver.flow.shares import WAITERS_PER_CLIENT_MAX, Entered, Shares
from resolver.forwarding.forwarder import Failed
from tests.flow.test_service import SilentForwarder, query
from tests.flow.test_service import forwarder as forwarder
from tests.flow.test_service import service as service
from tests.support.scenario_clock import FakeClock

CLIENT = b"\xc0\0\2\1"
OTHER = b"\xc0\0\2\2"


def test_a_client_has_so_many_places_and_takes_nobody_elses() -> None:
    shares = Shares()
    net = b"\x20\1\x0d\xb8" + bytes(11)
    assert {shares.enter(net + b"\1", mark) for mark in range(WAITERS_PER_CLIENT_MAX)} == {Entered.YES}
    assert shares.enter(net + b"\2", 1 << 40) == Entered.FULL
    assert shares.enter(CLIENT, 1) == Entered.YES
    shares.leave(net + b"\3", 7)
    assert shares.enter(net + b"\2", 1 << 40) == Entered.YES


def test_nothing_is_remembered_of_who_left() -> None:
    shares = Shares()
    assert shares.enter(CLIENT, 5) == Entered.YES
    assert shares.enter(CLIENT, 5) == Entered.REPEAT
    shares.leave(CLIENT, 6)
    assert shares.clients == 1
    shares.leave(CLIENT, 5)
    shares.leave(CLIENT, 5)
    assert shares.clients == 0 and shares.enter(CLIENT, 5) == Entered.YES


def test_what_comes_quickly_leaves_at_once_however_much_it_is() -> None:
    pacing = Pacing()
    assert {pacing.leaves_at(CLIENT, 0.09, 100.0) for _ in range(10_000)} == {100.0}


def test_what_was_gathered_leaves_at_a_rate_and_the_rest_never() -> None:
    pacing = Pacing()
    times = [pacing.leaves_at(CLIENT, 1.0, 100.0) for _ in range(3000)]
    left = [at for at in times if at is not None]
    assert abs(len(left) - PULSE_MAX - LATE_ANSWERS_PER_S // 2) <= 2
    assert abs(sum(at <= 100.00001 for at in left) - PULSE_MAX) <= 1
    assert abs(sum(at <= 100.1 for at in left) - PULSE_MAX - LATE_ANSWERS_PER_S // 10) <= 2
    assert pacing.leaves_at(OTHER, 1.0, 100.0) == 100.0
    assert pacing.leaves_at(CLIENT, 1.0, 101.0) == 101.0


def test_clients_of_the_past_are_forgotten() -> None:
    pacing = Pacing()
    for number in range(2 * PACES_MAX):
        pacing.leaves_at(number.to_bytes(4, "big"), 1.0, float(number))
    assert len(pacing._lines) <= PACES_MAX


def test_held_answers_leave_tick_by_tick_and_at_the_end_all() -> None:
    clock = FakeClock()
    held = HeldAnswers(clock)
    left: list[int] = []
    clock.advance(5.0)
    puts = [held.put(CLIENT, 0.0, lambda: left.append(1)) for _ in range(1000)]
    assert all(puts) and abs(len(left) - PULSE_MAX) <= 1
    before = len(left)
    clock.advance(0.0101)
    assert 45 <= len(left) - before <= 102
    held.send_everything()
    assert len(left) == 1000
    assert held.put(CLIENT, 0.0, lambda: left.append(1)) and len(left) == 1001


class Stage:
    """One service, and what its clients got."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.answers: list[Respond | Drop] = []

    def ask(self, port: int = 5300, number: int = 1, transport: Transport = Transport.UDP) -> None:
        octets = number.to_bytes(2, "big") + query()[2:]
        outcome = self.service.answer_now(octets, Peer(b"\x7f\0\0\1", transport), 0.0)
        assert isinstance(outcome, Ask)
        outcome.route = DatagramRoute(port.to_bytes(2, "big"), b"")
        self.service.resolve(outcome, lambda _, answer: self.answers.append(answer))


def test_the_same_query_from_the_same_port_waits_once(service: Service, forwarder: SilentForwarder) -> None:
    stage = Stage(service)
    stage.ask()
    stage.ask()
    [repeated] = stage.answers
    assert isinstance(repeated, Drop) and repeated.reason == "repeat"
    stage.ask(port=5301)
    stage.ask(number=2)
    assert service.waiting == 3 and len(stage.answers) == 1
    for done in list(forwarder.waiting):
        done(Failed("timeout", (22, "")))
    forwarder.waiting.clear()
    assert service.waiting == 0
    stage.ask()
    assert service.waiting == 1


@pytest.mark.parametrize(("transport", "is_dropped"), [(Transport.UDP, True), (Transport.TCP, False)])
def test_a_client_with_a_thousand_that_wait_gets_no_more(
    service: Service, transport: Transport, is_dropped: bool
) -> None:
    stage = Stage(service)
    for number in range(WAITERS_PER_CLIENT_MAX + 1):
        stage.ask(number=number, transport=transport)
    [refused] = stage.answers
    assert service.waiting == WAITERS_PER_CLIENT_MAX
    if is_dropped:
        assert isinstance(refused, Drop) and refused.reason == "client_waits"
    else:
        assert isinstance(refused, Respond) and refused.rcode == 2
