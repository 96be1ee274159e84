"""An exchange or a list, its own dates and the orders it cites -> what it is at which time.

Knows: that it is in force while any order it cites is, narrowed by its own dates; whose mode and whose
measure counts.  Does not know: names, lines, the time.
Theory: time is cut at every date of every order.  Between two cuts the same orders are in force, so there
one rule is true for all of it.  Orders that begin and end so change an answer's reasons, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from resolver.blocklist.dates import Window
from resolver.blocklist.rules import Order
from resolver.policy.verdict import Mode

Stretch = tuple[Window, tuple[Order, ...]]
"""A time, and the orders in force all through it."""


def stretches(window: Window, orders: Sequence[Order]) -> list[Stretch]:
    """When something with these dates that cites these orders is in force; in order of time.

    Without orders: within its own dates.  Orders with mode `disabled` are never in force.
    """
    if not orders:
        return [(window, ())]
    standing = [order for order in orders if order.mode is not Mode.DISABLED]
    earliest, latest = _edges(window.starts_at, window.ends_at)
    edges = {order.id: _edges(order.starts_at, order.ends_at) for order in standing}
    cuts = sorted(
        {earliest, latest, *(edge for pair in edges.values() for edge in pair if earliest < edge < latest)}
    )
    found: list[Stretch] = []
    for start, end in pairwise(cuts):
        in_force = tuple(
            order for order in standing if edges[order.id][0] <= start and end <= edges[order.id][1]
        )
        if in_force:
            found.append((_window(start, end), in_force))
    return found


def mode_of(written: Mode | None, orders: Sequence[Order], default: Mode) -> Mode:
    """The mode of what cites `orders`, which are in force: as written on it, else the strongest of theirs.

    An order without a mode has the default one, so an order in shadow never opens what another enforces.
    """
    if written is not None:
        return written
    modes = {order.mode or default for order in orders} or {default}
    return next(mode for mode in (Mode.ENFORCE, Mode.SHADOW, Mode.DISABLED) if mode in modes)


def measured(orders: Sequence[Order]) -> Order | None:
    """The order whose measure counts: the first cited that has one; None: none has."""
    return next((order for order in orders if order.measure is not None), None)


def _edges(starts_at: float | None, ends_at: float | None) -> tuple[float, float]:
    return (-math.inf if starts_at is None else starts_at, math.inf if ends_at is None else ends_at)


def _window(start: float, end: float) -> Window:
    return Window(None if start == -math.inf else start, None if end == math.inf else end)
