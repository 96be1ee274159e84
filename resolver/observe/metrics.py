"""Folds tallies and other rooms' integers into Prometheus metrics, at scrape time.

Knows: every metric's name, help and labels.  Does not know: who scrapes, how anything was counted.
Theory: `snapshot` copies plain integers on the event loop, in microseconds; `render` turns the copy
into text and may run on any thread.  Labels come from closed sets only: never a domain, never a client.
Rooms are seen through the small protocols below, so none of them knows that it is measured.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from resolver.observe.tally import SECONDS_BOUNDS, Hit, Tallies, TallyKey, TallySnapshot, joined

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The classic text format: every Prometheus reads it, and promtool checks it."""


class CacheCounters(Protocol):
    """What the cache counts."""

    @property
    def entries(self) -> int: ...
    @property
    def octets(self) -> int: ...
    @property
    def misses(self) -> int: ...
    @property
    def evictions(self) -> int: ...


@dataclass(slots=True, frozen=True)
class PolicyFacts:
    """What the policy in force contains, in labels."""

    generation: int = 0
    exchanges: tuple[tuple[str, str, str], ...] = ()
    """(id, action, mode) of each exchange."""
    lists: tuple[tuple[str, str, str], ...] = ()
    """(name, action, mode) of each list that blocks."""
    rules: Mapping[str, int] = field(default_factory=dict)
    """Exchange id -> number of its rules."""


@dataclass(slots=True, frozen=True)
class ReloadFacts:
    """How the policy's reloads went.  Times are Unix seconds; 0: never."""

    successes: int = 0
    failures: int = 0
    last_success: float = 0.0
    last_attempt: float = 0.0


@dataclass(slots=True, frozen=True)
class ListFacts:
    """How the downloads of one list went."""

    name: str
    last_success: float
    """Unix seconds; 0: it was never downloaded."""
    downloads: Mapping[str, int]
    """Every result there is -> count."""


@dataclass(slots=True, frozen=True)
class UpstreamFacts:
    """What one upstream was asked and how it did."""

    name: str
    """`udp://192.0.2.1:53`: from the settings, so a closed set."""
    queries: int
    failures: Mapping[str, int]
    """Reason -> count."""
    bounds: Sequence[float]
    """Upper bounds of the buckets, in seconds, without +Inf."""
    buckets: Sequence[int]
    """How many responses fell into each; one more than `bounds`."""
    seconds: float
    """Sum of all response times."""


@dataclass(slots=True, frozen=True)
class Snapshot:
    """Every integer of the server at one moment."""

    tallies: TallySnapshot
    policy: PolicyFacts
    reloads: ReloadFacts
    upstreams: tuple[UpstreamFacts, ...]
    cache: tuple[int, int, int, int]
    """entries, octets, misses, evictions"""
    gauges: tuple[tuple[str, str, float], ...]
    """(name, help, value) of what else there is and goes up and down."""
    counters: tuple[tuple[str, str, float], ...]
    """(name without _total, help, value) of what else there is and only goes up."""
    drops: Mapping[str, int]
    """What listeners lost beside the outcomes, by reason."""
    lists: tuple[ListFacts, ...] = ()
    """Lists that are downloaded."""


