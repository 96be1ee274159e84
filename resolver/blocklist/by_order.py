"""What a change of blocklist does, order by order.

Knows: what cites an order on either side.  Does not know: dates, what is in force (`openings` says that).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resolver.blocklist.conflicts import entry_text
from resolver.blocklist.rules import Blocklist
from resolver.plurals import counted


@dataclass(frozen=True, slots=True)
class OrderChange:
    """What is put under one order, and what is taken from it."""

    id: str
    is_confidential: bool
    gained: dict[str, tuple[str, ...]]
    """`exchanges`, `lists`, `domains` -> what cites it now and did not, sorted."""
    lost: dict[str, tuple[str, ...]]

    def words(self) -> str:
        """One line: `order x: gains 2 exchanges, 5 domains; loses 1 list`."""
        mark = " (confidential)" if self.is_confidential else ""
        said = [
            f"{verb} {', '.join(counted(len(names), kind.removesuffix('s')) for kind, names in part.items())}"
            for verb, part in (("gains", self.gained), ("loses", self.lost))
            if part
        ]
        return f"order {self.id}{mark}: {'; '.join(said)}"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "id": self.id,
            "words": self.words(),
            "confidential": self.is_confidential,
            "gained": {kind: list(names) for kind, names in self.gained.items()},
            "lost": {kind: list(names) for kind, names in self.lost.items()},
        }


def changes_by_order(old: Blocklist | None, new: Blocklist) -> list[OrderChange]:
    """Every order of which something else cites it than before, in the new file's order."""
    before, after = ({} if old is None else _cited(old)), _cited(new)
    changes = []
    for order in dict.fromkeys((*after, *before)):
        was, becomes = before.get(order, {}), after.get(order, {})
        gained, lost = _difference(becomes, was), _difference(was, becomes)
        if gained or lost:
            owner = new if order in new.orders else old
            is_confidential = owner is not None and owner.orders[order].is_confidential
            changes.append(OrderChange(order, is_confidential, gained, lost))
    return changes


def _difference(one: Mapping[str, set[str]], other: Mapping[str, set[str]]) -> dict[str, tuple[str, ...]]:
    parts = {kind: tuple(sorted(names - other.get(kind, set()))) for kind, names in one.items()}
    return {kind: names for kind, names in parts.items() if names}


def _cited(blocklist: Blocklist) -> dict[str, dict[str, set[str]]]:
    """Order -> the exchanges, lists and domains under it."""
    found: dict[str, dict[str, set[str]]] = {
        order: {"exchanges": set(), "lists": set(), "domains": set()} for order in blocklist.orders
    }
    orders = {citation.where: [order.id for order in citation.orders] for citation in blocklist.citations}
    for where, ids in orders.items():
        section, _, label = where.partition(".")
        for order in ids:
            found[order][section].add(label)
    for owner, form, effect, rule, _, _ in blocklist.name_rules:
        if effect == "block":
            for order in orders.get(f"exchanges.{rule.label}", ()):
                found[order]["domains"].add(entry_text(owner, form))
    return found
