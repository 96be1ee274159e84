"""The rooms of a running server -> the facts that it reports.

Knows: both sides, so that neither has to know the other; which counts of the two planes belong together.
Does not know: names of metrics, who asks.
Each function takes rooms that may not be made yet (None), so that a scraper of a starting server sees
everything at 0 rather than nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from resolver.fetching.keeper import Followed, ListKeeper
from resolver.fetching.outcome import Result
from resolver.fetching.schedule import refresh_s
from resolver.flow.service import Service
from resolver.forwarding.change_log import words_of_lost
from resolver.forwarding.forwarder import Forwarder
from resolver.forwarding.socket_network import SocketNetwork
from resolver.forwarding.stream import StreamCounts
from resolver.forwarding.udp_pool import UdpCounts
from resolver.forwarding.upstream import RESPONSE_SECONDS_BOUNDS
from resolver.listeners.reporter import Reporter
from resolver.observe.facts import (
    ENFORCED,
    CacheFacts,
    DatagramFacts,
    ForwardingFacts,
    HealthFacts,
    HistoryFacts,
    ListFacts,
    NativeFacts,
    OrderFacts,
    PolicyFacts,
    ReloadFacts,
    StreamFacts,
    UpstreamFacts,
    ZoneFacts,
)
from resolver.observe.health import Health
from resolver.observe.tally import Tallies, TallySnapshot, joined
from resolver.orders.reach import Reason
from resolver.plurals import counted
from resolver.policy.image import Effect
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule
from resolver.publishing.status import PublisherStatus
from resolver.server.forwarding import Forwarding
from resolver.server.history import HistoryRecorder
from resolver.server.native import NativeEngine

EXPIRY_NOTICE_S: Final = 30 * 86_400.0
"""Thirty days: long enough to ask for an order's renewal."""


class Cache(Protocol):
    """What a cache counts."""

    @property
    def entries(self) -> int: ...
    @property
    def octets(self) -> int: ...
    @property
    def misses(self) -> int: ...
    @property
    def evictions(self) -> int: ...


# What was asked and answered.


def tallies_of(tallies: Tallies, native: NativeEngine | None) -> TallySnapshot:
    """The outcomes of both planes."""
    snapshot = tallies.snapshot()
    return snapshot if native is None else joined(snapshot, native.tallies())


def drops_of(
    reporter: Reporter, service: Service | None, forwarder: Forwarder | None, native: NativeEngine | None
) -> Counter[str]:
    """What was lost beside the outcomes; a defect in an answer that had to wait counts like any other."""
    late_defects = 0 if service is None else service.defects
    late_defects += 0 if forwarder is None else forwarder.defects
    drops = reporter.drops + Counter(defect=late_defects)
    return drops if native is None else drops + native.drops()


def cache_facts(cache: Cache) -> CacheFacts:
    """Size and use of the cache."""
    return CacheFacts(cache.entries, cache.octets, cache.misses, cache.evictions)


# Upstreams.


def upstream_facts(
    forwarding: Forwarding | None, native: NativeEngine | None = None
) -> tuple[UpstreamFacts, ...]:
    """What each upstream was asked and how it did."""
    if forwarding is None:
        return ()
    streams = forwarding.network.streams
    return tuple(
        UpstreamFacts(
            name=upstream.name,
            is_up=upstream.is_up,
            queries=upstream.queries,
            failures=dict(upstream.failures),
            bounds=RESPONSE_SECONDS_BOUNDS,
            buckets=tuple(upstream.response_buckets),
            seconds=upstream.response_sum_s,
            connections=streams.open_connections_to(upstream)
            + (0 if native is None else native.connections_to(upstream)),
            is_encrypted=upstream.is_encrypted,
            handshakes=upstream.handshakes,
            resumptions=upstream.resumptions,
            certificate_until=upstream.certificate_until,
        )
        for upstream in forwarding.forwarder.upstreams
    )


def waiting_of(service: Service | None, native: NativeEngine | None) -> int:
    """Clients that wait for an upstream, in either plane."""
    return (0 if service is None else service.waiting) + (0 if native is None else native.waiting)