class Metrics:
    """The server's metrics.  Callables are read at each scrape, on the event loop."""

    def __init__(
        self,
        tallies: Tallies,
        *,
        policy: Callable[[], PolicyFacts],
        reloads: Callable[[], ReloadFacts],
        upstreams: Callable[[], Iterable[UpstreamFacts]],
        cache: CacheCounters,
        version: str,
        engine: str,
        gauges: Callable[[], Iterable[tuple[str, str, float]]] = tuple,
        counters: Callable[[], Iterable[tuple[str, str, float]]] = tuple,
        drops: Callable[[], Mapping[str, int]] = dict,
        lists: Callable[[], Iterable[ListFacts]] = tuple,
        native: Callable[[], TallySnapshot | None] = lambda: None,
    ) -> None:
        """`native`: what another plane has counted; None: there is none."""
        self._tallies = tallies
        self._policy = policy
        self._reloads = reloads
        self._upstreams = upstreams
        self._cache = cache
        self._version = version
        self._engine = engine
        self._gauges = gauges
        self._counters = counters
        self._drops = drops
        self._lists = lists
        self._native = native

    def snapshot(self) -> Snapshot:
        """Copy every integer; call it on the event loop."""
        cache = self._cache
        tallies, native = self._tallies.snapshot(), self._native()
        return Snapshot(
            tallies=tallies if native is None else joined(tallies, native),
            policy=self._policy(),
            reloads=self._reloads(),
            upstreams=tuple(self._upstreams()),
            cache=(cache.entries, cache.octets, cache.misses, cache.evictions),
            gauges=tuple(self._gauges()),
            counters=tuple(self._counters()),
            drops=dict(self._drops()),
            lists=tuple(self._lists()),
        )

    def render(self, snapshot: Snapshot) -> bytes:
        """The exposition text of `snapshot`; any thread may call it."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families(snapshot, self._version, self._engine))
        ProcessCollector(registry=registry)
        return generate_latest(registry)


class _Families:
    """Adapter: a snapshot as a prometheus_client collector."""

    def __init__(self, snapshot: Snapshot, version: str, engine: str) -> None:
        self._snapshot = snapshot
        self._version = version
        self._engine = engine

    def describe(self) -> Iterable[Metric]:
        """Nothing to check for clashes: each registry has only this collector and the process's."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All families, in the order a reader would want them."""
        snapshot = self._snapshot
        yield from hit_families(snapshot.tallies, snapshot.policy)
        yield from traffic_families(snapshot.tallies, snapshot.drops)
        yield from cache_families(snapshot)
        yield from upstream_families(snapshot.upstreams)
        yield from policy_families(snapshot.policy, snapshot.reloads)
        yield from list_families(snapshot.lists)
        for name, text, number in snapshot.gauges:
            yield GaugeMetricFamily(name, text, value=number)
        for name, text, number in snapshot.counters:
            yield CounterMetricFamily(name, text, value=number)
        build = GaugeMetricFamily(
            "resolver_build_info", "Always 1; the labels say what runs.", labels=("version", "engine")
        )
        build.add_metric((self._version, self._engine), 1)
        yield build


def hit_families(tallies: TallySnapshot, policy: PolicyFacts) -> Iterable[Metric]:
    """Hits per exchange and per list; everything in the policy in force is present, at 0 if need be."""
    counts: Counter[Hit] = Counter()
    for exchange in policy.exchanges:
        counts[Hit("exchange", *exchange)] = 0
    for blocklist in policy.lists:
        counts[Hit("list", *blocklist)] = 0
    for key, count, _ in tallies.counts:
        for hit in (key.enforced, key.shadow):
            if hit is not None:
                counts[hit] += count
    for kind, text in (
        ("exchange", "Queries that met a rule of this exchange, by what was done; shadow: would have been."),
        ("list", "Queries that met a rule of this list, by what was done; shadow: would have been."),
    ):
        family = CounterMetricFamily(f"resolver_{kind}_hits", text, labels=(kind, "action", "mode"))
        for hit in sorted(counts):
            if hit.kind == kind:
                family.add_metric(hit[1:], counts[hit])
        yield family


def traffic_families(tallies: TallySnapshot, lost: Mapping[str, int]) -> Iterable[Metric]:
    """Queries, responses, their times, and drops."""
    yield _fold(
        tallies,
        CounterMetricFamily(
            "resolver_queries",
            "Queries whose outcome is known, by transport and type (none: unreadable).",
            labels=("transport", "qtype"),
        ),
        lambda key: (key.transport, key.qtype),
    )
    yield _fold(
        tallies,
        CounterMetricFamily(
            "resolver_responses",
            "Responses sent, by response code and by where the answer came from.",
            labels=("rcode", "source"),
        ),
        lambda key: (key.rcode, key.source) if key.rcode is not None and key.source is not None else None,
    )
    drops: Counter[str] = Counter(lost)
    for key, count, _ in tallies.counts:
        if key.reason is not None:
            drops[key.reason] += count
    dropped = CounterMetricFamily(
        "resolver_dropped",
        "Packets, connections and answers that were dropped, by reason.",
        labels=("reason",),
    )
    for reason, count in sorted(drops.items()):
        dropped.add_metric((reason,), count)
    yield dropped
    counts: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    for key, count, took in tallies.counts:
        if key.source is not None:
            counts[key.source] += count
            seconds[key.source] += took
    family = HistogramMetricFamily(
        "resolver_response_seconds",
        "Time from reading a query to its response, by where the answer came from.",
        labels=("source",),
    )
    for source, late in sorted(tallies.late.items()):
        # Whatever is in no later bucket is in the first.
        buckets = (counts[source] - sum(late), *late[1:])
        family.add_metric((source,), _cumulative(SECONDS_BOUNDS, buckets), seconds[source])
    yield family


