"""HTML -> rows: those of its tables, points of its lists, its running text.

Knows: which tags begin a row, a cell or a line; links; entities.  Does not know: octets, platforms, styles.
Theory: one pass over the text from `<` to `>`, without a tree and without recursion, so that depth costs
nothing and broken markup is merely text.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right

from resolver.orders.headers import roles_of
from resolver.orders.rows import Budget, Cell, Kind, Role, Row, Unreadable
from resolver.orders.text_rows import LINE_CHARS_MAX, text_rows

TAG_CHARS_MAX = 65_536
"""A longer tag is none: the `<` stands for itself."""

LINKS_MAX = 100
"""Links of one cell that are looked at."""

_TAG = re.compile(r"/?([a-zA-Z][a-zA-Z0-9:-]{0,30})")
_HREF = re.compile(
    r"""\bhref\s*=\s*(?:"([^"]{0,4000})"|'([^']{0,4000})'|([^\s"'>]{1,4000}))""", re.IGNORECASE
)
_SKIPPED = ("script", "style", "template", "head", "noscript", "svg", "select", "textarea")
_LINES = frozenset(
    [
        "p",
        "div",
        "section",
        "article",
        "header",
        "footer",
        "aside",
        "main",
        "nav",
        "ul",
        "ol",
        "dl",
        "dt",
        "dd",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "table",
        "thead",
        "tbody",
        "tfoot",
        "caption",
        "blockquote",
        "pre",
        "hr",
        "form",
        "fieldset",
        "body",
        "html",
        "address",
        "figure",
        "figcaption",
    ]
)


def html_rows(text: str) -> list[Row]:
    """The rows of a page.  Raises Unreadable as text does."""
    return _Page(text.replace("\r\n", "\n").replace("\r", "\n")).read()


class _Page:
    """One pass over a page."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lower = text.lower()
        self._line_starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._rows: list[Row] = []
        self._pieces: list[str] = []
        self._links: list[str] = []
        self._has_text = False
        self._started_at = 0
        """Where the first sign of the text read since the last line stands."""
        self._next_end = 0
        """Where the next `>` is, as far as anybody looked."""
        self._cells: list[Cell] | None = None
        """Of the table row that is open; None: none is."""
        self._is_in_cell = False
        self._is_header = False
        """The open row has a heading in it."""
        self._roles: list[Role] = []
        self._is_point = False
        self._is_pre = False
        self._block = 0
        self._before = ""
        """The line above that a line break has ended."""
        self._budget = Budget()

    def read(self) -> list[Row]:
        text, at = self._text, 0
        while at < len(text):
            begin = text.find("<", at)
            if begin < 0:
                self._add(text[at:], at)
                break
            self._add(text[at:begin], at)
            at = self._tag(begin)
        self._end_line(len(text))
        self._end_row()
        return self._rows

    def _line(self, at: int) -> int:
        return bisect_right(self._line_starts, at)

    def _add(self, text: str, at: int) -> None:
        if not text:
            return
        if not self._has_text:
            self._started_at = at + len(text) - len(text.lstrip())
            self._has_text = not text.isspace()
        # A line end in the source is a blank to the reader of the page.
        self._pieces.append(html.unescape(text if self._is_pre else re.sub(r"\s+", " ", text)))

    def _tag(self, begin: int) -> int:
        """Take the tag at `begin`; where what follows it starts."""
        text = self._text
        if text.startswith("<!--", begin):
            end = text.find("-->", begin + 4)
            return len(text) if end < 0 else end + 3
        if self._next_end < begin:
            # Each `>` is looked for once, however many `<` there are.
            found = text.find(">", begin)
            self._next_end = len(text) if found < 0 else found
        end = self._next_end
        name = _TAG.match(text, begin + 1)
        if (
            end == len(text)
            or end - begin > TAG_CHARS_MAX
            or (name is None and not text.startswith(("<!", "<?"), begin))
        ):
            self._add("<", begin)
            return begin + 1
        if name is not None:
            word = name[1].lower()
            is_end = text[begin + 1] == "/"
            if word in _SKIPPED and not is_end and text[end - 1] != "/":
                close = self._lower.find(f"</{word}", end)
                return len(text) if close < 0 else close
            self._on_tag(word, begin, is_end=is_end, inside=text[name.end() : end])
        return end + 1

    def _on_tag(self, word: str, at: int, *, is_end: bool, inside: str) -> None:
        if word == "a" and not is_end and (found := _HREF.search(inside)):
            if len(self._links) < LINKS_MAX:
                self._links.append(html.unescape(next(filter(None, found.groups()), "")))
        elif word == "br":
            if self._cells is not None:
                self._pieces.append("\n")
            else:
                line = "".join(self._pieces)
                self._end_line(at)
                self._before = line.rstrip()
        elif word == "tr":
            self._end_line(at)
            self._end_row()
            if not is_end:
                self._cells = []
                self._is_header = False
        elif word in ("td", "th"):
            self._end_line(at)
            if not is_end and self._cells is not None:
                self._is_in_cell = True
                self._is_header = self._is_header or word == "th"
        elif word == "li":
            self._end_line(at)
            self._is_point = not is_end
        elif word in _LINES:
            if self._cells is not None and word not in ("table", "thead", "tbody", "tfoot"):
                self._pieces.append("\n")
            else:
                self._end_line(at)
                self._end_row()
            if word == "pre":
                self._is_pre = not is_end
            if word in ("table", "ul", "ol"):
                self._block += 1
            if word == "table":
                self._roles = []

    def _end_line(self, at: int) -> None:
        """Make a cell, or a line of text, of what was read since the last one."""
        text, links = "".join(self._pieces), tuple(self._links)
        before, self._before = self._before, ""
        self._pieces, self._links, self._has_text = [], [], False
        if len(text) > LINE_CHARS_MAX:
            message = f"has {len(text):,} characters in one piece; allowed: {LINE_CHARS_MAX:,}"
            raise Unreadable(self._line(self._started_at), message)
        if self._cells is not None:
            if self._is_in_cell:
                role = self._roles[len(self._cells)] if len(self._cells) < len(self._roles) else Role.ANY
                self._cells.append(Cell(text.strip(), self._line(self._started_at), role, links))
            self._is_in_cell = False
            return
        if not text.strip():
            return
        line = self._line(self._started_at)
        if self._is_pre:
            self._rows += text_rows(text.strip("\n"), first_line=line, budget=self._budget)
            return
        shown = f"- {text.strip()}" if self._is_point else text.strip()
        shown = shown.replace("\n", " ")
        for row in text_rows(shown, first_line=line, budget=self._budget, before=before):
            cells = tuple(
                Cell(cell.text, line, cell.role, links if at == 0 else (), cell.cut_from)
                for at, cell in enumerate(row.cells)
            )
            self._rows.append(Row(line, cells, row.kind, self._block, row.is_bare))

    def _end_row(self) -> None:
        cells, self._cells = self._cells, None
        if not cells:
            return
        if self._is_header and not self._roles and (roles := roles_of([cell.text for cell in cells])):
            self._roles = roles
            return
        whole = tuple(cell for cell in cells if cell.text or cell.links)
        if whole:
            self._rows.append(Row(whole[0].line, whole, Kind.LISTED, self._block))
