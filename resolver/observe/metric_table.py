"""Every metric: its name, type, help and labels, and which of the facts it shows.

Knows: how monitoring names things.  Does not know: Prometheus' library, how anything is counted.
Theory: this is the only file that spells a metric's name.  A row is a metric; whoever adds a number to
`facts` and a row here has it on `/metrics`, and must name it in the operator guide.  A name ends in its unit,
a counter's in `_total`.  What can be listed beforehand is there at 0 from the start, so that an alert can
tell "never" from "not measured"; only the series by type, transport and response code come with traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from resolver.observe import series
from resolver.observe.facts import Facts, NativeFacts
from resolver.observe.series import Sample

Type = Literal["counter", "gauge", "histogram"]
Read = Callable[[Facts], Iterable[Sample]]


@dataclass(slots=True, frozen=True)
class Metric:
    """One row of the table."""

    type: Type
    name: str
    """As monitoring sees it; a histogram's without `_bucket`, `_count`, `_sum`."""
    help: str
    labels: tuple[str, ...]
    read: Read
    """Its series, in the order of `labels`."""
    of_native: bool = False
    """Only servers with a native plane have it."""


def _labelled(kind: Type, name: str, text: str, labels: str, read: Read) -> Metric:
    return Metric(kind, name, text, tuple(labels.split()), read)


def _counter(name: str, text: str, read: Callable[[Facts], float]) -> Metric:
    return Metric("counter", name, text, (), lambda facts: [((), read(facts))])


def _gauge(name: str, text: str, read: Callable[[Facts], float]) -> Metric:
    return Metric("gauge", name, text, (), lambda facts: [((), read(facts))])


def _native(name: str, text: str, read: Callable[[NativeFacts], int]) -> Metric:
    return Metric(
        "counter",
        name,
        text,
        (),
        lambda facts: [] if facts.native is None else [((), read(facts.native))],
        of_native=True,
    )


EXCHANGE_HITS: Final = _labelled(
    "counter",
    "resolver_exchange_hits_total",
    "Queries that met a rule of this exchange, by what was done; shadow: would have been.",
    "exchange action mode",
    series.hits_of_exchanges,
)
LIST_HITS: Final = _labelled(
    "counter",
    "resolver_list_hits_total",
    "Queries that met a rule of this list, by what was done; shadow: would have been.",
    "list action mode",
    series.hits_of_lists,
)

