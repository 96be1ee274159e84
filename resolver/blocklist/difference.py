"""What a change of blocklist does: exchanges, names, lists and orders gained, lost and changed.

Knows: what a blocklist means.  Does not know: how it was written (order, comments, quotes change
nothing), files, how a difference is shown.
Theory: both sides are fully resolved, so a changed default shows where it takes effect; a name is
compared with its form, because `x`, `=x` and `*.x` block different things.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Literal

from resolver.blocklist.conflicts import entry_text
from resolver.blocklist.downloads import Download
from resolver.blocklist.rules import Blocklist, ListSpec, Order
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule
from resolver.wire.names import name_to_text
from resolver.wire.numbers import ExtendedError

_DOWNLOAD_FACTS = (
    "url",
    "refresh_s",
    "timeout_s",
    "sha256",
    "signature",
    "allow_http",
    "allow_private",
    "access",
    "discover",
    "tsig",
    "tls_ca",
)

_TOLD_OF_EXCHANGE = {
    "orders": None,
    "action": PolicyAction.NXDOMAIN.value,
    "mode": Mode.ENFORCE.value,
    "from": None,
    "until": None,
    "phases": None,
    "sinkhole": None,
    "local_data": None,
}
"""What is told of an exchange or list that is gained or lost, where it is something else than this."""
_TOLD_OF_LIST = {"path": None, "url": None, "kind": None, **_TOLD_OF_EXCHANGE, "access": None, "tsig": None}
_TOLD_OF_ORDER = {
    "imposed_by": None,
    "measure": None,
    "mode": None,
    "from": None,
    "until": None,
    "confidential": None,
}

Kind = Literal["gained", "lost", "changed"]
KINDS: tuple[Kind, ...] = ("gained", "lost", "changed")


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One property, before and after; None: it was not there."""

    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class EntryChange:
    """One exchange, list, order, or the whole of `allow` or `protected`."""

    id: str
    name: str
    kind: Kind
    properties: tuple[PropertyChange, ...] = ()
    """Of a gained or lost entry: those that are not as is usual."""
    gained: tuple[str, ...] = ()
    """Names and networks as the file has them, sorted."""
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that two blocklists do not have in common."""

    exchanges: tuple[EntryChange, ...]
    lists: tuple[EntryChange, ...]
    orders: tuple[EntryChange, ...]
    exceptions: tuple[EntryChange, ...]
    """At most two: `allow` and `protected`."""
    properties: tuple[PropertyChange, ...]
    """Of the file as a whole."""
    domains_gained: int
    """Names (with their forms) that some exchange blocks now, and none did."""
    domains_lost: int
    domains_moved: int
    """Names that went from one exchange to another."""

    @property
    def is_empty(self) -> bool:
        """Whether both mean the same."""
        sections = (self.exchanges, self.lists, self.orders, self.exceptions, self.properties)
        return not any(sections)

    def summary(self) -> dict[str, dict[str, int]]:
        """Numbers only."""
        counts: dict[str, dict[str, int]] = {}
        for section in ("exchanges", "lists", "orders"):
            found = Counter(entry.kind for entry in getattr(self, section))
            counts[section] = {kind: found[kind] for kind in KINDS}
        counts["domains"] = {
            "gained": self.domains_gained,
            "lost": self.domains_lost,
            "moved": self.domains_moved,
        }
        for entry in self.exceptions:
            counts[entry.id] = {"gained": len(entry.gained), "lost": len(entry.lost)}
        return counts

    def as_json(self, *, names_max: int | None = None) -> dict[str, Any]:
        """All of it; beyond `names_max` names and entries, the rest is only counted (`left_out`).

        Names of exchanges go first: what is opened, and what an answer leads to, is not hidden behind them.
        """
        budget = _Budget(names_max)
        heads = {
            section: budget.heads(getattr(self, section))
            for section in ("exceptions", "lists", "orders", "exchanges")
        }
        for section in ("exceptions", "exchanges"):
            budget.add_names(heads[section], getattr(self, section))
        return {
            "summary": self.summary(),
            "properties": [_property_json(change) for change in self.properties],
            **{section: heads[section] for section in ("exchanges", "exceptions", "lists", "orders")},
            "left_out": budget.left_out,
        }


class _Budget:
    """Counts down what may still be listed."""

    def __init__(self, names_max: int | None) -> None:
        self._left = names_max
        self.left_out = 0

    def heads(self, changes: Sequence[EntryChange]) -> list[dict[str, Any]]:
        """Entries with their properties, and no names yet."""
        return [
            {
                "id": change.id,
                "name": change.name,
                "change": change.kind,
                "properties": [_property_json(item) for item in self._take(change.properties)],
                "gained": [],
                "lost": [],
            }
            for change in self._take(changes)
        ]

    def add_names(self, heads: list[dict[str, Any]], changes: Sequence[EntryChange]) -> None:
        """Give `heads`, which were made of the first of `changes`, their names."""
        for head, change in zip(heads, changes, strict=False):
            head["gained"], head["lost"] = list(self._take(change.gained)), list(self._take(change.lost))

    def _take(self, items: Sequence[Any]) -> Sequence[Any]:
        if self._left is None:
            return items
        taken = items[: self._left]
        self._left -= len(taken)
        self.left_out += len(items) - len(taken)
        return taken


def _property_json(change: PropertyChange) -> dict[str, str | None]:
    return {"name": change.name, "old": change.old, "new": change.new}


def compare(old: Blocklist | None, new: Blocklist) -> Difference:
    """Give what `new` changes; `old` None: everything is gained."""
    names_before, names_after = _names(old), _names(new)
    owners_before, owners_after = _owners(names_before), _owners(names_after)
    contact = _changes(_contact(old), _contact(new))
    return Difference(
        exchanges=_compare_exchanges(old, new, names_before, names_after, told_contact=bool(contact)),
        lists=_compare_entries(
            {spec.name: _list_facts(spec, old) for spec in old.lists} if old else {},
            {spec.name: _list_facts(spec, new) for spec in new.lists},
            _TOLD_OF_LIST,
        ),
        orders=_compare_entries(
            {key: _order_facts(order) for key, order in old.orders.items()} if old else {},
            {key: _order_facts(order) for key, order in new.orders.items()},
            _TOLD_OF_ORDER,
        ),
        exceptions=_compare_exceptions(old, new),
        properties=contact + (_changes(_rail_facts(old), _rail_facts(new)) if old else ()),
        domains_gained=len(owners_after.keys() - owners_before.keys()),
        domains_lost=len(owners_before.keys() - owners_after.keys()),
        domains_moved=sum(
            bool(labels - owners_before[name] and owners_before[name] - labels)
            for name, labels in owners_after.items()
            if name in owners_before
        ),
    )


def _contact(blocklist: Blocklist | None) -> dict[str, str | None]:
    return {"contact": blocklist.contact if blocklist else None}


def _rail_facts(blocklist: Blocklist) -> dict[str, str | None]:
    return {"fall_max_percent": str(blocklist.fall_max_percent)}


def _names(blocklist: Blocklist | None) -> dict[str, set[str]]:
    """Exchange id -> its names and networks, as the file has them."""
    names: dict[str, set[str]] = {}
    for rule in blocklist.name_rules if blocklist else ():
        if rule.effect == "block":
            names.setdefault(rule.rule.label, set()).add(entry_text(rule.owner, rule.form))
    for address in blocklist.address_rules if blocklist else ():
        names.setdefault(address.rule.label, set()).add(str(address.network))
    return names


def _owners(names: dict[str, set[str]]) -> dict[str, set[str]]:
    """Name -> the exchanges that have it; networks (the entries with a slash) left out."""
    owners: dict[str, set[str]] = {}
    for label, entries in names.items():
        for entry in (entry for entry in entries if "/" not in entry):
            owners.setdefault(entry, set()).add(label)
    return owners


def _compare_exchanges(
    old: Blocklist | None,
    new: Blocklist,
    names_before: dict[str, set[str]],
    names_after: dict[str, set[str]],
    *,
    told_contact: bool,
) -> tuple[EntryChange, ...]:
    before = {rule.label: rule for rule in old.exchanges} if old else {}
    after = {rule.label: rule for rule in new.exchanges}
    changes = []
    for label in dict.fromkeys((*after, *before)):
        gained = names_after.get(label, set()) - names_before.get(label, set())
        lost = names_before.get(label, set()) - names_after.get(label, set())
        properties: tuple[PropertyChange, ...] = ()
        kind: Kind = "changed"
        if label not in before:
            kind, properties = "gained", _whole(_rule_facts(after[label]), _TOLD_OF_EXCHANGE)
        elif label not in after:
            kind, properties = "lost", _whole(_rule_facts(before[label]), _TOLD_OF_EXCHANGE, is_lost=True)
        else:
            assert old is not None
            was = {**_rule_facts(before[label]), "aliases": _aliases_text(old, label)}
            properties = _changes(was, {**_rule_facts(after[label]), "aliases": _aliases_text(new, label)})
            # The text follows from name, orders and contact; it is news only where those are not.
            told = told_contact or any(change.name in ("name", "orders") for change in properties)
            properties = tuple(change for change in properties if change.name != "text" or not told)
            if not (properties or gained or lost):
                continue
        rule = after.get(label) or before[label]
        changes.append(EntryChange(label, rule.name, kind, properties, _sorted(gained), _sorted(lost)))
    return tuple(changes)


def _aliases_text(blocklist: Blocklist, label: str) -> str | None:
    """Other names of an exchange; their order says nothing."""
    return ", ".join(sorted(blocklist.aliases.get(label, ()))) or None


def _sorted(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(entries, key=lambda entry: (entry.lstrip("=*."), entry)))


def _compare_exceptions(old: Blocklist | None, new: Blocklist) -> tuple[EntryChange, ...]:
    changes = []
    for section, effect in (("allow", "allow"), ("protected", "protect")):
        before, after = (
            {
                entry_text(rule.owner, rule.form) + _dates_text(rule.rule): rule.rule
                for rule in (side.name_rules if side else ())
                # Line 0: the built-in ones, which come with the program.
                if rule.effect == effect and rule.line
            }
            for side in (old, new)
        )
        gained, lost = _sorted(after.keys() - before.keys()), _sorted(before.keys() - after.keys())
        reasons = tuple(
            PropertyChange(f"{entry}: {what}", said, says)
            for entry in _sorted(before.keys() & after.keys())
            for what, said, says in (
                ("reason", before[entry].reason or None, after[entry].reason or None),
                ("ticket", before[entry].ticket or None, after[entry].ticket or None),
            )
            if said != says
        )
        if gained or lost or reasons:
            changes.append(EntryChange(section, section, "changed", reasons, gained, lost))
    return tuple(changes)


def _dates_text(rule: PolicyRule) -> str:
    """When an exception is in force, where that is not always."""
    starts, ends = moment_text(rule.starts_at), moment_text(rule.ends_at)
    return (f" from {starts}" if starts else "") + (f" until {ends}" if ends else "")


def _compare_entries(
    before: dict[str, dict[str, str | None]],
    after: dict[str, dict[str, str | None]],
    told: Mapping[str, str | None],
) -> tuple[EntryChange, ...]:
    changes = []
    for key in dict.fromkeys((*after, *before)):
        name = (after.get(key) or before[key]).get("title") or key
        if key not in before:
            changes.append(EntryChange(key, name, "gained", _whole(after[key], told)))
        elif key not in after:
            changes.append(EntryChange(key, name, "lost", _whole(before[key], told, is_lost=True)))
        elif properties := _changes(before[key], after[key]):
            changes.append(EntryChange(key, name, "changed", properties))
    return tuple(changes)


def _whole(
    facts: dict[str, str | None], told: Mapping[str, str | None], *, is_lost: bool = False
) -> tuple[PropertyChange, ...]:
    """What an entry that is gained or lost has; `told`: which properties, where they are not like this."""
    usual = {**told}
    if facts.get("action") != PolicyAction.SINKHOLE.value:
        usual.pop("sinkhole", None)
    if facts.get("url"):
        usual.pop("path", None)
    found = [(name, facts[name]) for name in usual if facts[name] != usual[name]]
    return tuple(
        PropertyChange(name, value if is_lost else None, None if is_lost else value) for name, value in found
    )


def _changes(before: dict[str, str | None], after: dict[str, str | None]) -> tuple[PropertyChange, ...]:
    return tuple(
        PropertyChange(name, before[name], after[name]) for name in after if before[name] != after[name]
    )


def _rule_facts(rule: PolicyRule) -> dict[str, str | None]:
    return {
        "name": rule.name,
        "category": rule.category or None,
        "orders": ", ".join(rule.orders) or None,
        "action": rule.action.value,
        "mode": rule.mode.value,
        "from": moment_text(rule.starts_at),
        "until": moment_text(rule.ends_at),
        "phases": phases_text(rule),
        "ttl_s": str(rule.ttl_s),
        "sinkhole": f"{IPv4Address(rule.sinkhole_ipv4)}, {IPv6Address(rule.sinkhole_ipv6)}",
        "local_data": _local_data_text(rule),
        "ede": ExtendedError(rule.ede).name.lower(),
        "text": rule.ede_text,
    }


def _list_facts(spec: ListSpec, blocklist: Blocklist) -> dict[str, str | None]:
    folder = blocklist.path.parent
    facts = _rule_facts(spec.rule)
    for derived in ("name", "text"):
        del facts[derived]
    return {
        "path": _from_folder(spec.path, folder),
        "format": _format_text(spec),
        "match": spec.match.value if spec.match else None,
        "kind": spec.kind,
        **facts,
        "is_action_given": str(spec.is_action_given).lower(),
        "size_octets_max": str(spec.size_octets_max),
        "entries_max": str(spec.entries_max),
        "error_budget_percent": str(spec.error_budget_percent),
        "change_max_percent": str(spec.change_max_percent),
        **_download_facts(spec.download, folder),
    }


def _format_text(spec: ListSpec) -> str:
    if spec.register is None or spec.register.mapping is None:
        return spec.format
    mapping = {key: value for key, value in spec.register.as_json()["mapping"].items() if value}
    return json.dumps(mapping, ensure_ascii=False)


def _download_facts(download: Download | None, folder: Path) -> dict[str, str | None]:
    """How a list is fetched; without `octets_max`, which is the list's `size_octets_max`."""
    if download is None:
        return dict.fromkeys(_DOWNLOAD_FACTS)
    signature = None
    if (wanted := download.signature) is not None:
        location = wanted.location if wanted.is_url else _from_folder(Path(wanted.location), folder)
        signature = " ".join(filter(None, (wanted.scheme, wanted.key_id, wanted.key, "at", location)))
    tsig = tls_ca = None
    if (transfer := download.transfer) is not None:
        tls_ca = None if transfer.tls_ca is None else _from_folder(Path(transfer.tls_ca), folder)
        if transfer.tsig is not None:
            file = _from_folder(Path(transfer.tsig.secret_file), folder)
            tsig = f"{transfer.tsig.name} {transfer.tsig.algorithm} {file}"
    values = (
        download.url,
        str(download.refresh_s),
        f"{download.timeout_s:g}",
        download.sha256,
        signature,
        str(download.allow_http).lower(),
        str(download.allow_private).lower(),
        _written_fact(download.access),
        _written_fact(download.discover),
        tsig,
        tls_ca,
    )
    return dict(zip(_DOWNLOAD_FACTS, values, strict=True))


