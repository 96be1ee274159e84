"""Asks a server at a steady rate, and keeps the exact account: each query sent, each answer, and when.

Knows: UDP, the questions, the time.  Does not know: what happens to the server meanwhile.
Each query is sent once, at its time, whatever became of those before it; nothing is asked again.  An answer
counts once, if it has the ID and the question of a query that waits.  Run as a program it asks until its
standard input ends, waits for what may still come, and writes its account.

    python -m tests.loopback.steady_load PORT QUERIES_PER_S HOT_NAMES RARE_EVERY ACCOUNT
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import sys
import time
from array import array
from pathlib import Path

SOCKETS = 16
"""Clients, each on a port of its own: the kernel spreads them over the server's sockets."""
PATIENCE_S = 10.0
"""After this a query is lost."""
DUE_AT_ONCE = 64


def hot_name(number: int) -> str:
    return f"hot{number}.example.org"


def rare_name(number: int) -> str:
    return f"rare{number}.example.org"


def question(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return labels + b"\0\0\1\0\1"


class SteadyLoad:
    """All queries of one run."""

    def __init__(self, port: int, rate: float, hot: int, rare_every: int) -> None:
        """`hot`: names asked in turn; each query number `rare_every` is for a name that was never asked."""
        self._rate = rate
        self._hot = [question(hot_name(number)) for number in range(hot)]
        self._rare_every = rare_every
        self._poll = select.epoll()
        self._socks = self.connect(port)
        for sock in self._socks:
            self._poll.register(sock, select.EPOLLIN)
        self._by_descriptor = {sock.fileno(): at for at, sock in enumerate(self._socks)}
        self.sent_at = array("d")
        """Of each query, monotonic seconds."""
        self.answered_at = array("d")
        """0.0: not answered."""
        self.rcodes = array("b")
        self.strays = 0
        """Answers to nothing that waits: a second one, or another question."""
        self.refused = 0
        """The kernel said that nobody listens, or took no more."""

    def connect(self, port: int) -> list[socket.socket]:
        """The clients' sockets."""
        socks = []
        for _ in range(SOCKETS):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.connect(("127.0.0.1", port))
            sock.setblocking(False)
            socks.append(sock)
        return socks

    def send_to(self, client: int, octets: bytes) -> None:
        """Send a message.  Raises OSError."""
        self._socks[client].send(octets)

    def messages_of(self, client: int) -> list[bytes]:
        """Messages that have come.  Raises OSError."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self._socks[client].recv(4096))
        return found

    def run(self) -> None:
        """Ask until standard input ends, then wait."""
        self._poll.register(sys.stdin, select.EPOLLHUP | select.EPOLLIN)
        began = time.monotonic()
        ends_at = 0.0
        while True:
            now = time.monotonic()
            if ends_at:
                if now >= ends_at or len(self.sent_at) == sum(at > 0.0 for at in self.answered_at[-20000:]):
                    return
                rest_s = 0.01
            else:
                due = int((now - began) * self._rate)
                for _ in range(min(due - len(self.sent_at), DUE_AT_ONCE)):
                    self._ask(now)
                rest_s = max(began + (len(self.sent_at) + 1) / self._rate - time.monotonic(), 0.0)
            for descriptor, _ in self._poll.poll(rest_s):
                if descriptor == sys.stdin.fileno():
                    self._poll.unregister(sys.stdin)
                    ends_at = now + PATIENCE_S
                else:
                    self._hear(self._by_descriptor[descriptor])

    def _question_of(self, number: int) -> bytes:
        if number % self._rare_every == self._rare_every - 1:
            return question(rare_name(number))
        return self._hot[number % len(self._hot)]

    def _ask(self, now: float) -> None:
        number = len(self.sent_at)
        head = struct.pack("!HHHHHH", number // SOCKETS & 0xFFFF, 0x0100, 1, 0, 0, 0)
        self.sent_at.append(now)
        self.answered_at.append(0.0)
        self.rcodes.append(-1)
        try:
            self.send_to(number % SOCKETS, head + self._question_of(number))
        except OSError:
            self.refused += 1

    def _hear(self, client: int) -> None:
        try:
            messages = self.messages_of(client)
        except OSError:
            self.refused += 1
            return
        now = time.monotonic()
        for octets in messages:
            number = self._number_of(client, int.from_bytes(octets[:2], "big"))
            if number < 0 or self.answered_at[number] or not self._is_answer(octets, number):
                self.strays += 1
                continue
            self.answered_at[number] = now
            self.rcodes[number] = octets[3] & 0xF

    def _number_of(self, client: int, id_: int) -> int:
        """The last query of this client with this ID."""
        turns = (len(self.sent_at) - 1 - client) // SOCKETS
        turn = turns - ((turns - id_) & 0xFFFF)
        return -1 if turn < 0 else turn * SOCKETS + client

    def _is_answer(self, octets: bytes, number: int) -> bool:
        wanted = self._question_of(number)
        return bool(octets[2] & 0x80) and octets[12 : 12 + len(wanted)] == wanted

    def write(self, path: Path) -> None:
        """The account: counts as JSON on the first line, then the three arrays."""
        counts = {"sent": len(self.sent_at), "strays": self.strays, "refused": self.refused}
        with path.open("wb") as file:
            file.write(json.dumps(counts).encode() + b"\n")
            for column in (self.sent_at, self.answered_at, self.rcodes):
                file.write(column.tobytes())


class Account:
    """What a run came to."""

    def __init__(self, path: Path) -> None:
        octets = path.read_bytes()
        first, _, rest = octets.partition(b"\n")
        counts = json.loads(first)
        self.sent: int = counts["sent"]
        self.strays: int = counts["strays"]
        self.refused: int = counts["refused"]
        self.sent_at, self.answered_at, self.rcodes = array("d"), array("d"), array("b")
        self.sent_at.frombytes(rest[: 8 * self.sent])
        self.answered_at.frombytes(rest[8 * self.sent : 16 * self.sent])
        self.rcodes.frombytes(rest[16 * self.sent :])

    @property
    def lost(self) -> int:
        """Queries that no answer came to."""
        return sum(1 for at in self.answered_at if not at)

    def lost_at(self, start: float) -> list[tuple[int, float]]:
        """Number and moment of each of them, in seconds from `start`."""
        found = zip(self.sent_at, self.answered_at, strict=True)
        return [(number, round(sent - start, 3)) for number, (sent, at) in enumerate(found) if not at]

    @property
    def failed(self) -> int:
        """Answers that are none: SERVFAIL, REFUSED."""
        return sum(1 for rcode in self.rcodes if rcode > 0)

    def p99_ms(self, start: float, end: float) -> float:
        """Of the waits of queries that were sent in this time; a lost one waits for ever."""
        waits = sorted(
            answered - sent if answered else float("inf")
            for sent, answered in zip(self.sent_at, self.answered_at, strict=True)
            if start <= sent < end
        )
        return 1000.0 * waits[len(waits) * 99 // 100] if waits else 0.0

    def worst_ms(self, start: float, end: float) -> float:
        """The longest of them."""
        return 1000.0 * max(
            answered - sent if answered else float("inf")
            for sent, answered in zip(self.sent_at, self.answered_at, strict=True)
            if start <= sent < end
        )


if __name__ == "__main__":
    load = SteadyLoad(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    load.run()
    load.write(Path(sys.argv[5]))
