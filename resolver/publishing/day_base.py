"""What served a day ago: what the steps of one day are held against together.

Knows: the history.  Does not know: what a text means, the rails, the clock.
Theory: each of twenty small steps is within what a rail allows, and all of them together open everything.  So
an edit, or a list, that loses more is also held against the policy of a day before; or against the latest one
that somebody forced since, for that one was meant.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from resolver.publishing.history import HistoryUnusable, open_history

DAY_S = 86_400.0


class DayBase(NamedTuple):
    """The policy that was in force a day ago, or the latest that was forced since, or the first there was."""

    at: float
    """Unix seconds: since when."""
    text: bytes | None
    """Of the blocklist; None: it is not kept."""
    sizes: Mapping[str, int]
    """Name of each list -> how many names it had."""


def day_base(state_dir: Path, now: float) -> DayBase | None:
    """What the steps of the day before `now` (Unix seconds) are held against; None: nothing is known."""
    with contextlib.suppress(HistoryUnusable), open_history(state_dir) as history:
        generation = history.day_before(now, DAY_S)
        if generation is None:
            return None
        found = generation.counts.get("per_list", {})
        sizes = {name: size for name, size in found.items() if isinstance(size, int)}
        return DayBase(generation.at, history.text(generation.number), sizes)
    return None
