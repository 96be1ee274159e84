"""One generation of the policy: its rules and its groups of clients, with a table for each group.

Knows: the table of everybody, and which other tables were asked for.  Does not know: which client is in
which group, how a name is judged.
Theory: groups and rules come from one image, so whoever swaps this one object swaps both at one moment.
The table of a group is made when one of its clients first asks: it is a view of the same image, so it
costs a few objects for each rule class and nothing for names.
"""

from __future__ import annotations

import math

from resolver.policy.activity import next_change
from resolver.policy.image import EVERYBODY, GROUPS_MAX, Image
from resolver.policy.table import PolicyTable
from resolver.wire.carried_addresses import Nat64Prefix


class Policy:
    """The tables of one generation; safe to use from any thread: at worst a table is made twice."""

    def __init__(self, everybody: PolicyTable) -> None:
        """Begin with the table of group 0, which says the image, the generation and the time for all."""
        assert everybody.group == EVERYBODY
        self.everybody = everybody
        """The table of group 0."""
        self.image: Image = everybody.image
        self.generation: int = everybody.generation
        """Rises with every policy published."""
        self.made_at = everybody.made_at
        """The time it is true for: wall (Unix seconds) and monotonic."""
        self.has_addresses = bool(self.image.interval_starts)
        """Whether any rule speaks of addresses."""
        self.nat64_prefixes = everybody.nat64_prefixes
        """Those of the network."""
        wall, _ = self.made_at
        # Whoever a rule is for: its date concerns all tables, made or not.
        rules = {id(origin.rule): origin.rule for origin in self.image.classes}.values()
        changes = (next_change(rule, wall) for rule in rules)
        self.next_boundary: float = min((at for at in changes if at is not None), default=math.inf)
        """Wall time of the next `from` or `until` of any rule; inf: none is coming."""
        self._tables: list[PolicyTable | None] = [everybody, *[None] * (GROUPS_MAX - 1)]

    def table_for(self, group: int) -> PolicyTable:
        """The table that judges the clients of this group (0 to `GROUPS_MAX` - 1), made at the first call."""
        table = self._tables[group]
        if table is None:
            table = PolicyTable(self.image, self.generation, *self.made_at, group, self.nat64_prefixes)
            self._tables[group] = table
        return table


def make_policy(
    image: Image,
    generation: int,
    wall: float,
    monotonic: float,
    nat64_prefixes: tuple[Nat64Prefix, ...] = (),
) -> Policy:
    """The policy in an image as of `wall`, which is `monotonic` on the verdicts' clock."""
    return Policy(PolicyTable(image, generation, wall, monotonic, nat64_prefixes=nat64_prefixes))
