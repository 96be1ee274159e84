"""The page and the chart: what a reader sees of the figures."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from benchmarks.bars import BarLine
from benchmarks.chart import Panel, axis_end, draw, tick_step
from benchmarks.field import CONTESTANTS
from benchmarks.figures import Figures
from benchmarks.markdown import label_of, number, table, with_versions
from benchmarks.page import page, panels
from benchmarks.summary import SHORT_MAX, summary

SVG = "{http://www.w3.org/2000/svg}"
LABELS = {"echo": "bare echo", "native": "native engine", "unbound": "Unbound", "dnsmasq": "dnsmasq"}
MACHINE = {"day": "2026-01-02", "CPU": "A processor", "cores": "2", "kernel": "Linux 6.1"}


def cpu(contestant: str, load: str, cost: float) -> dict[str, Any]:
    fields = {"variant": "plain", "repeat": 0, "completed": 9, "lost": 0, "odd": []}
    return {**fields, "contestant": contestant, "load": load, "cpu_us": cost}


def figures(**more: Any) -> Figures:
    readings = [cpu("echo", "hot", 5.0), cpu("native", "hot", 8.0), cpu("unbound", "hot", 12.0)]
    contest = {
        "machine": MACHINE,
        "names": 1_000_000,
        "started": {"unbound": {"load_s": 6.5, "memory_mb": 421.0}},
        "versions": {"unbound": "1.17.1"},
        "absent": {"dnsmasq": "not installed"},
        "readings": readings,
    }
    return Figures({"contest": contest, **more})


def test_table_is_markdown() -> None:
    assert table(("a", "b"), [["c", "1"]]) == "| a | b |\n| --- | ---: |\n| c | 1 |"


def test_figure_that_was_not_read_is_a_dash() -> None:
    assert (number(None), number(1234.56), number(0.5, 0)) == ("–", "1,234.6", "0")


def test_label_tells_threads_only_where_there_are_several() -> None:
    assert label_of("native", CONTESTANTS) == "native engine"
    assert label_of("native x2", CONTESTANTS) == "native engine, 2 threads"
    assert label_of("native x2 on one core", CONTESTANTS) == "native engine, 2 threads on one core"


def test_page_shows_figures_bars_and_what_falls_short() -> None:
    text = page(figures(), CONTESTANTS)
    assert "| Unbound 1.17 | 12.0 | – | – | – | 421 | 6.5 |" in text
    assert "| bare echo | 5.0 | – | – | – |  |  |" in text
    assert "| native, hot: times the echo's CPU | ≤ 1.25 × | 1.60 × | **falls short** |" in text
    assert "- native, hot: times the echo's CPU: 1.60 ×, bar ≤ 1.25 ×" in text
    assert "Not in this run: dnsmasq (not installed)." in text
    assert (
        "| Unbound 1.17 | 1.17.1 | `local-zone: always_nxdomain` for each name; from version 1.20 on `wait-limit: 0` |"
        in text
    )
    assert "A processor" in text and "Rounds: plain 1." in text


def test_page_begins_with_a_summary_of_one_screen() -> None:
    throughput = [
        {
            "contestant": key,
            "load": "hot",
            "repeat": 0,
            "queries_per_s": rate,
            "odd": [],
            "kind": "throughput",
        }
        for key, rate in (("echo", 150_000.0), ("native", 120_000.0), ("unbound", 60_000.0))
    ]
    text = page(figures(throughput={"machine": MACHINE, "readings": throughput}), CONTESTANTS)
    first = text[: text.index("## CPU per query")]
    assert first.count("\n") < 40
    assert "| native engine | 8.0 | – | – | – |" in first
    assert "| best peer | 12.0 (Unbound 1.17) | – | – | – |" in first
    assert "| best peer | 60,000 (Unbound 1.17) | – | – | – |" in first
    assert "| native engine | 120,000 | – | – | – |" in text[text.index("## What a plain dnsperf gets") :]


def test_first_screen_names_no_more_than_a_few_of_many_bars_that_fall_short() -> None:
    lines = [BarLine(f"claim {count}", "≤ 1", "2", False) for count in range(SHORT_MAX + 3)]
    text = summary(figures(), [*lines, BarLine("another", "≤ 1", "1", True)], CONTESTANTS)
    assert f"Of {SHORT_MAX + 4} [bars](#the-bar) 1 are met and {SHORT_MAX + 3} are missed." in text
    assert text.count("- claim") == SHORT_MAX
    assert "- and 3 more" in text
    assert "What falls short" not in summary(figures(), [BarLine("another", "≤ 1", "1", True)], CONTESTANTS)


def test_doubtful_readings_come_last() -> None:
    doubtful = cpu("unbound", "hot", 12.0) | {"odd": ["12 of 100 queries lost"]}
    contest = {"machine": MACHINE, "names": 1, "started": {}, "readings": [doubtful]}
    text = page(Figures({"contest": contest}), CONTESTANTS)
    assert text.endswith("- unbound, plain hot: queries lost\n")
    assert text.index("## How to repeat it") < text.index("## Appendix: readings")


def test_two_versions_of_a_peer_are_told_apart() -> None:
    called = with_versions(CONTESTANTS, {"unbound": "1.17.1", "unbound@new": "1.26.2", "echo": ""})
    assert label_of("unbound", called) == "Unbound 1.17"
    assert label_of("unbound@new", called) == "Unbound 1.26"
    assert label_of("named@new", called) == "BIND, new"
    assert label_of("echo", called) == "bare echo"


def test_page_without_readings_says_so() -> None:
    text = page(Figures({}), CONTESTANTS)
    assert "Nothing has been measured yet." in text
    assert "make bench" in text


def test_page_tells_when_parts_come_from_different_machines() -> None:
    other = {"machine": {**MACHINE, "CPU": "Another"}, "readings": []}
    assert "not taken on the same machine" in page(figures(starts=other), CONTESTANTS)
    assert "not taken on the same machine" not in page(figures(), CONTESTANTS)


def test_page_tells_which_parts_are_of_another_state_of_the_sources() -> None:
    other = {"machine": {**MACHINE, "this resolver": "0.1.0 at 1234567"}, "readings": []}
    assert "another state of this resolver: starts of 0.1.0 at 1234567." in page(
        figures(starts=other), CONTESTANTS
    )
    assert "another state" not in page(figures(), CONTESTANTS)


def waits(kind: str, **changes: Any) -> dict[str, Any]:
    usual = {"contestant": "native", "load": "hot", "odd": [], "queries_per_s": 150_000.4, "busy": 0.8}
    return {"kind": kind, **usual, "p50_us": 20.0, "p99_us": 90.0, "p999_us": None, **changes}


def test_page_marks_where_the_generator_was_the_limit_and_where_answers_were_lost() -> None:
    part = {"machine": MACHINE, "rate": 20_000, "readings": [waits("most"), waits("rate")]}
    text = page(figures(waits=part), CONTESTANTS)
    assert "| native engine | ≥ 150,000 |" in text
    assert "| native engine | 20 / 90 / – |" in text
    busy = {"machine": MACHINE, "rate": 20_000, "readings": [waits("most", busy=0.99)]}
    assert "| native engine | 150,000 |" in page(figures(waits=busy), CONTESTANTS)


def test_page_shows_starts_lists_and_reloads() -> None:
    at = {"engine": "native", "names": 1_000_000, "repeat": 0, "memory_mb": 80.0}
    starts = [
        {**at, "policy": policy, "image": image, "seconds": seconds}
        for policy, image, seconds in (
            ("short", "first", 0.5),
            ("long", "first", 1.25),
            ("short", "found", 0.5),
            ("long", "found", 0.5),
        )
    ]
    reloads = [
        {
            "engine": "native",
            "names": 1_000_000,
            "rate": 60_000,
            "reload_s": 2.0,
            "load": "half",
            "stolen": 0.012,
            "echo before": {"worst_us": 1_000.0, "own_worst_us": 1_000.0},
            "echo after": {"worst_us": 21_000.0, "own_worst_us": 1_500.0},
            "rest": {"worst_us": 2_000.0, "own_worst_us": 2_000.0},
            "reloading": {"worst_us": 30_000.0, "own_worst_us": 3_000.0, "lost": 0},
        }
    ]
    lists = [{"contestant": "unbound", "names": 10_000_000, "load_s": 70.0, "memory_mb": 4_200.0}]
    text = page(
        figures(
            starts={"machine": MACHINE, "readings": starts},
            reload={"machine": MACHINE, "readings": reloads},
            lists={
                "machine": MACHINE,
                "names": 10_000_000,
                "readings": lists,
                "absent": {"named": "skipped: not up within 3 minutes"},
            },
        ),
        CONTESTANTS,
    )
    assert "| native engine, 1,000,000 names, builds its image | 1.25 | 80 | 0.75 | 0 |" in text
    assert (
        "| native engine | 60,000 | 1.0 (1.0) | 2.0 (2.0) | 3.0 (30.0) | 1.5 (21.0) | 0 | 2.0 | 1.2% |"
        in text
    )
    assert "| Unbound 1.17 | 70.0 | 4,200 |" in text
    assert "| BIND | skipped: not up within 3 minutes |  |" in text


def test_chart_is_well_formed_and_says_every_figure_in_words() -> None:
    text = draw("Title & more", [Panel("hot", {"echo": 5.0, "native": 6.0, "dnsmasq": 640.0})], LABELS)
    root = ElementTree.fromstring(text)
    description = root.findtext(f"{SVG}desc")
    assert description == "hot: bare echo 5.0, native engine 6.0, dnsmasq 640."
    assert "prefers-color-scheme: dark" in text
    assert "Title &amp; more" in text


def test_bar_that_would_leave_no_room_is_broken_and_the_others_are_not() -> None:
    values = {"echo": 5.0, "native": 6.0, "unbound": 12.0, "dnsmasq": 640.0}
    root = ElementTree.fromstring(draw("Title", [Panel("hot", values)], LABELS))
    assert len(root.findall(f"{SVG}polygon")) == 2
    widths = [
        float(bar.attrib["width"]) for bar in root.findall(f"{SVG}rect") if bar.get("class") != "ground"
    ]
    echo, native, unbound, dnsmasq = widths
    assert echo < native < unbound <= dnsmasq
    assert native / echo == pytest.approx(1.2, abs=0.01)


def test_chart_of_nothing_is_still_a_chart() -> None:
    assert ElementTree.fromstring(draw("Title", [], {})).tag == f"{SVG}svg"
    assert panels(Figures({})) == []


@pytest.mark.parametrize(
    ("values", "end"), [([], 1.0), ([5.0], 5.0), ([5.0, 6.0, 12.1], 15.0), ([5.0, 6.0, 640.0], 6.0)]
)
def test_axis_ends_at_a_round_figure(values: list[float], end: float) -> None:
    assert axis_end(values) == pytest.approx(end)


@pytest.mark.parametrize("longest", [0.3, 1.0, 6.0, 14.0, 130.0, 999.0])
def test_axis_has_a_readable_number_of_ticks(longest: float) -> None:
    assert 2 <= longest / tick_step(longest) <= 6
