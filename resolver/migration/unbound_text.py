"""The text of Unbound's configuration, with all that it includes -> clauses of keys and values.

Knows: quotes, comments, `include:`, clauses.  Does not know: what any key means.
Source: unbound.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from resolver.migration.gathered import Place, error
from resolver.migration.texts import Texts
from resolver.problems import show

CLAUSES: Final = frozenset(
    [
        "server",
        "remote-control",
        "stub-zone",
        "forward-zone",
        "auth-zone",
        "view",
        "python",
        "dynlib",
        "dnscrypt",
        "cachedb",
        "ipset",
        "rpz",
        "dnstap",
    ]
)
KEYS_MAX: Final = 4_000_000
"""Most keys of one configuration."""
_TOKEN: Final = re.compile(r'\s*(?:(#.*)|"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|((?:[^\s"\'\\]|\\.)+))')
_TWO_VALUES: Final = frozenset(
    [
        "local-zone",
        "access-control",
        "interface-action",
        "access-control-tag",
        "access-control-view",
        "interface-tag",
        "interface-view",
        "local-zone-tag",
    ]
)
_THREE_VALUES: Final = frozenset(
    [
        "access-control-tag-action",
        "access-control-tag-data",
        "interface-tag-action",
        "interface-tag-data",
        "local-zone-override",
    ]
)


@dataclass(slots=True)
class Clause:
    """One clause: its name, and its keys in order."""

    name: str
    place: Place
    keys: list[tuple[str, tuple[str, ...], Place]] = field(default_factory=list)

    def values(self, key: str) -> Iterator[tuple[str, Place]]:
        """The first value of each line with this key."""
        for name, values, place in self.keys:
            if name == key and values:
                yield values[0], place

    def value(self, key: str) -> str:
        """The last value of a key; empty: it is not there."""
        found = ""
        for found, _ in self.values(key):  # noqa: B007 - the last one counts.
            pass
        return found

    def flag(self, key: str) -> bool:
        """Whether a key is `yes`."""
        return self.value(key).lower() == "yes"


class Reader:
    """Reads a file and what it includes."""

    def __init__(self, texts: Texts) -> None:
        self.clauses: list[Clause] = []
        self.missing: list[tuple[str, Place]] = []
        """Includes that are not here."""
        self._texts = texts
        self._folder = texts.folder
        self._key_count = 0

    def read(self, path: Path, place: Place) -> None:
        """A file.  Raises BadConfig."""
        with self._texts.inside(path, place):
            pending: tuple[str, list[str], int, Place] | None = None
            for number, line in enumerate(self._texts.lines(path), 1):
                at = Place(str(path), number)
                for word, is_quoted in _tokens(line, at):
                    if pending is not None:
                        key, values, wanted, begun = pending
                        values.append(word)
                        if len(values) == wanted:
                            self._take(key, tuple(values), begun)
                            pending = None
                        continue
                    key = word.removesuffix(":").lower()
                    if is_quoted or not word.endswith(":") or not key:
                        raise error(at, f"{show(word)} stands where a key with a colon is expected")
                    if key in CLAUSES:
                        self.clauses.append(Clause(key, at))
                        continue
                    wanted = 3 if key in _THREE_VALUES else 2 if key in _TWO_VALUES else 1
                    pending = (key, [], wanted, at)
            if pending is not None:
                raise error(pending[3], f"{pending[0]}: has no value")

    def _take(self, key: str, values: tuple[str, ...], place: Place) -> None:
        self._key_count += 1
        if self._key_count > KEYS_MAX:
            raise error(place, f"more than {KEYS_MAX:,} keys in one configuration")
        if key in ("include", "include-toplevel"):
            self._include(values[0], place)
            return
        if not self.clauses:
            self.clauses.append(Clause("server", place))
        if key == "directory" and self.clauses[-1].name == "server":
            self._folder = self._texts.folder / values[0]
        self.clauses[-1].keys.append((key, values, place))

    def _include(self, pattern: str, place: Place) -> None:
        is_pattern = any(sign in pattern for sign in "*?[")
        found = self._texts.matching(pattern, place)
        if not is_pattern and not found[0].is_file():
            found = [self._folder / pattern]
            if not found[0].is_file():
                self.missing.append((pattern, place))
                return
        for path in found:
            self.read(path, place)


def _tokens(line: str, place: Place) -> Iterator[tuple[str, bool]]:
    """The words of a line, and whether each stands in quotes."""
    at = 0
    line = line.rstrip()
    while at < len(line):
        found = _TOKEN.match(line, at)
        if found is None:
            if not line[at:].strip():
                return
            raise error(place, f"{show(line[at:].strip())}: a quote is not closed")
        at = found.end()
        comment, double, single, bare = found.groups()
        if comment is not None:
            return
        if bare is None:
            yield (double if double is not None else single), True
            continue
        # `key:"value"` and `key:value` are two words.
        key, colon, rest = bare.partition(":")
        if colon and rest and re.fullmatch(r"[a-z-]+", key) and not rest.startswith(":"):
            yield f"{key}:", False
            yield rest, False
        else:
            yield bare, False
