"""The page's sockets: one loop, one thread, no task and no timer for any connection.

Knows: sockets, epoll, the clock.  Does not know: HTTP (`conversation`), who may stay (`limits`), the policy.
Theory: each turn accepts a few, reads what is ready once, sends, and looks who is late.  The server that
started this process is at the other end of `control`: it sends the page's file, open, at each change of the
policy, and gets the counts once a second.  When that end is closed, this process ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from resolver.block_page.conversation import Conversation, Desk
from resolver.block_page.limits import ANSWERS_PER_S, BURST, CONNECTIONS_MAX, REST_S, Places, Rate
from resolver.block_page.page_file import PageFile, PageFileUnusable

READ_OCTETS: Final = 16_384
"""Taken from one connection in one turn."""
ACCEPTS_PER_TURN: Final = 32
LINGER_OCTETS_MAX: Final = 65_536
"""Of a body that nobody reads, taken so that the answer before it arrives; then the connection is cut."""
REPORT_EVERY_S: Final = 1.0
MESSAGE_OCTETS_MAX: Final = 65_536
DEFECTS_TOLD_MAX: Final = 20
"""Defects told in full; later ones only cost their visitor the connection."""

Clock = Callable[[], float]


class _Visitor:
    """One connection."""

    __slots__ = ("conversation", "drained", "number", "socket", "unsent")

    def __init__(self, sock: socket.socket, conversation: Conversation) -> None:
        self.socket = sock
        self.number = sock.fileno()
        self.conversation = conversation
        self.unsent = b""
        self.drained = -1
        """Octets thrown away since the answer was sent and no more is answered; -1: it is not so far."""


class PageServer:
    """Serves the page until the other end of `control` is closed."""

    def __init__(
        self,
        desk: Desk,
        control: socket.socket,
        listeners: Sequence[socket.socket],
        clock: Clock = time.monotonic,
    ) -> None:
        self._desk = desk
        self._control = control
        self._listeners = listeners
        self._clock = clock
        self._selector = selectors.EpollSelector()
        self._visitors: dict[int, _Visitor] = {}
        self._places = Places()
        self._rate = Rate(ANSWERS_PER_S, BURST, clock())
        self._statuses: Counter[int] = Counter()
        self.defects = 0
        """Visitors whose octets met a defect of ours."""
        self._refused: Counter[str] = Counter()
        self._is_open = False
        """Whether connections are accepted now."""
        self._opens_at = 0.0
        self._reports_at = 0.0
        self._page_number = 0
        """Which page's file is shown, as the server numbers them; 0: none."""
        self._is_over = False

    def run(self) -> None:
        """Serve."""
        self.watch_control()
        while not self._is_over:
            self.turn()
        for visitor in list(self._visitors.values()):
            self._close(visitor)
        self._selector.close()
        self._control.close()

    def watch_control(self) -> None:
        """Hear from now on what comes from the other end."""
        if self._control.fileno() not in self._selector.get_map():
            self._control.setblocking(False)
            self._selector.register(self._control, selectors.EVENT_READ, self._on_control)

    def turn(self, patience_s: float | None = None) -> None:
        """Wait for what happens next, so long at most (None: as long as that takes), and do it."""
        self._open_or_rest()
        for key, _ in self._selector.select(self._patience_s() if patience_s is None else patience_s):
            key.data()
        now = self._clock()
        while (late := self._places.who_is_late(now)) is not None:
            self._cut(late, "request_too_slow")
        if now >= self._reports_at:
            self._reports_at = now + REPORT_EVERY_S
            self._report()

    def _patience_s(self) -> float:
        now = self._clock()
        waits = [self._reports_at - now, self._places.next_late_s(now)]
        if not self._is_open:
            waits.append(self._opens_at - now)
        return max(0.0, min(wait for wait in waits if wait is not None))

    # The other end.

    def _on_control(self) -> None:
        try:
            octets, files, *_ = socket.recv_fds(self._control, MESSAGE_OCTETS_MAX, 1)
        except BlockingIOError:
            return
        except OSError:
            octets, files = b"", []
        if not octets:
            self._is_over = True
        for descriptor in files:
            with contextlib.suppress(PageFileUnusable, ValueError):
                # The one before stays where this one is damaged; the server sees that from the number.
                self._desk.page = PageFile(descriptor)
                self._page_number = int(octets)
            os.close(descriptor)

    def _report(self) -> None:
        told: dict[str, Any] = {
            "requests": {str(status): count for status, count in self._statuses.items()},
            "refused": dict(self._refused),
            "connections": len(self._places),
            "page": self._page_number,
        }
        try:
            self._control.send(json.dumps(told).encode())
        except BlockingIOError:
            pass  # A reader that stands still misses a report, and no count: they only grow.
        except OSError:
            self._is_over = True

    # Accepting.

    def _open_or_rest(self) -> None:
        now = self._clock()
        if not self._is_open and now >= self._opens_at:
            self._is_open = True
            for listener in self._listeners:
                self._selector.register(listener, selectors.EVENT_READ, self._accepting(listener))

    def _rest(self, reason: str) -> None:
        """Accept nothing for a while; the kernel's queue is short, and drops what comes."""
        if self._is_open:
            self._is_open = False
            self._opens_at = self._clock() + REST_S
            self._refused[reason] += 1
            for listener in self._listeners:
                self._selector.unregister(listener)

    def _accepting(self, listener: socket.socket) -> Callable[[], None]:
        def accept() -> None:
            for _ in range(ACCEPTS_PER_TURN):
                now = self._clock()
                is_full = len(self._places) >= CONNECTIONS_MAX
                yielding = self._places.who_yields(now) if is_full else None
                if is_full and yielding is None:
                    self._rest("connections_max")
                    return
                if not self._rate.has_one(now):
                    self._rest("rate")
                    return
                try:
                    sock, address = listener.accept()
                except BlockingIOError:
                    return
                except OSError:
                    # No descriptor is left, or the connection is gone already.
                    self._rest("connections_max")
                    return
                self._rate.take(now)
                if yielding is not None:
                    self._cut(yielding, "connections_max")
                self._welcome(sock, address, now)

        return accept

    def _welcome(self, sock: socket.socket, address: Any, now: float) -> None:
        client = client_of(address)
        if not self._places.may_enter(client):
            self._refused["client_connections_max"] += 1
            sock.close()
            return
        sock.setblocking(False)
        visitor = _Visitor(sock, Conversation(self._desk, self._may_answer_again))
        self._visitors[visitor.number] = visitor
        self._places.enter(visitor.number, client, now)
        # The request has often come with the connection.
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._on_ready(visitor))

    def _may_answer_again(self) -> bool:
        """Whether a connection may have one more answer: its first one was counted when it was accepted."""
        if self._rate.take(self._clock()):
            return True
        self._refused["rate"] += 1
        return False

    # Talking.

    def _on_ready(self, visitor: _Visitor) -> None:
        if self._visitors.get(visitor.number) is not visitor:
            return
        if visitor.unsent:
            self._send(visitor)
            return
        try:
            octets = visitor.socket.recv(READ_OCTETS)
        except BlockingIOError:
            return
        except OSError:
            self._close(visitor)
            return
        if visitor.drained >= 0:
            visitor.drained += len(octets)
            if not octets or visitor.drained > LINGER_OCTETS_MAX:
                self._close(visitor)
            return
        try:
            visitor.unsent = visitor.conversation.receive(octets)
        except Exception:
            # One visitor's octets must not take the page from all others.
            self.defects += 1
            if self.defects <= DEFECTS_TOLD_MAX:
                traceback.print_exc()
            self._close(visitor)
            return
        self._statuses.update(visitor.conversation.statuses)
        visitor.conversation.statuses.clear()
        self._send(visitor)

    def _send(self, visitor: _Visitor) -> None:
        was_waiting = bool(visitor.unsent)
        try:
            sent = visitor.socket.send(visitor.unsent) if visitor.unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(visitor)
            return
        visitor.unsent = visitor.unsent[sent:]
        if visitor.unsent:
            self._wait_for(visitor, selectors.EVENT_WRITE)
        elif visitor.conversation.is_over:
            self._say_goodbye(visitor)
        elif was_waiting:
            self._places.begin_again(visitor.number, self._clock())
            self._wait_for(visitor, selectors.EVENT_READ)

    def _say_goodbye(self, visitor: _Visitor) -> None:
        """Close, and where more may have come, take it first: a reset would take the answer with it."""
        if not visitor.conversation.leaves_octets_unread:
            self._close(visitor)
            return
        visitor.drained = 0
        try:
            visitor.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(visitor)
            return
        self._wait_for(visitor, selectors.EVENT_READ)

    def _wait_for(self, visitor: _Visitor, events: int) -> None:
        key = self._selector.get_key(visitor.socket)
        if key.events != events:
            self._selector.modify(visitor.socket, events, key.data)

    def _cut(self, number: int, reason: str) -> None:
        visitor = self._visitors[number]
        # One that had its answers and rests, or is only saying goodbye, loses nothing.
        if visitor.drained < 0 and not visitor.conversation.is_resting:
            self._refused[reason] += 1
        self._close(visitor)

    def _close(self, visitor: _Visitor) -> None:
        if self._visitors.pop(visitor.number, None) is not None:
            self._selector.unregister(visitor.socket)
            self._places.leave(visitor.number)
            visitor.socket.close()


def client_of(address: Any) -> bytes:
    """Who comes from a socket's address: an IPv4 address, or the /64 of an IPv6 one."""
    host = str(address[0])
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:8]
    return host.encode()
