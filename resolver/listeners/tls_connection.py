"""One client's connection over TLS: the same messages, sealed (RFC 7858).

Knows: when a handshake is done, failed or too slow, and what it came to.  Does not know: TLS itself (`tls`),
certificates.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from resolver.certificates.outcomes import TlsCounts, failure_of, group_of
from resolver.flow.clients import client_key
from resolver.listeners.connection import Connection, Host
from resolver.listeners.handshakes import HandshakeLimits
from resolver.listeners.limits import NEVER
from resolver.listeners.tls import TlsSession

HANDSHAKE_S: Final = 5.0
"""A client that has not finished its handshake by then is cut."""


@dataclass(slots=True)
class TlsSide:
    """What encrypted listeners need besides; one for all of a server that speak the same protocols."""

    context_at: Callable[[float], ssl.SSLContext]
    """What a connection begins in that comes `now`."""
    counts: TlsCounts = field(default_factory=TlsCounts)
    handshakes: HandshakeLimits = field(default_factory=HandshakeLimits)


class TlsHost(Host, Protocol):
    """What a connection over TLS needs of its listener."""

    @property
    def tls(self) -> TlsSide: ...


class TlsConnection(Connection):
    """A client that closes its half, by close_notify or FIN, still gets its answers."""

    _session: TlsSession
    """From when the connection is admitted."""

    def __init__(self, host: TlsHost) -> None:
        super().__init__(host)
        self._tls = host.tls
        self._arrived = bytearray()
        self._group = ""
        self._has_cost = False
        """Whether a hello was answered, and nothing came of it yet."""
        self._is_counted = False
        """Whether it is counted what the handshake came to."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._transport is not None:
            self._session = TlsSession(self._tls.context_at(self._host.clock.now()))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._count_failure("closed")
        super().connection_lost(exc)

    def eof_received(self) -> bool:
        if self._transport is not None and not self._session.is_established:
            self._count_failure("closed")
        return super().eof_received()

    def held_octets(self) -> int:
        """See `limits.Holder`."""
        return super().held_octets() + len(self._buffer) + self._session.held_octets

    def give_way(self, reason: str) -> None:
        """See `limits.Holder`; what becomes of its handshake then is not its client's doing."""
        self._is_counted = True
        super().give_way(reason)

    def sweep(self, now: float, idle_s: float) -> None:
        limit_s = min(HANDSHAKE_S, idle_s)
        if self._session.is_established or self._is_ending or now - self.place.quiet_since <= limit_s:
            super().sweep(now, idle_s)
        else:
            # There is no session yet, so no close_notify is due.
            self._count_failure("timeout")
            self._host.reporter.count_drop("tls_handshake_timeout")
            self.abort()

    def _is_owed_octets(self) -> bool:
        return not self._session.is_established or super()._is_owed_octets()

    def _answer_messages(self, began: float) -> bool:
        return super()._answer_messages(self._unseal_arrived(began))

    def _unseal_arrived(self, began: float) -> float:
        """Read what arrived; from when on the time belongs to what is answered."""
        if not self._arrived or self._transport is None:
            return began
        was_established = self._session.is_established
        self._unseal(self._transport)
        if was_established:
            return began
        # A handshake takes its part of the round, too, but is no part of an answer's time.
        now = self._host.clock.now()
        self._host.turns.spend(now - began)
        return now

    def _unseal(self, transport: asyncio.Transport) -> None:
        """Read what arrived, and send what TLS itself has to say to it."""
        session = self._session
        was_established = session.is_established
        try:
            received = session.receive(self._arrived)
        except ssl.SSLError as error:
            self._arrived.clear()
            self._break_off(transport, error)
            return
        self._arrived.clear()
        if octets := session.outgoing():
            if not self._group:
                self._group = group_of(octets)
            self._has_cost = True
            transport.write(octets)
        if session.is_established and not was_established:
            self._on_established(session)
        self._buffer += received
        if session.has_client_closed:
            self._has_client_ended = self._is_ending = True

    def _on_established(self, session: TlsSession) -> None:
        """The handshake is done."""
        self._is_counted = True
        self.peer.name = self._host.identities.names.in_server_name(session.server_name)
        label = self._host.transport.label
        self._tls.counts.succeeded(label, session.version, self._group or "none", session.is_resumed)
        self.place.quiet_since = self._host.clock.now()
        self.place.slow_since = NEVER

    def _count_failure(self, reason: str) -> None:
        """The handshake came to nothing; once, and not after one that is done."""
        if not self._is_counted:
            self._is_counted = True
            self._tls.counts.failed(reason)
            if self._has_cost:
                self._charge()

    def _charge(self) -> None:
        """The client pays for more than one handshake; a proxy does not pay for its clients."""
        if self.peer.address not in self._host.identities.trusted_proxies:
            self._tls.handshakes.charge(client_key(self.peer.address), self._host.clock.now())

    def _leave(self, transport: asyncio.Transport) -> None:
        if octets := self._session.close():
            transport.write(octets)
        super()._leave(transport)

    def _write(self, octets: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        try:
            transport.write(self._session.seal(octets))
        except ssl.SSLError as error:
            self._break_off(transport, error)

    def _break_off(self, transport: asyncio.Transport, error: ssl.SSLError) -> None:
        """The client broke the protocol: send the alert, answer nothing more."""
        if self._is_counted:
            self._charge()
        self._count_failure(failure_of(error))
        self._host.reporter.count_drop("tls_failed")
        self._buffer.clear()
        self._has_client_ended = self._is_ending = True
        if octets := self._session.outgoing():
            transport.write(octets)
        transport.close()
