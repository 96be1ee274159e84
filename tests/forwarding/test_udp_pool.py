"""Real sockets on loopback, read by hand: no event loop, no waiting."""

from __future__ import annotations

import errno
import itertools
import select
import socket
from collections.abc import Iterator, Sequence

import pytest

from resolver.forwarding.network import SendError, Ticket
from resolver.forwarding.source_ports import ANY_PORTS, SourcePorts
from resolver.forwarding.udp_pool import QUERIES_PER_FRESH, SOCKET_AGE_S_MAX, UdpPools
from resolver.forwarding.upstream import Upstream
from tests.support.forwarding_rig import seeded
from tests.support.scenario_clock import FakeClock


class Heard:
    """A receiver that remembers."""

    def __init__(self) -> None:
        self.octets: list[bytes] = []
        self.errors: list[str] = []

    def on_octets(self, octets: bytes) -> None:
        self.octets.append(octets)

    def on_error(self, reason: str, sends: int | None = None) -> None:
        self.errors.append(reason)


class Rig:
    """An upstream's socket and the pools that ask it."""

    def __init__(
        self,
        size: int = 64,
        host: str = "127.0.0.1",
        sockets_max: int = 4096,
        ports: Sequence[int] | None = None,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.server = socket.socket(family, socket.SOCK_DGRAM)
        self.server.bind((host, 0))
        self.server.settimeout(5.0)
        self.upstream = Upstream(host, self.server.getsockname()[1])
        self.clock = FakeClock()
        self.pools = UdpPools(
            self.clock, seeded(), SourcePorts(ANY_PORTS.usable if ports is None else ports, size, sockets_max)
        )

    def send(self, query_id: int = 7, heard: Heard | None = None) -> Ticket:
        ticket = self.pools.send(self.upstream, query_id.to_bytes(2, "big") + b"query", heard or Heard())
        assert not isinstance(ticket, SendError)
        return ticket

    def read(self) -> None:
        """Wait until something has come, then read it."""
        assert select.select([self.pools.fileno()], [], [], 5.0)[0]
        self.pools.on_readable()

    def port_asked_from(self) -> int:
        return int(self.server.recvfrom(100)[1][1])

    def close(self) -> None:
        self.pools.close()
        self.server.close()


class FakeSockets:
    """In place of the kernel's: bound and connected at once, and remembered by port."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ports_used: set[int] = set()
        self.taken: set[int] = set()
        self.bound = 0
        self.numbers = itertools.count(1_000_000)
        fakes = self

        class Fake:
            def __init__(self, *_: object) -> None:
                self.number = next(fakes.numbers)
                self.port = 0

            def fileno(self) -> int:
                return self.number

            def bind(self, address: tuple[str, int]) -> None:
                if address[1] in fakes.taken:
                    raise OSError(errno.EADDRINUSE, "Address already in use")
                self.port = address[1]
                fakes.taken.add(self.port)
                fakes.bound += 1

            def connect(self, _: object) -> None:
                pass

            def recv(self, _: int) -> bytes:
                raise BlockingIOError

            def send(self, octets: bytes) -> int:
                fakes.ports_used.add(self.port)
                return len(octets)

            def close(self) -> None:
                fakes.taken.discard(self.port)

        class Epoll:
            def register(self, *_: object) -> None:
                pass

            def close(self) -> None:
                pass

        monkeypatch.setattr("resolver.forwarding.udp_pool.socket.socket", Fake)
        monkeypatch.setattr("resolver.forwarding.udp_pool.select.epoll", Epoll)


class Rigs:
    """Makes rigs, and closes them after the test."""

    def __init__(self) -> None:
        self.made: list[Rig] = []

    def __call__(self, **more: object) -> Rig:
        self.made.append(Rig(**more))  # type: ignore[arg-type]
        return self.made[-1]


@pytest.fixture
def rigs() -> Iterator[Rigs]:
    made = Rigs()
    yield made
    for rig in made.made:
        rig.close()


@pytest.fixture
def rig(rigs: Rigs) -> Rig:
    return rigs()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_reply_reaches_whoever_asked(rigs: Rigs, host: str) -> None:
    rig = rigs(host=host)
    heard = Heard()
    rig.send(7, heard)
    octets, address = rig.server.recvfrom(100)
    rig.server.sendto(octets[:2] + b"reply", address)
    rig.read()
    assert heard.octets == [b"\0\x07reply"]


def test_reply_from_another_port_or_address_is_never_seen(rig: Rig) -> None:
    heard = Heard()
    rig.send(7, heard)
    _, address = rig.server.recvfrom(100)
    for host in ("127.0.0.1", "127.0.0.2"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            forger.bind((host, 0))
            forger.sendto(b"\0\x07forged", address)
    rig.server.sendto(b"\0\x07reply", address)
    rig.read()
    assert heard.octets == [b"\0\x07reply"]


def test_wrong_id_is_shown_to_who_waits_there_and_counted(rig: Rig) -> None:
    heard = Heard()
    rig.send(7, heard)
    _, address = rig.server.recvfrom(100)
    for forged in (b"\0\x08forged", b"", b"\0"):
        rig.server.sendto(forged, address)
    rig.read()
    assert heard.octets == [b"\0\x08forged", b"", b"\0"]
    assert rig.pools.counts.unexpected == 3


def test_late_reply_is_counted_and_does_not_alarm_the_next_query(rigs: Rigs) -> None:
    rig = rigs(size=1)
    rig.send(7).close()
    _, address = rig.server.recvfrom(100)
    heard = Heard()
    rig.send(8, heard)
    rig.server.sendto(b"\0\x07late", address)
    rig.read()
    assert heard.octets == [] and rig.pools.counts.late == 1
    rig.server.sendto(b"\0\x07late", address)
    rig.read()
    assert heard.octets == [b"\0\x07late"] and rig.pools.counts.unexpected == 1


def test_each_query_leaves_from_another_port_until_the_window_is_full(rig: Rig) -> None:
    ports = set()
    for number in range(64):
        rig.send(number)
        ports.add(rig.port_asked_from())
    assert len(ports) == 64 == rig.pools.open_sockets
    assert min(ports) >= 1024 and max(ports) - min(ports) > 20_000


def test_picks_are_spread_over_the_window_and_it_moves_on(rig: Rig) -> None:
    uses: dict[int, int] = {}
    for number in range(1064):
        rig.send(number).close()
        port = rig.port_asked_from()
        uses[port] = uses.get(port, 0) + 1
    # Each stays for 64 steps of four queries, and so is picked four times on the average.
    assert rig.pools.open_sockets == 64 + 250 and len(uses) > 270 and max(uses.values()) < 16


@pytest.mark.slow
@pytest.mark.parametrize("sockets_max", [1024, 4096, 8192, 17_000, 20_425])
def test_twenty_thousand_ports_and_more_ask_a_hundred_thousand_questions(
    monkeypatch: pytest.MonkeyPatch, sockets_max: int
) -> None:
    fakes, upstream = FakeSockets(monkeypatch), Upstream("192.0.2.1")
    pools = UdpPools(FakeClock(), seeded(), SourcePorts(ANY_PORTS.usable, 1024, sockets_max))
    for _ in range(3):
        fakes.ports_used.clear()
        bound = fakes.bound
        for number in range(100_000):
            ticket = pools.send(upstream, number.to_bytes(3, "big")[1:] + b"query", Heard())
            assert not isinstance(ticket, SendError)
            ticket.close()
        assert len(fakes.ports_used) >= 20_000
        assert 1024 <= pools.open_sockets <= sockets_max
    # Where there may be enough of them, there is no end to their use.
    assert (fakes.bound == bound) == (sockets_max >= 20_425)


def test_a_pool_that_is_asked_much_stocks_up_and_opens_none_in_its_steps(rigs: Rigs) -> None:
    rig = rigs(size=64)
    wanted: list[str] = []
    rig.pools.on_demand = lambda: wanted.append("stock")
    for number in range(64):
        rig.send(number).close()
    assert wanted == ["stock"]
    while rig.pools.stock_up(16) and rig.pools.open_sockets < 500:
        pass
    held = rig.pools.open_sockets
    assert held >= 500
    for number in range(1000):
        rig.send(number).close()
    assert rig.pools.open_sockets == held


def test_a_pool_that_is_asked_little_keeps_no_stock(rigs: Rigs) -> None:
    rig = rigs(size=4)
    for number in range(4):
        rig.send(number).close()
        rig.clock.advance(200.0)
    assert not rig.pools.stock_up(16) and rig.pools.open_sockets == 4


def test_ports_are_only_those_that_may_be_used(rigs: Rigs) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 0))
        theirs = taken.getsockname()[1]
        free = [port for port in range(40_000, 60_000, 97) if port != theirs][:40]
        rig = rigs(size=8, ports=[theirs, *free])
        for number in range(8):
            rig.send(number)
            assert rig.port_asked_from() in free


def test_id_is_never_used_twice_at_a_time_on_one_socket(rigs: Rigs) -> None:
    rig = rigs(size=1)
    one, two = Heard(), Heard()
    rig.send(7, one)
    rig.send(7, two)
    (_, first), (_, second) = rig.server.recvfrom(100), rig.server.recvfrom(100)
    assert first != second
    rig.server.sendto(b"\0\x07for two", second)
    rig.read()
    assert (one.octets, two.octets) == ([], [b"\0\x07for two"])


@pytest.mark.parametrize("why", ["uses", "age"])
def test_worn_out_socket_is_replaced_but_still_hears_its_replies(rigs: Rigs, why: str) -> None:
    rig = rigs(size=1, sockets_max=1)
    heard = Heard()
    old = rig.send(7, heard)
    _, address = rig.server.recvfrom(100)
    if why == "age":
        rig.clock.advance(SOCKET_AGE_S_MAX + 1)
    last = address
    for number in range(QUERIES_PER_FRESH if why == "uses" else 1):
        assert last == address
        rig.send(1000 + number).close()
        last = rig.server.recvfrom(100)[1]
    assert last != address and rig.pools.open_sockets == 2
    rig.server.sendto(b"\0\x07reply", address)
    rig.read()
    assert heard.octets == [b"\0\x07reply"]
    old.close()
    assert rig.pools.open_sockets == 1


def test_old_sockets_at_rest_are_closed(rigs: Rigs) -> None:
    rig = rigs(size=4)
    for number in range(404):
        rig.send(number).close()
    assert rig.pools.open_sockets == 104
    rig.clock.advance(SOCKET_AGE_S_MAX + 1)
    for number in range(80):
        rig.send(number).close()
    assert rig.pools.open_sockets < 30


def test_port_refused_is_told_at_once(rig: Rig) -> None:
    rig.server.close()
    heard = Heard()
    ticket = rig.send(7, heard)
    rig.read()
    assert heard.errors == ["network"] and heard.octets == []
    ticket.close()


def test_socket_that_was_refused_serves_again(rigs: Rigs) -> None:
    rig = rigs(size=1)
    rig.server.close()
    rig.send(7)
    rig.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    rig.server.bind(("127.0.0.1", rig.upstream.port))
    rig.server.settimeout(5.0)
    # The refusal of the first query is still queued on the socket: the second must not suffer for it.
    rig.send(8)
    assert rig.server.recv(100)[:2] == b"\0\x08"


def test_without_descriptors_the_open_sockets_are_shared_and_growth_resumes(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.send(1)

    def no_more(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", no_more)
        rig.send(2)
        assert rig.port_asked_from() == rig.port_asked_from()
        assert rig.pools.counts.open_failures == 1
    rig.send(3)
    assert rig.pools.open_sockets == 2


def test_without_any_socket_it_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", no_more)
    assert rig.pools.send(rig.upstream, b"\0\x07query", Heard()) == SendError("no_socket")


def test_ticket_closed_twice_is_closed_once(rig: Rig) -> None:
    ticket = rig.send(7)
    ticket.close()
    ticket.close()
    rig.send(7)


def test_unreachable_network_is_told_at_once(rig: Rig) -> None:
    # Broadcast needs a permission that the sockets do not have: `connect` fails as without a route.
    assert rig.pools.send(Upstream("255.255.255.255"), b"\0\x07query", Heard()) == SendError("network")


def test_close_leaves_no_descriptor(rig: Rig) -> None:
    for number in range(10):
        rig.send(number)
    rig.pools.close()
    assert rig.pools.open_sockets == 0
