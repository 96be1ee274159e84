"""A policy table -> the labels and numbers that metrics show of it.

Knows: both sides, so that neither has to know the other.
"""

from __future__ import annotations

from resolver.observe.metrics import PolicyFacts
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule

EXPIRY_NOTICE_S = 30 * 86_400.0
"""Thirty days: long enough to ask for an order's renewal."""


def policy_facts(table: PolicyTable) -> PolicyFacts:
    """What the table contains, in labels."""
    return PolicyFacts(
        generation=table.generation,
        exchanges=tuple(map(_labels, table.exchanges)),
        lists=_list_labels(table),
        rules=dict(table.counts["per_exchange"]),
    )


def count_expiring(table: PolicyTable, wall: float) -> int:
    """How many exchanges end within `EXPIRY_NOTICE_S`; those that are disabled or over do not count."""
    return sum(
        rule.ends_at is not None
        and wall < rule.ends_at <= wall + EXPIRY_NOTICE_S
        and rule.mode is not Mode.DISABLED
        for rule in table.exchanges
    )


def _list_labels(table: PolicyTable) -> tuple[tuple[str, str, str], ...]:
    """Each list that blocks, once for every action it can take: a zone's lines have their own."""
    labels = {
        _labels(rule): None
        for rule in (*table.lists, *(origin.rule for origin in table.image.classes))
        if rule.kind == "list" and rule.action is not PolicyAction.PASSTHRU
    }
    return tuple(labels)


def _labels(rule: PolicyRule) -> tuple[str, str, str]:
    return rule.label, rule.action.value, rule.mode.value
