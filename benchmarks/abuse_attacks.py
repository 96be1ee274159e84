"""What people do to a resolver who wish it ill: each attack is a program that runs for some seconds.

Knows: the server's ports, names whose answers the upstream of the abuse runs makes as wished.
Does not know: the server, what is measured.

`abuse_catalogue` runs them.  Clients are on 127.0.1.0 and above; 127.0.0.1 is
everybody else.
"""

from __future__ import annotations

import itertools
import os
import random
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.abuse_crowd import HOST, SEND_OCTETS, Connection, run_crowd

TYPE_A, TYPE_TXT = 1, 16
CROWD = [f"127.0.1.{number}" for number in range(1, 251)]
TEN = CROWD[:10]
STRANGERS = [f"127.200.0.{number}" for number in range(1, 51)]
"""Outside `clients.allow`."""
RATE = 20_000
"""Datagrams a second of a flood."""
BOMB = 15_000
"""Questions of one client that wait for one answer."""
PULSE_S = 0.05
IN_A_PULSE = "in the busiest 50 ms"
PULSE_ANSWERS_MAX = 1_000
"""A client has so many waiters at most, and they leave spread over time."""
OPTIONS = 16_000
SMALL_WINDOW_OCTETS = 2_048
PIPELINED = 200
HEADER_OCTETS = 1 << 20


@dataclass(frozen=True)
class Target:
    """Where, and how long."""

    port: int
    http_port: int
    until: float
    """Monotonic seconds."""
    tls_port: int = 0
    https_port: int = 0
    """0: nobody listens there."""


Seen = dict[str, int]
"""What an attack reports of itself."""


def encoded(name: str) -> bytes:
    """A name in wire form."""
    return b"".join(bytes((len(label),)) + label.encode() for label in name.split(".")) + b"\0"


def query(name: str, kind: int = TYPE_A, number: int = 1, options: int = 0) -> bytes:
    """A query with EDNS; `options`: so many empty options of unknown codes."""
    opt = b"".join((65_001 + at % 500).to_bytes(2, "big") + b"\0\0" for at in range(options))
    head = number.to_bytes(2, "big") + b"\1\0\0\1\0\0\0\0\0\1"
    return (
        head
        + encoded(name)
        + kind.to_bytes(2, "big")
        + b"\0\1\0\0\x29\x10\0\0\0\0\0"
        + len(opt).to_bytes(2, "big")
        + opt
    )


def framed(octets: bytes) -> bytes:
    """As TCP carries it."""
    return len(octets).to_bytes(2, "big") + octets


def fresh_names(under: str) -> Iterator[str]:
    """Names that nobody has asked for."""
    salt = os.urandom(4).hex()
    return (f"{salt}{number}.{under}" for number in itertools.count())


# Over TCP.


class Slow(Connection):
    """Sends a query, an octet a second."""

    message = framed(query("hot1.example.org"))

    def act(self) -> float:
        self._at = getattr(self, "_at", -1) + 1
        self.socket.send(self.message[self._at % len(self.message) :][:1])
        return 1.0


class AskOnce(Connection):
    """Asks one question, then says nothing."""

    message = framed(query("hot1.example.org"))

    def act(self) -> None:
        self.socket.send(self.message)


class Steady(Connection):
    """Sends `message` again and again, as fast as it is taken."""

    message = b""

    def act(self) -> float:
        self._left = getattr(self, "_left", b"") or self.message
        for _ in range(4):
            self._left = self._left[self.socket.send(self._left[:SEND_OCTETS]) :] or self.message
        return 0.0005


class Huge(Steady):
    """Pipelines queries of 64 kB, of empty options."""

    message = framed(query("hot1.example.org", options=OPTIONS))


class HugeHalf(Connection):
    """Half of a query of 64 kB, held back."""

    message = framed(query("hot1.example.org", options=OPTIONS))[:60_000]

    def act(self) -> None:
        self.socket.send(self.message)


class Reset(Connection):
    """Asks, begins to ask once more, and resets the connection."""

    message = framed(query("hot1.example.org")) * 3 + framed(query("held1.example.org"))[:20]

    def act(self) -> float:
        if getattr(self, "_has_sent", False):
            raise ConnectionResetError
        self.socket.send(self.message)
        self._has_sent = True
        return 0.05


class Unread(Steady):
    """Pipelines questions of 64 kB answers that the cache has, and reads none."""

    reads = False
    receive_buffer_octets = SMALL_WINDOW_OCTETS
    message = framed(query("big1.example.org", TYPE_TXT)) * PIPELINED


