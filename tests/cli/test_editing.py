"""diff, history, fmt, schema and check as people call them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from resolver.blocklist.formatting import SCHEMA_MARK
from resolver.cli.app import app
from resolver.publishing.approvals import read_approvals
from resolver.publishing.compiler import compile_policy
from resolver.publishing.history import history_path
from resolver.publishing.image_store import ImageStore, LastGood, hash_file
from resolver.publishing.recorder import Applied, record
from tests.support.desk import BROKEN, FIRST, FORCIBLE, SECOND, TENFOLD, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_diff_of_two_files(desk: Desk, tmp_path: Path) -> None:
    other = tmp_path / "new.yaml"
    other.write_text(SECOND)
    result = desk.run("diff", desk.blocklist, other)
    assert result.exit_code == 1
    assert "+ exchange beta (Beta)\n    + a.example\n    + b.example\n" in result.stdout
    same = desk.run("diff", other, other)
    assert same.exit_code == 0 and "No difference" in same.stdout


ORDERED = """\
version: 1
orders:
  nafm: {authority: NAFM, title: Order, reference: NAFM-1}
exchanges:
  acme: {name: Acme, order: nafm, domains: [acme.example, acme.test]}
lists:
- {name: ads, path: ads.txt, order: nafm}
"""


def test_diff_says_what_opens_and_what_each_order_gains_and_loses(desk: Desk, tmp_path: Path) -> None:
    other = tmp_path / "new.yaml"
    desk.blocklist.write_text(ORDERED)
    other.write_text(
        ORDERED.replace(", acme.test]", "]").replace(", order: nafm}\n", "}\n").replace("mm", "m")
    )
    result = desk.run("diff", desk.blocklist, other)
    assert "1 domain blocked now is not blocked after this: 'acme.test'" in result.stdout
    assert "order nafm: loses 1 list, 1 domain" in result.stdout
    shown = json.loads(desk.run("diff", desk.blocklist, other, "--json").stdout)
    assert shown["by_order"][0]["lost"] == {"lists": ["ads"], "domains": ["acme.test"]}
    assert shown["opened"]["domains"] == {"count": 1, "names": ["'acme.test'"]}
    markdown = desk.run("diff", desk.blocklist, other, "--markdown").stdout
    assert "blocked now is not blocked after this" in markdown


def test_history_shows_a_date_that_came(desk: Desk) -> None:
    text = (
        ORDERED.replace("reference: NAFM-1", "until: 2026-12-05").replace("lists:\n", "").rsplit("- ", 1)[0]
    )
    desk.serve(text)
    turned_at = datetime(2026, 12, 5, tzinfo=UTC).timestamp()
    note = Applied(turned_at, [hash_file(desk.blocklist)], {"exchanges": 1, "domains": 2}, turned_at)
    record(desk.state, note)
    first = desk.run("history").stdout.splitlines()[0]
    assert "the calendar" in first and "2026-12-05T00:00:00Z had come: opens 1 exchange, 2 domains" in first
    shown = desk.run("history", "show", 2).stdout
    assert "not blocked any more: exchanges: acme" in shown and "the same blocklist means" in shown


def test_check_says_what_opens_against_what_serves(desk: Desk, tmp_path: Path) -> None:
    desk.serve(TENFOLD)
    desk.blocklist.write_text(TENFOLD.replace("{name: X8,", "{name: X8, from: 2099-01-01,"))
    result = desk.run("check")
    assert result.exit_code == 2
    assert "1 exchange, 1 domain blocked now are not blocked after this: x8 until 2099-01-01" in result.stderr
    assert "blocked now, and open until a later 'from': exchanges.x8 until 2099-01-01" in result.stderr


def test_diff_against_the_history(desk: Desk) -> None:
    desk.serve(FIRST)
    desk.serve(SECOND)
    result = desk.run("diff", 1, desk.blocklist, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["summary"]["exchanges"]["gained"] == 1
    assert desk.run("diff", 2, desk.blocklist).exit_code == 0
    assert "beta" in desk.run("diff", 2, 1, "--markdown").stdout


@pytest.mark.parametrize(
    "sides", [("missing.yaml", "1"), ("1", "9"), ("1", "broken.yaml"), ("1", "1", "--json", "--markdown")]
)
def test_diff_of_what_cannot_be_read_is_bad_input(
    desk: Desk, sides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    (desk.folder / "broken.yaml").write_text(BROKEN)
    desk.serve(FIRST)
    result = desk.run("diff", *sides)
    assert result.exit_code == 2 and result.stdout == "" and result.stderr


def test_diff_shows_what_only_force_would_load(desk: Desk) -> None:
    other = desk.folder / "new.yaml"
    other.write_text(FORCIBLE)
    assert "co.uk" in desk.run("diff", desk.blocklist, other).stdout


def test_history_lists_the_newest_first(desk: Desk) -> None:
    desk.serve(FIRST)
    desk.serve(SECOND)
    lines = desk.run("history").stdout.splitlines()
    assert lines[0].startswith("2  2023-11-14T22:13:20Z") and "exchanges: 1 gained" in lines[0]
    assert len(desk.run("history", "--limit", 1).stdout.splitlines()) == 1
    shown = json.loads(desk.run("history", "--json").stdout)
    assert [entry["number"] for entry in shown["generations"]] == [2, 1]


def test_history_shows_one_generation_and_its_text(desk: Desk) -> None:
    desk.serve(FIRST)
    desk.serve(SECOND)
    shown = desk.run("history", "show", 2).stdout
    assert "+ exchange beta (Beta)" in shown and "generation  2" in shown
    assert desk.run("history", "show", 1, "--text").stdout == FIRST
    assert json.loads(desk.run("history", "show", 1, "--json").stdout)["number"] == 1
    assert desk.run("history", "show", 7).exit_code == 2


def test_without_a_history_the_commands_say_so(desk: Desk) -> None:
    for words in (["history"], ["history", "show", "1"], ["rollback", "1"], ["diff", "1", "2"]):
        result = desk.run(*words)
        assert result.exit_code == 2 and "there is no history yet" in result.stderr


def test_a_history_of_somebody_else_is_bad_input_not_a_crash(desk: Desk) -> None:
    history_path(desk.state).write_bytes(b"notes" * 1000)
    result = desk.run("history")
    assert result.exit_code == 2 and "not a database" in result.stderr


def test_fmt_tidies_the_blocklist_of_the_settings(desk: Desk) -> None:
    desk.blocklist.write_text(SECOND)
    assert desk.run("fmt", "--check").exit_code == 1
    assert desk.blocklist.read_text() == SECOND
    assert desk.run("fmt").exit_code == 0
    assert "[a.example, b.example]" in desk.blocklist.read_text()
    assert desk.run("fmt", "--check").exit_code == 0


def test_fmt_as_json_says_what_became_of_each_file(desk: Desk) -> None:
    broken, untidy = desk.folder / "broken.yaml", desk.folder / "untidy.yaml"
    broken.write_text(BROKEN)
    untidy.write_text(SECOND)
    result = desk.run("fmt", "--check", "--json", desk.blocklist, untidy, broken)
    files = json.loads(result.stdout)["files"]
    assert result.exit_code == 2
    assert [one["state"] for one in files] == ["tidy", "would_change", "left"]
    assert [len(one["problems"]) for one in files] == [0, 0, 1] and files[2]["problems"][0]["line"] == 3
    assert json.loads(desk.run("fmt", "--json", untidy).stdout)["files"][0]["state"] == "tidied"


@pytest.mark.parametrize(
    "words",
    [
        ("diff", "1", "2"),
        ("history", "show", "9"),
        ("lists", "update", "none"),
        ("explain", "bad..name"),
        ("fmt", "--schema", ""),
    ],
    ids=" ".join,
)
def test_bad_input_is_json_too_where_json_is_asked_for(desk: Desk, words: tuple[str, ...]) -> None:
    desk.serve(FIRST)
    result = desk.run(*words, "--json")
    assert result.exit_code == 2 and result.stderr == ""
    assert all(problem["message"] for problem in json.loads(result.stdout)["problems"])


def in_a_mount_namespace(desk: Desk, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command where the blocklist is a mount of its own, as a container has it."""
    flags = ["--mount"] if os.geteuid() == 0 else ["--mount", "--map-root-user"]
    if subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare: this machine lets us make no namespaces")
    outside = desk.folder / "outside"
    outside.mkdir()
    (outside / "blocklist.yaml").write_bytes(desk.blocklist.read_bytes())
    script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    command = [sys.executable, "-m", "resolver", *words, "--config", str(desk.config)]
    mounted = [str(outside / "blocklist.yaml"), str(desk.blocklist)]
    return subprocess.run(
        ["unshare", *flags, "sh", "-c", script, "sh", *mounted, *command],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.needs("unshare", "mount")
@pytest.mark.parametrize("words", [("fmt",), ("rollback", "1")], ids=" ".join)
def test_a_blocklist_that_is_mounted_singly_is_left_alone_and_the_reason_said(
    desk: Desk, words: tuple[str, ...]
) -> None:
    desk.serve(FIRST)
    desk.serve(SECOND)
    result = in_a_mount_namespace(desk, *words)
    assert result.returncode == 2
    assert "blocklist.yaml" in result.stderr and "mount its folder instead" in result.stderr
    assert (desk.folder / "outside" / "blocklist.yaml").read_text() == SECOND
    assert sorted(path.name for path in desk.folder.iterdir()) == [
        "blocklist.yaml",
        "outside",
        "resolver.yaml",
        "state",
    ]
    assert read_approvals(desk.state) == []


def test_fmt_takes_several_files_and_gives_the_worst_result(desk: Desk) -> None:
    good, broken = desk.folder / "good.yaml", desk.folder / "broken.yaml"
    good.write_text(SECOND)
    broken.write_text(BROKEN)
    result = desk.run("fmt", good, broken, desk.folder / "missing.yaml")
    assert result.exit_code == 2 and "good.yaml: tidied" in result.stdout
    assert broken.read_text() == BROKEN and "broken.yaml:3" in result.stderr


def test_the_schema_is_written_and_put_where_editors_look(desk: Desk) -> None:
    path = desk.folder / "blocklist.schema.json"
    written = CliRunner().invoke(app, ["schema", "blocklist", "--output", str(path)])
    assert written.exit_code == 0 and f"{SCHEMA_MARK}blocklist.schema.json" in written.stdout
    assert json.loads(path.read_text())["title"].startswith("Blocklist")
    assert desk.run("fmt", "--schema", path.name).exit_code == 0
    assert desk.blocklist.read_text() == f"{SCHEMA_MARK}blocklist.schema.json\n{FIRST}"
    assert desk.run("check").exit_code == 0


def test_a_schema_that_cannot_be_written_is_bad_input(desk: Desk) -> None:
    result = CliRunner().invoke(app, ["schema", "blocklist", "--output", str(desk.folder / "no" / "file")])
    assert result.exit_code == 2


def test_check_takes_blocklists_without_settings(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.folder)
    desk.config.unlink()
    (desk.folder / "broken.yaml").write_text(BROKEN)
    assert CliRunner().invoke(app, ["check", "blocklist.yaml"]).exit_code == 0
    assert CliRunner().invoke(app, ["check", "blocklist.yaml", "broken.yaml"]).exit_code == 2
    assert CliRunner().invoke(app, ["check", "blocklist.yaml", "--blocklist", "x"]).exit_code == 2


def test_check_of_a_named_file_holds_its_lists_against_what_is_served(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    monkeypatch.setattr("resolver.cli.files.DEFAULT_PATHS", (desk.config,))
    new = desk.folder / "new.yaml"
    new.write_text(FIRST + "lists: [{name: ads, path: ads.txt}]\n")
    names = [f"n{number}.example\n" for number in range(3000)]
    (desk.folder / "ads.txt").write_text("".join(names))
    store = ImageStore(desk.state)
    served = compile_policy(new, store.images, state_dir=desk.state)
    store.remember(LastGood(served.key, tuple(served.inputs), tuple(served.paths)))
    assert CliRunner().invoke(app, ["check", "new.yaml"]).exit_code == 0
    (desk.folder / "ads.txt").write_text("".join(names[:10]))
    result = CliRunner().invoke(app, ["check", "new.yaml"])
    assert result.exit_code == 2 and "shrank by 99 %" in result.stderr
    desk.config.unlink()
    assert CliRunner().invoke(app, ["check", "new.yaml"]).exit_code == 0, "nothing to hold it against"


def test_check_of_a_named_file_says_nothing_of_bad_settings(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    monkeypatch.setattr("resolver.cli.files.DEFAULT_PATHS", (desk.config,))
    desk.config.write_text("nonsense: 1\n")
    result = CliRunner().invoke(app, ["check", "blocklist.yaml"])
    assert result.exit_code == 0 and "nonsense" not in result.stderr


def test_check_says_how_a_rail_is_overruled(desk: Desk) -> None:
    desk.blocklist.write_text(FORCIBLE)
    result = desk.run("check")
    assert result.exit_code == 2 and "apply --force --reason" in result.stderr
