"""What a YAML file that cannot be read most often suffers from: found in its lines, named at its own line.

Knows: merge conflicts, open quotes, missing colons.  Does not know: YAML beyond that, what the file says.
Theory: libyaml complains where it no longer understands, which is often a line or more behind the slip.
These look at the lines before that place, and only once it is known that something is wrong, so a file
that can be read is never complained of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from resolver.problems import show

CONFLICT_MARKERS_SHOWN_MAX = 30
"""Markers reported one by one."""

QUOTED_CHARS_MAX = 200
"""Of a value in quotes, kept for the message: more than any message shows."""

_CONFLICT = re.compile(rb"^(?:<{7}|>{7}|\|{7})(?: [^\n]*)?$|^={7}$", re.MULTILINE)
_CONFLICT_START = re.compile(rb"^<{7} ", re.MULTILINE)
_NO_SPACE = re.compile(r"(?:- +)?([\w-]+):((?!//)\S.*)")
_SIGN = re.compile(r"[\"'#\\]")
"""What a scan for open quotes stops at."""
_BEFORE_QUOTE = re.compile(r"[\s:,\[{-]")
_AFTER_QUOTE = re.compile(r"\s*(?:[,\]}:]|#|\Z)")


def conflict_lines(octets: bytes) -> Iterator[tuple[int, str]]:
    """The lines of a merge that was never finished, and what to say of each; mostly nothing."""
    return _marks(octets) if _CONFLICT_START.search(octets) is not None else iter(())


def _marks(octets: bytes) -> Iterator[tuple[int, str]]:
    for number, found in enumerate(_CONFLICT.finditer(octets)):
        if number == CONFLICT_MARKERS_SHOWN_MAX:
            return
        line = octets.count(b"\n", 0, found.start()) + 1
        text = found[0].decode("utf-8", "replace").rstrip("\r")
        yield line, f"{show(text)} is the mark of a merge conflict; choose one side and delete the marks"


def likely_fault(octets: bytes, complaint: str, line: int, began: int) -> tuple[int, str] | None:
    """The slip behind `complaint`, which libyaml has at `line` (of a thing that `began` further up, or 0)."""
    # Of a conflict that was tidied by half; alone it might stand in a text that is fine.
    if (mark := next(_marks(octets), None)) is not None and mark[0] <= line:
        return mark
    lines = octets.decode("utf-8", "replace").split("\n", line)[:line]
    if (quote := _open_quote(lines)) is not None:
        return quote
    if "could not find expected ':'" in complaint and 0 < began <= len(lines):
        return _missing_colon(began, lines[began - 1])
    if "mapping values are not allowed" in complaint or "did not find expected key" in complaint:
        for number in range(line - 1, 0, -1):
            text = _without_comment(lines[number - 1])
            # An item of one word is a name of a list, whose key stands further up.
            if text and not (text.startswith("- ") and len(text.split()) == 2):
                return _missing_colon(number, text)
    return None


def _missing_colon(number: int, line: str) -> tuple[int, str] | None:
    text = _without_comment(line)
    if (glued := _NO_SPACE.fullmatch(text)) is not None:
        written = f"{glued[1]}: {glued[2]}"
        return number, f"there is no space after the colon in {show(text)}; write {show(written)}"
    if not text or text.endswith(":") or ": " in text or text[0] in "[{\"'&*|>":
        return None
    words = text.removeprefix("- ").split(maxsplit=1)
    written = f"{words[0]}: {words[1]}" if len(words) > 1 else f"{words[0]}:"
    return number, f"there is no colon in {show(text)}; write {show(written)}"


def _without_comment(line: str) -> str:
    return re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()


def _open_quote(lines: list[str]) -> tuple[int, str] | None:
    """The first quote that is never closed, or whose end is followed by more of the value."""
    opened_at, mark, opening = 0, "", ""
    for number, line in enumerate(lines, start=1):
        sign = _SIGN.search(line)
        while sign is not None:
            at = sign.start()
            if not mark:
                if line[at] == "#" and (at == 0 or line[at - 1] in " \t"):
                    break
                if line[at] in "\"'" and (at == 0 or _BEFORE_QUOTE.match(line, at - 1)):
                    opened_at, mark = number, line[at]
                    opening = line[at : at + QUOTED_CHARS_MAX].strip()
            elif mark == '"' and line[at] == "\\":
                at += 1
            elif line[at] == mark:
                if mark == "'" and line[at + 1 : at + 2] == "'":
                    at += 1
                elif _AFTER_QUOTE.match(line, at + 1):
                    mark = ""
                elif opened_at == number:
                    return number, (
                        f"the quote in {show(opening)} closes before the end of the value; "
                        "put the value in quotes of the other kind"
                    )
                else:
                    return opened_at, _unclosed(opening)
            sign = _SIGN.search(line, at + 1)
    return (opened_at, _unclosed(opening)) if mark else None


def _unclosed(opening: str) -> str:
    return f"the quote that opens in {show(opening)} is not closed"
