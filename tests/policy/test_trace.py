"""Why a name is judged as it is, in words."""

from __future__ import annotations

from pathlib import Path

from resolver.policy.verdict import Mode, PolicyAction
from resolver.wire.names import name_from_text as n
from tests.support.policy_maker import PolicyMaker, make_rule

DAY_S = 86400.0


def test_trace_names_the_winner_and_says_what_beat_the_others(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(label="wide"), "example.com")
    maker.block(make_rule(label="exact"), "=www.example.com").block(make_rule(label="apex"), "=example.com")
    maker.block(make_rule("list", "ads"), "www.example.com")
    trace = maker.table(tmp_path).trace(n("www.example.com"), 0.0)
    said = [(c.rule.label, c.tier, c.won, c.why) for c in trace.candidates]
    assert said == [
        ("exact", "exchanges", True, "wins"),
        ("apex", "exchanges", False, "reaches only example.com itself"),
        ("wide", "exchanges", False, "blocklist.yaml:2 has a longer owner name"),
        ("ads", "lists", False, "blocklist.yaml:2 stands in a stronger tier (exchanges)"),
    ]
    assert trace.name == "www.example.com" and trace.verdict.action is PolicyAction.NXDOMAIN


def test_trace_of_an_unlisted_name_has_no_candidates(tmp_path: Path) -> None:
    trace = PolicyMaker().block(make_rule(), "example.com").table(tmp_path).trace(n("example.org"), 0.0)
    assert trace.candidates == () and not trace.verdict.is_blocked and trace.nxdomain_why == ""


def test_trace_looks_ahead_and_back(tmp_path: Path) -> None:
    rule = make_rule(starts_at=DAY_S, ends_at=3 * DAY_S)
    table = PolicyMaker().block(rule, "example.com").table(tmp_path)
    before, within, after = (table.trace(n("example.com"), at * DAY_S) for at in (0.5, 2, 3))
    assert before.candidates[0].why == "not in force before 1970-01-02 00:00 UTC"
    assert before.verdict.valid_until == DAY_S
    assert within.candidates[0].won and within.verdict.is_blocked
    assert after.candidates[0].why == "not in force since 1970-01-04 00:00 UTC"


def test_trace_says_what_shadow_and_disabled_rules_would_do(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(label="s", mode=Mode.SHADOW), "example.com")
    maker.block(make_rule(label="d", mode=Mode.DISABLED), "example.com")
    whys = {c.rule.label: c.why for c in maker.table(tmp_path).trace(n("example.com"), 0.0).candidates}
    assert "would win if it were enforced" in whys["s"]
    assert whys["d"] == "its mode is disabled"


def test_trace_says_that_a_rule_is_for_other_clients(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(label="all"), "example.com")
    maker.meant_for(3).block(make_rule(label="three"), "www.example.com").allow("x.example.com")
    policy = maker.policy(tmp_path)
    others, three = (policy.table_for(group).trace(n("www.example.com"), 0.0) for group in (0, 3))
    assert [(c.rule.label, c.is_for_group, c.is_enforced, c.why) for c in others.candidates] == [
        ("three", False, False, "it is for other clients"),
        ("all", True, True, "wins"),
    ]
    assert [(c.rule.label, c.won) for c in three.candidates] == [("three", True), ("all", False)]
    assert policy.everybody.trace(n("example.com"), 0.0).nxdomain_why.startswith("NXDOMAIN")
    assert "an exception stands below" in policy.table_for(3).trace(n("example.com"), 0.0).nxdomain_why


def test_trace_says_why_nxdomain_may_or_may_not_be_said(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(), "example.com", "=one.example").allow("ok.example.com")
    table = maker.table(tmp_path)
    assert table.trace(n("x.example.com"), 0.0).nxdomain_why.startswith("NXDOMAIN")
    assert "an exception stands below" in table.trace(n("example.com"), 0.0).nxdomain_why
    assert "names below are not blocked" in table.trace(n("one.example"), 0.0).nxdomain_why
    allowed = table.trace(n("ok.example.com"), 0.0)
    assert [c.effect for c in allowed.candidates] == ["allow", "block"] and allowed.nxdomain_why == ""


def test_equal_rules_are_told_apart_by_their_place(tmp_path: Path) -> None:
    maker = (
        PolicyMaker().block(make_rule(label="a"), "example.com").block(make_rule(label="b"), "example.com")
    )
    maker.allow("=example.com").block(make_rule(label="c"), "*.example.com")
    table = maker.table(tmp_path)
    whys = {c.rule.label: c.why for c in table.trace(n("x.example.com"), 0.0).candidates}
    assert whys["c"] == "wins"
    assert whys["a"] == "blocklist.yaml:4 has the narrower form of the same owner name"
    whys = {c.rule.label: c.why for c in table.trace(n("example.com"), 0.0).candidates}
    assert whys["b"] == "blocklist.yaml:3 allows the same owner name, and allow beats block"
