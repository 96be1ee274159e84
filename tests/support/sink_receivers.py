"""Receivers of query records for tests: they keep all they get, and can refuse, stall or go away.

Knows: sockets, the handshake of Frame Streams from its description, TLS.  Does not know: who sends.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

CONTENT_TYPE = b"protobuf:dnstap.Dnstap"


def control(kind: int, content_type: bytes | None = None) -> bytes:
    content = kind.to_bytes(4)
    if content_type is not None:
        content += b"\0\0\0\1" + len(content_type).to_bytes(4) + content_type
    return bytes(4) + len(content).to_bytes(4) + content


class StreamReceiver:
    """Listens on a Unix socket, or on TCP of loopback, with TLS if there is a context."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        answers: tuple[bytes, ...] = (),
        reads: bool = True,
        port: int = 0,
    ) -> None:
        """`answers`: what is said after the first octets have come, and after the last.  `reads`: else it stalls."""
        self._tls = tls
        self._answers = answers
        self._reads = reads
        self.octets: list[bytes] = []
        """Of each connection."""
        self._changed = threading.Condition()
        self._connections: list[socket.socket] = []
        family = socket.AF_INET if path is None else socket.AF_UNIX
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        if path is None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(("127.0.0.1", port))
        else:
            self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.hang_up()
        self._thread.join(5)

    def hang_up(self) -> None:
        """Close every connection at once, whatever is under way."""
        for sock in self._connections:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
                sock.close()

    def wait_for(self, part: bytes, timeout_s: float = 10.0) -> bytes:
        """Until `part` came over a connection; all that came over it."""

        def found() -> bytes:
            return next((octets for octets in self.octets if part in octets), b"")

        with self._changed:
            assert self._changed.wait_for(found, timeout_s), (part, self.octets)
            return found()

    def wait_for_connections(self, count: int, timeout_s: float = 10.0) -> None:
        """Until so many connections have come in all."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.octets) >= count, timeout_s)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            self._connections.append(sock)
            with self._changed:
                number = len(self.octets)
                self.octets.append(b"")
                self._changed.notify_all()
            answers = list(self._answers)
            while self._reads and (part := sock.recv(65_536)):
                with self._changed:
                    self.octets[number] += part
                    self._changed.notify_all()
                is_end = part.endswith(control(3))
                if answers and (len(answers) == len(self._answers) or is_end):
                    sock.sendall(answers.pop(0))
            if not self._reads:
                if answers:
                    sock.recv(65_536)
                    sock.sendall(answers.pop(0))
                return
        with contextlib.suppress(OSError):
            sock.close()


def dnstap_receiver(path: Path, *, reads: bool = True) -> StreamReceiver:
    """Says ACCEPT and FINISH when it must."""
    return StreamReceiver(path, answers=(control(1, CONTENT_TYPE), control(5)), reads=reads)
