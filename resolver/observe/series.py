"""Facts -> the series of those metrics that have labels or buckets.

Knows: how counts are added up by labels.  Does not know: any metric's name or help (`metric_table`).
Theory: labels come from closed sets only: never a domain, never a client.  What the policy in force names
is present at 0 before anybody asks, reasons of drops too, and what has counted once stays.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from resolver.flow.outcome import Source
from resolver.observe.facts import CLOCK_DOUBTS, ENFORCED, REMARK_TOPICS, STATES, Facts
from resolver.observe.tally import (
    DROP_REASONS,
    OTHER,
    QTYPE_LABELS,
    RCODE_LABELS,
    SECONDS_BOUNDS,
    SERVED_TRANSPORTS,
    UNREADABLE,
    Hit,
    TallyKey,
    TallySnapshot,
)


class Times(NamedTuple):
    """What a histogram shows."""

    bounds: Sequence[float]
    """Upper bounds of the buckets, in seconds, without +Inf."""
    buckets: Sequence[int]
    """How many fell into each; one more than `bounds`."""
    seconds: float
    """Sum of all times."""


Labels = tuple[str, ...]
Sample = tuple[Labels, float | Times]


def hits_of_exchanges(facts: Facts) -> Iterable[Sample]:
    """Hits per exchange, action and mode."""
    return _hits(facts.tallies, "exchange", facts.policy.exchanges)


def hits_of_lists(facts: Facts) -> Iterable[Sample]:
    """Hits per list, action and mode."""
    return _hits(facts.tallies, "list", facts.policy.lists)


def queries(facts: Facts) -> Iterable[Sample]:
    """Queries per transport and type."""
    types = (*QTYPE_LABELS.values(), OTHER, UNREADABLE)
    every = [(transport.label, qtype) for transport in SERVED_TRANSPORTS for qtype in types]
    return _folded(facts.tallies, lambda key: (key.transport, key.qtype), every)


def responses(facts: Facts) -> Iterable[Sample]:
    """Responses per response code and source."""
    every = [(rcode, source.value) for rcode in (*RCODE_LABELS.values(), OTHER) for source in Source]
    return _folded(
        facts.tallies,
        lambda key: (key.rcode, key.source) if key.rcode is not None and key.source is not None else None,
        every,
    )


def drops(facts: Facts) -> Iterable[Sample]:
    """What was dropped, outcomes and others, per reason."""
    counts = Counter(dict.fromkeys(DROP_REASONS, 0))
    counts.update(facts.drops)
    for key, count, _ in facts.tallies.counts:
        if key.reason is not None:
            counts[key.reason] += count
    return [((reason,), count) for reason, count in sorted(counts.items())]


def response_times(facts: Facts) -> Iterable[Sample]:
    """How long answers took, per source."""
    counts: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    for key, count, took in facts.tallies.counts:
        if key.source is not None:
            counts[key.source] += count
            seconds[key.source] += took
    for source, late in sorted(facts.tallies.late.items()):
        # Whatever is in no later bucket is in the first.
        buckets = (counts[source] - sum(late), *late[1:])
        yield (source,), Times(SECONDS_BOUNDS, buckets, seconds[source])


def connections(facts: Facts) -> Iterable[Sample]:
    """Open connections per transport."""
    return [((transport,), count) for transport, count in facts.connections.by_transport.items()]


def listen_addresses(facts: Facts) -> Iterable[Sample]:
    """Addresses listened on, per transport and engine."""
    return list(facts.connections.addresses.items())


def tls_sessions(facts: Facts) -> Iterable[Sample]:
    """Handshakes that are done."""
    return list(facts.tls.sessions.items())


def tls_failures(facts: Facts) -> Iterable[Sample]:
    """Handshakes that failed, per reason."""
    return [((reason,), count) for reason, count in facts.tls.failures.items()]


def https_responses(facts: Facts) -> Iterable[Sample]:
    """Requests for DNS over HTTPS, per status."""
    return [((status,), count) for status, count in facts.https_responses.items()]


def certificate_end(facts: Facts) -> Iterable[Sample]:
    """When the first expires."""
    return [] if facts.certificates.ends_at is None else [((), facts.certificates.ends_at)]


def certificate_state(facts: Facts) -> Iterable[Sample]:
    """Whether the files are not what is served."""
    return [] if facts.certificates.ends_at is None else [((), facts.certificates.is_stale)]


def certificate_reloads(facts: Facts) -> Iterable[Sample]:
    """Changes of the files, per result."""
    return [(("success",), facts.certificates.successes), (("failure",), facts.certificates.failures)]


def cache_hits(facts: Facts) -> int:
    """Queries answered from the cache."""
    # Counted where answers leave, so those repeated from the memo in front of the cache are hits too.
    return sum(count for key, count, _ in facts.tallies.counts if key.source in ("cache", "stale"))


def clock_doubts(facts: Facts) -> Iterable[Sample]:
    """Whether the wall clock is doubted, per way in which it may be wrong."""
    return [((doubt,), doubt == facts.clock_doubt) for doubt in CLOCK_DOUBTS]


def remarks(facts: Facts) -> Iterable[Sample]:
    """Whether there is a remark, per topic."""
    return [((topic,), topic in facts.health.remarks) for topic in REMARK_TOPICS]


def hit_history_failures(facts: Facts) -> Iterable[Sample]:
    """Failed writes of the history of hits, per reason."""
    return [((reason,), count) for reason, count in sorted(facts.hit_history.failures.items())]


def query_records(facts: Facts) -> Iterable[Sample]:
    """Query records written, per sink."""
    return [((sink.name,), sink.records) for sink in facts.sinks]


def query_records_lost(facts: Facts) -> Iterable[Sample]:
    """Query records lost, per sink."""
    return [((sink.name,), sink.lost) for sink in facts.sinks]


def suggestions(facts: Facts) -> Iterable[Sample]:
    """Names that look like a listed exchange, by state."""
    return [((state,), count) for state, count in facts.suggestions.items()]


def query_records_up(facts: Facts) -> Iterable[Sample]:
    """Whether the records of each sink reach somebody."""
    return [((sink.name,), not sink.trouble) for sink in facts.sinks]


def upstream_states(facts: Facts) -> Iterable[Sample]:
    """Whether each upstream answers."""
    return [((upstream.name,), upstream.is_up) for upstream in facts.upstreams]


def upstream_queries(facts: Facts) -> Iterable[Sample]:
    """Queries per upstream."""
    return [((upstream.name,), upstream.queries) for upstream in facts.upstreams]


def upstream_failures(facts: Facts) -> Iterable[Sample]:
    """Failures per upstream and reason."""
    return [
        ((upstream.name, reason), count)
        for upstream in facts.upstreams
        for reason, count in sorted(upstream.failures.items())
    ]


def upstream_certificates(facts: Facts) -> Iterable[Sample]:
    """Until when the certificates of encrypted upstreams are good, where they showed one."""
    return [
        ((upstream.name,), upstream.certificate_until)
        for upstream in facts.upstreams
        if upstream.certificate_until is not None
    ]


def upstream_handshakes(facts: Facts) -> Iterable[Sample]:
    """Handshakes with encrypted upstreams, in full and resumed."""
    return [
        ((upstream.name, resumed), count)
        for upstream in facts.upstreams
        if upstream.is_encrypted
        for resumed, count in (("no", upstream.handshakes), ("yes", upstream.resumptions))
    ]


def upstream_connections(facts: Facts) -> Iterable[Sample]:
    """Open connections, per upstream."""
    return [((upstream.name,), upstream.connections) for upstream in facts.upstreams]


def upstream_times(facts: Facts) -> Iterable[Sample]:
    """How long responses took, per upstream."""
    for upstream in facts.upstreams:
        yield (upstream.name,), Times(upstream.bounds, upstream.buckets, upstream.seconds)


def rules(facts: Facts) -> Iterable[Sample]:
    """Rules per exchange."""
    return [((exchange,), count) for exchange, count in sorted(facts.policy.rules.items())]


def reloads(facts: Facts) -> Iterable[Sample]:
    """Attempts to load the blocklist, per result."""
    return [(("success",), facts.reloads.successes), (("failure",), facts.reloads.failures)]


def list_ages(facts: Facts) -> Iterable[Sample]:
    """When each list was last known to be fresh."""
    return [((entry.name,), entry.last_success) for entry in facts.lists]


def list_refreshes(facts: Facts) -> Iterable[Sample]:
    """How often each list is fetched."""
    return [((entry.name,), entry.refresh_s) for entry in facts.lists]


def list_serials(facts: Facts) -> Iterable[Sample]:
    """Serial of each transferred zone's copy."""
    return [((entry.name,), entry.zone.serial) for entry in facts.lists if entry.zone is not None]


