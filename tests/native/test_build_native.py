"""Building the native plane never stands in the way: it says in a line why it is not there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "build-native.sh"
WHEEL = 'while [ $# -gt 1 ]; do [ "$1" = --out ] && touch "$2/plane.whl"; shift; done'


def program(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with an environment, a toolchain and a builder that note what they are asked to do."""
    (tmp_path / "native" / "target").mkdir(parents=True)
    (tmp_path / "native" / "Cargo.lock").write_text("version = 3\n")
    (tmp_path / "native" / "lib.rs").write_text("// one\n")
    program(tmp_path / "tools" / "cargo", "echo cargo 1")
    program(tmp_path / "venv" / "bin" / "python", f'echo "$@" >>{tmp_path}/asked')
    program(tmp_path / "venv" / "bin" / "maturin", f"echo maturin >>{tmp_path}/asked; {WHEEL}")
    return tmp_path


def build(tree: Path, tools: str = "tools") -> str:
    told = subprocess.run(
        [SCRIPT, "venv"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tree,
        env={"PATH": f"{tree / tools}:/usr/bin:/bin", "HOME": str(tree)},
    )
    assert told.stderr == ""
    return told.stdout


def builds(tree: Path) -> int:
    asked = tree / "asked"
    return asked.read_text().splitlines().count("maturin") if asked.exists() else 0


def test_it_is_built_and_installed_and_not_again_until_a_source_changes(tree: Path) -> None:
    assert build(tree).count("\n") == 1
    assert "plane.whl" in (tree / "asked").read_text()
    assert build(tree) == ""
    assert builds(tree) == 1
    (tree / "native" / "lib.rs").write_text("// two\n")
    build(tree)
    assert builds(tree) == 2


def test_what_a_build_leaves_behind_is_no_source(tree: Path) -> None:
    build(tree)
    (tree / "native" / "target" / "left.o").write_text("x")
    build(tree)
    assert builds(tree) == 1


def test_a_toolchain_in_its_usual_place_is_found(tree: Path) -> None:
    (tree / ".cargo").mkdir()
    (tree / "tools").rename(tree / ".cargo" / "bin")
    build(tree)
    assert builds(tree) == 1


def test_without_a_toolchain_it_says_so_and_all_is_well(tree: Path) -> None:
    assert build(tree, tools="none").startswith("native plane not built: no Rust toolchain")
    assert builds(tree) == 0


def test_a_failed_build_is_told_in_a_line_and_tried_again(tree: Path) -> None:
    maturin = tree / "venv" / "bin" / "maturin"
    working = maturin.read_text()
    program(maturin, "echo error: no such crate >&2; exit 1")
    told = build(tree)
    assert told.splitlines()[-1].startswith("native plane not built: error: no such crate (see ")
    maturin.write_text(working)
    build(tree)
    assert builds(tree) == 1


def test_what_was_built_of_other_sources_is_taken_away_when_it_cannot_be_built_again(tree: Path) -> None:
    build(tree)
    assert build(tree, tools="none") != ""
    assert "uninstall" not in (tree / "asked").read_text(), "it still fits"
    (tree / "native" / "lib.rs").write_text("// two\n")
    build(tree, tools="none")
    assert "uninstall --quiet --yes resolver-native" in (tree / "asked").read_text()
    (tree / "native" / "lib.rs").write_text("// one\n")
    build(tree)
    assert builds(tree) == 2
