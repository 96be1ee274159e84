"""TLS between a socket and a connection to an upstream: one sees a protocol, the other a transport.

Knows: asyncio's two sides, OpenSSL's buffers.  Does not know: whom to trust (`tls_terms`), what is sent.
Theory: asyncio's own TLS takes no session, so nothing could be resumed.  This is a client's half of it alone,
without renegotiation.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Protocol, cast

from resolver.clock import Clock
from resolver.forwarding.tls_terms import Refusal, TlsTerms, certificate_of, refusal_of

READ_OCTETS = 65_536
UNREAD_OCTETS_MAX = 1 << 20
"""Answers of a server that takes nothing in itself; over it the connection is of no use."""


class Upper(Protocol):
    """The connection that is carried."""

    def on_connected(self, carrier: asyncio.Transport) -> None:
        """TCP is open, TLS begins; `carrier` can end it."""

    def on_not_connected(self, reason: str, words: str) -> None:
        """There will be no connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """One connection; `tls` tells about it once it is made."""

    def __init__(self, upper: Upper, terms: TlsTerms, address: str, clock: Clock) -> None:
        super().__init__()
        self._upper = upper
        self._terms = terms
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._clock = clock
        self.tls = terms.begin(self._incoming, self._outgoing, address, clock.now())
        self._stream: asyncio.Transport | None = None
        self._is_ready = False
        self._is_over = False
        self._has_kept_session = False

    # For the socket: a protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        # Not `isinstance`: uvloop's transports are no subclasses of asyncio's.
        stream = cast(asyncio.Transport, transport)
        if self._is_over:
            stream.abort()
            return
        self._stream = stream
        self._upper.on_connected(self)
        self._shake_hands()

    def data_received(self, data: bytes) -> None:
        """Decrypt."""
        if self._is_over:
            return
        self._incoming.write(data)
        if not self._is_ready:
            self._shake_hands()
        if self._is_ready:
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._stream = None
        if self._is_over:
            return
        self._is_over = True
        if self._is_ready:
            self._keep_session()
            # Without a close_notify the way broke, or somebody cut it (RFC 8446 §6.1).
            self._upper.connection_lost(exc or ssl.SSLEOFError("cut off"))
        else:
            self._upper.on_not_connected("stream", "it closed the connection during the handshake")

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._upper.pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._upper.resume_writing()

    # For the connection: a transport.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if self._is_over or not data:
            return
        try:
            self.tls.write(data)
        except ssl.SSLError:
            self._end(None)
            return
        self._flush()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Encrypt each of these by itself, and send them together.

        Some servers (NSD 4.6) read one message of a record, and the next when there is more on the socket.
        """
        try:
            for data in list_of_data:
                if self._is_over:
                    return
                self.tls.write(data)
        except ssl.SSLError:
            self._end(None)
            return
        self._flush()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See `asyncio.WriteTransport`."""
        if self._stream is not None:
            self._stream.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        """See `asyncio.WriteTransport`."""
        return 0 if self._stream is None else self._stream.get_write_buffer_size()

    def abort(self) -> None:
        """Close at once, with what is left of goodbye that the kernel takes."""
        if self._is_over and self._stream is None:
            return
        self._is_over = True
        if self._is_ready:
            self._keep_session()
        if self._stream is not None:
            self._stream.abort()
            self._stream = None

    # TLS.

    def _shake_hands(self) -> None:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except (ssl.SSLError, ValueError) as error:
            self._flush()  # the alert, so that its log says why
            self._refuse(refusal_of(error))
            return
        self._flush()
        refusal = self._terms.objection(self.tls)
        if refusal is not None:
            self._refuse(refusal)
            return
        self._is_ready = True
        upstream = self._terms.upstream
        if self.tls.session_reused:
            upstream.resumptions += 1
        else:
            upstream.handshakes += 1
            self._terms.verified_at = self._clock.now()
            certificate = certificate_of(self.tls.getpeercert(True))
            upstream.certificate_until = None if certificate is None else certificate.until
        self._upper.connection_made(self)

    def _refuse(self, refusal: Refusal) -> None:
        self._is_over = True
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._upper.on_not_connected(refusal.reason, refusal.words)

    def _read(self) -> None:
        while not self._is_over:
            try:
                plain = self.tls.read(READ_OCTETS)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._end(error)
                return
            if not self._has_kept_session:
                self._keep_session()
            if not plain:
                self._end(None)  # close_notify
                return
            self._upper.data_received(plain)
        self._flush()

    def _end(self, error: Exception | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._stream is not None:
            self._stream.abort()
            self._stream = None
        self._upper.connection_lost(error)

    def _flush(self) -> None:
        if self._stream is None:
            return
        if self._outgoing.pending:
            self._stream.write(self._outgoing.read())
            if self._stream.get_write_buffer_size() > UNREAD_OCTETS_MAX:
                self._end(None)

    def _keep_session(self) -> None:
        """TLS 1.3 sends tickets behind the handshake, so there is one as soon as anything was read."""
        if not self._has_kept_session:
            self._has_kept_session = self._terms.keep(self.tls.session)
