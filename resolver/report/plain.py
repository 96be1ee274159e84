"""Texts that others wrote, made fit to stand in a line of a document.

Knows: which signs steer a reader (line ends, tabs, direction marks, what nobody sees).
Does not know: markup.
Theory: a title is shown as its letters; what has no shape is shown as its number, `\\u202e`, so that it does
nothing and is not lost.
"""

from __future__ import annotations

import re
import unicodedata

SHOWN_CHARS_MAX = 600
"""Longest text of others in a document for people; the JSON has all of it."""

_SPACES = re.compile(r"\s+")
_JOINERS = frozenset("\u200c\u200d")
"""Scripts such as Persian are written with them."""
_ISOLATES = frozenset("\u2066\u2067\u2068")
_END_OF_ISOLATE = "\u2069"
_HARMLESS = _JOINERS | _ISOLATES | {_END_OF_ISOLATE}
"""Isolates that are closed turn nothing outside of them."""
_RIGHT_TO_LEFT = frozenset(("R", "AL", "AN"))


def one_line(text: str) -> str:
    """The text in one line, with nothing in it that steers; as long as it is."""
    return tame(text).strip()


def tame(text: str) -> str:
    """The same, with a space at either end where there was one."""
    text = _SPACES.sub(" ", text)
    if text.isprintable():
        return text
    harmless = _HARMLESS if _is_balanced(text) else _JOINERS
    return "".join(
        sign
        if sign.isprintable() or sign in harmless
        else sign.encode("unicode_escape", "surrogatepass").decode()
        for sign in text
    )


def _is_balanced(text: str) -> bool:
    """Whether every isolate in it is closed, in it."""
    depth = 0
    for sign in text:
        if sign in _ISOLATES:
            depth += 1
        elif sign == _END_OF_ISOLATE:
            depth -= 1
            if depth < 0:
                return False
    return depth == 0


def shown(text: str) -> str:
    """The same, cut to what a document for people holds."""
    # What is cut off is not made readable first: it may be megabytes.
    cut = text if len(text) <= 4 * SHOWN_CHARS_MAX else text[: 4 * SHOWN_CHARS_MAX]
    line = one_line(cut)
    if len(line) <= SHOWN_CHARS_MAX and cut is text:
        return line
    return line[: SHOWN_CHARS_MAX - 2].rstrip() + " …"


def fitting(text: str) -> str:
    """The text as it is, where a document holds it; else what `shown` makes of it."""
    return text if len(text) <= SHOWN_CHARS_MAX else shown(text)


def is_right_to_left(text: str) -> bool:
    """Whether it has letters that run from right to left."""
    return not text.isascii() and any(unicodedata.bidirectional(sign) in _RIGHT_TO_LEFT for sign in text)
