"""What commands say where two people are needed: written, and waiting, with what approves it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resolver.publishing.compiler import compile_policy
from resolver.publishing.image_store import ImageStore, LastGood
from resolver.publishing.pausing import PAUSE_S_MAX, read_pause
from tests.support.desk import FIRST, SECOND, Desk

UNTIDY = SECOND


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.config.write_text(desk.config.read_text() + "http: {changes: two-person}\n")
    return desk


def serve(desk: Desk, text: str) -> None:
    """As a server has it: with its image, and the note of it."""
    desk.serve(text)
    store = ImageStore(desk.state)
    compiled = compile_policy(desk.blocklist, store.images, state_dir=desk.state)
    store.remember(LastGood(compiled.key, tuple(compiled.inputs), tuple(compiled.paths), 1))


def test_tidied_text_waits_and_says_what_approves_it(desk: Desk) -> None:
    serve(desk, UNTIDY)
    result = desk.run("fmt")
    assert result.exit_code == 0 and "tidied" in result.stdout
    assert "nothing is in force yet: proposal file-" in result.stdout
    assert "exchange-resolver apply --force --reason" in result.stdout
    desk.blocklist.write_text(UNTIDY)
    [told] = json.loads(desk.run("fmt", "--json").stdout)["files"]
    assert told["waits"]["approve"] == f"POST /api/v1/proposals/{told['waits']['proposal']}/approve"
    shown = desk.run("proposals").stdout
    assert told["waits"]["proposal"] in shown, "the very id that the list has"


def test_where_one_person_is_enough_nothing_waits(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    serve(desk, UNTIDY)
    assert "waits" not in desk.run("fmt").stdout
    desk.blocklist.write_text(UNTIDY)
    assert "waits" not in json.loads(desk.run("fmt", "--json").stdout)["files"][0]


def test_imported_order_waits(desk: Desk) -> None:
    serve(desk, FIRST)
    order = desk.folder / "order.txt"
    order.write_text("acme.example\nnew.example\n")
    words = ["order", "import", str(order), "--id", "x-1", "--authority", "A", "--title", "T", "--write"]
    told = json.loads(desk.run(*words, "--json").stdout)
    assert told["written"] and told["waits"]["proposal"].startswith("file-")
    desk.blocklist.write_text(FIRST)
    result = desk.run(*words)
    assert result.exit_code == 0, result.output
    assert "waits for a second person" in result.stdout and "within seconds" not in result.stdout


def test_whatever_waits_names_dashboard_api_and_command(desk: Desk) -> None:
    serve(desk, FIRST)
    asked = json.loads(desk.run("pause", "--for", "30m", "--reason", "why", "--json").stdout)["proposal"]
    alone = f"exchange-resolver proposals approve {asked} --force --reason"
    for words in (
        ("pause", "--for", "30m", "--reason", "why"),
        ("proposals", "show", asked),
        ("proposals", "approve", asked),
    ):
        said = desk.run(*words).output
        assert "in the dashboard" in said and "/api/v1/proposals/" in said, words
        assert alone in said or (words[0] == "pause" and "proposals approve" in said), words
    desk.run("proposals", "reject", asked)
    assert "in the dashboard" not in desk.run("proposals", "show", asked).stdout, "it waits no longer"
    desk.blocklist.write_text(UNTIDY)
    said = " ".join(desk.run("apply").output.split())
    for way in (
        "'exchange-resolver proposals'",
        "in the dashboard",
        "POST /api/v1/proposals",
        "apply --force",
    ):
        assert way in said, way


def test_pause_waits_unless_it_is_forced(desk: Desk) -> None:
    serve(desk, FIRST)
    result = desk.run("pause", "--for", "30m", "--reason", "why")
    assert result.exit_code == 0 and read_pause(desk.state) is None
    assert "- exchange acme" in result.stdout and "nothing is in force yet: proposal" in result.stdout
    told = json.loads(desk.run("pause", "--for", "24h", "--reason", "why", "--json").stdout)
    assert told["state"] == "proposed" and told["waits"]["proposal"] == told["proposal"]
    assert told["proposal"] in desk.run("proposals").stdout
    approved = desk.run("proposals", "approve", told["proposal"], "--force", "--reason", "nobody is awake")
    assert approved.exit_code == 0, approved.output
    pause = read_pause(desk.state)
    assert pause is not None and pause.for_s == PAUSE_S_MAX
    assert pause.approved_by.endswith(", alone, on this machine: nobody is awake")
    assert desk.run("resume").exit_code == 0, "to end one takes one person"
    assert desk.run("pause", "--for", "5m", "--force", "--reason", "why").exit_code == 0
    pause = read_pause(desk.state)
    assert pause is not None and pause.for_s == 300 and pause.approved_by.endswith("alone, on this machine")


def test_before_anything_served_nobody_can_say_what_a_pause_opens(desk: Desk) -> None:
    result = desk.run("pause", "--for", "30m", "--reason", "why")
    assert result.exit_code == 2 and "nothing serves yet" in result.stderr
