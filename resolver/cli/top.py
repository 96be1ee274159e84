"""`top`: what is met most now, in the terminal, again and again; one snapshot for programs.

Knows: tables, keys, the size of the screen.  Does not know: where the figures come from.
"""

from __future__ import annotations

import json
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.table import Table
from rich.text import Text

from resolver.cli.files import EXIT_FINE, BadInput, bad_input, read_settings
from resolver.cli.moments import iso_moment
from resolver.cli.top_figures import Figures, Moment
from resolver.hits.names import NameRow
from resolver.hits.ranking import Row
from resolver.problems import Problem, printable

FIRST_LOOK_S: Final = 1.0
"""Between the two looks of a snapshot."""
LINES_OF_SNAPSHOT: Final = 20
"""Of each kind, unless told otherwise."""
HELP: Final = "q ends, s sorts by another column"

ORDERS: Final[dict[str, Callable[[Row], float]]] = {
    "/S": lambda row: row.per_s,
    "1 MIN": lambda row: row.last_minute,
    "1 H": lambda row: row.last_hour,
    "24 H": lambda row: row.last_day,
    "ALL": lambda row: row.total,
}
"""Columns that lines can be sorted by, and their figures."""

_TITLES: Final = {"exchange": "EXCHANGE", "list": "LIST", "order": "ORDER"}


def show_top(
    config: Path | None,
    records: Path | None,
    *,
    interval_s: float,
    limit: int | None,
    once: bool,
    as_json: bool,
) -> int:
    """Show it until `q`; one snapshot with `once`, `as_json`, or where there is no terminal."""
    try:
        settings, _ = read_settings(config)
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    figures = Figures(settings, records)
    is_terminal = sys.stdout.isatty() and sys.stdin.isatty()
    if as_json or once or not is_terminal:
        return _snapshot(figures, limit, as_json=as_json)
    with _keys() as key_within:
        return _watch(figures, Console(), key_within, interval_s=interval_s, limit=limit)


def _snapshot(figures: Figures, limit: int | None, *, as_json: bool) -> int:
    """Two looks, for rates need them."""
    moment = figures.look()
    if moment.started_at is not None:
        time.sleep(FIRST_LOOK_S)
        moment = figures.look()
    if not moment.has_source:
        problems = [Problem("top", 0, printable(remark)) for remark in moment.remarks[:-1]]
        return bad_input(problems, as_json=as_json)
    if as_json:
        print(json.dumps(moment.as_json(), indent=2))
    else:
        console = Console(width=None if sys.stdout.isatty() else 120)
        console.print(picture(moment, "/S", limit or LINES_OF_SNAPSHOT))
    return EXIT_FINE


def _watch(
    figures: Figures,
    console: Console,
    key_within: Callable[[float], str],
    *,
    interval_s: float,
    limit: int | None,
) -> int:
    columns = list(ORDERS)
    moment, looked_at = figures.look(), time.monotonic()
    with Screen(console=console, screen=True, auto_refresh=False) as screen:
        while True:
            lines = limit or lines_that_fit(console.width, console.height, moment)
            screen.update(picture(moment, columns[0], lines, HELP), refresh=True)
            key = key_within(max(0.0, looked_at + interval_s - time.monotonic()))
            if key in ("q", "\x03", "\x04"):
                return EXIT_FINE
            if key == "s":
                columns.append(columns.pop(0))
            elif not key:
                moment, looked_at = figures.look(), time.monotonic()


def lines_that_fit(width: int, height: int, moment: Moment) -> int:
    """Lines of each kind that a screen has room for."""
    kinds = sum(1 for kind in _TITLES if moment.of(kind)) + bool(moment.names)
    remarks = sum(-(-len(printable(remark)) // width) for remark in moment.remarks)
    # The head, an empty line, the help; of each kind an empty line, its title, and that there are more.
    room = height - 4 - remarks - 3 * kinds
    return max(2, room // max(kinds, 1))


def picture(moment: Moment, column: str, lines: int, hint: str = "") -> RenderableType:
    """Everything, as a terminal shows it; `column`: what lines are sorted by."""
    parts: list[RenderableType] = [_head(moment)]
    for kind, title in _TITLES.items():
        rows = sorted(moment.of(kind), key=ORDERS[column], reverse=True)
        if rows:
            parts += [Text(), _table(title, rows[:lines], column)]
        if len(rows) > lines:
            parts.append(Text(f"and {len(rows) - lines:,} more", style="dim"))
    names = moment.names or ()
    if names:
        parts += [Text(), _table_of_names(names[:lines])]
    if len(names) > lines:
        parts.append(Text(f"and {len(names) - lines:,} more", style="dim"))
    parts += [Text(), *(Text(printable(remark), style="dim") for remark in moment.remarks)]
    if hint:
        parts.append(Text(hint, style="dim"))
    return Group(*parts)


def _head(moment: Moment) -> Text:
    said = [iso_moment(moment.at) or ""]
    if moment.queries_per_s is not None and moment.hits_per_s is not None:
        said.append(f"{moment.queries_per_s:,.1f} queries a second")
        said.append(f"{moment.hits_per_s:,.1f} hits a second")
    return Text(", ".join(said), style="bold")


def _table(title: str, rows: list[Row], column: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title, overflow="fold", min_width=20)
    table.add_column("DONE", overflow="fold", min_width=10)
    for name in ORDERS:
        header = Text(name, style="reverse" if name == column else "")
        table.add_column(header, justify="right", no_wrap=True, min_width=7)
    for row in rows:
        done = ", ".join(row.actions) + (" (shadow)" if row.mode == "shadow" else "")
        figures = (row.last_minute, row.last_hour, row.last_day, row.total)
        cells = [row.label, done, f"{row.per_s:,.1f}", *map(show_count, figures)]
        # As text: rich would take brackets in a name for its markup.
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _table_of_names(rows: Sequence[NameRow]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("NAME", overflow="fold", min_width=20)
    table.add_column("OF", overflow="fold")
    table.add_column("DONE", overflow="fold")
    for name in ("/S", "1 MIN"):
        table.add_column(name, justify="right", no_wrap=True, min_width=7)
    for row in rows:
        done = row.key.action + (" (shadow)" if row.key.mode == "shadow" else "")
        cells = (row.qname, row.key.label, done, f"{row.per_s:,.1f}", show_count(row.last_minute))
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def show_count(count: int) -> str:
    """`9,999,999`; `10.0M`; `1.2G`."""
    if count < 10**7:
        return f"{count:,}"
    return f"{count / 10**6:,.1f}M" if count < 10**9 else f"{count / 10**9:,.1f}G"


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Gives a function: the key pressed within so many seconds, or an empty text."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def key_within(seconds: float) -> str:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        return (os.read(descriptor, 1).decode("latin-1") or "\x04") if ready else ""

    try:
        tty.setcbreak(descriptor)
        yield key_within
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
