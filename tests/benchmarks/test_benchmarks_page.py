"""The page and the chart: what a reader sees of the figures."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from benchmarks.chart import Panel, axis_end, draw, tick_step
from benchmarks.field import CONTESTANTS
from benchmarks.figures import Figures
from benchmarks.page import label_of, number, page, panels, table

SVG = "{http://www.w3.org/2000/svg}"
LABELS = {"echo": "bare echo", "native": "native engine", "unbound": "Unbound", "dnsmasq": "dnsmasq"}
MACHINE = {"day": "2026-01-02", "CPU": "A processor", "cores": "2", "kernel": "Linux 6.1"}


def cpu(contestant: str, load: str, cost: float) -> dict[str, Any]:
    fields = {"variant": "plain", "repeat": 0, "completed": 9, "lost": 0, "odd": []}
    return {**fields, "contestant": contestant, "load": load, "cpu_us": cost}


def figures(**more: Any) -> Figures:
    readings = [cpu("echo", "hot", 5.0), cpu("native", "hot", 6.0), cpu("unbound", "hot", 12.0)]
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
    assert "| Unbound | 12.0 | – | – | – | 421 | 6.5 |" in text
    assert "| bare echo | 5.0 | – | – | – |  |  |" in text
    assert "| native, hot: times the echo's CPU | ≤ 1.15 × | 1.20 × | **falls short** |" in text
    assert "- native, hot: times the echo's CPU: 1.20 ×, bar ≤ 1.15 ×" in text
    assert "Not in this run: dnsmasq (not installed)." in text
    assert "| Unbound | 1.17.1 | `local-zone: always_nxdomain` for each name |" in text
    assert "A processor" in text and "Rounds: plain 1." in text


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
            "echo before": {"worst_us": 1_000.0},
            "echo after": {"worst_us": 1_500.0},
            "rest": {"worst_us": 2_000.0},
            "reloading": {"worst_us": 3_000.0, "lost": 0},
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
    assert "| native engine | 60,000 | 1.0 | 2.0 | 3.0 | 1.5 | 0 | 2.0 | 1.2% |" in text
    assert "| Unbound | 70.0 | 4,200 |" in text
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
