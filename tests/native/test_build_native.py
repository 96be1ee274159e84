"""Building the native plane never stands in the way: it says in a line why it is not there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "build-native.sh"
MODULE = "resolver_native.abi3.so"

CARGO = """echo "cargo $@" >>{tree}/asked
[ "$1" != build ] || mkdir -p {tree}/native/target/$3
[ "$1" != build ] || cat {tree}/native/lib.rs >{tree}/native/target/$3/libresolver_native.so"""
PYTHON = """echo "$@" >>{tree}/asked
case "$2" in *platlib*) echo {tree}/site ;; esac"""


BUILD = "cargo build --profile {} --locked --package resolver-native --manifest-path native/Cargo.toml"


def program(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with an environment and a toolchain that note what they are asked to do."""
    package = tmp_path / "native" / "binding" / "resolver_native"
    package.mkdir(parents=True)
    for name in ("__init__.py", "__init__.pyi", "testing.py", "py.typed"):
        (package / name).write_text("")
    (tmp_path / "site").mkdir()
    (tmp_path / "native" / "Cargo.lock").write_text("version = 3\n")
    (tmp_path / "native" / "lib.rs").write_text("// one\n")
    program(tmp_path / "tools" / "cargo", CARGO.format(tree=tmp_path))
    program(tmp_path / "venv" / "bin" / "python", PYTHON.format(tree=tmp_path))
    return tmp_path


def build(tree: Path, *more: str, tools: str = "tools") -> str:
    told = subprocess.run(
        [SCRIPT, "venv", *more],
        capture_output=True,
        text=True,
        check=True,
        cwd=tree,
        env={"PATH": f"{tree / tools}:/usr/bin:/bin", "HOME": str(tree)},
    )
    assert told.stderr == ""
    return told.stdout


def builds(tree: Path, profile: str = "release") -> int:
    asked = tree / "asked"
    return asked.read_text().splitlines().count(BUILD.format(profile)) if asked.exists() else 0


QUICKLY = "was built quickly: make engine builds the full one"


def test_who_is_in_a_hurry_gets_one_that_is_built_quickly_and_is_told_so(tree: Path) -> None:
    assert QUICKLY in build(tree, "quick")
    assert (builds(tree, "quick"), builds(tree)) == (1, 0)
    assert QUICKLY in build(tree, "quick"), "each time"
    assert (builds(tree, "quick"), builds(tree)) == (1, 0)
    (tree / "native" / "lib.rs").write_text("// two\n")
    assert QUICKLY in build(tree, "quick")
    assert (tree / "site" / "resolver_native" / MODULE).read_text() == "// two\n"
    # Whoever asks for no hurry gets the full one of the same sources, and who is in a hurry then, too.
    assert QUICKLY not in build(tree)
    assert (builds(tree, "quick"), builds(tree)) == (2, 1)
    assert build(tree, "quick") == ""
    (tree / "native" / "lib.rs").write_text("// three\n")
    assert QUICKLY not in build(tree, "quick")
    assert (builds(tree, "quick"), builds(tree)) == (2, 2)


def test_tests_have_one_with_assertions_where_the_full_one_was_never_built(tree: Path) -> None:
    assert "for tests" in build(tree, "checked")
    assert "for tests" in build(tree, "checked"), "each time"
    # Whoever is in a hurry takes it as it is, and is told.
    assert "for tests" in build(tree, "quick")
    assert [builds(tree, kind) for kind in ("checked", "quick", "release")] == [1, 0, 0]
    build(tree)
    assert build(tree, "checked") == ""
    assert [builds(tree, kind) for kind in ("checked", "quick", "release")] == [1, 0, 1]


def test_tests_are_not_content_with_one_that_was_built_quickly(tree: Path) -> None:
    build(tree, "quick")
    assert "for tests" in build(tree, "checked")
    assert [builds(tree, kind) for kind in ("checked", "quick", "release")] == [1, 1, 0]


def test_it_is_built_and_installed_and_not_again_until_a_source_changes(tree: Path) -> None:
    assert build(tree).count("\n") == 1
    assert {path.name for path in (tree / "site" / "resolver_native").iterdir()} == {
        "__init__.py",
        "__init__.pyi",
        "testing.py",
        "py.typed",
        MODULE,
    }
    assert build(tree) == ""
    assert builds(tree) == 1
    (tree / "native" / "lib.rs").write_text("// two\n")
    build(tree)
    assert builds(tree) == 2
    assert (tree / "site" / "resolver_native" / MODULE).read_text() == "// two\n"
    assert [path.name for path in (tree / "site").iterdir()] == ["resolver_native"], "nothing is left over"


def test_an_environment_that_had_it_as_a_distribution_of_its_own_has_none_afterwards(tree: Path) -> None:
    build(tree)
    assert "uninstall" not in (tree / "asked").read_text()
    (tree / "site" / "resolver_native-0.1.0.dist-info").mkdir()
    (tree / "native" / "lib.rs").write_text("// two\n")
    build(tree)
    assert "uninstall --quiet --yes resolver-native" in (tree / "asked").read_text()


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
    cargo = tree / "tools" / "cargo"
    working = cargo.read_text()
    program(cargo, '[ "$1" != build ] || { echo error: no such crate >&2; exit 1; }')
    told = build(tree)
    assert told.splitlines()[-1].startswith("native plane not built: error: no such crate (see ")
    cargo.write_text(working)
    build(tree)
    assert builds(tree) == 1


def test_what_was_built_of_other_sources_is_taken_away_when_it_cannot_be_built_again(tree: Path) -> None:
    build(tree)
    assert build(tree, tools="none") != ""
    assert (tree / "site" / "resolver_native").exists(), "it still fits"
    (tree / "native" / "lib.rs").write_text("// two\n")
    build(tree, tools="none")
    assert not (tree / "site" / "resolver_native").exists()
    (tree / "native" / "lib.rs").write_text("// one\n")
    build(tree)
    assert builds(tree) == 2
