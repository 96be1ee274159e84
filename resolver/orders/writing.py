"""Carries changes out on the text of a blocklist: lines and words are put in, nothing else moves.

Knows: where things stand in the text, how a value is written in YAML.
Does not know: orders, platforms, files.
Theory: no YAML writer is let near the text.  The parser says where each value begins and ends; what is put in
goes to the end of its list, or to its place where people keep one; comments, blank lines and layouts stay.
The result is read again, and must mean what the changes mean.  A shape that cannot be edited without loss
is refused in words.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import yaml

from resolver.blocklist.formatting import (
    CannotFormat,
    child,
    compose,
    end_line,
    last_line,
    lost_comments,
    written_name,
)
from resolver.config.yamlsource import YamlMapping, YamlSequence, plain_scalar, read_yaml
from resolver.orders.plan import (
    AddAsks,
    AddDomains,
    AddExchange,
    AddOrder,
    Change,
    Cite,
    RemoveDomains,
    Tree,
    apply_to_tree,
)
from resolver.wire.idn import unicode_name

LINE_COLUMNS_MAX = 100
"""Longer lists are written one entry to a line."""

_OTHER_LINE_ENDS = re.compile("[\r\x85\u2028\u2029]")
_PLAIN = re.compile(r"[A-Za-z0-9][\w .()/'+&-]*", re.ASCII)


class CannotWrite(Exception):
    """The text has a shape that cannot be edited without loss; the message says where and what to do."""


def written(text: str, changes: Sequence[Change]) -> str:
    """The text with the changes carried out.  Raises CannotWrite, also where it would not mean them."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    newline = "\r\n" if "\r\n" in text else "\n"
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if _OTHER_LINE_ENDS.search(plain):
        raise CannotWrite("it has line ends other than LF and CR LF")
    before = plain
    plain = Editor(plain).carry_out(changes)
    result = mark + plain.replace("\n", newline)
    if _values(result) != _alike(apply_to_tree(_raw(text), changes)):
        raise CannotWrite(
            "the result would not mean what it should, which is a bug of ours; please report it"
        )
    if lost_comments(before, plain):
        raise CannotWrite("a comment would be lost, which is a bug of ours; please report it")
    return result


def tree_of(octets: bytes) -> Tree:
    """A blocklist's text as plain values.  It must have been read without errors."""
    tree, _ = read_yaml(octets)
    found = _plain(tree)
    return found if isinstance(found, dict) else {}


def _raw(text: str) -> Tree:
    return tree_of(text.encode())


def _values(text: str) -> Tree:
    return _alike(_raw(text))


def _alike(tree: Tree) -> Tree:
    """One order, or a list of one, is the same."""
    exchanges = {
        key: {**entry, "order": [entry["order"]]} if isinstance(entry.get("order"), str) else entry
        for key, entry in (tree.get("exchanges") or {}).items()
    }
    return {**tree, "exchanges": exchanges} if exchanges else tree


def _plain(value: object) -> object:
    if isinstance(value, YamlMapping):
        return {key: _plain(item) for key, item in value.items.items()}
    if isinstance(value, YamlSequence):
        return [_plain(item) for item in value.items]
    return value


class TextEdit(NamedTuple):
    """A stretch of the text, and what replaces it."""

    start: int
    end: int
    text: str


Entry = tuple[str, list[str], Tree]
"""Id, lines and keys of a new order or exchange."""


