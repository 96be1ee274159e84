"""`steady_load` over DNS over TLS: sessions that stay, many questions on each, and the same exact account.

Knows: TLS, framing.  Does not know: what happens to the server meanwhile.

    python -m tests.loopback.steady_tls_load PORT QUERIES_PER_S HOT_NAMES RARE_EVERY ACCOUNT
"""

from __future__ import annotations

import socket
import ssl
import sys
from pathlib import Path

from tests.loopback.steady_load import SOCKETS, SteadyLoad


class Session:
    """One session, its octets on the way out and in."""

    def __init__(self, port: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = context.wrap_socket(plain, server_hostname="dns.example")
        self.sock.setblocking(False)
        self._out = bytearray()
        self._in = bytearray()

    def send(self, message: bytes) -> None:
        """Send it, now or with the next one.  Raises OSError: the session is over."""
        self._out += len(message).to_bytes(2, "big") + message
        try:
            del self._out[: self.sock.send(self._out)]
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return

    def received(self) -> list[bytes]:
        """Whole messages that have come.  Raises OSError: the session is over."""
        while True:
            try:
                octets = self.sock.recv(65_536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            if not octets:
                raise ConnectionResetError("the server hung up")
            self._in += octets
        found = []
        while len(self._in) >= 2 and len(self._in) >= (end := 2 + int.from_bytes(self._in[:2], "big")):
            found.append(bytes(self._in[2:end]))
            del self._in[:end]
        return found


class SteadyTlsLoad(SteadyLoad):
    """All queries of one run."""

    def connect(self, port: int) -> list[socket.socket]:
        self._sessions = [Session(port) for _ in range(SOCKETS)]
        return [session.sock for session in self._sessions]

    def send_to(self, client: int, octets: bytes) -> None:
        self._sessions[client].send(octets)

    def messages_of(self, client: int) -> list[bytes]:
        return self._sessions[client].received()


if __name__ == "__main__":
    load = SteadyTlsLoad(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    load.run()
    load.write(Path(sys.argv[5]))
