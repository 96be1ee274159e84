"""A document as one HTML file: no script, nothing loaded, made for paper as much as for a screen.

Knows: HTML, what a strict content security policy allows.  Does not know: what a report says.
Theory: every text goes through `escape`, and every attribute is ours or a number, so a text can be nothing
but text.  The policy allows one style sheet, by its hash, and forbids all else; should a text get through
all the same, nothing runs and nothing is loaded.
Printing: browsers repeat the head of a table on every page.  So each part of the report is a table of one
cell whose head names the part, and the tables in it repeat their own heads.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from html import escape

from resolver.report.chart import chart_svg, spark_svg
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
    Link,
    Mark,
    Note,
    Paragraph,
    Section,
    Small,
    Spark,
    Strong,
    Table,
)
from resolver.report.style import style_of

TONE_SIGNS = {"good": "✓", "warn": "!", "bad": "✗", "quiet": "·"}
"""So that marks differ on paper without colours."""


def html_body(document: Document) -> str:
    """All but the last part (`html_section`) and the end (`html_end`)."""
    style = style_of(document)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    direction = "rtl" if document.is_right_to_left else "ltr"
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = [
        "<!DOCTYPE html>",
        f'<html lang="{escape(document.language)}" dir="{direction}">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        '<meta name="color-scheme" content="light">',
        f"<title>{escape(document.running)}</title>",
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        '<header class="cover">',
        '<div class="rule"></div>',
        f"<h1>{escape(document.title)}</h1>",
        f'<p class="subtitle">{_isolated(document.subtitle)}</p>',
        *(line for block in document.cover for line in _block(block)),
        "</header>",
        "<main>",
    ]
    for section in document.sections:
        head += html_section(section)
    return "\n".join(head) + "\n"


def html_end() -> str:
    """What closes the file."""
    return "</main>\n</body>\n</html>\n"


def html_section(section: Section) -> Iterator[str]:
    """One part, on a page of its own."""
    yield f'<section id="{escape(section.anchor)}">'
    yield '<table class="sheet" role="presentation">'
    yield f'<thead><tr><td class="running">{_isolated(section.running)}</td></tr></thead>'
    yield "<tbody><tr><td>"
    yield f"<h2>{_isolated(section.title)}</h2>"
    for block in section.blocks:
        yield from _block(block)
    yield "</td></tr></tbody></table>"
    yield "</section>"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading(text):
            yield f"<h3>{escape(text)}</h3>"
        case Paragraph(content):
            yield f"<p>{_cell(content)}</p>"
        case Note(content, tone):
            yield f'<p class="note {tone}">{_cell(content)}</p>'
        case Facts(rows):
            yield '<dl class="facts">'
            yield from (f"<div><dt>{escape(label)}</dt><dd>{_cell(cell)}</dd></div>" for label, cell in rows)
            yield "</dl>"
        case Figures(items):
            yield '<ul class="figures">'
            for item in items:
                value = f'<span class="value">{escape(item.value)}</span>'
                yield f'<li class="{item.tone}">{value}<span class="label">{escape(item.label)}</span></li>'
            yield "</ul>"
        case Table():
            yield from _table(block)
        case Chart():
            yield from _chart(block)
        case Bullets(points):
            yield "<ul>"
            yield from (f"<li>{_cell(point)}</li>" for point in points)
            yield "</ul>"
        case Commands(lines):
            yield f'<pre dir="ltr">{escape(chr(10).join(lines))}</pre>'


def _table(table: Table) -> Iterator[str]:
    yield '<table class="data">'
    heads = (
        f'<th scope="col"{_column_class(column.is_number, column.is_wide)}>{escape(column.text)}</th>'
        for column in table.columns
    )
    yield f"<thead><tr>{''.join(heads)}</tr></thead>"
    yield "<tbody>"
    for row in table.rows:
        cells = (
            f"<td{_column_class(column.is_number, column.is_wide)}>{_cell(cell)}</td>"
            for column, cell in zip(table.columns, row, strict=True)
        )
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table>"
    if table.more:
        yield f'<p class="more">{escape(table.more)}</p>'


def _column_class(is_number: bool, is_wide: bool) -> str:
    return ' class="number"' if is_number else ' class="wide"' if is_wide else ""


def _chart(chart: Chart) -> Iterator[str]:
    yield '<figure class="chart">'
    yield chart_svg(chart)
    legend = f'<span class="key blocked"></span> {escape(chart.blocked)}'
    if any(bar.shadow for bar in chart.bars):
        legend += f' <span class="key shadow"></span> {escape(chart.shadow)}'
    yield f'<figcaption>{escape(chart.caption)} <span class="legend">{legend}</span></figcaption>'
    yield "</figure>"


def _cell(cell: Cell) -> str:
    return "".join(map(_inline, cell))


def _inline(part: Inline) -> str:
    match part:
        case str():
            return _isolated(part)
        case Code(text):
            return f'<code dir="ltr">{escape(text)}</code>'
        case Link(url):
            return _link(url)
        case Mark(text, tone):
            sign = f'<span class="sign" aria-hidden="true">{TONE_SIGNS[tone]}</span>'
            return f'<span class="mark {tone}">{sign}{escape(text)}</span>'
        case Strong(text):
            return f"<strong>{_isolated(text)}</strong>"
        case Small(text):
            return f"<small>{_isolated(text)}</small>"
        case Spark(values):
            return spark_svg(values)


def _isolated(text: str) -> str:
    """Its direction is its own, and turns nothing around it."""
    return escape(text) if text.isascii() else f"<bdi>{escape(text)}</bdi>"


def _link(url: str) -> str:
    shown = f'<span class="url" dir="ltr">{escape(url)}</span>'
    if not url.startswith(("https://", "http://")) or " " in url:
        return shown
    return f'<a href="{escape(url)}" rel="noopener noreferrer">{shown}</a>'