class Editor:
    """One text, read once; edits are collected, and carried out from its end backwards."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = text.removesuffix("\n").split("\n")
        starts = [0]
        for line in self._lines:
            starts.append(starts[-1] + len(line) + 1)
        self._starts = starts
        self._edits: list[TextEdit] = []
        try:
            self._root = compose(text)
        except CannotFormat as error:
            raise CannotWrite(str(error)) from None
        exchanges = child(self._root, "exchanges")
        self._exchanges = (
            {key.value: value for key, value in exchanges[1].value}
            if exchanges and exchanges[1].value
            else {}
        )

    def carry_out(self, changes: Sequence[Change]) -> str:
        """The new text."""
        fresh: dict[str, list[Entry]] = {"orders": [], "exchanges": []}
        for change in changes:
            match change:
                case AddOrder(key, content):
                    fresh["orders"].append((key, order_lines(content), content))
                case AddExchange(key, content):
                    fresh["exchanges"].append((key, exchange_lines(content), content))
                case AddAsks(key, asks):
                    self._extend(
                        self._order(key), "asks", [scalar_text(ask) for ask in asks], f"orders.{key}"
                    )
                case Cite(key, order):
                    self._cite(self._exchange(key), order, f"exchanges.{key}")
                case AddDomains(key, domains):
                    names = [written_name(domain, is_plain=True) for domain in domains]
                    self._extend(self._exchange(key), "domains", names, f"exchanges.{key}")
                case RemoveDomains(key, domains):
                    self._remove(self._exchange(key), domains, f"exchanges.{key}.domains")
        for section, entries in fresh.items():
            if entries:
                self._add_entries(section, entries)
        pieces: list[str] = []
        at = 0
        # Of several at one place the first comes first: sorting keeps their order.
        for edit in sorted(self._edits, key=lambda edit: edit.start):
            pieces += [self._text[at : edit.start], edit.text]
            at = edit.end
        return "".join([*pieces, self._text[at:]])

    def _order(self, key: str) -> yaml.MappingNode:
        pair = child(self._root, "orders")
        found = child(pair[1], key) if pair is not None else None
        if found is None or not isinstance(found[1], yaml.MappingNode):
            raise CannotWrite(f"orders.{key}: is not there as a mapping")
        return found[1]

    def _exchange(self, key: str) -> yaml.MappingNode:
        found = self._exchanges.get(key)
        if not isinstance(found, yaml.MappingNode):
            raise CannotWrite(f"exchanges.{key}: is not there as a mapping")
        return found

    def _at(self, mark: yaml.Mark) -> int:
        """Where a mark stands in the text."""
        return (
            min(self._starts[mark.line] + int(mark.column), len(self._text))
            if mark.line < len(self._starts)
            else len(self._text)
        )

    def _replace(self, start: int, end: int, text: str) -> None:
        self._edits.append(TextEdit(start, end, text))

    def _insert_lines(self, number: int, lines: list[str]) -> None:
        """Put whole lines in front of line `number`."""
        text = "\n".join(lines)
        if number < len(self._lines):
            at = self._starts[number]
            self._replace(at, at, f"{text}\n")
        elif self._text.endswith("\n"):
            self._replace(len(self._text), len(self._text), f"{text}\n")
        else:
            self._replace(len(self._text), len(self._text), f"\n{text}")

    def _add_entries(self, section: str, entries: list[Entry]) -> None:
        """Put new entries into `orders` or `exchanges`."""
        pair = child(self._root, section)
        if pair is None:
            self._add_section(section, _block(entries, "  ", "  "))
            return
        name, value = pair
        if not isinstance(value, yaml.MappingNode) or not value.value:
            self._fill_section(name, value, _block(entries, "  ", "  "))
        elif value.flow_style:
            texts = (
                f", {scalar_text(key)}: {json.dumps(content, ensure_ascii=False)}"
                for key, _, content in entries
            )
            self._insert_after(value.value[-1][1], "".join(texts))
        else:
            outer, inner = _indents(value)
            if section == "exchanges":
                entries = sorted(entries, key=lambda entry: entry[0])
            for entry in entries:
                at = self._place(entry[0], value, is_sorted=section == "exchanges")
                self._insert_lines(at, _block([entry], outer, inner))

    def _add_section(self, section: str, block: list[str]) -> None:
        """A section that is not there: `orders` above `exchanges`, anything else at the end."""
        exchanges = child(self._root, "exchanges")
        if self._root.flow_style:
            raise CannotWrite(f"the whole file is written in braces; put '{section}:' on a line of its own")
        if section == "orders" and exchanges is not None:
            at = int(exchanges[0].start_mark.line)
            while at > 0 and self._lines[at - 1].startswith("#"):
                at -= 1
            self._insert_lines(at, [f"{section}:", *block, ""])
        else:
            self._insert_lines(len(self._lines), [f"{section}:", *block])

    def _fill_section(self, name: yaml.Node, value: yaml.Node, block: list[str]) -> None:
        """A section with nothing in it: `orders:`, `orders: {}`, `orders: null`."""
        line = int(name.end_mark.line)
        start, end = self._at(value.start_mark), self._at(value.end_mark)
        if self._text[start:end].strip():
            if value.end_mark.line != line:
                raise CannotWrite(f"line {line + 1}: is empty over several lines; write {{}} on one")
            while self._text[start - 1] == " ":
                start -= 1
            self._replace(start, end, "")
        self._insert_lines(line + 1, block)

    def _place(self, key: str, section: yaml.MappingNode, *, is_sorted: bool) -> int:
        """The line before which an entry goes: in order where people keep one, else behind all."""
        keys = [one.value for one, _ in section.value]
        column = int(section.value[0][0].start_mark.column)
        place = bisect_left(keys, key) if is_sorted and keys == sorted(keys) else len(keys)
        if place == len(keys):
            return end_line(self._lines, section.value[-1][1], column) + 1
        at = int(section.value[place][0].start_mark.line)
        # A comment right above an entry, and as far in, belongs to it.
        comment = " " * column + "#"
        while at > 0 and self._lines[at - 1].startswith(comment):
            at -= 1
        return at

    def _cite(self, entry: yaml.MappingNode, order: str, where: str) -> None:
        pair = child(entry, "order")
        if pair is None:
            self._add_key(entry, "order", scalar_text(order))
            return
        value = pair[1]
        if not isinstance(value, yaml.ScalarNode):
            self._extend(entry, "order", [scalar_text(order)], where)
            return
        start, end = self._at(value.start_mark), self._at(value.end_mark)
        old = self._text[start:end]
        if "\n" in old or value.style in ("|", ">"):
            raise CannotWrite(f"{where}.order: is written over several lines; write [it] on one")
        if plain_scalar(value.value) is None and not value.style:
            colon = self._at(pair[0].end_mark) + 1
            self._replace(
                start if old else colon,
                end if old else colon,
                scalar_text(order) if old else f" {scalar_text(order)}",
            )
        else:
            self._replace(start, end, f"[{old}, {scalar_text(order)}]")

    def _add_key(self, entry: yaml.MappingNode, key: str, text: str) -> None:
        """Give an entry one more key."""
        if entry.flow_style:
            self._insert_after(entry.value[-1][1], f", {key}: {text}")
            return
        # Below the name, where nothing else is put in.
        name, value = child(entry, "name") or entry.value[0]
        self._insert_lines(last_line(value) + 1, [f"{' ' * int(name.start_mark.column)}{key}: {text}"])

    def _insert_after(self, node: yaml.Node, text: str) -> None:
        """Put words behind a value that stands in brackets or braces."""
        at = self._at(node.end_mark)
        self._replace(at, at, text)

    def _extend(self, entry: yaml.MappingNode, key: str, items: list[str], where: str) -> None:
        """Put more items at the end of a list."""
        pair = child(entry, key)
        if pair is None:
            self._add_list(entry, key, items)
            return
        value = pair[1]
        line = pair[0].start_mark.line + 1
        if not isinstance(value, yaml.SequenceNode):
            raise CannotWrite(f"line {line}: {where}.{key}: is no list; write [it], or delete the line")
        if not value.value:
            self._replace(self._at(value.start_mark), self._at(value.end_mark), _flow(items))
        elif value.flow_style:
            self._extend_flow(value, items)
        else:
            dash = f"{' ' * int(value.start_mark.column)}- "
            self._insert_lines(last_line(value) + 1, [dash + _with_reading(item) for item in items])

    def _extend_flow(self, value: yaml.SequenceNode, items: list[str]) -> None:
        last = value.value[-1]
        line = self._lines[last.end_mark.line]
        joined = ", ".join(items)
        if len(line) + len(joined) + 2 <= LINE_COLUMNS_MAX:
            self._insert_after(last, f", {joined}")
            return
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        self._insert_after(last, ",\n" + "\n".join(_wrapped(items, indent)))

    def _add_list(self, entry: yaml.MappingNode, key: str, items: list[str]) -> None:
        flow = _flow(items)
        if entry.flow_style or len(flow) + 20 <= LINE_COLUMNS_MAX:
            self._add_key(entry, key, flow)
            return
        key_node, last = entry.value[-1]
        indent = " " * int(key_node.start_mark.column)
        lines = [f"{indent}{key}:", *(f"{indent}  - {_with_reading(item)}" for item in items)]
        self._insert_lines(last_line(last) + 1, lines)

    def _remove(self, entry: yaml.MappingNode, values: Sequence[str], where: str) -> None:
        """Take items out of a list."""
        pair = child(entry, "domains")
        assert pair is not None and isinstance(pair[1], yaml.SequenceNode)
        sequence = pair[1]
        wanted = list(values)
        gone = []
        for at, node in enumerate(sequence.value):
            if node.value in wanted:
                wanted.remove(node.value)
                gone.append(at)
        if sequence.flow_style:
            self._remove_from_flow(sequence, gone, where)
            return
        for at in gone:
            start, end = sequence.value[at].start_mark, sequence.value[at].end_mark
            line = self._lines[start.line]
            if start.line != end.line or line[: start.column].strip() != "-" or line[end.column :].strip():
                raise CannotWrite(
                    f"line {start.line + 1}: {where}: {sequence.value[at].value} has more on its line; "
                    "take it out by hand, and import again"
                )
            self._replace(self._starts[start.line], self._starts[start.line] + len(line) + 1, "")

    def _remove_from_flow(self, sequence: yaml.SequenceNode, gone: list[int], where: str) -> None:
        """Each goes with the comma behind it, the last one with the comma in front."""
        nodes = sequence.value
        kept = [at for at in range(len(nodes)) if at not in gone]
        for at in gone:
            if at > kept[-1]:
                start, end = self._at(nodes[at - 1].end_mark), self._at(nodes[at].end_mark)
            else:
                start, end = self._at(nodes[at].start_mark), self._at(nodes[at + 1].start_mark)
            if "#" in self._text[start:end]:
                raise CannotWrite(
                    f"line {nodes[at].start_mark.line + 1}: {where}: has a comment inside the brackets"
                )
            self._replace(start, end, "")


def _block(entries: list[Entry], outer: str, inner: str) -> list[str]:
    """The lines of entries, indented."""
    return [
        line
        for key, lines, _ in entries
        for line in (f"{outer}{key}:", *(f"{outer}{inner}{one}" for one in lines))
    ]


def _indents(section: yaml.MappingNode) -> tuple[str, str]:
    """The file's own indentation: of an entry, and of its keys below it."""
    outer = int(section.value[0][0].start_mark.column)
    for key, value in section.value:
        if (
            isinstance(value, yaml.MappingNode)
            and not value.flow_style
            and value.start_mark.line > key.start_mark.line
        ):
            return " " * outer, " " * (int(value.start_mark.column) - outer)
    return " " * outer, "  "


