"""Defaults, exchange and orders together -> one fully resolved `PolicyRule`.

Knows: what overrides what, which Extended DNS Error an answer carries and what it says.
Does not know: names, lines, the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from resolver.blocklist.dates import ALWAYS, Window
from resolver.blocklist.keys import Defaults, ExchangeEntry, ListEntry
from resolver.blocklist.registers import RegisterFormat
from resolver.blocklist.rules import Order
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule
from resolver.wire.encode import EDE_TEXT_OCTETS_MAX, cut_text
from resolver.wire.numbers import ExtendedError

_EDE_CODES = {
    "blocked": ExtendedError.BLOCKED,
    "censored": ExtendedError.CENSORED,
    "filtered": ExtendedError.FILTERED,
}


def exchange_rule(
    label: str,
    entry: ExchangeEntry,
    defaults: Defaults,
    orders: Sequence[Order],
    window: Window,
) -> PolicyRule:
    """Resolve an exchange that cites `orders`."""
    is_imposed = any(order.imposed_by == "external" for order in orders)
    references = [order.reference or order.id for order in orders]
    return replace(
        _shared("exchange", label, entry, defaults),
        ede=_ede_code(entry.ede or defaults.ede, is_imposed=is_imposed),
        ede_text=ede_text(entry.name, references, entry.contact or defaults.contact),
        category=entry.category,
        orders=tuple(order.id for order in orders),
        starts_at=window.starts_at,
        ends_at=window.ends_at,
    )


def list_rule(
    entry: ListEntry, defaults: Defaults, orders: Sequence[Order] = (), window: Window = ALWAYS
) -> PolicyRule:
    """Resolve a list that cites `orders`; one of kind allow or check has the action PASSTHRU.

    A register that only warns is in shadow unless its own entry has a mode, whatever its orders say.
    """
    is_imposed = any(order.imposed_by == "external" for order in orders)
    references = [order.reference or order.id for order in orders]
    rule = _shared("list", entry.name, entry, defaults)
    mode = rule.mode
    if entry.kind == "check":
        mode = Mode.DISABLED
    elif only_warns(entry) and mode is Mode.ENFORCE:
        mode = Mode.SHADOW
    return replace(
        rule,
        action=rule.action if entry.kind == "block" else PolicyAction.PASSTHRU,
        mode=mode,
        ede=_ede_code(entry.ede or defaults.ede, is_imposed=is_imposed),
        ede_text=ede_text(f"A name on list {entry.name}", references, entry.contact or defaults.contact),
        category=entry.category or "",
        orders=tuple(order.id for order in orders),
        starts_at=window.starts_at,
        ends_at=window.ends_at,
    )


def only_warns(entry: ListEntry) -> bool:
    """Whether a list is a register of warnings, and nobody has written that it is to block."""
    register = entry.format if isinstance(entry.format, RegisterFormat) else None
    return entry.mode is None and register is not None and register.is_warning


def passing_rule(kind: str, name: str, window: Window = ALWAYS) -> PolicyRule:
    """Make the rule behind `allow` or `protected` names, in force within its dates."""
    return PolicyRule(
        kind=kind,
        label=kind,
        name=name,
        action=PolicyAction.PASSTHRU,
        mode=Mode.ENFORCE,
        ttl_s=0,
        sinkhole_ipv4=bytes(4),
        sinkhole_ipv6=bytes(16),
        ede=ExtendedError.BLOCKED,
        ede_text="",
        starts_at=window.starts_at,
        ends_at=window.ends_at,
    )


def _shared(kind: str, label: str, entry: ExchangeEntry | ListEntry, defaults: Defaults) -> PolicyRule:
    """Merge what exchanges and lists have in common with the defaults."""
    sinkhole = entry.sinkhole or defaults.sinkhole
    # A half-written sinkhole keeps the other half of the defaults.
    ipv4 = sinkhole.ipv4 if "ipv4" in sinkhole.model_fields_set else defaults.sinkhole.ipv4
    ipv6 = sinkhole.ipv6 if "ipv6" in sinkhole.model_fields_set else defaults.sinkhole.ipv6
    return PolicyRule(
        kind=kind,
        label=label,
        name=entry.name,
        action=PolicyAction(entry.action or defaults.action),
        mode=Mode(entry.mode or defaults.mode),
        ttl_s=defaults.ttl_s if entry.ttl_s is None else entry.ttl_s,
        sinkhole_ipv4=ipv4.packed,
        sinkhole_ipv6=ipv6.packed,
        ede=_ede_code(entry.ede or defaults.ede, is_imposed=False),
        ede_text="",
    )


def _ede_code(word: str, *, is_imposed: bool) -> int:
    """Give the INFO-CODE (RFC 8914 §4.16 to §4.18)."""
    if word == "auto":
        # "Censored" is for what the operator was made to do, "Blocked" for what it chose to.
        # "Filtered" claims that the client asked for it, so `auto` never says that.
        return ExtendedError.CENSORED if is_imposed else ExtendedError.BLOCKED
    return _EDE_CODES[word]


def ede_text(name: str, references: Sequence[str], contact: str | None) -> str:
    """Say who is blocked, by which orders, whom to ask: at most `EDE_TEXT_OCTETS_MAX` octets.

    The contact is what the blocked person needs, so the front is cut before it.
    """
    front = f"{name} is blocked"
    if references:
        front += f" (order {', '.join(references)})"
    end = f"; contact {contact}" if contact else ""
    room = EDE_TEXT_OCTETS_MAX - len(end.encode())
    if room < 0:
        return _cut(front + end, EDE_TEXT_OCTETS_MAX)
    return _cut(front, room) + end


def _cut(text: str, octets_max: int) -> str:
    """Cut at a character boundary, with an ellipsis where there is room for one."""
    if len(text.encode()) <= octets_max:
        return text
    mark = "..." if octets_max > 20 else ""
    return cut_text(text, octets_max - len(mark)).decode() + mark
