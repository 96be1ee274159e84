"""Hits and audits, as their rooms have them, in a report's words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from resolver.audit.results import (
    AuditResult,
    Fault,
    Kind,
    Lag,
    Listener,
    NameResult,
    Proof,
    Selection,
    ServerResult,
    Status,
)
from resolver.hits.figures import CONFIDENTIAL, EXCHANGE, LIST, ORDER, Day, HitKey
from resolver.report.facts import Day as ReportDay
from resolver.report.facts import Hits
from resolver.report.from_others import audit_from, hits_from

FIRST, SECOND = date(2026, 11, 16), date(2026, 11, 17)
NOON = datetime(2026, 11, 17, 12, tzinfo=UTC).timestamp()


def day(when: date, counts: dict[tuple[str, str, str, str], int], covered_s: float = 86_400) -> Day:
    return Day(when, {HitKey(*key): count for key, count in counts.items()}, covered_s)


def test_hits_of_all_actions_are_added_and_shadow_stands_apart() -> None:
    found = hits_from(
        [
            day(
                FIRST, {(EXCHANGE, "a", "nxdomain", "enforce"): 2, (EXCHANGE, "a", "sinkhole", "enforce"): 3}
            ),
            day(SECOND, {(EXCHANGE, "a", "nxdomain", "shadow"): 7}, 43_200),
        ],
        UTC,
        NOON,
    )
    assert found.exchanges == {"a": Hits((ReportDay(FIRST, 5, 0), ReportDay(SECOND, 0, 7)))}
    assert found.gaps == ()


def test_exchanges_lists_and_orders_are_told_apart() -> None:
    counts = {(kind, "x", "nodata", "enforce"): 1 for kind in (EXCHANGE, LIST, ORDER)}
    found = hits_from([day(FIRST, counts)], UTC, NOON)
    assert list(found.exchanges) == list(found.lists) == list(found.orders) == ["x"]


def test_what_passes_is_no_hit() -> None:
    assert hits_from([day(FIRST, {(LIST, "x", "passthru", "enforce"): 9})], UTC, NOON).lists == {}


def test_confidential_hits_are_one_number_and_each_query_once() -> None:
    counts = {(kind, CONFIDENTIAL, "nodata", "enforce"): 4 for kind in (EXCHANGE, LIST, ORDER)}
    found = hits_from([day(FIRST, counts)], UTC, NOON)
    assert found.confidential.blocked == 8
    assert (found.exchanges, found.lists, found.orders) == ({}, {}, {})


@pytest.mark.parametrize(
    ("covered_s", "is_gap"), [(86_400, False), (86_290, False), (86_000, True), (0, True)]
)
def test_a_day_that_was_not_counted_whole_is_told(covered_s: float, is_gap: bool) -> None:
    assert bool(hits_from([day(FIRST, {}, covered_s)], UTC, NOON).gaps) == is_gap


def test_of_today_only_what_has_passed_can_be_missing() -> None:
    assert hits_from([day(SECOND, {}, 43_200)], UTC, NOON).gaps == ()
    assert hits_from([day(SECOND, {}, 40_000)], UTC, NOON).gaps[0].day == SECOND


SERVER = ServerResult(
    "this server", True, (Listener("127.0.0.1:53", "udp", asked=12), Listener("127.0.0.1:53", "tcp", asked=3))
)


def name(
    text: str,
    status: Status,
    *,
    kind: str = "exchange",
    source: str = "acme",
    orders: tuple[str, ...] = ("o",),
    is_confidential: bool = False,
) -> NameResult:
    fault = Fault(Kind.LEAK, "records came", f"{text} AAAA", "127.0.0.1:53 udp")
    faults = (fault,) if status is Status.UNCOVERED else ()
    proof = Proof(status, "because", 3, len(faults), faults)
    return NameResult(text, "exact", kind, source, orders, "blocklist.yaml", 5, is_confidential, (proof,))


def result(*names: NameResult, lags: tuple[Lag, ...] = ()) -> AuditResult:
    return AuditResult(
        started_at=100.0, ended_at=141.5, program="1", policy="abc", blocklist="b", is_strict=False,
        selection=Selection(), servers=(SERVER,), names=names, lags=lags,
    )  # fmt: skip


def nothing_hidden(_: str) -> bool:
    return False


def test_an_audit_has_its_time_its_servers_and_its_counts() -> None:
    found = audit_from(
        result(name("a.example", Status.COVERED), name("b.example", Status.SHADOWED)), nothing_hidden
    )
    assert (found.at, found.took_s, found.servers, found.queries) == (141.5, 41.5, ("this server",), 15)
    assert found.counts == (("covered", 1), ("shadowed", 1))
    assert (found.findings, found.finding_count) == ((), 0)


def test_a_finding_says_what_was_asked_of_whom_and_what_came() -> None:
    (finding,) = audit_from(result(name("a.example", Status.UNCOVERED)), nothing_hidden).findings
    assert (finding.name, finding.qtype, finding.server) == ("=a.example", "AAAA", "this server")
    assert (finding.state, finding.reason, finding.owner) == ("uncovered", "because", "acme")


def test_orders_are_told_apart_by_what_cites_them_and_by_what_they_ask() -> None:
    names = (
        name("a.example", Status.UNCOVERED, orders=("o", "p")),
        name("b.example", Status.COVERED),
        name("c.example", Status.COVERED, kind="ask", source="q", orders=()),
    )
    found = audit_from(result(*names), nothing_hidden)
    counts = {order: one.counts for order, one in found.orders}
    assert counts == {
        "o": (("uncovered", 1), ("covered", 1)),
        "p": (("uncovered", 1),),
        "q": (("covered", 1),),
    }


def test_what_no_dns_can_block_is_not_told_as_open_as_it_must_be() -> None:
    page = name("t.me", Status.OPEN, kind="ask", source="o")
    page = replace(page, proofs=(Proof(Status.OPEN, "because"),))
    found = audit_from(result(page, name("a.example", Status.COVERED)), nothing_hidden)
    assert found.counts == (("covered", 1),) and dict(found.orders)["o"].counts == (("covered", 1),)


def test_a_confidential_name_is_a_finding_without_a_name() -> None:
    found = audit_from(result(name("secret.example", Status.UNCOVERED, is_confidential=True)), nothing_hidden)
    assert (found.findings, found.finding_count) == ((), 1)
    assert "secret" not in repr(found)


def test_a_name_that_became_confidential_since_is_not_told() -> None:
    found = audit_from(
        result(name("secret.example", Status.UNCOVERED, orders=("secret-order",))),
        lambda text: "secret" in text,
    )
    assert (found.findings, found.finding_count) == ((), 1)
    assert "secret" not in repr(found)


def test_a_register_that_is_newer_is_a_finding() -> None:
    found = audit_from(result(lags=(Lag("reg", "serial", "serial 5, the register has 7"),)), nothing_hidden)
    assert found.finding_count == 1
    assert (found.findings[0].state, found.findings[0].owner) == ("lag", "reg")


def test_the_last_audit_in_state_dir_is_read(tmp_path: Path) -> None:
    from resolver.audit.results import load_last, save_last

    save_last(tmp_path, result(name("a.example", Status.COVERED)))
    loaded = load_last(tmp_path)
    assert loaded is not None
    assert audit_from(loaded, nothing_hidden).queries == 15