def order_lines(content: Tree) -> list[str]:
    """An order as lines below its id."""
    lines = [f"{key}: {flow_value(value)}" for key, value in content.items() if key != "asks"]
    if asks := content.get("asks"):
        lines += ["asks:", *(f"  - {scalar_text(ask)}" for ask in asks)]
    return lines


def exchange_lines(content: Tree) -> list[str]:
    """An exchange as lines below its id."""
    lines = []
    for key, value in content.items():
        if key != "domains":
            lines.append(f"{key}: {flow_value(value)}")
            continue
        names = [written_name(name, is_plain=True) for name in value]
        flow = _flow(names)
        if len(flow) + 16 <= LINE_COLUMNS_MAX and not any("xn--" in name for name in names):
            lines.append(f"domains: {flow}")
        else:
            lines += ["domains:", *(f"  - {_with_reading(name)}" for name in names)]
    return lines


def _with_reading(item: str) -> str:
    """A name as A-labels, and behind it as people read it."""
    read = unicode_name(item.strip('"').removeprefix("*.")) if "xn--" in item else None
    return item if read is None else f"{item}  # {read}"


def _flow(items: list[str]) -> str:
    return f"[{', '.join(items)}]"


def _wrapped(items: list[str], indent: str) -> list[str]:
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(item) + 2 <= LINE_COLUMNS_MAX:
            lines[-1] += f", {item}"
        else:
            if lines:
                lines[-1] += ","
            lines.append(f"{indent}{item}")
    return lines


def flow_value(value: object) -> str:
    """A value on one line, as YAML has it."""
    if isinstance(value, list):
        return _flow([flow_value(item) for item in value])
    if isinstance(value, dict):
        inner = (f"{scalar_text(key)}: {flow_value(item)}" for key, item in value.items())
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return scalar_text(value) if isinstance(value, str) else json.dumps(value)


def scalar_text(text: str) -> str:
    """Write a text so that YAML reads it as that text."""
    is_plain = _PLAIN.fullmatch(text) is not None and not text.endswith(" ")
    if is_plain and " #" not in text and plain_scalar(text) == text:
        return text
    return json.dumps(text, ensure_ascii=False)
