"""What is wrong: each id is found in the facts that mean it, not in those that do not, and known since when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from resolver.observe.facts import (
    AcknowledgeFacts,
    AuditFacts,
    BlockPageFacts,
    CertificateFacts,
    Facts,
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
    UpstreamFacts,
    ZoneFacts,
)
from resolver.observe.problem import KINDS
from resolver.observe.problems import Watch, counts_of, problems_of
from resolver.observe.tally import TallyKey, TallySnapshot
from resolver.observe.trend import KEPT_S, Trend

WALL = 1_796_000_000.0
HOUR_S, DAY_S = 3_600.0, 86_400.0
FINE = Facts(policy=PolicyFacts(generation=1), audit=AuditFacts(every_s=DAY_S, last_success=WALL - HOUR_S))


def tallies(rcode: str, source: str, count: int) -> TallySnapshot:
    return TallySnapshot(((TallyKey("udp", "A", rcode, source, None, None, None), count, 0.0),), {})


def upstream(
    *, up: bool = True, queries: int = 0, failed: int = 0, until: float | None = None
) -> UpstreamFacts:
    failures = {"timeout": failed, "truncated": 1_000}
    return UpstreamFacts(
        "udp://192.0.2.1:53", up, queries, failures, (0.1,), (0, 0), 0.0, certificate_until=until
    )


def listed(last_success: float, lag_s: float = 0.0) -> ListFacts:
    return ListFacts("ads", last_success, {}, HOUR_S, ZoneFacts(1, 2, lag_s))


def audit(**findings: int) -> AuditFacts:
    return AuditFacts(findings={"uncovered": 0, "overblocked": 0, "unknown": 0, **findings})


WRONG: dict[str, tuple[Facts, Facts]] = {
    "policy_not_in_force": (
        Facts(reloads=ReloadFacts(serves_last_good=True)),
        Facts(reloads=ReloadFacts(failures=3)),
    ),
    "edit_waits": (
        Facts(reloads=ReloadFacts(waits_for_second=True)),
        Facts(reloads=ReloadFacts(failures=3, serves_last_good=True)),
    ),
    "policy_empty": (
        Facts(policy=PolicyFacts(1, is_empty=True)),
        Facts(policy=PolicyFacts(0, is_empty=True)),
    ),
    "audit_uncovered": (Facts(audit=audit(uncovered=2)), Facts(audit=audit())),
    "audit_overblocked": (Facts(audit=audit(overblocked=2)), Facts(audit=audit())),
    "audit_unproved": (Facts(audit=audit(unknown=2)), Facts(audit=audit())),
    "audit_overdue": (
        Facts(audit=AuditFacts(every_s=DAY_S, last_success=WALL - 3 * DAY_S)),
        Facts(audit=AuditFacts(every_s=0.0, last_success=WALL - 3 * DAY_S)),
    ),
    "order_overdue": (
        Facts(orders=(OrderFacts("o", WALL - 1, 0.0, {}),)),
        Facts(orders=(OrderFacts("o", WALL - 1, WALL - 2, {}),)),
    ),
    "order_due": (
        Facts(orders=(OrderFacts("o", WALL + HOUR_S, 0.0, {}),)),
        Facts(orders=(OrderFacts("o", WALL + 2 * DAY_S, 0.0, {}),)),
    ),
    "order_incomplete": (
        Facts(orders=(OrderFacts("o", None, 0.0, {"not_blocked": 2}),)),
        Facts(orders=(OrderFacts("o", None, 0.0, {"not_blocked": 0, "protected": 3}),)),
    ),
    # A policy that blocks nothing because it is paused is one problem, not two.
    "filtering_paused": (Facts(paused_until=1e9, policy=PolicyFacts(1, is_empty=True)), Facts()),
    "exchanges_expire": (Facts(expiring=2), Facts()),
    "clock_doubted": (Facts(clock_doubt="ahead"), Facts()),
    "not_ready": (Facts(health=HealthFacts(reasons={"policy": "not yet"})), Facts()),
    "listener_missing": (
        Facts(health=HealthFacts(remarks={"listen": "x"})),
        Facts(health=HealthFacts(remarks={"hits": "x"})),
    ),
    "upstreams_lost": (
        Facts(upstreams=(upstream(up=False),)),
        Facts(upstreams=(upstream(up=False), upstream())),
    ),
    "upstream_down": (Facts(upstreams=(upstream(up=False), upstream())), Facts(upstreams=(upstream(),))),
    "upstream_fails": (
        Facts(upstreams=(upstream(queries=100, failed=30),)),
        Facts(upstreams=(upstream(queries=1_000, failed=30),)),
    ),
    "upstream_certificate_expires": (
        Facts(upstreams=(upstream(until=WALL + DAY_S),)),
        Facts(upstreams=(upstream(until=WALL + 30 * DAY_S),)),
    ),
    "answers_fail": (
        Facts(tallies=tallies("SERVFAIL", "upstream", 30)),
        Facts(tallies=tallies("SERVFAIL", "upstream", 3)),
    ),
    "serves_stale": (
        Facts(tallies=tallies("NOERROR", "stale", 1)),
        Facts(tallies=tallies("NOERROR", "cache", 1)),
    ),
    "drops_queries": (Facts(drops={"short": 10_000}), Facts(drops={"policy": 10_000, "short": 100})),
    "list_missing": (Facts(lists=(listed(0.0),)), Facts(lists=(listed(WALL),))),
    "list_old": (Facts(lists=(listed(WALL - 4 * DAY_S),)), Facts(lists=(listed(WALL - DAY_S),))),
    "list_behind": (Facts(lists=(listed(WALL, HOUR_S),)), Facts(lists=(listed(WALL, 60.0),))),
    "certificate_expired": (
        Facts(certificates=CertificateFacts(WALL - 1)),
        Facts(certificates=CertificateFacts(WALL + DAY_S)),
    ),
    "certificate_expires": (
        Facts(http=HttpFacts(certificates=CertificateFacts(WALL + DAY_S))),
        Facts(certificates=CertificateFacts(WALL + 60 * DAY_S)),
    ),
    "certificate_not_served": (
        Facts(certificates=CertificateFacts(WALL + 60 * DAY_S, is_stale=True)),
        Facts(),
    ),
    "acknowledgement_waits": (
        Facts(acknowledged=(AcknowledgeFacts("l", 0, {}, WALL - 2 * HOUR_S, 0.0, 0),)),
        Facts(acknowledged=(AcknowledgeFacts("l", 0, {}, WALL - 60, 0.0, 0),)),
    ),
    "acknowledgement_unproved": (
        Facts(acknowledged=(AcknowledgeFacts("l", 0, {}, 0.0, 0.0, 3),)),
        Facts(acknowledged=(AcknowledgeFacts("l", 0, {}, 0.0, 0.0, 0),)),
    ),
    "history_not_written": (Facts(history=HistoryFacts(1, 1)), Facts(history=HistoryFacts(1, 0))),
    "hits_not_written": (
        Facts(hit_history=HitHistoryFacts(failures={"full": 20})),
        Facts(hit_history=HitHistoryFacts(failures={"full": 2})),
    ),
    "hits_lost": (Facts(hit_history=HitHistoryFacts(lost=7)), Facts(hit_history=HitHistoryFacts(waiting=7))),
    "hits_damaged": (Facts(hit_history=HitHistoryFacts(damaged=1)), Facts()),
    "records_nowhere": (
        Facts(sinks=(SinkFacts("a", 0, 0, "refused"),)),
        Facts(sinks=(SinkFacts("a", 5, 0),)),
    ),
    "records_lost": (Facts(sinks=(SinkFacts("a", 0, 5),)), Facts(sinks=(SinkFacts("a", 5, 0),))),
    "defect": (Facts(drops={"defect": 1}), Facts(drops={"short": 1})),
    "defect_beside": (Facts(health=HealthFacts(remarks={"defects": "a defect in audits"})), Facts()),
    "engine_fallen_back": (
        Facts(health=HealthFacts(remarks={"engine": "it cannot be used"})),
        Facts(engine="python"),
    ),
    "native_restarts": (Facts(native=NativeFacts(restarts=5)), Facts(native=NativeFacts(restarts=2))),
    "block_page_down": (
        Facts(block_page=BlockPageFacts(False, False, 0, {}, {})),
        Facts(block_page=BlockPageFacts(True, False, 0, {}, {})),
    ),
    "block_page_stale": (Facts(block_page=BlockPageFacts(True, True, 0, {}, {})), Facts()),
    "http_refuses_guesses": (
        Facts(http=HttpFacts({"token_wrong": 10})),
        Facts(http=HttpFacts({"token_wrong": 3})),
    ),
    "tokens_unusable": (Facts(http=HttpFacts(tokens_trouble="tokens:1: no")), Facts()),
    "http_missing": (Facts(health=HealthFacts(remarks={"http": "taken"})), Facts()),
}


def found_in(facts: Facts) -> list[str]:
    trend = Trend()
    trend.take(0.0, {})
    trend.take(40.0, counts_of(facts))
    return [one.id for one in problems_of(facts, trend, WALL)]


def test_nothing_is_wrong_with_a_server_that_is_well() -> None:
    assert found_in(FINE) == []


def test_every_id_is_tried_here() -> None:
    assert set(WRONG) == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_it_is_found_in_the_facts_that_mean_it_and_in_no_others(name: str) -> None:
    wrong, fine = WRONG[name]
    assert name in found_in(wrong)
    assert name not in found_in(fine)


def test_errors_stand_before_warnings_and_each_says_what_and_what_to_do() -> None:
    facts = replace(FINE, expiring=1, reloads=ReloadFacts(serves_last_good=True), clock_doubt="behind")
    assert found_in(facts) == ["policy_not_in_force", "clock_doubted", "exchanges_expire"]
    for kind in KINDS.values():
        assert kind.level in ("error", "warning") and kind.title and kind.remedy.endswith(".")


def test_a_problem_keeps_its_beginning_until_it_is_over() -> None:
    watch = Watch()
    assert watch.look(FINE, 0.0, WALL) == []
    wrong = replace(FINE, expiring=1)
    assert [one.since for one in watch.look(wrong, 1.0, WALL + 1)] == [WALL + 1]
    assert [one.since for one in watch.look(wrong, 2.0, WALL + 9)] == [WALL + 1]
    assert watch.look(FINE, 3.0, WALL + 10) == []
    assert [one.since for one in watch.look(wrong, 4.0, WALL + 11)] == [WALL + 11]


def test_what_was_counted_long_ago_is_wrong_no_longer() -> None:
    watch = Watch()
    facts = replace(FINE, drops={"defect": 1})
    assert [one.wrong.id for one in watch.look(facts, 0.0, WALL)] == ["defect"]
    for minute in range(1, 70):
        found = watch.look(facts, minute * 60.0, WALL)
    assert found == []


def test_a_trend_holds_an_hour_and_no_more() -> None:
    trend = Trend()
    for second in range(0, 10_000, 5):
        trend.take(float(second), {"x": second})
    assert len(trend._copies) <= KEPT_S / 30 + 2
    assert 300 <= trend.rise("x", 300.0) <= 335 and trend.rise("y", 300.0) == 0
