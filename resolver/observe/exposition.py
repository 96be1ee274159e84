"""A server's `/metrics`, read back: what a command on the same machine wants to know of it.

Knows: Prometheus' text format, which metrics have hits and queries.  Does not know: who fetches the page.
The page may come from anywhere: what is not understood is an error, and every text is made printable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from resolver.observe.metric_table import EXCHANGE_HITS, LIST_HITS, QUERIES
from resolver.observe.tally import Hit
from resolver.problems import printable

_KINDS: Final = {EXCHANGE_HITS.name: "exchange", LIST_HITS.name: "list"}
_STARTED: Final = "process_start_time_seconds"
"""Made by Prometheus' library, for every process."""


@dataclass(slots=True, frozen=True)
class Counts:
    """What a server has counted since its start."""

    hits: Mapping[Hit, int]
    """Of exchanges and lists, those without hits included."""
    queries: int
    """All whose outcome is known."""
    started_at: float
    """Unix seconds; 0: not told."""


def read_counts(page: str) -> Counts:
    """The counts of a page.  Raises ValueError for what is no page of this program."""
    hits: Counter[Hit] = Counter()
    queries, started_at, is_ours = 0.0, 0.0, False
    try:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if kind := _KINDS.get(sample.name):
                    labels = {name: printable(text) for name, text in sample.labels.items()}
                    hits[Hit(kind, labels[kind], labels["action"], labels["mode"])] += int(sample.value)
                elif sample.name == QUERIES.name:
                    queries, is_ours = queries + sample.value, True
                elif sample.name == _STARTED:
                    started_at = sample.value
        if not is_ours:
            raise ValueError("no counts of this program")
        return Counts(hits, int(queries), started_at)
    except (ValueError, KeyError, OverflowError, IndexError, AttributeError, TypeError) as error:
        raise ValueError(f"not a page of metrics: {error}") from None
