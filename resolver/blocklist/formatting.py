"""Tidies the text of a blocklist: domains sorted, in lower case, quoted alike; everything else stays.

Knows: where names stand in the text, and which comment belongs to which name.  Does not know: files.
Theory: no YAML writer is let near the text.  The parser says on which line and column each name
stands; whole lines are moved and single names are rewritten, so comments, blank lines and every
person's layout survive.  What has an unusual shape (a name over two lines, a comment inside brackets)
is left as it is.  The caller compares what both texts mean before anything is written.

Blank lines divide a list into groups, each sorted by itself.  A comment line moves with the name under
it.  A group whose only comment stands directly above its first name is not sorted: nobody but its writer
knows whether it is about that name or about all of them.  With a blank line under it, it is a heading.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import yaml

from resolver.blocklist.entries import name_entry
from resolver.blocklist.rules import Blocklist

SCHEMA_MARK = "# yaml-language-server: $schema="
"""What editors with a YAML language server look for in the first lines."""

_PLAIN = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.ASCII)
_FLOAT = re.compile(r"[0-9]+\.[0-9]*(?:e[0-9]+)?|[0-9]+e[0-9]+", re.ASCII)
_OTHER_LINE_ENDS = re.compile("[\r\x85\u2028\u2029]")
_COMMENT = re.compile(r"(?:^|\s)(#.*)$")
_SIGN_ORDER = {"": 0, "=": 1, "*.": 2}


class CannotFormat(Exception):
    """The text has a shape that is better left alone; the message says which."""


class _Name(NamedTuple):
    """One name, and where it stands."""

    key: tuple[str, int, str]
    """What it is sorted by."""
    text: str
    """As it ought to be written."""
    line: int
    start: int
    end: int


def format_text(text: str, *, sort_exchanges: bool = False, schema: str | None = None) -> str:
    """Give the tidy text of a blocklist that has been read without errors.  Raises `CannotFormat`."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    newline = "\r\n" if "\r\n" in text else "\n"
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if _OTHER_LINE_ENDS.search(text):
        raise CannotFormat("it has line ends other than LF and CR LF")
    lines = text.removesuffix("\n").split("\n")
    for key, sequence in _name_lists(compose(text)):
        _tidy_names(lines, key, sequence)
    if sort_exchanges:
        _sort_exchanges(lines, compose("\n".join(lines) + "\n"))
    if schema is not None:
        _put_schema(lines, schema)
    return mark + newline.join(lines) + newline


def compose(text: str) -> yaml.MappingNode:
    """The nodes of a text, with their places.  Raises `CannotFormat`."""
    # Aliases, depth and tags were refused when it was read.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    node = yaml.compose(text, Loader=loader)
    if not isinstance(node, yaml.MappingNode):
        raise CannotFormat("it is not a mapping")
    return node


