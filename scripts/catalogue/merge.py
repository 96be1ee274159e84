"""Adds what a proposal has and a blocklist lacks, and touches nothing else of the file.

Knows: the text of a `blocklist.yaml` and where its pieces stand.  Does not know: where facts come from.
Theory: the file belongs to people.  Only whole lines are put in (or words into a `[...]`), at places that
the YAML parser's marks give, so every other octet, comment and the order of things stay; writing the
parsed tree back would move comments and change quotes.  What was offered once and is gone now was
taken out by people, and is not offered again: that is what `offered` remembers.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from resolver.wire.names import name_from_text, name_to_text
from scripts.catalogue.names import covering
from scripts.catalogue.proposal import Exchange, Proposal

HOUSE_ORDER = "house-policy"
"""Cited by new entries where the file has it: we know of no authority's order, so we claim none."""

LINE_CHARS_MAX = 100
"""Longer lists of domains are written one to a line."""

Offered = dict[str, list[str]]
"""Exchange id -> the domains that were ever put into the file."""


class CannotMerge(ValueError):
    """The file is not one we can edit; its text says where."""


@dataclass(frozen=True)
class _Edit:
    start: int
    end: int
    text: str


@dataclass
class Merged:
    """The new text, and what was done and left alone, for people."""

    text: str
    offered: Offered
    added: list[str] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    not_backed: list[str] = field(default_factory=list)


def merge(text: str, proposal: Proposal, offered: Mapping[str, Iterable[str]]) -> Merged:
    """Edit `text`; raises `CannotMerge` for a file that does not hold `exchanges:` as a mapping."""
    return _Merger(text, proposal, {label: set(domains) for label, domains in offered.items()}).run()


