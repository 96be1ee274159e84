"""One entry of `orders`, as written -> an `Order`.

Knows: what its dates mean, and which of them cannot be.  Does not know: who cites it, the time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Any

from resolver.blocklist.dates import moment_from, window_from
from resolver.blocklist.keys import OrderEntry
from resolver.blocklist.rules import Order
from resolver.policy.verdict import Mode


def order_from(
    order_id: str, entry: OrderEntry, zone: tzinfo, line: int, error: Callable[[str, str], None]
) -> Order:
    """Resolve it; `error` is told (key, message) of each date that cannot be read, or contradicts."""

    def moment(key: str, text: str | None) -> float | None:
        try:
            return None if text is None else moment_from(text, zone)
        except ValueError as problem:
            error(key, str(problem))
            return None

    window = window_from(entry, zone, error)
    if entry.date is not None:
        try:
            moment_from(entry.date, UTC)
        except ValueError as problem:
            error("date", str(problem))
    received_at, due_at = moment("received", entry.received), moment("due", entry.due)
    if received_at is not None and due_at is not None and due_at < received_at:
        error("due", f"{entry.due!r} is before 'received' ({entry.received!r})")
    return Order(
        id=order_id,
        authority=entry.authority,
        title=entry.title,
        reference=entry.reference,
        date=entry.date,
        url=entry.url,
        imposed_by=entry.imposed_by,
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        mode=None if entry.mode is None else Mode(entry.mode),
        received_at=received_at,
        due_at=due_at,
        measure=entry.measure,
        is_confidential=entry.confidential,
        asks=entry.asks,
        line=line,
    )


def unreadable_order(order_id: str, line: int) -> Order:
    """Stands for one with errors, so that citing it is no second error."""
    return Order(order_id, "", "", None, None, None, "external", line=line)


def order_words(order: Order) -> dict[str, Any]:
    """What an image says of an order to people; moments in Unix seconds, `asks` only counted."""
    return {
        "id": order.id,
        "authority": order.authority,
        "title": order.title,
        "reference": order.reference,
        "date": order.date,
        "url": order.url,
        "imposed_by": order.imposed_by,
        "from": order.starts_at,
        "until": order.ends_at,
        "mode": None if order.mode is None else order.mode.value,
        "received": order.received_at,
        "due": order.due_at,
        "measure": None if order.measure is None else str(order.measure),
        "confidential": order.is_confidential,
        "asks": len(order.asks),
    }
