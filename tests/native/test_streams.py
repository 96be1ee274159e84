"""Streams of the native plane, over sockets: framing, turns, limits, defects, and the same over TLS."""

from __future__ import annotations

import contextlib
import importlib
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resolver.flow.peer import Transport
from resolver.listeners.address import SocketAddress, bind_tcp_for
from resolver.listeners.limits import STRANGERS_MAX
from tests.native.plane_rig import ADDRESS, PATIENCE_S, Play, image, make_core, rcode, reply
from tests.native.plane_rig import query as any_query
from tests.support.certificates import make

native: Any = pytest.importorskip("resolver_native")
testing: Any = importlib.import_module("resolver_native.testing")

__all__ = ["image"]

pytestmark = pytest.mark.loopback

DAYS = (-10_000, 10_000)
"""Certificates that a client here believes, whatever day it is."""


class StreamPlay(Play):
    """A plane with one thread for datagrams and one for streams, and a client on each."""

    def __init__(self, core: Any, **settings: Any) -> None:
        self.doors = [bind_tcp_for(SocketAddress("127.0.0.1", 0), 1)[0] for _ in range(2)]
        transports = (Transport.TCP, Transport.TLS)
        streams = [(int(one), door.fileno()) for one, door in zip(transports, self.doors, strict=True)]
        super().__init__(core, streams=[streams], **settings)
        pair = make("dns.example", days=DAYS)
        self.plane.set_certificates([(pair.pem, pair.key)])
        self.context = ssl.create_default_context(cadata=pair.pem.decode())
        self.context.set_alpn_protocols(["dot"])
        self.clients: list[socket.socket] = []

    def connect(self, transport: Transport = Transport.TCP) -> socket.socket:
        door = self.doors[transport is Transport.TLS]
        made = socket.create_connection(door.getsockname(), PATIENCE_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if transport is Transport.TLS:
            made = self.context.wrap_socket(made, server_hostname="dns.example")
        self.clients.append(made)
        return made

    def counter(self, name: str) -> int:
        return int(self.plane.counters()[name])

    def comes_to(self, name: str, count: int) -> bool:
        """Whether so many of this name are counted before patience ends."""
        until = time.monotonic() + PATIENCE_S
        while self.counter(name) != count and time.monotonic() < until:
            select.select([self.plane.fileno()], [], [], 0.01)
        return self.counter(name) == count

    def close(self) -> None:
        super().close()
        for made in (*self.clients, *self.doors):
            made.close()


@pytest.fixture
def start(image: Path) -> Iterator[Callable[..., StreamPlay]]:
    """Starts plays; all are closed in the end."""
    plays: list[StreamPlay] = []

    def start(core: Any = None, **settings: Any) -> StreamPlay:
        play = StreamPlay(core or make_core(image), **settings)
        plays.append(play)
        play.plane.start()
        return play

    yield start
    for play in plays:
        play.close()


def query(name: str, number: int = 7) -> bytes:
    """Without EDNS, so that an answer ends with its address."""
    return any_query(name, number, edns=False)


def framed(octets: bytes) -> bytes:
    return len(octets).to_bytes(2, "big") + octets


def read(connection: socket.socket) -> bytes:
    """One message; EOFError: there is none."""

    def exactly(count: int) -> bytes:
        octets = b""
        while len(octets) < count:
            more = connection.recv(count - len(octets))
            if not more:
                raise EOFError
            octets += more
        return octets

    return exactly(int.from_bytes(exactly(2), "big"))


def is_closed(connection: socket.socket) -> bool:
    with contextlib.suppress(ConnectionResetError, ssl.SSLError):
        return connection.recv(1) == b""
    return True


BOTH = pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS], ids=lambda one: one.label)


@BOTH
def test_many_queries_in_one_write_are_answered_each_and_counted(
    start: Callable[..., StreamPlay], transport: Transport
) -> None:
    play = start()
    client = play.connect(transport)
    numbers = range(1000)
    client.sendall(b"".join(framed(query("printer.example", number)) for number in numbers))
    replies = [read(client) for _ in numbers]
    assert [int.from_bytes(octets[:2], "big") for octets in replies] == list(numbers)
    assert all(octets.endswith(ADDRESS) for octets in replies)
    rows = [row for row in play.core.tallies() if row[0] == transport.label]
    assert sum(row[7] for row in rows) == len(numbers)


@BOTH
def test_a_query_in_single_octets_is_answered(start: Callable[..., StreamPlay], transport: Transport) -> None:
    client = start().connect(transport)
    for octet in framed(query("www.ads.example")):
        client.sendall(bytes([octet]))
    assert rcode(read(client)) == 3


