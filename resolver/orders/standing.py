"""What of an order is enforced, what is not, and why: each thing it asks for, held against the blocklist.

Knows: which rule decides about a host at a moment, and whether it cites the order.  Does not know: what list
files hold (`ListsOf` says it), the clock (`now` is an argument).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from resolver.blocklist.rules import Blocklist, NameRule, Order
from resolver.orders.items import items_of, with_blank
from resolver.orders.listed import ListsOf, no_lists
from resolver.orders.platforms import covers, name_key
from resolver.orders.reach import Reason
from resolver.orders.rows import Cell
from resolver.orders.words import Address
from resolver.policy.verdict import Mode, PolicyRule, RuleForm
from resolver.wire.names import name_from_text, suffix_offsets


class State(StrEnum):
    """How it stands with one thing that an order asks for."""

    ENFORCED = "enforced"
    """It is blocked now, by something that cites the order."""
    PENDING = "pending"
    """It will be when the order begins."""
    UNENFORCED = "unenforced"


@dataclass(frozen=True, slots=True)
class AskState:
    """One entry of `asks`."""

    ask: str
    state: State
    exchange: str = ""
    """Id of the exchange that blocks it; `list NAME` where a list does."""
    reason: Reason | None = None
    """Why it is not enforced."""
    why: str = ""
    is_beyond_dns: bool = False
    """Whether it is no name that a rule could block: a page on a platform of many, an app, mail, a number."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One order at one moment."""

    order: Order
    is_in_force: bool
    """By its own dates and mode."""
    when: str
    """`in force`, `not yet`, `ended`, `shadow` or `disabled`."""
    exchanges: tuple[str, ...]
    """Ids of those that cite it."""
    lists: tuple[str, ...]
    """Names of the lists that do."""
    asks: tuple[AskState, ...]

    def count(self, state: State) -> int:
        """How many of `asks` stand so."""
        return sum(ask.state is state for ask in self.asks)

    def unenforced(self) -> dict[Reason, int]:
        """How many are not enforced, by reason."""
        return dict(Counter(ask.reason for ask in self.asks if ask.reason is not None))


_FORM_ORDER = {RuleForm.EXACT: 0, RuleForm.BELOW: 1, RuleForm.SUBTREE: 2}