def cache_families(snapshot: Snapshot) -> Iterable[Metric]:
    """Size and use of the cache."""
    entries, octets, misses, evictions = snapshot.cache
    # Counted where answers leave, so those repeated from the memo in front of the cache are hits too.
    hits = sum(count for key, count, _ in snapshot.tallies.counts if key.source in ("cache", "stale"))
    yield GaugeMetricFamily("resolver_cache_entries", "Answers in the cache.", value=entries)
    yield GaugeMetricFamily("resolver_cache_bytes", "Memory the cache accounts for.", value=octets)
    yield CounterMetricFamily("resolver_cache_hits", "Queries answered from the cache.", value=hits)
    yield CounterMetricFamily("resolver_cache_misses", "Lookups that found nothing fresh.", value=misses)
    yield CounterMetricFamily("resolver_cache_evictions", "Answers pushed out by others.", value=evictions)


def upstream_families(upstreams: Iterable[UpstreamFacts]) -> Iterable[Metric]:
    """What upstreams were asked and how they did."""
    queries = CounterMetricFamily(
        "resolver_upstream_queries", "Queries sent to this upstream, retries included.", labels=("upstream",)
    )
    failures = CounterMetricFamily(
        "resolver_upstream_failures",
        "Queries to this upstream that brought no usable response, by reason.",
        labels=("upstream", "reason"),
    )
    seconds = HistogramMetricFamily(
        "resolver_upstream_response_seconds", "Time until this upstream responded.", labels=("upstream",)
    )
    for upstream in upstreams:
        queries.add_metric((upstream.name,), upstream.queries)
        for reason, count in sorted(upstream.failures.items()):
            failures.add_metric((upstream.name, reason), count)
        seconds.add_metric((upstream.name,), _cumulative(upstream.bounds, upstream.buckets), upstream.seconds)
    yield queries
    yield failures
    yield seconds


def policy_families(policy: PolicyFacts, reloads: ReloadFacts) -> Iterable[Metric]:
    """The policy in force and how it came to be."""
    rules = GaugeMetricFamily(
        "resolver_blocklist_rules", "Rules of this exchange in the policy in force.", labels=("exchange",)
    )
    for exchange, count in sorted(policy.rules.items()):
        rules.add_metric((exchange,), count)
    yield rules
    yield GaugeMetricFamily(
        "resolver_policy_generation",
        "Goes up by one each time the policy in force changes.",
        value=policy.generation,
    )
    results = CounterMetricFamily(
        "resolver_reloads", "Attempts to load the blocklist, by result.", labels=("result",)
    )
    results.add_metric(("success",), reloads.successes)
    results.add_metric(("failure",), reloads.failures)
    yield results
    yield GaugeMetricFamily(
        "resolver_blocklist_last_success_timestamp_seconds",
        "When the blocklist was last loaded.",
        value=reloads.last_success,
    )
    yield GaugeMetricFamily(
        "resolver_blocklist_last_attempt_timestamp_seconds",
        "When loading the blocklist was last tried.",
        value=reloads.last_attempt,
    )


def list_families(lists: Iterable[ListFacts]) -> Iterable[Metric]:
    """How fresh downloaded lists are."""
    success = GaugeMetricFamily(
        "resolver_list_last_success_timestamp_seconds",
        "When this list was last known to be what its server has; 0: it was never downloaded.",
        labels=("list",),
    )
    downloads = CounterMetricFamily(
        "resolver_list_downloads", "Attempts to download this list, by result.", labels=("list", "result")
    )
    for facts in lists:
        success.add_metric((facts.name,), facts.last_success)
        for result, count in sorted(facts.downloads.items()):
            downloads.add_metric((facts.name, result), count)
    yield success
    yield downloads


def _fold(
    tallies: TallySnapshot,
    family: CounterMetricFamily,
    labels_of: Callable[[TallyKey], tuple[str, ...] | None],
) -> CounterMetricFamily:
    """Add up the tallies that have the same labels; None leaves a tally out."""
    counts: Counter[tuple[str, ...]] = Counter()
    for key, count, _ in tallies.counts:
        labels = labels_of(key)
        if labels is not None:
            counts[labels] += count
    for labels, count in sorted(counts.items()):
        family.add_metric(labels, count)
    return family


def _cumulative(bounds: Sequence[float], buckets: Sequence[int]) -> list[tuple[str, float]]:
    """Prometheus buckets: each counts everything up to its bound."""
    total = 0
    rows: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, bounds), "+Inf"), buckets, strict=True):
        total += count
        rows.append((bound, total))
    return rows
