"""The table of metrics against what monitoring has been given since the first version."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from resolver.flow.outcome import Drop, Respond, Source
from resolver.flow.peer import Transport
from resolver.observe.connection_facts import ConnectionFacts
from resolver.observe.facts import (
    ACKNOWLEDGE_FAILURES,
    AUDIT_CAUSES,
    AUDIT_RESULTS,
    AUDIT_STATUSES,
    AcknowledgeFacts,
    AuditFacts,
    BlockPageFacts,
    CacheFacts,
    CertificateFacts,
    DatagramFacts,
    Facts,
    ForwardingFacts,
    HealthFacts,
    HistoryFacts,
    HitHistoryFacts,
    HttpFacts,
    ListFacts,
    NativeFacts,
    OrderFacts,
    PolicyFacts,
    ReloadFacts,
    SinkFacts,
    StreamFacts,
    TlsFacts,
    UpstreamFacts,
    ZoneFacts,
)
from resolver.observe.metric_table import METRICS
from resolver.observe.metrics import render
from resolver.observe.negotiation import Form
from resolver.observe.tally import Tallies, TallySnapshot
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule, RuleForm, RuleMatch, Verdict

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.prom"
"""A page of a server with a native plane, each number of which is another."""

RESULTS = [
    "address",
    "busy",
    "changed_too_much",
    "connect",
    "defect",
    "dns",
    "hash",
    "http_status",
    "not_a_list",
    "redirect",
    "signature",
    "storage",
    "timeout",
    "too_large",
    "truncated",
    "unchanged",
    "updated",
]


def verdict(kind: str, label: str) -> Verdict:
    action = PolicyAction.NXDOMAIN
    rule = PolicyRule(kind, label, label, action, Mode.ENFORCE, 300, bytes(4), bytes(16), 15, "")
    return Verdict(action, RuleMatch(rule, RuleForm.SUBTREE, b"\x07example\x00", "blocklist.yaml", 1))


def outcomes() -> TallySnapshot:
    tallies = Tallies()
    blocked = tallies.of(Transport.UDP, Respond(b"", 3, 1, Source.POLICY, verdict("exchange", "acme")))
    blocked.add(0.004)
    tallies.settle([blocked] * 6, 0.03)
    listed = tallies.of(Transport.TCP, Respond(b"", 3, 28, Source.POLICY, verdict("list", "ads")))
    tallies.settle([listed] * 2, 0.0)
    tallies.settle([tallies.of(Transport.TCP, Respond(b"", 0, 28, Source.CACHE))] * 3, 9.0)
    tallies.settle([tallies.of(Transport.UDP, Drop("response"))] * 4, 0.0)
    tallies.settle([tallies.of(Transport.UDP, Respond(b"", 2, 1, Source.STALE))] * 5, 0.2)
    tallies.settle([tallies.audited] * 3400, 0.2)
    return tallies.snapshot()


def downloads(updated: int = 0) -> dict[str, int]:
    return {**dict.fromkeys(RESULTS, 0), "updated": updated}


FULL = Facts(
    version="0.1.0",
    engine="native",
    health=HealthFacts(remarks={"engine": "the native engine cannot be used"}),
    tallies=outcomes(),
    drops={"short": 903, "defect": 1315, "ring_full": 8},
    policy=PolicyFacts(
        generation=7,
        exchanges=(("acme", "nxdomain", "enforce"), ("zenith", "sinkhole", "shadow")),
        lists=(("ads", "nxdomain", "enforce"), ("trackers", "nodata", "shadow")),
        rules={"acme": 40, "zenith": 41},
        states={"acme": "enforced", "zenith": "shadow"},
        described={"acme": ("Acme", "exchange"), "zenith": ('Zenith \\ "OTC"\n', "otc")},
        ends={"zenith": 42.5},
        content="0123abcd",
        is_empty=True,
    ),
    orders=(
        OrderFacts("c-1", 1101.0, 1102.0, {"not_blocked": 1103, "protected": 0}),
        OrderFacts("c-2", None, 0.0, {"not_blocked": 0, "protected": 1104}),
    ),
    expiring=1,
    reloads=ReloadFacts(
        401, 402, last_success=403.0, last_attempt=404.0, serves_last_good=True, waits_for_second=True
    ),
    clock_doubt="ahead",
    paused_until=1_700_000_600.0,
    history=HistoryFacts(generation=901, failures=902),
    hit_history=HitHistoryFacts(
        waiting=1201,
        last_success=1202.5,
        failures={"full": 1203, "locked": 0},
        lost=1204,
        damaged=1205,
        dropped_hours=1206,
    ),
    lists=(
        ListFacts("ads", 301.0, downloads(302), 303, ZoneFacts(305, 306, 307.5)),
        ListFacts("trackers", 0.0, downloads(), 304),
    ),
    cache=CacheFacts(entries=906, octets=907, misses=908, evictions=909),
    upstreams=(
        UpstreamFacts(
            name="udp://192.0.2.1:53",
            is_up=True,
            queries=601,
            failures={"timeout": 602, "network": 603},
            bounds=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
            buckets=range(610, 622),
            seconds=604.5,
            connections=605,
        ),
        UpstreamFacts(
            name="tls://dns.example:853",
            is_up=False,
            queries=1631,
            failures={"timeout": 1632, "certificate_name": 1633},
            bounds=(0.001, 2.5),
            buckets=(1634, 1635, 1636),
            seconds=1637.5,
            connections=1638,
            is_encrypted=True,
            handshakes=1639,
            resumptions=1640,
            certificate_until=1641.0,
        ),
    ),
    forwarding=ForwardingFacts(
        waiting=708,
        in_flight=813,
        coalesced=812,
        hedges=1642,
        overloads=1314,
        datagrams=DatagramFacts(
            unexpected=1704, late=2700, unsent=3703, sockets_opened=4702, socket_failures=5701
        ),
        streams=StreamFacts(unexpected=804, opened=801, reused=803, broken=800, retried=802, held_back=805),
    ),
    connections=ConnectionFacts(
        tcp=1821,
        tcp_octets=70_021,
        http=905,
        by_transport={"tcp": 1822, "tls": 1823, "https": 1824},
        addresses={("udp", "native"): 1825, ("tls", "python"): 1826},
    ),
    tls=TlsFacts(
        sessions={("tls", "1.3", "x25519", "false"): 1901, ("https", "1.2", "none", "true"): 1902},
        failures={"alert": 1903, "version": 0},
    ),
    https_responses={"200": 1907, "404": 1908},
    certificates=CertificateFacts(ends_at=1904.0, is_stale=True, successes=1905, failures=1906),
    http=HttpFacts(
        refused={"host": 3301, "token_wrong": 3302},
        event_streams=3303,
        certificates=CertificateFacts(ends_at=3304.0, is_stale=True),
        tokens_trouble="tokens:1: no",
    ),
    native=NativeFacts(punts=201, handovers=202, panics=203, restarts=204),
    event_loop_stalls=608,
    log_lines_dropped=101,
    sinks=(SinkFacts("log", 3101, 3102), SinkFacts("tap", 3103, 3104, "Connection refused")),
    audit=AuditFacts(
        every_s=3201.0,
        last_success=3202.0,
        domains={status: 3203 + number for number, status in enumerate(AUDIT_STATUSES)},
        findings={"uncovered": 3212, "overblocked": 3213, "unknown": 3214},
        lags=3215,
        runs={
            key: 3216 + number for number, key in enumerate(itertools.product(AUDIT_CAUSES, AUDIT_RESULTS))
        },
    ),
    acknowledged=(
        AcknowledgeFacts(
            "authority",
            3301,
            {why: 3302 + number for number, why in enumerate(ACKNOWLEDGE_FAILURES)},
            pending_since=3308.0,
            last_success=3309.0,
            unproved=3310,
        ),
    ),
    records_left_out=3106,
    suggestions={"open": 3103, "weak": 3104, "dismissed": 3105},
    block_page=BlockPageFacts(
        is_up=True,
        is_stale=False,
        restarts=3201,
        requests={"451": 3202, "403": 3203},
        refused={"rate": 3204, "connections_max": 3205},
    ),
)


def page(facts: Facts) -> set[str]:
    """The lines of the page; those of the process, which depend on the machine, left out."""
    return {line for line in render(facts).decode().splitlines() if "process_" not in line}


def test_names_types_labels_texts_and_numbers_are_what_they_were() -> None:
    assert page(FULL) == set(GOLDEN.read_text().splitlines())


def test_the_golden_page_has_every_metric_of_the_table_and_its_labels() -> None:
    """Otherwise the test above would say nothing of a metric that has no series there."""
    shown = {
        (family.name, frozenset(sample.labels) - {"le"})
        for family in text_string_to_metric_families(GOLDEN.read_text())
        for sample in family.samples
    }
    assert shown == {(metric.name.removesuffix("_total"), frozenset(metric.labels)) for metric in METRICS}


def test_both_forms_say_the_same() -> None:
    """OpenMetrics by the library's own strict parser; it names a counter without `_total`, and has no comments."""
    read: dict[Form, Any] = {Form.TEXT: text_string_to_metric_families, Form.OPENMETRICS: parse_openmetrics}
    said = {
        form: {
            (
                family.name,
                family.type,
                family.documentation,
                sample.name,
                tuple(sorted(sample.labels.items())),
            )
            for family in read[form](render(FULL, form).decode())
            for sample in family.samples
            if not family.name.startswith("process_")
        }
        for form in Form
    }
    assert said[Form.TEXT] == said[Form.OPENMETRICS]


def test_without_a_native_plane_its_metrics_are_not_there() -> None:
    gone = page(FULL) - page(replace(FULL, native=None))
    names = {metric.name for metric in METRICS if metric.of_native}
    assert len(names) == 4 and {line.split()[0] for line in gone if line[0] != "#"} == names


def test_without_a_block_page_its_metrics_are_not_there() -> None:
    gone = page(FULL) - page(replace(FULL, block_page=None))
    names = {re.split("[ {]", line)[0] for line in gone if line[0] != "#"}
    assert names == {metric.name for metric in METRICS if metric.name.startswith("resolver_block_page_")}


def test_no_metric_stands_in_the_table_twice() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_a_series_has_a_value_for_each_label() -> None:
    for metric in METRICS:
        assert all(len(labels) == len(metric.labels) for labels, _ in metric.read(FULL)), metric.name


def test_every_metric_explains_itself_in_a_sentence() -> None:
    assert [metric.name for metric in METRICS if not metric.help.endswith(".")] == []
