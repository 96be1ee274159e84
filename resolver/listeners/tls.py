"""The server's half of one TLS connection, without a socket (RFC 8446; for DNS RFC 7858).

Knows: handshake, records, close_notify.  Does not know: sockets, time, what is inside.
Theory: OpenSSL works between two buffers in memory.  What the client sent is written into one, what it is
to be sent is taken from the other.  So a connection keeps its one transport, its limits and its timers, and
counts from its start, whether it speaks TLS or not.
"""

from __future__ import annotations

import contextlib
import ssl

from resolver.certificates.contexts import ASKED_NAME

RECORD_OCTETS_MAX = 16_384
"""Plain octets in one record (RFC 8446 §5.1)."""

REPLY_OCTETS_MAX = 4096
"""Octets that TLS itself may have to send after the handshake for `RECORD_OCTETS_MAX` of a client's: a
new key, an alert.  A client can ask for a new key in 27 octets (§4.6.3), so 600 times in that many; each
costs 30 µs and as many octets in return.  More than 150 of them in a row end the connection."""


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

    @property
    def version(self) -> str:
        """As OpenSSL spells it, e.g. `TLSv1.3`; empty before the handshake is done."""
        return self._ssl.version() or "" if self.is_established else ""

    @property
    def is_resumed(self) -> bool:
        """Whether it went on from an earlier session."""
        return bool(self._ssl.session_reused)

    @property
    def protocol(self) -> str:
        """What was agreed to be spoken inside (ALPN); empty: nothing was."""
        return self._ssl.selected_alpn_protocol() or ""

    @property
    def server_name(self) -> str | None:
        """The name that the client asked for; None: none."""
        name: str | None = getattr(self._ssl, ASKED_NAME, None)
        return name

    @property
    def held_octets(self) -> int:
        """Octets that wait for the rest of their record, or to be sent."""
        return self._incoming.pending + self._outgoing.pending

    def receive(self, octets: bytes | bytearray) -> bytes:
        """What the client says in `octets`: whole records; the rest waits for more.

        Raises ssl.SSLError when it breaks the protocol; then only the alert in `outgoing` is left to send.
        """
        if len(octets) <= RECORD_OCTETS_MAX:
            self._incoming.write(octets)
            return self._read() if self.is_established or self._is_ready() else b""
        parts = []
        for start in range(0, len(octets), RECORD_OCTETS_MAX):
            self._incoming.write(octets[start : start + RECORD_OCTETS_MAX])
            if self._is_ready():
                parts.append(self._read())
        return b"".join(parts)

    def _is_ready(self) -> bool:
        """Whether records can be read: go on with the handshake, if it is not done."""
        if not self.is_established:
            try:
                self._ssl.do_handshake()
            except ssl.SSLWantReadError:
                return False
            except ssl.SSLError:
                self._has_closed = True
                raise
            self.is_established = True
        return True

    def _read(self) -> bytes:
        sent_before = self._outgoing.pending
        parts: list[bytes] = []
        # A read takes a whole record, so nothing of one stays behind in OpenSSL.
        while self._incoming.pending:
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
            if not parts and not self._incoming.pending and not self._outgoing.pending:
                return part  # all there was
            parts.append(part)
        if self._outgoing.pending - sent_before > REPLY_OCTETS_MAX:
            self._has_closed = True
            raise ssl.SSLError("the client asks for a new key again and again")
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
