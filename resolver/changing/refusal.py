"""Why a change was not made: one shape for commands and API.

Knows: the kinds of refusals, and what else a reader is told.  Does not know: status codes, exit codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from resolver.problems import Problem, printable


class Kind(StrEnum):
    """What is in the way."""

    BAD = "bad"
    """What was asked for makes no sense."""
    MISSING = "missing"
    """It is about something that is not there."""
    FORBIDDEN = "forbidden"
    """Whoever asks may not."""
    CONFLICT = "conflict"
    """Something else changed meanwhile, or stands otherwise than was believed."""
    UNWRITABLE = "unwritable"
    """The service cannot write where it must."""
    REFUSED = "refused"
    """The server would not load what comes of it."""
    FULL = "full"
    """A limit is met."""


class Refused(Exception):
    """A change was not made; nothing was written."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        remedy: str = "",
        *,
        problems: Sequence[Problem] = (),
        more: dict[str, Any] | None = None,
    ) -> None:
        """`detail`: what is wrong; `remedy`: what to do.  `problems`: of the blocklist as it would be.

        `more`: for programs, JSON.
        """
        self.kind = kind
        self.detail = printable(detail)
        self.remedy = printable(remedy)
        self.problems = tuple(problems)
        self.more = more or {}
        super().__init__(self.detail)
