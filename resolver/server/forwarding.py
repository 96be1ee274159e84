"""How one server reaches its upstreams: network, forwarder, and who knows where they are.

Knows: which setting each of them needs.  Does not know: what is asked, when.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, NamedTuple

from resolver.clock import Clock
from resolver.config.settings import Settings
from resolver.forwarding.bootstrap import Bootstrap
from resolver.forwarding.entropy import Entropy
from resolver.forwarding.forwarder import Forwarder, Keep
from resolver.forwarding.socket_network import SocketNetwork
from resolver.forwarding.source_ports import SourcePorts
from resolver.forwarding.tls_terms import TlsBook
from resolver.forwarding.upstream import Upstream
from resolver.server.parts import make_plan, source_ports_of

log: Final = logging.getLogger(__name__)


class Forwarding(NamedTuple):
    """What asks."""

    network: SocketNetwork
    forwarder: Forwarder
    bootstrap: Bootstrap
    native_ports: SourcePorts | None
    """Of the native plane's sockets; None: there is no such plane."""

    async def close(self) -> None:
        """Fail what is in flight and close every socket."""
        self.bootstrap.close()
        await self.forwarder.close()


def make_forwarding(
    settings: Settings, clock: Clock, loop: asyncio.AbstractEventLoop, *, threads: int, keep: Keep
) -> Forwarding:
    """Everything towards the upstreams, for a server with so many native threads (0: none).

    Raises OSError, ssl.SSLError: the authorities of `tls_ca` cannot be read.
    """
    upstreams = settings.upstreams
    plan = make_plan(settings)
    entropy = Entropy()
    # Each plane has sockets of its own towards each upstream.
    ports, native_ports, too_few = source_ports_of(settings, threads)
    if too_few is not None:
        log.warning("%s", too_few)
    book = TlsBook(upstreams.tls_ca)
    if remark := book.prepare(plan.upstreams):
        log.error("%s", remark)
    network = SocketNetwork(loop, clock, entropy, ports, book)
    forwarder = Forwarder(
        plan,
        network,
        clock,
        entropy,
        keep=keep,
        timeout_s=upstreams.timeout_s,
        in_flight_max=settings.limits.in_flight_max,
    )
    servers = [Upstream(server.address, server.port) for server in upstreams.bootstrap]
    bootstrap = Bootstrap(plan.upstreams, servers, forwarder, clock)
    network.streams.address_book = bootstrap
    bootstrap.start()
    return Forwarding(network, forwarder, bootstrap, native_ports)
