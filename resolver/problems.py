"""What is wrong with a file, said so that a person can mend it.

Knows: file, line, message, and how to guess what a misspelt word meant.  Does not know: YAML,
DNS, what any file is about.
Theory: readers never stop at the first problem; they collect findings and the caller decides.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

PROBLEMS_MAX = 1000
"""Most problems listed for one file: nobody reads more, and a hostile file could hold millions."""

SHOWN_CHARS_MAX = 80
"""Longest piece of an offending value that a message repeats."""

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one line of one file."""

    file: str
    line: int
    """From 1; 0 when the problem is the whole file's."""
    message: str
    severity: Severity = "error"
    forcible: bool = False
    """A safety rail: an operator may accept it knowingly, with a reason."""

    def __str__(self) -> str:
        """Give `file:line: message`, as compilers do, so that editors can jump to it."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        prefix = "warning: " if self.severity == "warning" else ""
        return printable(f"{place}: {prefix}{self.message}")


def has_errors(problems: Iterable[Problem]) -> bool:
    """Whether any of them is more than a warning."""
    return any(problem.severity == "error" for problem in problems)


def suggest(word: str, choices: Iterable[str]) -> str:
    """Give ` (did you mean 'x'?)` when one of `choices` is close to `word`, else an empty string."""
    # Long words are compared in quadratic time, and no choice here is longer.
    close = difflib.get_close_matches(word[:64].lower(), list(choices), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close and close[0] != word else ""


def printable(text: str) -> str:
    """`text` with everything escaped that could steer a terminal or begin a line of its own."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape", "surrogatepass").decode()
        for sign in text
    )


def show(value: object) -> str:
    """Repeat an offending value in a message: escaped, and cut to `SHOWN_CHARS_MAX`."""
    if value is None:
        return "null"
    if value is True or value is False:
        return str(value).lower()
    if isinstance(value, str):
        # repr escapes every unprintable character, line ends and direction marks included.
        return repr(value) if len(value) <= SHOWN_CHARS_MAX else repr(value[:SHOWN_CHARS_MAX]) + "..."
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "..."


class Findings:
    """The problems of one file while it is being read; at most `PROBLEMS_MAX` are kept, all are counted."""

    def __init__(self, file: str, *, force: bool = False) -> None:
        self.file = file
        self.force = force
        """Forcible errors become warnings."""
        self.error_count = 0
        self._problems: list[Problem] = []
        self._left_out = 0

    @property
    def is_full(self) -> bool:
        """Whether there are so many errors that looking for more helps nobody; readers may stop then."""
        return self.error_count >= PROBLEMS_MAX

    def error(self, line: int, message: str, *, forcible: bool = False) -> None:
        """Note something that makes the file unusable (unless it is `forcible` and forced)."""
        if forcible and self.force:
            self._keep(Problem(self.file, line, f"{message} (forced)", "warning", forcible=True))
            return
        self.error_count += 1
        self._keep(Problem(self.file, line, message, forcible=forcible))

    def warning(self, line: int, message: str) -> None:
        """Note something that a careful person would want to know."""
        self._keep(Problem(self.file, line, message, "warning"))

    def take(self, problems: Iterable[Problem]) -> None:
        """Add problems that another reader found."""
        for problem in problems:
            self.error_count += problem.severity == "error"
            self._keep(problem)

    def in_order(self) -> list[Problem]:
        """Give the problems by line, and last how many were left out."""
        problems = sorted(self._problems, key=lambda problem: problem.line)
        if self._left_out:
            severity: Severity = "error" if self.error_count else "warning"
            message = f"{self._left_out:,} or more further problems are not listed"
            problems.append(Problem(self.file, 0, message, severity))
        return problems

    def _keep(self, problem: Problem) -> None:
        problem = replace(problem, message=printable(problem.message))  # It may repeat hostile keys.
        if len(self._problems) < PROBLEMS_MAX:
            self._problems.append(problem)
        else:
            self._left_out += 1
