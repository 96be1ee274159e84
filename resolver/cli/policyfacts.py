"""A policy table -> the labels and numbers that metrics show of it.

Knows: both sides, so that neither has to know the other.
"""

from __future__ import annotations

from resolver.observe.metrics import PolicyFacts
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import PolicyAction, PolicyRule


def policy_facts(table: PolicyTable) -> PolicyFacts:
    """What the table contains, in labels."""
    return PolicyFacts(
        generation=table.generation,
        exchanges=tuple(map(_labels, table.exchanges)),
        lists=tuple(_labels(rule) for rule in table.lists if rule.action is not PolicyAction.PASSTHRU),
        rules=dict(table.counts["per_exchange"]),
    )


def _labels(rule: PolicyRule) -> tuple[str, str, str]:
    return rule.label, rule.action.value, rule.mode.value
