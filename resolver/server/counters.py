"""What forwarding counts, in the words of metrics.

Knows: the names and texts of these counters.  Does not know: how anything is counted.
Every number stands for a limit that was met, or for somebody who misbehaved; all are there at 0 from the
start, so that an alert can tell "never" from "not measured".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from resolver.forwarding.forwarder import Forwarder
from resolver.forwarding.socket_network import SocketNetwork
from resolver.forwarding.stream import StreamCounts
from resolver.forwarding.udp_pool import UdpCounts
from resolver.forwarding.upstream import RESPONSE_SECONDS_BOUNDS
from resolver.observe.metrics import UpstreamFacts

Counter = tuple[str, str, float]
"""Name without `_total`, help, value."""


def upstream_facts(forwarder: Forwarder) -> Iterator[UpstreamFacts]:
    """What each upstream was asked and how it did."""
    for upstream in forwarder.upstreams:
        yield UpstreamFacts(
            name=upstream.name,
            queries=upstream.queries,
            failures=dict(upstream.failures),
            bounds=RESPONSE_SECONDS_BOUNDS,
            buckets=tuple(upstream.response_buckets),
            seconds=upstream.response_sum_s,
        )


def forwarding_counters(
    forwarder: Forwarder | None, network: SocketNetwork | None, native: Mapping[str, int] | None = None
) -> Iterator[Counter]:
    """All counters of the upstream side; None: not made yet.  `native`: another plane's, by its own names."""
    native = native or {}
    coalesced = native.get("coalesced", 0) + (0 if forwarder is None else forwarder.coalesced)
    stalls = 0 if forwarder is None else forwarder.stalls
    yield "resolver_upstream_coalesced", "Questions that joined an equal one in flight.", coalesced
    yield (
        "resolver_event_loop_stalls",
        "Times the server could not look at its deadlines for over 50 ms.",
        stalls,
    )
    udp = UdpCounts() if network is None else network.udp.counts
    streams = StreamCounts() if network is None else network.streams.counts
    yield from _datagram_counters(udp, native)
    yield from _stream_counters(streams)


def native_counters(native: Mapping[str, int]) -> Iterator[Counter]:
    """What the native plane alone counts; nothing in a server that has none."""
    yield (
        "resolver_native_punted_queries",
        "Queries that the native plane left to Python.",
        native.get("punts", 0),
    )
    yield (
        "resolver_native_handovers",
        "Questions whose first attempt upstream came to no simple end, handed over to Python.",
        native.get("handovers", 0),
    )
    yield "resolver_native_panics", "Defects caught in the native plane.", native.get("panics", 0)
    yield (
        "resolver_native_restarts",
        "Times a thread of the native plane began anew; Python served its sockets meanwhile.",
        native.get("restarts", 0),
    )


def _datagram_counters(counts: UdpCounts, native: Mapping[str, int]) -> Iterator[Counter]:
    yield (
        "resolver_upstream_unexpected_datagrams",
        "Datagrams from an upstream's address that match no query: forgeries, or a broken upstream.",
        counts.unexpected + native.get("unexpected", 0),
    )
    yield (
        "resolver_upstream_late_datagrams",
        "Responses over UDP to queries no longer waited for.",
        counts.late + native.get("late", 0),
    )
    yield (
        "resolver_upstream_unsent_datagrams",
        "Queries that this machine had no room to send; they count as lost on the way.",
        counts.send_drops + native.get("send_drops", 0),
    )
    yield (
        "resolver_upstream_sockets_opened",
        "UDP sockets opened towards upstreams; they are replaced after a while.",
        counts.opened + native.get("opened", 0),
    )
    yield (
        "resolver_upstream_socket_failures",
        "UDP sockets towards upstreams that could not be opened.",
        counts.open_failures + native.get("open_failures", 0),
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
