"""DNS over TCP (RFC 7766), TLS (RFC 7858) and HTTPS (RFC 8484): accepts connections and looks after them.

Knows: the connections of one socket, how long they may be idle.  Does not know: what is said on them, who has
to yield to whom (`limits` does), whose turn it is (`turns`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Callable, Iterator
from functools import partial

from resolver.clock import Clock, TimerHandle
from resolver.flow.clients import Clients, client_key
from resolver.flow.identities import PLAIN, Identities
from resolver.flow.peer import Transport
from resolver.flow.service import Service
from resolver.listeners.address import TCP_BACKLOG
from resolver.listeners.connection import Connection
from resolver.listeners.https_connection import HttpsConnection, HttpSide
from resolver.listeners.limits import STRANGER_IDLE_S, ConnectionLimits, Place, Yielding
from resolver.listeners.reporter import Reporter
from resolver.listeners.tls_connection import TlsConnection, TlsSide
from resolver.listeners.turns import Turns
from resolver.plane import NativeGates

SWEEP_EVERY_S = 1.0
"""How often idle connections are looked for; so an idle one lives at most this much longer."""

STRANGER = "tls_stranger"
"""Why a connection is closed before its handshake: its client is not in `clients.allow`."""


CONNECTIONS: dict[Transport, Callable[[StreamListener], Connection]] = {
    Transport.TCP: Connection,
    Transport.TLS: TlsConnection,
    Transport.HTTPS: HttpsConnection,
}
"""What speaks each transport."""


class StreamListener:
    """One listening TCP socket and its connections."""

    def __init__(
        self,
        sock: socket.socket,
        service: Service,
        reporter: Reporter,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        limits: ConnectionLimits,
        *,
        idle_s: float = 10.0,
        transport: Transport = Transport.TCP,
        tls: TlsSide | None = None,
        http: HttpSide | None = None,
        native_gates: NativeGates | None = None,
        turns: Turns | None = None,
        identities: Identities = PLAIN,
        clients: Clients | None = None,
    ) -> None:
        """`sock`: bound and listening; it is closed with the listener.  `limits`: those of the whole server.

        `transport`: TCP, TLS or HTTPS; `tls` is for the latter two, and its contexts agree to their
        protocols.
        native_gates: what is asked before the service, and counts what it answers by itself.
        identities: who speaks for others, where clients name themselves.
        clients: who may ask; None: everybody.
        turns: those of the whole server; None: its connections share the time among themselves.
        """
        self.service = service
        self.identities = identities
        self.native_gates = native_gates
        self.reporter = reporter
        self.clock = clock
        self.loop = loop
        self.transport = transport
        self.turns = turns or Turns(loop.call_soon, clock.now)
        self.lend = limits.lend
        self.give_back = limits.give_back
        self._tls = tls
        self._http = http
        self._make_connection = partial(CONNECTIONS[transport], self)
        self._sock = sock
        self._bound_to = self._sock.getsockname()[:2]
        self._is_closed = False
        self.is_shared = False
        """Whether somebody else has the listening socket, too, and serves who waits there."""
        self._idle_s = idle_s
        self._limits = limits
        self._clients = clients
        self._nobodies = _nobodies()
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: TimerHandle | None = None

    @property
    def bound_to(self) -> tuple[str, int]:
        """The address and port it really listens on."""
        return self._bound_to[0], self._bound_to[1]

    def fileno(self) -> int:
        """The descriptor of its listening socket, for the native plane, which accepts from it instead."""
        return self._sock.fileno()

    @property
    def sock(self) -> socket.socket:
        """Its listening socket."""
        return self._sock

    @property
    def tls(self) -> TlsSide:
        """What connections over TLS need besides."""
        assert self._tls is not None
        return self._tls

    @property
    def http(self) -> HttpSide:
        """What connections over HTTPS need besides."""
        assert self._http is not None
        return self._http

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    @property
    def is_accepting(self) -> bool:
        """Whether new connections are taken."""
        return self._server is not None

    async def start(self) -> None:
        """Begin to accept; again after `stop_accepting`."""
        if self._server is not None or self._is_closed:
            return
        # The server closes its descriptor when it stops; the socket is accepted from again then.
        sock = self._sock.dup()
        try:
            self._server = await self.loop.create_server(
                self._make_connection, sock=sock, backlog=TCP_BACKLOG
            )
        except OSError:
            sock.close()
            raise
        if self._sweeper is None:
            self._sweeper = self.clock.call_later(SWEEP_EVERY_S, self._sweep)

    def stop_accepting(self) -> None:
        """Take no more connections for now; those that are here go on."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def stop_reading(self) -> None:
        """Accept no more connections and read no more queries; open questions are still answered."""
        self.stop_accepting()
        if not self.is_shared:
            # Whatever thread accepts from the socket takes no more either, and nobody waits in vain.
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
        for connection in tuple(self._connections):
            connection.end()

    def close(self) -> None:
        """Cut what is left."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._is_closed = True
        self.stop_accepting()
        self._sock.close()
        for connection in tuple(self._connections):
            connection.abort()

    # What connections say.

    def admit(self, connection: Connection, address: bytes) -> Place | None:
        """See `connection.Host`: when all places are taken, another connection may have to yield its own."""
        if address in self.identities.proxies:
            # Whose a proxy's connection is, it says only now: until then it counts as somebody's of its own.
            return self._give_place(connection, next(self._nobodies))
        return self._admit(connection, address, self._is_stranger(address))

    def _is_stranger(self, address: bytes) -> bool:
        """Whether this client may not ask; of whom a trusted proxy speaks is asked request by request."""
        if self._clients is None or self._clients.standing(address).is_allowed:
            return False
        return not (self.transport is Transport.HTTPS and address in self.identities.trusted_proxies)

    def _admit(self, connection: Connection, address: bytes, is_stranger: bool) -> Place | None:
        if self._tls is not None:
            # Before it takes anybody's place.  Who may not ask is told so over UDP and TCP (EDE 18), where it
            # costs no handshake.
            if is_stranger:
                self.reporter.count_drop(STRANGER)
                return None
            refusal = self._tls.handshakes.begin(client_key(address), self.clock.now())
            if refusal:
                self._tls.counts.failed("limit")
                self.reporter.count_drop(refusal)
                return None
        return self._give_place(connection, address, is_stranger=is_stranger)

    def _give_place(
        self, connection: Connection, address: bytes, *, is_stranger: bool = False
    ) -> Place | None:
        taken = self._limits.take(address, connection, self.clock.now(), is_stranger=is_stranger)
        if taken.place is None:
            self.reporter.count_drop(taken.refusal)
            return None
        self._connections.add(connection)
        _let_go(taken.yielding)
        return taken.place

    def change_hands(self, connection: Connection, address: bytes, *, is_proxys: bool) -> Place | None:
        """See `connection.Host`: a proxy has said whose it is."""
        self.forget(connection)
        # Its own are no stranger's: it looks whether we are there, by a handshake perhaps.
        return self._admit(connection, address, not is_proxys and self._is_stranger(address))

    def forget(self, connection: Connection) -> None:
        """See `connection.Host`; again: nothing."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._limits.free(connection.place)

    def hold(self, place: Place, octets: int) -> None:
        """See `connection.Host`."""
        _let_go(self._limits.hold(place, octets))

    def _sweep(self) -> None:
        self._limits.note_all()
        now = self.clock.now()
        idle_s = self._limits.idle_s(self._idle_s)
        for connection in tuple(self._connections):
            is_strangers = connection.place.is_strangers
            connection.sweep(now, min(idle_s, STRANGER_IDLE_S) if is_strangers else idle_s)
        self._sweeper = self.clock.call_later(SWEEP_EVERY_S, self._sweep)


def _nobodies() -> Iterator[bytes]:
    """Addresses that no client has, each of another /64: a multicast group asks nothing (RFC 4291 §2.7)."""
    for number in itertools.count():
        yield b"\xff\xff" + number.to_bytes(6, "big") + bytes(8)


def _let_go(yielding: Yielding | None) -> None:
    """It may be another listener's."""
    if yielding is not None:
        yielding.holder.give_way(yielding.reason)
