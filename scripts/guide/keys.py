"""The pages of all keys: of the settings, and of the blocklist.

Knows: JSON Schema as pydantic writes it, with our notes (`unit`, `applies`, `allowed`).  Does not know:
any key.
Theory: the models say what a key means, takes and defaults to; a complete example file, which a test
loads, has a value for each.  So nothing of these pages is written twice, and what a key lacks is an error
here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from resolver.blocklist.keys import blocklist_schema
from resolver.config.settings import settings_schema
from scripts.guide.places import EXAMPLES
from scripts.guide.words import anchor, block, code, heading, in_yaml, prose

Schema = Mapping[str, Any]

NO_DEFAULT = object()


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a file."""

    path: tuple[str, ...]
    """From the top; `*` stands for any id or name, `[]` for any entry of a list."""
    schema: Schema
    """Its declaration, references resolved."""
    holds: Schema | None
    """The mapping that it holds, or that each of its entries is; None: it holds values."""
    is_needed: bool

    @property
    def name(self) -> str:
        """As people write it: `exchanges.*.domains`."""
        return ".".join(self.path).replace(".[]", "[]")

    @property
    def text(self) -> str:
        """What it means; empty: nobody says."""
        told = self.schema.get("description") or (self.holds or {}).get("description") or ""
        return " ".join(str(told).split())


def keys_of(schema: Schema) -> Iterator[Key]:
    """Every key of a file, the outer ones first."""
    yield from _keys_in(schema, schema.get("$defs", {}), ())


def _keys_in(mapping: Schema, defs: Schema, path: tuple[str, ...]) -> Iterator[Key]:
    for name, declared in mapping.get("properties", {}).items():
        place = (*path, name)
        schema = _resolved(declared, defs)
        steps, holds = _mapping_in(schema, defs)
        yield Key(place, schema, holds, name in mapping.get("required", ()))
        if holds is not None:
            yield from _keys_in(holds, defs, (*place, *steps))


def _resolved(schema: Schema, defs: Schema) -> Schema:
    """A declaration with what it refers to; its own words win."""
    if "$ref" not in schema:
        return schema
    target = defs[schema["$ref"].rpartition("/")[2]]
    return {**target, **{name: value for name, value in schema.items() if name != "$ref"}}


def _mapping_in(schema: Schema, defs: Schema) -> tuple[tuple[str, ...], Schema | None]:
    """The mapping with known keys that a value is or consists of, and the steps that lead into it."""
    schema = _resolved(schema, defs)
    if schema.get("properties"):
        return (), schema
    for alternative in schema.get("anyOf", ()):
        steps, found = _mapping_in(alternative, defs)
        if found is not None and found.get("title"):
            return steps, found
    for word, step in (("items", "[]"), ("additionalProperties", "*")):
        inner = schema.get(word)
        if isinstance(inner, Mapping):
            steps, found = _mapping_in(inner, defs)
            if found is not None and found.get("title"):
                return (step, *steps), found
    return (), None


def allowed(schema: Schema) -> str:
    """What a value may be, in words."""
    given = schema.get("allowed")
    if isinstance(given, str):
        return given
    if "enum" in schema:
        return ", ".join(code(str(choice)) for choice in schema["enum"])
    if "const" in schema:
        return code(str(schema["const"]))
    if "anyOf" in schema:
        parts = [allowed(one) for one in schema["anyOf"] if one.get("type") != "null"]
        parts += ["null"] * any(one.get("type") == "null" for one in schema["anyOf"])
        return " or ".join(dict.fromkeys(part for part in parts if part))
    return _by_type(schema)


def _by_type(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return " or ".join(_by_type({**schema, "type": one}) for one in kind)
    if kind in ("integer", "number"):
        least, most = schema.get("minimum"), schema.get("maximum")
        noun = "a whole number" if kind == "integer" else "a number"
        span = f" from {_number(least)} to {_number(most)}" if None not in (least, most) else ""
        unit = f" ({schema['unit']})" if schema.get("unit") else ""
        return noun + span + unit
    if kind == "boolean":
        return "`true` or `false`"
    if kind == "string":
        most = schema.get("maxLength")
        return f"text of {schema.get('minLength', 0)} to {_number(most)} characters" if most else "text"
    if kind == "array":
        return "a list" + (f" of at most {_number(schema['maxItems'])}" if "maxItems" in schema else "")
    return {"object": "a mapping", "null": "null"}.get(str(kind), "")


def _number(value: float | None) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,g}"


def example_of(key: Key, tree: Any) -> Any:
    """The value of a key in a complete example; `NO_DEFAULT` where the example lacks it."""
    found = list(_values(tree, key.path))
    return found[0] if found else NO_DEFAULT


def _values(tree: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if not path:
        yield tree
    elif path[0] == "*":
        for inner in tree.values() if isinstance(tree, Mapping) else ():
            yield from _values(inner, path[1:])
    elif path[0] == "[]":
        for inner in tree if isinstance(tree, list) else ():
            yield from _values(inner, path[1:])
    elif isinstance(tree, Mapping) and path[0] in tree:
        yield from _values(tree[path[0]], path[1:])


def key_text(key: Key, example: Any) -> str:
    """The entry of one key."""
    level = 2 if len(key.path) == 1 else 3
    lines = [heading(level, code(key.name), id_=anchor(key.name)), prose(key.text) + "\n"]
    if key.holds is not None and key.schema.get("type", "object") == "object":
        return "\n".join(lines)
    facts = []
    if words := allowed(key.schema):
        facts.append(f"Allowed: {words if '`' in words else prose(words)}")
    if key.is_needed:
        facts.append("required")
    elif key.holds is None and "default" in key.schema:
        facts.append(f"default: {code(in_yaml(key.schema['default']))}")
    if key.holds is None and example is not NO_DEFAULT and example != key.schema.get("default"):
        facts.append(f"example: {code(in_yaml(example))}")
    if facts:
        lines.append("; ".join(facts) + ".\n")
    return "\n".join(lines)


def _page(title: str, intro: str, schema: Schema, example_file: str) -> str:
    tree = yaml.safe_load((EXAMPLES / example_file).read_text())
    parts = [heading(1, title, id_="page"), intro + "\n"]
    parts += [key_text(key, example_of(key, tree)) for key in keys_of(schema)]
    example = (EXAMPLES / example_file).read_text()
    parts += [heading(2, "A complete example", id_="complete-example"), block(example, "yaml")]
    return "\n".join(parts)


SETTINGS_INTRO = """\
Every key of `resolver.yaml`. All of them have a default, so an empty file is a valid one. Paths are
relative to the file; unknown keys are errors. A change takes effect at the next start.
[Settings](../settings.md) says which ones most networks change. `exchange-resolver schema settings`
prints a JSON Schema for your editor, and `exchange-resolver check` lists every mistake with its line.

`*` in a key stands for a name that you choose, `[]` for each entry of a list.
"""

BLOCKLIST_INTRO = """\
Every key of `blocklist.yaml`. A change takes effect as soon as the file is saved.
[The blocklist](../blocklist.md) says what the keys do together. `exchange-resolver schema blocklist` prints
a JSON Schema for your editor.

`*` in a key stands for an id that you choose, `[]` for each entry of a list.
"""


def settings_page() -> str:
    """Every key of `resolver.yaml`."""
    return _page("Every setting", SETTINGS_INTRO, settings_schema(), "resolver.yaml")


def blocklist_page() -> str:
    """Every key of `blocklist.yaml`."""
    return _page("Every key of the blocklist", BLOCKLIST_INTRO, blocklist_schema(), "blocklist.yaml")
