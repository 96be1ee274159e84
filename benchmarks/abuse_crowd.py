"""Many TCP connections that behave badly: opened, kept open, opened again when the server has closed them.

Knows: non-blocking sockets, epoll.  Does not know: DNS, HTTP, which attack it is.
"""

from __future__ import annotations

import heapq
import itertools
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence

HOST = "127.0.0.1"
REOPEN_S = 0.02
"""A connection that was closed is opened again after this."""
SEND_OCTETS = 65_536


class Connection:
    """One of them.  Subclasses say what it sends, and when."""

    receive_buffer_octets = 0
    """0: the usual one."""
    reads = True
    """Whether it takes what the server sends; it may stop to."""

    def __init__(self, source: str, port: int, number: int) -> None:
        self.number = number
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if self.receive_buffer_octets:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer_octets)
        # The port is chosen at connect, so that one address can have thousands.
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        self.socket.setblocking(False)
        self.socket.bind((source, 0))
        self.socket.connect_ex((HOST, port))

    def act(self) -> float | None:
        """Do what is due; seconds to the next time, None: never.  OSError ends the connection."""
        return None

    def hear(self) -> bool:
        """Take what has come; whether the server is still there."""
        while True:
            octets = self.socket.recv(SEND_OCTETS)
            if not octets:
                return False

    def end(self) -> None:
        """Close it, with a reset: nothing of it may linger here."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def run_crowd(
    kind: Callable[[str, int, int], Connection],
    port: int,
    count: int,
    sources: Sequence[str],
    until: float,
) -> dict[str, int]:
    """Keep `count` connections open, from `sources` in turn, until the time; how many it opened, lost."""
    epoll = select.epoll()
    open_now: dict[int, Connection] = {}
    due: list[tuple[float, int, int, Connection | None]] = []
    order = itertools.count()
    opened = closed = 0

    def schedule(after_s: float, number: int, connection: Connection | None) -> None:
        heapq.heappush(due, (time.monotonic() + after_s, next(order), number, connection))

    def drop(connection: Connection) -> None:
        nonlocal closed
        closed += 1
        del open_now[connection.socket.fileno()]
        connection.end()
        schedule(REOPEN_S, connection.number, None)

    for number in range(count):
        schedule(0.0, number, None)
    while (now := time.monotonic()) < until:
        while due and due[0][0] <= now:
            _, _, number, connection = heapq.heappop(due)
            if connection is None:
                connection = kind(sources[number % len(sources)], port, number)
                open_now[connection.socket.fileno()] = connection
                epoll.register(
                    connection.socket,
                    select.EPOLLRDHUP | (select.EPOLLIN if connection.reads else 0),
                )
                opened += 1
            elif connection.socket.fileno() not in open_now:
                continue
            try:
                after_s = connection.act()
            except BlockingIOError:
                after_s = REOPEN_S
            except OSError:
                drop(connection)
                continue
            if after_s is not None:
                schedule(after_s, number, connection)
        patience_s = min(until, due[0][0] if due else until) - time.monotonic()
        for descriptor, events in epoll.poll(max(0.0, patience_s)):
            if (found := open_now.get(descriptor)) is None:
                continue
            try:
                is_there = not events & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP)
                if is_there and events & select.EPOLLIN:
                    is_there = found.hear()
                    if is_there and not found.reads:
                        epoll.modify(descriptor, select.EPOLLRDHUP)
            except BlockingIOError:
                continue
            except OSError:
                is_there = False
            if not is_there:
                drop(found)
    for left in list(open_now.values()):
        left.end()
    return {"opened": opened, "closed": closed}
