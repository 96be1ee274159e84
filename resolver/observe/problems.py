"""Facts -> everything that is wrong now, the worst first.

Knows: which facts mean which problem, from which measure on.  Does not know: its words (`problem`), who shows
it, how anything is counted.
Theory: each is what an alert of the same measure says, seen from inside.  Pure: the same facts and the same
trend always say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from resolver.moments import iso_moment
from resolver.observe.facts import Facts
from resolver.observe.problem import KINDS, Standing, Wrong
from resolver.observe.trend import Counts, Trend
from resolver.plurals import counted

DAY_S: Final = 86_400.0
CERTIFICATE_NOTICE_S: Final = 14 * DAY_S
UPSTREAM_CERTIFICATE_NOTICE_S: Final = 2 * DAY_S
"""Whoever runs it renews it; many do so with little time left."""
LIST_PATIENCE_S: Final = 2 * DAY_S
"""Beyond its own refresh interval."""
LAG_S: Final = 900.0
ACKNOWLEDGE_S: Final = 3_600.0
RATE_S: Final = 300.0
"""Over which rates are taken."""
FAILURE_SHARE: Final = 0.05
"""Of answers that are SERVFAIL."""
FAILURES_MIN: Final = 20
"""Fewer in `RATE_S` say nothing about a share."""
UPSTREAM_FAILURE_SHARE: Final = 0.2
DROPS_PER_S: Final = 10.0
RESTARTS_MAX: Final = 3
"""Of native threads in a quarter of an hour."""
GUESSES_MIN: Final = 10
"""Wrong tokens in `RATE_S`: fewer are slips."""

CANNOT_BE: Final = frozenset(
    ("shared_platform", "public_suffix", "protected", "address_only", "mail_address", "not_dns")
)
"""Why a part of an order can never be enforced by DNS: the report says so, and nobody can mend it."""
NOT_WRONG: Final = frozenset(("policy", "response"))
"""Drops that are meant."""


def counts_of(facts: Facts) -> Counts:
    """The counts whose rise matters."""
    found: Counter[str] = Counter()
    for key, count, _ in facts.tallies.counts:
        if key.rcode is not None:
            found["answers"] += count
            found["servfail"] += count if key.rcode == "SERVFAIL" else 0
            found["stale"] += count if key.source == "stale" else 0
        elif key.reason is not None:
            found[f"drop {key.reason}"] += count
    for reason, count in facts.drops.items():
        found[f"drop {reason}"] += count
    for upstream in facts.upstreams:
        found[f"asked {upstream.name}"] = upstream.queries
        found[f"failed {upstream.name}"] = sum(
            count for reason, count in upstream.failures.items() if reason != "truncated"
        )
    for sink in facts.sinks:
        found[f"lost {sink.name}"] = sink.lost
    found["history"] = facts.history.failures
    found["hits"] = sum(facts.hit_history.failures.values())
    found["hits lost"] = facts.hit_history.lost
    found["hits damaged"] = facts.hit_history.damaged
    found["guesses"] = facts.http.refused.get("token_wrong", 0) + facts.http.refused.get("guesses", 0)
    if facts.native is not None:
        found["panics"] = facts.native.panics
        found["restarts"] = facts.native.restarts
    return found


def problems_of(facts: Facts, trend: Trend, wall: float) -> list[Wrong]:
    """Everything that is wrong at `wall` (Unix seconds); `trend` has taken these facts' counts."""
    found = [
        *_policy(facts, wall),
        *_answers(facts, trend),
        *_upstreams(facts, trend, wall),
        *_lists(facts, wall),
        *_proofs(facts, wall),
        *_written(facts, trend),
        *_program(facts, trend),
        *_certificates(facts, wall),
    ]
    places = {key: place for place, key in enumerate(KINDS)}
    return sorted(found, key=lambda one: (one.kind.level != "error", places[one.id], one.subject))


