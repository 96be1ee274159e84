"""The metrics of upstreams and of the questions on their way to them.

Knows: how monitoring names things.  Does not know: Prometheus' library, how anything is counted.
"""

from __future__ import annotations

from typing import Final

from resolver.observe import series
from resolver.observe.metric import counter, gauge, labelled

UPSTREAM_METRICS: Final = (
    labelled(
        "gauge",
        "resolver_upstream_up",
        "1 while this upstream answers, as far as is known, else 0.",
        "upstream",
        series.upstream_states,
    ),
    labelled(
        "counter",
        "resolver_upstream_queries_total",
        "Queries sent to this upstream, retries included.",
        "upstream",
        series.upstream_queries,
    ),
    labelled(
        "counter",
        "resolver_upstream_failures_total",
        "Queries to this upstream that brought no usable response, by reason.",
        "upstream reason",
        series.upstream_failures,
    ),
    labelled(
        "gauge",
        "resolver_upstream_certificate_expiry_timestamp_seconds",
        "Until when the certificate is good that this upstream showed last.",
        "upstream",
        series.upstream_certificates,
    ),
    labelled(
        "counter",
        "resolver_upstream_handshakes_total",
        "TLS handshakes with this upstream that came to a connection, by whether a session was resumed.",
        "upstream resumed",
        series.upstream_handshakes,
    ),
    labelled(
        "gauge",
        "resolver_upstream_connections",
        "Connections to this upstream that are open or being opened.",
        "upstream",
        series.upstream_connections,
    ),
    labelled(
        "histogram",
        "resolver_upstream_response_seconds",
        "Time until this upstream responded.",
        "upstream",
        series.upstream_times,
    ),
    gauge(
        "resolver_waiting_queries",
        "Queries that wait for an upstream now.",
        lambda facts: facts.forwarding.waiting,
    ),
    gauge(
        "resolver_upstream_in_flight",
        "Questions in flight to upstreams now.",
        lambda facts: facts.forwarding.in_flight,
    ),
    counter(
        "resolver_upstream_coalesced_total",
        "Questions that joined an equal one in flight.",
        lambda facts: facts.forwarding.coalesced,
    ),
    counter(
        "resolver_upstream_hedges_total",
        "Questions that a second upstream was asked because the first was slower than it nearly ever is.",
        lambda facts: facts.forwarding.hedges,
    ),
    counter(
        "resolver_upstream_overloads_total",
        "Questions failed because too many were in flight.",
        lambda facts: facts.forwarding.overloads,
    ),
    counter(
        "resolver_upstream_unexpected_datagrams_total",
        "Datagrams from an upstream's address that match no query: forgeries, or a broken upstream.",
        lambda facts: facts.forwarding.datagrams.unexpected,
    ),
    counter(
        "resolver_upstream_late_datagrams_total",
        "Responses over UDP to queries no longer waited for.",
        lambda facts: facts.forwarding.datagrams.late,
    ),
    counter(
        "resolver_upstream_unsent_datagrams_total",
        "Queries that this machine had no room to send; they count as lost on the way.",
        lambda facts: facts.forwarding.datagrams.unsent,
    ),
    counter(
        "resolver_upstream_sockets_opened_total",
        "UDP sockets opened towards upstreams; they are replaced after a while.",
        lambda facts: facts.forwarding.datagrams.sockets_opened,
    ),
    counter(
        "resolver_upstream_socket_failures_total",
        "UDP sockets towards upstreams that could not be opened.",
        lambda facts: facts.forwarding.datagrams.socket_failures,
    ),
    counter(
        "resolver_upstream_unexpected_messages_total",
        "Messages on connections to upstreams that match no query of theirs.",
        lambda facts: facts.forwarding.streams.unexpected,
    ),
    counter(
        "resolver_upstream_connections_opened_total",
        "Connections begun towards upstreams, over TCP, TLS and HTTPS.",
        lambda facts: facts.forwarding.streams.opened,
    ),
    counter(
        "resolver_upstream_connections_reused_total",
        "Queries over a connection that found one open.",
        lambda facts: facts.forwarding.streams.reused,
    ),
    counter(
        "resolver_upstream_connections_broken_total",
        "Connections to upstreams that ended while queries waited.",
        lambda facts: facts.forwarding.streams.broken,
    ),
    counter(
        "resolver_upstream_connection_retries_total",
        "Queries sent again over a new connection because theirs broke.",
        lambda facts: facts.forwarding.streams.retried,
    ),
    counter(
        "resolver_upstream_connections_held_back_total",
        "Queries not sent because connections came to nothing just now, and none was begun for them.",
        lambda facts: facts.forwarding.streams.held_back,
    ),
)
"""In the order in which a reader would want them."""
