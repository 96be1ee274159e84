"""A proposal and a blocklist -> the changes that put the one into the other, and what cannot be put there.

Knows: what citing an order does to a platform, the two scopes.  Does not know: YAML text, files.
Theory: a change is data that can be carried out twice: on the text (`writing`), and on the values that the
text means.  Both must come out the same, or nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from resolver.blocklist.conflicts import entry_text
from resolver.blocklist.entries import name_entry
from resolver.blocklist.rules import Blocklist, NameRule
from resolver.orders.naming import ID_CHARS_MAX
from resolver.orders.platforms import Platform, covers
from resolver.orders.proposal import Entry, Known, NotTaken, Proposal, least_entries
from resolver.orders.reach import Reason
from resolver.orders.words import Address
from resolver.policy.verdict import RuleForm
from resolver.wire.names import suffix_offsets

Tree = dict[str, Any]
"""The blocklist as plain values: what its text means to YAML."""

TO_BE_FILLED_IN = "to be filled in"


@dataclass(frozen=True, slots=True)
class AddOrder:
    """A new order, with its keys."""

    id: str
    content: Tree


@dataclass(frozen=True, slots=True)
class AddAsks:
    """More of what an order names."""

    id: str
    asks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddExchange:
    """A new exchange, with its keys."""

    id: str
    content: Tree


@dataclass(frozen=True, slots=True)
class Cite:
    """An exchange cites one more order."""

    exchange: str
    order: str


@dataclass(frozen=True, slots=True)
class AddDomains:
    """An exchange has more names."""

    exchange: str
    domains: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemoveDomains:
    """Names leave an exchange, for an entry of their own."""

    exchange: str
    domains: tuple[str, ...]


Change = AddOrder | AddAsks | AddExchange | Cite | AddDomains | RemoveDomains


@dataclass(frozen=True, slots=True)
class OrderTexts:
    """What whoever imports an order says of it; None: nothing."""

    id: str
    source: str
    """The file's name."""
    authority: str | None = None
    title: str | None = None
    reference: str | None = None
    date: str | None = None
    url: str | None = None
    starts: str | None = None
    until: str | None = None
    through: str | None = None
    mode: str | None = None
    received: str | None = None
    due: str | None = None
    is_confidential: bool = False

    def keys(self) -> Tree:
        """Those that are said, as the file has them."""
        said = {
            "authority": self.authority,
            "title": self.title,
            "reference": self.reference,
            "date": self.date,
            "url": self.url,
            "from": self.starts,
            "until": self.until,
            "through": self.through,
            "mode": self.mode,
            "received": self.received,
            "due": self.due,
            "confidential": self.is_confidential or None,
        }
        return {key: value for key, value in said.items() if value is not None}


@dataclass(slots=True)
class Plan:
    """What is to be done."""

    changes: list[Change] = field(default_factory=list)
    not_taken: list[NotTaken] = field(default_factory=list)
    added: dict[str, list[str]] = field(default_factory=dict)
    """Known platform -> the names that it gets, or that an entry of its own gets."""
    others: dict[str, list[str]] = field(default_factory=dict)
    """Known platform -> names that come under the order although it does not write them."""
    entry_of: dict[str, str] = field(default_factory=dict)
    """Known platform -> the exchange that blocks what the order names of it."""
    problems: list[str] = field(default_factory=list)
    """Why it cannot be carried out."""


def make_plan(
    proposal: Proposal, policy: Blocklist, tree: Tree, order: OrderTexts, *, is_named: bool
) -> Plan:
    """The changes.  `is_named`: only the names that the order itself writes come under it."""
    return _Planner(policy, tree, order, is_named=is_named).plan(proposal)


