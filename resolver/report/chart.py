"""Bars as SVG, in a page and without it: numbers in, octets out.

Knows: geometry.  Does not know: what the bars count, colours (the page's style has them).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from resolver.report.document import Bar, Chart
from resolver.report.moments import shown_number

WIDTH = 720
HEIGHT = 170
LEFT, RIGHT, TOP, BOTTOM = 58, 8, 12, 26
"""Room for the numbers at the side and the dates below."""
LABELS_MAX = 8
SPARK_WIDTH, SPARK_HEIGHT = 92, 18


def chart_svg(chart: Chart) -> str:
    """The bars with their scale: blocked below, shadow on top of it."""
    bars = chart.bars
    most = max((bar.blocked + bar.shadow for bar in bars), default=0)
    scale = _scale(most)
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    lines = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" direction="ltr" class="bars" '
        f'aria-label="{escape(_told(chart))}">'
    ]
    for value in scale:
        y = TOP + inner_height * (1 - value / scale[-1])
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text class="scale" x="{LEFT - 7}" y="{y + 3.5:.1f}">{_short(value)}</text>')
    step = inner_width / max(1, len(bars))
    lines += _bars(bars, step, inner_height, scale[-1])
    every = -(-len(bars) // LABELS_MAX)
    for number, bar in enumerate(bars):
        if number % every == 0:
            x = LEFT + step * (number + 0.5)
            lines.append(f'<text class="date" x="{x:.1f}" y="{HEIGHT - 8}">{escape(bar.label)}</text>')
    lines.append("</svg>")
    return "".join(lines)


def _bars(bars: Sequence[Bar], step: float, height: int, most: int) -> Iterator[str]:
    width = min(max(1.0, step * 0.72), 34.0)
    base = TOP + height
    for number, bar in enumerate(bars):
        x = LEFT + step * (number + 0.5) - width / 2
        blocked = height * bar.blocked / most
        shadow = height * bar.shadow / most
        title = (
            f"<title>{escape(bar.label)}: {shown_number(bar.blocked)} + {shown_number(bar.shadow)}</title>"
        )
        if bar.blocked:
            yield _rect("blocked", x, base - blocked, width, blocked, title)
        if bar.shadow:
            yield _rect("shadow", x, base - blocked - shadow, width, shadow, title)


def _rect(kind: str, x: float, y: float, width: float, height: float, title: str) -> str:
    place = f'x="{x:.1f}" y="{y:.2f}" width="{width:.1f}" height="{height:.2f}"'
    return f'<rect class="{kind}" {place}>{title}</rect>'


def _scale(most: int) -> list[int]:
    """Round numbers from 0 to at least `most`, at most five of them."""
    unit = 1
    while True:
        for step in (unit, 2 * unit, 5 * unit):
            count = max(1, -(-most // step))
            if count <= 4:
                return [step * number for number in range(count + 1)]
        unit *= 10


def _short(value: int) -> str:
    return shown_number(value) if value < 1_000_000 else f"{value / 1e6:g}\u202fM"


def _told(chart: Chart) -> str:
    """The chart for those who do not see it."""
    if not chart.bars:
        return chart.caption
    blocked = sum(bar.blocked for bar in chart.bars)
    first, last = chart.bars[0].label, chart.bars[-1].label
    return f"{chart.caption}, {first} – {last}: {chart.blocked} {shown_number(blocked)}"


def spark_svg(values: Sequence[int]) -> str:
    """A row of tiny bars, without scale."""
    most = max(1, *values) if values else 1
    step = SPARK_WIDTH / max(1, len(values))
    rects = "".join(
        f'<rect x="{number * step:.1f}" y="{SPARK_HEIGHT - height:.1f}" '
        f'width="{max(0.8, step * 0.75):.1f}" height="{height:.1f}"/>'
        for number, value in enumerate(values)
        if (height := max(1.0, SPARK_HEIGHT * value / most) if value else 0)
    )
    return (
        f'<svg class="spark" viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" width="{SPARK_WIDTH}" '
        f'height="{SPARK_HEIGHT}" direction="ltr" aria-hidden="true">'
        f'<line x1="0" x2="{SPARK_WIDTH}" y1="{SPARK_HEIGHT - 0.25}" y2="{SPARK_HEIGHT - 0.25}"/>'
        f"{rects}</svg>"
    )
