"""Defaults, exchange and orders together -> one fully resolved `PolicyRule`.

Knows: what overrides what, which Extended DNS Error an answer carries and what it says.
Does not know: names, lines, the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from resolver.blocklist.dates import ALWAYS, Window
from resolver.blocklist.keys import Defaults, ExchangeEntry, ListEntry
from resolver.blocklist.phases import measured, mode_of, stretches
from resolver.blocklist.registers import RegisterFormat
from resolver.blocklist.rules import Order
from resolver.blocklist.told import contacts_json, reason_json
from resolver.policy.verdict import LocalData, Mode, PolicyAction, PolicyRule, joined_phases
from resolver.wire.encode import EDE_TEXT_OCTETS_MAX, cut_text
from resolver.wire.numbers import ExtendedError

_EDE_CODES = {
    "blocked": ExtendedError.BLOCKED,
    "censored": ExtendedError.CENSORED,
    "filtered": ExtendedError.FILTERED,
}


def exchange_rule(
    label: str, entry: ExchangeEntry, defaults: Defaults, orders: Sequence[Order], window: Window
) -> PolicyRule:
    """Resolve an exchange that cites `orders`."""
    base = replace(_shared("exchange", label, entry, defaults), category=entry.category)
    return _over_time(base, entry.name, entry, defaults, orders, window)


def list_rule(
    entry: ListEntry, defaults: Defaults, orders: Sequence[Order] = (), window: Window = ALWAYS
) -> PolicyRule:
    """Resolve a list that cites `orders`; one of kind allow or check has the action PASSTHRU.

    A register that only warns is in shadow unless its own entry has a mode, whatever its orders say.
    """
    base = replace(_shared("list", entry.name, entry, defaults), category=entry.category or "")
    rule = _over_time(base, f"A name on list {entry.name}", entry, defaults, orders, window)
    if entry.kind == "check":
        rule = with_mode(rule, dict.fromkeys(Mode, Mode.DISABLED))
    elif only_warns(entry):
        rule = with_mode(rule, {Mode.ENFORCE: Mode.SHADOW})
    if entry.kind == "block":
        return rule
    return with_action(rule, PolicyAction.PASSTHRU, None)


def with_mode(rule: PolicyRule, instead: Mapping[Mode, Mode]) -> PolicyRule:
    """The same rule with other modes, in all its phases."""
    phases = tuple(replace(phase, mode=instead.get(phase.mode, phase.mode)) for phase in rule.phases)
    return replace(rule, mode=instead.get(rule.mode, rule.mode), phases=phases)


def with_action(rule: PolicyRule, action: PolicyAction, local_data: LocalData | None) -> PolicyRule:
    """The same rule with another action, in all its phases."""
    phases = tuple(replace(phase, action=action, local_data=local_data) for phase in rule.phases)
    return replace(rule, action=action, local_data=local_data, phases=phases)


def _over_time(
    base: PolicyRule,
    who: str,
    entry: ExchangeEntry | ListEntry,
    defaults: Defaults,
    orders: Sequence[Order],
    window: Window,
) -> PolicyRule:
    """What it is while which of its orders is in force; `who` is the subject of its text."""
    cited = tuple(order.id for order in orders)
    written, default = None if entry.mode is None else Mode(entry.mode), Mode(defaults.mode)
    phases = []
    for (starts_at, ends_at), in_force in stretches(window, orders):
        mode = mode_of(written, in_force, default)
        # Where one enforces, an order that is only tried is no reason, and prescribes nothing.
        reasons = [order for order in in_force if (order.mode or default) is mode] or list(in_force)
        public = [order for order in reasons if not order.is_confidential]
        is_imposed = any(order.imposed_by == "external" for order in public or reasons)
        references = [order.reference or order.id for order in public]
        is_confidential = bool(reasons) and not public
        contact = entry.contact or defaults.contact
        cited_in_public = [(order.reference or order.id, order.title) for order in public]
        phase = replace(
            _measured(base, entry, reasons),
            mode=mode,
            ede=_ede_code(entry.ede or defaults.ede, is_imposed=is_imposed),
            ede_text="" if is_confidential else ede_text(who, references, contact),
            contacts_json="" if is_confidential else contacts_json(contact),
            reason_json="" if is_confidential else reason_json(entry.name, cited_in_public),
            orders=tuple(order.id for order in reasons),
            starts_at=starts_at,
            ends_at=ends_at,
            is_confidential=is_confidential,
        )
        phases.append(phase)
    standing = [phase for phase in phases if phase.mode is not Mode.DISABLED]
    if len(standing) > 1:
        return joined_phases(standing, cited)
    if standing or phases:
        return replace((standing or phases)[0], orders=cited)
    # None of its orders is ever in force.
    is_confidential = all(order.is_confidential for order in orders)
    return replace(base, mode=Mode.DISABLED, orders=cited, is_confidential=is_confidential)


def _measured(base: PolicyRule, entry: ExchangeEntry | ListEntry, orders: Sequence[Order]) -> PolicyRule:
    """The rule with what its orders prescribe, unless it has an action of its own."""
    order = None if entry.action is not None else measured(orders)
    if order is None or (measure := order.measure) is None:
        return base
    return replace(
        base,
        action=measure.action,
        local_data=measure.local_data,
        sinkhole_ipv4=measure.ipv4 or base.sinkhole_ipv4,
        sinkhole_ipv6=measure.ipv6 or base.sinkhole_ipv6,
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
