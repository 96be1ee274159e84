"""A tree of values with their places: what stands in a YAML, TOML or JSON file of another product.

Knows: how to ask for a text, a number, a switch, a list; lines.  Does not know: any key.
Theory: whatever is of the wrong kind is as if it were not there, and the reader of a product says so: files
that a program wrote years ago have odd values, and none may stop the import.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resolver.config.yamlsource import Value, YamlMapping, YamlSequence, read_yaml
from resolver.migration.gathered import BadConfig, Place

_TRUE = frozenset({"true", "yes", "on", "y", "1"})
_FALSE = frozenset({"false", "no", "off", "n", "0"})


@dataclass(frozen=True, slots=True)
class Node:
    """One value, where it stands, and the keys that lead to it."""

    value: Value
    place: Place
    path: str = ""

    def get(self, *keys: str) -> Node:
        """The value under these keys, one below the other; one of null where there is none."""
        node = self
        for key in keys:
            mapping = node.value
            path = f"{node.path}.{key}" if node.path else key
            if isinstance(mapping, YamlMapping) and key in mapping.items:
                line = mapping.lines[key]
                node = Node(mapping.items[key], Place(node.place.file, line), path)
            else:
                node = Node(None, node.place, path)
        return node

    def first(self, *paths: str) -> Node:
        """The first of some paths (`section.key`) that has a value; names of keys change with versions."""
        found = Node(None, self.place, paths[0])
        for path in paths:
            found = self.get(*path.split("."))
            if found.is_there:
                return found
        return found

    @property
    def is_there(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    @property
    def is_mapping(self) -> bool:
        """Whether it has keys."""
        return isinstance(self.value, YamlMapping)

    @property
    def is_list(self) -> bool:
        """Whether it has entries."""
        return isinstance(self.value, YamlSequence)

    @property
    def text(self) -> str:
        """A text or a number as text; empty for anything else."""
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | float):
            return ""
        return str(self.value).strip()

    @property
    def number(self) -> float | None:
        """A number, also one in quotes."""
        if isinstance(self.value, bool):
            return None
        try:
            return float(self.text) if self.text and len(self.text) < 20 else None
        except ValueError:
            return None

    def flag(self, *, default: bool = False) -> bool:
        """A switch, in any spelling of YAML 1.1 or 1.2."""
        if isinstance(self.value, bool):
            return self.value
        word = self.text.lower()
        return True if word in _TRUE else False if word in _FALSE else default

    def entries(self) -> Iterator[Node]:
        """The entries of a list; a single text or mapping counts as a list of one."""
        if isinstance(self.value, YamlSequence):
            for index, (value, line) in enumerate(zip(self.value.items, self.value.lines, strict=True)):
                yield Node(value, Place(self.place.file, line), f"{self.path}[{index}]")
        elif self.value is not None:
            yield self

    def pairs(self) -> Iterator[tuple[str, Node]]:
        """The keys of a mapping, in order."""
        if isinstance(self.value, YamlMapping):
            for key in self.value.items:
                yield key, self.get(key)


def read_tree(octets: bytes, path: Path) -> Node:
    """A YAML file.  Raises BadConfig."""
    tree, problems = read_yaml(octets, file=str(path))
    if tree is None or not isinstance(tree, YamlMapping):
        if not problems:
            raise BadConfig([_no_mapping(path)])
        raise BadConfig(problems)
    return Node(tree, Place(str(path), 1))


def from_plain(value: Any, line_of: Any, file: str) -> Node:
    """A tree of plain Python values, as TOML and JSON give them; `line_of(path)`: the line of a key, or 0."""
    return Node(_grown(value, (), line_of), Place(file, 0))


def _grown(value: Any, path: tuple[str, ...], line_of: Any) -> Value:
    # Depth is bounded by the reader that made the values.
    if isinstance(value, dict):
        mapping = YamlMapping(line_of(path))
        for key, one in value.items():
            inner = (*path, str(key))
            mapping.items[str(key)] = _grown(one, inner, line_of)
            mapping.lines[str(key)] = line_of(inner)
        return mapping
    if isinstance(value, list):
        sequence = YamlSequence(line_of(path))
        for one in value:
            sequence.items.append(_grown(one, path, line_of))
            sequence.lines.append(line_of(path))
        return sequence
    return value if isinstance(value, str | int | float | bool) else None


def _no_mapping(path: Path) -> Any:
    from resolver.problems import Problem

    return Problem(str(path), 1, "is no mapping (key: value), so it is no configuration of this product")
