"""JSON: octets -> the elements of one array, one at a time.

Knows: JSON's grammar as far as it is needed to find the array.  Does not know: what an element means.
Theory: objects outside the array are walked key by key; the extent of each other value is found by its
brackets and quotes, and that much is given to Python's reader.  So one value is held, its depth and size are
bounded before anything is made of it, and the document's size is not.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from resolver.registers.record import RegisterRefused

DEPTH_MAX = 32
"""Of objects and arrays; registers have four."""
VALUE_CHARS_MAX = 1 << 20
"""Of one element, or of a value outside the array."""
KEYS_MAX = 1_000
"""Of one object outside the array."""
DIGITS_MAX = 30
"""Of one number: registers number things, and do not count atoms."""

_SPACE = re.compile(r"[ \t\r\n]*")
_SIGN = re.compile(r'[\[\]{}]|"(?:[^"\\]++|\\.)*+(?P<end>"?)', re.DOTALL)
"""A bracket or a string; of a string that goes on in the next piece, `end` is empty."""
_WORD = re.compile(r"[^\s,\]}{\[:\"]+")
_LONG_NUMBER = re.compile(f"[0-9]{{{DIGITS_MAX + 1}}}")


def elements_in(pieces: Iterable[bytes], paths: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Elements of the array with the number of their first line.  Raises `RegisterRefused`.

    `paths`: where the array may be, keys with dots between (`data.items`); empty: the document itself.
    """
    return _Reading(pieces, frozenset(paths)).elements()


class _Reading:
    """One document; `_text[_at:]` is what is read next."""

    def __init__(self, pieces: Iterable[bytes], paths: frozenset[str]) -> None:
        self._pieces = iter(pieces)
        self._paths = paths
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._line = 1
        """Of `_at`."""
        self._count = 0
        self._is_found = False

    def elements(self) -> Iterator[tuple[int, Any]]:
        """See `elements_in`."""
        yield from self._walk("", 1)
        if self._peek():
            self._refuse("something stands behind its end")
        if not self._is_found:
            where = " or ".join(path or "the document itself" for path in sorted(self._paths))
            raise RegisterRefused(f"has no array of records ({where})")

    def _walk(self, path: str, depth: int) -> Iterator[tuple[int, Any]]:
        """The value at `path`, of which the array may be a part."""
        sign = self._peek()
        if sign == "[" and path in self._paths:
            self._is_found = True
            yield from self._array()
        elif sign == "{" and depth <= DEPTH_MAX and any(_leads(path, wanted) for wanted in self._paths):
            self._step(1)
            if self._peek() == "}":
                self._step(1)
                return
            for _ in range(KEYS_MAX):
                if self._peek() != '"':
                    self._refuse("a key is missing")
                key = self._value()
                self._expect(":")
                yield from self._walk(f"{path}.{key}" if path else str(key), depth + 1)
                if self._expect(",}") == "}":
                    return
            self._refuse(f"an object of over {KEYS_MAX:,} keys")
        else:
            self._value()

    def _array(self) -> Iterator[tuple[int, Any]]:
        self._step(1)
        if self._peek() == "]":
            self._step(1)
            return
        while True:
            self._count += 1
            self._peek()
            line = self._line
            yield line, self._value()
            if self._expect(",]") == "]":
                return

    # Values.

    def _value(self) -> Any:
        """The next value, whole."""
        sign = self._peek()
        if not sign:
            self._cut_off()
        text = self._extent() if sign in '{["' else self._scalar()
        if _LONG_NUMBER.search(text):
            # Within a string it is none, but nobody's name or number is so long, either.
            if any(_LONG_NUMBER.search(piece) for piece in re.split(r'"(?:[^"\\]|\\.)*"', text)):
                self._refuse(f"a number of over {DIGITS_MAX} digits")
        try:
            value = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            self._refuse(f"is no JSON ({error})")
        self._step(len(text))
        return value

    def _extent(self) -> str:
        """The text of an object, an array or a string, from its first sign to its last."""
        depth = 0
        at = self._at
        while True:
            match = _SIGN.search(self._text, at)
            if match is None or match["end"] == "":
                kept = match.start() - self._at if match else len(self._text) - self._at
                if not self._more():
                    self._cut_off()
                at = self._at + kept
                continue
            sign = match[0]
            at = match.end()
            if sign in "{[":
                depth += 1
                if depth > DEPTH_MAX:
                    self._refuse(f"objects and arrays over {DEPTH_MAX} deep")
            elif sign in "]}":
                depth -= 1
            if depth <= 0:
                return self._text[self._at : at]

    def _scalar(self) -> str:
        while True:
            match = _WORD.match(self._text, self._at)
            if match is None:
                self._refuse(f"is no JSON: {self._text[self._at]!r} stands where a value should")
            if match.end() < len(self._text) or not self._more():
                return match[0]

    # Signs.

    def _peek(self) -> str:
        """The next sign behind space; empty at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            assert space is not None
            self._step(space.end() - self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _expect(self, signs: str) -> str:
        sign = self._peek()
        if not sign:
            self._cut_off()
        if sign not in signs:
            self._refuse(f"is no JSON: {sign!r} stands where {' or '.join(signs)} should")
        self._step(1)
        return sign

    def _step(self, chars: int) -> None:
        end = self._at + chars
        self._line += self._text.count("\n", self._at, end)
        self._at = end

    def _more(self) -> bool:
        """Read another piece; whether there is one."""
        piece = next(self._pieces, None)
        kept = self._text[self._at :]
        if len(kept) > VALUE_CHARS_MAX:
            self._refuse(f"a value of over {VALUE_CHARS_MAX:,} characters")
        try:
            text = self._decoder.decode(piece or b"", final=piece is None)
        except UnicodeDecodeError as error:
            line = self._line + kept.count("\n") + (piece or b"")[: error.start].count(b"\n")
            raise RegisterRefused("is not utf-8 text", line=line, record=self._count) from None
        self._text, self._at = kept + text, 0
        return piece is not None or bool(text)

    def _cut_off(self) -> NoReturn:
        self._step(len(self._text) - self._at)
        self._refuse("it ends too early: the register is cut off")

    def _refuse(self, why: str) -> NoReturn:
        raise RegisterRefused(why, line=self._line, record=self._count)


def _leads(path: str, wanted: str) -> bool:
    """Whether the array at `wanted` may stand in the object at `path`."""
    return not path or wanted.startswith(path + ".")


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")
