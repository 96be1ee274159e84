"""diff, history, apply, rollback, fmt and schema as people call them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from resolver.blocklist.formatting import SCHEMA_MARK
from resolver.cli.app import app
from resolver.publishing.approvals import read_approvals
from resolver.publishing.compiler import compile_policy
from resolver.publishing.history import history_path
from resolver.publishing.image_store import ImageStore, LastGood, hash_file
from resolver.publishing.recorder import Applied, record

FIRST = "version: 1\nexchanges:\n  acme: {name: Acme, domains: [acme.example]}\n"
SECOND = FIRST + "  beta: {name: Beta, domains: [b.example, a.example]}\n"
FORCIBLE = FIRST + "  suffix: {name: Suffix, domains: [co.uk]}\n"
TENFOLD = FIRST + "".join(f"  x{n}: {{name: X{n}, domains: [x{n}.example]}}\n" for n in range(9))
BROKEN = "version: 1\nexchanges:\n  acme: {name: Acme, domains: ['not a name']}\n"


class Desk:
    """A folder with settings and a blocklist, and a server that applies what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blocklist = folder / "blocklist.yaml"
        self.state = folder / "state"
        self.state.mkdir()
        self.config = folder / "resolver.yaml"
        self.config.write_text("blocklist: blocklist.yaml\nstate_dir: state\n")
        self.blocklist.write_text(FIRST)

    def serve(self, text: str) -> None:
        self.blocklist.write_text(text)
        record(self.state, Applied(1.7e9, [hash_file(self.blocklist)], {"exchanges": 1, "domains": 1}))

    def run(self, command: str, *words: object) -> Result:
        return CliRunner().invoke(app, [command, *map(str, words), "--config", str(self.config)])


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
    assert "1 domain blocked now are not blocked after this: 'acme.test'" in result.stdout
    assert "order nafm: loses 1 list, 1 domain" in result.stdout
    shown = json.loads(desk.run("diff", desk.blocklist, other, "--json").stdout)
    assert shown["by_order"][0]["lost"] == {"lists": ["ads"], "domains": ["acme.test"]}
    assert shown["opened"]["domains"] == {"count": 1, "names": ["'acme.test'"]}
    markdown = desk.run("diff", desk.blocklist, other, "--markdown").stdout
    assert "blocked now are not blocked after this" in markdown


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


def test_apply_says_what_changes_and_who_applied_it(desk: Desk) -> None:
    desk.serve(FIRST)
    desk.blocklist.write_text(SECOND)
    result = desk.run("apply")
    assert result.exit_code == 0 and "+ exchange beta" in result.stdout
    [approval] = read_approvals(desk.state)
    assert not approval.is_forced and approval.who


def test_apply_stops_at_a_rail_and_says_how_to_go_on(desk: Desk) -> None:
    desk.blocklist.write_text(FORCIBLE)
    result = desk.run("apply")
    assert result.exit_code == 2 and "apply --force --reason" in result.stderr
    assert read_approvals(desk.state) == []


def test_apply_with_force_and_a_reason_goes_on_and_shows_in_the_history(desk: Desk) -> None:
    desk.blocklist.write_text(FORCIBLE)
    assert desk.run("apply", "--force", "--reason", "court order 7").exit_code == 0
    [approval] = read_approvals(desk.state)
    assert approval.reason == "court order 7"
    desk.serve(FORCIBLE)
    assert "FORCED" in desk.run("history").stdout
    assert "forced      court order 7" in desk.run("history", "show", 1).stdout
    assert desk.run("check").exit_code == 0, "what is approved is fine"


def test_force_where_no_rail_objects_is_not_noted_as_forced(desk: Desk) -> None:
    result = desk.run("apply", "--force", "--reason", "to be safe")
    assert result.exit_code == 0 and "was not needed" in result.stderr
    assert not read_approvals(desk.state)[0].is_forced


@pytest.mark.parametrize(
    "words", [["--force"], ["--reason", "why"], ["--force", "--reason", " "], ["--force", "--reason", "a\nb"]]
)
def test_force_and_reason_go_together(desk: Desk, words: list[str]) -> None:
    desk.blocklist.write_text(FORCIBLE)
    assert desk.run("apply", *words).exit_code == 2
    assert read_approvals(desk.state) == []