def child(node: yaml.Node, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    """The key `name` of a mapping, and its value; None where it has none."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == name:
                return key, value
    return None


def _name_lists(root: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.SequenceNode]]:
    """Every list of names, with the key it stands under."""
    found = [child(root, name) for name in ("allow", "protected")]
    exchanges = child(root, "exchanges")
    if exchanges is not None and isinstance(exchanges[1], yaml.MappingNode):
        found += [child(value, "domains") for _, value in exchanges[1].value]
    for pair in found:
        if pair is not None and isinstance(pair[1], yaml.SequenceNode):
            yield pair[0], pair[1]


def _tidy_names(lines: list[str], key: yaml.Node, sequence: yaml.SequenceNode) -> None:
    names = [_name(item) for item in sequence.value]
    if any(name is None for name in names):
        return
    whole = [name for name in names if name is not None]
    if sequence.flow_style:
        _tidy_flow(lines, sequence, whole)
    else:
        _tidy_block(lines, key, whole)


def _name(node: yaml.Node) -> _Name | None:
    """Read one entry; None where it is not to be touched."""
    start, end = node.start_mark, node.end_mark
    if not isinstance(node, yaml.ScalarNode) or start.line != end.line or node.style in ("|", ">"):
        return None
    written = written_name(node.value, is_plain=not node.style)
    sign, tidy = _tidied(node.value)
    return _Name((tidy, _SIGN_ORDER[sign], written), written, start.line, start.column, end.column)


def _split(text: str) -> tuple[str, str]:
    for sign in ("=", "*."):
        if text.startswith(sign):
            return sign, text.removeprefix(sign).strip()
    return "", text


def written_name(value: str, *, is_plain: bool) -> str:
    """Write an entry as YAML: lower case, no dot at the end; `=` and `*.` in double quotes."""
    sign, tidy = _tidied(value)
    is_simple = _PLAIN.fullmatch(tidy) and "." in tidy and not _FLOAT.fullmatch(tidy)
    if not sign and (is_simple or (is_plain and not tidy.isascii())):
        return tidy
    return '"' + (sign + tidy).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _tidied(value: str) -> tuple[str, str]:
    """Sign and name as they ought to be written."""
    sign, bare = _split(value.strip())
    tidy = bare if "\\" in bare else bare.lower().removesuffix(".")
    try:
        if name_entry(sign + tidy) != name_entry(value):
            return sign, bare
    except ValueError:
        return sign, bare
    return sign, tidy


def _tidy_flow(lines: list[str], sequence: yaml.SequenceNode, names: list[_Name]) -> None:
    """Put the sorted names into the places of the old ones, so that brackets and lines stay."""
    last = sequence.end_mark.line
    between = [*lines[sequence.start_mark.line : last], lines[last][: sequence.end_mark.column]]
    between[0] = between[0][sequence.start_mark.column :] if len(between) > 1 else ""
    has_comments = any("#" in line for line in between)
    wanted = names if has_comments else sorted(names, key=lambda name: name.key)
    for place, name in reversed(list(zip(names, wanted, strict=True))):
        line = lines[place.line]
        lines[place.line] = line[: place.start] + name.text + line[place.end :]


def _tidy_block(lines: list[str], key: yaml.Node, names: list[_Name]) -> None:
    """Sort the lines of a list with a dash in front of each name."""
    if not names:
        return
    first, last = key.end_mark.line + 1, names[-1].line
    by_line = {name.line: name for name in names}
    chunks: list[_Chunk] = []
    group: list[_Chunk] = []
    leading: list[str] = []
    out: list[str] = []
    for number in range(first, last + 1):
        line = lines[number]
        name = by_line.get(number)
        if name is not None:
            if line[: name.start].strip() != "-":
                return  # The dash stands elsewhere, or other things on its line.
            line = line[: name.start] + name.text + line[name.end :].rstrip()
            group.append(_Chunk(name.key, leading, [line]))
            leading = []
        elif not line.strip():
            # Comments before a blank line belong to no name.
            out += [*_sorted_lines(group), *leading, line]
            chunks += group
            group, leading = [], []
        elif line.lstrip().startswith("#"):
            leading.append(line)
        else:
            return
    chunks += group
    if len(chunks) == len(names):
        lines[first : last + 1] = [*out, *_sorted_lines(group)]


class _Chunk(NamedTuple):
    """An entry with the comment lines above it."""

    key: Any
    leading: list[str]
    body: list[str]


def _sorted_lines(group: list[_Chunk]) -> list[str]:
    if group and group[0].leading and not any(chunk.leading for chunk in group[1:]):
        # About the first name, or about all of them?  Sorted, it might come to stand above another.
        ordered = group
    else:
        ordered = sorted(group, key=lambda chunk: chunk.key)
    return [line for chunk in ordered for line in (*chunk.leading, *chunk.body)]


def _sort_exchanges(lines: list[str], root: yaml.MappingNode) -> None:
    """Sort the exchanges by id, between comments that are followed by a blank line."""
    pair = child(root, "exchanges")
    if pair is None or not isinstance(pair[1], yaml.MappingNode) or pair[1].flow_style:
        return
    entries = pair[1].value
    starts = [key.start_mark.line for key, _ in entries]
    column = entries[0][0].start_mark.column if entries else 0
    ends = [end_line(lines, value, column) for _, value in entries]
    position = pair[0].end_mark.line + 1
    if not entries or starts[0] < position or len(set(starts)) != len(starts):
        return
    out: list[str] = []
    group: list[_Chunk] = []
    gaps: list[list[str]] = []
    for (key, _), start, end in zip(entries, starts, ends, strict=True):
        above = lines[position:start]
        cut = max((number for number in range(1, len(above)) if _ends_section(above, number)), default=-1)
        if cut >= 0:
            out += [*_placed(group, gaps), *above[: cut + 1]]
            group, gaps = [], []
        comments = above[cut + 1 :]
        gaps.append([line for line in comments if not line.strip()])
        leading = [line for line in comments if line.strip()]
        group.append(_Chunk(key.value, leading, lines[start : end + 1]))
        position = end + 1
    lines[pair[0].end_mark.line + 1 : position] = [*out, *_placed(group, gaps)]


def _ends_section(above: list[str], number: int) -> bool:
    return not above[number].strip() and bool(above[number - 1].strip())


def _placed(group: list[_Chunk], gaps: list[list[str]]) -> list[str]:
    """The chunks in order; blank lines stay at their places."""
    ordered = sorted(group, key=lambda chunk: chunk.key)
    return [
        line for gap, chunk in zip(gaps, ordered, strict=True) for line in (*gap, *chunk.leading, *chunk.body)
    ]


def end_line(lines: list[str], node: yaml.Node, column: int) -> int:
    """The last line that belongs to an entry: of its content, or of a comment indented like it."""
    end = last_line(node)
    for number in range(end + 1, len(lines)):
        line = lines[number]
        indent = len(line) - len(line.lstrip())
        if not line.lstrip().startswith("#") or indent <= column:
            break
        end = number
    return end


def last_line(node: yaml.Node) -> int:
    """The last line of a node's own content; the parser's end mark is behind the comments below it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return last_line(last[1] if isinstance(last, tuple) else last)
    # A block scalar ends at the start of the line after it.
    at_next = node.end_mark.column == 0 and node.end_mark.line > node.start_mark.line
    return int(node.end_mark.line) - at_next


def _put_schema(lines: list[str], schema: str) -> None:
    header = SCHEMA_MARK + schema
    for number, line in enumerate(lines):
        if line.startswith(SCHEMA_MARK):
            lines[number] = header
            return
        if line.strip() and not line.startswith("#"):
            break
    lines.insert(0, header)


def lost_comments(before: str, after: str) -> list[str]:
    """Comments of `before` that `after` has not: there must be none."""
    return list((_comments(before) - _comments(after)).elements())


def _comments(text: str) -> Counter[str]:
    found = (_COMMENT.search(line.rstrip()) for line in text.splitlines())
    return Counter(match[1] for match in found if match and not match[1].startswith(SCHEMA_MARK))


def means_the_same(one: Blocklist, other: Blocklist) -> bool:
    """Whether two readings differ in nothing but the order of names and exchanges, and in lines."""
    return _meaning(one) == _meaning(other)


def _meaning(blocklist: Blocklist) -> Sequence[object]:
    return (
        sorted((rule.label, repr(rule)) for rule in blocklist.exchanges),
        list(blocklist.orders.items()),
        Counter(
            (
                rule.owner,
                rule.form,
                rule.effect,
                rule.rule.label,
                repr(rule.rule) if rule.effect == "allow" else "",
            )
            for rule in blocklist.name_rules
        ),
        Counter((rule.network, rule.rule.label) for rule in blocklist.address_rules),
        [replace(spec, line=0) for spec in blocklist.lists],
        blocklist.contact,
    )
