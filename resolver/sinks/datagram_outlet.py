"""Records as datagrams of UDP, one each.

Knows: sockets.  Does not know: what a record says.
Theory: whether a datagram arrives nobody knows.  Where nobody listens the kernel may be told so, and says it
at the next one: that one counts as lost.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable, Iterator

from resolver.sinks.outlet import Broken, reason_of

GONE = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)
"""Nobody is there: it is not the datagram's fault."""


class DatagramOutlet:
    """See `outlet.Outlet`."""

    def __init__(
        self,
        address: tuple[str, int],
        ends: Callable[[memoryview], Iterator[int]],
        datagram_of: Callable[[memoryview], memoryview],
    ) -> None:
        """`ends`: where records end in what is put; `datagram_of`: what of one of them is sent."""
        self._address = address
        self._ends = ends
        self._datagram_of = datagram_of
        self._socket: socket.socket | None = None
        self.lost = 0

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
        assert self._socket is not None
        send, datagram_of = self._socket.send, self._datagram_of
        done = 0
        for end in self._ends(octets):
            try:
                send(datagram_of(octets[done:end]))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in GONE and error.errno != errno.EMSGSIZE:
                    self._close()
                    raise Broken(reason_of(error), done) from None
                self.lost += 1
                if error.errno in GONE:
                    self._close()
                    raise Broken(reason_of(error), end) from None
            done = end
        return done

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
