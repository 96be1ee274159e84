"""The files in which a kernel tells of itself, below a root.

Knows: how to read small files of numbers.  Does not know: what they mean for anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

TABLE_OCTETS_MAX: Final = 8 * 1024 * 1024
"""Most of one file that is looked at: a table of 50,000 sockets."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine by its files; `root`: `/`, or a folder that stands in for it."""

    root: Path = Path("/")

    def at(self, path: str) -> Path:
        """A path of the machine."""
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str:
        """A small file; empty where it cannot be read."""
        try:
            with self.at(path).open("rb") as file:
                return file.read(TABLE_OCTETS_MAX).decode("utf-8", "replace")
        except OSError:
            return ""

    def lines(self, path: str) -> list[str]:
        """The lines of a small file; none where it cannot be read."""
        return self.text(path).splitlines()

    def number(self, path: str) -> int | None:
        """The first number in a file; None where there is none."""
        words = self.text(path).split()
        return int(words[0]) if words and words[0].lstrip("-").isdigit() and len(words[0]) < 20 else None

    def setting(self, name: str) -> int | None:
        """A number of sysctl(8), e.g. `net.core.rmem_max`."""
        return self.number(f"/proc/sys/{name.replace('.', '/')}")
