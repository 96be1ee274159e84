"""How publishing goes: what is in force, what failed, why a server may not start.

Knows: the words.  Does not know: how anything is published.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from resolver.problems import Problem
from resolver.publishing.second_person import WAITS

PROBLEMS_LOGGED_MAX = 5
"""Problems repeated in the log's one line; `PublisherStatus` has them all."""


class StartRefused(Exception):
    """There is no policy to serve: every problem of the blocklist, and no last good copy."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(map(str, problems[:PROBLEMS_LOGGED_MAX])))


@dataclass(slots=True)
class PublisherStatus:
    """How publishing goes.  Times are Unix seconds; 0: never."""

    generation: int = 0
    successes: int = 0
    failures: int = 0
    last_success: float = 0.0
    last_attempt: float = 0.0
    last_problems: tuple[Problem, ...] = ()
    """Of the last attempt, warnings included."""
    serves_last_good: bool = False
    """The blocklist as it stands is not in force: the last attempt failed, an older policy serves."""
    image: Path | None = None
    content: str = ""
    """Hash of the files in force that people edit: servers with the same files have the same."""
    replaced_outside: tuple[str, ...] = ()
    """Mounted files whose edits cannot be seen here: outside, another file has their name now."""

    @property
    def waits_for_second(self) -> bool:
        """Nothing is wrong with the blocklist as it stands but that nobody has approved it yet."""
        errors = [problem.message for problem in self.last_problems if problem.severity == "error"]
        return self.serves_last_good and bool(errors) and all(said.startswith(WAITS) for said in errors)
