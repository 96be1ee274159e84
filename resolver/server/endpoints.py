"""The DNS sockets of one server: bound, read, no longer read, closed.

Knows: which addresses are served, over UDP and TCP alike, and by which plane.  Does not know: what is
answered, when a server starts and stops.
Theory: each address is one UDP port and the same TCP port.  UDP is bound first; where the kernel chose
a port that is free for UDP alone, both are tried again.  The native plane has UDP sockets of its own; TCP
is Python's.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import Final

from resolver.clock import Clock
from resolver.config.settings import Settings
from resolver.flow.service import Service
from resolver.listeners.address import SocketAddress, bind_tcp
from resolver.listeners.limits import ConnectionLimits
from resolver.listeners.reporter import Reporter
from resolver.listeners.stream import StreamListener
from resolver.listeners.udp import UdpListener
from resolver.server.native import NativeEngine

PORT_ATTEMPTS_MAX: Final = 20
"""Tries to find a port that is free for both UDP and TCP when any will do."""

_NO_IPV6: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

_log = logging.getLogger(__name__)


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
            settings.limits.tcp_connections_max, settings.limits.tcp_connections_per_client_max
        )
        self._reporter = reporter
        self._clock = clock
        self._loop = loop
        self._native = native
        self._udp: list[UdpListener] = []
        self._tcp: list[StreamListener] = []

    async def bind(self, service: Service) -> list[str]:
        """Bind and read every address; why some could not be bound, a line each.

        UDP sockets of the native plane are bound only: it reads them itself.
        """
        reasons = []
        for endpoint in self._wanted:
            try:
                await self._bind_address(SocketAddress(endpoint.address, endpoint.port), service)
            except OSError as error:
                if error.errno in _NO_IPV6 and endpoint.is_ipv6:
                    # The shipped settings name ::1, and many containers have no IPv6.
                    _log.warning("no IPv6 here, not listening", extra={"address": str(endpoint)})
                else:
                    reasons.append(why_not(f"listen.dns: {endpoint}", error, endpoint.port))
        if not self.addresses and not reasons:
            reasons.append("listen.dns: none of the addresses exists on this machine")
        return reasons

    def stop_reading(self) -> None:
        """Take no more queries; who waits is still answered."""
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

    async def _bind_address(self, address: SocketAddress, service: Service) -> None:
        for attempt in range(PORT_ATTEMPTS_MAX):
            bound = self._bind_udp(address, service)
            try:
                tcp = StreamListener(
                    bind_tcp(bound),
                    service,
                    self._reporter,
                    self._clock,
                    self._loop,
                    self._connection_limits,
                    idle_s=self._tcp_idle_s,
                    native_gates=self._native,
                )
            except OSError:
                self._unbind_udp()
                # With port 0 the kernel chose for UDP alone; another choice may be free for both.
                if address.port or attempt == PORT_ATTEMPTS_MAX - 1:
                    raise
                continue
            self.addresses.append(bound)
            self._tcp.append(tcp)
            if self._native is None:
                self._udp[-1].start()
            await tcp.start()
            return

    def _bind_udp(self, address: SocketAddress, service: Service) -> SocketAddress:
        """A UDP socket, or one for each of the native plane's threads, bound but not read yet."""
        if self._native is not None:
            return self._native.bind(address)
        self._udp.append(UdpListener(address, service, self._reporter, self._clock, self._loop))
        return SocketAddress(*self._udp[-1].bound_to)

    def _unbind_udp(self) -> None:
        if self._native is not None:
            self._native.unbind()
        else:
            self._udp.pop().close()


def why_not(what: str, error: OSError, port: int) -> str:
    """Why `what` cannot be listened on, for people."""
    hint = ""
    if error.errno == errno.EACCES and port < 1024:
        hint = " (a port under 1024 needs the capability CAP_NET_BIND_SERVICE)"
    elif error.errno == errno.EADDRINUSE:
        hint = " (another program listens there)"
    return f"{what}: cannot listen: {error.strerror or error}{hint}"
