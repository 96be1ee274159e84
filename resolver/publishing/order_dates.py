"""Since when each order is in force, noted in the history: what a server tells of deadlines.

Knows: the history's note of orders, the numbers of each order.  Does not know: the server, metrics.
Part of the recorder's process: holding every name that an order asks for against the blocklist takes
seconds where there are many.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resolver.blocklist.rules import Blocklist
from resolver.orders.deadlines import deadlines_of
from resolver.orders.listed import ListsOf, no_lists
from resolver.publishing.history import HistoryUnusable, open_history

LATE_S_MAX = 10.0
"""A date told later than this came while nobody served, or while the machine slept."""


def moment_of(at: float, turned_at: float | None) -> float:
    """Since when what is in force at `at` is: since the date that passed, where it was served then."""
    if turned_at is not None and 0 <= at - turned_at <= LATE_S_MAX:
        return turned_at
    return at


def dated_orders(
    state_dir: Path,
    blocklist: Blocklist,
    at: float,
    turned_at: float | None,
    list_names: Mapping[str, int],
    lists_of: ListsOf = no_lists,
) -> list[dict[str, Any]]:
    """Note which orders are in force at `at` (Unix seconds); of each that is not confidential its numbers.

    `id`, `due` (Unix seconds or null), `in_force` (when it first was; 0: never), `unenforced` (reason ->
    count).  Where the history cannot be used, `in_force` is of this policy alone.
    """
    deadlines = deadlines_of(blocklist, at, list_names, lists_of)
    since = moment_of(at, turned_at)
    first = {entry.order.id: since for entry in deadlines if entry.is_in_force}
    with contextlib.suppress(HistoryUnusable), open_history(state_dir, create=True) as history:
        history.note_in_force(first, blocklist.orders)
        # What a clock that was ahead has noted has not come.
        first = {
            order_id: day for order_id, day in history.in_force_since().items() if day <= at + LATE_S_MAX
        }
    return [
        {
            "id": entry.order.id,
            "due": entry.due_at,
            "in_force": first.get(entry.order.id, 0.0),
            "unenforced": {reason.value: count for reason, count in entry.unenforced.items()},
        }
        for entry in deadlines
        if not entry.order.is_confidential
    ]