@BOTH
def test_misses_are_asked_natively_and_answered_out_of_order(
    start: Callable[..., StreamPlay], transport: Transport
) -> None:
    play = start()
    play.ask_upstream()
    client = play.connect(transport)
    client.sendall(framed(query("slow.example", 1)) + framed(query("quick.example", 2)))
    asked = [play.upstream.recvfrom(4096) for _ in range(2)]
    quick, slow = sorted(asked, key=lambda one: b"slow" in one[0].lower())
    play.upstream.sendto(reply(quick[0]), quick[1])
    assert read(client)[:2] == b"\0\2"
    play.upstream.sendto(reply(slow[0]), slow[1])
    assert read(client)[:2] == b"\0\1"
    assert (play.core.in_flight, play.core.waiting, play.counter("punts")) == (0, 0, 0)


@BOTH
def test_what_python_must_answer_comes_with_the_way_back(
    start: Callable[..., StreamPlay], transport: Transport
) -> None:
    play = start()  # No upstream is published.
    client = play.connect(transport)
    octets = query("punted.example")
    client.sendall(framed(octets))
    word, heard, address, route, number, name = play.event("query")
    assert (word, heard, address, number, name) == ("query", octets, b"\x7f\0\0\1", transport, "")
    assert play.plane.send(route, b"whatever Python says")
    assert read(client) == b"whatever Python says"
    # Python may be mistaken: nobody else gets it.
    assert play.plane.send(route, b"twice")
    client.sendall(framed(query("www.ads.example")))
    assert rcode(read(client)) == 3


def test_a_client_that_python_has_no_answer_for_is_let_go_or_kept(start: Callable[..., StreamPlay]) -> None:
    play = start()
    client = play.connect()
    client.sendall(framed(query("one.example")))
    play.plane.drop(play.event("query")[3], close=False)
    client.sendall(framed(query("two.example")))
    play.plane.drop(play.event("query")[3])
    assert is_closed(client)
    play.plane.drop(b"\1" + bytes(14))
    with pytest.raises(ValueError, match="no route"):
        play.plane.drop(b"\1")


@BOTH
def test_a_client_that_closed_its_half_still_gets_its_answers(
    start: Callable[..., StreamPlay], transport: Transport
) -> None:
    play = start()
    client = play.connect(transport)
    client.sendall(framed(query("punted.example", 1)) + framed(query("printer.example", 2)))
    socket.socket.shutdown(client, socket.SHUT_WR)
    assert read(client)[:2] == b"\0\2"
    play.plane.send(play.event("query")[3], b"\0\1 late")
    assert read(client) == b"\0\1 late"
    assert is_closed(client)


@pytest.mark.parametrize("message", [b"", bytes(1), bytes(11)])
def test_a_message_too_short_to_be_one_ends_the_connection(
    start: Callable[..., StreamPlay], message: bytes
) -> None:
    play = start()
    client = play.connect()
    client.sendall(
        framed(query("printer.example", 1)) + framed(message) + framed(query("printer.example", 2))
    )
    assert read(client)[:2] == b"\0\1"
    assert is_closed(client)
    assert play.counter("tcp_short_message") == 1


def test_a_response_closes_the_connection_and_others_live(start: Callable[..., StreamPlay]) -> None:
    play = start()
    client, other = play.connect(), play.connect()
    octets = query("printer.example")
    client.sendall(framed(octets[:2] + bytes([octets[2] | 0x80]) + octets[3:]))
    assert is_closed(client)
    other.sendall(framed(octets))
    assert read(other).endswith(ADDRESS)


@BOTH
def test_answers_before_what_ends_a_connection_reach_their_client(
    start: Callable[..., StreamPlay], transport: Transport
) -> None:
    client = start().connect(transport)
    response = bytearray(query("printer.example", 3))
    response[2] |= 0x80
    before = b"".join(framed(query("printer.example", number)) for number in (1, 2))
    client.sendall(before + framed(bytes(response)) + framed(query("printer.example", 4)))
    assert [read(client)[:2] for _ in range(2)] == [b"\0\1", b"\0\2"]
    assert is_closed(client)


def test_without_a_policy_as_many_questions_wait_as_with_one(image: Path) -> None:
    play = StreamPlay(make_core(None))
    play.plane.start()
    client = play.connect()
    client.sendall(b"".join(framed(query("punted.example", number)) for number in range(150)))
    routes = [play.event("query")[3] for _ in range(100)]
    select.select([play.plane.fileno()], [], [], 0.1)
    play.events += play.plane.drain()
    assert [event for event in play.events if event[0] == "query"] == []
    for route in routes:
        play.plane.send(route, b"\0\0 answer")
    assert len([play.event("query") for _ in range(50)]) == 50
    play.close()


