"""The network of a running server: UDP pools and TCP connections on one event loop.

Knows: how the two are joined to the loop, and how many descriptors they may take.  Does not
know: DNS.
"""

from __future__ import annotations

import asyncio
import logging
import resource

from resolver.clock import Clock
from resolver.forwarding.entropy import Entropy
from resolver.forwarding.stream import Streams
from resolver.forwarding.udp_pool import SOCKETS_PER_UPSTREAM_MAX, UdpPools

FILES_FOR_OTHERS = 2048
"""Descriptors left to listeners, HTTP, files and upstream TCP."""

SOCKETS_PER_UPSTREAM_MIN = 16

_log = logging.getLogger(__name__)


class SocketNetwork:
    """See `network.Network`.  Make it inside the running loop; `sockets_per_upstream` from `pool_size`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        entropy: Entropy,
        *,
        sockets_per_upstream: int = SOCKETS_PER_UPSTREAM_MAX,
    ) -> None:
        self._loop = loop
        self.udp = UdpPools(clock, entropy, sockets_per_upstream=sockets_per_upstream)
        self.streams = Streams(loop, clock)
        self.send_datagram = self.udp.send
        self.ask_stream = self.streams.ask
        loop.add_reader(self.udp.fileno(), self.udp.on_readable)

    def close(self) -> None:
        """See `network.Network.close`."""
        self._loop.remove_reader(self.udp.fileno())
        self.udp.close()
        self.streams.close()


def pool_size(upstream_count: int) -> int:
    """Sockets each UDP upstream may have, after asking for a higher limit on descriptors.

    Under 1,000 the ports are fewer than RFC 5452 would have them: it warns.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = upstream_count * SOCKETS_PER_UPSTREAM_MAX + FILES_FOR_OTHERS
    if soft < wanted and soft != resource.RLIM_INFINITY:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return SOCKETS_PER_UPSTREAM_MAX
    spare = max(soft - FILES_FOR_OTHERS, soft // 2)
    size = max(min(SOCKETS_PER_UPSTREAM_MAX, spare // max(upstream_count, 1)), SOCKETS_PER_UPSTREAM_MIN)
    if size < 1000:
        _log.warning(
            "the limit of %d open files leaves %d sockets per upstream; raise it (ulimit -n) to %d "
            "to make forged answers harder",
            soft,
            size,
            wanted,
        )
    return size
