"""What orders ask, as names that can be asked of a resolver.

Knows: how an order's entries are read, and how they stand.  Does not know: questions, servers.
"""

from __future__ import annotations

from resolver.audit.subjects import Ask
from resolver.blocklist.rules import Blocklist
from resolver.orders.standing import State, owners_of, standings_of


def asks_of(policy: Blocklist, wall: float) -> list[Ask]:
    """Every host that an order in force at `wall` (Unix seconds) names."""
    asks = []
    for standing in standings_of(policy, wall):
        if not standing.is_in_force:
            continue
        order = standing.order
        for ask in standing.asks:
            why = "" if ask.state is not State.UNENFORCED else f"{ask.reason}: {ask.why}"
            for owner in owners_of(ask.ask)[:1]:
                asks.append(Ask(order.id, owner, order.is_confidential, why, order.line, ask.is_beyond_dns))
    return list(dict.fromkeys(asks))
