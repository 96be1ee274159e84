"""A metric: its name, type, help and labels, and which of the facts it shows.

Knows: how rows of the tables of metrics are written.  Does not know: any metric (`metric_table`), Prometheus'
library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from resolver.observe.facts import Facts, NativeFacts
from resolver.observe.series import Sample

Type = Literal["counter", "gauge", "histogram"]
Read = Callable[[Facts], Iterable[Sample]]


@dataclass(slots=True, frozen=True)
class Metric:
    """One row of the table."""

    type: Type
    name: str
    """As monitoring sees it; a histogram's without `_bucket`, `_count`, `_sum`."""
    help: str
    labels: tuple[str, ...]
    read: Read
    """Its series, in the order of `labels`."""
    of_native: bool = False
    """Only servers with a native plane have it."""


def labelled(kind: Type, name: str, text: str, labels: str, read: Read) -> Metric:
    """A metric with labels, in one text."""
    return Metric(kind, name, text, tuple(labels.split()), read)


def counter(name: str, text: str, read: Callable[[Facts], float]) -> Metric:
    """A counter without labels."""
    return Metric("counter", name, text, (), lambda facts: [((), read(facts))])


def gauge(name: str, text: str, read: Callable[[Facts], float]) -> Metric:
    """A gauge without labels."""
    return Metric("gauge", name, text, (), lambda facts: [((), read(facts))])


def native(name: str, text: str, read: Callable[[NativeFacts], int]) -> Metric:
    """A counter that only servers with a native plane have."""
    return Metric(
        "counter",
        name,
        text,
        (),
        lambda facts: [] if facts.native is None else [((), read(facts.native))],
        of_native=True,
    )
