"""What a client would like to read: which language, and HTML, text or JSON.

Knows: `Accept-Language` (RFC 9110 §12.5.4, RFC 4647 §3.4) and `Accept` (§12.5.1).  Does not know: any text.
Theory: both are lists with weights.  What cannot be read is as if it were not there; nothing here fails.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final

from resolver.languages import FORMER_CODES

HEADER_CHARS_MAX: Final = 1_000
"""Read of either header."""
ITEMS_MAX: Final = 50
"""Entries of either header that are looked at; browsers send up to ten."""

_WEIGHT: Final = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.ASCII | re.IGNORECASE)


class Form(Enum):
    """How the answer is written."""

    HTML = "text/html; charset=utf-8"
    TEXT = "text/plain; charset=utf-8"
    JSON = "application/json"


_FORMS: Final = {
    "text/html": Form.HTML,
    "application/xhtml+xml": Form.HTML,
    "text/plain": Form.TEXT,
    "application/json": Form.JSON,
    "application/problem+json": Form.JSON,
}


def _weighted(header: str) -> list[tuple[str, float]]:
    """Each entry with its weight, the most wanted first; those with weight 0 too."""
    found = []
    for item in header[:HEADER_CHARS_MAX].split(",")[:ITEMS_MAX]:
        value, *parameters = (part.strip() for part in item.split(";"))
        weights = [match for parameter in parameters if (match := _WEIGHT.fullmatch(parameter))]
        if value:
            found.append((value.lower(), float(weights[0][1]) if weights else 1.0))
    return sorted(found, key=lambda one: -one[1])


def language_of(header: str, offered: Sequence[str]) -> str:
    """The first language wanted that is offered; else the first one offered.

    `de-AT` is served by `de`; what has weight 0 is served by nothing else than the default.
    """
    for wanted, weight in _weighted(header):
        if weight == 0:
            continue
        if wanted == "*":
            return offered[0]
        code = wanted.partition("-")[0]
        code = FORMER_CODES.get(code, code)
        if code in offered:
            return code
    return offered[0]


def form_of(header: str) -> Form:
    """HTML or JSON for who names it, as browsers and programs do; text for all others, `curl` too."""
    best, best_weight = Form.TEXT, 0.0
    for wanted, weight in _weighted(header):
        form = _FORMS.get(wanted)
        if form is not None and weight > best_weight:
            best, best_weight = form, weight
    return best
