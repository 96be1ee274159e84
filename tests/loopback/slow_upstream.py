"""An upstream whose answers a test holds back and lets go.

Knows: one UDP socket on loopback, and which names to hold.  Does not know: time.
"""

from __future__ import annotations

import socket
import threading
from types import TracebackType

import dns.message
import dns.rcode
import dns.rrset

ADDRESS = "192.0.2.99"
"""What every name's A record is."""


class SlowUpstream:
    """Answers A questions at once, but those whose first label is `held` only after `release`."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
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
            query = dns.message.from_wire(octets)
            question = query.question[0]
            reply = dns.message.make_response(query, recursion_available=True)
            reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", ADDRESS))
            with self._lock:
                if self._is_holding and question.name.labels[0].lower() == b"held":
                    self._held.append((reply.to_wire(), client))
                else:
                    self._socket.sendto(reply.to_wire(), client)

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
