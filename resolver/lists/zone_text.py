"""Text of a zone file (RFC 1035 §5.1) -> records as words.

Knows: comments, quotes, escapes, parentheses, $ORIGIN, owners left out.  Does not know: what a record
means.  One pass over lines, whatever they hold: a line that breaks off inside parentheses costs the
lines up to the next `)`, at most `RECORD_LINES_MAX`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from resolver.lists.reading import text_of
from resolver.problems import show

RECORD_LINES_MAX = 100
"""Longest record, in lines: a SOA has seven."""

_WORDS = re.compile(
    r'(?P<space>\s+)|(?P<comment>;.*)|(?P<sign>[()])|(?P<word>"(?:[^"\\]|\\.)*"|(?:\\.|[^\s;()"])+)'
)
_TTL = re.compile(r"(?:\d++[smhdw]?+)++\Z", re.ASCII | re.IGNORECASE)
_CLASSES = frozenset(("in", "ch", "hs"))


class ZoneRecord(NamedTuple):
    """One record, its names not yet put together with the origin."""

    owner: str
    rtype: str
    """Upper case."""
    words: list[str]
    """Its RDATA."""
    line: int
    """Where it begins."""


class ZoneText:
    """Reads line after line; keeps what the next ones depend on."""

    def __init__(self) -> None:
        self.origin = ""
        """As the last $ORIGIN says; empty: not said."""
        self.first_origin = ""
        self.owner = ""
        """Of the last record."""
        self._open_words: list[str] | None = None
        self._open_line = 0
        self._depth = 0

    @property
    def is_inside_record(self) -> bool:
        """Whether the next line goes on with a record."""
        return self._depth > 0

    def read_line(self, octets: bytes, line: int) -> ZoneRecord | None:
        """A record that ends on this line, if one does.  Raises ValueError."""
        text = text_of_zone(octets)
        words = self._split(text)
        if self._open_words is not None:
            self._open_words += words
            words = self._open_words
            if self._depth:
                if line - self._open_line >= RECORD_LINES_MAX:
                    self._close()
                    raise ValueError(f"a record of over {RECORD_LINES_MAX} lines")
                return None
            line = self._open_line
            self._close()
        else:
            if not words and not self._depth:
                return None
            # An empty word stands for the owner left out: a record that begins with space.
            words = ["", *words] if text[:1] in (" ", "\t") else words
            if self._depth:
                self._open_words, self._open_line = words, line
                return None
        return self._record(words, line)

    def _close(self) -> None:
        self._open_words = None
        self._depth = 0

    def _split(self, text: str) -> list[str]:
        words = []
        at = 0
        while at < len(text):
            match = _WORDS.match(text, at)
            if match is None:
                self._close()
                raise ValueError(f"{show(text)}: a quote or escape is left open")
            at = match.end()
            if match["word"]:
                words.append(match["word"])
            elif match["sign"]:
                self._depth += 1 if match["sign"] == "(" else -1
                if self._depth < 0:
                    self._close()
                    raise ValueError(f"{show(text)}: a ) without its (")
        return words

    def _record(self, words: list[str], line: int) -> ZoneRecord | None:
        if not any(words):
            return None  # Nothing but parentheses and comments.
        if words[0].startswith("$"):
            self._directive(words)
            return None
        owner, *rest = words
        if owner:
            self.owner = owner
        elif not self.owner:
            raise ValueError("no owner name, and none before it")
        # TTL and class may stand in either order (RFC 1035 §5.1), or not at all.
        for _ in range(2):
            if rest and (rest[0].lower() in _CLASSES or _TTL.match(rest[0])):
                rest = rest[1:]
        if not rest:
            raise ValueError(f"{show(' '.join(words))} has no type")
        return ZoneRecord(self.owner, rest[0].upper(), rest[1:], line)

    def _directive(self, words: list[str]) -> None:
        word = words[0].upper()
        if word == "$ORIGIN" and len(words) == 2:
            origin = words[1]
            if not origin.endswith("."):
                origin = f"{origin}.{self.origin}" if self.origin else f"{origin}."
            self.origin = origin.lower()
            self.first_origin = self.first_origin or self.origin
        elif word != "$TTL":
            # $INCLUDE would read files of ours, $GENERATE could make a million records of a line.
            raise ValueError(f"{show(words[0])} is not followed")


def text_of_zone(octets: bytes) -> str:
    """A line's text, its leading space kept.  Raises ValueError."""
    text = text_of(octets)
    return " " + text if octets[:1] in (b" ", b"\t") and text else text
