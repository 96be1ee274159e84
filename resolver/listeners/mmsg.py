"""recvmmsg(2) and sendmmsg(2): many datagrams for one system call.

Knows: the layout of Linux's `struct mmsghdr` on 64-bit little-endian machines.  Does not know: DNS.
Theory: CPython's own `recvfrom` and `sendto` cost a system call and an address tuple per datagram.
Here the kernel fills one table of slots per call; lengths are read with one slice, an address stays the
`sockaddr` octets it arrived as, and an answer goes out with the sender's octets as its destination.
What is done for each datagram is done for the whole batch by C loops (`map`, `join`, slices with a step):
the same written as a Python loop costs three times as much.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate, repeat
from operator import add, getitem

from resolver.flow.route import DatagramRoute

BATCH_MAX = 64
"""Datagrams per system call; more gains nothing (the call's own cost is already spread thin)."""

RECEIVE_OCTETS_MAX = 4096
"""Longest query kept whole; a longer one arrives cut, which the accept filter refuses."""

SEND_OCTETS_MAX = 1536
"""Room for one answer: more than any this server sends over UDP."""

ADDRESS_OCTETS = 28
"""`struct sockaddr_in6`, the longer of the two kinds."""

CONTROL_OCTETS = 64
"""Room for one IP_PKTINFO or IPV6_PKTINFO control message."""

IP_PKTINFO = 8
IPV6_RECVPKTINFO = 49
IP_MTU_DISCOVER = 10
IPV6_MTU_DISCOVER = 23
PMTUDISC_OMIT = 5
"""Linux socket options that Python's `socket` does not name (include/uapi/linux/in.h, in6.h)."""

_MSG_DONTWAIT = 0x40
_HEADER_OCTETS = 64
_SLOT = 32


def is_available() -> bool:
    """Whether this machine has the calls, and its structures the layout used here."""
    # Numbers of 32 bits are written together with the padding behind them: right where the low end is first.
    return sys.platform == "linux" and ctypes.sizeof(ctypes.c_void_p) == 8 and sys.byteorder == "little"


class BatchSocket:
    """Receives and sends datagrams in batches on one non-blocking UDP socket.

    `with_control`: also carry each datagram's local address (IP_PKTINFO) from query to answer, which
    a socket bound to a wildcard address needs to answer from the address that was asked.
    """

    def __init__(self, sock: socket.socket, *, with_control: bool) -> None:
        self.sock = sock
        self._fd = ctypes.c_int(sock.fileno())
        libc = ctypes.CDLL(None, use_errno=True)
        self._recvmmsg = libc.recvmmsg
        self._sendmmsg = libc.sendmmsg
        self._is_ipv6 = sock.family == socket.AF_INET6
        self._with_control = with_control
        self._address_octets = 28 if self._is_ipv6 else 16

        self._receive_buffer = ctypes.create_string_buffer(BATCH_MAX * RECEIVE_OCTETS_MAX)
        self._names = ctypes.create_string_buffer(BATCH_MAX * _SLOT)
        self._controls = ctypes.create_string_buffer(BATCH_MAX * CONTROL_OCTETS)
        self._receive_iov = ctypes.create_string_buffer(BATCH_MAX * 16)
        self._receive_headers = ctypes.create_string_buffer(BATCH_MAX * _HEADER_OCTETS)
        self._send_buffer = ctypes.create_string_buffer(BATCH_MAX * SEND_OCTETS_MAX)
        self._send_names = ctypes.create_string_buffer(BATCH_MAX * _SLOT)
        self._send_controls = ctypes.create_string_buffer(BATCH_MAX * CONTROL_OCTETS)
        self._send_iov = ctypes.create_string_buffer(BATCH_MAX * 16)
        self._send_headers = ctypes.create_string_buffer(BATCH_MAX * _HEADER_OCTETS)

        self._received = memoryview(self._receive_buffer).cast("B")
        self._starts = range(0, BATCH_MAX * RECEIVE_OCTETS_MAX, RECEIVE_OCTETS_MAX)
        # Where the packed addresses stand in the table of `sockaddr`s.
        at, until = (8, 24) if self._is_ipv6 else (4, 8)
        self._addresses = [slice(start + at, start + until) for start in range(0, BATCH_MAX * _SLOT, _SLOT)]
        self._names_view = memoryview(self._names).cast("B")
        self._controls_view = memoryview(self._controls).cast("B")
        self._send_view = memoryview(self._send_buffer).cast("B")
        self._send_names_view = memoryview(self._send_names).cast("B")
        self._send_controls_view = memoryview(self._send_controls).cast("B")
        self._receive_words = memoryview(self._receive_headers).cast("B").cast("I")
        self._receive_longs = memoryview(self._receive_headers).cast("B").cast("Q")
        self._send_longs = memoryview(self._send_headers).cast("B").cast("Q")
        self._send_pieces = memoryview(self._send_iov).cast("B").cast("Q")
        """Where each row's octets start, and their number, by turns."""
        self._send_start = ctypes.addressof(self._send_buffer)
        self._name_pointers = array(
            "Q", [ctypes.addressof(self._names) + _SLOT * i for i in range(BATCH_MAX)]
        )
        self._control_pointers = [
            ctypes.addressof(self._controls) + CONTROL_OCTETS * i for i in range(BATCH_MAX)
        ]
        self._own_name_pointers = array(
            "Q", [ctypes.addressof(self._send_names) + _SLOT * i for i in range(BATCH_MAX)]
        )
        self._own_control_pointers = [
            ctypes.addressof(self._send_controls) + CONTROL_OCTETS * i for i in range(BATCH_MAX)
        ]
        self._receive_pointer = ctypes.c_void_p(ctypes.addressof(self._receive_headers))
        self._send_base = ctypes.addressof(self._send_headers)
        self._lay_headers()

    def _lay_headers(self) -> None:
        # struct mmsghdr: name*, namelen(4)+pad, iov*, iovlen, control*, controllen, flags(4)+pad, len(4)+pad
        receive_iov = memoryview(self._receive_iov).cast("B").cast("Q")
        for i in range(BATCH_MAX):
            receive_iov[2 * i] = ctypes.addressof(self._receive_buffer) + RECEIVE_OCTETS_MAX * i
            receive_iov[2 * i + 1] = RECEIVE_OCTETS_MAX
            row = 8 * i
            self._receive_longs[row] = self._name_pointers[i]
            self._receive_longs[row + 1] = self._address_octets
            self._receive_longs[row + 2] = ctypes.addressof(self._receive_iov) + 16 * i
            self._receive_longs[row + 3] = 1
            self._send_longs[row + 1] = self._address_octets
            self._send_longs[row + 2] = ctypes.addressof(self._send_iov) + 16 * i
            self._send_longs[row + 3] = 1
            if self._with_control:
                self._receive_longs[row + 4] = self._control_pointers[i]
                self._receive_longs[row + 5] = CONTROL_OCTETS

    def receive(self) -> list[int]:
        """Fetch what waits, at most `BATCH_MAX` datagrams; their lengths (empty: nothing waits).

        Raises OSError for anything but an empty queue or an interrupted call.
        """
        if self._with_control:  # the kernel wrote each message's own length here
            for row in range(5, 8 * BATCH_MAX, 8):
                self._receive_longs[row] = CONTROL_OCTETS
        count: int = self._recvmmsg(self._fd, self._receive_pointer, BATCH_MAX, _MSG_DONTWAIT, None)
        if count < 0:
            error = ctypes.get_errno()
            if error in (errno.EAGAIN, errno.EINTR):
                return []
            raise OSError(error, "recvmmsg")
        return self._receive_words[14 : 16 * count : 16].tolist()

    def datagrams(self, lengths: list[int]) -> list[bytes]:
        """The octets of the datagrams whose lengths `receive` returned."""
        slots = map(slice, self._starts, map(add, self._starts, lengths))
        return list(map(bytes, map(getitem, repeat(self._received), slots)))

    def addresses(self, count: int) -> list[bytes]:
        """The packed addresses of the first `count` datagrams' senders."""
        return list(map(self._names_view[: _SLOT * count].tobytes().__getitem__, self._addresses[:count]))

    def route(self, slot: int) -> DatagramRoute:
        """What `put_late` needs to answer slot's datagram after the batch is gone."""
        name = self._names_view[_SLOT * slot : _SLOT * slot + _SLOT].tobytes()
        if not self._with_control:
            return DatagramRoute(name, b"")
        length = self._receive_longs[8 * slot + 5]
        start = CONTROL_OCTETS * slot
        return DatagramRoute(name, bytes(self._controls_view[start : start + length]))

    def put(self, messages: list[bytes], slots: Sequence[int]) -> None:
        """Lay answers to the datagrams in `slots`, rising, into the rows of the next `send`."""
        self._put_octets(messages)
        count = len(messages)
        pointers = self._name_pointers
        if slots[-1] != count - 1:  # some in between have no answer yet
            pointers = array("Q", map(pointers.__getitem__, slots))
        self._send_longs[0 : 8 * count : 8] = pointers[:count]
        if self._with_control:
            for row, slot in enumerate(slots):
                self._send_longs[8 * row + 4] = self._control_pointers[slot]
                self._send_longs[8 * row + 5] = self._receive_longs[8 * slot + 5]
                self._forget_interface(self._controls_view, CONTROL_OCTETS * slot)

    def put_late(self, messages: list[bytes], routes: list[DatagramRoute]) -> None:
        """Lay answers to datagrams of earlier batches into the rows of the next `send`."""
        self._put_octets(messages)
        count = len(messages)
        names = b"".join([name for name, _ in routes])
        self._send_names_view[: len(names)] = names
        self._send_longs[0 : 8 * count : 8] = self._own_name_pointers[:count]
        if self._with_control:
            for row, (_, control) in enumerate(routes):
                start = CONTROL_OCTETS * row
                self._send_controls_view[start : start + len(control)] = control
                self._send_longs[8 * row + 4] = self._own_control_pointers[row]
                self._send_longs[8 * row + 5] = len(control)
                self._forget_interface(self._send_controls_view, start)

    def _put_octets(self, messages: list[bytes]) -> None:
        """Lay the messages one behind the other, and tell each row where its own starts."""
        octets = b"".join(messages)
        self._send_view[: len(octets)] = octets
        lengths = array("Q", map(len, messages))
        ends = 2 * len(messages)
        self._send_pieces[1:ends:2] = lengths
        self._send_pieces[0:ends:2] = array("Q", accumulate(lengths[:-1], initial=self._send_start))

    def _forget_interface(self, controls: memoryview, start: int) -> None:
        # Keep the address that was asked, let routing choose the interface: cmsghdr is 16 octets, then
        # in_pktinfo {ifindex, spec_dst, addr} or in6_pktinfo {addr(16), ifindex}.
        offset = start + (32 if self._is_ipv6 else 16)
        controls[offset : offset + 4] = b"\0\0\0\0"

    def send(self, count: int) -> int:
        """Send rows 0 to `count` - 1; how many the kernel did not take (one bad row costs only itself)."""
        done = lost = 0
        while done < count:
            sent = self._sendmmsg(
                self._fd,
                ctypes.c_void_p(self._send_base + _HEADER_OCTETS * done),
                count - done,
                _MSG_DONTWAIT,
            )
            if sent > 0:
                done += sent
                continue
            if ctypes.get_errno() == errno.EINTR:
                continue
            done += 1
            lost += 1
        return lost
