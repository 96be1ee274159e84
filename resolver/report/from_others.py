"""What the history of hits and the last audit say, in the words of a report.

Knows: their nouns and a report's.  Does not know: their files, the clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta, tzinfo

from resolver.audit.results import FINDINGS, GRAVITY, AuditResult, NameResult, Status, is_finding
from resolver.hits.figures import CONFIDENTIAL, EXCHANGE, LIST, ORDER
from resolver.hits.figures import Day as HitDay
from resolver.report.facts import Audit, AuditFinding, AuditOfOrder, Day, Gap, Hits
from resolver.report.sources import HitSource

GAP_S = 120.0
"""What may be missing of a day before it is told: a restart costs a minute at most."""
FINDINGS_KEPT_MAX = 10_000
_LAG = "lag"


def hits_from(days: Sequence[HitDay], zone: tzinfo, now: float) -> HitSource:
    """The hits of a period; `now`: Unix seconds, up to which its last day can have been counted."""
    found: dict[str, dict[str, dict[date, list[int]]]] = {EXCHANGE: {}, LIST: {}, ORDER: {}}
    secret: dict[date, list[int]] = {}
    for day in days:
        for key, count in day.hits.items():
            if key.action == "passthru" or key.kind not in found:
                continue
            if key.label == CONFIDENTIAL:
                # Each query once: an order's hit is one of an exchange or a list already.
                of = {} if key.kind == ORDER else secret
            else:
                of = found[key.kind].setdefault(key.label, {})
            of.setdefault(day.day, [0, 0])[key.mode == "shadow"] += count

    def of_kind(kind: str) -> dict[str, Hits]:
        return {label: _hits(counts) for label, counts in found[kind].items()}

    return HitSource(
        of_kind(EXCHANGE), of_kind(LIST), of_kind(ORDER), _hits(secret), tuple(_gaps(days, zone, now))
    )


def _hits(counts: dict[date, list[int]]) -> Hits:
    return Hits(tuple(Day(day, *counts[day]) for day in sorted(counts)))


def _gaps(days: Sequence[HitDay], zone: tzinfo, now: float) -> Iterator[Gap]:
    for day in days:
        begin = datetime.combine(day.day, time(), zone).timestamp()
        end = datetime.combine(day.day + timedelta(days=1), time(), zone).timestamp()
        length_s = min(end, now) - begin
        if length_s - day.covered_s > GAP_S:
            yield Gap(day.day, day.covered_s)


def audit_from(result: AuditResult, hides: Callable[[str], bool]) -> Audit:
    """The last audit, without what is confidential now or was when it ran."""
    result = result.shared()
    # What no DNS can block stands among what is not enforced, with its reason; `open` would call it right.
    result = replace(result, names=tuple(name for name in result.names if not name.is_beyond_dns))
    findings = [
        finding for name in result.names if is_finding(name) for finding in _findings(name, result, hides)
    ]
    findings += [
        AuditFinding(lag.list, "", "", _LAG, lag.text, lag.list)
        for lag in result.lags
        if not (hides(lag.list) or hides(lag.text))
    ]
    count = sum(map(is_finding, result.names)) + len(result.lags)
    count += sum(result.concealed.get(status.value, 0) for status in FINDINGS)
    return Audit(
        at=result.ended_at,
        took_s=max(0.0, result.ended_at - result.started_at),
        servers=tuple(server.name for server in result.servers),
        queries=sum(one.asked for server in result.servers for one in server.listeners),
        policy=result.policy,
        counts=_counts(Counter(result.counts())),
        findings=tuple(findings[:FINDINGS_KEPT_MAX]),
        finding_count=count,
        orders=tuple(_by_order(result, hides)),
    )


def _findings(name: NameResult, result: AuditResult, hides: Callable[[str], bool]) -> Iterator[AuditFinding]:
    if hides(name.name) or hides(name.source):
        return
    for server, proof in zip(result.servers, name.proofs, strict=False):
        if proof.status in FINDINGS:
            question = proof.faults[0].question if proof.faults else ""
            asked = question.removeprefix(name.name).strip()
            yield AuditFinding(
                name.written, asked, server.name, proof.status.value, proof.reason, name.source
            )


def _by_order(result: AuditResult, hides: Callable[[str], bool]) -> Iterator[tuple[str, AuditOfOrder]]:
    counts: dict[str, Counter[str]] = {}
    for name in result.names:
        for order in (name.source,) if name.kind == "ask" else name.orders:
            counts.setdefault(order, Counter())[name.status.value] += 1
    for order in sorted(counts):
        if not hides(order):
            yield order, AuditOfOrder(_counts(counts[order]))


def _counts(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    """The gravest first, without those of which there are none."""
    return tuple(
        (status.value, counts[status.value])
        for status in sorted(Status, key=GRAVITY.__getitem__)
        if counts[status.value]
    )
