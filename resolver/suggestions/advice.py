"""What was seen, what is listed and what was decided -> the suggestions that people read.

Knows: how the three come together, which suggestion is open.  Does not know: files, clocks, how it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from resolver.suggestions.decisions import DISMISSED, Decision
from resolver.suggestions.score import DEFAULT_SCORE_MIN, Index, Likeness
from resolver.suggestions.seen import Seen
from resolver.suggestions.spellings import Listed
from resolver.wire.names import suffix_offsets

KEPT_SCORE_MIN: Final = 0.5
"""Names that score less are not even counted."""
SHARED_SCORE: Final = 0.95
"""Of a name whose answers lead to a name or an address of a listed exchange: that is no matter of looks."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One name that may belong to a listed exchange, or imitate it."""

    name: bytes
    """Wire form."""
    exchange: Listed
    score: float
    """0 to 1."""
    reasons: tuple[str, ...]
    seen: Seen
    is_official: bool = False
    decision: Decision | None = None

    def state(self, score_min: float = DEFAULT_SCORE_MIN) -> str:
        """`open`, `weak` (scores less than `score_min`) or `dismissed`."""
        if self.decision is not None and self.decision.what == DISMISSED:
            return "dismissed"
        return "open" if self.score >= score_min else "weak"


def suggest(
    index: Index,
    listed: Mapping[str, Listed],
    seen: Mapping[bytes, Seen],
    decisions: Mapping[bytes, Decision],
    is_decided: Callable[[bytes], bool],
) -> list[Suggestion]:
    """Every name that was seen and still looks like something, what scores most first, then by queries.

    `listed`: by id.  `is_decided`: whether the policy in force says something about a name (wire form).
    """
    found = []
    for name, one in seen.items():
        suggestion = suggestion_of(index, listed, name, one)
        if suggestion is None or is_decided(name):
            continue
        decision = decisions.get(name)
        found.append(suggestion if decision is None else _with(suggestion, decision))
    return sorted(found, key=lambda one: (-one.score, -one.seen.queries, one.name))


def suggestion_of(index: Index, listed: Mapping[str, Listed], name: bytes, seen: Seen) -> Suggestion | None:
    """What is to be said of one name; None: nothing any more."""
    likeness = index.look(name)
    if likeness is not None and (likeness.name != name or likeness.score < KEPT_SCORE_MIN):
        likeness = None
    shared = next((listed[exchange] for exchange in sorted(seen.shared) if exchange in listed), None)
    if shared is not None and not index.is_decided(name):
        reasons = likeness.reasons if likeness is not None and likeness.exchange is shared else ()
        score = max(SHARED_SCORE, likeness.score if reasons and likeness is not None else 0.0)
        led = f"its answers lead to a name or an address of {shared.name}"
        return Suggestion(name, shared, score, (led, *reasons), seen)
    if likeness is None:
        return None
    return Suggestion(
        name, likeness.exchange, likeness.score, likeness.reasons, seen, is_official=likeness.is_official
    )


def worth_counting(index: Index, name: bytes) -> Likeness | None:
    """The likeness for which a name that was asked and allowed is counted; None: it is of no interest."""
    likeness = index.look(name)
    return likeness if likeness is not None and likeness.score >= KEPT_SCORE_MIN else None


def is_under(name: bytes, zones: frozenset[bytes]) -> bool:
    """Whether a name is one of `zones`, or under one."""
    return any(name[at:] in zones for at in suffix_offsets(name))


def _with(suggestion: Suggestion, decision: Decision) -> Suggestion:
    return Suggestion(
        suggestion.name,
        suggestion.exchange,
        suggestion.score,
        suggestion.reasons,
        suggestion.seen,
        suggestion.is_official,
        decision,
    )
