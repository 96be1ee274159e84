"""What forwarding counts, in the words of metrics.

Knows: the names and texts of these counters.  Does not know: how anything is counted.
Every number stands for a limit that was met, or for somebody who misbehaved; all are there at 0 from the
start, so that an alert can tell "never" from "not measured".
"""

from __future__ import annotations

from collections.abc import Iterator

from resolver.forwarding.forwarder import Forwarder
from resolver.forwarding.socket_network import SocketNetwork
from resolver.forwarding.stream import StreamCounts
from resolver.forwarding.udp_pool import UdpCounts

Counter = tuple[str, str, float]
"""Name without `_total`, help, value."""


def forwarding_counters(forwarder: Forwarder | None, network: SocketNetwork | None) -> Iterator[Counter]:
    """All counters of the upstream side; None: not made yet."""
    coalesced = 0 if forwarder is None else forwarder.coalesced
    stalls = 0 if forwarder is None else forwarder.stalls
    yield "resolver_upstream_coalesced", "Questions that joined an equal one in flight.", coalesced
    yield (
        "resolver_event_loop_stalls",
        "Times the server could not look at its deadlines for over 50 ms.",
        stalls,
    )
    udp = UdpCounts() if network is None else network.udp.counts
    streams = StreamCounts() if network is None else network.streams.counts
    yield from _datagram_counters(udp)
    yield from _stream_counters(streams)


def _datagram_counters(counts: UdpCounts) -> Iterator[Counter]:
    yield (
        "resolver_upstream_unexpected_datagrams",
        "Datagrams from an upstream's address that match no query: forgeries, or a broken upstream.",
        counts.unexpected,
    )
    yield (
        "resolver_upstream_late_datagrams",
        "Responses over UDP to queries no longer waited for.",
        counts.late,
    )
    yield (
        "resolver_upstream_unsent_datagrams",
        "Queries that this machine had no room to send; they count as lost on the way.",
        counts.send_drops,
    )
    yield (
        "resolver_upstream_sockets_opened",
        "UDP sockets opened towards upstreams; they are replaced after a while.",
        counts.opened,
    )
    yield (
        "resolver_upstream_socket_failures",
        "UDP sockets towards upstreams that could not be opened.",
        counts.open_failures,
    )


def _stream_counters(counts: StreamCounts) -> Iterator[Counter]:
    yield (
        "resolver_upstream_unexpected_messages",
        "Messages over TCP that match no query of their connection.",
        counts.unexpected,
    )
    yield (
        "resolver_upstream_connections_opened",
        "TCP connections begun towards upstreams.",
        counts.opened,
    )
    yield (
        "resolver_upstream_connections_reused",
        "Queries over TCP that found an open connection.",
        counts.reused,
    )
    yield (
        "resolver_upstream_connections_broken",
        "TCP connections to upstreams that ended while queries waited.",
        counts.broken,
    )
    yield (
        "resolver_upstream_connection_retries",
        "Queries sent again over a new TCP connection because theirs broke.",
        counts.retried,
    )
