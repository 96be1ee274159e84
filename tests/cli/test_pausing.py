"""pause and resume as people call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resolver.publishing.pausing import pause_path, read_pause
from tests.support.desk import FIRST, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_pause_is_written_with_length_scope_reason_and_who(desk: Desk) -> None:
    result = desk.run("pause", "--for", "1h30m", "--reason", "the bank's portal fails")
    assert result.exit_code == 0 and "everything but what authorities ordered" in result.stdout
    pause = read_pause(desk.state)
    assert pause is not None and pause.for_s == 5_400 and pause.who and not pause.including_orders
    assert pause.reason == "the bank's portal fails" and pause.ended is None


def test_pause_including_orders_says_so(desk: Desk) -> None:
    assert desk.run("pause", "--for", "24h", "--including-orders", "--reason", "x").exit_code == 0
    pause = read_pause(desk.state)
    assert pause is not None and pause.including_orders and pause.for_s == 86_400


@pytest.mark.parametrize(
    "words",
    [
        ["--for", "25h", "--reason", "why"],
        ["--for", "0s", "--reason", "why"],
        ["--for", "soon", "--reason", "why"],
        ["--for", "-5m", "--reason", "why"],
        ["--for", "10", "--reason", "why"],
        ["--for", "10m"],
        ["--for", "10m", "--reason", " "],
        ["--for", "10m", "--reason", "a\nb"],
        ["--reason", "why"],
    ],
    ids=" ".join,
)
def test_pause_without_an_end_within_a_day_or_without_a_reason_is_none(desk: Desk, words: list[str]) -> None:
    assert desk.run("pause", *words).exit_code == 2
    assert not pause_path(desk.state).exists()


def test_resume_ends_the_pause_and_names_who(desk: Desk) -> None:
    desk.run("pause", "--for", "10m", "--reason", "why")
    result = desk.run("resume", "--reason", "mended")
    assert result.exit_code == 0 and "filtering goes on" in result.stdout
    pause = read_pause(desk.state)
    assert pause is not None and pause.ended is not None
    assert pause.ended.who and pause.ended.reason == "mended"
    again = desk.run("resume", "--json")
    assert again.exit_code == 2 and json.loads(again.stdout)["detail"] == "filtering is not paused"


def test_resume_says_of_a_damaged_file_that_nothing_is_paused(desk: Desk) -> None:
    desk.state.mkdir(exist_ok=True)
    pause_path(desk.state).write_text("{")
    result = desk.run("resume")
    assert result.exit_code == 2 and "filtering is not paused" in result.stderr
    assert desk.run("pause", "--for", "10m", "--reason", "why").exit_code == 0


def test_history_shows_a_pause_and_what_it_opened(desk: Desk) -> None:
    desk.serve(FIRST)
    now = {
        "id": "01", "until": 1.7e9, "who": "ann", "reason": "why", "including_orders": True,
        "exchanges": ["acme"], "lists": [], "confidential": 0, "domains": 1, "stays": 0,
    }  # fmt: skip
    desk.record(pause={"now": now, "ended": None})
    assert "FILTERING PAUSED until 2023-11-14T22:13:20Z" in desk.run("history").stdout
    shown = desk.run("history", "show", 2).stdout
    assert "reason      why" in shown and "not blocked meanwhile: exchanges: acme" in shown
    desk.record(pause={"now": None, "ended": None})
    assert "filtering goes on: it was paused by ann" in desk.run("history").stdout


def test_explain_says_that_filtering_is_paused(desk: Desk) -> None:
    desk.run("pause", "--for", "10m", "--reason", "the bank's portal fails")
    result = desk.run("explain", "www.acme.example")
    assert result.exit_code == 0 and "Decision          not blocked" in result.stdout
    assert "(the bank's portal fails): everything but what authorities ordered" in result.stdout
    told = json.loads(desk.run("explain", "www.acme.example", "--json").stdout)
    assert told["paused"]["reason"] == "the bank's portal fails" and not told["decision"]["blocked"]


def test_explain_of_another_moment_is_not_about_the_pause(desk: Desk) -> None:
    desk.run("pause", "--for", "10m", "--reason", "why")
    told = json.loads(desk.run("explain", "acme.example", "--at", "2035-01-01", "--json").stdout)
    assert told["paused"] is None and told["decision"]["blocked"]


def test_explain_of_a_blocklist_that_no_server_has_is_not_about_the_pause(desk: Desk) -> None:
    desk.run("pause", "--for", "10m", "--reason", "why")
    other = desk.folder / "other.yaml"
    other.write_text(FIRST)
    told = json.loads(desk.run("explain", "acme.example", "--blocklist", other, "--json").stdout)
    assert told["paused"] is None and told["decision"]["blocked"]
