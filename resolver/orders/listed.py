"""What lists do with a host that an order asks for.

Knows: the image, which has the lists' names.  Does not know: orders' texts, files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from resolver.policy.image import Effect, Image, Tier
from resolver.policy.table import PolicyTable, reaches
from resolver.policy.verdict import PolicyRule


@dataclass(frozen=True, slots=True)
class Listed:
    """One list's rule that reaches a host."""

    rule: PolicyRule
    """As it is at that moment; its `orders` are those in force then."""
    is_block: bool
    """False: an exception of a list."""
    is_enforced: bool


ListsOf = Callable[[bytes, float], Sequence[Listed]]
"""The rules of lists that reach a host (wire form) at a moment (Unix seconds), the one that decides first."""


def lists_of(image: Image) -> ListsOf:
    """From the image of the policy in question."""
    tables: dict[float, PolicyTable] = {}

    def of_host(owner: bytes, at: float) -> Sequence[Listed]:
        table = tables.get(at)
        if table is None:
            # Its monotonic clock is wall time.
            table = tables[at] = PolicyTable(image, 1, at, at)
        found = []
        for ref in table.applying(owner):
            state = table.class_state(ref.class_id)
            origin = state.origin
            if origin.tier is not Tier.LISTS or origin.effect is Effect.MARKER:
                continue
            if reaches(origin.form, ref.owner_offset):
                found.append(Listed(state.rule, origin.effect is Effect.BLOCK, state.is_enforced))
        return found

    return of_host


def no_lists(_owner: bytes, _at: float) -> Sequence[Listed]:
    """Where lists do not matter."""
    return ()