class _Merger:
    def __init__(self, text: str, proposal: Proposal, offered: dict[str, set[str]]) -> None:
        self._text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._proposal = proposal
        self._offered = offered
        self._edits: list[_Edit] = []
        self._result = Merged(text, {})
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise CannotMerge(f"no YAML: {error}") from None
        if not isinstance(root, MappingNode):
            raise CannotMerge("the file is no mapping")
        self._root = root
        exchanges = _value(root, "exchanges")
        if not isinstance(exchanges, MappingNode) or (exchanges.flow_style and exchanges.value):
            raise CannotMerge("'exchanges:' is missing, or not written one to a line")
        self._exchanges = exchanges
        self._entries = {key.value: value for key, value in exchanges.value}
        self._listed = self._listed_names()
        self._spared = self._spared_names()
        self._has_order = HOUSE_ORDER in _keys(_value(root, "orders"))

    def run(self) -> Merged:
        """Collect the edits, then apply them from the end backwards."""
        # Entries are filled before new ones are put behind them: both may be edits at one place.
        fresh = []
        for label, exchange in self._proposal.exchanges.items():
            wanted = self._wanted(exchange)
            if label in self._entries:
                self._add_domains(label, wanted)
            elif wanted and label not in self._offered:
                fresh.append((exchange, wanted))
            elif wanted:
                self._leave(label, wanted, "the exchange was taken out by hand")
        for exchange, wanted in sorted(fresh, key=lambda pair: pair[0].label):
            self._add_exchange(exchange, wanted)
        self._note_not_backed()
        text = self._text
        edits = self._edits[::-1]  # Of several at one place the last goes in first: it ends up last.
        edits.sort(key=lambda edit: edit.start, reverse=True)
        for edit in edits:
            text = text[: edit.start] + edit.text + text[edit.end :]
        self._result.text = text
        self._result.offered = self._new_offered()
        return self._result

    def _listed_names(self) -> dict[str, tuple[str, str]]:
        """Name -> exchange and form of every domain in the file."""
        listed = {}
        for label, entry in self._entries.items():
            for item in _items(_value(entry, "domains")):
                name, form = _split(item.value)
                listed[name] = (label, form)
        return listed

    def _spared_names(self) -> dict[str, str]:
        """Names that people excepted; none of them, and nothing under them, is put in."""
        spared = {}
        for section in ("allow", "protected"):
            for item in _items(_value(self._root, section)):
                spared[_split(item.value)[0]] = section
        return spared

    def _wanted(self, exchange: Exchange) -> list[str]:
        """Give the domains of an entry that the file lacks and that nobody has decided against."""
        wanted = []
        known = self._offered.get(exchange.label, set())
        for domain in exchange.domains:
            above = covering(domain, self._listed)
            spared = covering(domain, self._spared)
            label, form = self._listed[above] if above is not None else ("", "")
            if above == domain and form:
                self._leave(label, [domain], f"narrowed by hand to {form}{domain}")
            elif above is not None and form != "=":
                if label != exchange.label:
                    self._leave(exchange.label, [domain], f"listed under {label}")
            elif spared is not None:
                self._leave(exchange.label, [domain], f"{spared} stands under {self._spared[spared]}")
            elif domain in known:
                self._leave(exchange.label, [domain], "taken out by hand")
            else:
                wanted.append(domain)
        return wanted

    def _leave(self, label: str, domains: list[str], why: str) -> None:
        self._result.left_alone.append(f"{label}: {', '.join(domains)}: {why}")

    def _note_not_backed(self) -> None:
        """What was offered once, is still listed, and has no source (any more): people should look."""
        proposed = {name for exchange in self._proposal.exchanges.values() for name in exchange.domains}
        for label, domains in sorted(self._offered.items()):
            for domain in sorted(domains - proposed):
                if domain in self._listed:
                    why = self._proposal.left_out.get(domain, "no source names it any more")
                    self._result.not_backed.append(f"{label}: {domain}: {why}")

    def _new_offered(self) -> Offered:
        merged = {label: set(domains) for label, domains in self._offered.items()}
        for label, exchange in self._proposal.exchanges.items():
            merged.setdefault(label, set()).update(exchange.domains)
        return {label: sorted(domains) for label, domains in sorted(merged.items())}

    def _add_exchange(self, exchange: Exchange, domains: list[str]) -> None:
        self._result.added.append(f"{exchange.label} ({exchange.name}): {', '.join(domains)}")
        indent, nested = self._indents()
        comment = f"  # {provenance}" if (provenance := exchange.provenance()) else ""
        lines = [
            f"{indent}{_scalar(exchange.label)}:",
            f"{indent}{nested}name: {_scalar(exchange.name)}{comment}",
            f"{indent}{nested}category: {exchange.category}",
            *([f"{indent}{nested}order: {HOUSE_ORDER}"] if self._has_order else []),
            *_domain_lines(indent + nested, [_scalar(domain) for domain in domains]),
        ]
        if self._exchanges.flow_style:  # `exchanges: {}` holds none yet.
            end = self._exchanges.end_mark.index
            if not any(edit.end == end for edit in self._edits):
                start = self._exchanges.start_mark.index
                start -= self._text[:start].endswith(" ")
                self._edits.append(_Edit(start, end, ""))
            self._insert_line(self._exchanges.end_mark.line + 1, lines)
            return
        keys = [key for key, _ in self._exchanges.value]
        self._insert_line(self._place(exchange.label, keys, self._exchanges), lines)

    def _indents(self) -> tuple[str, str]:
        """Take the file's own indentation: of an exchange, and of its keys below it."""
        if self._exchanges.flow_style:
            return "  ", "  "
        key, value = self._exchanges.value[0]
        outer = int(key.start_mark.column)
        inner = int(value.start_mark.column) - outer if value.start_mark.line > key.start_mark.line else 2
        return " " * outer, " " * inner

    def _add_domains(self, label: str, domains: list[str]) -> None:
        if not domains:
            return
        entry = self._entries[label]
        if not isinstance(entry, MappingNode) or entry.flow_style:
            self._leave(label, domains, "the entry is written on one line; add them by hand")
            return
        self._result.added.append(f"{label}: {', '.join(domains)}")
        node = _value(entry, "domains")
        if isinstance(node, SequenceNode) and node.value and not node.flow_style:
            for domain in domains:
                line = self._place(domain, node.value, node)
                self._insert_line(line, [f"{' ' * (node.start_mark.column)}- {_scalar(domain)}"])
        elif isinstance(node, SequenceNode) and node.value:
            self._add_to_flow(node, entry, domains)
        else:
            indent = " " * entry.start_mark.column
            lines = _domain_lines(indent, [_scalar(domain) for domain in domains])
            if node is None:
                self._insert_line(_last_line(entry) + 1, lines)
            else:  # `domains:` with nothing, or with [] behind it.
                key = next(key for key, _ in entry.value if key.value == "domains")
                replacement = self._newline.join(lines).removeprefix(f"{indent}domains:")
                start = key.end_mark.index + 1
                self._edits.append(_Edit(start, max(start, node.end_mark.index), replacement))

    def _add_to_flow(self, node: SequenceNode, entry: MappingNode, domains: list[str]) -> None:
        """Put words into `[a, b]`; a list on one line that gets too long is written one to a line."""
        texts = [self._text[item.start_mark.index : item.end_mark.index] for item in node.value]
        names = [_split(item.value)[0] for item in node.value]
        is_sorted = names == sorted(names)
        on_one_line = node.start_mark.line == node.end_mark.line
        if on_one_line:
            for domain in domains:
                place = bisect_left(names, domain) if is_sorted else len(names)
                names.insert(place, domain)
                texts.insert(place, _scalar(domain))
            length = node.start_mark.column + len(f"[{', '.join(texts)}]")
            start, end = node.start_mark.index, node.end_mark.index
            if length <= LINE_CHARS_MAX:
                self._edits.append(_Edit(start, end, f"[{', '.join(texts)}]"))
                return
            while self._text[start - 1] == " ":
                start -= 1
            self._edits.append(_Edit(start, end, ""))
            indent = " " * (entry.start_mark.column + 2)
            self._insert_line(node.end_mark.line + 1, [f"{indent}- {text}" for text in texts])
            return
        for domain in domains:
            place = bisect_left(names, domain) if is_sorted else len(names)
            if place < len(names):
                start = node.value[place].start_mark.index
                self._edits.append(_Edit(start, start, f"{_scalar(domain)}, "))
            else:
                end = node.value[-1].end_mark.index
                self._edits.append(_Edit(end, end, f", {_scalar(domain)}"))

    def _place(self, name: str, nodes: list[ScalarNode], parent: CollectionNode) -> int:
        """Find the line before which `name` goes: in order where people keep order, else at the end.

        A comment right above a line, and as far in, belongs to that line, so the place is above it.
        """
        names = [_split(node.value)[0] for node in nodes]
        place = bisect_left(names, name) if names == sorted(names) else len(names)
        if place == len(names):
            return _last_line(parent) + 1
        line = int(nodes[place].start_mark.line)
        comment = " " * parent.start_mark.column + "#"
        while line > 0 and self._line(line - 1).startswith(comment):
            line -= 1
        return line

    def _line(self, number: int) -> str:
        start = self._line_starts[number]
        end = self._line_starts[number + 1] if number + 1 < len(self._line_starts) else len(self._text)
        return self._text[start:end]

    def _insert_line(self, number: int, lines: list[str]) -> None:
        inserted = self._newline.join(lines) + self._newline
        if number < len(self._line_starts):
            index = self._line_starts[number]
        else:  # The last line has no newline at its end.
            index = len(self._text)
        if index == len(self._text) and self._text and not self._text.endswith("\n"):
            inserted = self._newline + inserted.removesuffix(self._newline)
        self._edits.append(_Edit(index, index, inserted))


