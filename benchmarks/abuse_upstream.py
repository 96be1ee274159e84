"""The upstream of the abuse runs: a program of its own that answers by the first letters of a name.

Knows: one UDP and one TCP socket on each of its ports, what a name asks for.
Does not know: the server, the attacks.

    python -m benchmarks.abuse_upstream PORT MUTE_PORT DEAD_PORT

`big...` is 64 kB of TXT and so comes over TCP; `held...` waits a second for its kilobyte; `heldbig...` is
both; `never...` gets no answer; every other name has one address.  What is asked of MUTE_PORT comes over TCP
only, and there `mute...` makes the connection it came over silent for ever.  DEAD_PORT takes everything and
answers nothing.
"""

from __future__ import annotations

import heapq
import selectors
import socket
import sys
import time
from collections.abc import Callable
from functools import partial

HOST = "127.0.0.1"
HELD_S = 1.0
TTL_S = 3600
BIG_OCTETS = 64_000
HELD_OCTETS = 1_000
UDP_OCTETS_MAX = 1_200
BUFFER_OCTETS = 8 << 20

TYPE_A, TYPE_TXT = 1, 16

Send = Callable[[bytes], None]


def question_end(query: bytes) -> int:
    """Where the question of a query stops."""
    at = 12
    while query[at]:
        at += query[at] + 1
    return at + 5


def record(rdata: bytes, kind: int) -> bytes:
    """One record of the name asked for."""
    head = b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1" + TTL_S.to_bytes(4, "big")
    return head + len(rdata).to_bytes(2, "big") + rdata


def texts(octets: int) -> list[bytes]:
    """TXT records of together about so many octets."""
    each = record(b"\xfa" + b"x" * 250, TYPE_TXT)
    return [each[:13] + number.to_bytes(2, "big") + each[15:] for number in range(octets // len(each))]


ADDRESS = [record(bytes((192, 0, 2, 1)), TYPE_A)]
BIG = texts(BIG_OCTETS)
HELD = texts(HELD_OCTETS)


def answer_to(query: bytes, *, over_udp: bool) -> bytes:
    """The answer that the first letters of the name ask for; too long for UDP: TC."""
    end = question_end(query)
    first = query[13 : 13 + query[12]].lower()
    records = BIG if b"big" in first else HELD if first.startswith(b"held") else ADDRESS
    body = b"".join(records)
    is_cut = over_udp and end + len(body) > UDP_OCTETS_MAX
    flags = b"\x83\x80" if is_cut else b"\x81\x80"
    count = 0 if is_cut else len(records)
    head = query[:2] + flags + b"\0\1" + count.to_bytes(2, "big") + b"\0\0\0\0"
    return head + query[12:end] + (b"" if is_cut else body)


class Upstream:
    """All its sockets in one loop."""

    def __init__(self, port: int, mute_port: int, dead_port: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._held: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._dead = datagrams(dead_port)
        for one, is_mute in ((port, False), (mute_port, True)):
            self._serve(datagrams(one), partial(self._hear, is_mute))
            listener = socket.create_server((HOST, one), backlog=512)
            self._serve(listener, partial(self._accept, is_mute))

    def _serve(self, bound: socket.socket, heard: Callable[[socket.socket], None]) -> None:
        bound.setblocking(False)
        self._selector.register(bound, selectors.EVENT_READ, heard)

    def run(self) -> None:
        """Answer until the process ends."""
        while True:
            patience_s = max(0.0, self._held[0][0] - time.monotonic()) if self._held else None
            for key, _ in self._selector.select(patience_s):
                key.data(key.fileobj)
            while self._held and self._held[0][0] <= time.monotonic():
                heapq.heappop(self._held)[2]()

    def _later(self, due: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._held, (time.monotonic() + HELD_S, self._count, due))

    def _hear(self, is_mute: bool, bound: socket.socket) -> None:
        for _ in range(64):
            try:
                query, peer = bound.recvfrom(4096)
            except OSError:
                return
            if len(query) < 18 or query[13:18].lower() == b"never":
                continue
            if is_mute:
                end = question_end(query)
                reply = query[:2] + b"\x83\x80\0\1\0\0\0\0\0\0" + query[12:end]
            else:
                reply = answer_to(query, over_udp=True)
            if query[13:17].lower() == b"held" and not reply[2] & 2:
                self._later(partial(send_to, bound, reply, peer))
            else:
                send_to(bound, reply, peer)

    def _accept(self, is_mute: bool, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        self._serve(connection, Stream(self._selector, self._later, is_mute).hear)


class Stream:
    """One TCP connection from the server."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        later: Callable[[Callable[[], None]], None],
        can_fall_silent: bool,
    ) -> None:
        self._selector = selector
        self._later = later
        self._can_fall_silent = can_fall_silent
        self._is_silent = False
        self._octets = b""

    def hear(self, connection: socket.socket) -> None:
        """Answer what has come whole."""
        try:
            more = connection.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        if not more:
            self._selector.unregister(connection)
            connection.close()
            return
        self._octets += more
        while (
            len(self._octets) >= 2 and len(self._octets) >= (length := int.from_bytes(self._octets[:2])) + 2
        ):
            query, self._octets = self._octets[2 : length + 2], self._octets[length + 2 :]
            self._is_silent |= self._can_fall_silent and query[13:17].lower() == b"mute"
            if self._is_silent:
                continue
            reply = answer_to(query, over_udp=False)
            send = partial(send_whole, connection, len(reply).to_bytes(2, "big") + reply)
            if query[13:17].lower() == b"held":
                self._later(send)
            else:
                send()


def datagrams(port: int) -> socket.socket:
    """A UDP socket with room for a flood."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_OCTETS)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_OCTETS)
    bound.bind((HOST, port))
    return bound


def send_to(bound: socket.socket, reply: bytes, peer: tuple[str, int]) -> None:
    """One datagram; what the kernel does not take is lost."""
    try:
        bound.sendto(reply, peer)
    except OSError:
        return


def send_whole(connection: socket.socket, octets: bytes) -> None:
    """A framed answer; the server reads quickly, or has gone."""
    try:
        connection.setblocking(True)
        connection.settimeout(1.0)
        connection.sendall(octets)
        connection.setblocking(False)
    except OSError:
        return


if __name__ == "__main__":
    Upstream(*map(int, sys.argv[1:4])).run()
