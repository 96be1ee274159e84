"""Dates, numbers, deadlines and time zones in an order's text: shown to whoever imports it, never written.

Knows: how they are written in some languages.  Does not know: which of them is meant by what.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from zoneinfo import available_timezones

FACTS_MAX = 200
"""More help nobody."""
SHOWN_AROUND = 30
"""Characters of the text on either side that say what a date is of."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One of them."""

    kind: str
    """`date`, `number`, `deadline` or `time zone`."""
    line: int
    written: str
    value: str
    """A date as 2026-01-31 where it can mean nothing else; else empty."""
    context: str
    """The text around it."""


_MONTHS = (
    "january januar janvier gennaio enero janeiro stycznia января januari ocak",
    "february februar février febbraio febrero fevereiro lutego февраля februari şubat",
    "march märz mars marzo março marca марта maret mart",
    "april avril aprile abril kwietnia апреля nisan",
    "may mai maggio mayo maio maja мая mei mayıs",
    "june juni juin giugno junio junho czerwca июня haziran",
    "july juli juillet luglio julio julho lipca июля temmuz",
    "august août agosto sierpnia августа agustus ağustos",
    "september septembre settembre septiembre setembro września сентября eylül",
    "october oktober octobre ottobre octubre outubro października октября ekim",
    "november novembre noviembre novembro listopada ноября kasım",
    "december dezember décembre dicembre diciembre dezembro grudnia декабря desember aralık",
)
_MONTH_OF = {word: number for number, words in enumerate(_MONTHS, 1) for word in words.split()}
_MONTH_WORDS = "|".join(sorted(_MONTH_OF, key=len, reverse=True))

_ISO = re.compile(
    r"\b(20[0-9]{2})-([01][0-9])-([0-3][0-9])"
    r"(?:[T ][0-2][0-9]:[0-5][0-9](?::[0-5][0-9])?(?:Z|[+-][0-2][0-9]:?[0-5][0-9])?)?"
)
_DAY_FIRST = re.compile(
    rf"\b([0-3]?[0-9])(?:\.|st|nd|rd|th|º|er)?\s+(?:de\s+)?({_MONTH_WORDS})\s+(?:de\s+)?(20[0-9]{{2}})\b",
    re.IGNORECASE,
)
_MONTH_FIRST = re.compile(
    rf"\b({_MONTH_WORDS})\s+([0-3]?[0-9])(?:st|nd|rd|th)?,?\s+(20[0-9]{{2}})\b", re.IGNORECASE
)
_FIGURES = re.compile(r"\b([0-3]?[0-9])([./-])([01]?[0-9])\2(20[0-9]{2})\b")
_CHINESE = re.compile(r"(20[0-9]{2})\s*[年년]\s*([01]?[0-9])\s*[月월]\s*([0-3]?[0-9])\s*[日일]")
_NUMBER = re.compile(
    r"\b(?:no|nr|num|ref|reference|az|aktenzeichen|gz|order|decision|case|file|bescheid|décision|delibera|resolución|decyzja|решение)"
    r"\.?\s*(?:no\.?|nr\.?|number|№|n°)?\s*[:#]?\s*((?=[\w./-]*[0-9])[\w][\w./-]{2,60}\w)|[№]\s*((?=[\w./-]*[0-9])[\w./-]{2,60}\w)",
    re.IGNORECASE,
)
_DEADLINE = re.compile(
    r"\b(?:within|in|not later than|no later than|binnen|innerhalb von|dans|entro|en|w ciągu|в течение)\s+"
    r"(?:\w+\s+)?[0-9]{1,3}\s+(?:working |business |calendar |werk)?"
    r"(?:hours?|days?|weeks?|months?|stunden|tagen?|wochen|heures|jours|ore|giorni|horas|días|dni|godzin|"
    r"часов|дней)\b",
    re.IGNORECASE,
)
_ZONE = re.compile(
    r"\b[A-Z][A-Za-z]+/[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_]+)?\b|\b(?:UTC|GMT)[+-][0-9]{1,2}(?::?[0-9]{2})?\b|\b(?:CET|CEST|MSK|EET|EEST|MEZ|MESZ)\b"
)
_SLASHES = re.compile(r"(?<![a-z])[a-z][a-z+.-]{0,20}://\S*", re.IGNORECASE)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def facts_of(text: str, line: int) -> list[Fact]:
    """What one piece of text says."""
    found: list[tuple[int, Fact]] = []
    # What stands in a URL is part of an address.
    text = _SLASHES.sub(lambda match: " " * len(match[0]), text)

    def note(kind: str, match: re.Match[str], written: str, value: str = "") -> None:
        start, end = max(0, match.start() - SHOWN_AROUND), match.end() + SHOWN_AROUND
        around = ("…" if start else "") + text[start:end].strip() + ("…" if end < len(text) else "")
        found.append((match.start(), Fact(kind, line, written.strip(), value, " ".join(around.split()))))

    for match, value in _dates(text):
        note("date", match, match[0], value)
    for match in _NUMBER.finditer(text):
        note("number", match, match[1] or match[2])
    for match in _DEADLINE.finditer(text):
        note("deadline", match, match[0])
    for match in _ZONE.finditer(text):
        if "/" not in match[0] or match[0] in _zones():
            note("time zone", match, match[0])
    return [fact for _, fact in sorted(found, key=lambda pair: pair[0])]


def _dates(text: str) -> Iterator[tuple[re.Match[str], str]]:
    for match in _ISO.finditer(text):
        yield match, _iso(match[1], match[2], match[3])
    for match in _DAY_FIRST.finditer(text):
        yield match, _iso(match[3], _MONTH_OF[match[2].lower()], match[1])
    for match in _MONTH_FIRST.finditer(text):
        yield match, _iso(match[3], _MONTH_OF[match[1].lower()], match[2])
    for match in _CHINESE.finditer(text):
        yield match, _iso(match[1], match[2], match[3])
    for match in _FIGURES.finditer(text):
        first, second = int(match[1]), int(match[3])
        # With dots the day comes first everywhere; with slashes it may be the month.
        is_sure = match[2] == "." or first > 12 or first == second
        yield match, _iso(match[4], second, first) if is_sure else ""


def _iso(year: str | int, month: str | int, day: str | int) -> str:
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return ""
