"""One thing that is wrong, or that was looked at and is fine.

Knows: words for people.  Does not know: what is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "fine", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    check: str
    """A word of `checks.NAMES`."""
    level: Level
    """`error`: names are not answered, or not filtered; `warning`: it works, but not well, or not for
    long."""
    what: str
    remedy: str = ""
    """The command that mends it, or what to do."""

    @property
    def is_wrong(self) -> bool:
        """Whether somebody should do something."""
        return self.level in ("error", "warning")


def fine(check: str, what: str) -> list[Finding]:
    """Nothing is wrong."""
    return [Finding(check, "fine", what)]
