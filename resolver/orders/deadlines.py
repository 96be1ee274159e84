"""How each order of a blocklist stands against its deadline at one moment, in numbers.

Knows: whether an order is really in force: something that cites it is blocked.  Does not know: since when
(the history does), metrics, the clock (`now` is an argument).
Theory: an order that has ended asks for nothing any more, so it has no deadline and nothing is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from resolver.blocklist.in_force import InForce
from resolver.blocklist.rules import Blocklist, Order
from resolver.orders.listed import ListsOf, no_lists
from resolver.orders.reach import Reason
from resolver.orders.standing import Standings
from resolver.policy.verdict import Mode


@dataclass(frozen=True, slots=True)
class Deadline:
    """One order at one moment."""

    order: Order
    is_in_force: bool
    """Something is blocked because of it: not by its dates and its mode alone."""
    due_at: float | None
    """Unix seconds; None: it has no deadline, or has ended."""
    unenforced: Mapping[Reason, int]
    """How many of `asks` are not enforced, by reason; reasons without any are left out."""


def deadlines_of(
    blocklist: Blocklist, now: float, list_names: Mapping[str, int], lists_of: ListsOf = no_lists
) -> list[Deadline]:
    """All orders at `now` (Unix seconds); `list_names`: name of each list -> how many names it has."""
    standings = Standings(blocklist, lists_of)
    blocking = InForce(blocklist, now).orders
    found = []
    for order in blocklist.orders.values():
        has_ended = order.ends_at is not None and order.ends_at <= now
        found.append(
            Deadline(
                order,
                order.mode is not Mode.SHADOW
                and any(_has_names(source, list_names) for source in blocking.get(order.id, ())),
                None if has_ended else order.due_at,
                {} if has_ended else standings.of(order, now).unenforced(),
            )
        )
    return found


def _has_names(source: str, list_names: Mapping[str, int]) -> bool:
    """Whether what cites an order blocks anything; a list that never came does not."""
    name = source.removeprefix("list ")
    return name == source or list_names.get(name, 0) > 0
