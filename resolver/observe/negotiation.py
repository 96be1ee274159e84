"""Which form of the metrics a scraper gets, and whether it is compressed: what `Accept` and
`Accept-Encoding` say.

Knows: both headers (RFC 9110 §12.5.1, §12.5.3), and which forms there are.  Does not know: how a form is
written.
Theory: whoever says nothing, or nothing that can be read, gets the text that every Prometheus reads.  A
header decides between the forms by its weights alone; of what it says nothing comes back, so a hostile
one does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Final

ACCEPT_CHARS_MAX: Final = 4_096
"""Longer ones are taken for none: Prometheus sends 250."""


class Form(Enum):
    """How metrics are written; the value is the content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    """The classic text format: every Prometheus reads it, and promtool checks it."""
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    """OpenMetrics 1.0.0."""


_RANGES: Final = {
    Form.TEXT: (("text/plain", ("", "0.0.4")), ("text/*", ("",)), ("*/*", ("",))),
    Form.OPENMETRICS: (
        ("application/openmetrics-text", ("", "0.0.1", "1.0.0")),
        ("application/*", ("",)),
        ("*/*", ("",)),
    ),
}
"""What means a form, with the versions of it that we can give, the most exact first."""
_WEIGHT: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def chosen_form(accept: str) -> Form:
    """The form that `accept` likes best; of two that it likes alike OpenMetrics, if it is named."""
    asked = list(_parts(accept))
    liking = {form: _weight(form, asked) for form in Form}
    names_it = any(name == "application/openmetrics-text" for name, _, _ in asked)
    text, other = liking[Form.TEXT], liking[Form.OPENMETRICS]
    return Form.OPENMETRICS if names_it and other > 0 and other >= text else Form.TEXT


def takes_gzip(accept_encoding: str) -> bool:
    """Whether the answer may be compressed with gzip."""
    weights = {name: weight for name, _, weight in _parts(accept_encoding)}
    return weights.get("gzip", weights.get("*", 0.0)) > 0.0


def _weight(form: Form, asked: list[tuple[str, str, float]]) -> float:
    """How much a form is liked: by what names it most exactly, and of that the best."""
    for range_, versions in _RANGES[form]:
        weights = [weight for name, version, weight in asked if name == range_ and version in versions]
        if weights:
            return max(weights)
    return 0.0


def _parts(header: str) -> Iterator[tuple[str, str, float]]:
    """Name, version and weight of each entry that can be read."""
    if len(header) > ACCEPT_CHARS_MAX:
        return
    for part in header.split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        version, weight = "", 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip().lower() == "version":
                version = value.strip().strip('"')
            elif key.strip().lower() == "q":
                weight = float(value.strip()) if _WEIGHT.fullmatch(value.strip()) else 0.0
        if name:
            yield name.lower(), version, weight