def forwarding_facts(
    service: Service | None,
    forwarder: Forwarder | None,
    network: SocketNetwork | None,
    native: NativeEngine | None,
) -> ForwardingFacts:
    """Questions on their way to upstreams, in both planes."""
    counters: Mapping[str, int] = {} if native is None else native.counters
    in_flight = 0 if native is None else native.in_flight
    coalesced, overloads = counters.get("coalesced", 0), counters.get("overloads", 0)
    if service is not None:
        overloads += service.overloads
    if forwarder is not None:
        in_flight += forwarder.pending
        coalesced += forwarder.coalesced
        overloads += forwarder.overloads
    return ForwardingFacts(
        waiting=waiting_of(service, native),
        in_flight=in_flight,
        coalesced=coalesced,
        hedges=0 if forwarder is None else forwarder.hedges,
        overloads=overloads,
        datagrams=datagram_facts(UdpCounts() if network is None else network.udp.counts, counters),
        streams=stream_facts(StreamCounts() if network is None else network.streams.counts, counters),
    )


def datagram_facts(counts: UdpCounts, native: Mapping[str, int]) -> DatagramFacts:
    """UDP towards upstreams; `native`: the other plane's counts, by its own names."""
    return DatagramFacts(
        unexpected=counts.unexpected + native.get("unexpected", 0),
        late=counts.late + native.get("late", 0),
        unsent=counts.send_drops + native.get("send_drops", 0),
        sockets_opened=counts.opened + native.get("opened", 0),
        socket_failures=counts.open_failures + native.get("open_failures", 0),
    )


def stream_facts(counts: StreamCounts, native: Mapping[str, int]) -> StreamFacts:
    """Connections to upstreams; `native`: the other plane's counts, by its own names."""
    return StreamFacts(
        unexpected=counts.unexpected + native.get("streams_unexpected", 0),
        opened=counts.opened + native.get("streams_opened", 0),
        reused=counts.reused + native.get("streams_reused", 0),
        broken=counts.broken + native.get("streams_broken", 0),
        retried=counts.retried + native.get("streams_retried", 0),
        held_back=counts.held_back + native.get("streams_held_back", 0),
    )


def native_facts(native: NativeEngine | None) -> NativeFacts | None:
    """What the native plane alone counts."""
    if native is None:
        return None
    counters = native.counters
    return NativeFacts(
        punts=counters.get("punts", 0),
        handovers=counters.get("handovers", 0),
        panics=counters.get("panics", 0),
        restarts=counters.get("restarts", 0),
    )


# Policy.


def policy_facts(table: PolicyTable, content: str) -> PolicyFacts:
    """What the table contains, in labels; `content`: the hash of what it was made of."""
    wall, _ = table.made_at
    with_entries = {id(origin.rule) for origin in table.image.classes if origin.effect is Effect.BLOCK}
    counts: Mapping[str, int] = table.counts["per_exchange"]
    states = {rule.id: state_of(rule, id(rule) in with_entries, wall) for rule in table.exchanges}
    # Whoever sees a series of it would know of the order.
    concealed = {rule.id for rule in table.exchanges if rule.at(wall).is_confidential}
    return PolicyFacts(
        generation=table.generation,
        exchanges=tuple(
            dict.fromkeys(_labels(phase) for rule in table.exchanges for phase in rule.phases or (rule,))
        ),
        lists=_list_labels(table),
        rules={exchange: count for exchange, count in counts.items() if exchange not in concealed},
        states={exchange: state for exchange, state in states.items() if exchange not in concealed},
        concealed=tuple((states[exchange], counts.get(exchange, 0)) for exchange in sorted(concealed)),
        content=content,
        is_empty=not table.is_filtering,
    )


def state_of(rule: PolicyRule, has_entries: bool, wall: float) -> str:
    """How an exchange stands at `wall`: one of `STATES`."""
    now = rule.at(wall)
    if now.mode is Mode.DISABLED or not has_entries:
        return "disabled"
    if now.ends_at is not None and now.ends_at <= wall:
        return "expired"
    if now.starts_at is not None and wall < now.starts_at:
        return "pending"
    return ENFORCED if now.mode is Mode.ENFORCE else "shadow"


def count_expiring(table: PolicyTable | None, wall: float) -> int:
    """How many exchanges end within `EXPIRY_NOTICE_S`; those that are disabled or over do not count."""
    return sum(
        rule.ends_at is not None
        and wall < rule.ends_at <= wall + EXPIRY_NOTICE_S
        and rule.mode is not Mode.DISABLED
        for rule in (() if table is None else table.exchanges)
    )