def _policy(facts: Facts, wall: float) -> Iterator[Wrong]:
    remarks = facts.health.remarks
    if facts.reloads.serves_last_good:
        yield Wrong("policy_not_in_force", remarks.get("policy", "the last good one serves on"))
    if facts.reloads.waits_for_second:
        yield Wrong("edit_waits", remarks.get("policy", "what was approved last serves on"))
    if facts.paused_until:
        yield Wrong("filtering_paused", remarks.get("filtering", f"until {iso_moment(facts.paused_until)}"))
    elif facts.policy.generation and facts.policy.is_empty:
        yield Wrong("policy_empty", "no exchange and no list of the policy is enforced")
    if facts.clock_doubt:
        said = remarks.get("clock") or f"it is {facts.clock_doubt}"
        yield Wrong("clock_doubted", said)
    if facts.expiring:
        yield Wrong(
            "exchanges_expire", f"{counted(facts.expiring, 'exchange')}: `until` comes within 30 days"
        )
    for order in facts.orders:
        if order.due_at is not None and not order.in_force_at and order.due_at - wall < DAY_S:
            key = "order_overdue" if order.due_at <= wall else "order_due"
            yield Wrong(key, f"{order.id}: due {iso_moment(order.due_at)}, and never in force yet", order.id)
        mendable = {
            reason: count for reason, count in order.unenforced.items() if count and reason not in CANNOT_BE
        }
        if mendable:
            said = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in mendable.items())
            yield Wrong("order_incomplete", f"{order.id}: {said}", order.id)


def _answers(facts: Facts, trend: Trend) -> Iterator[Wrong]:
    health = facts.health
    if not health.is_ready:
        said = "; ".join(f"{condition}: {why}" for condition, why in sorted(health.reasons.items()))
        yield Wrong("not_ready", said)
    if listen := health.remarks.get("listen"):
        yield Wrong("listener_missing", listen)
    answers, failures = trend.rise("answers", RATE_S), trend.rise("servfail", RATE_S)
    if failures >= FAILURES_MIN and failures > FAILURE_SHARE * answers:
        share = f"{100 * failures / answers:.0f} % of the answers of the last 5 minutes"
        yield Wrong("answers_fail", f"{share} are SERVFAIL")
    if stale := trend.rise("stale", RATE_S):
        yield Wrong("serves_stale", f"{counted(int(stale), 'answer')} in the last 5 minutes")
    reasons = sorted({name.removeprefix("drop ") for name in counts_of(facts) if name.startswith("drop ")})
    for reason in reasons:
        rate = trend.rise(f"drop {reason}", RATE_S) / RATE_S
        if reason not in NOT_WRONG and rate > DROPS_PER_S:
            yield Wrong("drops_queries", f"{reason}: {rate:.0f} a second", reason)


def _upstreams(facts: Facts, trend: Trend, wall: float) -> Iterator[Wrong]:
    down = [upstream for upstream in facts.upstreams if not upstream.is_up]
    if down and len(down) == len(facts.upstreams):
        yield Wrong("upstreams_lost", ", ".join(upstream.name for upstream in down))
    for upstream in facts.upstreams:
        name = upstream.name
        asked, failed = trend.rise(f"asked {name}", RATE_S), trend.rise(f"failed {name}", RATE_S)
        if not upstream.is_up:
            yield Wrong("upstream_down", name, name)
        elif failed >= FAILURES_MIN and failed > UPSTREAM_FAILURE_SHARE * asked:
            share = f"{100 * failed / max(asked, failed):.0f} % of the queries of the last 5 minutes"
            yield Wrong("upstream_fails", f"{name}: {share}", name)
        until = upstream.certificate_until
        if until is not None and until - wall < UPSTREAM_CERTIFICATE_NOTICE_S:
            yield Wrong("upstream_certificate_expires", f"{name}: until {iso_moment(until)}", name)


def _lists(facts: Facts, wall: float) -> Iterator[Wrong]:
    for entry in facts.lists:
        age_s = wall - entry.last_success
        if not entry.last_success:
            yield Wrong("list_missing", f"{entry.name}: nothing of it is blocked", entry.name)
        elif age_s > entry.refresh_s + LIST_PATIENCE_S:
            yield Wrong(
                "list_old", f"{entry.name}: last fetched {iso_moment(entry.last_success)}", entry.name
            )
        if entry.zone is not None and entry.zone.lag_s > LAG_S:
            serials = f"serial {entry.zone.serial}, its authority has {entry.zone.authority_serial}"
            yield Wrong("list_behind", f"{entry.name}: {serials}", entry.name)


