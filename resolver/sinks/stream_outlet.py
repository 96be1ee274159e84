"""Records over a connection: a Unix socket, TCP or TLS.

Knows: how connections are made, and the handshake of Frame Streams.  Does not know: records, when to send.
Theory: what the kernel has taken counts as passed on.  So before octets go the connection is looked at: a
receiver that has closed gets no more of them.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from resolver.portions import PORTION_OCTETS
from resolver.sinks.frames import (
    ACCEPT,
    FINISH,
    READY,
    START,
    STOP,
    BadFrame,
    Control,
    control_frame,
    control_length,
    read_control,
)
from resolver.sinks.outlet import Broken, reason_of

OPEN_S: Final = 5.0
"""For connecting and for each handshake."""

SILENT_S_MAX: Final = 30
"""After this long without a sign of life a TCP connection is given up by the kernel."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who gets the records."""

    address: str | tuple[str, int]
    """Path of a Unix socket; or address and port."""
    tls: Callable[[], ssl.SSLContext] | None = None
    """Makes what is needed for TLS; None: without.  May raise OSError."""
    name: str = ""
    """That its certificate must have."""


class StreamOutlet:
    """See `outlet.Outlet`."""

    lost: Final = 0
    remark: Final = ""

    def __init__(self, receiver: Receiver, *, content_type: bytes | None = None) -> None:
        """`content_type`: of frames, if such are sent."""
        self._receiver = receiver
        self._content_type = content_type
        self._socket: socket.socket | None = None
        self._wanted = select.POLLOUT

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self) -> None:
        sock = self._connect()
        try:
            if self._receiver.tls is not None:
                context = self._receiver.tls()
                # ssl would refuse it, too, but only after it has taken the socket for good.
                self._receiver.name.encode("idna")
                sock = context.wrap_socket(sock, server_hostname=self._receiver.name)
            if self._content_type is not None:
                self._shake_hands(sock, self._content_type)
            sock.setblocking(False)
        except ssl.SSLCertVerificationError as error:
            sock.close()
            raise OSError(errno.EPROTO, f"TLS: {error.verify_message}") from None
        except (OSError, BadFrame) as error:
            sock.close()
            if isinstance(error, ssl.SSLError):
                raise OSError(errno.EPROTO, f"TLS: {error.reason or error}") from None
            if isinstance(error, BadFrame):
                raise OSError(errno.EPROTO, f"handshake of Frame Streams: {error}") from None
            raise
        except ValueError as error:
            sock.close()
            raise OSError(errno.EPROTO, f"TLS to {self._receiver.name!r}: {error}") from None
        self._socket = sock

    def put(self, octets: memoryview) -> int:
        assert self._socket is not None
        self.look_after()
        done = 0
        try:
            while done < len(octets):
                done += self._socket.send(octets[done : done + PORTION_OCTETS])
        except (BlockingIOError, ssl.SSLWantWriteError):
            self._wanted = select.POLLOUT
        except ssl.SSLWantReadError:
            self._wanted = select.POLLIN
        except OSError as error:
            self._close()
            raise Broken(reason_of(error), done) from None
        return done

    def wait(self, wait_s: float) -> None:
        if self._socket is not None:
            poll = select.poll()
            poll.register(self._socket, self._wanted)
            poll.poll(wait_s * 1000)

    def look_after(self) -> None:
        """Whether the receiver is still there; what it says is not read by anybody."""
        assert self._socket is not None
        try:
            said = self._socket.recv(4096)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._close()
            raise Broken(reason_of(error)) from None
        if not said or self._content_type is not None:
            # In frames a receiver says nothing between START and STOP.
            self._close()
            raise Broken("the receiver has closed the connection")

    def close(self, wait_s: float) -> None:
        sock = self._socket
        if sock is not None and self._content_type is not None:
            until = time.monotonic() + wait_s
            with contextlib.suppress(OSError, BadFrame, ValueError):
                sock.settimeout(max(wait_s, 0.01))
                sock.sendall(control_frame(STOP))
                while _read_control(sock, until).kind != FINISH:
                    pass
        self._close()

    def _connect(self) -> socket.socket:
        address = self._receiver.address
        if isinstance(address, str):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.settimeout(OPEN_S)
            if not isinstance(address, str):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENT_S_MAX)
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        return sock

    def _shake_hands(self, sock: socket.socket, content_type: bytes) -> None:
        """Raises OSError, BadFrame."""
        until = time.monotonic() + OPEN_S
        sock.sendall(control_frame(READY, content_type))
        accept = _read_control(sock, until)
        if accept.kind != ACCEPT or content_type not in accept.content_types:
            raise BadFrame(f"the receiver does not accept {content_type.decode()}")
        sock.sendall(control_frame(START, content_type))

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _read_control(sock: socket.socket, until: float) -> Control:
    """The next control frame.  Raises OSError, BadFrame."""
    return read_control(_read(sock, control_length(_read(sock, 8, until)), until))


def _read(sock: socket.socket, count: int, until: float) -> bytes:
    octets = b""
    while len(octets) < count:
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "the receiver says nothing")
        sock.settimeout(left_s)
        part = sock.recv(count - len(octets))
        if not part:
            raise BadFrame("the receiver has closed the connection")
        octets += part
    return octets