def test_a_stranger_over_tcp_is_answered_on_few_connections(
    start: Callable[..., StreamPlay], image: Path
) -> None:
    play = start(make_core(image, allow=[(b"\xc0\0\2\0", 24)]))
    strangers = [play.connect() for _ in range(STRANGERS_MAX)]
    for client in strangers:
        client.sendall(framed(query("printer.example")))
        assert rcode(read(client)) == 5
    assert is_closed(play.connect())
    assert play.counter("tcp_strangers_max") == 1


def test_a_stranger_over_tls_costs_no_handshake(start: Callable[..., StreamPlay], image: Path) -> None:
    core = make_core(image, allow=[(b"\xc0\0\2\0", 24)])
    play = start(core, handshakes_per_s_max=100, handshakes_per_client_max=1)
    for _ in range(3):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            play.connect(Transport.TLS)
    assert play.comes_to("tls_stranger", 3)
    assert play.counter("tls_handshakes_per_s_per_client_max") == 0


def test_a_defect_costs_the_threads_connections_and_it_begins_anew(start: Callable[..., StreamPlay]) -> None:
    play = start()
    first, second = play.connect(), play.connect()
    second.sendall(framed(query("punted.example")))
    route = play.event("query")[3]
    testing.panic_stream_thread(play.plane, 0)
    first.sendall(framed(query("printer.example")))
    assert is_closed(first)
    assert is_closed(second)
    assert [play.event(word)[1] for word in ("stream_down", "stream_up")] == [0, 0]
    assert (play.counter("panics"), play.counter("restarts"), play.counter("tcp_defect")) == (1, 1, 2)
    third = play.connect()
    # An answer to somebody of the life before is nobody's.
    play.plane.send(route, b"\0\0 late")
    third.sendall(framed(query("printer.example")))
    assert read(third).endswith(ADDRESS)
    assert dict(play.plane.connections()[0])["tcp"] == 1


def test_connections_are_bounded_altogether_and_for_each_client(start: Callable[..., StreamPlay]) -> None:
    play = start(connections_max=4, connections_per_client_max=3)
    kept = [play.connect() for _ in range(3)]
    assert is_closed(play.connect())
    assert play.counter("tcp_connections_per_client_max") == 1
    for client in kept:
        client.sendall(framed(query("printer.example")))
        assert read(client).endswith(ADDRESS)
    assert dict(play.plane.connections()[0])["tcp"] == 3


def test_stopping_answers_what_is_here_and_takes_no_more(start: Callable[..., StreamPlay]) -> None:
    play = start()
    asking, idle = play.connect(), play.connect()
    asking.sendall(framed(query("punted.example", 5)))
    route = play.event("query")[3]
    play.plane.stop_reading()
    assert is_closed(idle)
    play.plane.send(route, b"\0\5 the last")
    assert read(asking) == b"\0\5 the last"
    assert is_closed(asking)


# TLS.


def test_a_session_is_counted_and_shown(start: Callable[..., StreamPlay]) -> None:
    play = start()
    client = play.connect(Transport.TLS)
    assert isinstance(client, ssl.SSLSocket)
    assert (client.version(), client.selected_alpn_protocol()) == ("TLSv1.3", "dot")
    client.sendall(framed(query("printer.example")))
    assert read(client).endswith(ADDRESS)
    sessions, failures = play.plane.handshakes()
    assert [row[:2] + row[3:] for row in sessions if row[4]] == [("tls", "1.3", False, 1)]
    assert not any(count for _, count in failures)
    assert dict(play.plane.connections()[0])["tls"] == 1


