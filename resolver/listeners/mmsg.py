"""recvmmsg(2) and sendmmsg(2): many datagrams for one system call.

Knows: the layout of Linux's `struct mmsghdr` on 64-bit machines.  Does not know: DNS.
Theory: CPython's own `recvfrom` and `sendto` cost a system call and an address tuple per datagram.
Here the kernel fills one table of slots per call; lengths are read with one slice, an address stays the
`sockaddr` octets it arrived as, and an answer goes out with the sender's octets as its destination.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import sys

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
    """Whether this machine has the calls in the layout used here."""
    return sys.platform == "linux" and ctypes.sizeof(ctypes.c_void_p) == 8


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

        self.received = memoryview(self._receive_buffer).cast("B")
        """Slot i's datagram starts at `i * RECEIVE_OCTETS_MAX`."""
        self._names_view = memoryview(self._names).cast("B")
        self._controls_view = memoryview(self._controls).cast("B")
        self._send_view = memoryview(self._send_buffer).cast("B")
        self._send_names_view = memoryview(self._send_names).cast("B")
        self._send_controls_view = memoryview(self._send_controls).cast("B")
        self._receive_words = memoryview(self._receive_headers).cast("B").cast("I")
        self._receive_longs = memoryview(self._receive_headers).cast("B").cast("Q")
        self._send_longs = memoryview(self._send_headers).cast("B").cast("Q")
        self._send_lengths = memoryview(self._send_iov).cast("B").cast("Q")
        self._name_pointers = [ctypes.addressof(self._names) + _SLOT * i for i in range(BATCH_MAX)]
        self._control_pointers = [
            ctypes.addressof(self._controls) + CONTROL_OCTETS * i for i in range(BATCH_MAX)
        ]
        self._own_name_pointers = [ctypes.addressof(self._send_names) + _SLOT * i for i in range(BATCH_MAX)]
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
            self._send_lengths[2 * i] = ctypes.addressof(self._send_buffer) + SEND_OCTETS_MAX * i
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

    def addresses(self) -> bytes:
        """The senders' `sockaddr` octets of the last batch, 32 octets a slot."""
        return self._names_view.tobytes()

    def sender(self, slot: int) -> tuple[bytes, bytes]:
        """What `queue_to` needs to answer slot's datagram after the batch is gone."""
        name = bytes(self._names_view[_SLOT * slot : _SLOT * slot + self._address_octets])
        if not self._with_control:
            return name, b""
        length = self._receive_longs[8 * slot + 5]
        start = CONTROL_OCTETS * slot
        return name, bytes(self._controls_view[start : start + length])

    def put(self, row: int, slot: int, message_id: bytes, tail: bytes) -> None:
        """Lay an answer to slot's datagram into row `row` of the next `send`."""
        start = row * SEND_OCTETS_MAX
        length = 2 + len(tail)
        self._send_view[start : start + length] = message_id + tail
        self._send_lengths[2 * row + 1] = length
        self._send_longs[8 * row] = self._name_pointers[slot]
        if self._with_control:
            self._send_longs[8 * row + 4] = self._control_pointers[slot]
            self._send_longs[8 * row + 5] = self._receive_longs[8 * slot + 5]
            self._forget_interface(self._controls_view, CONTROL_OCTETS * slot)

    def put_to(self, row: int, sender: tuple[bytes, bytes], octets: bytes) -> None:
        """Lay an answer to an earlier `sender` into row `row` of the next `send`."""
        name, control = sender
        start = row * SEND_OCTETS_MAX
        self._send_view[start : start + len(octets)] = octets
        self._send_lengths[2 * row + 1] = len(octets)
        self._send_names_view[_SLOT * row : _SLOT * row + len(name)] = name
        self._send_longs[8 * row] = self._own_name_pointers[row]
        if self._with_control:
            start = CONTROL_OCTETS * row
            self._send_controls_view[start : start + len(control)] = control
            self._send_longs[8 * row + 4] = self._own_control_pointers[row]
            self._send_longs[8 * row + 5] = len(control)
            self._forget_interface(self._send_controls_view, start)

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
