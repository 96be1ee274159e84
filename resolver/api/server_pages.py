"""Pages about the running server: status, what is wrong, upstreams, certificates, who asks, the description.

Knows: which facts each shows.  Does not know: how they are counted, HTTP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from resolver.api.desk import Desk
from resolver.api.endpoint import Call, Endpoint
from resolver.api.server_shapes import (
    CacheStatus,
    CertificateItem,
    Certificates,
    ListeningStatus,
    PolicyStatus,
    ProblemItem,
    Problems,
    Status,
    UpstreamItem,
    Upstreams,
    WhoAmI,
)
from resolver.api.tokens import Role
from resolver.moments import iso_moment
from resolver.observe.facts import STATES, Facts, UpstreamFacts
from resolver.observe.problem import Standing
from resolver.observe.series import cache_hits, domains_by_state, exchanges_by_state
from resolver.observe.traffic import quantile_s
from resolver.problems import printable


def server_endpoints(desk: Desk, describe: Callable[[], dict[str, Any]]) -> list[Endpoint]:
    """The rows; `describe`: makes the description of all there are."""

    async def status(call: Call) -> Status:
        return status_of(desk)

    async def who(call: Call) -> WhoAmI:
        caller = call.caller
        return WhoAmI(
            name=caller.name or None,
            role=caller.role.word,  # type: ignore[arg-type]
            has_token=caller.has_token,
            may_read_records=caller.has_token,
            may_edit=caller.has_token and caller.role >= Role.EDIT,
            may_approve=caller.has_token and caller.role >= Role.APPROVE,
            changes=desk.changes,  # type: ignore[arg-type]
        )

    async def problems(call: Call) -> Problems:
        return Problems(items=[problem_item(one) for one in desk.problems()], next=None)

    async def upstreams(call: Call) -> Upstreams:
        return Upstreams(items=[_upstream(one) for one in desk.facts().upstreams], next=None)

    async def certificates(call: Call) -> Certificates:
        return _certificates(desk)

    async def description(call: Call) -> dict[str, Any]:
        return describe()

    return [
        Endpoint("GET", "/status", "server", "What this server is and does", status, Status),
        Endpoint(
            "GET",
            "/problems",
            "server",
            "Everything that is wrong now, the worst first",
            problems,
            Problems,
            description="Each item has an id from a closed set, words for people, and what to do.",
        ),
        Endpoint("GET", "/whoami", "server", "Who asks, and what that may do", who, WhoAmI),
        Endpoint("GET", "/upstreams", "server", "The servers that are asked", upstreams, Upstreams),
        Endpoint(
            "GET",
            "/certificates",
            "server",
            "The certificates that this server shows",
            certificates,
            Certificates,
        ),
        Endpoint(
            "GET",
            "/openapi.json",
            "server",
            "This description",
            description,
            media=("application/json",),
        ),
    ]


def status_of(desk: Desk) -> Status:
    """What `/status` says."""
    facts, counted, listening = desk.facts(), desk.counted(), desk.listening()
    levels = Counter(one.wrong.kind.level for one in desk.problems())
    return Status(
        version=facts.version,
        engine=facts.engine,  # type: ignore[arg-type]
        at=_moment(desk.wall()),
        started_at=_moment(desk.started_at),
        ready=facts.health.is_ready,
        reasons=_printable(facts.health.reasons),
        remarks=_printable(facts.health.remarks),
        paused_until=iso_moment(facts.paused_until or None),
        problems={"error": levels["error"], "warning": levels["warning"]},
        listening=ListeningStatus(
            dns=list(listening.dns), tls=list(listening.tls), https=list(listening.https), http=listening.http
        ),
        policy=_policy(facts),
        queries=counted.queries,
        blocked=counted.blocked,
        cache=CacheStatus(
            entries=facts.cache.entries,
            octets=facts.cache.octets,
            hits=cache_hits(facts),
            misses=facts.cache.misses,
            evictions=facts.cache.evictions,
        ),
        waiting=facts.forwarding.waiting,
        connections={**facts.connections.by_transport, "http": facts.connections.http},
        changes=desk.changes,  # type: ignore[arg-type]
        has_tokens=desk.has_tokens(),
    )


def problem_item(standing: Standing) -> ProblemItem:
    """One problem as the API tells it."""
    wrong = standing.wrong
    return ProblemItem(
        id=wrong.id,
        subject=printable(wrong.subject) or None,
        level=wrong.kind.level,
        title=wrong.kind.title,
        detail=printable(wrong.detail),
        since=_moment(standing.since),
        remedy=wrong.kind.remedy,
        link=wrong.link,
    )


def _policy(facts: Facts) -> PolicyStatus:
    policy = facts.policy
    exchanges = {labels[0]: int(_number(value)) for labels, value in exchanges_by_state(facts)}
    domains = {labels[0]: int(_number(value)) for labels, value in domains_by_state(facts)}
    return PolicyStatus(
        generation=policy.generation,
        history=facts.history.generation,
        content=policy.content or None,
        loaded_at=iso_moment(facts.reloads.last_success or None),
        is_stale=facts.reloads.serves_last_good,
        edit_waits=facts.reloads.waits_for_second,
        is_empty=policy.is_empty,
        exchanges={state: exchanges.get(state, 0) for state in STATES},
        domains={state: domains.get(state, 0) for state in STATES},
        confidential_exchanges=len(policy.concealed),
    )


def _number(value: Any) -> float:
    return float(value)


def _upstream(one: UpstreamFacts) -> UpstreamItem:
    return UpstreamItem(
        name=one.name,
        up=one.is_up,
        is_encrypted=one.is_encrypted,
        queries=one.queries,
        failures=dict(one.failures),
        p50_s=quantile_s(one.buckets, 0.5, one.bounds),
        p99_s=quantile_s(one.buckets, 0.99, one.bounds),
        connections=one.connections,
        handshakes=one.handshakes,
        resumptions=one.resumptions,
        certificate_until=iso_moment(one.certificate_until),
    )


def _certificates(desk: Desk) -> Certificates:
    facts = desk.facts()
    return Certificates(
        items=[
            CertificateItem(
                use=one.use,  # type: ignore[arg-type]
                file=printable(one.file),
                names=list(one.names),
                valid_from=_moment(one.starts_at),
                valid_until=_moment(one.ends_at),
                remark=printable(one.remark) or None,
            )
            for one in desk.certificates()
        ],
        next=None,
        is_stale=facts.certificates.is_stale or facts.http.certificates.is_stale,
    )


def _moment(at: float) -> str:
    return str(iso_moment(at))


def _printable(texts: Any) -> dict[str, str]:
    return {str(key): printable(str(text)) for key, text in texts.items()}
