"""Hits over time: added up, of those that may be named, and the rest as one number."""

from __future__ import annotations

from pathlib import Path

from resolver.api.figures_pages import OTHERS, HitsOfStep, Named, hits_over_time, named_in
from resolver.hits.figures import HitKey
from resolver.observe.facts import Facts, PolicyFacts
from resolver.observe.traffic import Counted, Step
from tests.api.made import Made

NAMED = Named(frozenset(("acme", "zen")), frozenset(("ads",)))
STEPS = [
    HitsOfStep(
        0.0,
        60.0,
        {
            HitKey("exchange", "acme", "nxdomain", "enforce"): 5,
            HitKey("exchange", "acme", "nxdomain", "shadow"): 1,
            HitKey("order", "o-1", "nxdomain", "enforce"): 5,
            HitKey("exchange", "secret", "nxdomain", "enforce"): 7,
            HitKey("exchange", "confidential", "nxdomain", "enforce"): 2,
        },
    ),
    HitsOfStep(60.0, 30.0, {HitKey("list", "ads", "nodata", "enforce"): 9}),
]


def test_hits_of_what_may_be_named_are_told_by_name_and_others_together() -> None:
    told = hits_over_time("hour", STEPS, NAMED)
    assert [(one.kind, one.id, one.blocked, one.shadow) for one in told.totals] == [
        ("list", "ads", 9, 0),
        ("exchange", "acme", 5, 1),
    ]
    assert (told.others.blocked, told.others.shadow) == (9, 0)
    assert [(step.blocked, step.shadow, step.covered_s) for step in told.items] == [
        (14, 1, 60.0),
        (9, 0, 30.0),
    ]
    assert "secret" not in told.model_dump_json() and OTHERS in told.model_dump_json()


def test_of_one_exchange_only_its_own() -> None:
    told = hits_over_time("hour", STEPS, NAMED, {("exchange", "acme")})
    assert [(step.blocked, step.shadow) for step in told.items] == [(5, 1), (0, 0)]
    assert [one.id for one in told.totals] == ["acme"] and told.others.blocked == 0


def test_what_the_policy_no_longer_has_or_conceals_is_not_named() -> None:
    facts = Facts(
        policy=PolicyFacts(
            states={"acme": "enforced"},
            lists=(("ads", "nxdomain", "enforce"), ("confidential", "nxdomain", "enforce")),
        )
    )
    named = named_in(facts)
    assert named.exchanges == {"acme"} and named.lists == {"ads"}


def test_an_exchange_that_is_not_there_and_a_history_that_is_not_are_told(tmp_path: Path) -> None:
    made = Made(state_dir=tmp_path)
    assert made.ask("/api/v1/hits?exchange=gone").status_code == 404
    reply = made.ask("/api/v1/hits")
    assert reply.status_code == 409 and "hits.days" in reply.json()["remedy"]


def test_a_series_has_its_steps_with_quantiles() -> None:
    async def steps(span: str) -> list[Step]:
        return [Step(1_796_040_000, 60, 60.0, Counted(5, 1, 2, {"cache": (4, *(0,) * 13)}))]

    told = Made(traffic=steps).ask("/api/v1/series?range=hour").json()
    assert told["step_s"] == 60
    [step] = told["items"]
    assert step["at"] == "2026-11-30T12:00:00Z" and step["answers"] == 4
    assert step["latency"]["cache"]["p50_s"] == 0.00025 and step["latency"]["local"]["p99_s"] is None
