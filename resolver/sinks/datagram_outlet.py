"""Records as datagrams of UDP, one each, many for one system call.

Knows: sendmmsg(2), as Linux lays it out on 64-bit machines.  Does not know: what a record says.
Theory: whether a datagram arrives nobody knows.  Where nobody listens the kernel may be told so, and says it
at the next one: that one counts as lost.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
from array import array
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from resolver.sinks.outlet import Broken

GONE: Final = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)
"""Nobody is there: it is not the datagram's fault."""

BATCH_MAX: Final = 64
"""Datagrams for one call."""

_MSG_DONTWAIT: Final = 0x40
_HEADER_LONGS: Final = 8
"""struct mmsghdr: name, its length, iov, iovlen, control, its length, flags, length; 8 octets each."""

Spans = Callable[[memoryview], Iterator[tuple[int, int]]]
"""Where the datagram of each record starts and ends in what is put; a record ends with it."""


class DatagramOutlet:
    """See `outlet.Outlet`."""

    remark: Final = ""

    def __init__(self, address: tuple[str, int], spans: Spans) -> None:
        self._address = address
        self._spans = spans
        self._socket: socket.socket | None = None
        self.lost = 0
        self._sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
        self._pieces = array("Q", bytes(16 * BATCH_MAX))
        self._headers = array("Q", bytes(8 * _HEADER_LONGS * BATCH_MAX))
        first_piece, _ = self._pieces.buffer_info()
        for row in range(BATCH_MAX):
            self._headers[_HEADER_LONGS * row + 2] = first_piece + 16 * row
            self._headers[_HEADER_LONGS * row + 3] = 1

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self) -> None:
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            sock.connect(self._address)
        except OSError:
            sock.close()
            raise
        self._socket = sock

    def put(self, octets: memoryview) -> int:
        done = 0
        spans = self._spans(octets)
        while batch := list(islice(spans, BATCH_MAX)):
            sent = self._send(octets, batch, done)
            if sent:
                done = batch[sent - 1][1]
            if sent < len(batch):
                break
        return done

    def _send(self, octets: memoryview, batch: list[tuple[int, int]], done: int) -> int:
        """Send a batch; how many of it went, or are lost.  `done`: octets before it.  Raises Broken."""
        assert self._socket is not None
        first, last = batch[0][0], batch[-1][1]
        # The call reads from here.
        room = ctypes.create_string_buffer(bytes(octets[first:last]), last - first)
        base = ctypes.addressof(room) - first
        for row, (start, end) in enumerate(batch):
            self._pieces[2 * row] = base + start
            self._pieces[2 * row + 1] = end - start
        first_header, _ = self._headers.buffer_info()
        sent, most = 0, BATCH_MAX
        while sent < len(batch):
            wanted = min(len(batch) - sent, most)
            header = ctypes.c_void_p(first_header + 8 * _HEADER_LONGS * sent)
            count = self._sendmmsg(self._socket.fileno(), header, wanted, _MSG_DONTWAIT)
            if count > 0:
                sent += count
                # What ended a call early is forgotten with it; behind one datagram the next call says it.
                most = 1 if count < wanted else BATCH_MAX
                continue
            error = ctypes.get_errno()
            if error in (errno.EAGAIN, errno.ENOBUFS):
                break
            if error == errno.EINTR:
                continue
            if error not in GONE and error != errno.EMSGSIZE:
                self._close()
                raise Broken(os.strerror(error), batch[sent - 1][1] if sent else done)
            self.lost += 1
            sent += 1
            if error in GONE:
                self._close()
                raise Broken(os.strerror(error), batch[sent - 1][1])
        return sent

    def wait(self, wait_s: float) -> None:
        if self._socket is not None:
            poll = select.poll()
            poll.register(self._socket, select.POLLOUT)
            poll.poll(wait_s * 1000)

    def look_after(self) -> None:
        """Nothing can be seen."""

    def close(self, wait_s: float) -> None:
        self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
