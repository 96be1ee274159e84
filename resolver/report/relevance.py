"""What of a change is about one order: for a report on that order alone, which tells nothing of others.

Knows: what cites an order, in each of two policies.  Does not know: files, the history.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from resolver.blocklist.rules import Blocklist
from resolver.report.facts import Change, ChangeItem
from resolver.wire.names import name_to_text

_ID = re.compile(r"[^ :]+")
_OF_NAMES = ("domains", "networks", "allow", "protected")


@dataclass(frozen=True, slots=True)
class Relevance:
    """One order in some policies."""

    ids: frozenset[str]
    """The order, the exchanges and the lists that cite it in any of them."""
    names: frozenset[str]
    """Names and networks of those exchanges, without the signs of their forms."""

    def part_of(self, change: Change) -> Change | None:
        """The change without what is about other orders; None: nothing of it is about this one."""
        if not change.is_known:
            return change
        items = tuple(filter(None, map(self._item, change.items)))
        return replace(change, items=items) if items else None

    def _item(self, item: ChangeItem) -> ChangeItem | None:
        is_of_names = any(kind in item.what for kind in _OF_NAMES)
        names = tuple(name for name in item.names if self._is_about(name, is_of_names))
        return ChangeItem(item.what, names, len(names)) if names else None

    def _is_about(self, text: str, is_of_names: bool) -> bool:
        found = _ID.match(text)
        if found is None:
            return False
        if not is_of_names:
            return found[0] in self.ids
        name = text.split(" ")[0].removeprefix("*.").removeprefix("=")
        return name in self.names or any(
            name.endswith(f".{own}") or own.endswith(f".{name}") for own in self.names
        )


def relevance_of(order: str, blocklists: Iterable[Blocklist]) -> Relevance:
    """What cites the order in any of these."""
    ids, names = {order}, set[str]()
    for blocklist in blocklists:
        exchanges = {rule.label for rule in blocklist.exchanges if order in rule.orders}
        ids |= exchanges | {spec.name for spec in blocklist.lists if order in spec.rule.orders}
        for rule in blocklist.name_rules:
            if rule.effect == "block" and rule.rule.label in exchanges:
                names.add(name_to_text(rule.owner))
        names |= {str(one.network) for one in blocklist.address_rules if one.rule.label in exchanges}
    return Relevance(frozenset(ids), frozenset(names))
