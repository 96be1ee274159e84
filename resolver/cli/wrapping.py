"""Long lines and wide tables on a terminal: wrapped under themselves, words whole.

Knows: how wide the terminal is.  Does not know: what stands in the lines.
Where there is no terminal nothing is wrapped, so that programs find each fact on one line.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.table import Table
from rich.text import Text

COLUMNS_MAX: Final = 120
"""Longer lines are hard to read, however wide the terminal is."""
COLUMNS_MIN: Final = 40
TABLE_COLUMNS_MIN: Final = 110
"""On a narrower terminal a table of many columns breaks its words: each row becomes a block of lines."""
NO_TERMINAL_COLUMNS: Final = 200


def terminal_columns() -> int | None:
    """How wide a page for standard output may be; None: there is no terminal, and lines are never wrapped."""
    if not sys.stdout.isatty():
        return None
    columns = os.get_terminal_size(sys.stdout.fileno()).columns
    return max(COLUMNS_MIN, min(columns or 80, COLUMNS_MAX))


def wrapped(line: str, columns: int | None, indent: int) -> list[str]:
    """The lines of one; what follows the first is indented by so many columns.  None: no wrapping."""
    if columns is None or not line:
        return [line]
    if cell_len(line) != len(line):
        return _wrapped_wide(line, columns, indent)
    # A name is not broken: it is there to be copied.
    return textwrap.wrap(
        line,
        columns,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    )


def _wrapped_wide(line: str, columns: int, indent: int) -> list[str]:
    """The same for text with letters of two columns, which has no blanks to break at: it breaks anywhere."""
    lines = [""]
    for word in re.findall(r"\s+|\S+", line):
        is_name = word.isascii() or word.isspace()
        for piece in [word] if is_name else chop_cells(word, 2):
            is_begun = lines[-1].strip() != ""
            if is_begun and cell_len(lines[-1]) + cell_len(piece) > columns:
                lines[-1] = lines[-1].rstrip()
                lines.append(" " * indent)
                piece = piece.lstrip()
            lines[-1] += piece
    return lines


def print_rows(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title_cells: int = 1,
    numbers: Collection[str] = (),
) -> None:
    """Print a table of many columns; on a narrow terminal a block of lines for each row, without empty cells.

    The texts are printable; `-` is an empty cell.  `title_cells`: how many stand above a block.  `numbers`:
    headers of columns that stand at the right.
    """
    columns = terminal_columns()
    if columns is not None and columns < TABLE_COLUMNS_MIN:
        print("\n".join(line for row in rows for line in _block(headers, row, columns, title_cells)))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold", justify="right" if header in numbers else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(width=None if columns is not None else NO_TERMINAL_COLUMNS).print(table)


def _block(headers: Sequence[str], row: Sequence[str], columns: int, title_cells: int) -> Iterator[str]:
    indent = max(map(len, headers)) + 4
    yield " ".join(row[:title_cells])
    for header, cell in zip(headers[title_cells:], row[title_cells:], strict=True):
        if cell not in ("", "-"):
            yield from wrapped(f"  {header.lower():<{indent - 2}}{cell}", columns, indent)
