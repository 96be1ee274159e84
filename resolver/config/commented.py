"""The commented defaults of `resolver.yaml`, with some values changed.

Knows: how that file is laid out, how a value is written in YAML.  Does not know: what the keys mean, who
chose the values.
Theory: the file that ships is the text that is changed, line by line, so that what is written by `init` and
`import-config` has every key and every comment of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from resolver.config.yamlsource import plain_scalar

DEFAULTS: Final = Path(__file__).with_name("resolver.yaml")
"""The file with all defaults, as it ships."""

FLOW_CHARS_MAX: Final = 70
"""A longer value is written with one entry a line."""

COMMENT_AT: Final = 39
"""Where the two spaces before a comment stand, where the value leaves room."""

_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_KEY: Final = re.compile(r"( *)([a-z0-9_]+):( *)(.*)")
_INNER: Final = "  "


def commented_defaults() -> str:
    """The file as it ships.  Raises OSError."""
    return DEFAULTS.read_text(encoding="utf-8")


def commented_with(values: Mapping[str, Any], *, head: str = "", text: str | None = None) -> str:
    """The defaults with these values; `head` is put before them, as comments.

    `values`: key, or section and key with a dot between, to a value of plain YAML.  `text`: another file of
    the same layout.  Raises KeyError for a key that the file does not have.
    """
    left = dict(values)
    lines: list[str] = []
    source = commented_defaults() if text is None else text
    pending = source.split("\n")
    section = ""
    place = 0
    while place < len(pending):
        line = pending[place]
        place += 1
        found = _KEY.fullmatch(line)
        if found is None:
            lines.append(line)
            continue
        indent, key, _, rest = found.groups()
        if not indent:
            section = key
        path = f"{section}.{key}" if indent else key
        inside = [name for name in left if name.startswith(f"{path}.")] if not indent else []
        value, remark = _split(rest)
        if path in left:
            if not indent and not value:
                place = _behind_section(pending, place)
            lines += _entry(indent, key, left.pop(path), remark)
        elif inside and value:
            lines += _entry(indent, key, _changed(value, path, left, inside), remark)
        else:
            lines.append(line)
    if left:
        raise KeyError(f"the defaults have no {', '.join(sorted(left))}")
    return head + "\n".join(lines)


def flow(value: Any) -> str:
    """A value on one line, as YAML 1.2 (and our reader) understands it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and isinstance(plain_scalar(value), str):
            return value
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
    return "[" + ", ".join(flow(one) for one in value) + "]"


def block(value: Any, indent: str) -> list[str]:
    """A list or a mapping with one entry a line, each behind `indent`."""
    if isinstance(value, Mapping):
        return [f"{indent}{flow(key)}: {flow(one)}" for key, one in value.items()]
    return [f"{indent}- {flow(one)}" for one in value]


def _entry(indent: str, key: str, value: Any, remark: str) -> list[str]:
    behind = f"  {remark}" if remark else ""
    written = flow(value)
    is_many = isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str))
    if not is_many or not value or len(written) <= FLOW_CHARS_MAX:
        return [f"{indent}{key}: {written}".ljust(COMMENT_AT if behind else 0) + behind]
    return [f"{indent}{key}:".ljust(COMMENT_AT if behind else 0) + behind, *block(value, indent + _INNER)]


def _changed(written: str, path: str, left: dict[str, Any], inside: Sequence[str]) -> dict[str, Any]:
    """A mapping that stands on one line, with those values that are to be others."""
    kept: dict[str, Any] = {}
    for part in written.strip("{}").split(", "):
        key, _, value = part.partition(": ")
        kept[key] = plain_scalar(value)
    for name in inside:
        key = name.removeprefix(f"{path}.")
        if key not in kept:
            raise KeyError(f"the defaults have no {name}")
        kept[key] = left.pop(name)
    return kept


def _behind_section(lines: Sequence[str], place: int) -> int:
    """The first line from `place` on that is no part of a section."""
    while place < len(lines) and lines[place].startswith(" "):
        place += 1
    return place


def _split(rest: str) -> tuple[str, str]:
    """Value and comment of what stands behind a key."""
    quote = ""
    for at, sign in enumerate(rest):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign == "#" and (at == 0 or rest[at - 1] == " "):
            return rest[:at].rstrip(), rest[at:]
    return rest.rstrip(), ""
