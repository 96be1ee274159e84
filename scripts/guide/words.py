"""Small pieces of Markdown that all generated pages have in common.

Knows: headings with anchors, code in a line, table cells.  Does not know: what the pages are about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import yaml

_NOT_IN_ANCHORS = re.compile(r"[^a-z0-9]+")


def anchor(text: str) -> str:
    """The anchor of a heading: `listen.dns` -> `listen-dns`."""
    return _NOT_IN_ANCHORS.sub("-", text.lower()).strip("-")


def heading(level: int, text: str, *, id_: str | None = None) -> str:
    """A heading with an anchor that does not change with its place on the page."""
    return f"{'#' * level} {text} {{#{id_ or anchor(text)}}}\n"


def code(text: str) -> str:
    """Code in a line of text; backticks within are kept."""
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def block(text: str, language: str = "") -> str:
    """Code in lines of its own."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def prose(text: str) -> str:
    """A text of the program as Markdown: no word of it becomes markup by accident."""
    return (
        re.sub(r"([*_<>|\[\]])", r"\\\1", text.replace("  ", " ")) if "`" not in text else _around_code(text)
    )


def _around_code(text: str) -> str:
    parts = text.split("`")
    return "`".join(part if at % 2 else prose(part) for at, part in enumerate(parts))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; bars within code are written so that they part no cells."""
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    lines += [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def in_yaml(value: object) -> str:
    """A value as it is written in a line of a YAML file."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
