"""Changes what stands in a blocklist's text: keys, entries, names, exceptions; what it does not touch stays.

Knows: where things stand, how a value is written in YAML.  Does not know: which keys may be changed, files.
Theory: as in `writing`, which only adds.  What is taken out goes with the comment on its own lines, for that
is about it; comments above it and around it stay.  A shape in which that cannot be told apart is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from resolver.blocklist.entries import name_entry
from resolver.blocklist.formatting import child, end_line, last_line, written_name
from resolver.orders.plan import Tree
from resolver.orders.writing import (
    CannotWrite,
    Editor,
    exchange_lines,
    flow_value,
    order_lines,
)


class Rewriter(Editor):
    """One text, read once, for one change."""

    def result(self) -> str:
        """The new text."""
        return self.carry_out(())

    # Entries of `orders` and `exchanges`.

    def add_entry(self, section: str, key: str, content: Tree) -> None:
        """A new order or exchange."""
        lines = exchange_lines(content) if section == "exchanges" else order_lines(content)
        self._add_entries(section, [(key, lines, content)])

    def remove_entry(self, section: str, key: str) -> None:
        """An order or exchange goes, with all in it."""
        pair = child(self._root, section)
        assert pair is not None and isinstance(pair[1], yaml.MappingNode)
        entries = pair[1].value
        place = self._place_of(pair[1], key, section)
        name, value = entries[place]
        if pair[1].flow_style:
            self._remove_pair(pair[1], place)
            return
        self._remove_lines(int(name.start_mark.line), end_line(self._lines, value, name.start_mark.column))
        if len(entries) == 1:
            at = self._at(pair[0].end_mark) + 1
            self._replace(at, at, " {}")

    def set_key(self, section: str, key: str, name: str, value: object) -> None:
        """Give a key of an order or exchange another value; None: take it out."""
        pair = child(self._root, section)
        assert pair is not None and isinstance(pair[1], yaml.MappingNode)
        entry = pair[1].value[self._place_of(pair[1], key, section)][1]
        if not isinstance(entry, yaml.MappingNode):
            raise CannotWrite(f"{section}.{key}: is no mapping")
        self._set_in(entry, name, value, f"{section}.{key}")

    def _place_of(self, section: yaml.MappingNode, key: str, where: str) -> int:
        for place, (name, _) in enumerate(section.value):
            if name.value == key:
                return place
        raise CannotWrite(f"{where}.{key}: is not there")

    def _set_in(self, entry: yaml.MappingNode, name: str, value: object, where: str) -> None:
        place = next((at for at, (one, _) in enumerate(entry.value) if one.value == name), None)
        if value is None:
            if place is not None:
                self._take_out(entry, place, where)
            return
        text = flow_value(value)
        if place is None:
            self._add_key(entry, name, text)
            return
        key, old = entry.value[place]
        if not entry.flow_style and isinstance(old, yaml.CollectionNode) and not old.flow_style:
            self._replace_block(key, old, text, where)
            return
        start, end = self._at(old.start_mark), self._at(old.end_mark)
        self._refuse_odd(old, start, end, f"{where}.{name}")
        if start == end:  # Nothing behind the colon.
            start = end = self._at(key.end_mark) + 1
            text = f" {text}"
        self._replace(start, end, text)

    def _refuse_odd(self, node: yaml.Node, start: int, end: int, where: str) -> None:
        """Refuse a value that has more in it than itself."""
        line = node.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode):
            if node.style in ("|", ">") or "\n" in self._text[start:end]:
                raise CannotWrite(f"line {line}: {where}: is written over several lines; write it on one")
        elif "#" in self._text[start:end]:
            raise CannotWrite(f"line {line}: {where}: has a comment inside the brackets")

    def _replace_block(self, key: yaml.Node, old: yaml.CollectionNode, text: str, where: str) -> None:
        """Put a value on the key's own line in the place of lines below it."""
        first, last = int(key.end_mark.line), last_line(old)
        column = int(key.end_mark.column) + 1
        between = [self._lines[first][column:], *self._lines[first + 1 : last + 1]]
        if any("#" in line for line in between):
            raise CannotWrite(
                f"line {first + 1}: {where}.{key.value}: has comments among its lines; change it by hand"
            )
        end = self._starts[last] + len(self._lines[last])
        self._replace(self._starts[first] + column, end, f" {text}")

    def _take_out(self, entry: yaml.MappingNode, place: int, where: str) -> None:
        """A key goes, with its value."""
        if entry.flow_style:
            self._remove_pair(entry, place)
            return
        key, value = entry.value[place]
        if len(entry.value) == 1:
            raise CannotWrite(f"{where}: would have no key left")
        self._remove_lines(int(key.start_mark.line), last_line(value))

    def _remove_lines(self, first: int, last: int) -> None:
        self._replace(self._starts[first], self._starts[last] + len(self._lines[last]) + 1, "")

    def _remove_pair(self, mapping: yaml.MappingNode, place: int) -> None:
        """A pair in braces goes, with one comma."""
        pairs = mapping.value
        if place + 1 < len(pairs):
            start, end = self._at(pairs[place][0].start_mark), self._at(pairs[place + 1][0].start_mark)
        elif place:
            start, end = self._at(pairs[place - 1][1].end_mark), self._at(pairs[place][1].end_mark)
        else:
            start, end = self._at(pairs[place][0].start_mark), self._at(pairs[place][1].end_mark)
        if "#" in self._text[start:end]:
            raise CannotWrite(f"line {pairs[place][0].start_mark.line + 1}: has a comment inside the braces")
        self._replace(start, end, "")

    # Names of an exchange.

    def add_names(self, key: str, domains: Sequence[str]) -> None:
        """More domains for an exchange."""
        names = [written_name(domain, is_plain=True) for domain in domains]
        entry = self._exchange(key)
        pair = child(entry, "domains")
        if pair is not None and isinstance(pair[1], yaml.ScalarNode) and not pair[1].value:
            self._set_in(entry, "domains", list(domains), f"exchanges.{key}")
            return
        self._extend(entry, "domains", names, f"exchanges.{key}")

    def remove_names(self, key: str, domains: Sequence[str]) -> None:
        """Domains leave an exchange; each must be there."""
        pair = child(self._exchange(key), "domains")
        if pair is None or not isinstance(pair[1], yaml.SequenceNode):
            raise CannotWrite(f"exchanges.{key}.domains: is no list")
        wanted = {name_entry(domain) for domain in domains}
        gone = [at for at, node in enumerate(pair[1].value) if name_entry(node.value) in wanted]
        self._remove_items(pair[0], pair[1], gone, f"exchanges.{key}.domains")

    def _remove_items(self, key: yaml.Node, sequence: yaml.SequenceNode, gone: list[int], where: str) -> None:
        nodes = sequence.value
        if len(gone) == len(nodes):
            if sequence.flow_style:
                start, end = self._at(sequence.start_mark), self._at(sequence.end_mark)
                self._refuse_odd(sequence, start, end, where)
                self._replace(start, end, "[]")
                return
            at = self._at(key.end_mark) + 1
            self._replace(at, at, " []")
        if sequence.flow_style:
            self._remove_from_flow(sequence, gone, where)
            return
        for at in gone:
            first, last = int(nodes[at].start_mark.line), last_line(nodes[at])
            if self._lines[first][: nodes[at].start_mark.column].strip() != "-":
                raise CannotWrite(f"line {first + 1}: {where}: has more on its line; take it out by hand")
            self._remove_lines(first, last)

    # Exceptions.

    def add_exception(self, content: Tree) -> None:
        """A new exception: its name, and whatever else is said of it."""
        item = _exception_text(content)
        pair = child(self._root, "allow")
        if pair is None:
            self._add_section("allow", [f"  - {item}"])
            return
        value = pair[1]
        if not isinstance(value, yaml.SequenceNode):
            self._fill_section(pair[0], value, [f"  - {item}"])
        elif not value.value:
            start, end = self._at(value.start_mark), self._at(value.end_mark)
            self._replace(start, end, f"[{item}]")
        elif value.flow_style:
            self._insert_after(value.value[-1], f", {item}")
        else:
            dash = f"{' ' * int(value.start_mark.column)}- "
            self._insert_lines(last_line(value) + 1, [dash + item])

    def remove_exception(self, name: str) -> None:
        """An exception goes; it must be there."""
        key, sequence, place = self._exception(name)
        self._remove_items(key, sequence, [place], "allow")

    def set_exception(self, name: str, content: Tree) -> None:
        """Say something else of an exception; `content`: all that is said then."""
        _, sequence, place = self._exception(name)
        node = sequence.value[place]
        text = _exception_text(content)
        start, end = self._at(node.start_mark), self._at(node.end_mark)
        if isinstance(node, yaml.CollectionNode) and not node.flow_style:
            last = last_line(node)
            end = self._starts[last] + len(self._lines[last])
        if "#" in self._text[start:end] or (
            isinstance(node, yaml.ScalarNode) and "\n" in self._text[start:end]
        ):
            raise CannotWrite(f"line {node.start_mark.line + 1}: allow: {name}: change it by hand")
        self._replace(start, end, text)

    def _exception(self, name: str) -> tuple[yaml.Node, yaml.SequenceNode, int]:
        pair = child(self._root, "allow")
        if pair is not None and isinstance(pair[1], yaml.SequenceNode):
            wanted = name_entry(name)
            for place, node in enumerate(pair[1].value):
                named = child(node, "name") if isinstance(node, yaml.MappingNode) else (node, node)
                if named is not None and name_entry(named[1].value) == wanted:
                    return pair[0], pair[1], place
        raise CannotWrite(f"allow: {name}: is not there")


def _exception_text(content: Tree) -> str:
    name = written_name(str(content["name"]), is_plain=False)
    more = [f"{key}: {flow_value(value)}" for key, value in content.items() if key != "name"]
    return f"{{name: {name}, {', '.join(more)}}}" if more else name
