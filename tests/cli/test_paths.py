"""Paths in the settings: what is wrong with one is said at the line that names it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from resolver.cli.check import check_files

BLOCKLIST = "version: 1\nexchanges:\n  a: {name: A, domains: [a.example]}\n"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "b.yaml").write_text(BLOCKLIST)
    path = tmp_path / "r.yaml"
    path.write_text("listen: {dns: ['127.0.0.1:0'], http: null}\nblocklist: b.yaml\nstate_dir: state\n")
    return path


def check(path: Path, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, int, str, str]]:
    check_files(path, None, strict=False, as_json=True)
    found = json.loads(capsys.readouterr().out)["problems"]
    return [(problem["file"], problem["line"], problem["message"], problem["severity"]) for problem in found]


def test_settings_whose_paths_are_fine_have_no_problem(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(settings, capsys) == []
    assert not (settings.parent / "state").exists(), "it is tried, not made"


def test_missing_blocklist_names_the_line_of_the_settings(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (settings.parent / "b.yaml").unlink()
    [(file, line, message, severity)] = check(settings, capsys)
    assert (file, line, severity) == (str(settings), 2, "error")
    assert message.startswith("blocklist: ") and message.endswith("cannot be read: No such file or directory")


def test_missing_default_blocklist_is_called_the_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sub" / "r.yaml"
    path.parent.mkdir()
    path.write_text("listen: {dns: ['127.0.0.1:0'], http: null}\n")
    [(_, line, message, _)] = check(path, capsys)
    assert line == 0 and "(the default)" in message


def test_state_dir_that_is_a_file_is_its_own_error(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (settings.parent / "state").write_text("")
    [(file, line, message, severity)] = check(settings, capsys)
    assert (file, line, severity) == (str(settings), 3, "error")
    assert message.startswith("state_dir: ") and message.endswith("is not a folder")


def test_state_dir_below_a_file_is_its_own_error(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings.write_text(settings.read_text().replace("state_dir: state", "state_dir: b.yaml/state"))
    [(_, line, message, severity)] = check(settings, capsys)
    assert (line, severity) == (3, "error") and message.startswith("state_dir: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_state_dir_of_this_user_without_leave_to_write_is_an_error(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (settings.parent / "state").mkdir(mode=0o500)
    [(_, line, message, severity)] = check(settings, capsys)
    assert (line, severity) == (3, "error") and "cannot be written" in message


def test_state_dir_of_another_user_is_a_warning_where_this_one_may_not_write(
    settings: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings.parent / "state").mkdir()
    owner = (settings.parent / "state").stat().st_uid
    monkeypatch.setattr("resolver.cli.paths.os.geteuid", lambda: owner + 1)
    assert check(settings, capsys) == []
    monkeypatch.setattr("resolver.cli.paths.os.access", lambda *_: False)
    [(_, line, message, severity)] = check(settings, capsys)
    assert (line, severity) == (3, "warning") and "cannot be written by this user" in message


def test_trying_the_state_dir_leaves_nothing_behind(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (settings.parent / "state").mkdir()
    assert check(settings, capsys) == []
    assert list((settings.parent / "state").iterdir()) == []
