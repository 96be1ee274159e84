"""Which certificate serves the name that a client asks for (RFC 6066 §3).

Knows: names in certificates, wildcards.  Does not know: certificates, TLS.
Theory: a whole name wins over a wildcard, and among equals the pair that stands first in the settings.  A
wildcard stands for exactly one label, the leftmost (RFC 9525 §6.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class NameTable:
    """Places of pairs by the names in them."""

    def __init__(self, names_of_pairs: Sequence[Iterable[str]]) -> None:
        """`names_of_pairs`: for each pair its names, in lower case, a wildcard as `*.example.org`."""
        self._exact: dict[str, list[int]] = {}
        self._wildcard: dict[str, list[int]] = {}
        for place, names in enumerate(names_of_pairs):
            for name in dict.fromkeys(names):
                table, key = (
                    (self._wildcard, name.removeprefix("*."))
                    if name.startswith("*.")
                    else (self._exact, name)
                )
                table.setdefault(key, []).append(place)

    def places_of(self, name: str | None) -> tuple[int, ...]:
        """The pairs for this name, the best first; none: no pair has it, or no name is asked for."""
        if not name:
            return ()
        name = name.rstrip(".").lower()
        _, _, rest = name.partition(".")
        return tuple(dict.fromkeys([*self._exact.get(name, ()), *self._wildcard.get(rest, ())]))

    def every_answer(self) -> set[tuple[int, ...]]:
        """All that `places_of` can ever say."""
        found = {()} | {tuple(places) for places in self._wildcard.values()}
        return found | {self.places_of(name) for name in self._exact}
