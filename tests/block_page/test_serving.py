"""The page's sockets: many visitors, slow ones, those who never read, and the server at the other end."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from resolver.block_page.conversation import Conversation, Desk
from resolver.block_page.limits import (
    ANSWERS_PER_S,
    BURST,
    CONNECTIONS_MAX,
    CONNECTIONS_PER_CLIENT_MAX,
    REQUEST_S,
    YIELD_S,
)
from resolver.block_page.page_file import hash_of, page_octets
from resolver.block_page.serving import LINGER_OCTETS_MAX, PageServer, client_of
from resolver.wire.names import name_from_text as n
from tests.block_page.pages import NAMES, SEED, WORDS, desk_of

pytestmark = pytest.mark.loopback

GET = b"GET / HTTP/1.1\r\nHost: newcoin.example\r\n\r\n"
TURNS_MAX = 200


class House:
    """A page server with a clock that only tests move, and the other end of its control."""

    def __init__(self, desk: Desk) -> None:
        self.now = 1_000.0
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.listener.setblocking(False)
        self.server = PageServer(desk, theirs, [self.listener], lambda: self.now)
        theirs.setblocking(False)
        # As `run` does.
        self.server.watch_control()
        self.visitors: list[socket.socket] = []
        self.has_ended = False
        self.turn()

    def turn(self, times: int = 3, after_s: float = 0.0) -> None:
        """So many turns; each waits for nothing but what is there already."""
        self.now += after_s
        for _ in range(times):
            self.server.turn(patience_s=0.0)

    def visit(self, octets: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
        """A new connection from `source`, on which `octets` were sent."""
        visitor = socket.create_connection(self.listener.getsockname(), source_address=(source, 0))
        visitor.setblocking(False)
        self.visitors.append(visitor)
        if octets:
            visitor.sendall(octets)
        return visitor

    def report(self) -> dict[str, Any]:
        """The newest report, a second later."""
        self.turn(after_s=1.01)
        told = b"{}"
        self.control.setblocking(False)
        try:
            while octets := self.control.recv(65_536):
                told = octets
        except BlockingIOError:
            pass
        found: dict[str, Any] = json.loads(told)
        return found

    def refused(self) -> dict[str, int]:
        found: dict[str, int] = self.report()["refused"]
        return found

    def answers_to(self, visitor: socket.socket) -> bytes | None:
        """What has come; None: nothing, and it is open."""
        got = b""
        try:
            while octets := visitor.recv(65_536):
                got += octets
        except BlockingIOError:
            return got or None
        except ConnectionResetError:
            return got
        return got

    def close(self) -> None:
        self.control.close()
        if not self.has_ended:
            self.server.run()
        for sock in (*self.visitors, self.listener):
            sock.close()


@pytest.fixture
def house() -> Iterator[House]:
    house = House(desk_of())
    yield house
    house.close()


def test_a_visitor_gets_the_page_and_may_ask_again(house: House) -> None:
    visitor = house.visit(GET)
    house.turn()
    first = house.answers_to(visitor)
    assert first is not None and first.startswith(b"HTTP/1.1 451 ")
    visitor.sendall(GET)
    house.turn()
    assert house.answers_to(visitor) == first
    told = house.report()
    assert told["requests"] == {"451": 2} and told["refused"] == {} and told["connections"] == 1


def test_an_unread_body_does_not_take_the_answer_with_it(house: House) -> None:
    head = b"POST / HTTP/1.1\r\nHost: newcoin.example\r\nContent-Length: 60000\r\n\r\n"
    visitor = house.visit(head + b"x" * 30_000)
    house.turn(10)
    visitor.setblocking(False)
    visitor.send(b"x" * 1_000)
    house.turn(10)
    answer = house.answers_to(visitor)
    assert answer is not None and answer.startswith(b"HTTP/1.1 451 ") and answer.endswith(b"\n")


def test_a_body_without_end_is_cut(house: House) -> None:
    visitor = house.visit(b"POST / HTTP/1.1\r\nHost: newcoin.example\r\nContent-Length: 9999999\r\n\r\n")
    sent = 0
    for _ in range(TURNS_MAX):
        house.turn(1)
        try:
            sent += visitor.send(b"x" * 16_384)
        except (BlockingIOError, ConnectionResetError, BrokenPipeError):
            break
    assert sent > LINGER_OCTETS_MAX and house.report()["connections"] == 0


def test_a_request_that_comes_too_slowly_is_cut_and_counted(house: House) -> None:
    visitor = house.visit(b"GET / HTTP/1.1\r\n")
    for _ in range(10):
        house.turn(after_s=REQUEST_S / 8)
        try:
            visitor.send(b"X: y\r\n")
        except (ConnectionResetError, BrokenPipeError):
            break
    assert house.answers_to(visitor) == b"" and house.refused() == {"request_too_slow": 1}


def test_a_connection_that_rests_after_its_answer_is_closed_and_nothing_is_counted(house: House) -> None:
    visitor = house.visit(GET)
    house.turn()
    assert house.answers_to(visitor)
    house.turn(after_s=REQUEST_S + 0.1)
    assert house.answers_to(visitor) == b"" and house.refused() == {}


def test_one_client_keeps_so_many_connections_and_others_come_in(house: House) -> None:
    many = [house.visit() for _ in range(CONNECTIONS_PER_CLIENT_MAX + 3)]
    house.turn(10)
    assert [house.answers_to(one) for one in many].count(b"") == 3
    other = house.visit(GET, "127.0.0.2")
    house.turn()
    assert house.answers_to(other)
    assert house.refused() == {"client_connections_max": 3}


def test_a_visitor_comes_in_though_all_places_are_held(house: House) -> None:
    for number in range(CONNECTIONS_MAX):
        if number % 100 == 0:
            house.turn(20, after_s=0.5)
        house.visit(b"GET / HT", f"127.0.1.{number // 30}")
    house.turn(40, after_s=YIELD_S)
    assert house.report()["connections"] == CONNECTIONS_MAX
    visitor = house.visit(GET, "127.0.0.9")
    house.turn(10, after_s=YIELD_S)
    answer = house.answers_to(visitor)
    assert answer is not None and answer.startswith(b"HTTP/1.1 451 ")
    assert house.refused()["connections_max"] >= 1


def test_over_the_rate_nobody_is_accepted_until_there_is_time_again(house: House) -> None:
    come = [house.visit(GET, f"127.0.2.{number // 30}") for number in range(BURST + 40)]
    house.turn(40)
    answered = sum(house.answers_to(one) is not None for one in come)
    assert answered == BURST
    house.turn(20, after_s=40 / ANSWERS_PER_S + 0.03)
    assert sum(house.answers_to(one) is not None for one in come) >= 39
    assert house.refused()["rate"] >= 1


def test_a_page_that_comes_in_is_shown_from_then_on_and_a_damaged_one_is_not() -> None:
    house = House(Desk(desk_of().catalogue, desk_of().operator))
    try:
        visitor = house.visit(GET)
        house.turn()
        answer = house.answers_to(visitor)
        assert answer is not None and answer.startswith(b"HTTP/1.1 503 ")
        hashes = {hash_of(n(name), SEED): outcome for name, outcome in NAMES.items()}
        octets = b"".join(page_octets(hashes, WORDS, SEED))
        for number, content in ((7, octets), (8, octets[:-1])):
            with tempfile.TemporaryFile() as file:
                file.write(content)
                file.flush()
                socket.send_fds(house.control, [str(number).encode()], [file.fileno()])
            house.turn()
            assert house.report()["page"] == 7
        visitor.sendall(GET)
        house.turn()
        answer = house.answers_to(visitor)
        assert answer is not None and answer.startswith(b"HTTP/1.1 451 ")
    finally:
        house.close()


def test_it_ends_when_the_server_is_gone(house: House) -> None:
    visitor = house.visit(GET)
    house.turn()
    house.control.shutdown(socket.SHUT_RDWR)
    house.server.run()
    house.has_ended = True
    answer = house.answers_to(visitor)
    assert answer is not None and answer.startswith(b"HTTP/1.1 451 ")
    assert house.answers_to(visitor) == b""


def test_a_server_that_does_not_read_its_reports_changes_nothing(house: House) -> None:
    for _ in range(2_000):
        house.turn(1, after_s=1.01)
    visitor = house.visit(GET)
    house.turn()
    assert house.answers_to(visitor)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_a_client_is_an_ipv4_address_or_a_64(one: str, other: str, is_same: bool) -> None:
    assert (client_of((one, 1)) == client_of((other, 2))) is is_same


def test_a_defect_costs_one_visitor_the_connection_and_nobody_else(
    house: House, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    really_receive = Conversation.receive

    def receive(conversation: Conversation, octets: bytes) -> bytes:
        if octets == b"defect":
            raise RuntimeError("a defect")
        return really_receive(conversation, octets)

    monkeypatch.setattr(Conversation, "receive", receive)
    unlucky = house.visit(b"defect")
    house.turn()
    assert house.answers_to(unlucky) == b"" and house.server.defects == 1
    assert "RuntimeError: a defect" in capfd.readouterr().err
    other = house.visit(GET)
    house.turn()
    assert (house.answers_to(other) or b"").startswith(b"HTTP/1.1 451")