def reload_facts(status: PublisherStatus) -> ReloadFacts:
    """How the policy's reloads went."""
    return ReloadFacts(
        successes=status.successes,
        failures=status.failures,
        last_success=status.last_success,
        last_attempt=status.last_attempt,
        serves_last_good=status.serves_last_good and not status.waits_for_second,
        waits_for_second=status.waits_for_second,
    )


def history_facts(recorder: HistoryRecorder) -> HistoryFacts:
    """How the record of what was put in force is kept."""
    return HistoryFacts(recorder.generation, recorder.failures)


def order_facts(recorder: HistoryRecorder) -> tuple[OrderFacts, ...]:
    """Every order that is not confidential with every reason, at 0 if need be."""
    none = {reason.value: 0 for reason in Reason}
    return tuple(
        OrderFacts(order["id"], order["due"], order["in_force"], none | order["unenforced"])
        for order in recorder.orders
    )


def list_facts(keeper: ListKeeper, wall: float) -> tuple[ListFacts, ...]:
    """Every downloaded list with every result, at 0 if need be; of confidential ones nothing."""
    return tuple(
        ListFacts(
            entry.wanted.name,
            entry.notes.succeeded_at if entry.has_copy else 0.0,
            {result.value: entry.downloads[result] for result in Result},
            refresh_s(entry.wanted.download, entry.notes),
            zone_facts(entry, wall),
        )
        for entry in keeper.lists
        if not entry.wanted.is_confidential
    )


def zone_facts(entry: Followed, wall: float) -> ZoneFacts | None:
    """How far a transferred zone is; None: it is none, or never came."""
    if entry.wanted.download.transfer is None or not entry.has_copy:
        return None
    notes = entry.notes
    lag_s = max(0.0, wall - notes.behind_since) if notes.behind_since else 0.0
    return ZoneFacts(notes.serial, notes.authority_serial, lag_s)


def _list_labels(table: PolicyTable) -> tuple[tuple[str, str, str], ...]:
    """Each list that blocks, once for every action it can take: a zone's lines have their own."""
    rules: Iterable[PolicyRule] = (*table.lists, *(origin.rule for origin in table.image.classes))
    labels = {
        _labels(rule): None
        for source in rules
        for rule in source.phases or (source,)
        if rule.kind == "list" and rule.action is not PolicyAction.PASSTHRU
    }
    return tuple(labels)


def _labels(rule: PolicyRule) -> tuple[str, str, str]:
    return rule.label, rule.action.value, rule.mode.value


# The program.


def health_facts(
    health: Health, remarks: Mapping[str, str], outside: Mapping[str, str] | None = None
) -> HealthFacts:
    """Whether the server is fit to be asked; `remarks`: what rooms say of themselves now, empty: nothing.

    `outside`: what strangers are told in the place of a topic's remark.
    """
    said = health.remarks()
    for topic, text in remarks.items():
        if text:
            said[topic] = f"{said[topic]}; {text}" if topic in said else text
    return HealthFacts(health.reasons(), said, outside or {})


def remark_on_policy(status: PublisherStatus) -> str:
    """Why the blocklist as it stands may not be what is in force; empty: it is."""
    said = []
    if status.waits_for_second:
        said.append("an edit of the blocklist waits for a second person; what was approved last serves on")
    elif status.serves_last_good:
        errors = [problem for problem in status.last_problems if problem.severity == "error"]
        first = f"; the first: {errors[0]}" if errors else ""
        said.append(f"the blocklist as it stands is not in force: {counted(len(errors), 'error')}{first}")
    said += [f"{path} was replaced outside, where it is mounted from" for path in status.replaced_outside]
    return "; ".join(said)


def remark_on_upstreams(forwarder: Forwarder | None) -> str:
    """Which upstreams are down, and whose names nobody answers for; empty: none."""
    if forwarder is None:
        return ""
    lost = [words_of_lost(zone) for zone, upstreams in forwarder.plan.zones if upstreams.is_lost]
    down = [f"{upstream.name} is {upstream.state}" for upstream in forwarder.upstreams if not upstream.is_up]
    return "; ".join([*lost, *down])