def test_force_does_not_make_a_broken_file_whole(desk: Desk) -> None:
    desk.blocklist.write_text(BROKEN)
    result = desk.run("apply", "--force", "--reason", "now")
    assert result.exit_code == 2 and "blocklist.yaml:3" in result.stderr


def test_rollback_writes_the_earlier_text_back_octet_for_octet(desk: Desk) -> None:
    desk.serve(FIRST + "# café\r\n")
    octets = desk.blocklist.read_bytes()
    desk.serve(SECOND)
    desk.blocklist.chmod(0o640)
    result = desk.run("rollback", 1)
    assert result.exit_code == 0 and "- exchange beta (Beta)" in result.stdout
    assert desk.blocklist.read_bytes() == octets
    assert desk.blocklist.stat().st_mode & 0o777 == 0o640
    assert {path.name for path in desk.folder.iterdir()} == {"blocklist.yaml", "resolver.yaml", "state"}


def test_rollback_does_not_wait_for_a_pipe_in_place_of_the_file(desk: Desk) -> None:
    desk.serve(FIRST)
    desk.blocklist.unlink()
    os.mkfifo(desk.blocklist)
    result = desk.run("rollback", 1)
    assert result.exit_code == 2
    assert "is not a regular file" in result.stderr and str(desk.blocklist) in result.stderr


def test_rollback_can_be_tried_without_writing(desk: Desk) -> None:
    desk.serve(FIRST)
    desk.serve(SECOND)
    result = desk.run("rollback", 1, "--dry-run")
    assert result.exit_code == 0 and "nothing was written" in result.stdout
    assert desk.blocklist.read_text() == SECOND and read_approvals(desk.state) == []


def test_rollback_repairs_a_broken_file(desk: Desk) -> None:
    desk.serve(FIRST)
    desk.blocklist.write_text(BROKEN)
    assert desk.run("rollback", 1).exit_code == 0
    assert desk.blocklist.read_text() == FIRST


def test_rollback_saves_edits_that_no_generation_has(desk: Desk) -> None:
    desk.serve(FIRST)
    for text, name in ((BROKEN, ""), (BROKEN, ""), (SECOND, ".2")):
        desk.blocklist.write_text(text)
        desk.blocklist.chmod(0o600)
        saved = desk.folder / f"blocklist.yaml.before-rollback{name}"
        result = desk.run("rollback", 1)
        assert result.exit_code == 0 and f"saved as {saved}\n" in result.stdout
        assert saved.read_text() == text and saved.stat().st_mode & 0o777 == 0o600
    assert len(list(desk.folder.glob("*.before-rollback*"))) == 2


def test_rollback_saves_nothing_that_the_history_has(desk: Desk) -> None:
    desk.serve(FIRST)
    desk.serve(SECOND)
    assert "saved" not in desk.run("rollback", 1).stdout
    assert list(desk.folder.glob("*.before-rollback*")) == []


