"""Reads the files of a configuration, and those that it includes, within limits.

Knows: UTF-8, sizes, circles of includes, patterns in paths.  Does not know: what stands in a file.
Theory: one `Texts` belongs to one import.  It counts what was read, and keeps the chain of files that are
open, so that no file of others can make it read for ever.
"""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from resolver.config.yamlsource import FILE_OCTETS_MAX, is_sane_text, read_octets
from resolver.migration.gathered import BadConfig, Place, error
from resolver.problems import Findings, show

FILES_MAX: Final = 1_000
"""Most files of one configuration."""
TOTAL_OCTETS_MAX: Final = 128 * 1024 * 1024
"""Most octets of all of them together."""
DEPTH_MAX: Final = 16
"""Most files that include each other in a row."""


@dataclass(slots=True)
class Texts:
    """The files of one import."""

    folder: Path
    """Where relative paths start that stand in no file of their own."""
    _chain: list[Path] = field(default_factory=list)
    _file_count: int = 0
    _octet_count: int = 0

    def lines(self, path: Path) -> list[str]:
        """The lines of a text file, without their ends.  Raises BadConfig."""
        return split_lines(self.octets(path))

    def octets(self, path: Path, *, octets_max: int = FILE_OCTETS_MAX) -> bytes:
        """The text of a file, checked: UTF-8 without a byte order mark.  Raises BadConfig."""
        octets = self.raw(path, octets_max=octets_max)
        check_text(octets, str(path))
        return octets.removeprefix(b"\xef\xbb\xbf")

    def raw(self, path: Path, *, octets_max: int = FILE_OCTETS_MAX) -> bytes:
        """The octets of a regular file.  Raises BadConfig."""
        self._file_count += 1
        if self._file_count > FILES_MAX:
            raise error(Place(str(path)), f"more than {FILES_MAX:,} files in one configuration")
        octets, problems = read_octets(path, octets_max=octets_max)
        if octets is None:
            raise BadConfig(problems)
        self._octet_count += len(octets)
        if self._octet_count > TOTAL_OCTETS_MAX:
            message = f"the files of the configuration have over {TOTAL_OCTETS_MAX:,} bytes together"
            raise error(Place(str(path)), message)
        return octets

    @contextlib.contextmanager
    def inside(self, path: Path, place: Place) -> Iterator[None]:
        """While a file is read that may include others.  Raises BadConfig for a circle, or too many."""
        real = path.resolve()
        if real in self._chain:
            way = " -> ".join(str(one) for one in [*self._chain[self._chain.index(real) :], real])
            raise error(place, f"the file includes itself: {way}")
        if len(self._chain) >= DEPTH_MAX:
            raise error(place, f"more than {DEPTH_MAX} files include each other in a row")
        self._chain.append(real)
        try:
            yield
        finally:
            self._chain.pop()

    def matching(self, pattern: str, place: Place) -> list[Path]:
        """The files that a path, perhaps with `*`, `?` or `[...]` in it, stands for, in order.

        A path without such signs stands for itself, whether it is there or not.  Raises BadConfig.
        """
        if "\0" in pattern or not pattern:
            raise error(place, f"{show(pattern)} is not a path")
        path = self.folder / pattern
        if not any(sign in path.name for sign in "*?["):
            if any(sign in str(path.parent) for sign in "*?["):
                raise error(place, f"{show(pattern)}: patterns are read in the last part of a path only")
            return [path]
        return [one for one in in_folder(path.parent, place) if fnmatch.fnmatchcase(one.name, path.name)]


def in_folder(folder: Path, place: Place) -> list[Path]:
    """The regular files in a folder, by name; none where it cannot be read.  Raises BadConfig: too many."""
    found: list[Path] = []
    try:
        for one in folder.iterdir():
            if one.is_file():
                found.append(one)
            if len(found) > FILES_MAX:
                raise error(place, f"more than {FILES_MAX:,} files in {folder}")
    except OSError:
        return []
    return sorted(found)


def split_lines(octets: bytes) -> list[str]:
    """Lines of checked text, without their ends."""
    return [line.removesuffix("\r") for line in octets.decode("utf-8").split("\n")]


def check_text(octets: bytes, file: str) -> None:
    """Refuse what is no text, with the line.  Raises BadConfig."""
    findings = Findings(file)
    if not is_sane_text(octets, findings):
        raise BadConfig(findings.in_order())
