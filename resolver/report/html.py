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
from html import escape as escaped

from resolver.report.chart import chart_svg, spark_svg
from resolver.report.document import (
    Block,
    Bullets,
    Cell,
    Chart,
    Code,
    Column,
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
from resolver.report.plain import fitting, is_right_to_left, tame
from resolver.report.style import style_of

TONE_SIGNS = {"good": "✓", "warn": "!", "bad": "✗", "quiet": "·"}
"""So that marks differ on paper without colours."""


LONG_TITLE_CHARS = 140
"""From here on a title is set in smaller letters."""
SHORT_CHARS = 22
"""Code up to so long is not broken over lines."""


def escape(text: str) -> str:
    """Text as text, in one line, in an element or an attribute."""
    return escaped(tame(fitting(text)))


class HtmlWriter:
    """Writes the parts of one document."""

    def __init__(self, *, is_right_to_left: bool) -> None:
        self._is_right_to_left = is_right_to_left

    def body(self, document: Document) -> str:
        """All but the last part (`section`) and the end (`end`)."""
        style = style_of(document)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        direction = "rtl" if self._is_right_to_left else "ltr"
        policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        lines = [
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
            f"<h1>{self._text(document.title)}</h1>",
            f'<p class="subtitle">{self._text(document.subtitle)}</p>',
            *(line for block in document.cover for line in self._block(block)),
            "</header>",
            "<main>",
        ]
        for section in document.sections:
            lines += self.section(section)
        return "\n".join(lines) + "\n"

    def section(self, section: Section) -> Iterator[str]:
        """One part, on a page of its own."""
        yield f'<section id="{escape(section.anchor)}">'
        yield '<table class="sheet" role="presentation">'
        yield f'<thead><tr><td class="running">{self._text(section.running)}</td></tr></thead>'
        yield "<tbody><tr><td>"
        long = ' class="long"' if len(section.title) > LONG_TITLE_CHARS else ""
        yield f"<h2{long}>{self._text(section.title)}</h2>"
        for block in section.blocks:
            yield from self._block(block)
        yield "</td></tr></tbody></table>"
        yield "</section>"

    def end(self) -> str:
        """What closes the file."""
        return "</main>\n</body>\n</html>\n"

    def _block(self, block: Block) -> Iterator[str]:
        match block:
            case Heading(text):
                yield f"<h3>{escape(text)}</h3>"
            case Paragraph(content):
                yield f"<p>{self._cell(content)}</p>"
            case Note(content, tone):
                yield f'<p class="note {tone}">{self._cell(content)}</p>'
            case Title(text):
                yield f"<h2>{escape(text)}</h2>"
            case Facts(rows, is_wide):
                yield f'<dl class="facts{" whole" if is_wide else ""}">'
                yield from (
                    f"<div><dt>{escape(label)}</dt><dd>{self._cell(cell)}</dd></div>" for label, cell in rows
                )
                yield "</dl>"
            case Figures(items):
                yield '<ul class="figures">'
                for item in items:
                    value = f'<span class="value">{self._text(item.value)}</span>'
                    label = f'<span class="label">{escape(item.label)}</span>'
                    yield f'<li class="{item.tone}">{value}{label}</li>'
                yield "</ul>"
            case Table():
                yield from self._table(block)
            case Chart():
                yield from self._chart(block)
            case Bullets(points):
                yield "<ul>"
                yield from (f"<li>{self._cell(point)}</li>" for point in points)
                yield "</ul>"
            case Commands(lines):
                yield f'<pre dir="ltr">{chr(10).join(map(escape, lines))}</pre>'

    def _table(self, table: Table) -> Iterator[str]:
        yield '<table class="data">'
        heads = (
            f'<th scope="col"{_column_class(column)}>{escape(column.text)}</th>' for column in table.columns
        )
        yield f"<thead><tr>{''.join(heads)}</tr></thead>"
        yield "<tbody>"
        for row in table.rows:
            cells = (
                f"<td{_column_class(column)}>{self._cell(cell)}</td>"
                for column, cell in zip(table.columns, row, strict=True)
            )
            yield f"<tr>{''.join(cells)}</tr>"
        yield "</tbody></table>"
        if table.more:
            yield f'<p class="more">{escape(table.more)}</p>'

    def _chart(self, chart: Chart) -> Iterator[str]:
        yield '<figure class="chart">'
        yield chart_svg(chart)
        legend = f'<span class="key blocked"></span> {escape(chart.blocked)}'
        if any(bar.shadow for bar in chart.bars):
            legend += f' <span class="key shadow"></span> {escape(chart.shadow)}'
        yield f'<figcaption>{escape(chart.caption)} <span class="legend">{legend}</span></figcaption>'
        yield "</figure>"

    def _cell(self, cell: Cell) -> str:
        return "".join(map(self._inline, cell))

    def _inline(self, part: Inline) -> str:
        match part:
            case str():
                return self._text(part)
            case Code(text):
                short = ' class="short"' if len(text) <= SHORT_CHARS else ""
                return f'<code dir="ltr"{short}>{escape(text)}</code>'
            case Link(url):
                return self._link(url)
            case Jump(anchor, text):
                return f'<a class="jump" href="#{escape(anchor)}">{self._text(text)}</a>'
            case Mark(text, tone):
                sign = f'<span class="sign" aria-hidden="true">{TONE_SIGNS[tone]}</span>'
                return f'<span class="mark {tone}">{sign}{escape(text)}</span>'
            case Strong(text):
                return f"<strong>{self._text(text)}</strong>"
            case Small(text):
                return f"<small>{self._text(text)}</small>"
            case Spark(values):
                return spark_svg(values)

    def _text(self, text: str) -> str:
        """Its direction is its own, and turns nothing around it."""
        if is_right_to_left(text):
            return f"<bdi>{escape(text)}</bdi>"
        if self._is_right_to_left and not text.isspace():
            return f'<bdi dir="ltr">{escape(text)}</bdi>'
        return escape(text) if text.isascii() else f"<bdi>{escape(text)}</bdi>"

    def _link(self, url: str) -> str:
        shown = f'<span class="url" dir="ltr">{escape(url)}</span>'
        if not url.startswith(("https://", "http://")) or " " in url:
            return shown
        return f'<a href="{escape(url)}" rel="noopener noreferrer">{shown}</a>'


def _column_class(column: Column) -> str:
    return "" if column.kind == "text" else f' class="{column.kind}"'
