"""Pages with numbers over time: hits of exchanges and lists, and what was asked in all.

Knows: what a chart of an hour, a day and a month is made of, which hits may be named.  Does not know: how
anything is counted or kept.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field

from resolver.api.desk import Desk
from resolver.api.endpoint import Call, Endpoint, Shape
from resolver.api.event_shapes import Latency
from resolver.api.refusal import Kind, Refusal
from resolver.api.values import IDENTIFIER, Count, Moment
from resolver.hits.figures import EXCHANGE, LIST, Hits
from resolver.hits.file import Failure, HitsUnusable
from resolver.hits.store import HitStore
from resolver.moments import iso_moment
from resolver.observe.facts import Facts
from resolver.observe.traffic import SHOWN, SOURCES, Step, quantile_s
from resolver.policy.verdict import Mode
from resolver.problems import show

RangeWord = Literal["hour", "day", "month"]
Range = Annotated[RangeWord, Field(description="The last hour, day or 30 days.")]
OTHERS: Final = "others"
"""Instead of what is confidential, or is in the policy no longer."""
TOP_MAX: Final = 100
MINUTE_S: Final = 60
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
DAYS: Final = 30

STEPS_S: Final[Mapping[str, tuple[int, int]]] = {
    "hour": (MINUTE_S, HOUR_S),
    "day": (HOUR_S, DAY_S),
    "month": (DAY_S, DAYS * DAY_S),
}
"""Of hits: the length of a step, and of all of them."""


class HitsQuery(Shape):
    """Whose hits, and when."""

    range: Range = "day"
    exchange: Annotated[
        str | None,
        Field(None, pattern=f"^{IDENTIFIER}$", description="Of one exchange; with `list` of both."),
    ] = None
    list: Annotated[str | None, Field(None, pattern=f"^{IDENTIFIER}$", description="Of one list.")] = None


class SeriesQuery(Shape):
    """When."""

    range: Range = "hour"


class HitStep(Shape):
    """The hits of one step."""

    at: Moment = Field(description="Its beginning.")
    blocked: Count
    shadow: Count = Field(description="What would have been blocked.")
    covered_s: float = Field(description="Seconds of it in which a server counted.")


class HitTotal(Shape):
    """The hits of one exchange or list in all steps."""

    kind: Literal["exchange", "list"]
    id: str
    blocked: Count
    shadow: Count


class HitsOverTime(Shape):
    """Hits, step by step."""

    range: RangeWord
    step_s: Count
    items: list[HitStep] = Field(description="In order of time; without steps in which no server counted.")
    next: None
    totals: list[HitTotal] = Field(description="By exchange and list, most first; at most 100.")
    others: HitTotalOfOthers


class HitTotalOfOthers(Shape):
    """Hits that are not named: of what is confidential, or in the policy no longer."""

    blocked: Count
    shadow: Count


class SeriesStep(Shape):
    """What was asked in one step."""

    at: Moment = Field(description="Its beginning.")
    covered_s: float = Field(description="Seconds of it in which a server counted.")
    queries: Count
    blocked: Count
    cache_hits: Count
    answers: Count
    latency: dict[str, Latency] = Field(description="Source -> how long answers took; without answers: none.")


class Series(Shape):
    """What was asked, step by step."""

    range: RangeWord
    step_s: Count
    items: list[SeriesStep] = Field(description="In order of time; the last one goes on.")
    next: None


HitsOverTime.model_rebuild()


def figures_endpoints(desk: Desk) -> list[Endpoint]:
    """The rows."""

    async def hits(call: Call) -> HitsOverTime:
        asked: HitsQuery = call.query
        named = named_in(desk.facts())
        wanted = _wanted(asked, named)
        try:
            # SQLite reads beside us; what it gives is a few hundred rows.
            steps = await asyncio.to_thread(_read, desk, asked.range)
        except HitsUnusable as error:
            if error.failure is not Failure.MISSING:
                raise Refusal(Kind.CONFLICT, str(error)) from None
            raise Refusal(
                Kind.CONFLICT,
                "there is no history of hits yet",
                remedy="The server writes it within a minute, unless hits.days is 0.",
            ) from None
        return hits_over_time(asked.range, steps, named, wanted)

    async def series(call: Call) -> Series:
        if desk.traffic is None:
            raise Refusal(Kind.NOT_READY, "the server is still starting")
        steps = await desk.traffic(call.query.range)
        return Series(
            range=call.query.range,
            step_s=SHOWN[call.query.range].step_s,
            items=[_series_step(step) for step in steps],
            next=None,
        )

    return [
        Endpoint(
            "GET",
            "/hits",
            "figures",
            "How often exchanges and lists were met",
            hits,
            HitsOverTime,
            query=HitsQuery,
            refuses=(Kind.CONFLICT, Kind.NOT_FOUND),
        ),
        Endpoint(
            "GET",
            "/series",
            "figures",
            "Queries, blocks, cache hits and response times, step by step",
            series,
            Series,
            query=SeriesQuery,
            refuses=(Kind.NOT_READY,),
        ),
    ]


class Named(NamedTuple):
    """What may be named now."""

    exchanges: frozenset[str]
    lists: frozenset[str]

    def has(self, kind: str, label: str) -> bool:
        """Whether hits of this are told by its name."""
        return label in (self.exchanges if kind == EXCHANGE else self.lists)


def named_in(facts: Facts) -> Named:
    """The exchanges and lists of the policy in force that are not confidential."""
    concealed = {"confidential"}
    lists = {name for name, _, _ in facts.policy.lists} | {one.name for one in facts.lists}
    return Named(frozenset(facts.policy.states) - concealed, frozenset(lists) - concealed)


class HitsOfStep(NamedTuple):
    """One step, as the history has it."""

    at: float
    covered_s: float
    hits: Hits


def _wanted(asked: HitsQuery, named: Named) -> set[tuple[str, str]]:
    """(kind, id) of those that the hits are of; empty: all.  Raises Refusal."""
    wanted = {
        (kind, label) for kind, label in ((EXCHANGE, asked.exchange), (LIST, asked.list)) if label is not None
    }
    for kind, label in wanted:
        if not named.has(kind, label):
            raise Refusal(Kind.NOT_FOUND, f"there is no {kind} {show(label)} in the policy in force")
    return wanted


def _read(desk: Desk, span: RangeWord) -> list[HitsOfStep]:
    """Raises HitsUnusable."""
    now = desk.wall()
    step_s, span_s = STEPS_S[span]
    end = (now // step_s + 1) * step_s
    with HitStore.open_for_reading(desk.state_dir) as store:
        if span == "month":
            last = datetime.fromtimestamp(now, UTC).date()
            days = store.per_day(last - timedelta(days=DAYS - 1), last, UTC)
            midnight = datetime(1970, 1, 1, tzinfo=UTC).date()
            return [
                HitsOfStep((day.day - midnight).days * DAY_S, day.covered_s, day.hits)
                for day in days
                if day.covered_s
            ]
        read = store.per_minute if span == "hour" else store.per_hour
        return [HitsOfStep(one.starts_at, one.covered_s, one.hits) for one in read(end - span_s, end)]


def hits_over_time(
    span: RangeWord, steps: Iterable[HitsOfStep], named: Named, wanted: Collection[tuple[str, str]] = ()
) -> HitsOverTime:
    """What `/hits` says."""
    items = []
    totals: Counter[tuple[str, str, bool]] = Counter()
    for step in steps:
        told: Counter[bool] = Counter()
        for key, count in step.hits.items():
            if key.kind not in (EXCHANGE, LIST) or (wanted and key[:2] not in wanted):
                continue
            is_shadow = key.mode == Mode.SHADOW.value
            told[is_shadow] += count
            label = key.label if named.has(key.kind, key.label) else OTHERS
            totals[key.kind if label != OTHERS else OTHERS, label, is_shadow] += count
        at = str(iso_moment(step.at))
        items.append(
            HitStep(at=at, blocked=told[False], shadow=told[True], covered_s=round(step.covered_s, 1))
        )
    labels = {(kind, label) for kind, label, _ in totals if kind != OTHERS}
    ordered = sorted(labels, key=lambda one: (-totals[*one, False], -totals[*one, True], one))
    return HitsOverTime(
        range=span,
        step_s=STEPS_S[span][0],
        items=items,
        next=None,
        totals=[
            HitTotal(
                kind=kind,  # type: ignore[arg-type]
                id=label,
                blocked=totals[kind, label, False],
                shadow=totals[kind, label, True],
            )
            for kind, label in ordered[:TOP_MAX]
        ],
        others=HitTotalOfOthers(blocked=totals[OTHERS, OTHERS, False], shadow=totals[OTHERS, OTHERS, True]),
    )


def _series_step(step: Step) -> SeriesStep:
    counted = step.counted
    return SeriesStep(
        at=str(iso_moment(step.at)),
        covered_s=round(step.covered_s, 1),
        queries=counted.queries,
        blocked=counted.blocked,
        cache_hits=counted.cache_hits,
        answers=counted.answers,
        latency={
            source: Latency(
                p50_s=quantile_s(counted.times.get(source, ()), 0.5),
                p99_s=quantile_s(counted.times.get(source, ()), 0.99),
            )
            for source in SOURCES
        },
    )
