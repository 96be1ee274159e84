"""What a report reads of the history, and what of it may be told: texts of earlier policies.

Knows: which texts a change lies between.  Does not know: what a report says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from resolver.blocklist.concealing import Concealment
from resolver.blocklist.reader import read_what_served
from resolver.blocklist.rules import Blocklist
from resolver.publishing.history import Generation, History
from resolver.report.relevance import Relevance, relevance_of

TEXTS_READ_MAX = 100
"""Earlier policies that are read; of changes between others only numbers are told."""


class PastTexts:
    """The texts between which the generations of a period lie; read once each."""

    def __init__(self, path: Path, state_dir: Path, now: Concealment) -> None:
        """`now`: what is confidential in the policy that is reported."""
        self._path = path
        self._state_dir = state_dir
        self._now = now
        self._texts: dict[str, bytes] = {}
        self._around: dict[int, tuple[str, ...]] = {}
        self._concealments: dict[str, Concealment | None] = {}
        self._blocklists: dict[str, Blocklist | None] = {}

    def read(self, history: History, generations: Sequence[Generation], first: float, end: float) -> None:
        """Take the texts of the generations (oldest first) between `first` and `end`, and of the one before.

        Raises `HistoryUnusable`.
        """
        before: Generation | None = None
        for generation in generations:
            if first <= generation.at < end:
                beside = [one for one in (before, generation) if one is not None]
                self._around[generation.number] = tuple(one.sha256 for one in beside)
                for one in beside:
                    if one.sha256 not in self._texts and one.has_text and len(self._texts) < TEXTS_READ_MAX:
                        text = history.text(one.number)
                        if text is not None:
                            self._texts[one.sha256] = text
            before = generation

    def hides(self, number: int) -> Callable[[str], bool]:
        """What the changes of one generation may not name: what is confidential, or was beside it.

        Where a text is gone, that is everything.
        """
        concealments = [self._concealment(sha256) for sha256 in self._around.get(number, ("",))]

        def holds(text: str) -> bool:
            return self._now.holds(text) or any(one.is_lost or one.holds(text) for one in concealments)

        return holds

    def _concealment(self, sha256: str) -> _Past:
        text = self._texts.get(sha256)
        if text is None:
            return _Past(True, None)
        if sha256 not in self._concealments:
            # Nearly all texts: no need to read what has nothing to hide.
            is_open = b"confidential" not in text
            self._concealments[sha256] = None if is_open else Concealment(self._path, text, self._state_dir)
        return _Past(False, self._concealments[sha256])

    def relevance(self, order: str, number: int) -> Relevance | None:
        """What of one generation is about an order; None: that cannot be told any more."""
        found = []
        for sha256 in self._around.get(number, ()):
            if sha256 not in self._texts:
                return None
            if sha256 not in self._blocklists:
                self._blocklists[sha256] = read_what_served(self._path, self._texts[sha256])
            blocklist = self._blocklists[sha256]
            if blocklist is None:
                return None
            found.append(blocklist)
        return relevance_of(order, found)


class _Past(NamedTuple):
    """What one text conceals."""

    is_lost: bool
    concealment: Concealment | None

    def holds(self, text: str) -> bool:
        return self.concealment is not None and self.concealment.holds(text)
