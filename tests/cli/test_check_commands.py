"""`check` looks at the commands of `acknowledge`, each at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.cli.check import check_files
from resolver.problems import show


def check(folder: Path, command: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    (folder / "names.txt").write_text("a.example\n")
    lists = "version: 1\nlists:\n  - {name: authority, path: names.txt, format: domains}\n"
    (folder / "blocklist.yaml").write_text(lists)
    config = folder / "resolver.yaml"
    config.write_text(
        "blocklist: blocklist.yaml\nstate_dir: state\nacknowledge:\n"
        f"  authority: {{command: [{command}]}}\n  other: {{command: [{command}]}}\n"
    )
    code = check_files(config, None, strict=False, as_json=False)
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_a_command_that_would_not_be_run_is_an_error_at_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = tmp_path / "acknowledge"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o777 & ~0o020)
    code, told = check(tmp_path, command, capsys)
    assert code == 2
    assert f"resolver.yaml:4: acknowledge.authority: {show(str(command))} would not be run" in told
    assert "can be written by others: chmod go-w" in told


def test_a_sound_command_is_fine_and_a_list_that_is_not_there_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = tmp_path / "acknowledge"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o700)
    code, told = check(tmp_path, command, capsys)
    assert code == 0
    assert "resolver.yaml:5: warning: acknowledge: the policy has no list other" in told
    assert "would not be run" not in told
