"""Figures from raw readings, and the bar."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.bars import BarLine, bar_lines
from benchmarks.figures import Figures, middle


def cpu(contestant: str, load: str, *costs: float, variant: str = "plain") -> list[dict[str, Any]]:
    return [
        {
            "variant": variant,
            "load": load,
            "contestant": contestant,
            "repeat": repeat,
            "cpu_us": cost,
            "completed": 1_000,
            "lost": 0,
            "odd": [],
        }
        for repeat, cost in enumerate(costs)
    ]


def start(
    policy: str, image: str, seconds: float, megabytes: float, names: int = 1_000_000
) -> dict[str, Any]:
    return {
        "engine": "native",
        "names": names,
        "policy": policy,
        "image": image,
        "repeat": 0,
        "seconds": seconds,
        "memory_mb": megabytes,
    }


def reload(
    lost: int,
    echo_us: float,
    worst_us: float,
    engine: str = "native",
    load: str = "half",
    after_us: float = 0.0,
) -> dict[str, Any]:
    return {
        "engine": engine,
        "load": load,
        "echo before": {"own_worst_us": echo_us},
        "echo after": {"own_worst_us": after_us},
        "reloading": {"own_worst_us": worst_us, "lost": lost},
    }


def contest(*readings: list[dict[str, Any]]) -> Figures:
    return Figures({"contest": {"readings": [one for group in readings for one in group]}})


def line(figures: Figures, what: str) -> BarLine:
    (found,) = [one for one in bar_lines(figures) if one.what == what]
    return found


def test_median_of_nothing_and_of_mostly_lost_is_nothing() -> None:
    assert middle([]) is None
    assert middle([3.0, 1.0, 2.0]) == 2.0
    assert middle([1.0, None, 2.0]) == 2.0
    assert middle([1.0, None, None]) is None


def test_ratio_is_taken_within_each_repeat() -> None:
    # The machine was twice as slow in the last repeat: a ratio of medians would be 1.2 or 2.
    figures = contest(cpu("native", "hot", 6.0, 6.0, 12.0), cpu("echo", "hot", 5.0, 5.0, 10.0))
    assert figures.ratio("plain", "native", "echo", "hot") == pytest.approx(1.2)
    assert figures.ratio("edns", "native", "echo", "hot") is None


def test_reading_without_answers_is_no_figure() -> None:
    readings = cpu("native", "hot", 1.0)
    readings[0]["completed"] = 0
    assert contest(readings).cpu_us("plain", "native", "hot") is None


def test_neither_echo_nor_ours_is_a_peer() -> None:
    figures = contest(cpu("echo", "hot", 5.0), cpu("native", "hot", 6.0), cpu("unbound", "hot", 12.0))
    assert figures.peers() == ["unbound"]
    assert figures.cheapest_peer("plain", "hot") == ("unbound", 12.0)
    assert figures.cheapest_peer("plain", "miss") is None


@pytest.mark.parametrize(("cost", "is_met"), [(6.25, True), (6.26, False)])
def test_hot_may_cost_a_quarter_more_than_the_echo(cost: float, is_met: bool) -> None:
    figures = contest(cpu("native", "hot", cost), cpu("echo", "hot", 5.0), cpu("dnsdist", "hot", 9.0))
    assert line(figures, "native, hot: times the echo's CPU").is_met is is_met
    assert line(figures, "native, hot: times the best peer's CPU").is_met is True


@pytest.mark.parametrize(("cost", "is_met"), [(12.6, True), (12.7, False)])
def test_native_engine_may_cost_seven_tenths_of_the_best_peer(cost: float, is_met: bool) -> None:
    readings = (
        cpu("native", "miss", cost, variant="do"),
        cpu("dnsdist", "miss", 18.0, variant="do"),
        cpu("unbound", "miss", 60.0, variant="do"),
    )
    told = line(contest(*readings), "native, miss, DO: times the best peer's CPU")
    assert (told.limit, told.is_met) == ("≤ 0.70 ×", is_met)
    assert told.measured.endswith("× (dnsdist)")


def test_miss_is_not_compared_with_the_echo() -> None:
    assert not any("miss" in one.what and "echo" in one.what for one in bar_lines(Figures({})))


@pytest.mark.parametrize(("load", "limit"), [("hot", 1.0), ("block", 1.5), ("mix", 1.2), ("miss", 1.5)])
def test_python_engine_is_measured_by_the_better_unbound(load: str, limit: float) -> None:
    old, new = cpu("unbound", load, 20.0), cpu("unbound@new", load, 10.0)
    for cost, is_met in ((limit * 10.0, True), (limit * 10.0 + 0.1, False)):
        figures = contest(cpu("python", load, cost), old, new, cpu("dnsdist", load, 1.0))
        figures.parts["contest"]["versions"] = {"unbound": "1.17.1", "unbound@new": "1.26.2"}
        told = line(figures, f"python, {load}: times Unbound's CPU")
        assert (told.is_met, told.measured.endswith("× (unbound 1.26)")) == (is_met, True)


def test_throughput_is_the_median_of_the_rounds() -> None:
    readings = [
        {"contestant": "unbound", "load": "hot", "repeat": repeat, "queries_per_s": rate}
        for repeat, rate in enumerate((50_000.0, 70_000.0, 60_000.0))
    ]
    assert Figures({"throughput": {"readings": readings}}).throughput("unbound", "hot") == 60_000.0
    assert Figures({"throughput": {"readings": readings}}).throughput("unbound", "miss") is None


def test_what_was_not_measured_is_neither_met_nor_short() -> None:
    assert {one.is_met for one in bar_lines(Figures({}))} == {None}
    assert {one.verdict() for one in bar_lines(Figures({}))} == {"not measured"}


def test_list_is_charged_with_what_it_adds() -> None:
    figures = Figures(
        {
            "starts": {
                "readings": [
                    start("short", "first", 0.5, 60),
                    start("long", "first", 1.4, 110),
                    start("short", "found", 0.4, 60),
                    start("long", "found", 0.6, 125),
                ]
            }
        }
    )
    label = "native, 1,000,000 names"
    assert line(figures, f"{label}: added to a first start").measured == "0.90 s"
    assert line(figures, f"{label}: added to a start that finds its image").is_met is False
    assert line(figures, f"{label}: the whole process").measured == "125 MB"
    assert line(figures, "native, 10,000,000 names: memory added").is_met is None


def test_two_threads_are_compared_with_one_in_their_own_run() -> None:
    costs = {"native": 5.0, "native x2": 5.6, "native x2 on one core": 5.4, "echo": 4.0, "echo x2": 4.8}
    readings = [one for key, cost in costs.items() for one in cpu(key, "hot", cost, variant="threads")]
    figures = Figures({"threads": {"readings": readings}})
    what = "native, hot: two threads, times one thread's CPU"
    assert (line(figures, what).measured, line(figures, what).is_met) == ("1.12 × (echo 1.20 ×)", False)
    one_core = line(figures, what.replace("threads,", "threads on one core,"))
    assert (one_core.measured, one_core.is_met) == ("1.08 ×", True)
    without = line(Figures({"threads": {"readings": readings[3:]}}), what)
    assert (without.measured, without.is_met) == ("", None)


def test_stall_counts_beyond_the_echo_and_losses_add_up() -> None:
    figures = Figures({"reload": {"readings": [reload(0, 1_000, 5_500), reload(1, 9_000, 9_000)]}})
    label = "native, reload at half the most it answers"
    assert line(figures, f"{label}: queries lost").measured == "1"
    assert line(figures, f"{label}: queries lost").is_met is False
    assert line(figures, f"{label}: stall beyond the echo's worst").is_met is True


def test_reload_beside_an_echo_that_stood_still_is_not_judged() -> None:
    label = "native, reload at half the most it answers: stall beyond the echo's worst"
    disturbed = [reload(0, 25_000, 12_000), reload(0, 1_000, 13_000, after_us=28_000)]
    assert line(Figures({"reload": {"readings": disturbed}}), label).is_met is None
    calm = [*disturbed, reload(0, 2_000, 9_000)]
    assert line(Figures({"reload": {"readings": calm}}), label).measured == "7.0 ms"


def test_echo_is_as_slow_as_before_or_after() -> None:
    reloads = [
        reload(0, 1_000, 7_500, after_us=2_000),
        reload(0, 1_000, 90_000, load="fixed"),
        reload(0, 1_000, 24_000, engine="python", load="fixed", after_us=5_000),
        reload(0, 1_000, 90_000, engine="python"),
    ]
    figures = Figures({"reload": {"readings": reloads}})
    native = line(figures, "native, reload at half the most it answers: stall beyond the echo's worst")
    assert (native.limit, native.measured, native.is_met) == ("≤ 5.0 ms", "5.5 ms", False)
    python = line(figures, "python, reload at 20,000 queries/s: stall beyond the echo's worst")
    assert (python.limit, python.measured, python.is_met) == ("≤ 20.0 ms", "19.0 ms", True)


def test_same_oddity_of_several_repeats_is_told_once() -> None:
    readings = cpu("named", "hot", 5.0, 5.0)
    readings[0]["odd"] = ["12 of 100 queries lost"]
    readings[1]["odd"] = ["13 of 100 queries lost"]
    assert contest(readings).odd() == ["named, plain hot: queries lost (2 readings)"]


def test_rounds_are_told_for_each_variant_and_part() -> None:
    readings = [*cpu("echo", "hot", 5.0, 5.1, 5.2), *cpu("echo", "hot", 5.0, 5.1, variant="edns")]
    waits = [{"contestant": "echo", "load": "hot", "repeat": repeat} for repeat in range(4)]
    figures = Figures({"contest": {"readings": readings}, "waits": {"readings": waits}})
    assert figures.rounds() == {"plain": 3, "edns": 2, "waits": 4}
