"""The metrics of `listen.http` and its API.

Knows: their rows.  Does not know: what else there is (`metric_table`, which has these too), how anything is
counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from resolver.observe.facts import Facts
from resolver.observe.metric import gauge, labelled
from resolver.observe.series import Sample


def _refusals(facts: Facts) -> Iterable[Sample]:
    return [((reason,), count) for reason, count in facts.http.refused.items()]


def _certificate_end(facts: Facts) -> Iterable[Sample]:
    certificates = facts.http.certificates
    return [] if certificates.ends_at is None else [((), certificates.ends_at)]


def _certificate_state(facts: Facts) -> Iterable[Sample]:
    certificates = facts.http.certificates
    return [] if certificates.ends_at is None else [((), certificates.is_stale)]


HTTP_METRICS: Final = (
    gauge("resolver_http_connections", "Open HTTP connections.", lambda facts: facts.connections.http),
    gauge(
        "resolver_http_event_streams",
        "Open streams of events of the API.",
        lambda facts: facts.http.event_streams,
    ),
    labelled(
        "counter",
        "resolver_http_refused_total",
        "Requests to listen.http that were refused, by reason.",
        "reason",
        _refusals,
    ),
    gauge(
        "resolver_http_tokens_are_stale",
        "1 while the tokens of the API as they stand cannot be used, and those before count, else 0.",
        lambda facts: bool(facts.http.tokens_trouble),
    ),
    labelled(
        "gauge",
        "resolver_http_certificate_expiry_timestamp_seconds",
        "When the certificate of http.tls expires; no series where there is none.",
        "",
        _certificate_end,
    ),
    labelled(
        "gauge",
        "resolver_http_certificate_is_stale",
        "1 while the files of http.tls cannot be used, and those before serve on, else 0.",
        "",
        _certificate_state,
    ),
)