class Standings:
    """The orders of one blocklist."""

    def __init__(self, blocklist: Blocklist, lists_of: ListsOf = no_lists) -> None:
        self._blocklist = blocklist
        self._lists_of = lists_of
        self._list_orders = {spec.name: spec.rule.orders for spec in blocklist.lists}
        self._rules: dict[bytes, list[NameRule]] = {}
        for rule in blocklist.name_rules:
            self._rules.setdefault(rule.owner, []).append(rule)
        self._by_name: dict[str, list[PolicyRule]] = {}
        for exchange in blocklist.exchanges:
            for name in (exchange.name, *blocklist.aliases.get(exchange.label, ())):
                self._by_name.setdefault(name_key(name), []).append(exchange)

    def of(self, order: Order, now: float) -> Standing:
        """How the order stands at `now` (Unix seconds)."""
        when = self._when(order, now)
        return Standing(
            order=order,
            is_in_force=when == "in force",
            when=when,
            exchanges=tuple(rule.label for rule in self._blocklist.exchanges if order.id in rule.orders),
            lists=tuple(spec.name for spec in self._blocklist.lists if order.id in spec.rule.orders),
            asks=tuple(self._ask(ask, order, now, when) for ask in order.asks),
        )

    def _when(self, order: Order, now: float) -> str:
        mode = order.mode or self._blocklist.default_mode
        if mode is not Mode.ENFORCE:
            return mode.value
        if order.starts_at is not None and now < order.starts_at:
            return "not yet"
        if order.ends_at is not None and order.ends_at <= now:
            return "ended"
        return "in force"

    def _ask(self, ask: str, order: Order, now: float, when: str) -> AskState:
        # Read as it was when it was imported.
        items = [with_blank(item) for item in items_of(Cell(ask, 0)) if item.addresses]
        if len(items) != 1:
            return self._of_text(ask, order, now, when)
        address = items[0].addresses[0]
        found = [self._of_host(ask, owner, order, now, when) for owner in owners_of(ask)]
        best = next((state for state in found if state.state is not State.UNENFORCED), None)
        if best is not None:
            return best
        if address.reason is not None:
            why = address.why + _hint(address)
            return AskState(
                ask,
                State.UNENFORCED,
                reason=address.reason,
                why=why,
                is_beyond_dns=_is_beyond_dns(address.reason, has_path=address.has_path),
            )
        return found[0]

    def _of_host(self, ask: str, owner: bytes, order: Order, now: float, when: str) -> AskState:
        excepted, blocking = self._blocking(owner, now)
        if excepted:
            return AskState(ask, State.UNENFORCED, reason=Reason.EXCEPTED, why=excepted)
        citing = next((source for source, orders in blocking if order.id in orders), None)
        if citing is not None:
            if when == "not yet":
                return AskState(ask, State.PENDING, citing, why="is blocked already, for other reasons")
            return AskState(ask, State.ENFORCED, citing)
        if when == "not yet" and order.starts_at is not None:
            _, then = self._blocking(owner, order.starts_at)
            later = next((source for source, orders in then if order.id in orders), None)
            if later is not None:
                return AskState(ask, State.PENDING, later)
        if blocking:
            source = blocking[0][0]
            why = f"is blocked by {source}, which does not cite this order"
            return AskState(ask, State.UNENFORCED, source, Reason.NOT_CITED, why)
        return self._idle_or_nothing(ask, owner, order, now)

    def _blocking(self, owner: bytes, at: float) -> tuple[str, list[tuple[str, tuple[str, ...]]]]:
        """What blocks a host and what that cites, the deciding one first; or an exception's words."""
        winner = self._winner(owner, at)
        if winner is not None and winner.effect != "block":
            return f"is let through by '{winner.effect}' on line {winner.line}", []
        found = [] if winner is None else [(winner.rule.label, winner.rule.orders)]
        for listed in self._lists_of(owner, at):
            if listed.is_enforced and not listed.is_block:
                # It reaches lists only.
                return ("", found) if found else (f"is let through by list {listed.rule.id}", [])
            if listed.is_enforced:
                found.append((f"list {listed.rule.id}", self._list_orders.get(listed.rule.id, ())))
        return "", found

    def _idle_or_nothing(self, ask: str, owner: bytes, order: Order, now: float) -> AskState:
        """Nothing blocks it: what would, if it were in force?"""
        idle = [
            (rule.rule.label, rule.rule)
            for rule in self._about(owner)
            if rule.effect == "block" and order.id in rule.rule.orders
        ] + [
            (f"list {listed.rule.id}", listed.rule)
            for listed in self._lists_of(owner, now)
            if listed.is_block and order.id in self._list_orders.get(listed.rule.id, ())
        ]
        if idle:
            source, rule = idle[0]
            why = f"{source} blocks it, and is {_idle(rule, now)}"
            return AskState(ask, State.UNENFORCED, source, Reason.NOT_IN_FORCE, why)
        why = "no exchange and no list of the blocklist has it"
        return AskState(ask, State.UNENFORCED, reason=Reason.NOT_BLOCKED, why=why)

    def _of_text(self, ask: str, order: Order, now: float, when: str) -> AskState:
        """A platform's name: enforced by an exchange of that name."""
        found = [rule for rule in self._by_name.get(name_key(ask), ()) if order.id in rule.orders]
        if not found:
            return AskState(
                ask, State.UNENFORCED, reason=Reason.NO_ADDRESS, why="holds no address that could be blocked"
            )
        rule = found[0]
        if rule.is_in_force(now) and when != "not yet":
            return AskState(ask, State.ENFORCED, rule.label)
        if when == "not yet" and order.starts_at is not None and rule.is_in_force(order.starts_at):
            return AskState(ask, State.PENDING, rule.label)
        why = f"{rule.label} is {_idle(rule, now)}"
        return AskState(ask, State.UNENFORCED, rule.label, Reason.NOT_IN_FORCE, why)

    def _about(self, owner: bytes) -> Iterator[NameRule]:
        """Rules about a host, the strongest first: the longest name, exceptions, the narrowest form."""
        for at in suffix_offsets(owner):
            rules = [rule for rule in self._rules.get(owner[at:], ()) if covers(rule, owner)]
            yield from sorted(rules, key=lambda rule: (rule.effect == "block", _FORM_ORDER[rule.form]))

    def _winner(self, owner: bytes, now: float) -> NameRule | None:
        """The rule that decides at `now`."""
        in_force = [rule for rule in self._about(owner) if rule.rule.is_in_force(now)]
        protected = next((rule for rule in in_force if rule.effect == "protect"), None)
        return protected or (in_force[0] if in_force else None)


def standings_of(
    blocklist: Blocklist, now: float, ids: Sequence[str] = (), lists_of: ListsOf = no_lists
) -> list[Standing]:
    """All orders of a blocklist, or those of `ids`, at `now`."""
    standings = Standings(blocklist, lists_of)
    return [standings.of(order, now) for key, order in blocklist.orders.items() if not ids or key in ids]


def owners_of(ask: str) -> list[bytes]:
    """The hosts that one entry of `asks` may mean, the likeliest first; none: it holds no host."""
    items = [with_blank(item) for item in items_of(Cell(ask, 0)) if item.addresses]
    if len(items) != 1:
        return []
    address = items[0].addresses[0]
    owners = [address.owner] if address.owner else []
    return owners + [owner for text in address.suggestions if (owner := _wire(text))]


def _idle(rule: PolicyRule, now: float) -> str:
    """Why an exchange is not in force."""
    phase = rule.at(now)
    if phase.mode is not Mode.ENFORCE:
        return {"shadow": "in shadow: counted, not blocked", "disabled": "disabled"}[phase.mode.value]
    if phase.starts_at is not None and now < phase.starts_at:
        return "not in force yet"
    return "no longer in force"


def _is_beyond_dns(reason: Reason, *, has_path: bool) -> bool:
    """Whether no rule could do it.  A whole platform could be blocked, by force: somebody decides that."""
    return reason in _NO_NAMES or (reason is Reason.SHARED_PLATFORM and has_path)


_NO_NAMES = frozenset((Reason.ADDRESS_ONLY, Reason.MAIL_ADDRESS, Reason.NOT_DNS))


def _hint(address: Address) -> str:
    return f"; is {' or '.join(address.suggestions)} meant?" if address.suggestions else ""


def _wire(text: str) -> bytes | None:
    try:
        return name_from_text(text)
    except ValueError:
        return None
