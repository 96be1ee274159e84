"""One entry of `orders`, as written -> an `Order`.

Knows: what its dates mean, and which of them cannot be.  Does not know: who cites it, the time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, tzinfo

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
