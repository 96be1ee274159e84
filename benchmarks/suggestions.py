"""How well suggestions find imitations of listed exchanges, on names that others collected.

    python -m benchmarks suggestions

Knows: which suggestion counts as right, how the halves are made, what is printed.  Does not know: how a name
is scored, where the data is from.
A suggestion of a reported name is right if the judge finds the same exchange in it, and wrong for any other
reported name, and for every name that is what it seems, though some of these are the exchanges' own.  Names
are taken once for each that somebody registered, and halved by their hash: who tunes looks at the errors of
half A alone.  The base rate is what the packages make it, so beside precision stands what it would be where
imitations are rarer.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.suggestion_data import Data, Unreachable, fetch
from benchmarks.suggestion_judge import Judge
from resolver.blocklist.reader import read_blocklist
from resolver.orders.platforms import SHIPPED
from resolver.suggestions.listed import known_of
from resolver.suggestions.names import registrable
from resolver.suggestions.score import DEFAULT_SCORE_MIN, Index
from resolver.wire.names import name_from_text, name_to_text

HALVES = ("A", "B")
RARER = (100, 1_000)
"""Names among which one imitates: for a precision beyond that of the packages' mix."""


@dataclass
class Reading:
    """What came of one half."""

    imitating: int = 0
    """Reported names in which the judge sees a listed exchange."""
    others: int = 0
    """Reported names in which it sees none."""
    innocent: int = 0
    found: int = 0
    """Suggested, and the judge sees the same exchange."""
    unshared: list[str] = field(default_factory=list)
    """Suggested reported names in which it does not."""
    false: list[str] = field(default_factory=list)
    """Suggested names that are what they seem."""
    missed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def precision(self) -> float:
        """Of all suggestions, those that are right."""
        return self.found / max(1, self.found + len(self.unshared) + len(self.false))

    @property
    def recall(self) -> float:
        """Of all imitations, those that are suggested."""
        return self.found / max(1, self.imitating)

    def precision_at(self, names: int) -> float:
        """Where one in `names` imitates and the rest is innocent."""
        right = self.recall / names
        wrong = len(self.false) / max(1, self.innocent) * (1 - 1 / names)
        return right / max(1e-12, right + wrong)


def measure(data: Data, half: str, index: Index, judge: Judge, score_min: float) -> Reading:
    """Read one half."""
    reading = Reading()
    innocent = set(_once(name for names in data.innocent.values() for name in names))
    began = time.perf_counter()
    looks = {
        name: index.look(name) for name in innocent if half_of(name) == half and not index.is_decided(name)
    }
    reading.seconds = time.perf_counter() - began
    reading.innocent = len(looks)
    for name, likeness in looks.items():
        if likeness is not None and likeness.score >= score_min:
            reading.false.append(f"{name_to_text(name)} {likeness.exchange.id} {likeness.score}")
    for name in _once(data.reported):
        if half_of(name) != half or index.is_decided(name) or name in innocent:
            continue
        likeness = index.look(name)
        imitated = judge.imitated(name_to_text(name))
        reading.imitating += bool(imitated)
        reading.others += not imitated
        is_suggested = likeness is not None and likeness.score >= score_min
        if is_suggested and likeness is not None and likeness.exchange.id in imitated:
            reading.found += 1
        elif is_suggested and likeness is not None:
            reading.unshared.append(f"{name_to_text(name)} {likeness.exchange.id} {likeness.score}")
        elif imitated:
            reading.missed.append(f"{name_to_text(name)} {' '.join(sorted(imitated))}")
    return reading


def half_of(name: bytes) -> str:
    """`A` or `B`, the same for all names under one that somebody registered."""
    return HALVES[hashlib.sha256(registrable(name) or name).digest()[0] & 1]


def _once(names: Iterable[str]) -> Iterable[bytes]:
    """Wire forms, one for each registrable name: the shortest, then the first by letters."""
    shortest: dict[bytes, bytes] = {}
    for text in sorted(names, key=lambda name: (len(name), name)):
        try:
            name = name_from_text(text)
        except ValueError:
            continue  # An address, a path.
        shortest.setdefault(registrable(name) or name, name)
    return shortest.values()


def report_suggestions(directory: Path, *, errors: str = "") -> bool:
    """Fetch, measure, print; False: there is no data.  `errors`: the half whose errors are listed."""
    try:
        data = fetch(directory)
    except Unreachable as error:
        print(f"suggestions: skipped: {error}")
        return False
    policy, _ = read_blocklist(SHIPPED, force=True)
    assert policy is not None
    index = known_of(policy).index()
    judge = Judge(policy, (name for names in data.innocent.values() for name in names))
    sizes = ", ".join(f"{what} {len(names):,}" for what, names in data.innocent.items())
    print(
        f"suggestions: {len(data.reported):,} reported names; innocent: {sizes}; score {DEFAULT_SCORE_MIN:g}"
    )
    for half in HALVES:
        reading = measure(data, half, index, judge, DEFAULT_SCORE_MIN)
        print(f"half {half}{' (tuned on)' if half == 'A' else ''}: {_words(reading)}")
        if half == errors:
            for what in ("false", "unshared", "missed"):
                print(f"  {what}: " + "; ".join(sorted(getattr(reading, what))))
    return True


def _words(reading: Reading) -> str:
    total = reading.imitating + reading.others + reading.innocent
    rarer = ", ".join(f"1 in {names:,}: {reading.precision_at(names):.2f}" for names in RARER)
    return (
        f"precision {reading.precision:.3f}, recall {reading.recall:.3f} "
        f"({reading.found:,} right; wrong: {len(reading.unshared)} reported, {len(reading.false)} innocent); "
        f"of {total:,} names {reading.imitating:,} imitate ({reading.imitating / total:.1%}); "
        f"false {len(reading.false) / max(1, reading.innocent) * 10_000:.2f} per 10,000 innocent; "
        f"precision where fewer imitate: {rarer}; "
        f"{reading.seconds / max(1, reading.innocent) * 1e6:.1f} us a name"
    )
