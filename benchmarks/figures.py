"""Raw readings made into figures: medians over the repeats, ratios, spreads.

Knows: the shape of the documents of raw readings.  Does not know: what they should be, how they are shown.
Everything here is pure; a figure that was not read is None.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

LOADS = ("hot", "block", "mix", "miss")
NOT_PEERS = ("echo", "native", "python")
ECHO_CALM_MS = 10.0
"""Where the echo itself once waited longer, a reload beside it says nothing of who reloads."""


def middle(values: Iterable[float | None]) -> float | None:
    """Median; a None among them counts as infinite, and an infinite median is None."""
    numbers = [math.inf if value is None else value for value in values]
    if not numbers:
        return None
    found = median(numbers)
    return None if math.isinf(found) or math.isnan(found) else found


def _matching(readings: Sequence[dict[str, Any]], wanted: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in readings if all(one.get(key) == value for key, value in wanted.items())]


@dataclass(frozen=True)
class Figures:
    """All parts of one run, asked for figures."""

    parts: dict[str, dict[str, Any]]

    def readings(self, part: str, **wanted: Any) -> list[dict[str, Any]]:
        """Readings of a part with these values."""
        return _matching(self.parts.get(part, {}).get("readings", []), wanted)

    def contestants(self, part: str) -> list[str]:
        """Who was read in a part, in the order in which they took part."""
        return list(dict.fromkeys(one["contestant"] for one in self.readings(part)))

    def peers(self) -> list[str]:
        """Resolvers of other makers in the contest."""
        return [name for name in self.contestants("contest") if name not in NOT_PEERS]

    def absent(self) -> dict[str, str]:
        """Who did not take part in the contest, and why."""
        absent: dict[str, str] = self.parts.get("contest", {}).get("absent", {})
        return absent

    def cpu_us(self, variant: str, contestant: str, load: str, part: str = "contest") -> float | None:
        """CPU per query, median."""
        found = self.readings(part, variant=variant, contestant=contestant, load=load)
        return middle(one["cpu_us"] for one in found if one["completed"])

    def ratio(self, variant: str, one: str, other: str, load: str, part: str = "contest") -> float | None:
        """How many times the other's CPU per query, median over what was read in the same repeat."""
        pairs = (self.readings(part, variant=variant, contestant=name, load=load) for name in (one, other))
        ones, others = ({each["repeat"]: each["cpu_us"] for each in each_of} for each_of in pairs)
        return middle(ones[repeat] / others[repeat] for repeat in ones if others.get(repeat))

    def cheapest_peer(self, variant: str, load: str) -> tuple[str, float] | None:
        """The peer that takes least CPU, and how much; None where none was read."""
        costs = [
            (cost, name) for name in self.peers() if (cost := self.cpu_us(variant, name, load)) is not None
        ]
        if not costs:
            return None
        cost, name = min(costs)
        return name, cost

    def spread(self, variant: str, contestant: str, load: str) -> float | None:
        """Greatest less least of the repeats, as a part of the median."""
        values = [
            one["cpu_us"]
            for one in self.readings("contest", variant=variant, contestant=contestant, load=load)
        ]
        return (max(values) - min(values)) / median(values) if len(values) > 1 and median(values) else None

    def waits(self, kind: str, contestant: str, load: str, field: str) -> float | None:
        """A figure of the waits, median: `kind` is "most" or "rate", `field` one of the reading's."""
        return middle(
            one[field] for one in self.readings("waits", kind=kind, contestant=contestant, load=load)
        )

    def start(self, engine: str, names: int, policy: str, image: str, field: str) -> float | None:
        """Seconds or megabytes of one kind of start, median."""
        found = self.readings("starts", engine=engine, names=names, policy=policy, image=image)
        return middle(one[field] for one in found)

    def added(self, engine: str, names: int, image: str, field: str) -> float | None:
        """What the long list adds to a start."""
        long = self.start(engine, names, "long", image, field)
        short = self.start(engine, names, "short", image, field)
        return None if long is None or short is None else long - short

    def reload_lost(self, engine: str, load: str) -> int | None:
        """Queries lost in all reloads that counted, together: those from which the host stole least."""
        found = self.readings("reload", engine=engine, load=load)
        return sum(one["reloading"]["lost"] for one in found) if found else None

    def reload_stall_ms(self, engine: str, load: str) -> float | None:
        """The worst wait while reloading beyond the echo's own worst, median over the calm repeats."""
        found = self.readings("reload", engine=engine, load=load)
        echoes = [max(one[when]["worst_us"] for when in ("echo before", "echo after")) / 1e3 for one in found]
        return middle(
            one["reloading"]["worst_us"] / 1e3 - echo_ms
            for one, echo_ms in zip(found, echoes, strict=True)
            if echo_ms <= ECHO_CALM_MS
        )

    def rounds(self) -> dict[str, int]:
        """How often each part was read, the contest by variant."""
        times: dict[str, int] = {}
        for part in self.parts:
            for one in self.readings(part):
                what = one.get("variant", part)
                times[what] = max(times.get(what, 1), 1 + one.get("repeat", 0))
        return times

    def odd(self) -> list[str]:
        """Readings that are doubtful, as sentences."""
        told: dict[tuple[str, str, str], int] = {}
        for part in ("contest", "threads", "waits"):
            for one in self.readings(part):
                for what in one["odd"]:
                    # The same oddity of several repeats is told once.
                    kind = "lost" if what.endswith("lost") else what
                    how = one.get("variant") or one.get("kind", "")
                    key = (one["contestant"], f"{how} {one['load']}", kind)
                    told[key] = told.get(key, 0) + 1
        return [
            f"{name}, {where}: {'queries lost' if kind == 'lost' else kind}"
            + (f" ({count} readings)" if count > 1 else "")
            for (name, where, kind), count in told.items()
        ]