def list_authority_serials(facts: Facts) -> Iterable[Sample]:
    """Newest serial that a primary has said of each transferred zone."""
    return [((entry.name,), entry.zone.authority_serial) for entry in facts.lists if entry.zone is not None]


def list_lags(facts: Facts) -> Iterable[Sample]:
    """For how long the copy of each transferred zone is behind."""
    return [((entry.name,), entry.zone.lag_s) for entry in facts.lists if entry.zone is not None]


def exchanges_by_state(facts: Facts) -> Iterable[Sample]:
    """Exchanges per state."""
    counts = Counter(facts.policy.states.values())
    counts.update(state for state, _ in facts.policy.concealed)
    return [((state,), counts[state]) for state in STATES]


def domains_by_state(facts: Facts) -> Iterable[Sample]:
    """Rules for names per state of their exchange."""
    counts: Counter[str] = Counter()
    for exchange, state in facts.policy.states.items():
        counts[state] += facts.policy.rules.get(exchange, 0)
    for state, count in facts.policy.concealed:
        counts[state] += count
    return [((state,), counts[state]) for state in STATES]


def exchanges_in_force(facts: Facts) -> Iterable[Sample]:
    """Which exchange is enforced."""
    return [((exchange,), int(state == ENFORCED)) for exchange, state in sorted(facts.policy.states.items())]


