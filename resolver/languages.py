"""The languages in which people who are no operators are written to.

Knows: their codes, their own names, which way they run.  Does not know: any text.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Language(NamedTuple):
    """One language (BCP 47)."""

    name: str
    """As its own speakers call it."""
    is_right_to_left: bool = False


LANGUAGES: Final = {
    "en": Language("English"),
    "ar": Language("العربية", True),
    "de": Language("Deutsch"),
    "es": Language("Español"),
    "fa": Language("فارسی", True),
    "fr": Language("Français"),
    "he": Language("עברית", True),
    "it": Language("Italiano"),
    "ja": Language("日本語"),
    "nl": Language("Nederlands"),
    "pl": Language("Polski"),
    "pt": Language("Português"),
    "ru": Language("Русский"),
    "tr": Language("Türkçe"),
    "uk": Language("Українська"),
    "zh": Language("中文"),
}
"""By code; the first is everybody's where nothing else is known."""

DEFAULT: Final = next(iter(LANGUAGES))

FORMER_CODES: Final = {"iw": "he"}
"""Codes that some software still sends."""
