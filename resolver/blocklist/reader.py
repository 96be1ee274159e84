"""`blocklist.yaml` -> a `Blocklist`, or every reason why not.

Knows: the order in which the pieces of the file are read, and how they refer to each other.
Does not know: the image, what list files hold, the time.
Theory: small mappings go through the models of `catalogue`; names and addresses, of which there
may be a million, are read one by one by `entries`; `conflicts` judges the rules together, last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

from resolver.blocklist.citations import citation_remarks, label_clashes
from resolver.blocklist.conflicts import (
    built_in_name_rules,
    check_addresses,
    check_allow_reaches,
    check_names,
)
from resolver.blocklist.dates import Window, window_from, zone_from
from resolver.blocklist.downloads import UNPLACED, download_of
from resolver.blocklist.entries import address_entry, address_objection, name_entry
from resolver.blocklist.exceptions import ExceptionRules
from resolver.blocklist.keys import (
    ID_FORM,
    ID_PATTERN,
    OPAQUE_KEYS,
    Defaults,
    ExchangeEntry,
    ListEntry,
    OrderEntry,
    Root,
    blocklist_schema,
)
from resolver.blocklist.orders import order_from, unreadable_order
from resolver.blocklist.properties import exchange_rule, list_rule, only_warns, passing_rule
from resolver.blocklist.registers import RegisterFormat, kind_objection
from resolver.blocklist.rules import (
    AddressRule,
    Blocklist,
    Citation,
    Effect,
    ListSpec,
    NameRule,
    Order,
)
from resolver.blocklist.spelling import check_spelling
from resolver.config.yamlmodel import build_section, line_of, show_value
from resolver.config.yamlsource import Value, YamlMapping, YamlSequence, read_yaml
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule, RuleForm
from resolver.problems import SHOWN_CHARS_MAX, Findings, Problem, show, suggest

__all__ = ["AddressRule", "Blocklist", "ListSpec", "NameRule", "Order", "blocklist_schema", "read_blocklist"]

EXCHANGES_MAX = 10_000
"""Most exchanges: each is a metric label, and monitoring pays for every one."""

LISTS_MAX = 1_000
"""Most lists, for the same reason."""

MIB = 1024 * 1024
"""Octets in the unit of `size_mb_max`."""

_ACTION_WARNINGS = {
    "refused": "clients take 'refused' for a broken server and try the next one, which may not filter",
    "drop": "with 'drop' the server looks dead: clients wait, and try the next one, which may not filter",
}


def read_blocklist(
    path: Path, *, octets: bytes | None = None, force: bool = False
) -> tuple[Blocklist | None, list[Problem]]:
    """Read and check a whole blocklist: it, or None and every reason why not.  Warnings come with both.

    `octets`: the content, where the caller has read (and hashed) it already; `path` is then only
    its name and the folder of relative paths.  `force`: forcible problems are warnings.
    List files are not opened.
    """
    findings = Findings(str(path), force=force)
    tree, problems = read_yaml(path if octets is None else octets, file=str(path))
    findings.take(problems)
    if tree is None:
        if not findings.error_count:
            findings.error(0, "is empty; write at least 'version: 1' and 'exchanges: {}'")
        return None, findings.in_order()
    reader = _Reader(path, findings)
    blocklist = reader.read(tree)
    problems = findings.in_order()
    if blocklist is None or findings.error_count:
        return None, problems
    return replace(blocklist, warnings=tuple(problems)), problems


def read_what_served(path: Path, octets: bytes) -> Blocklist | None:
    """A blocklist as far as it can be read, errors or not; None where it is no YAML mapping.

    For a text that was in force once: this version may object to what another one took.
    """
    findings = Findings(str(path), force=True)
    tree, _ = read_yaml(octets, file=str(path))
    return None if tree is None else _Reader(path, findings).read(tree)


class _Reader:
    """One reading of one file; each step notes its findings and goes on with what it could read."""

    def __init__(self, path: Path, findings: Findings) -> None:
        self._path = path
        self._file = str(path)
        self._findings = findings
        self._defaults = Defaults()
        self._orders: dict[str, Order] = {}
        self._exchanges: list[PolicyRule] = []
        self._aliases: dict[str, tuple[str, ...]] = {}
        self._citations: list[Citation] = []
        self._order_lines: dict[str, dict[str, int]] = {}
        self._names: dict[str, str] = {}
        """Exchange's name, in lower case -> its id."""
        self._has_bad_entries = False
        """A name or address could not be read, so what seems to be missing may be meant by it."""
        self._blocked: list[NameRule] = []
        self._addresses: list[AddressRule] = []
        self._lists: list[ListSpec] = []

    def read(self, tree: Value) -> Blocklist | None:
        """Take the steps, in the order in which they need each other."""
        root = build_section(Root, tree, self._findings, line=1, opaque=OPAQUE_KEYS)
        if not isinstance(tree, YamlMapping):
            return None
        self._read_defaults(tree, root)
        # Exchanges cite orders.
        self._read_orders(tree)
        self._read_exchanges(tree)
        allowed = self._read_allowed(tree)
        protection = passing_rule("protected", "protected names")
        protected = self._read_names(tree, "protected", "protect", protection, "protected")
        self._read_lists(tree)
        lists = tree.items.get("lists")
        if "exchanges" not in tree.items and not (isinstance(lists, YamlSequence) and lists.items):
            # A file of lists alone is legal; one without either is probably cut off.
            self._findings.error(1, "exchanges is missing; allowed: a mapping (id: exchange); {} for none")
        self._refuse_groups(tree)
        # Only now all names are known.
        check_names(self._blocked, allowed, protected, self._findings)
        check_spelling(self._blocked, (*allowed, *protected), self._findings)
        check_addresses(self._addresses, self._findings)
        for at, remark in citation_remarks(self._citations):
            self._findings.warning(at, remark)
        for at, clash in label_clashes(self._citations):
            self._findings.error(at, clash)
        if not (self._lists or self._addresses or self._has_bad_entries):
            check_allow_reaches(allowed, self._blocked, self._findings)
        if not (self._blocked or self._addresses or self._lists or self._findings.error_count):
            self._findings.warning(
                0, "blocks nothing: no exchange has domains or addresses, and there are no lists"
            )
        return Blocklist(
            path=self._path,
            exchanges=tuple(self._exchanges),
            orders=self._orders,
            name_rules=(*self._blocked, *allowed, *protected, *built_in_name_rules(protection)),
            address_rules=tuple(self._addresses),
            lists=tuple(self._lists),
            contact=self._defaults.contact,
            time_zone=self._defaults.time_zone,
            fall_max_percent=self._defaults.fall_max_percent,
            default_mode=Mode(self._defaults.mode),
            aliases=self._aliases,
            citations=tuple(self._citations),
            order_lines=self._order_lines,
        )

    def _read_defaults(self, tree: YamlMapping, root: Root | None) -> None:
        line = tree.lines.get("defaults", 1)
        if root is not None:
            self._defaults = root.defaults
        else:
            # Go on with what can be read of them, so that no second error follows from the first.
            self._defaults = _defaults_as_far_as_valid(tree.items.get("defaults"), line)
        try:
            zone_from(self._defaults.time_zone)
        except ValueError as error:
            at = line_of(tree, ("defaults", "time_zone"), line)
            self._findings.error(at, f"defaults.time_zone: {error}")
            self._defaults = self._defaults.model_copy(update={"time_zone": "UTC"})
        self._warn_of_action(self._defaults.action, line_of(tree, ("defaults", "action"), line), "defaults")
        if self._defaults.mode != "enforce":
            at = line_of(tree, ("defaults", "mode"), line)
            message = (
                f"defaults.mode: '{self._defaults.mode}': only what has its own 'mode: enforce', or cites "
                "an order that has it, is blocked"
            )
            self._findings.warning(at, message)

    def _warn_of_action(self, action: str | None, line: int, where: str) -> None:
        if action in _ACTION_WARNINGS:
            self._findings.warning(line, f"{where}.action: {_ACTION_WARNINGS[action]}")

    def _pieces(self, tree: YamlMapping, section: str) -> Iterator[tuple[str, Value, int]]:
        """Give id, content and line of each entry of `orders` or `exchanges`."""
        content = tree.items.get(section)
        if section not in tree.items or (content is None and section == "orders"):
            return
        line = tree.lines[section]
        if not isinstance(content, YamlMapping):
            allowed = "a mapping (id: entry); {} for none"
            self._findings.error(line, f"{section}: {show_value(content)} is not allowed; allowed: {allowed}")
            return
        for key, value in content.items.items():
            at = content.lines[key]
            if not ID_PATTERN.fullmatch(key):
                hint = f" (did you mean {key.lower()!r}?)" if ID_PATTERN.fullmatch(key.lower()) else ""
                self._findings.error(
                    at, f"{section}: {show(key)} is not allowed as an id; allowed: {ID_FORM}{hint}"
                )
            yield key, value, at

    def _read_orders(self, tree: YamlMapping) -> None:
        for key, value, line in self._pieces(tree, "orders"):
            where = f"orders.{key}"
            entry = build_section(OrderEntry, value, self._findings, line=line, where=where)
            self._order_lines[key] = _lines_of(value, line)
            if entry is None:
                self._orders[key] = unreadable_order(key, line)
                continue
            zone = zone_from(self._defaults.time_zone)
            self._orders[key] = order_from(key, entry, zone, line, self._reporter(value, line, where))

    def _reporter(self, value: Value, line: int, where: str) -> Callable[[str, str], None]:
        """What notes an error of one of an entry's keys, at the key's line."""

        def error(key: str, message: str) -> None:
            self._findings.error(line_of(value, (key,), line), f"{where}.{key}: {message}")

        return error

    def _read_exchanges(self, tree: YamlMapping) -> None:
        for count, (key, value, line) in enumerate(self._pieces(tree, "exchanges")):
            if count == EXCHANGES_MAX:
                self._findings.error(line, f"exchanges: more than {EXCHANGES_MAX:,}, the most allowed")
                return
            opaque = frozenset({"domains", "addresses"})
            where = f"exchanges.{key}"
            entry = build_section(ExchangeEntry, value, self._findings, line=line, where=where, opaque=opaque)
            if not isinstance(value, YamlMapping):
                continue
            # With a broken entry its names are still read: they may have problems of their own.
            rule = self._exchange_rule(key, entry or ExchangeEntry(name="unreadable"), value, line)
            self._exchanges.append(rule)
            errors_before = self._findings.error_count
            count_before = len(self._blocked) + len(self._addresses)
            self._blocked += self._read_names(value, "domains", "block", rule, f"{where}.domains")
            self._read_addresses(value, rule, f"{where}.addresses")
            has_bad_entries = self._findings.error_count > errors_before
            self._has_bad_entries |= has_bad_entries
            if entry is None:
                continue
            if entry.aliases:
                self._aliases[key] = entry.aliases
            self._warn_of_entry(key, entry, value, line)
            if len(self._blocked) + len(self._addresses) == count_before and not has_bad_entries:
                self._findings.warning(
                    line, f"{where}: has no domains and no addresses, so it blocks nothing"
                )

    def _warn_of_entry(self, key: str, entry: ExchangeEntry, value: Value, line: int) -> None:
        """Warn of what is legal, and probably an oversight."""
        where = f"exchanges.{key}"
        first = self._names.setdefault(entry.name.casefold(), key)
        if first != key:
            message = (
                f"{where}.name: {show(entry.name)} is also the name of {first}; if both are one, join them"
            )
            self._findings.warning(line_of(value, ("name",), line), message)
        if self._orders and not entry.order:
            known = ", ".join(list(self._orders)[:3]) + (", ..." if len(self._orders) > 3 else "")
            message = f"{where}: cites no order, so nobody is told why it is blocked; orders here: {known}"
            self._findings.warning(line, message)

    def _exchange_rule(self, key: str, entry: ExchangeEntry, value: Value, line: int) -> PolicyRule:
        where = f"exchanges.{key}"

        def at(name: str) -> int:
            return line_of(value, (name,), line)

        error = self._reporter(value, line, where)
        cited = self._cited(entry.order, error)
        window = self._window(entry, error)
        self._warn_of_action(entry.action, at("action"), where)
        rule = exchange_rule(key, entry, self._defaults, cited, window)
        self._cite(where, rule, entry, cited, window, _lines_of(value, line))
        return rule

    def _cite(
        self,
        where: str,
        rule: PolicyRule,
        entry: ExchangeEntry | ListEntry,
        orders: list[Order],
        window: Window,
        lines: dict[str, int],
    ) -> None:
        mode = None if entry.mode is None else Mode(entry.mode)
        action = None if entry.action is None else PolicyAction(entry.action)
        default = Mode(self._defaults.mode)
        self._citations.append(Citation(where, rule, tuple(orders), window, mode, default, action, lines))

    def _cited(self, ids: tuple[str, ...], error: Callable[[str, str], None]) -> list[Order]:
        """The orders of these ids, each once."""
        for order in dict.fromkeys(ids):
            if order not in self._orders:
                error("order", f"there is no order {show(order)}{suggest(order, self._orders)}")
        return [self._orders[order] for order in dict.fromkeys(ids) if order in self._orders]

    def _window(self, entry: ExchangeEntry | ListEntry, error: Callable[[str, str], None]) -> Window:
        zone = entry.time_zone or self._defaults.time_zone
        try:
            return window_from(entry, zone_from(zone), error)
        except ValueError as problem:
            error("time_zone", str(problem))
            return window_from(entry, UTC, error)

    def _items(self, mapping: YamlMapping, key: str, where: str) -> YamlSequence | None:
        """Give a list of the file; None (and a finding) when something else stands there."""
        content = mapping.items.get(key)
        if content is None or isinstance(content, YamlSequence):
            return content
        shown = show_value(content)
        self._findings.error(
            mapping.lines[key], f"{where}: {shown} is not allowed; allowed: a list{_list_hint(content)}"
        )
        return None

    def _read_names(
        self, mapping: YamlMapping, key: str, effect: Effect, rule: PolicyRule, where: str
    ) -> list[NameRule]:
        content = self._items(mapping, key, where)
        names: list[NameRule] = []
        if content is None:
            return names
        file = self._file
        for value, line in zip(content.items, content.lines, strict=True):
            try:
                owner, form = name_entry(value)
            except ValueError as error:
                self._findings.error(line, f"{where}: {error}")
                if self._findings.is_full:
                    break
            else:
                names.append(NameRule(owner, form, effect, rule, file, line))
        return names

    def _read_addresses(self, mapping: YamlMapping, rule: PolicyRule, where: str) -> None:
        content = self._items(mapping, "addresses", where)
        if content is None:
            return
        for value, line in zip(content.items, content.lines, strict=True):
            try:
                network = address_entry(value)
            except ValueError as error:
                self._findings.error(line, f"{where}: {error}")
                if self._findings.is_full:
                    break
                continue
            if objection := address_objection(network):
                self._findings.error(line, f"{where}: {objection}", forcible=True)
            self._addresses.append(AddressRule(network, rule, self._file, line))

    def _read_allowed(self, tree: YamlMapping) -> list[NameRule]:
        content = self._items(tree, "allow", "allow")
        if content is None:
            return []
        rules = ExceptionRules(self._file, zone_from(self._defaults.time_zone), self._findings)
        return rules.read(content)

    def _read_lists(self, tree: YamlMapping) -> None:
        content = self._items(tree, "lists", "lists")
        if content is None:
            return
        lines: dict[str, int] = {}
        for index, (value, line) in enumerate(zip(content.items, content.lines, strict=True)):
            if index == LISTS_MAX:
                self._findings.error(line, f"lists: more than {LISTS_MAX:,}, the most allowed")
                return
            entry = build_section(ListEntry, value, self._findings, line=line, where="lists")
            if entry is None:
                continue
            if entry.name in lines:
                message = f"lists: there is a list {show(entry.name)} already, on line {lines[entry.name]}"
                self._findings.error(line, message)
            lines.setdefault(entry.name, line)
            self._read_list(entry, value, line)

    def _read_list(self, entry: ListEntry, value: Value, line: int) -> None:
        where = f"lists.{entry.name}"

        def at(name: str) -> int:
            return line_of(value, (name,), line)

        error = self._reporter(value, line, where)
        if not ID_PATTERN.fullmatch(entry.name):
            error("name", f"{show(entry.name)} is not allowed; allowed: {ID_FORM}")
        download = download_of(entry, self._path.parent, entry.size_mb_max * MIB, error)
        if entry.kind != "block" and entry.action is not None:
            error("action", f"a list of kind '{entry.kind}' cannot have an action")
        register = entry.format if isinstance(entry.format, RegisterFormat) else None
        if objection := kind_objection(entry.kind, register):
            error("kind", objection)
        cited = self._cited(entry.order, error)
        window = self._window(entry, error)
        self._warn_of_action(entry.action, at("action"), where)
        enforced = [order.id for order in cited if order.mode is Mode.ENFORCE]
        if only_warns(entry) and enforced:
            message = f"is a register of warnings and in shadow, although order {enforced[0]} says enforce"
            self._findings.warning(line, f"{where}: {message}; write 'mode: enforce' here to block by it")
        rule = list_rule(entry, self._defaults, cited, window)
        self._cite(where, rule, entry, cited, window, _lines_of(value, line))
        self._lists.append(
            ListSpec(
                name=entry.name,
                path=UNPLACED if download else self._path.parent / (entry.path or ""),
                format=register.text
                if register
                else "rpz"
                if download and download.transfer
                else entry.format,
                match=None if entry.match is None else RuleForm(entry.match),
                kind=entry.kind,
                rule=rule,
                size_octets_max=entry.size_mb_max * MIB,
                entries_max=entry.entries_max,
                error_budget_percent=entry.error_budget_percent,
                is_action_given=entry.action is not None,
                file=self._file,
                line=line,
                change_max_percent=entry.change_max_percent or self._defaults.change_max_percent,
                download=download,
                register=register,
            )
        )

    def _refuse_groups(self, tree: YamlMapping) -> None:
        content = tree.items.get("groups")
        is_empty = content is None or (isinstance(content, YamlSequence) and not content.items)
        if not is_empty:
            self._findings.error(
                tree.lines["groups"], "groups: per-client policy is not served by this version"
            )