def _proofs(facts: Facts, wall: float) -> Iterator[Wrong]:
    audit = facts.audit
    for status, key in (
        ("uncovered", "audit_uncovered"),
        ("overblocked", "audit_overblocked"),
        ("unknown", "audit_unproved"),
    ):
        if number := audit.findings.get(status, 0):
            yield Wrong(key, f"{counted(number, 'domain')}, as last audited")
    # Before the first one the server has not run for long.
    if audit.every_s and audit.last_success and wall - audit.last_success > 2 * audit.every_s:
        yield Wrong("audit_overdue", f"the last one ended {iso_moment(audit.last_success)}")
    for one in facts.acknowledged:
        if one.pending_since and wall - one.pending_since > ACKNOWLEDGE_S:
            said = f"{one.list}: the batch of {iso_moment(one.pending_since)}"
            yield Wrong("acknowledgement_waits", said, one.list)
        if one.unproved:
            said = f"{one.list}: {counted(one.unproved, 'record')}"
            yield Wrong("acknowledgement_unproved", said, one.list)


def _written(facts: Facts, trend: Trend) -> Iterator[Wrong]:
    if rise := trend.rise("history", 3_600.0):
        yield Wrong("history_not_written", f"{counted(int(rise), 'generation')} in the last hour")
    if trend.rise("hits", 900.0) > 10:
        said = facts.health.remarks.get("hits") or f"{facts.hit_history.waiting:,} hits wait"
        yield Wrong("hits_not_written", said)
    if rise := trend.rise("hits lost", 3_600.0):
        yield Wrong("hits_lost", f"{counted(int(rise), 'hit')} in the last hour")
    if trend.rise("hits damaged", 3_600.0):
        yield Wrong("hits_damaged", "within the last hour")
    for sink in facts.sinks:
        if sink.trouble:
            yield Wrong("records_nowhere", f"{sink.name}: {sink.trouble}", sink.name)
        if lost := trend.rise(f"lost {sink.name}", RATE_S):
            said = f"{sink.name}: {counted(int(lost), 'record')} in the last 5 minutes"
            yield Wrong("records_lost", said, sink.name)


def _program(facts: Facts, trend: Trend) -> Iterator[Wrong]:
    defects = trend.rise("drop defect", 3_600.0) + trend.rise("panics", 3_600.0)
    if defects:
        yield Wrong("defect", f"{counted(int(defects), 'defect')} in the last hour")
    if (restarts := trend.rise("restarts", 900.0)) > RESTARTS_MAX:
        yield Wrong("native_restarts", f"{int(restarts)} times in a quarter of an hour")
    for topic, key in (("defects", "defect_beside"), ("engine", "engine_fallen_back")):
        if said := facts.health.remarks.get(topic):
            yield Wrong(key, said)
    page = facts.block_page
    if page is not None and not page.is_up:
        yield Wrong("block_page_down", "its process is not up")
    if page is not None and page.is_stale:
        yield Wrong("block_page_stale", facts.health.remarks.get("block_page") or "its file is not made")
    if (guesses := trend.rise("guesses", RATE_S)) >= GUESSES_MIN:
        yield Wrong("http_refuses_guesses", f"{int(guesses)} wrong tokens in the last 5 minutes")
    if facts.http.tokens_trouble:
        yield Wrong("tokens_unusable", facts.http.tokens_trouble)
    if http := facts.health.remarks.get("http"):
        yield Wrong("http_missing", http)


def _certificates(facts: Facts, wall: float) -> Iterator[Wrong]:
    for subject, certificates in (("tls", facts.certificates), ("http.tls", facts.http.certificates)):
        until = certificates.ends_at
        if certificates.is_stale:
            said = facts.health.remarks.get("certificates" if subject == "tls" else "http") or "see the log"
            yield Wrong("certificate_not_served", f"{subject}: {said}", subject)
        if until is not None and until - wall < CERTIFICATE_NOTICE_S:
            key = "certificate_expired" if until <= wall else "certificate_expires"
            yield Wrong(key, f"{subject}: the first ends {iso_moment(until)}", subject)


class Watch:
    """Since when each problem has been there."""

    def __init__(self) -> None:
        self._trend = Trend()
        self._since: dict[tuple[str, str], float] = {}

    def look(self, facts: Facts, now: float, wall: float) -> Sequence[Standing]:
        """The problems of these facts; `now`: monotonic seconds, `wall`: Unix seconds."""
        self._trend.take(now, counts_of(facts))
        found = problems_of(facts, self._trend, wall)
        self._since = {(one.id, one.subject): self._since.get((one.id, one.subject), wall) for one in found}
        return [Standing(one, self._since[one.id, one.subject]) for one in found]
