"""Every metric: its name, type, help and labels, and which of the facts it shows.

Knows: how monitoring names things.  Does not know: Prometheus' library, how anything is counted.
Theory: only this file and `*_metrics` beside it spell a metric's name.  A row is a metric;
whoever adds a number to `facts` and a row here has it on `/metrics` and in the guide.
A name ends in its unit, a counter's in `_total`.  What can be listed beforehand is there at 0 from the start,
so that an alert can tell "never" from "not measured"; only the series by type, transport and response code
come with traffic.
"""

from __future__ import annotations

from typing import Final

from resolver.observe import series
from resolver.observe.http_metrics import HTTP_METRICS
from resolver.observe.metric import Metric, counter, gauge, labelled, native
from resolver.observe.proof_metrics import PROOF_METRICS
from resolver.observe.stream_metrics import STREAM_METRICS
from resolver.observe.upstream_metrics import UPSTREAM_METRICS

__all__ = ["EXCHANGE_HITS", "LIST_HITS", "METRICS", "QUERIES", "Metric"]

EXCHANGE_HITS: Final = labelled(
    "counter",
    "resolver_exchange_hits_total",
    "Queries that met a rule of this exchange, by what was done; shadow: would have been.",
    "exchange action mode",
    series.hits_of_exchanges,
)
LIST_HITS: Final = labelled(
    "counter",
    "resolver_list_hits_total",
    "Queries that met a rule of this list, by what was done; shadow: would have been.",
    "list action mode",
    series.hits_of_lists,
)

QUERIES: Final = labelled(
    "counter",
    "resolver_queries_total",
    "Queries whose outcome is known, by transport and type (none: unreadable).",
    "transport qtype",
    series.queries,
)

