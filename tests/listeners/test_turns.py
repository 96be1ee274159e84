"""Who takes a turn when: connections without sockets, on a clock that the work itself moves on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from resolver.flow.identities import PLAIN
from resolver.flow.outcome import Outcome, Respond, Source
from resolver.flow.peer import Peer, Transport
from resolver.listeners.connection import (
    MESSAGES_PER_TURN_MAX,
    TURN_OCTETS_MAX,
    TURN_S_MAX,
    WAITING_IN_LINE_OCTETS_MAX,
    Connection,
)
from resolver.listeners.limits import ConnectionLimits, Place
from resolver.listeners.reporter import Reporter
from resolver.listeners.turns import ROUND_S_MAX, Turns
from resolver.observe.tally import Tallies
from resolver.plane import NativeGates


class Wire:
    """A transport that keeps what is written."""

    def __init__(self, address: str, ended: list[str]) -> None:
        self.address = address
        self.is_read = True
        self._ended = ended

    def get_extra_info(self, _: str) -> tuple[str, int]:
        return self.address, 4000

    def write(self, octets: bytes) -> None:
        while octets:
            end = 2 + int.from_bytes(octets[:2], "big")
            self._ended.append(octets[4:end].decode()[:8].rstrip("."))
            octets = octets[end:]

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def is_reading(self) -> bool:
        return self.is_read

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int) -> None: ...


class Loop:
    """A listener, its loop and its clock; each answer takes `answer_s`."""

    native_gates: NativeGates | None = None
    transport = Transport.TCP

    def __init__(self, answer_s: float = 0.0) -> None:
        self.service = self.clock = cast(Any, self)
        self.identities = PLAIN
        self.reporter = Reporter(Tallies())
        self.turns = Turns(self.call_soon, self.now)
        self.limits = ConnectionLimits()
        self.lend, self.give_back = self.limits.lend, self.limits.give_back
        self.answer_s = answer_s * 1.001  # sums of floats are not exact
        self.seconds = 0.0
        self.answered: list[str] = []
        self.answer_octets = 0
        self._soon: list[Callable[[], None]] = []

    def now(self) -> float:
        return self.seconds

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def iterate(self) -> list[str]:
        """What is answered in one iteration of the loop."""
        before = len(self.answered)
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()
        return self.answered[before:]

    def answer_now(self, octets: bytes, peer: Peer, now: float) -> Outcome:
        self.seconds += self.answer_s
        return Respond(octets[2:20] + b"." * self.answer_octets, 0, 1, Source.LOCAL)

    def connect(self, address: str = "192.0.2.1") -> tuple[Connection, Wire]:
        connection, wire = Connection(self), Wire(address, self.answered)
        connection.connection_made(cast(asyncio.Transport, wire))
        return connection, wire

    def admit(self, connection: Connection, address: bytes) -> Place | None:
        return self.limits.take(address, connection, self.now()).place

    def change_hands(self, connection: Connection, address: bytes, *, is_proxys: bool) -> Place | None:
        raise AssertionError("no proxy speaks here")

    def forget(self, connection: Connection) -> None: ...

    def hold(self, place: Place, octets: int) -> None:
        self.limits.hold(place, octets)


def framed(name: str, octets: int = 20) -> bytes:
    message = b"\0\1" + name.encode().ljust(octets - 2, b".")
    return len(message).to_bytes(2, "big") + message


def test_a_quiet_server_answers_at_once() -> None:
    loop = Loop()
    connection, _ = loop.connect()
    connection.data_received(framed("first") + framed("second"))
    assert loop.answered == ["first", "second"]
    assert loop.turns.waiting == 0


def test_a_turn_is_bounded_in_messages() -> None:
    loop = Loop()
    connection, wire = loop.connect()
    connection.data_received(framed("one") * (MESSAGES_PER_TURN_MAX + 1))
    assert len(loop.answered) == MESSAGES_PER_TURN_MAX
    assert not wire.is_reading()
    assert loop.iterate() == ["one"]
    assert wire.is_reading()


@pytest.mark.parametrize("is_answer", [False, True])
def test_a_turn_is_bounded_in_octets_of_queries_and_of_answers(is_answer: bool) -> None:
    loop = Loop()
    connection, _ = loop.connect()
    octets = TURN_OCTETS_MAX // 3 + 1
    if is_answer:
        loop.answer_octets = octets
    connection.data_received(framed("long", 20 if is_answer else octets) * 7)
    assert len(loop.answered) == 3
    loop.connect("192.0.2.2")[0].data_received(framed("other"))
    assert loop.iterate() == ["long", "long", "long", "other", "long"]


def test_a_turn_is_bounded_in_time_and_answers_one_message_at_least() -> None:
    loop = Loop(answer_s=TURN_S_MAX / 4)
    connection, _ = loop.connect()
    connection.data_received(framed("cheap") * 5)
    assert len(loop.answered) == 4
    loop = Loop(answer_s=5 * TURN_S_MAX)
    connection, _ = loop.connect()
    connection.data_received(framed("dear") * 3)
    assert [len(loop.answered), *(len(loop.iterate()) for _ in range(3))] == [1, 1, 1, 0]


def test_all_connections_together_leave_the_loop_to_others_after_a_rounds_time() -> None:
    loop = Loop(answer_s=TURN_S_MAX)
    connections = [loop.connect(f"192.0.2.{number}")[0] for number in range(100)]
    for connection in connections:
        connection.data_received(framed("one"))
    turns = round(ROUND_S_MAX / TURN_S_MAX)
    assert len(loop.answered) == turns
    iterations = 0
    while loop.turns.waiting:
        began = loop.seconds
        assert loop.iterate()
        assert loop.seconds - began <= 1.001 * (ROUND_S_MAX + TURN_S_MAX)
        iterations += 1
    assert len(loop.answered) == len(connections)
    assert iterations == (len(connections) - turns) / turns


def test_a_hundred_connections_of_one_client_do_not_hold_up_another() -> None:
    loop = Loop(answer_s=TURN_S_MAX)
    for _ in range(100):
        loop.connect("192.0.2.1")[0].data_received(framed("greedy") * 3)
    loop.connect("192.0.2.2")[0].data_received(framed("modest") * 2)
    answered = [name for _ in range(2) for name in loop.iterate()]
    assert answered.count("modest") == 2


def test_time_that_was_spent_long_ago_delays_nobody_for_more_than_an_iteration() -> None:
    loop = Loop(answer_s=ROUND_S_MAX)
    connection, _ = loop.connect()
    connection.data_received(framed("first"))
    connection.data_received(framed("second"))
    assert loop.answered == ["first"]
    assert loop.iterate() == ["second"]
    assert loop.iterate() == []
    assert loop.turns.waiting == 0


def test_a_connection_in_line_is_not_read_without_bound() -> None:
    loop = Loop(answer_s=ROUND_S_MAX)
    loop.connect("192.0.2.2")[0].data_received(framed("first"))
    connection, wire = loop.connect()
    connection.data_received(framed("long", 60_000))
    assert wire.is_reading()
    connection.data_received(framed("long", 60_000))
    assert not wire.is_reading()
    assert connection.held_octets() > WAITING_IN_LINE_OCTETS_MAX
    assert loop.limits.octets == connection.held_octets()
    while loop.turns.waiting:
        loop.iterate()
    assert wire.is_reading()
    assert (connection.held_octets(), loop.limits.octets) == (0, 0)
    assert loop.answered == ["first", "long", "long"]


def test_a_connection_that_is_gone_when_its_turn_comes_costs_nothing() -> None:
    loop = Loop(answer_s=ROUND_S_MAX)
    loop.connect("192.0.2.2")[0].data_received(framed("first"))
    connection, _ = loop.connect()
    connection.data_received(framed("gone"))
    connection.connection_lost(None)
    assert loop.iterate() == []
    assert loop.turns.waiting == 0


def test_a_defect_in_one_turn_does_not_leave_the_others_in_line_for_ever() -> None:
    called: list[Callable[[], None]] = []
    had: list[bytes] = []
    turns = Turns(lambda callback: called.append(callback), lambda: 0.0)

    class Who:
        def __init__(self, client: bytes) -> None:
            self.client = client

        def take_turn_in_line(self) -> None:
            had.append(self.client)
            if self.client == b"bad":
                raise RuntimeError("defect")

    turns.stand_in_line(Who(b"bad"))
    turns.stand_in_line(Who(b"good"))
    with pytest.raises(RuntimeError):
        called.pop()()
    called.pop()()
    assert had == [b"bad", b"good"] and turns.is_free and not called