def _value(node: Node | None, key: str) -> Node | None:
    if not isinstance(node, MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _keys(node: Node | None) -> set[str]:
    return {key.value for key, _ in node.value} if isinstance(node, MappingNode) else set()


def _items(node: Node | None) -> list[ScalarNode]:
    if not isinstance(node, SequenceNode):
        return []
    return [item for item in node.value if isinstance(item, ScalarNode)]


def _split(written: str) -> tuple[str, str]:
    """Give the name of an entry as A-labels, and its form: `=`, `*.` or nothing."""
    form = "=" if written.startswith("=") else "*." if written.startswith("*.") else ""
    bare = written.removeprefix("=").removeprefix("*.")
    try:
        return name_to_text(name_from_text(bare)), form
    except ValueError:
        return bare, form


def _last_line(node: Node) -> int:
    """Find the last line of a node's own content; the parser's end mark is after the comments below it."""
    if isinstance(node, CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    mark = node.end_mark
    at_line_start = mark.column == 0 and mark.line > node.start_mark.line
    return int(mark.line) - at_line_start


def _scalar(text: str) -> str:
    """Write a text so that YAML reads it as that text."""
    plain = re.fullmatch(r"[A-Za-z0-9][\w .()/'+&-]*", text) is not None and not text.endswith(" ")
    if plain and " #" not in text and yaml.safe_load(text) == text:
        return text
    return json.dumps(text, ensure_ascii=False)


def _domain_lines(indent: str, domains: list[str]) -> list[str]:
    on_one_line = f"{indent}domains: [{', '.join(domains)}]"
    if len(on_one_line) <= LINE_CHARS_MAX:
        return [on_one_line]
    return [f"{indent}domains:", *(f"{indent}  - {domain}" for domain in domains)]