def exchanges_described(facts: Facts) -> Iterable[Sample]:
    """Always 1; what people call each exchange."""
    return [((exchange, *words), 1) for exchange, words in sorted(facts.policy.described.items())]


def exchange_ends(facts: Facts) -> Iterable[Sample]:
    """When each exchange ends; those without an end are left out."""
    return [((exchange,), end) for exchange, end in sorted(facts.policy.ends.items())]


def orders_due(facts: Facts) -> Iterable[Sample]:
    """By when each order must be in force; those without a deadline are left out."""
    return [((order.id,), order.due_at) for order in facts.orders if order.due_at is not None]


def orders_in_force(facts: Facts) -> Iterable[Sample]:
    """Since when each order is in force."""
    return [((order.id,), order.in_force_at) for order in facts.orders]


def orders_unenforced(facts: Facts) -> Iterable[Sample]:
    """What of each order is not enforced, per reason."""
    return [
        ((order.id, reason), count)
        for order in facts.orders
        for reason, count in sorted(order.unenforced.items())
    ]


def policy_content(facts: Facts) -> Iterable[Sample]:
    """Always 1; the hash speaks."""
    return [((facts.policy.content,), 1)] if facts.policy.content else []


def list_downloads(facts: Facts) -> Iterable[Sample]:
    """Downloads per list and result."""
    return [
        ((entry.name, result), count)
        for entry in facts.lists
        for result, count in sorted(entry.downloads.items())
    ]


def block_page_state(facts: Facts) -> Iterable[Sample]:
    """Whether it is served."""
    return [] if facts.block_page is None else [((), facts.block_page.is_up)]


def block_page_age(facts: Facts) -> Iterable[Sample]:
    """Whether it shows an older policy."""
    return [] if facts.block_page is None else [((), facts.block_page.is_stale)]


def block_page_requests(facts: Facts) -> Iterable[Sample]:
    """Its answers by status."""
    return [] if facts.block_page is None else [((key,), n) for key, n in facts.block_page.requests.items()]


def block_page_refusals(facts: Facts) -> Iterable[Sample]:
    """Connections that it refused or cut, by reason."""
    return [] if facts.block_page is None else [((key,), n) for key, n in facts.block_page.refused.items()]


def block_page_restarts(facts: Facts) -> Iterable[Sample]:
    """How often its process was started again."""
    return [] if facts.block_page is None else [((), facts.block_page.restarts)]


def build(facts: Facts) -> Iterable[Sample]:
    """Always 1; the labels speak."""
    return [((facts.version, facts.engine), 1)]


def audited_domains(facts: Facts) -> Iterable[Sample]:
    """By what is proved of them."""
    return [((status,), count) for status, count in facts.audit.domains.items()]


def audits(facts: Facts) -> Iterable[Sample]:
    """Audits of this server by itself."""
    return list(facts.audit.runs.items())


def acknowledged_batches(facts: Facts) -> Iterable[Sample]:
    """By list."""
    return [((one.list,), one.batches) for one in facts.acknowledged]


def acknowledge_failures(facts: Facts) -> Iterable[Sample]:
    """By list and reason."""
    return [((one.list, why), count) for one in facts.acknowledged for why, count in one.failures.items()]


def acknowledge_pending(facts: Facts) -> Iterable[Sample]:
    """By list."""
    return [((one.list,), one.pending_since) for one in facts.acknowledged]


def acknowledge_ages(facts: Facts) -> Iterable[Sample]:
    """By list."""
    return [((one.list,), one.last_success) for one in facts.acknowledged]


def acknowledge_unproved(facts: Facts) -> Iterable[Sample]:
    """By list."""
    return [((one.list,), one.unproved) for one in facts.acknowledged]


def _hits(tallies: TallySnapshot, kind: str, in_force: Iterable[tuple[str, str, str]]) -> Iterable[Sample]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for labels in in_force:
        counts[labels] = 0
    for key, count, _ in tallies.counts:
        for hit in (key.enforced, key.shadow):
            if hit is not None and hit.kind == kind:
                counts[_labels_of(hit)] += count
    return sorted(counts.items())


def _labels_of(hit: Hit) -> tuple[str, str, str]:
    return hit.label, hit.action, hit.mode


def _folded(
    tallies: TallySnapshot, labels_of: Callable[[TallyKey], Labels | None], every: Iterable[Labels]
) -> Iterable[Sample]:
    """Add up the tallies that have the same labels; None leaves a tally out; `every`: there at 0."""
    counts: Counter[Labels] = Counter(dict.fromkeys(every, 0))
    for key, count, _ in tallies.counts:
        labels = labels_of(key)
        if labels is not None:
            counts[labels] += count
    return sorted(counts.items())
