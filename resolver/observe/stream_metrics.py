"""The metrics of streams: connections of clients, TLS handshakes, certificates.

Knows: their rows.  Does not know: what else there is (`metric_table`, which has these too), how anything is
counted.
"""

from __future__ import annotations

from typing import Final

from resolver.observe import series
from resolver.observe.metric import gauge, labelled

STREAM_METRICS: Final = (
    labelled(
        "gauge",
        "resolver_listen_addresses",
        "Addresses that DNS is served on, by transport and by the engine that serves them.",
        "transport engine",
        series.listen_addresses,
    ),
    gauge(
        "resolver_tcp_connections",
        "Open connections of clients over TCP, TLS and HTTPS.",
        lambda facts: facts.connections.tcp,
    ),
    labelled(
        "gauge",
        "resolver_connections",
        "The same, each transport apart.",
        "transport",
        series.connections,
    ),
    gauge(
        "resolver_tcp_held_bytes",
        "Queries without an answer and answers that are not read, of all these connections.",
        lambda facts: facts.connections.tcp_octets,
    ),
    labelled(
        "counter",
        "resolver_tls_handshakes_total",
        "TLS sessions with clients, by transport, version, group of the key exchange, and whether an earlier "
        "session went on.",
        "transport version group resumed",
        series.tls_sessions,
    ),
    labelled(
        "counter",
        "resolver_tls_failures_total",
        "TLS handshakes of clients that came to nothing, by reason.",
        "reason",
        series.tls_failures,
    ),
    labelled(
        "counter",
        "resolver_https_responses_total",
        "Requests for DNS over HTTPS that were answered, by status; 200: with a DNS message of any rcode.",
        "status",
        series.https_responses,
    ),
    labelled(
        "gauge",
        "resolver_tls_certificate_expiry_timestamp_seconds",
        "When the first of the certificates expires that are served; no series where there are none.",
        "",
        series.certificate_end,
    ),
    labelled(
        "gauge",
        "resolver_tls_certificate_is_stale",
        "1 while the files of certificates cannot be used and those before serve on, else 0; no series where "
        "there are none.",
        "",
        series.certificate_state,
    ),
    labelled(
        "counter",
        "resolver_tls_certificate_reloads_total",
        "Times that files of certificates had changed, by whether they could be used.",
        "result",
        series.certificate_reloads,
    ),
)
"""In the order in which a reader would want them."""
