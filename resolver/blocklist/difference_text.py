"""A difference between two blocklists, for people: text for a terminal, Markdown for a pull request.

Knows: the JSON form of a difference, which is also what the history keeps.  Does not know: blocklists.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from resolver.problems import printable
from resolver.wire.idn import with_unicode

MARKDOWN_CHARS_MAX = 60_000
"""Code hosts take comments of 65,536 characters."""
MARKDOWN_NAMES_MAX = 50
"""Names listed for one exchange; the rest are counted."""

_SIGNS = {"gained": "+", "lost": "-", "changed": "~"}
_NOTHING = "nothing"
_NO_DIFFERENCE = "No difference."


def headline(summary: dict[str, dict[str, int]]) -> str:
    """`exchanges 1 gained, domains 2 gained 1 lost`: what is not 0."""
    parts = []
    for section, counts in summary.items():
        said = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
        if said:
            parts.append(f"{section}: {said}")
    return "; ".join(parts) or _NOTHING


def as_text(difference: dict[str, Any], records: dict[str, Any] | None = None) -> str:
    """Lines for a terminal, the headline first; `records`: what registers gained and lost."""
    lines = [printable(line) for line in _text_lines(difference)]
    lines += records_lines(records or {})
    if not lines:
        return _NO_DIFFERENCE
    said = _headline_with(difference, records or {})
    return "\n".join([said, *map(printable, effect_lines(difference)), "", *lines])


def effect_lines(difference: dict[str, Any]) -> list[str]:
    """What opens, and what each order gains and loses, as far as it is told."""
    opened = difference.get("opened", {}).get("words")
    return [*([opened] if opened else []), *(change["words"] for change in difference.get("by_order", ()))]


def _text_lines(difference: dict[str, Any]) -> Iterator[str]:
    for change in difference["properties"]:
        yield f"~ {_property_text(change)}"
    # The longest last: where a text is cut, what is opened is still there.
    for section in ("exceptions", "lists", "orders", "exchanges"):
        for entry in difference[section]:
            yield f"{_SIGNS[entry['change']]} {_title(section, entry)}"
            said = _property_text if entry["change"] == "changed" else _whole_property
            yield from (f"    {said(change)}" for change in entry["properties"])
            yield from (f"    + {with_unicode(name)}" for name in entry["gained"])
            yield from (f"    - {with_unicode(name)}" for name in entry["lost"])
    if difference["left_out"]:
        yield f"... and {difference['left_out']:,} more"


def _title(section: str, entry: dict[str, Any]) -> str:
    if section == "exceptions":
        return with_unicode(str(entry["id"]))
    noun = section.removesuffix("s")
    name = f" ({entry['name']})" if entry["name"] != entry["id"] else ""
    return f"{noun} {entry['id']}{name}"


def _property_text(change: dict[str, Any]) -> str:
    return f"{change['name']}: {_shown(change['old'])} -> {_shown(change['new'])}"


def _whole_property(change: dict[str, Any]) -> str:
    """Of an entry that is gained or lost."""
    return f"{change['name']}: {_shown(change['old'] if change['new'] is None else change['new'])}"


def _shown(value: str | None) -> str:
    return "(none)" if value is None else value


def _headline_with(difference: dict[str, Any], records: dict[str, Any]) -> str:
    said, told = headline(difference["summary"]), records_headline(records)
    if not told:
        return said
    return told if said == _NOTHING else f"{said}; {told}"


def records_headline(records: dict[str, Any]) -> str:
    """`records of ncasp: 3 gained, 1 lost`; empty: nothing is new."""
    parts = [
        f"records of {name}: {changes['gained_count']:,} gained, {changes['lost_count']:,} lost"
        for name, changes in records.items()
        if "unknown" not in changes
    ]
    return "; ".join(parts)


def records_lines(records: dict[str, Any]) -> Iterator[str]:
    """What registers gained and lost, record by record."""
    for name, changes in records.items():
        if "unknown" in changes:
            yield f"list {name}: which of its records are new is not known"
            continue
        for sign, kind in (("+", "gained"), ("-", "lost")):
            for record_id, rule in changes[kind]:
                yield printable(f"{sign} list {name}: record {record_id}: {with_unicode(rule)}")
            left_out = changes[f"{kind}_count"] - len(changes[kind])
            if left_out:
                yield f"{sign} list {name}: {left_out:,} more records"


def as_markdown(difference: dict[str, Any], records: dict[str, Any] | None = None) -> str:
    """A table and the names, for a pull request; at most `MARKDOWN_CHARS_MAX` characters."""
    said = _headline_with(difference, records or {})
    lines = ["### Blocklist changes", "", said[0].upper() + said[1:] + ".", ""]
    rows = [*_markdown_rows(difference), *_markdown_records(records or {})]
    if not rows:
        return f"### Blocklist changes\n\n{_NO_DIFFERENCE}\n"
    for line in effect_lines(difference):
        lines += [_escaped(line), ""]
    lines += ["| | what | change |", "|---|---|---|"]
    used = sum(len(line) + 1 for line in lines)
    for number, row in enumerate(rows):
        used += len(row) + 1
        if used > MARKDOWN_CHARS_MAX - 100:
            lines += ["", f"... and {len(rows) - number:,} more rows."]
            break
        lines.append(row)
    if difference["left_out"]:
        lines += ["", f"... and {difference['left_out']:,} more."]
    return "\n".join(lines) + "\n"


def _markdown_rows(difference: dict[str, Any]) -> Iterator[str]:
    for change in difference["properties"]:
        yield f"| changed | defaults | {_markdown_property(change)} |"
    for section in ("exchanges", "exceptions", "lists", "orders"):
        for entry in difference[section]:
            said = [_markdown_property(change) for change in entry["properties"]]
            for verb, names in (("gains", entry["gained"]), ("loses", entry["lost"])):
                if names:
                    said.append(f"{verb} {_markdown_names(names)}")
            yield f"| {entry['change']} | {_escaped(_title(section, entry))} | {'<br>'.join(said)} |"


def _markdown_records(records: dict[str, Any]) -> Iterator[str]:
    for name, changes in records.items():
        said = []
        for verb, kind in (("gains", "gained"), ("loses", "lost")):
            if changes.get(f"{kind}_count"):
                shown = [
                    f"{_escaped(record)} ({_code(with_unicode(rule))})" for record, rule in changes[kind]
                ]
                left_out = changes[f"{kind}_count"] - len(shown[:MARKDOWN_NAMES_MAX])
                more = f" and {left_out:,} more" if left_out else ""
                said.append(f"{verb} {', '.join(shown[:MARKDOWN_NAMES_MAX])}{more}")
        yield f"| records | {_escaped(f'list {name}')} | {'<br>'.join(said) or 'not known'} |"


def _markdown_names(names: list[str]) -> str:
    shown = ", ".join(_code(with_unicode(name)) for name in names[:MARKDOWN_NAMES_MAX])
    left_out = len(names) - MARKDOWN_NAMES_MAX
    return f"{shown} and {left_out:,} more" if left_out > 0 else shown


def _markdown_property(change: dict[str, Any]) -> str:
    old, new = (_escaped(_shown(change[side])) for side in ("old", "new"))
    return f"{_escaped(change['name'])}: {old} → {new}"


def _code(text: str) -> str:
    """A name as code in a table, where a backtick, a bar or a backslash would end it early."""
    text = printable(text)
    if not set(text) & set("`|\\&<"):
        return f"`{text}`"
    signs = (sign if sign.isalnum() or sign in " .-" else f"&#{ord(sign)};" for sign in text)
    return f"<code>{''.join(signs)}</code>"


def _escaped(text: str) -> str:
    """Keep text from being markup: a title may hold anything printable."""
    text = printable(text)
    for sign in "\\`*_{}[]>()#+!|~":
        text = text.replace(sign, "\\" + sign)
    # An entity in the text is no entity of ours, and ours must stay: `&` first.
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    # A mention would notify a stranger.
    return text.replace("@", "@\u200b")