_REMARKED = ("from", "until", "through", "mode", "action", "order")


def _lines_of(value: Value, line: int) -> dict[str, int]:
    """The lines of the keys that remarks may be about, as far as they are there; `""`: the entry itself."""
    return {"": line} | {
        key: line_of(value, (key,), line)
        for key in _REMARKED
        if isinstance(value, YamlMapping) and key in value.items
    }


def _list_hint(content: Value) -> str:
    """How to write as a list what stands where a list should."""
    if not isinstance(content, str) or len(content) >= SHOWN_CHARS_MAX:
        return ""
    first, *others = content.split()
    if first.startswith("-") and len(first) > 1:
        # YAML takes `-name` for a text, and joins the lines behind it to it.
        return f"; write a space after the dash: '- {first[1:]}'"
    return f"; write [{content}]" if not others else ""


def _defaults_as_far_as_valid(content: Value, line: int) -> Defaults:
    """Read each default by itself and leave out those with errors (they have been reported)."""
    known: dict[str, Any] = {}
    if isinstance(content, YamlMapping):
        for key, value in content.items.items():
            single = YamlMapping(content.line)
            single.items[key], single.lines[key] = value, content.lines[key]
            section = build_section(Defaults, single, Findings(""), line=line)
            if section is not None:
                known[key] = getattr(section, key)
    return Defaults().model_copy(update=known)
