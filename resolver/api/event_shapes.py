"""What streams of events carry.

Knows: their members.  Does not know: where the values come from.
"""

from __future__ import annotations

from pydantic import Field

from resolver.api.endpoint import Shape
from resolver.api.values import Count, Moment


class Latency(Shape):
    """How long answers from one source took."""

    p50_s: float | None
    p99_s: float | None


class Now(Shape):
    """`event: now`, each second."""

    at: Moment
    queries_per_s: float = Field(ge=0)
    blocked_per_s: float = Field(ge=0)
    cache_hit_share: float | None = Field(description="Of the answers of the last 10 seconds; null: none.")
    latency: dict[str, Latency] = Field(
        description="Source -> over the last 10 seconds; without answers: none."
    )


class PolicyChanged(Shape):
    """`event: policy`, at first and whenever another policy judges."""

    at: Moment
    generation: Count
    history: Count
    content: str | None
    exchanges: dict[str, Count]
