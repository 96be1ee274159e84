"""A command that is printed begins with words that can be copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.cli.called_as import called_as, command


def program(folder: Path) -> Path:
    folder.mkdir()
    path = folder / "exchange-resolver"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_who_calls_it_by_its_path_is_told_that_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = program(tmp_path / "clone")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert called_as(str(own)) == str(own)
    monkeypatch.setenv("PATH", str(program(tmp_path / "other").parent))
    assert called_as(str(own)) == str(own)


def test_a_path_with_a_space_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert called_as(str(tmp_path / "a b" / "exchange-resolver")).startswith("'")


def test_what_a_shell_finds_is_named_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = program(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(own.parent))
    assert called_as(str(own)) == "exchange-resolver"


def test_run_as_a_module_it_has_its_usual_name() -> None:
    assert called_as("/usr/lib/python3/dist-packages/resolver/__main__.py") == "exchange-resolver"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["proposals", "show", "file-1"], ""),
        (["proposals", "--config", "/srv/b/resolver.yaml", "show"], " --config /srv/b/resolver.yaml"),
        (["proposals", "show", "--config=/srv/my b/resolver.yaml"], " --config '/srv/my b/resolver.yaml'"),
        (["proposals", "show", "--config"], ""),
    ],
)
def test_a_command_to_copy_is_for_the_same_settings(words: list[str], wanted: str) -> None:
    told = command("apply --force", ["exchange-resolver", *words])
    assert told.endswith(f"exchange-resolver apply --force{wanted}")
