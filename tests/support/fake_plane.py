"""A native plane without threads or sockets: says what a test puts in its mouth, keeps what it is told.

Knows: `resolver.plane.Plane`.  Does not know: DNS, who listens.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from resolver.plane import Handover, QuestionFields, UpstreamReport, WaitingFields
from resolver.wire.question import Question


class FakePlane:
    """See `resolver.plane.Plane`."""

    def __init__(self) -> None:
        self.events: deque[Any] = deque()
        self.sent: list[tuple[bytes, bytes]] = []
        """(route, octets) of what clients were sent."""
        self.dropped: list[tuple[bytes, bool]] = []
        """(route, close) of clients on streams that get no answer."""
        self.certificates: list[tuple[bytes, bytes]] = []
        self.connected = {"tcp": 0, "tls": 0}
        self.held_octets = 0
        self.hanging = 0
        """Threads that do nothing."""
        self.closed_tickets: list[int] = []
        self.wanted: list[QuestionFields] = []
        """Questions that Python asks."""
        self.asked: dict[bytes, list[WaitingFields]] = {}
        """Names that the plane has asked for, and who waits."""
        self.reports: list[UpstreamReport] = []
        self.state = "made"
        self._fd = os.eventfd(0, os.EFD_NONBLOCK)

    def say(self, *event: Any) -> None:
        """Let something happen."""
        self.events.append(event)
        os.eventfd_write(self._fd, 1)

    def start(self) -> None:
        self.state = "started"

    def stop_reading(self) -> None:
        self.state = "stopping"

    def hand_over_all(self) -> None:
        self.state = "handed over"

    def close(self) -> None:
        if self.state != "closed":
            os.close(self._fd)
        self.state = "closed"

    def fileno(self) -> int:
        return self._fd

    def drain(self, max: int = 256) -> list[Any]:  # noqa: A002 -- the module's own word
        if self.events:
            os.eventfd_read(self._fd)
        taken = [self.events.popleft() for _ in range(min(max, len(self.events)))]
        if self.events:
            os.eventfd_write(self._fd, 1)
        return taken

    def send(self, route: bytes, octets: bytes) -> bool:
        self.sent.append((route, octets))
        return True

    def drop(self, route: bytes, *, close: bool = True) -> None:
        self.dropped.append((route, close))

    def set_certificates(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        self.certificates = list(pairs)

    def pulse(self) -> int:
        return self.hanging

    def connections(self) -> tuple[list[tuple[str, int]], int]:
        return list(self.connected.items()), self.held_octets

    def https_responses(self) -> list[tuple[int, int]]:
        return []

    def handshakes(self) -> tuple[list[tuple[str, str, str, bool, int]], list[tuple[str, int]]]:
        return [("tls", "1.3", "x25519", False, 2)], [("closed", 1)]

    def claim(self, question: QuestionFields) -> list[WaitingFields] | None:
        self.wanted.append(question)
        return self.asked.pop(question[0], None)

    def release(self, question: QuestionFields) -> None:
        self.wanted.remove(question)

    def close_ticket(self, ticket: int) -> None:
        self.closed_tickets.append(ticket)

    def upstream_reports(self) -> list[UpstreamReport]:
        taken, self.reports = self.reports, []
        return taken

    def counters(self) -> dict[str, int]:
        return {"ring_full": 3, "panics": 1, "punts": 5, "coalesced": 2, "overloads": 4}


class FakeLoop:
    """As much of an event loop as a listener needs; the test turns it."""

    def __init__(self) -> None:
        self.readers: dict[int, Callable[[], None]] = {}
        self.soon: deque[Callable[[], None]] = deque()

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        self.readers[fd] = callback

    def remove_reader(self, fd: int) -> bool:
        return self.readers.pop(fd, None) is not None

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        """Call every reader once, then what is due."""
        for callback in list(self.readers.values()):
            callback()
        for _ in range(len(self.soon)):
            self.soon.popleft()()


def handover(
    octets: bytes,
    *,
    reason: str = "timeout",
    reply: bytes | None = None,
    waiters: list[WaitingFields] | None = None,
    sent_at: float,
    due_at: float,
    ticket: int = 7,
    upstream: int = 0,
) -> Handover:
    """The handover of an attempt that sent `octets`, a whole query with OPT and without DO or CD."""
    end = octets.index(b"\0", 12) + 1
    return Handover(
        question=Question(octets[12:end].lower(), int.from_bytes(octets[end : end + 2], "big")),
        set_index=0,
        upstream=upstream,
        id=int.from_bytes(octets[:2], "big"),
        qname_as_sent=octets[12:end],
        edns=True,
        sent_at=sent_at,
        due_at=due_at,
        ticket=ticket,
        octets=reply,
        reason="reply" if reply is not None else reason,
        sends=None,
        waiters=waiters or [],
    )