def hello_of(context: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname="dns.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return session, incoming, outgoing


def test_a_handshake_in_single_octets_is_one(start: Callable[..., StreamPlay]) -> None:
    play = start()
    plain = socket.create_connection(play.doors[1].getsockname(), PATIENCE_S)
    play.clients.append(plain)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    session, incoming, outgoing = hello_of(play.context)
    for octet in outgoing.read():
        plain.sendall(bytes([octet]))
    while True:
        try:
            session.do_handshake()
            break
        except ssl.SSLWantReadError:
            incoming.write(plain.recv(65_536))
    session.write(framed(query("printer.example")))
    for octet in outgoing.read():
        plain.sendall(bytes([octet]))
    octets = b""
    while len(octets) < 2 or len(octets) < 2 + int.from_bytes(octets[:2], "big"):
        try:
            octets += session.read(65_536)
        except ssl.SSLWantReadError:
            incoming.write(plain.recv(65_536))
    assert octets.endswith(ADDRESS)


@pytest.mark.parametrize(
    "octets", [framed(query("printer.example")), b"\x16\x03\x01\x60\x01" + bytes(99), bytes(999)]
)
def test_what_is_no_tls_ends_the_connection_and_is_counted(
    start: Callable[..., StreamPlay], octets: bytes
) -> None:
    play = start()
    plain = socket.create_connection(play.doors[1].getsockname(), PATIENCE_S)
    play.clients.append(plain)
    plain.sendall(octets)
    # What it did not read resets the connection, alert or not.
    with contextlib.suppress(ConnectionResetError):
        while plain.recv(4096):
            pass
    assert play.counter("tls_failed") == 1
    assert dict(play.plane.handshakes()[1])["garbage"] == 1


def test_garbage_behind_the_handshake_ends_the_session_and_no_other(start: Callable[..., StreamPlay]) -> None:
    play = start()
    other = play.connect(Transport.TLS)
    client = play.connect(Transport.TLS)
    with socket.socket(fileno=client.detach()) as plain:
        plain.settimeout(PATIENCE_S)
        plain.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        with contextlib.suppress(ConnectionResetError):
            while plain.recv(4096):
                pass
    assert play.comes_to("tls_failed", 1)
    other.sendall(framed(query("printer.example")))
    assert read(other).endswith(ADDRESS)


def test_who_breaks_sessions_waits_when_the_server_is_pressed(start: Callable[..., StreamPlay]) -> None:
    play = start(handshakes_per_s_max=20, handshakes_per_client_max=20)
    broken = 0
    until = time.monotonic() + PATIENCE_S
    while not play.counter("tls_breaches_of_client") and time.monotonic() < until:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            client = play.connect(Transport.TLS)
            with socket.socket(fileno=client.detach()) as plain:
                plain.settimeout(PATIENCE_S)
                plain.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
                with contextlib.suppress(ConnectionResetError):
                    while plain.recv(4096):
                        pass
            broken += 1
    assert play.counter("tls_breaches_of_client") and broken >= 3
    assert play.comes_to("tls_failed", broken)
    failures = dict(play.plane.handshakes()[1])
    assert failures["limit"] == sum(failures.values()), "the handshakes of all others were done"


def test_connections_that_are_opened_ahead_and_say_nothing_cost_their_client_nothing(
    start: Callable[..., StreamPlay],
) -> None:
    # A debt would last a second.
    play = start(handshakes_per_s_max=2, handshakes_per_client_max=4, idle_s=0.6)
    silent = [socket.create_connection(play.doors[1].getsockname(), PATIENCE_S) for _ in range(2)]
    play.clients += silent
    assert all(is_closed(sock) for sock in silent)
    play.connect(Transport.TLS)
    assert play.counter("tls_handshake_timeout") == 2
    assert play.counter("tls_breaches_of_client") == 0


def test_certificates_are_swapped_under_sessions_that_go_on(
    start: Callable[..., StreamPlay],
) -> None:
    play = start()
    old = play.connect(Transport.TLS)
    pair = make("new.example", days=DAYS, which=1)
    play.plane.set_certificates([(pair.pem, pair.key)])
    with pytest.raises(ValueError, match="certificate 1"):
        play.plane.set_certificates([(b"none", b"none")])
    play.context = ssl.create_default_context(cadata=pair.pem.decode())
    play.context.check_hostname = False
    new = play.connect(Transport.TLS)
    for client in (old, new):
        client.sendall(framed(query("printer.example")))
        assert read(client).endswith(ADDRESS)


def test_handshakes_of_a_client_are_limited_before_they_cost_anything(
    start: Callable[..., StreamPlay],
) -> None:
    play = start(handshakes_per_s_max=100, handshakes_per_client_max=2)
    for _ in range(2):
        play.connect(Transport.TLS)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        play.connect(Transport.TLS)
    assert play.counter("tls_handshakes_per_s_per_client_max") == 1
    assert dict(play.plane.handshakes()[1])["limit"] == 1


@pytest.mark.parametrize(
    ("transport", "has_it"), [(Transport.TCP, True), (Transport.TLS, True), (Transport.HTTPS, False)]
)
def test_idle_time_is_told_where_there_is_a_word_for_it(
    image: Path,
    transport: Transport,
    has_it: bool,
) -> None:
    octets = bytearray(query("printer.example"))
    octets[11] = 1
    octets += b"\0\0\x29\x04\xd0\0\0\0\0\0\4\0\x0b\0\0"
    word, message = make_core(image).answer(bytes(octets), b"\x7f\0\0\1", transport, time.monotonic())
    assert word == 0
    assert (b"\0\x0b\0\x02\0\x64" in message) is has_it
