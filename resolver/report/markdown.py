"""A document as Markdown (CommonMark, with the tables of GitHub's): readable as it is, and rendered.

Knows: which signs mean something.  Does not know: what a report says.
Theory: a backslash before an ASCII punctuation mark makes it that mark and nothing else, so in texts
one stands before each mark that means something.  Then none is a link, a tag, a bar of a table or an entity,
in any dialect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from resolver.report.document import (
    Block,
    Bullets,
    Cell,
    Chart,
    Code,
    Commands,
    Document,
    Facts,
    Figures,
    Heading,
    Inline,
    Jump,
    Link,
    Mark,
    Note,
    Paragraph,
    Section,
    Small,
    Spark,
    Strong,
    Table,
    Title,
)
from resolver.report.html import TONE_SIGNS
from resolver.report.moments import shown_number
from resolver.report.plain import fitting, is_right_to_left, one_line

BAR_SIGNS = 30
"""Longest bar of a chart."""
CHART_BARS_MAX = 62

_SPARKS = "▁▂▃▄▅▆▇█"
_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>#|~&$@"})
"""What means something wherever it stands."""
_AT_FRONT = re.compile(r"([-+=:]|\d{1,9}[.)])")
"""What means something at the beginning of a line."""
_ADDRESS = re.compile(r"(?i)(https?|ftp|mailto|xmpp)(:)|(www)(\.)")
"""What many readers make a link of by themselves."""
_BACKTICKS = re.compile("`+")
_PLAIN_CODE = re.compile(r"[A-Za-z0-9 .,:;/*=_@+#?%-]+", re.ASCII)
_ISOLATE, _END = "\u2068", "\u2069"


def markdown_body(document: Document) -> str:
    """All but the last part (`markdown_section`)."""
    lines = [f"# {text(document.title)}", "", text(document.subtitle), ""]
    for block in document.cover:
        lines += _block(block)
    for section in document.sections:
        lines += markdown_section(section)
    return "\n".join(lines) + "\n"


def markdown_section(section: Section) -> Iterator[str]:
    """One part."""
    yield f"## {text(section.title)}"
    yield ""
    for block in section.blocks:
        yield from _block(block)


def text(words: str) -> str:
    """Somebody's text, as text."""
    line = one_line(fitting(words)).translate(_ESCAPED)
    line = _ADDRESS.sub(r"\1\3\\\2\4", line)
    if found := _AT_FRONT.match(line):
        line = f"{line[: found.end() - 1]}\\{line[found.end() - 1 :]}"
    # A text of the other direction must not turn what stands beside it.
    return f"{_ISOLATE}{line}{_END}" if is_right_to_left(line) else line


def code(words: str) -> str:
    """A name or an id in letters of one width, where that needs no trick; else as text."""
    line = one_line(fitting(words))
    return f"`{line}`" if _PLAIN_CODE.fullmatch(line) else text(line)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading(words):
            yield f"### {text(words)}"
        case Paragraph(content):
            yield _cell(content)
        case Note(content, tone):
            yield f"> {TONE_SIGNS[tone]} {_cell(content)}"
        case Title(words):
            yield f"## {text(words)}"
        case Facts(rows):
            yield from _table(("", ""), (False, False), [(text(label), _cell(cell)) for label, cell in rows])
        case Figures(items):
            cells = [(text(item.label), text(item.value)) for item in items]
            yield from _table(("", ""), (False, True), cells)
        case Table():
            heads = [text(column.text) for column in block.columns]
            numbers = [column.kind == "number" for column in block.columns]
            yield from _table(heads, numbers, [[_cell(cell) for cell in row] for row in block.rows])
            if block.more:
                yield from ("", text(block.more))
        case Chart():
            yield from _chart(block)
        case Bullets(points):
            yield from (f"- {_cell(point)}" for point in points)
        case Commands(lines):
            # The marks in the text must not end it.
            fence = "`" * max(3, *(1 + len(run) for run in _BACKTICKS.findall("\n".join(lines))), 0)
            yield from (f"{fence}sh", *lines, fence)
    yield ""


def _table(heads: Sequence[str], numbers: Sequence[bool], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'|'.join('---:' if is_number else '---' for is_number in numbers)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _chart(chart: Chart) -> Iterator[str]:
    yield text(chart.caption)
    yield ""
    has_shadow = any(bar.shadow for bar in chart.bars)
    most = max((bar.blocked + bar.shadow for bar in chart.bars), default=0) or 1
    heads = ["", text(chart.blocked), *([text(chart.shadow)] if has_shadow else []), ""]
    shown = [bar for bar in chart.bars if bar.blocked or bar.shadow]
    rows = [
        [
            bar.label,
            shown_number(bar.blocked),
            *([shown_number(bar.shadow)] if has_shadow else []),
            "█" * round(BAR_SIGNS * bar.blocked / most) + "░" * round(BAR_SIGNS * bar.shadow / most),
        ]
        for bar in (chart.bars if len(chart.bars) <= CHART_BARS_MAX else shown)
    ]
    yield from _table(heads, [False, True, *([True] if has_shadow else []), False], rows)


def _cell(cell: Cell) -> str:
    return "".join(map(_inline, cell)).strip()


def _inline(part: Inline) -> str:
    match part:
        case str():
            return _spaced(part)
        case Code(words):
            return code(words)
        case Link(url):
            return text(url)
        case Jump(_, words):
            return text(words)
        case Mark(words, tone):
            return f"{TONE_SIGNS[tone]} {text(words)}"
        case Strong(words):
            return f"**{text(words)}**"
        case Small(words):
            return text(words)
        case Spark(values):
            return _spark(values)


def _spaced(part: str) -> str:
    """A text whose spaces at both ends keep it from its neighbours."""
    if not part.strip():
        return " " if part else ""
    before = " " if part[0] == " " else ""
    return f"{before}{text(part)}{' ' if part[-1] == ' ' else ''}"


def _spark(values: Sequence[int]) -> str:
    most = max(1, *values) if values else 1
    return "".join(
        _SPARKS[min(len(_SPARKS) - 1, value * len(_SPARKS) // (most + 1))] if value else "·"
        for value in values
    )
