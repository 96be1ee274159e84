"""The server's half of one TLS connection, without a socket (RFC 8446; for DNS RFC 7858).

Knows: handshake, records, close_notify.  Does not know: sockets, time, what is said inside.
Theory: OpenSSL works between two buffers in memory.  What the client sent is written into one, what it is
to be sent is taken from the other.  So a connection keeps its one transport, its limits and its timers, and
counts before it says a word, whether it speaks TLS or not.
"""

from __future__ import annotations

import contextlib
import ssl

RECORD_OCTETS_MAX = 16_384
"""Plain octets in one record (RFC 8446 §5.1)."""


class TlsSession:
    """Reads and writes records; certificate, versions and ALPN are those of `context`."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._has_closed = False
        self.is_established = False
        """Whether the handshake is done."""
        self.has_client_closed = False
        """Whether the client's close_notify came: it says no more, but may still read."""

    def receive(self, octets: bytes) -> bytes:
        """What the client says in `octets`: whole records; the rest waits for more.

        Raises ssl.SSLError when it breaks the protocol; then only the alert in `outgoing` is left to send.
        """
        self._incoming.write(octets)
        if not self.is_established:
            try:
                self._ssl.do_handshake()
            except ssl.SSLWantReadError:
                return b""
            except ssl.SSLError:
                self._has_closed = True
                raise
            self.is_established = True
        return self._read()

    def _read(self) -> bytes:
        parts = []
        while self._incoming.pending or self._ssl.pending():
            try:
                part = self._ssl.read(RECORD_OCTETS_MAX)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError:
                self._has_closed = True
                raise
            if not part:
                self.has_client_closed = True
                break
            parts.append(part)
        return b"".join(parts)

    def outgoing(self) -> bytes:
        """Octets to send now: of the handshake, an alert, a new key; mostly none."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def seal(self, octets: bytes) -> bytes:
        """`octets` as records to send.  Raises ssl.SSLError when that can no longer be."""
        self._ssl.write(octets)
        return self._outgoing.read()

    def close(self) -> bytes:
        """The close_notify to send, once; nothing without a handshake, or after a broken protocol."""
        if self._has_closed or not self.is_established:
            return b""
        self._has_closed = True
        # It waits for the client's own close_notify, which nobody needs (RFC 8446 §6.1).
        with contextlib.suppress(ssl.SSLError):
            self._ssl.unwrap()
        return self._outgoing.read()
