"""The trace behind a verdict, ready to be shown."""

from __future__ import annotations

from pathlib import Path

from resolver.explain.trace import RuleResult, trace_address, traced_rules
from resolver.wire.names import name_from_text as n
from tests.support.policy_maker import PolicyMaker, make_rule


def test_rule_for_other_clients_is_shown_as_such(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(label="all"), "example.com")
    policy = maker.meant_for(3).block(make_rule(label="three"), "www.example.com").policy(tmp_path)
    fates = {
        group: [rule.fate for rule in traced_rules(policy.table_for(group).trace(n("www.example.com"), 0.0))]
        for group in (0, 3)
    }
    assert fates == {
        0: [RuleResult.OTHER_CLIENTS, RuleResult.DECIDES],
        3: [RuleResult.DECIDES, RuleResult.OUTRANKED],
    }


def test_network_for_other_clients_is_shown_as_such(tmp_path: Path) -> None:
    maker = PolicyMaker().addresses(make_rule(label="all"), "192.0.2.0/24")
    policy = maker.meant_for(3).addresses(make_rule(label="three"), "192.0.2.0/28").policy(tmp_path)
    address = bytes((192, 0, 2, 1))
    others, three = (trace_address(policy.table_for(group), address, 0.0) for group in (0, 3))
    assert [(rule.fate, rule.why) for rule in others] == [
        (RuleResult.OTHER_CLIENTS, "it is for other clients"),
        (RuleResult.DECIDES, "wins"),
    ]
    assert [rule.fate for rule in three] == [RuleResult.DECIDES, RuleResult.OUTRANKED]
