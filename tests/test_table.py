"""Which rule wins, how far it reaches, and what an answer adds to it."""

from __future__ import annotations

from pathlib import Path

from resolver.policy.verdict import PASS
from resolver.wire.names import name_from_text as n
from tests.policy_maker import PolicyMaker, make_rule


def test_name_that_no_rule_speaks_of_passes(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(), "example.com").table(tmp_path)
    for name in ("example.org", "com", ".", "notexample.com", "a.b.c.example.net"):
        assert table.judge_name(n(name), 0.0) is PASS


def test_subtree_rule_blocks_its_owner_and_all_below(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(), "example.com").table(tmp_path)
    for name in ("example.com", "www.example.com", "a.b.example.com"):
        verdict = table.judge_name(n(name), 0.0)
        assert verdict.is_blocked and verdict.nxdomain_ok and verdict.denied == n(name)
        assert verdict.match is not None and verdict.match.owner == n("example.com")
        assert verdict.match.line == 1


def test_nxdomain_is_not_said_above_an_exception(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(), "example.com").allow("a.b.example.com")
    table = maker.table(tmp_path)
    assert not table.judge_name(n("example.com"), 0.0).nxdomain_ok
    assert not table.judge_name(n("b.example.com"), 0.0).nxdomain_ok
    assert table.judge_name(n("x.example.com"), 0.0).nxdomain_ok
    assert not table.judge_name(n("a.b.example.com"), 0.0).is_blocked
    assert not table.judge_name(n("x.a.b.example.com"), 0.0).is_blocked
