"""The network of a running server: UDP pools and connections on one event loop.

Knows: how the two are joined to the loop.  Does not know: DNS.
"""

from __future__ import annotations

import asyncio

from resolver.clock import Clock, TimerHandle
from resolver.forwarding.entropy import Entropy
from resolver.forwarding.source_ports import ANY_PORTS, SourcePorts
from resolver.forwarding.stream import Streams
from resolver.forwarding.tls_terms import TlsBook
from resolver.forwarding.udp_pool import UdpPools

STOCKED_AT_ONCE = 16
"""Sockets opened ahead in one turn of the loop, for each upstream: some 0.4 ms of work."""

STOCKING_S = 0.005
"""Between such turns: queries are answered in between."""


class SocketNetwork:
    """See `network.Network`.  Make it inside the running loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        entropy: Entropy,
        ports: SourcePorts = ANY_PORTS,
        tls: TlsBook | None = None,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self.udp = UdpPools(clock, entropy, ports)
        self.streams = Streams(loop, clock, tls)
        self.send_datagram = self.udp.send
        self.ask_stream = self.streams.ask
        loop.add_reader(self.udp.fileno(), self.udp.on_readable)
        self.udp.on_demand = self._stock_up_soon
        self._stocking: TimerHandle | None = None

    def _stock_up_soon(self) -> None:
        if self._stocking is None:
            self._stocking = self._clock.call_later(STOCKING_S, self._stock_up)

    def _stock_up(self) -> None:
        self._stocking = None
        if self.udp.stock_up(STOCKED_AT_ONCE):
            self._stock_up_soon()

    def close(self) -> None:
        """See `network.Network.close`."""
        if self._stocking is not None:
            self._stocking.cancel()
        self._loop.remove_reader(self.udp.fileno())
        self.udp.close()
        self.streams.close()