def test_trying_a_rollback_tells_what_it_would_save_and_writes_nothing_anywhere(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.serve(FIRST)
    desk.blocklist.write_text(SECOND)
    monkeypatch.setattr("resolver.cli.apply.replace_file", None)
    monkeypatch.setattr("tempfile.NamedTemporaryFile", None)
    before = sorted(desk.folder.rglob("*"))
    result = desk.run("rollback", 1, "--dry-run")
    assert result.exit_code == 0 and "would be saved as" in result.stdout
    assert sorted(desk.folder.rglob("*")) == before


def test_rollback_checks_lists_from_the_folder_of_the_blocklist(desk: Desk) -> None:
    desk.serve(FIRST + "lists: [{name: ads, path: ads.txt}]\n")
    desk.serve(SECOND)
    missing = desk.run("rollback", 1)
    assert missing.exit_code == 2 and f"{desk.folder / 'ads.txt'}: cannot be read" in missing.stderr
    (desk.folder / "ads.txt").write_text("ads.example\n")
    assert desk.run("rollback", 1).exit_code == 0


def test_rollback_asks_the_rails_again(desk: Desk) -> None:
    desk.serve(FORCIBLE)
    desk.serve(FIRST)
    result = desk.run("rollback", 1)
    assert result.exit_code == 2 and "generation 1:4" in result.stderr
    assert desk.blocklist.read_text() == FIRST
    assert desk.run("rollback", 1, "--force", "--reason", "the appeal failed").exit_code == 0
    assert desk.blocklist.read_text() == FORCIBLE


def test_rollback_with_a_reason_passes_the_rails_and_is_recorded_as_forced(desk: Desk) -> None:
    desk.serve(FIRST)
    desk.serve(TENFOLD)
    refused = desk.run("rollback", 1)
    assert refused.exit_code == 2 and desk.blocklist.read_text() == TENFOLD
    assert "9 of 10 exchanges in force would no longer be enforced" in refused.stderr
    assert "run: exchange-resolver rollback 1 --reason" in refused.stderr
    assert desk.run("rollback", 1, "--reason", "the new orders were quashed").exit_code == 0
    desk.serve(desk.blocklist.read_text())
    listed = json.loads(desk.run("history", "--json").stdout)["generations"][0]
    assert listed["forced"] and listed["reason"] == "the new orders were quashed"
    assert listed["changes"]["rollback"]["to"] == 1
    assert "FORCED  rollback to 1; exchanges: 9 lost" in desk.run("history").stdout


def test_rollback_is_named_in_the_history_with_its_reason_though_nothing_was_forced(desk: Desk) -> None:
    desk.serve(FIRST)
    desk.serve(SECOND)
    assert desk.run("rollback", 1, "--reason", "a slip").exit_code == 0
    desk.serve(desk.blocklist.read_text())
    first = desk.run("history").stdout.splitlines()[0]
    assert "rollback to 1; exchanges: 1 lost" in first and "FORCED" not in first
    shown = CliRunner().invoke(app, ["history", "--config", str(desk.config), "show", "3"])
    assert "rollback    to generation 1 (a slip)" in shown.stdout
    desk.serve(SECOND)
    assert "rollback" not in desk.run("history").stdout.splitlines()[0]


def test_rollback_to_the_previous_one_is_to_the_last_text_that_is_not_in_the_file(desk: Desk) -> None:
    for text in (FIRST, SECOND, FORCIBLE + "  more: {name: More, domains: [m.example]}\n", SECOND):
        desk.serve(text)
    desk.serve(FIRST)
    assert desk.run("rollback", "--previous").exit_code == 0
    assert desk.blocklist.read_text() == SECOND
    desk.blocklist.write_text(BROKEN)
    assert desk.run("rollback", "--previous").exit_code == 0
    assert desk.blocklist.read_text() == FIRST, "the last one that served"


def test_rollback_to_the_previous_one_needs_one(desk: Desk) -> None:
    desk.serve(FIRST)
    result = desk.run("rollback", "--previous")
    assert result.exit_code == 2 and "no other blocklist" in result.stderr


@pytest.mark.parametrize("words", [[], ["1", "--previous"]])
def test_rollback_takes_a_number_or_the_previous_one(desk: Desk, words: list[str]) -> None:
    desk.serve(FIRST)
    assert desk.run("rollback", *words).exit_code == 2


def test_apply_and_check_object_to_a_file_that_lost_most_of_what_serves(desk: Desk) -> None:
    desk.serve(TENFOLD)
    desk.blocklist.write_text(FIRST)
    for command in ("apply", "check"):
        result = desk.run(command)
        assert result.exit_code == 2 and "defaults.fall_max_percent" in result.stderr
        assert "apply --force --reason" in result.stderr
    assert desk.run("apply", "--force", "--reason", "quashed").exit_code == 0
    assert read_approvals(desk.state)[-1].reason == "quashed"
    assert desk.run("check").exit_code == 0


def test_rollback_to_what_was_approved_needs_no_second_approval(desk: Desk) -> None:
    desk.blocklist.write_text(FORCIBLE)
    desk.run("apply", "--force", "--reason", "court order 7")
    desk.serve(FORCIBLE)
    desk.serve(FIRST)
    assert desk.run("rollback", 1).exit_code == 0


def test_rollback_to_what_is_not_known_is_refused(desk: Desk) -> None:
    desk.serve(FIRST)
    result = desk.run("rollback", 5)
    assert result.exit_code == 2 and "no such generation" in result.stderr


def test_rollback_to_a_text_that_is_no_longer_kept_is_refused(desk: Desk) -> None:
    note = Applied(1.7e9, [hash_file(desk.blocklist)])
    desk.blocklist.write_text(SECOND)
    record(desk.state, note)
    result = desk.run("rollback", 1)
    assert result.exit_code == 2 and "no longer kept" in result.stderr


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