METRICS: Final = (
    # What was asked and answered.
    EXCHANGE_HITS,
    LIST_HITS,
    QUERIES,
    labelled(
        "counter",
        "resolver_responses_total",
        "Responses sent, by response code and by where the answer came from.",
        "rcode source",
        series.responses,
    ),
    labelled(
        "histogram",
        "resolver_response_seconds",
        "Time from reading a query to its response, by where the answer came from.",
        "source",
        series.response_times,
    ),
    labelled(
        "counter",
        "resolver_dropped_total",
        "Packets, connections and answers that were dropped, by reason.",
        "reason",
        series.drops,
    ),
    *STREAM_METRICS,
    *HTTP_METRICS,
    # The cache.
    gauge("resolver_cache_entries", "Answers in the cache.", lambda facts: facts.cache.entries),
    gauge("resolver_cache_bytes", "Memory the cache accounts for.", lambda facts: facts.cache.octets),
    counter("resolver_cache_hits_total", "Queries answered from the cache.", series.cache_hits),
    counter(
        "resolver_cache_misses_total", "Lookups that found nothing fresh.", lambda facts: facts.cache.misses
    ),
    counter(
        "resolver_cache_evictions_total", "Answers pushed out by others.", lambda facts: facts.cache.evictions
    ),
    *UPSTREAM_METRICS,
    # The policy, its lists, its record.
    labelled(
        "gauge",
        "resolver_blocklist_rules",
        "Rules of this exchange in the policy in force.",
        "exchange",
        series.rules,
    ),
    labelled(
        "gauge",
        "resolver_blocklist_exchanges",
        "Exchanges of the policy in force, by how they stand.",
        "state",
        series.exchanges_by_state,
    ),
    labelled(
        "gauge",
        "resolver_blocklist_domains",
        "Domains of exchanges of the policy in force, by how these stand.",
        "state",
        series.domains_by_state,
    ),
    labelled(
        "gauge",
        "resolver_exchange_in_force",
        "1 while this exchange is blocked, 0 while its mode, its dates or a want of entries leave it open.",
        "exchange",
        series.exchanges_in_force,
    ),
    gauge(
        "resolver_blocklist_is_empty",
        "1 while the policy in force blocks nothing, neither by exchanges nor by lists, else 0.",
        lambda facts: facts.policy.is_empty,
    ),
    labelled(
        "gauge",
        "resolver_policy_info",
        "Always 1; the label is the hash of the blocklist in force and its local lists.",
        "hash",
        series.policy_content,
    ),
    gauge(
        "resolver_policy_generation",
        "Goes up by one each time the policy in force changes; counted from the start.",
        lambda facts: facts.policy.generation,
    ),
    labelled(
        "counter",
        "resolver_reloads_total",
        "Attempts to load the blocklist, by result.",
        "result",
        series.reloads,
    ),
    gauge(
        "resolver_blocklist_last_success_timestamp_seconds",
        "When the blocklist was last loaded.",
        lambda facts: facts.reloads.last_success,
    ),
    gauge(
        "resolver_blocklist_last_attempt_timestamp_seconds",
        "When loading the blocklist was last tried.",
        lambda facts: facts.reloads.last_attempt,
    ),
    gauge(
        "resolver_blocklist_is_stale",
        "1 while the blocklist as it stands is not in force because it could not be loaded, else 0.",
        lambda facts: facts.reloads.serves_last_good,
    ),
    gauge(
        "resolver_blocklist_edit_waits",
        "1 while the blocklist as it stands waits for a second person's approval, and is in order, else 0.",
        lambda facts: facts.reloads.waits_for_second,
    ),
    gauge(
        "resolver_blocklist_expiring_exchanges",
        "Exchanges in force whose until comes within 30 days.",
        lambda facts: facts.expiring,
    ),
    labelled(
        "gauge",
        "resolver_order_due_timestamp_seconds",
        "By when this order must be in force; an order without a deadline or that has ended has no series.",
        "order",
        series.orders_due,
    ),
    labelled(
        "gauge",
        "resolver_order_in_force_timestamp_seconds",
        "When something was first blocked because of this order; 0: never yet.",
        "order",
        series.orders_in_force,
    ),
    labelled(
        "gauge",
        "resolver_order_unenforced_records",
        "Things that this order asks for and that are not enforced, by reason.",
        "order reason",
        series.orders_unenforced,
    ),
    labelled(
        "gauge",
        "resolver_list_last_success_timestamp_seconds",
        "When this list was last known to be what its server has; 0: it was never downloaded.",
        "list",
        series.list_ages,
    ),
    labelled(
        "gauge",
        "resolver_list_refresh_seconds",
        "How often this list is to be fetched.",
        "list",
        series.list_refreshes,
    ),
    labelled(
        "gauge",
        "resolver_list_serial",
        "Serial of the copy of this transferred zone.",
        "list",
        series.list_serials,
    ),
    labelled(
        "gauge",
        "resolver_list_authority_serial",
        "Newest serial that a primary of this transferred zone has said.",
        "list",
        series.list_authority_serials,
    ),
    labelled(
        "gauge",
        "resolver_list_lag_seconds",
        "For how long a primary has had a newer zone than the copy; 0: none has.",
        "list",
        series.list_lags,
    ),
    labelled(
        "counter",
        "resolver_list_downloads_total",
        "Attempts to download this list, by result.",
        "list result",
        series.list_downloads,
    ),
    labelled(
        "gauge",
        "resolver_clock_doubted",
        "1 while the wall clock is far ahead of all that is known, or behind what has been and not believed.",
        "doubt",
        series.clock_doubts,
    ),
    gauge(
        "resolver_filtering_paused_until_timestamp_seconds",
        "When filtering goes on after a pause (Unix seconds); 0: it is not paused.",
        lambda facts: facts.paused_until,
    ),
    gauge(
        "resolver_history_generation",
        "Number of the policy in force in the history; 0: it is not recorded, or not yet.",
        lambda facts: facts.history.generation,
    ),
    counter(
        "resolver_history_failures_total",
        "Generations that could not be recorded in the history.",
        lambda facts: facts.history.failures,
    ),
    *PROOF_METRICS,
    gauge(
        "resolver_hit_history_waiting_hits",
        "Hits counted and not written to the history of hits yet.",
        lambda facts: facts.hit_history.waiting,
    ),
    gauge(
        "resolver_hit_history_last_success_timestamp_seconds",
        "When the history of hits was last written; 0: never.",
        lambda facts: facts.hit_history.last_success,
    ),
    labelled(
        "counter",
        "resolver_hit_history_failures_total",
        "Attempts to write the history of hits that failed, by reason; the next one has their hits.",
        "reason",
        series.hit_history_failures,
    ),
    counter(
        "resolver_hit_history_lost_hits_total",
        "Hits that were never written, for there was no more room for them to wait.",
        lambda facts: facts.hit_history.lost,
    ),
    counter(
        "resolver_hit_history_damaged_files_total",
        "Times the file of the history of hits was damaged, set aside and begun anew.",
        lambda facts: facts.hit_history.damaged,
    ),
    counter(
        "resolver_hit_history_dropped_total",
        "Hours that went from the history of hits for want of room, the oldest first.",
        lambda facts: facts.hit_history.dropped_hours,
    ),
    # The program.
    gauge(
        "resolver_ready",
        "1 while the policy is loaded and the sockets are bound, else 0.",
        lambda facts: facts.health.is_ready,
    ),
    labelled(
        "gauge",
        "resolver_remark",
        "1 while /readyz has a remark on this topic, where a person should look, else 0.",
        "topic",
        series.remarks,
    ),
    labelled(
        "gauge", "resolver_build_info", "Always 1; the labels say what runs.", "version engine", series.build
    ),
    counter(
        "resolver_event_loop_stalls_total",
        "Times the server could not look at its deadlines for over 50 ms.",
        lambda facts: facts.event_loop_stalls,
    ),
    counter(
        "resolver_log_lines_dropped_total",
        "Log lines lost to a slow reader.",
        lambda facts: facts.log_lines_dropped,
    ),
    labelled(
        "counter",
        "resolver_query_records_total",
        "Query records written, by where they go.",
        "sink",
        series.query_records,
    ),
    labelled(
        "counter",
        "resolver_query_records_lost_total",
        "Query records lost for want of room or to a reader that is gone, by where they should have gone.",
        "sink",
        series.query_records_lost,
    ),
    labelled(
        "gauge",
        "resolver_suggestions",
        "Names that look like a listed exchange and were asked for, by state; 0 where suggestions are off.",
        "state",
        series.suggestions,
    ),
    labelled(
        "gauge",
        "resolver_block_page_up",
        "1 while the page that blocked people see is served, else 0; no series where there is none.",
        "",
        series.block_page_state,
    ),
    labelled(
        "gauge",
        "resolver_block_page_is_stale",
        "1 while the block page shows what was in force before, for its file could not be made, else 0.",
        "",
        series.block_page_age,
    ),
    labelled(
        "counter",
        "resolver_block_page_requests_total",
        "Requests that the block page has answered, by status.",
        "status",
        series.block_page_requests,
    ),
    labelled(
        "counter",
        "resolver_block_page_refused_total",
        "Connections to the block page that were refused or cut, by reason; rate: pauses in accepting.",
        "reason",
        series.block_page_refusals,
    ),
    labelled(
        "counter",
        "resolver_block_page_restarts_total",
        "Times the process of the block page ended and was started again.",
        "",
        series.block_page_restarts,
    ),
    labelled(
        "gauge",
        "resolver_query_records_sink_up",
        "1: query records reach their reader; 0: its file or connection is broken, or it takes nothing.",
        "sink",
        series.query_records_up,
    ),
    native(
        "resolver_native_punted_queries_total",
        "Queries that the native plane left to Python.",
        lambda native: native.punts,
    ),
    native(
        "resolver_native_handovers_total",
        "Questions whose first attempt upstream came to no simple end, handed over to Python.",
        lambda native: native.handovers,
    ),
    native(
        "resolver_native_panics_total", "Defects caught in the native plane.", lambda native: native.panics
    ),
    native(
        "resolver_native_restarts_total",
        "Times a thread of the native plane began anew; Python served its sockets meanwhile.",
        lambda native: native.restarts,
    ),
)
"""All of them, in the order in which a reader would want them."""
