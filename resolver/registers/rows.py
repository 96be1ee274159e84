"""CSV (RFC 4180 and its relations): text -> rows, each as wide as the first, with their lines.

Knows: quotes, delimiters, quoted line ends.  Does not know: what a column means.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from resolver.registers.record import RegisterRefused

ROW_LINES_MAX = 200
"""Of one row with quoted line ends; a quote that nobody closes takes all that follows for its field."""
FIELD_CHARS_MAX = 1 << 16
COLUMNS_MAX = 500


def rows_of(
    lines: Iterable[tuple[int, str]], delimiter: str, *, columns: int = 0
) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of their first line, fields stripped; blank lines left out.

    Every row has as many fields as the first, or `columns` of them where that is given: one that has not
    was cut off or is quoted wrongly, and nobody can say which of its fields is which.
    Raises `RegisterRefused`.
    """
    feed = _Feed(lines)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    width = columns
    while True:
        feed.start_row()
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise RegisterRefused(f"is no CSV from here on ({error})", line=feed.first_line) from None
        if fields is None:
            return
        if not fields or (len(fields) == 1 and not fields[0].strip()):
            continue
        width = width or len(fields)
        if len(fields) != width or width > COLUMNS_MAX:
            message = f"has {len(fields)} columns, {width} expected: it is cut off, or quoted wrongly"
            raise RegisterRefused(f"the row {message}", line=feed.first_line)
        yield feed.first_line, [field.strip() for field in fields]


class _Feed:
    """Gives the CSV reader lines, and notes where a row begins."""

    def __init__(self, lines: Iterable[tuple[int, str]]) -> None:
        self._lines = iter(lines)
        self.first_line = 0
        self._taken = 0

    def start_row(self) -> None:
        """The next line begins a row."""
        self._taken = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number, line = next(self._lines)
        if not self._taken:
            self.first_line = number
        self._taken += 1
        if self._taken > ROW_LINES_MAX:
            raise RegisterRefused(
                f"a row of over {ROW_LINES_MAX} lines: a quote is not closed", line=self.first_line
            )
        return line
