"""apply and rollback as people call them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from resolver.changing.blocklist import LOCK_FILE
from resolver.cli.app import app
from resolver.cli.edit import check_and_write
from resolver.durable import locked
from resolver.publishing.approvals import read_approvals
from resolver.publishing.compiler import compile_policy
from resolver.publishing.image_store import ImageStore, LastGood, hash_file
from resolver.publishing.recorder import Applied, record
from tests.support.desk import BROKEN, FIRST, FORCIBLE, SECOND, TENFOLD, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


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


def test_nobody_else_changes_the_blocklist_while_a_command_does(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.serve(FIRST)
    desk.serve(SECOND)
    held: list[bool] = []

    def looking(*given: Any, **more: Any) -> Any:
        held.append(is_held(desk.state))
        return compile_policy(*given, **more)

    monkeypatch.setattr("resolver.cli.apply.compile_policy", looking)
    monkeypatch.setattr("resolver.cli.edit.compile_policy", looking)
    assert desk.run("rollback", 1, "--dry-run").exit_code == 0
    assert desk.run("rollback", 1).exit_code == 0
    octets = desk.blocklist.read_bytes()
    check_and_write(desk.blocklist, octets, octets + b"# x\n", desk.state, again="again")
    assert held == [False, True, True], "what only looks waits for nobody"
    assert not is_held(desk.state)


def is_held(state_dir: Path) -> bool:
    try:
        with locked(state_dir / LOCK_FILE, wait=False):
            return False
    except BlockingIOError:
        return True


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


def test_rollback_to_what_was_forced_before_asks_again(desk: Desk) -> None:
    desk.blocklist.write_text(FORCIBLE)
    desk.run("apply", "--force", "--reason", "court order 7")
    desk.serve(FORCIBLE)
    desk.serve(FIRST)
    note = LastGood("0" * 40, (hash_file(desk.blocklist),), (), serial=2)
    ImageStore(desk.state).remember(note)
    result = desk.run("rollback", 1)
    assert result.exit_code == 2 and "court order 7" in result.stderr
    assert desk.run("rollback", 1, "--reason", "order 7 again").exit_code == 0
    assert read_approvals(desk.state)[-1].serial == 2


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
