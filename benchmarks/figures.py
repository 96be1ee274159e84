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


def short_version(version: str) -> str:
    """The first two numbers, which tell one release from the next."""
    return ".".join(version.split(".")[:2])


def middle(values: Iterable[float | None]) -> float | None:
    """Median; a None among them counts as infinite, and an infinite median is None."""
    numbers = [math.inf if value is None else value for value in values]
    if not numbers:
        return None
    found = median(numbers)
    return None if math.isinf(found) or math.isnan(found) else found


def _matching(readings: Sequence[dict[str, Any]], wanted: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in readings if all(one.get(key) == value for key, value in wanted.items())]


def _shape(one: dict[str, Any]) -> str:
    """Of a reading of streams: over what, and how it was asked."""
    return f"{one.get('transport', '')} {one.get('shape', '')}".strip()


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
        return self.ratio_of("cpu_us", one, other, part, variant=variant, load=load)

    def median_of(self, field: str, contestant: str, part: str, **wanted: Any) -> float | None:
        """A field of the readings of one contestant, median."""
        return middle(one[field] for one in self.readings(part, contestant=contestant, **wanted))

    def ratio_of(self, field: str, one: str, other: str, part: str, **wanted: Any) -> float | None:
        """How many times the other's `field`, median over what was read in the same repeat."""
        pairs = (self.readings(part, contestant=name, **wanted) for name in (one, other))
        ones, others = ({each["repeat"]: each[field] for each in each_of} for each_of in pairs)
        return middle(ones[repeat] / others[repeat] for repeat in ones if others.get(repeat))

    def best_peer(self, variant: str, one: str, load: str, name: str = "") -> tuple[str, float] | None:
        """The peer beside which `one` looks worst, and how many times its CPU per query `one` takes.

        Of all peers, or of those called `name`, whichever version; None where none was read.
        """
        ratios = [
            (ratio, peer)
            for peer in self.peers()
            if name in ("", peer.partition("@")[0])
            and (ratio := self.ratio(variant, one, peer, load)) is not None
        ]
        return max(ratios)[::-1] if ratios else None

    def cheapest_peer(self, variant: str, load: str) -> tuple[str, float] | None:
        """The peer that takes least CPU, and how much; None where none was read."""
        costs = [
            (cost, name) for name in self.peers() if (cost := self.cpu_us(variant, name, load)) is not None
        ]
        if not costs:
            return None
        cost, name = min(costs)
        return name, cost

    def versions(self) -> dict[str, str]:
        """What each contestant that was up says of its version."""
        found: dict[str, str] = {}
        for document in self.parts.values():
            found |= document.get("versions", {})
        return found

    def called(self, peer: str) -> str:
        """A peer's name with its version, where it told one."""
        return f"{peer.partition('@')[0]} {short_version(self.versions().get(peer, ''))}".strip()

    def throughput(self, contestant: str, load: str) -> float | None:
        """Queries per second that a plain dnsperf got answered, median."""
        return self.median_of("queries_per_s", contestant, "throughput", load=load)

    def spread(self, variant: str, contestant: str, load: str) -> float | None:
        """Greatest less least of the repeats, as a part of the median."""
        values = [
            one["cpu_us"]
            for one in self.readings("contest", variant=variant, contestant=contestant, load=load)
        ]
        return (max(values) - min(values)) / median(values) if len(values) > 1 and median(values) else None

    def waits(self, kind: str, contestant: str, load: str, field: str) -> float | None:
        """A figure of the waits, median: `kind` is "most" or "rate", `field` one of the reading's."""
        return self.median_of(field, contestant, "waits", kind=kind, load=load)

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
        """The worst wait while reloading beyond the echo's own worst, median over the calm repeats.

        Of both, what waited while the host let others run is left out.
        """
        found = self.readings("reload", engine=engine, load=load)
        echoes = [max(one[at]["own_worst_us"] for at in ("echo before", "echo after")) / 1e3 for one in found]
        return middle(
            one["reloading"]["own_worst_us"] / 1e3 - echo_ms
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
        for part in ("contest", "throughput", "threads", "waits", "streams"):
            for one in self.readings(part):
                for what in one["odd"]:
                    # The same oddity of several repeats is told once.
                    kind = "lost" if what.endswith("lost") else what
                    how = one.get("variant") or one.get("kind") or _shape(one)
                    key = (one["contestant"], f"{how} {one['load']}", kind)
                    told[key] = told.get(key, 0) + 1
        return [
            f"{name}, {where}: {'queries lost' if kind == 'lost' else kind}"
            + (f" ({count} readings)" if count > 1 else "")
            for (name, where, kind), count in told.items()
        ]
