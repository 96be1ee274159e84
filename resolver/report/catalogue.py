"""The fixed texts of a report in its languages: a file for each, `texts/<language>.json`.

Knows: which languages there are, placeholders.  Does not know: what is said where.
Theory: English is the measure: every language has its keys, no other ones, with the same placeholders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "texts"
LANGUAGES = ("ar", "de", "en", "es", "fr", "it", "ja", "nl", "pl", "pt", "tr", "uk")
ISOLATE, END = "\u2066", "\u2069"
"""What stands between runs from left to right, and turns nothing around it."""
_PLACE = re.compile(r"\{([a-z_]+)\}")
RIGHT_TO_LEFT = frozenset(("ar",))


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language."""

    language: str
    messages: Mapping[str, str]

    @property
    def is_right_to_left(self) -> bool:
        """Whether its lines run from right to left."""
        return self.language in RIGHT_TO_LEFT

    def __call__(self, key: str, /, **values: object) -> str:
        """One text, with what belongs into it.  Raises KeyError for a key that there is not."""
        # In one go: a value that looks like a place is a value.
        return _PLACE.sub(lambda place: self.apart(str(values[place[1]])), self.messages[key])

    def apart(self, value: str) -> str:
        """A value fit to stand in a sentence, where letters that run from right to left would turn a date.

        Unicode's bidirectional algorithm (UAX #9, W2) shows 2026-11-30 as 30-11-2026 behind Arabic letters.
        """
        return f"{ISOLATE}{value}{END}" if self.is_right_to_left else value

    def of(self, group: str, word: str) -> str:
        """The text for one word of a closed set; the word itself for one that came later."""
        return self.messages.get(f"{group}_{word}", word.replace("_", " "))


def language_from(text: str) -> str:
    """`de`, `DE` or `de-AT` -> `de`.  Raises ValueError that names the languages there are."""
    language = text.strip().lower().replace("_", "-").partition("-")[0]
    if language not in LANGUAGES:
        raise ValueError(f"{text!r} is not a language of reports; there are {', '.join(LANGUAGES)}")
    return language


@cache
def texts_of(language: str) -> Texts:
    """The catalogue of one of `LANGUAGES`."""
    return Texts(language, json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8")))
