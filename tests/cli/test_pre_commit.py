"""The hooks that other repositories may use name commands that there are, for files that they have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from resolver.cli.app import app

HOOKS = yaml.safe_load((Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text())
GOOD = "version: 1\nexchanges:\n  acme: {name: Acme, domains: [a.example, b.example]}\n"


@pytest.mark.parametrize("hook", HOOKS, ids=[hook["id"] for hook in HOOKS])
def test_a_hook_takes_any_number_of_blocklists(
    hook: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program, *words = hook["entry"].split()
    assert program == "exchange-resolver" and hook["language"] == "python"
    paths = [tmp_path / "blocklist.yaml", tmp_path / "lab-blocklist.yaml"]
    for path in paths:
        path.write_text(GOOD)
    assert CliRunner().invoke(app, [*words, *map(str, paths)]).exit_code == 0
    paths[1].write_text("version: 1\n")
    assert CliRunner().invoke(app, [*words, *map(str, paths)]).exit_code == 2


@pytest.mark.parametrize(
    ("path", "is_meant"),
    [
        ("blocklist.yaml", True),
        ("sites/a/blocklist.yml", True),
        ("myblocklist.yaml.orig", False),
        ("resolver.yaml", False),
    ],
)
def test_a_hook_looks_at_blocklists_only(path: str, is_meant: bool) -> None:
    assert all(bool(re.search(hook["files"], path)) is is_meant for hook in HOOKS)