METRICS: Final = (
    # What was asked and answered.
    EXCHANGE_HITS,
    LIST_HITS,
    _labelled(
        "counter",
        "resolver_queries_total",
        "Queries whose outcome is known, by transport and type (none: unreadable).",
        "transport qtype",
        series.queries,
    ),
    _labelled(
        "counter",
        "resolver_responses_total",
        "Responses sent, by response code and by where the answer came from.",
        "rcode source",
        series.responses,
    ),
    _labelled(
        "histogram",
        "resolver_response_seconds",
        "Time from reading a query to its response, by where the answer came from.",
        "source",
        series.response_times,
    ),
    _labelled(
        "counter",
        "resolver_dropped_total",
        "Packets, connections and answers that were dropped, by reason.",
        "reason",
        series.drops,
    ),
    _gauge(
        "resolver_tcp_connections", "Open TCP connections of clients.", lambda facts: facts.connections.tcp
    ),
    _gauge(
        "resolver_tcp_held_bytes",
        "Queries without an answer and answers that are not read, of all TCP connections of clients.",
        lambda facts: facts.connections.tcp_octets,
    ),
    _gauge("resolver_http_connections", "Open HTTP connections.", lambda facts: facts.connections.http),
    # The cache.
    _gauge("resolver_cache_entries", "Answers in the cache.", lambda facts: facts.cache.entries),
    _gauge("resolver_cache_bytes", "Memory the cache accounts for.", lambda facts: facts.cache.octets),
    _counter("resolver_cache_hits_total", "Queries answered from the cache.", series.cache_hits),
    _counter(
        "resolver_cache_misses_total", "Lookups that found nothing fresh.", lambda facts: facts.cache.misses
    ),
    _counter(
        "resolver_cache_evictions_total", "Answers pushed out by others.", lambda facts: facts.cache.evictions
    ),
    # Upstreams.
    _labelled(
        "gauge",
        "resolver_upstream_up",
        "1 while this upstream answers, as far as is known, else 0.",
        "upstream",
        series.upstream_states,
    ),
    _labelled(
        "counter",
        "resolver_upstream_queries_total",
        "Queries sent to this upstream, retries included.",
        "upstream",
        series.upstream_queries,
    ),
    _labelled(
        "counter",
        "resolver_upstream_failures_total",
        "Queries to this upstream that brought no usable response, by reason.",
        "upstream reason",
        series.upstream_failures,
    ),
    _labelled(
        "histogram",
        "resolver_upstream_response_seconds",
        "Time until this upstream responded.",
        "upstream",
        series.upstream_times,
    ),
    _gauge(
        "resolver_waiting_queries",
        "Queries that wait for an upstream now.",
        lambda facts: facts.forwarding.waiting,
    ),
    _gauge(
        "resolver_upstream_in_flight",
        "Questions in flight to upstreams now.",
        lambda facts: facts.forwarding.in_flight,
    ),
    _counter(
        "resolver_upstream_coalesced_total",
        "Questions that joined an equal one in flight.",
        lambda facts: facts.forwarding.coalesced,
    ),
    _counter(
        "resolver_upstream_overloads_total",
        "Questions failed because too many were in flight.",
        lambda facts: facts.forwarding.overloads,
    ),
    _counter(
        "resolver_upstream_unexpected_datagrams_total",
        "Datagrams from an upstream's address that match no query: forgeries, or a broken upstream.",
        lambda facts: facts.forwarding.datagrams.unexpected,
    ),
    _counter(
        "resolver_upstream_late_datagrams_total",
        "Responses over UDP to queries no longer waited for.",
        lambda facts: facts.forwarding.datagrams.late,
    ),
    _counter(
        "resolver_upstream_unsent_datagrams_total",
        "Queries that this machine had no room to send; they count as lost on the way.",
        lambda facts: facts.forwarding.datagrams.unsent,
    ),
    _counter(
        "resolver_upstream_sockets_opened_total",
        "UDP sockets opened towards upstreams; they are replaced after a while.",
        lambda facts: facts.forwarding.datagrams.sockets_opened,
    ),
    _counter(
        "resolver_upstream_socket_failures_total",
        "UDP sockets towards upstreams that could not be opened.",
        lambda facts: facts.forwarding.datagrams.socket_failures,
    ),
    _counter(
        "resolver_upstream_unexpected_messages_total",
        "Messages over TCP that match no query of their connection.",
        lambda facts: facts.forwarding.streams.unexpected,
    ),
    _counter(
        "resolver_upstream_connections_opened_total",
        "TCP connections begun towards upstreams.",
        lambda facts: facts.forwarding.streams.opened,
    ),
    _counter(
        "resolver_upstream_connections_reused_total",
        "Queries over TCP that found an open connection.",
        lambda facts: facts.forwarding.streams.reused,
    ),
    _counter(
        "resolver_upstream_connections_broken_total",
        "TCP connections to upstreams that ended while queries waited.",
        lambda facts: facts.forwarding.streams.broken,
    ),
    _counter(
        "resolver_upstream_connection_retries_total",
        "Queries sent again over a new TCP connection because theirs broke.",
        lambda facts: facts.forwarding.streams.retried,
    ),
    # The policy, its lists, its record.
    _labelled(
        "gauge",
        "resolver_blocklist_rules",
        "Rules of this exchange in the policy in force.",
        "exchange",
        series.rules,
    ),
    _labelled(
        "gauge",
        "resolver_blocklist_exchanges",
        "Exchanges of the policy in force, by how they stand.",
        "state",
        series.exchanges_by_state,
    ),
    _labelled(
        "gauge",
        "resolver_blocklist_domains",
        "Domains of exchanges of the policy in force, by how these stand.",
        "state",
        series.domains_by_state,
    ),
    _labelled(
        "gauge",
        "resolver_exchange_in_force",
        "1 while this exchange is blocked, 0 while its mode, its dates or a want of entries leave it open.",
        "exchange",
        series.exchanges_in_force,
    ),
    _gauge(
        "resolver_blocklist_is_empty",
        "1 while the policy in force blocks nothing, neither by exchanges nor by lists, else 0.",
        lambda facts: facts.policy.is_empty,
    ),
    _labelled(
        "gauge",
        "resolver_policy_info",
        "Always 1; the label is the hash of the blocklist in force and its local lists.",
        "hash",
        series.policy_content,
    ),
    _gauge(
        "resolver_policy_generation",
        "Goes up by one each time the policy in force changes; counted from the start.",
        lambda facts: facts.policy.generation,
    ),
    _labelled(
        "counter",
        "resolver_reloads_total",
        "Attempts to load the blocklist, by result.",
        "result",
        series.reloads,
    ),
    _gauge(
        "resolver_blocklist_last_success_timestamp_seconds",
        "When the blocklist was last loaded.",
        lambda facts: facts.reloads.last_success,
    ),
    _gauge(
        "resolver_blocklist_last_attempt_timestamp_seconds",
        "When loading the blocklist was last tried.",
        lambda facts: facts.reloads.last_attempt,
    ),
    _gauge(
        "resolver_blocklist_is_stale",
        "1 while the blocklist as it stands is not in force because it could not be loaded, else 0.",
        lambda facts: facts.reloads.serves_last_good,
    ),
    _gauge(
        "resolver_blocklist_expiring_exchanges",
        "Exchanges in force whose until comes within 30 days.",
        lambda facts: facts.expiring,
    ),
    _labelled(
        "gauge",
        "resolver_order_due_timestamp_seconds",
        "By when this order must be in force; an order without a deadline or that has ended has no series.",
        "order",
        series.orders_due,
    ),
    _labelled(
        "gauge",
        "resolver_order_in_force_timestamp_seconds",
        "When something was first blocked because of this order; 0: never yet.",
        "order",
        series.orders_in_force,
    ),
    _labelled(
        "gauge",
        "resolver_order_unenforced_records",
        "Things that this order asks for and that are not enforced, by reason.",
        "order reason",
        series.orders_unenforced,
    ),
    _labelled(
        "gauge",
        "resolver_list_last_success_timestamp_seconds",
        "When this list was last known to be what its server has; 0: it was never downloaded.",
        "list",
        series.list_ages,
    ),
    _labelled(
        "gauge",
        "resolver_list_refresh_seconds",
        "How often this list is to be fetched.",
        "list",
        series.list_refreshes,
    ),
    _labelled(
        "gauge",
        "resolver_list_serial",
        "Serial of the copy of this transferred zone.",
        "list",
        series.list_serials,
    ),
    _labelled(
        "gauge",
        "resolver_list_authority_serial",
        "Newest serial that a primary of this transferred zone has said.",
        "list",
        series.list_authority_serials,
    ),
    _labelled(
        "gauge",
        "resolver_list_lag_seconds",
        "For how long a primary has had a newer zone than the copy; 0: none has.",
        "list",
        series.list_lags,
    ),
    _labelled(
        "counter",
        "resolver_list_downloads_total",
        "Attempts to download this list, by result.",
        "list result",
        series.list_downloads,
    ),
    _gauge(
        "resolver_history_generation",
        "Number of the policy in force in the history; 0: it is not recorded, or not yet.",
        lambda facts: facts.history.generation,
    ),
    _counter(
        "resolver_history_failures_total",
        "Generations that could not be recorded in the history.",
        lambda facts: facts.history.failures,
    ),
    # The program.
    _labelled(
        "gauge", "resolver_build_info", "Always 1; the labels say what runs.", "version engine", series.build
    ),
    _counter(
        "resolver_event_loop_stalls_total",
        "Times the server could not look at its deadlines for over 50 ms.",
        lambda facts: facts.event_loop_stalls,
    ),
    _counter(
        "resolver_log_lines_dropped_total",
        "Log lines lost to a slow reader.",
        lambda facts: facts.log_lines_dropped,
    ),
    _labelled(
        "counter",
        "resolver_query_records_total",
        "Query records written, by where they go.",
        "sink",
        series.query_records,
    ),
    _labelled(
        "counter",
        "resolver_query_records_lost_total",
        "Query records lost for want of room or to a reader that is gone, by where they should have gone.",
        "sink",
        series.query_records_lost,
    ),
    _labelled(
        "gauge",
        "resolver_query_records_sink_up",
        "1: query records reach their reader; 0: its file or connection is broken, or it takes nothing.",
        "sink",
        series.query_records_up,
    ),
    _native(
        "resolver_native_punted_queries_total",
        "Queries that the native plane left to Python.",
        lambda native: native.punts,
    ),
    _native(
        "resolver_native_handovers_total",
        "Questions whose first attempt upstream came to no simple end, handed over to Python.",
        lambda native: native.handovers,
    ),
    _native(
        "resolver_native_panics_total", "Defects caught in the native plane.", lambda native: native.panics
    ),
    _native(
        "resolver_native_restarts_total",
        "Times a thread of the native plane began anew; Python served its sockets meanwhile.",
        lambda native: native.restarts,
    ),
)
"""All of them, in the order in which a reader would want them."""