def _written_fact(value: object) -> str | None:
    """A small group of keys in words: those that say something; paths of secrets, and no secrets."""
    if not is_dataclass(value) or isinstance(value, type):
        return None if value is None else str(value)
    return json.dumps({key: each for key, each in asdict(value).items() if each}, ensure_ascii=False)


def _from_folder(path: Path, folder: Path) -> str:
    # Two copies of one file in different folders mean their own lists, so paths are told from there.
    for above in (folder, folder.absolute()):
        if path.is_relative_to(above):
            return str(path.relative_to(above))
    return str(path)


def _order_facts(order: Order) -> dict[str, str | None]:
    return {
        "authority": order.authority,
        "title": order.title,
        "reference": order.reference,
        "date": order.date,
        "url": order.url,
        "imposed_by": order.imposed_by,
        "from": moment_text(order.starts_at),
        "until": moment_text(order.ends_at),
        "mode": order.mode.value if order.mode else None,
        "received": moment_text(order.received_at),
        "due": moment_text(order.due_at),
        "measure": str(order.measure) if order.measure else None,
        "confidential": "yes" if order.is_confidential else None,
        "asks": ", ".join(order.asks) or None,
    }


def phases_text(rule: PolicyRule) -> str | None:
    """What it is at which time; None: always the same."""
    return (
        "; ".join(
            f"{moment_text(phase.starts_at) or '...'} to {moment_text(phase.ends_at) or '...'}: "
            f"{phase.mode.value}, {phase.action.value} ({', '.join(phase.orders)})"
            for phase in rule.phases
        )
        or None
    )


def _local_data_text(rule: PolicyRule) -> str | None:
    if (local_data := rule.local_data) is None:
        return None
    addresses = [str(ip_address(address)) for address in local_data.addresses]
    return ", ".join(addresses + ([name_to_text(local_data.redirect)] if local_data.redirect else []))


def moment_text(moment: float | None) -> str | None:
    """`2026-01-31`, or with the time where it is not midnight in UTC."""
    if moment is None:
        return None
    when = datetime.fromtimestamp(moment, UTC)
    return f"{when:%Y-%m-%d}" if moment % 86400 == 0 else f"{when:%Y-%m-%dT%H:%M:%SZ}"
