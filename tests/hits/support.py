"""What tests of the history of hits share: a recorder that a test drives by hand, and how it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from resolver.hits.figures import HitKey
from resolver.hits.ledger import Look
from resolver.hits.recorder import HitRecorder
from resolver.hits.store import HitStore
from resolver.hits.writing import Limits

NOON = 1_700_000_000 // 3600 * 3600 + 0.0
"""The beginning of an hour, Unix seconds."""

ALPHA = HitKey("exchange", "alpha", "nxdomain", "enforce")
BETA = HitKey("exchange", "beta", "sinkhole", "enforce")
ADS = HitKey("list", "ads", "nxdomain", "shadow")


class Driver:
    """One process with its counts and its clocks."""

    def __init__(self, state_dir: Path, *, at: float = NOON, limits: Limits | None = None) -> None:
        self.at, self.now = at, 0.0
        self.counts: Counter[HitKey] = Counter()
        self.orders: dict[tuple[str, str], tuple[str, ...]] = {}
        self.recorder = HitRecorder(state_dir, limits or Limits(hours=9600), at=at, now=0.0)
        self.recorder.read_latest()

    def count(self, hits: Mapping[HitKey, int] | int, after_s: float = 30.0, *, set_by: float = 0.0) -> None:
        """Time passes, hits come, the clock is set, a look is taken."""
        self.now += after_s
        self.at += after_s + set_by
        self.counts.update({ALPHA: hits} if isinstance(hits, int) else hits)
        self.recorder.take(Look(self.at, self.now, dict(self.counts), self.orders))

    def write(self) -> None:
        self.recorder.write(self.at)

    def count_and_write(self, hits: Mapping[HitKey, int] | int, after_s: float = 30.0) -> None:
        self.count(hits, after_s)
        self.write()


def totals(state_dir: Path) -> dict[HitKey, int]:
    with HitStore.open_for_reading(state_dir) as store:
        return dict(store.totals())


def sum_of_hours(state_dir: Path, key: HitKey = ALPHA) -> int:
    with HitStore.open_for_reading(state_dir) as store:
        return sum(span.hits.get(key, 0) for span in store.per_hour(0, 1e12))
