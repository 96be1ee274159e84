"""A bar chart as SVG: CPU per query, one panel for each load, one bar for each contestant.

Knows: how bars, axes and words are laid out.  Does not know: where the figures come from.
The axes are linear and begin at 0; a bar that would leave the others no room is broken, and says so by a
gap and by its figure.  Colours follow the reader's light or dark scheme, background included; no
figure is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10

WIDTH = 960
MARGIN = 24
HEAD = 64
LABEL_WIDTH = 156
VALUE_WIDTH = 56
BAR_HEIGHT = 16
BAR_STEP = 24
PANEL_HEAD = 30
PANEL_FOOT = 30
PANEL_GAP = 28
SUBTITLE = (
    "Shorter is better. The dashed line is the bare echo, the least the kernel takes."
    " A broken bar is longer than shown."
)
BREAK_FACTOR = 3.0
"""A bar longer than this many times the median bar is broken."""

STYLE = """\
  .ground { fill: #ffffff } .ink { fill: #1f2328 } .soft { fill: #59636e } .grid { stroke: #d1d9e0 }
  .echo { fill: #8c959f } .native { fill: #0969da } .python { fill: #54aeff } .peer { fill: #b0855a }
  .limit { stroke: #59636e; stroke-dasharray: 3 3 } .gap { fill: #ffffff }
  text { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 13px }
  .title { font-size: 17px; font-weight: 600 } .load { font-size: 14px; font-weight: 600 }
  .own { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .ground, .gap { fill: #0d1117 } .ink { fill: #f0f6fc } .soft { fill: #9198a1 } .grid { stroke: #3d444d }
    .echo { fill: #9198a1 } .native { fill: #4493f8 } .python { fill: #79c0ff } .peer { fill: #c69c6d }
    .limit { stroke: #9198a1 }
  }
"""


@dataclass(frozen=True)
class Panel:
    """One load."""

    title: str
    values: Mapping[str, float]
    """Contestant -> its figure."""


def axis_end(values: Sequence[float]) -> float:
    """Where the axis ends: a round figure that all bars but the broken ones fit in."""
    if not values:
        return 1.0
    middle = sorted(values)[(len(values) - 1) // 2]
    longest = max(value for value in values if value <= middle * BREAK_FACTOR)
    step = tick_step(longest)
    return step * (floor(longest / step * 0.999999) + 1)


def tick_step(longest: float) -> float:
    """1, 2 or 5 times a power of ten, so that an axis to `longest` has three to seven ticks."""
    power = 10.0 ** floor(log10(longest)) if longest > 0 else 1.0
    for factor in (0.2, 0.5, 1.0, 2.0):
        if longest / (power * factor) <= 6:
            return power * factor
    return power * 2


def draw(title: str, panels: Sequence[Panel], labels: Mapping[str, str]) -> str:
    """The chart; `labels` gives the order of the contestants and what they are called."""
    rows = max((len(panel.values) for panel in panels), default=0)
    panel_height = PANEL_HEAD + rows * BAR_STEP + PANEL_FOOT
    panel_width = (WIDTH - 2 * MARGIN - PANEL_GAP) / 2
    lines = (len(panels) + 1) // 2
    height = HEAD + lines * panel_height + (lines - 1) * 12 + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}"'
        f' height="{height:g}" role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(_words(panels, labels))}</desc>',
        f"<style>\n{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height:g}" rx="6"/>',
        f'<text class="title ink" x="{MARGIN}" y="32">{escape(title)}</text>',
        f'<text class="soft" x="{MARGIN}" y="52">{SUBTITLE}</text>',
    ]
    for place, panel in enumerate(panels):
        left = MARGIN + (place % 2) * (panel_width + PANEL_GAP)
        top = HEAD + (place // 2) * (panel_height + 12)
        parts += _panel(panel, labels, left, top, panel_width)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _words(panels: Sequence[Panel], labels: Mapping[str, str]) -> str:
    """The same figures for those who cannot see the bars."""
    return " ".join(
        f"{panel.title}: "
        + ", ".join(
            f"{label} {_figure(panel.values[key])}" for key, label in labels.items() if key in panel.values
        )
        + "."
        for panel in panels
    )


def _panel(panel: Panel, labels: Mapping[str, str], left: float, top: float, width: float) -> list[str]:
    end = axis_end(list(panel.values.values()))
    bars_left, bars_width = left + LABEL_WIDTH, width - LABEL_WIDTH - VALUE_WIDTH
    bars_top = top + PANEL_HEAD
    shown = [key for key in labels if key in panel.values]
    bottom = bars_top + len(shown) * BAR_STEP
    parts = [f'<text class="load ink" x="{left:g}" y="{top + 18:g}">{escape(panel.title)}</text>']
    step = tick_step(end)
    for tick in range(round(end / step) + 1):
        x = bars_left + bars_width * tick * step / end
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{bars_top - 4:g}" y2="{bottom:g}"/>')
        parts.append(
            f'<text class="soft" text-anchor="middle" x="{x:.1f}" y="{bottom + 16:g}">{tick * step:g}</text>'
        )
    for place, key in enumerate(shown):
        y = bars_top + place * BAR_STEP
        parts += _bar(key, labels[key], panel.values[key], end, bars_left, y, bars_width)
    if "echo" in panel.values and panel.values["echo"] <= end:
        x = bars_left + bars_width * panel.values["echo"] / end
        parts.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{bars_top - 4:g}" y2="{bottom:g}"/>')
    return parts


def _bar(key: str, label: str, value: float, end: float, left: float, y: float, width: float) -> list[str]:
    kind = key if key in ("echo", "native", "python") else "peer"
    own = " own" if kind in ("native", "python") else ""
    length = width * min(value / end, 1.0)
    middle = y + BAR_HEIGHT / 2 + 4.5
    parts = [
        f'<text class="ink{own}" text-anchor="end" x="{left - 8:g}" y="{middle:g}">{escape(label)}</text>',
        f'<rect class="{kind}" x="{left:g}" y="{y:g}" width="{max(length, 1):.1f}"'
        f' height="{BAR_HEIGHT}" rx="2"/>',
    ]
    if value > end:
        # Two slanted gaps near the end: the usual sign of a bar that goes on.
        for back in (26, 18):
            x = left + length - back
            corners = f"{x:.1f},{y + BAR_HEIGHT + 1:g} {x + 4:.1f},{y + BAR_HEIGHT + 1:g}"
            parts.append(
                f'<polygon class="gap" points="{corners} {x + 8:.1f},{y - 1:g} {x + 4:.1f},{y - 1:g}"/>'
            )
    parts.append(f'<text class="ink{own}" x="{left + length + 6:.1f}" y="{middle:g}">{_figure(value)}</text>')
    return parts


def _figure(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
