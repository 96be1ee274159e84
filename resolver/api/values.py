"""Values that many shapes have: moments, numbers in a query, pages of a list.

Knows: how they are written.  Does not know: any shape.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from resolver.api.endpoint import Shape
from resolver.problems import show

PAGE_MAX: Final = 1_000
PAGE: Final = 200
"""Items of a list at once, where nobody says how many."""

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""`2026-01-31T12:00:00Z`."""
Day = Annotated[str, Field(json_schema_extra={"format": "date"})]
Count = Annotated[int, Field(ge=0)]


def _digits(value: object) -> object:
    """Digits alone: ` 1`, `1.0` and `１` are numbers for Python, and for nobody else."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,18}", value, re.ASCII):
        raise ValueError(f"{show(value)} is no whole number")
    return value


def whole_number(default: int | None, least: int, most: int, text: str) -> Any:
    """A number in a query."""
    schema: dict[str, Any] = {"type": "integer", "minimum": least, "maximum": most}
    return Annotated[
        int | None if default is None else int,
        BeforeValidator(_digits),
        Field(default, ge=least, le=most, description=text),
        WithJsonSchema({**schema, **({} if default is None else {"default": default})}),
    ]


def _plain(value: object) -> object:
    if isinstance(value, str) and "\0" in value:
        raise ValueError("has a NUL in it")
    return value


NO_NUL: Final = r"^[^\u0000]*$"
"""What the description says of every text of a query."""
Text = Annotated[str, BeforeValidator(_plain), Field(json_schema_extra={"pattern": NO_NUL})]
"""A text of a query."""

Limit = whole_number(PAGE, 1, PAGE_MAX, "How many items at most.")
IDENTIFIER: Final = r"[a-z0-9][a-z0-9_.-]{0,62}"
"""Of exchanges, orders and lists, as the blocklist has them."""


class Page(Shape):
    """The query of a list."""

    limit: Limit = PAGE  # type: ignore[valid-type]
    after: Annotated[
        Text | None,
        Field(None, max_length=255, description="`next` of the page before; absent: the first page."),
    ] = None
