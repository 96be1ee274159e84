"""An upstream whose answers a test holds back and lets go.

Knows: one UDP socket on loopback, and which names to hold.  Does not know: time.
A thousand questions may come at one moment, so each is answered with a few octets, without a parser: an upstream
that is slower than its clients fills its receive buffer, and the kernel loses somebody else's question.
"""

from __future__ import annotations

import socket
import threading
from types import TracebackType

ADDRESS = "192.0.2.99"
"""What every name's A record is."""
RECEIVE_OCTETS = 4 << 20
"""As much of it as the machine allows."""
HEAD_OCTETS = 12
RECORD = b"\xc0\x0c\0\1\0\1" + (60).to_bytes(4, "big") + b"\0\4" + socket.inet_aton(ADDRESS)
"""Of the name in the question; RFC 1035 §3.2.1 and §4.1.4."""
OPT = b"\0\0\x29\x04\xd0" + bytes(6)
"""RFC 6891 §6.1.2, with 1232 octets and nothing else."""


def reply_to(query: bytes) -> bytes:
    """NOERROR with one address, whatever the type; EDNS where the query had it."""
    end = HEAD_OCTETS
    while query[end]:
        end += 1 + query[end]
    has_edns = query[11] > 0
    flags = bytes((query[2] | 0x80, 0x80 | (query[3] & 0x10)))
    counts = b"\0\1\0\1\0\0" + bytes((0, has_edns))
    return query[:2] + flags + counts + query[HEAD_OCTETS : end + 5] + RECORD + OPT * has_edns


class SlowUpstream:
    """Answers A questions at once, but those whose first label is `held` only after `release`."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_OCTETS)
        self._socket.bind(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        self._held: list[tuple[bytes, tuple[str, int]]] = []
        self._is_holding = True
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def held_count(self) -> int:
        """Queries that wait."""
        return len(self._held)

    def release(self) -> None:
        """Answer all that is held, and hold nothing from now on."""
        with self._lock:
            self._is_holding = False
            for octets, client in self._held:
                self._socket.sendto(octets, client)

    def _serve(self) -> None:
        while True:
            octets, client = self._socket.recvfrom(4096)
            if not octets:
                return
            reply = reply_to(octets)
            with self._lock:
                if self._is_holding and octets[HEAD_OCTETS : HEAD_OCTETS + 5].lower() == b"\4held":
                    self._held.append((reply, client))
                else:
                    self._socket.sendto(reply, client)

    def __enter__(self) -> SlowUpstream:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(5.0)
        self._socket.close()
