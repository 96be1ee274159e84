"""The last audits of a server, one line each: when, why, and what came of it.

Knows: the file, how many are kept.  Does not know: how an audit is made, names (a line has numbers alone).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from resolver.durable import replace_file
from resolver.portions import open_regular, read_up_to
from resolver.problems import printable

KEPT_MAX: Final = 100
FILE_OCTETS_MAX: Final = 1 << 20
REASON_CHARS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Run:
    """One audit."""

    ended_at: float
    """Unix seconds."""
    cause: str
    """One of `facts.AUDIT_CAUSES`."""
    result: str
    """One of `facts.AUDIT_RESULTS`."""
    questions: int = 0
    counts: Mapping[str, int] | None = None
    """Status -> names; None: nothing was proved."""
    reason: str = ""
    """Why it failed."""


class AuditLog:
    """The last of them, over restarts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._runs = _read(path)

    @property
    def newest(self) -> list[Run]:
        """The newest first."""
        return self._runs[::-1]

    def note(self, run: Run) -> None:
        """Keep one more; `write` keeps it over restarts."""
        self._runs = [*self._runs, run][-KEPT_MAX:]

    def write(self) -> None:
        """May block.  Raises OSError."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = [json.dumps(asdict(run)) + "\n" for run in self._runs]
        replace_file(self._path, "".join(lines).encode(), mode=0o600)


def _read(path: Path) -> list[Run]:
    """Those that can be read; anything else is as good as nothing."""
    try:
        with open_regular(path) as file:
            lines = read_up_to(file, FILE_OCTETS_MAX).splitlines()
        return [_run(json.loads(line)) for line in lines][-KEPT_MAX:]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _run(fields: Mapping[str, Any]) -> Run:
    counts = fields["counts"]
    return Run(
        float(fields["ended_at"]),
        printable(str(fields["cause"])),
        printable(str(fields["result"])),
        int(fields["questions"]),
        None if counts is None else {printable(str(key)): int(count) for key, count in counts.items()},
        printable(str(fields["reason"]))[:REASON_CHARS_MAX],
    )
