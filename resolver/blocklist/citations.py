"""What cites orders, held against them: oversights that are legal, as warnings.

Knows: what an order prescribes, and how an exchange or a list may take from it.  Does not know: YAML, names.
Theory: what is written on an exchange wins over its orders, because somebody there knows more; but an order
of an authority that is so done later, shorter or weaker than it says is worth a remark each time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from resolver.blocklist.measures import Measure
from resolver.blocklist.phases import measured, stretches
from resolver.blocklist.rules import Blocklist, Citation, Order
from resolver.policy.verdict import CONFIDENTIAL, Mode
from resolver.problems import Problem

_STRENGTH = {Mode.ENFORCE: 2, Mode.SHADOW: 1, Mode.DISABLED: 0}


def citation_remarks(citations: Iterable[Citation]) -> Iterator[tuple[int, str]]:
    """What there is to say whatever day it is: (line, remark)."""
    for citation in citations:
        if not citation.orders:
            continue
        in_force = stretches(citation.window, citation.orders)
        if not in_force and any(order.mode is not Mode.DISABLED for order in citation.orders):
            message = "is never in force: its dates and those of its orders do not meet"
            yield _line(citation, "from", "until", "through"), f"{citation.where}: {message}"
        said = set()
        for _, orders in in_force:
            said |= {remark for remark in _measure_remarks(citation, orders) if remark not in said}
        yield from sorted(said)


def label_clashes(citations: Iterable[Citation]) -> Iterator[tuple[int, str]]:
    """The hits of what is confidential are counted under one label, which nothing else may ever have."""
    for citation in citations:
        if citation.rule.label == CONFIDENTIAL:
            message = "this label is that of confidential orders; give it another name"
            yield citation.lines[""], f"{citation.where}: {message}"


def _measure_remarks(citation: Citation, orders: tuple[Order, ...]) -> Iterator[tuple[int, str]]:
    order = measured(orders)
    if order is None or order.measure is None:
        return
    if citation.action is not None:
        if not _is_done(citation, order.measure):
            message = f"'{citation.action.value}' is done; order {order.id} prescribes {order.measure}"
            yield _line(citation, "action"), f"{citation.where}.action: {message}"
        return
    for other in orders:
        if other.measure is not None and other.measure != order.measure:
            message = (
                f"order {order.id} prescribes {order.measure}, and order {other.id} {other.measure}, at the "
                "same time: the first one counts"
            )
            yield _line(citation, "order"), f"{citation.where}.order: {message}"


def _is_done(citation: Citation, measure: Measure) -> bool:
    """Whether its own action comes to what is prescribed."""
    rule = citation.rule
    return rule.action is measure.action and (
        (rule.sinkhole_ipv4, rule.sinkhole_ipv6) == (measure.ipv4, measure.ipv6)
        if measure.ipv4 or measure.ipv6
        else not measure.cname
    )


def weakened(blocklist: Blocklist, now: float) -> list[Problem]:
    """Warn where a written mode or date weakens an order of an authority; `now` is Unix seconds."""
    return [
        Problem(str(blocklist.path), line, message, "warning")
        for citation in blocklist.citations
        for order in citation.orders
        if order.imposed_by == "external" and order.mode is not Mode.DISABLED
        for line, message in _weakened(citation, order, now)
    ]


def _weakened(citation: Citation, order: Order, now: float) -> Iterator[tuple[int, str]]:
    if order.ends_at is not None and order.ends_at <= now:
        return
    asked = order.mode or citation.default_mode
    if citation.mode is not None and _STRENGTH[citation.mode] < _STRENGTH[asked]:
        message = (
            f"'{citation.mode.value}' weakens order {order.id} of an authority, whose mode is '{asked.value}'"
        )
        yield _line(citation, "mode"), f"{citation.where}.mode: {message}"
    starts_at, ends_at = citation.window
    if starts_at is not None and starts_at > max(
        now, -math.inf if order.starts_at is None else order.starts_at
    ):
        message = (
            f"order {order.id} of an authority is in force before that day, and this is not; if the day is "
            "that of an order, write 'from' on the order"
        )
        yield _line(citation, "from"), f"{citation.where}.from: {message}"
    if ends_at is not None and ends_at < (math.inf if order.ends_at is None else order.ends_at):
        key = "through" if "through" in citation.lines else "until"
        message = (
            f"order {order.id} of an authority is in force beyond that day, and this is not; if the day is "
            f"that of an order, write '{key}' on the order"
        )
        yield _line(citation, key), f"{citation.where}.{key}: {message}"


def _line(citation: Citation, *keys: str) -> int:
    """The line of the first of these keys that is there, else the entry's own."""
    lines = citation.lines
    return next((lines[key] for key in keys if key in lines), lines[""])