class UnreadTogether(Connection):
    """Pipelines questions of 64 kB answers that wait for one reply of the upstream, and reads none."""

    reads = False
    receive_buffer_octets = SMALL_WINDOW_OCTETS
    salt = os.urandom(4).hex()

    def act(self) -> None:
        # All ask for the same name, so that all answers come in one moment.
        name = f"heldbig{self.salt}{int(time.monotonic())}.example.org"
        self.socket.send(b"".join(framed(query(name, TYPE_TXT, number)) for number in range(PIPELINED)))


def crowd(
    kind: type[Connection], count: int, sources: Sequence[str], *, http: bool = False
) -> Callable[[Target], Seen]:
    """So many connections of one kind."""
    return lambda target: run_crowd(
        kind, target.http_port if http else target.port, count, sources, target.until
    )


# Over HTTP.


class HttpSlow(Connection):
    """Sends a request, a letter a second."""

    message = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-Slow: 1\r\n" * 1_000

    def act(self) -> float:
        self._at = getattr(self, "_at", -1) + 1
        self.socket.send(self.message[self._at : self._at + 1])
        return 1.0


def http2_frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """RFC 9113 §4.1."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


HTTP2_FIELDS = b"\x82\x86\x04\x08/metrics\x01\x09localhost"
"""RFC 7541: `:method` GET, `:scheme` http, `:path` /metrics, `:authority` localhost."""


class Http2(Connection):
    """Speaks HTTP/2 by prior knowledge: a window of 0, and a hundred requests."""

    reads = False
    message = (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + http2_frame(4, 0, 0, b"\0\4" + bytes(4))
        + b"".join(http2_frame(1, 5, 2 * number + 1, HTTP2_FIELDS) for number in range(100))
    )

    def act(self) -> None:
        self.socket.send(self.message)


class Http2Upgrade(Http2):
    """The same, by an upgrade."""

    message = (
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAQAAAAA\r\n\r\n" + Http2.message
    )


class HttpOnce(AskOnce):
    """One request, then silence."""

    message = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class HttpUnread(Steady):
    """Pipelines requests and reads no page."""

    reads = False
    receive_buffer_octets = SMALL_WINDOW_OCTETS
    message = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50


class HttpHuge(Steady):
    """Headers without an end."""

    message = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * HEADER_OCTETS


# Over UDP.


def flood(datagrams: Iterator[bytes], sources: Sequence[str], rate: int = RATE) -> Callable[[Target], Seen]:
    """Send `datagrams` at `rate`, from `sources` in turn; replies are not read."""

    def run(target: Target) -> Seen:
        sockets = [_datagram_socket(source, target.port) for source in sources]
        began, sent = time.monotonic(), 0
        for turn in itertools.cycle(sockets):
            now = time.monotonic()
            if now >= target.until:
                break
            due = int((now - began) * rate) - sent
            if due <= 0:
                time.sleep(0.001)
            for datagram in itertools.islice(datagrams, min(due, 20)):
                _send(turn, datagram)
                sent += 1
        for client in sockets:
            client.close()
        return {"sent": sent}

    return run


def bomb(target: Target) -> Seen:
    """DNSBomb: questions of one client wait for a slow upstream, and all answers leave at once."""
    client = _datagram_socket(TEN[0], target.port)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
    names = fresh_names("example.org")
    sent, arrivals = 0, []
    while time.monotonic() < target.until:
        name = f"held{next(names)}"
        for number in range(BOMB):
            _send(client, query(name, TYPE_TXT, number))
            sent += 1
        # The upstream answers a second after the first; what comes is counted until all is over.
        over = min(target.until, time.monotonic() + 2.5)
        while (now := time.monotonic()) < over:
            if select.select([client], [], [], min(0.05, over - now))[0]:
                arrivals += _arrivals(client)
    client.close()
    return {"sent": sent, "answers": len(arrivals), IN_A_PULSE: busiest(arrivals, PULSE_S)}


def busiest(arrivals: Sequence[float], span_s: float) -> int:
    """The most that came within one span."""
    most = first = 0
    for last, at in enumerate(arrivals):
        while at - arrivals[first] > span_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def _arrivals(client: socket.socket) -> list[float]:
    found = []
    for _ in range(1_000):
        try:
            client.recv(4096)
        except OSError:
            break
        found.append(time.monotonic())
    return found


def _datagram_socket(source: str, port: int) -> socket.socket:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind((source, 0))
    client.connect((HOST, port))
    client.setblocking(False)
    return client


def _send(client: socket.socket, datagram: bytes) -> None:
    try:
        client.send(datagram)
    except OSError:
        # Full, or an ICMP error of before.
        time.sleep(0.001)


def garbage() -> Iterator[bytes]:
    """Octets at random, and messages that are right but for one octet."""
    chance = random.Random(1)
    whole = query("hot1.example.org", options=4)
    while True:
        yield chance.randbytes(chance.randrange(0, 600))
        broken = bytearray(whole)
        broken[chance.randrange(2, len(broken))] = chance.randrange(256)
        yield bytes(broken)
        yield whole[: chance.randrange(len(whole))]


def fresh_queries(prefix: str, under: str, kind: int = TYPE_A) -> Iterator[bytes]:
    """A query for each of names that nobody has asked for."""
    return (query(prefix + name, kind) for name in fresh_names(under))


@dataclass(frozen=True)
class Attack:
    """One of them."""

    does: str
    """For the reader of the table."""
    run: Callable[[Target], Seen]
    asks_afterwards: str = ""
    """Names under this one must be answered when it is over, the first label being fresh."""
    most: Mapping[str, int] = field(default_factory=dict)
    """What the attacker may see at most, by the words of its report."""
    counted: tuple[str, ...] = ()
    """Metrics of which one must grow, over all reasons: what is refused is counted."""


ATTACKS = {
    "slow-writers": Attack("200 TCP clients write an octet a second", crowd(Slow, 200, CROWD)),
    "silent": Attack("900 TCP connections say nothing", crowd(Connection, 900, CROWD)),
    "huge-queries": Attack("20 TCP clients pipeline 64 kB of 16,000 options", crowd(Huge, 20, CROWD)),
    "huge-halves": Attack("900 TCP clients stop in the middle of 64 kB", crowd(HugeHalf, 900, CROWD)),
    "resets": Attack("50 TCP clients reset in the middle, 1,000 a second", crowd(Reset, 50, CROWD)),
    "unread": Attack("100 TCP clients pipeline 64 kB answers, read none", crowd(Unread, 100, CROWD)),
    "unread-one": Attack("the same from one address, 90 connections", crowd(Unread, 90, TEN[:1])),
    "unread-together": Attack(
        "90 TCP clients of one address, 64 kB answers come at once", crowd(UnreadTogether, 90, TEN[:1])
    ),
    "thousand": Attack("1,000 TCP connections from 250 addresses", crowd(AskOnce, 1_000, CROWD)),
    "thousand-of-ten": Attack("1,000 TCP connections from 10 addresses", crowd(AskOnce, 1_000, TEN)),
    "flood-blocked": Attack("UDP, blocked names", flood(fresh_queries("", "blocked.example"), CROWD)),
    "flood-misses": Attack(
        "UDP, random names that miss, one client, 3,000/s",
        flood(fresh_queries("", "example.com"), TEN[:1], 3_000),
    ),
    "flood-garbage": Attack("UDP, garbage", flood(garbage(), CROWD)),
    "flood-strangers": Attack("UDP, strangers", flood(fresh_queries("", "example.org"), STRANGERS)),
    "same-id": Attack(
        "UDP, one slow question again and again",
        flood(itertools.repeat(query("heldsame.dead.example.org")), TEN[:1]),
    ),
    "bomb": Attack(
        "UDP, 15,000 questions of one client wait for one answer", bomb, most={IN_A_PULSE: PULSE_ANSWERS_MAX}
    ),
    "unanswered": Attack(
        "UDP, names that their upstream never answers, one client, 3,000/s",
        flood(fresh_queries("never", "example.org"), TEN[:1], 3_000),
    ),
    "dead-upstream": Attack(
        "UDP, misses whose upstream is dead, 3,000/s",
        flood(fresh_queries("", "dead.example.org"), TEN[:1], 3_000),
    ),
    "mute-upstream": Attack(
        "an upstream's TCP connection falls silent",
        flood(fresh_queries("mute", "mute.example.org"), TEN[:1], 20),
        asks_afterwards="mute.example.org",
    ),
    "http-slow": Attack("200 HTTP clients write a letter a second", crowd(HttpSlow, 200, CROWD, http=True)),
    "http2": Attack("30 HTTP clients speak HTTP/2, window 0", crowd(Http2, 30, CROWD, http=True)),
    "http2-upgrade": Attack("30 HTTP clients upgrade to h2c", crowd(Http2Upgrade, 30, CROWD, http=True)),
    "http-thousand": Attack("1,000 HTTP connections", crowd(HttpOnce, 1_000, CROWD, http=True)),
    "http-unread": Attack("30 HTTP clients read no page", crowd(HttpUnread, 30, CROWD, http=True)),
    "http-huge": Attack("30 HTTP clients send headers of 1 MB", crowd(HttpHuge, 30, CROWD, http=True)),
}
