"""Who explains what is decided about a name, for `GET /api/v1/explain`.

Knows: what is asked, what may come of it.  Does not know: how anything is decided, who may ask (the API
says), HTTP.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol


class Busy(Exception):
    """Too many ask; the text says how many may."""


class NotReady(Exception):
    """There is nothing to explain by yet; the text says why."""


class Explains(Protocol):
    """Who answers."""

    def __call__(
        self, name: str, qtype_text: str, client: str | None, *, asks: bool
    ) -> Awaitable[dict[str, Any]]:
        """The document.  Raises ValueError (an argument), `Busy`, `NotReady`."""
