"""The DNS sockets of one server: bound, read, no longer read, closed.

Knows: which addresses are served, over UDP and TCP alike, and by which plane; which cannot be served yet.
Does not know: what is answered, when a server starts and stops.
Theory: each address is one UDP port and the same TCP port.  The native plane has UDP sockets of its own; TCP
is Python's.

An address that this machine does not have yet is bound all the same, and served when it comes; one that
it loses later is remarked on until it is back.  A port
that another program holds is tried again: at first before anything is read, for a server that stops
gives its ports up within seconds.  Then those that could be bound are served, and the others are tried every
second.  The native plane takes its sockets when it starts, so an address that joins later is served by
Python until the next start: slower, and with the same answers.  With no address at all the server gives
up, and whoever supervises it starts it again.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Iterable
from typing import Final

from resolver.clock import Clock
from resolver.config.settings import Settings
from resolver.config.settingvalues import Endpoint
from resolver.flow.service import Service
from resolver.listeners.address import SocketAddress, bind_tcp, has_ipv6, is_here
from resolver.listeners.limits import ConnectionLimits
from resolver.listeners.reporter import Reporter
from resolver.listeners.stream import StreamListener
from resolver.listeners.turns import Turns
from resolver.listeners.udp import UdpListener
from resolver.server.native import NativeEngine

PORT_ATTEMPTS_MAX: Final = 20
"""Tries to find a port that is free for both UDP and TCP when any will do."""

PATIENCE_S: Final = 3.0
"""How long a start waits for ports that are taken: a server that stops has 2 seconds to give them up."""

FIRST_TRIES_EVERY_S: Final = 0.1
"""How often they are tried meanwhile: nobody is answered yet."""

LOOK_EVERY_S: Final = 1.0
"""How often a server that serves tries ports that are taken, and looks whether addresses have come."""

MAY_PASS: Final = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
"""Why an address cannot be bound now, and perhaps can later; the second where IP_FREEBIND is unknown."""

_log = logging.getLogger(__name__)


class CannotListen(Exception):
    """Nothing is served; `reasons` says why, a line each.  `may_pass`: another start may do better."""

    def __init__(self, reasons: list[str], *, may_pass: bool = False) -> None:
        self.reasons = reasons
        self.may_pass = may_pass
        super().__init__("; ".join(reasons))


class Endpoints:
    """The listeners of `listen.dns`."""

    def __init__(
        self,
        settings: Settings,
        reporter: Reporter,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        native: NativeEngine | None,
    ) -> None:
        self.addresses: list[SocketAddress] = []
        """Where DNS is served, UDP and TCP alike."""
        self._wanted = settings.listen.dns
        self._tcp_idle_s = settings.limits.tcp_idle_s
        self._connection_limits = ConnectionLimits(
            settings.limits.tcp_connections_max,
            settings.limits.tcp_connections_per_client_max,
            held_octets_max=settings.limits.stream_buffers_octets,
        )
        self._turns = Turns(loop.call_soon, clock.now)
        self._reporter = reporter
        self._clock = clock
        self._loop = loop
        self._native = native
        self._plane = native
        """Who gets the UDP sockets that are bound now; None: Python."""
        self._udp: list[UdpListener] = []
        self._tcp: list[StreamListener] = []
        self._taken: dict[Endpoint, str] = {}
        """Addresses that cannot be bound yet, and why."""
        self._bound: list[Endpoint] = []
        self._absent: list[Endpoint] = []
        """Those of them that this machine does not have, not yet or not any more."""
        self._looking: asyncio.Task[None] | None = None

    async def bind(self, service: Service) -> None:
        """Bind and read every address that can be bound, and go on trying the others.  Raises CannotListen.

        UDP sockets of the native plane are bound only: it reads them itself.
        """
        deadline = self._clock.now() + PATIENCE_S
        await self._bind_all(self._wanted, service)
        while self._taken and self._clock.now() < deadline:
            await asyncio.sleep(FIRST_TRIES_EVERY_S)
            await self._bind_all(list(self._taken), service)
        if not self.addresses:
            reasons = list(self._taken.values())
            may_pass = bool(reasons)
            raise CannotListen(
                reasons or ["listen.dns: this machine has no IPv6, and no other address is named"],
                may_pass=may_pass,
            )
        self._plane = None
        self._looking = self._loop.create_task(self._look(service), name="listen-addresses")

    @property
    def remark(self) -> str:
        """What a person should know of addresses that are not served; empty: nothing."""
        absent = (show_absent(endpoint) for endpoint in self._absent if _is_expected(endpoint))
        return "; ".join([*self._taken.values(), *absent])

    def stop_reading(self) -> None:
        """Take no more queries; who waits is still answered."""
        if self._looking is not None:
            self._looking.cancel()
        for listener in self._listeners:
            listener.stop_reading()

    def close(self) -> None:
        """Close the sockets, but for the native plane's."""
        for listener in self._listeners:
            listener.close()

    @property
    def _listeners(self) -> list[UdpListener | StreamListener]:
        return [*self._udp, *self._tcp]

    @property
    def tcp_connections(self) -> int:
        """How many clients are connected."""
        return self._connection_limits.open

    @property
    def tcp_octets(self) -> int:
        """Octets that their connections hold."""
        return self._connection_limits.octets

    # Binding.

    async def _bind_all(self, endpoints: Iterable[Endpoint], service: Service) -> None:
        """Try each of them once.  Raises CannotListen at a start, for what will not pass."""
        reasons = []
        for endpoint in endpoints:
            try:
                await self._bind_address(SocketAddress(endpoint.address, endpoint.port), service)
            except OSError as error:
                if error.errno == errno.EAFNOSUPPORT and endpoint.is_ipv6:
                    # The shipped settings name ::1, and some kernels have no IPv6.
                    _log.warning("no IPv6 here, not listening", extra={"address": str(endpoint)})
                elif error.errno in MAY_PASS or self._looking is not None:
                    self._note_taken(endpoint, why_not(f"listen.dns: {endpoint}", error, endpoint.port))
                else:
                    reasons.append(why_not(f"listen.dns: {endpoint}", error, endpoint.port))
            else:
                if self._taken.pop(endpoint, None) is not None:
                    _log.warning("listening now, after all", extra={"address": str(endpoint)})
                self._bound.append(endpoint)
                self._look_at(endpoint)
        if reasons:
            raise CannotListen([*reasons, *self._taken.values()])

    def _note_taken(self, endpoint: Endpoint, why: str) -> None:
        if self._taken.get(endpoint) != why:
            _log.warning("%s; it is tried again", why)
        self._taken[endpoint] = why

    def _look_at(self, endpoint: Endpoint) -> None:
        """Note whether this machine has the address, and say it where that has changed."""
        was_absent = endpoint in self._absent
        if is_here(endpoint.address):
            if was_absent:
                self._absent.remove(endpoint)
                _log.warning("the address is here now, and served", extra={"address": str(endpoint)})
        elif not was_absent:
            self._absent.append(endpoint)
            if _is_expected(endpoint):
                _log.warning("%s", show_absent(endpoint))
            else:
                _log.warning("no IPv6 here, not listening until there is", extra={"address": str(endpoint)})

    async def _bind_address(self, address: SocketAddress, service: Service) -> None:
        bound, tcp_socket = self._bind_pair(address, service)
        tcp = StreamListener(
            tcp_socket,
            service,
            self._reporter,
            self._clock,
            self._loop,
            self._connection_limits,
            idle_s=self._tcp_idle_s,
            native_gates=self._native,
            turns=self._turns,
        )
        try:
            await tcp.start()
        except OSError:
            # Neither is served, and the next try finds both ports free.
            tcp.close()
            self._unbind_udp()
            raise
        self._tcp.append(tcp)
        if self._plane is None:
            self._udp[-1].start()
        # Last: whoever finds an address here is served there, over both, and reads no remark on it.
        self.addresses.append(bound)

    def _bind_pair(self, address: SocketAddress, service: Service) -> tuple[SocketAddress, socket.socket]:
        """UDP bound, whose sockets are kept, and a socket for TCP on the same port; OSError: neither."""
        if address.port:
            # TCP first.  The native plane's UDP sockets share a port with those of another server of this
            # user, and would take queries from it; its TCP port it shares with nobody.
            tcp = bind_tcp(address)
            try:
                return self._bind_udp(address, service), tcp
            except OSError:
                tcp.close()
                raise
        for attempt in range(PORT_ATTEMPTS_MAX):
            bound = self._bind_udp(address, service)
            try:
                return bound, bind_tcp(bound)
            except OSError:
                self._unbind_udp()
                # The kernel chose for UDP alone; another choice may be free for both.
                if attempt == PORT_ATTEMPTS_MAX - 1:
                    raise
        raise AssertionError("there is at least one attempt")

    def _bind_udp(self, address: SocketAddress, service: Service) -> SocketAddress:
        """A UDP socket, or one for each of the native plane's threads, bound but not read yet."""
        if self._plane is not None:
            return self._plane.bind(address)
        self._udp.append(UdpListener(address, service, self._reporter, self._clock, self._loop))
        return SocketAddress(*self._udp[-1].bound_to)

    def _unbind_udp(self) -> None:
        if self._plane is not None:
            self._plane.unbind()
        else:
            self._udp.pop().close()

    # What is not served.

    async def _look(self, service: Service) -> None:
        """As long as the server runs: ports are given up by others, addresses come and go."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._bind_all(list(self._taken), service)
            for endpoint in self._bound:
                self._look_at(endpoint)


def why_not(what: str, error: OSError, port: int) -> str:
    """Why `what` cannot be listened on, for people."""
    hint = ""
    if error.errno == errno.EACCES and port < 1024:
        hint = " (a port under 1024 needs the capability CAP_NET_BIND_SERVICE)"
    elif error.errno == errno.EADDRINUSE:
        hint = " (another program listens there)"
    return f"{what}: cannot listen: {error.strerror or error}{hint}"


def show_absent(endpoint: Endpoint) -> str:
    """That an address is bound but not there, for people."""
    return f"{endpoint}: this machine does not have the address; it is served when it comes"


def _is_expected(endpoint: Endpoint) -> bool:
    """Whether anybody can miss it: the shipped settings name ::1, and many containers have no IPv6 at all."""
    return not endpoint.is_ipv6 or has_ipv6()