class _Planner:
    def __init__(self, policy: Blocklist, tree: Tree, order: OrderTexts, *, is_named: bool) -> None:
        self._policy = policy
        self._tree = tree
        self._order = order
        self._is_named = is_named
        self._plan = Plan()
        self._exchanges: Tree = tree.get("exchanges") or {}
        self._written = {
            (rule.owner, rule.form): rule.rule.label for rule in policy.name_rules if rule.effect == "block"
        }
        self._owners: dict[str, dict[bytes, list[NameRule]]] = {}
        self._new_ids: set[str] = set()
        self._there: Tree = (tree.get("orders") or {}).get(order.id) or {}

    def plan(self, proposal: Proposal) -> Plan:
        plan = self._plan
        self._new_ids = {new.id for new in proposal.new}
        self._plan_order(proposal.asks)
        for known in proposal.known:
            if known.platform.is_in_policy:
                self._plan_own(known)
            else:
                self._plan_of_catalogue(known)
        for new in proposal.new:
            domains = [entry_text(*entry) for entry in self._lacking(new.entries())]
            if domains:
                self._add_exchange(new.id, {"name": new.name, "category": "exchange"}, domains)
        return plan

    def _plan_order(self, asks: Sequence[str]) -> None:
        order, there = self._order, self._there
        said = order.keys()
        if there:
            for key, value in said.items():
                if there.get(key) != value:
                    has = f"has {key}: {there[key]}" if key in there else f"has no {key}"
                    self._plan.problems.append(
                        f"order {order.id} is there already and {has}; change it there, or leave out --{key}"
                    )
            known = set(there.get("asks") or ())
            if lacking := tuple(ask for ask in asks if ask not in known):
                self._plan.changes.append(AddAsks(order.id, lacking))
            return
        content = {"authority": TO_BE_FILLED_IN, "title": f"Imported from {order.source}", **said}
        if asks:
            content["asks"] = list(asks)
        self._plan.changes.append(AddOrder(order.id, content))

    @property
    def _is_limited(self) -> bool:
        """Whether the order is not in force always: what cites nothing else would stop being so, too."""
        keys = {**self._there, **self._order.keys()}
        return any(keys.get(key) for key in ("from", "until", "through")) or keys.get("mode") not in (
            None,
            "enforce",
        )

    def _plan_own(self, known: Known) -> None:
        """A platform of the blocklist."""
        platform = known.platform
        rule = platform.rule
        if not rule.orders and self._is_limited:
            self._plan_uncited(known)
            return
        entries = least_entries(known.addresses)
        if self._is_named:
            self._plan_named(known, entries)
            return
        self._cite(platform.id)
        lacking = [entry for entry in self._lacking(entries) if not self._is_covered(entry, platform)]
        self._plan.others[platform.id] = _others(platform.names, known)
        self._plan.entry_of[platform.id] = platform.id
        self._add_lacking(platform, lacking)

    def _add_lacking(self, platform: Platform, lacking: list[Entry]) -> None:
        """Names that the order has and the platform's entry has not."""
        if not lacking:
            return
        domains = [entry_text(*entry) for entry in lacking]
        rule = platform.rule
        if self._has_other_authority(rule.orders):
            # Added there they would come under the other order, too, which does not name them.
            self._add_own_entry(platform, domains, [self._order.id])
        else:
            self._plan.changes.append(AddDomains(platform.id, tuple(domains)))
        self._plan.added[platform.id] = domains

    def _plan_named(self, known: Known, entries: list[Entry]) -> None:
        """Only what the order writes, in an entry of its own: it cites what the platform cites, too."""
        platform = known.platform
        if not entries:
            why = "is named without an address, and only addresses of the order are taken (--scope named)"
            self._skip(known, Reason.NO_ADDRESS, why)
            return
        # Only what the order asks for as a whole: `*.x` in the place of `x` would open x itself.
        asked = set(entries)
        moved = [
            rule
            for rule in platform.names
            if not asked.isdisjoint({(rule.owner, rule.form), (rule.owner, RuleForm.SUBTREE)})
        ]
        if len(moved) == len(platform.names):
            # Nothing else would be left: it is all the order's.
            self._cite(platform.id)
            lacking = [entry for entry in self._lacking(entries) if not self._is_covered(entry, platform)]
            self._plan.entry_of[platform.id] = platform.id
            self._add_lacking(platform, lacking)
            return
        if moved:
            texts = tuple(self._text_in_tree(platform.id, rule) for rule in moved)
            self._plan.changes.append(RemoveDomains(platform.id, texts))
            for rule in moved:
                self._written.pop((rule.owner, rule.form), None)
        orders = [order for order in platform.rule.orders if order != self._order.id]
        lacking = self._lacking(entries)
        # What the platform blocks already stays blocked for its reasons; what it does not has only this one.
        fresh = [entry_text(*entry) for entry in lacking if not self._is_covered(entry, platform)]
        kept = [entry_text(*entry) for entry in lacking if self._is_covered(entry, platform)]
        # `x` was asked for, and the platform has `=x` for reasons of its own, which stay with it.
        kept += [entry_text(rule.owner, rule.form) for rule in moved if (rule.owner, rule.form) not in asked]
        self._add_own_entry(platform, fresh, [self._order.id], "new" if kept else "")
        self._add_own_entry(platform, kept, [*orders, self._order.id])
        self._plan.added[platform.id] = [*kept, *fresh]

    def _text_in_tree(self, exchange: str, rule: NameRule) -> str:
        """A name as the file has it: sign, case and dots included."""
        for text in self._exchanges[exchange].get("domains") or ():
            if name_entry(text) == (rule.owner, rule.form):
                return str(text)
        raise AssertionError("a rule comes from the file")

    def _add_own_entry(
        self, platform: Platform, domains: list[str], orders: list[str], end: str = ""
    ) -> None:
        if not domains:
            return
        content = {
            key: value
            for key, value in self._exchanges[platform.id].items()
            if key not in ("name", "aliases", "domains", "addresses", "order")
        }
        label = self._order.reference or self._order.id
        shown = f"{label}, {end}" if end else label
        name = f"{platform.name[: 96 - len(shown)]} ({shown})"[:100]
        exchange_id = _own_id(platform.id, f"-{self._order.id}-{end}" if end else f"-{self._order.id}")
        if exchange_id in self._new_ids:
            # Something else has the platform's name, and got this id from that.
            exchange_id = _own_id(exchange_id, "-own")
        self._plan.entry_of[platform.id] = exchange_id
        if exchange_id in self._exchanges:
            self._plan.changes.append(AddDomains(exchange_id, tuple(domains)))
            return
        self._add_exchange(exchange_id, {"name": name, **content}, domains, orders)

    def _plan_of_catalogue(self, known: Known) -> None:
        """A platform that the blocklist lacks: its entry is taken over, or what the order names of it."""
        platform = known.platform
        entries = least_entries(known.addresses)
        content: Tree = {"name": platform.name}
        if platform.aliases:
            content["aliases"] = list(platform.aliases)
        content["category"] = platform.rule.category or "exchange"
        if self._is_named:
            if not entries:
                why = "is named without an address, and only addresses of the order are taken (--scope named)"
                self._skip(known, Reason.NO_ADDRESS, why)
                return
            wanted = entries
        else:
            own = [(rule.owner, rule.form) for rule in platform.names]
            wanted = [*own, *(entry for entry in entries if not self._is_covered(entry, platform))]
            self._plan.others[platform.id] = _others(platform.names, known)
        domains = [entry_text(*entry) for entry in self._lacking(wanted)]
        self._plan.entry_of[platform.id] = platform.id
        if domains:
            self._add_exchange(platform.id, content, domains)
            self._plan.added[platform.id] = domains

    def _add_exchange(
        self, exchange_id: str, content: Tree, domains: list[str], orders: list[str] | None = None
    ) -> None:
        cited = orders or [self._order.id]
        for domain in domains:
            self._note_written(domain, exchange_id)
        entry = {**content, "order": cited[0] if len(cited) == 1 else cited, "domains": domains}
        self._plan.changes.append(AddExchange(exchange_id, entry))

    def _note_written(self, domain: str, exchange_id: str) -> None:
        self._written[name_entry(domain)] = exchange_id

    def _cite(self, exchange: str) -> None:
        rule = next(rule for rule in self._policy.exchanges if rule.label == exchange)
        if self._order.id not in rule.orders:
            self._plan.changes.append(Cite(exchange, self._order.id))

    def _is_covered(self, entry: Entry, platform: Platform) -> bool:
        """Whether one of the platform's names is about all that an entry stands for."""
        by_owner = self._owners.get(platform.id)
        if by_owner is None:
            by_owner = self._owners[platform.id] = {}
            for rule in platform.names:
                by_owner.setdefault(rule.owner, []).append(rule)
        owner, form = entry
        for at in suffix_offsets(owner):
            for rule in by_owner.get(owner[at:], ()):
                if rule.form is RuleForm.SUBTREE or (rule.form is form and rule.owner == owner):
                    return True
                if rule.owner != owner and covers(rule, owner):
                    return True
        return False

    def _lacking(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those that no exchange has yet, in exactly this form."""
        return [entry for entry in entries if entry not in self._written]

    def _has_other_authority(self, orders: Sequence[str]) -> bool:
        known = self._policy.orders
        return any(
            order != self._order.id and known[order].imposed_by == "external"
            for order in orders
            if order in known
        )

    def _plan_uncited(self, known: Known) -> None:
        """A platform that cites no order, so is blocked always; with this as its only one it would not be."""
        platform = known.platform
        covered = [one for one in known.addresses if self._is_covered((one.owner, one.form), platform)]
        rest = least_entries([one for one in known.addresses if one not in covered])
        domains = [entry_text(*entry) for entry in self._lacking(rest)]
        self._add_own_entry(platform, domains, [self._order.id])
        self._plan.added[platform.id] = domains
        if covered or not known.addresses:
            kept = "at its dates only" if self._order.mode in (None, "enforce") else "in shadow"
            why = (
                f"is blocked by {platform.id}, which cites no order: with this as its only one it would "
                f"be in force {kept}; give {platform.id} an order of its own first"
            )
            self._skip(known, Reason.NOT_CITED, why, covered)

    def _skip(self, known: Known, reason: Reason, why: str, addresses: Sequence[Address] = ()) -> None:
        names = [(address.written, address.line) for address in addresses]
        for written, line in names or [(known.platform.name, known.line)]:
            self._plan.not_taken.append(NotTaken(written, line, reason, why))


def _own_id(start: str, end: str) -> str:
    return f"{start[: max(1, ID_CHARS_MAX - len(end))]}{end}"[:ID_CHARS_MAX]


def _others(rules: Sequence[NameRule], known: Known) -> list[str]:
    """The platform's names that the order does not write."""
    asked = {address.owner for address in known.addresses}
    return [entry_text(rule.owner, rule.form) for rule in rules if rule.owner not in asked]


def apply_to_tree(tree: Tree, changes: Sequence[Change]) -> Tree:
    """What the file means once the changes are carried out.  `tree` is left as it is."""
    result: Tree = {**tree}
    orders = {key: {**value} for key, value in (tree.get("orders") or {}).items()}
    exchanges = {key: {**value} for key, value in (tree.get("exchanges") or {}).items()}
    for change in changes:
        match change:
            case AddOrder(key, content):
                orders[key] = content
            case AddAsks(key, asks):
                orders[key]["asks"] = [*(orders[key].get("asks") or ()), *asks]
            case AddExchange(key, content):
                exchanges[key] = content
            case Cite(key, order):
                cited = exchanges[key].get("order")
                before = [] if cited is None else [cited] if isinstance(cited, str) else list(cited)
                exchanges[key]["order"] = [*before, order]
            case AddDomains(key, domains):
                exchanges[key]["domains"] = [*(exchanges[key].get("domains") or ()), *domains]
            case RemoveDomains(key, domains):
                left = list(exchanges[key]["domains"])
                for domain in domains:
                    left.remove(domain)
                exchanges[key]["domains"] = left
    if orders:
        result["orders"] = orders
    if exchanges:
        result["exchanges"] = exchanges
    return result
