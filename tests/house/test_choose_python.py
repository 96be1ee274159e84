"""Which Python the environment is made with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "choose-python.sh"


def choose(*candidates: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *candidates], capture_output=True, text=True, check=False)


def python_that(folder: Path, name: str, body: str) -> Path:
    """A program that stands in for a Python."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_the_first_that_can_is_taken(tmp_path: Path) -> None:
    one, two = (python_that(tmp_path, name, "exit 0") for name in ("one", "two"))
    assert choose(one, two).stdout == f"{one}\n"
    assert choose(two, one).stdout == f"{two}\n"


def test_one_that_is_absent_or_cannot_make_environments_is_passed_over(tmp_path: Path) -> None:
    bare = python_that(tmp_path, "bare", "echo 'No module named ensurepip' >&2; exit 1")
    good = python_that(tmp_path, "good", "exit 0")
    told = choose(tmp_path / "absent", bare, good)
    assert (told.returncode, told.stdout, told.stderr) == (0, f"{good}\n", "")


def test_a_python_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    older = "import sys; sys.version_info = (3, 10, 9); exec(sys.argv[1])"
    old = python_that(tmp_path, "old", f"exec {sys.executable} -c '{older}' \"$2\"")
    newer = older.replace("10", "11")
    new = python_that(tmp_path, "new", f"exec {sys.executable} -c '{newer}' \"$2\"")
    assert choose(old, new).stdout == f"{new}\n"


def test_none_at_all_says_what_is_missing(tmp_path: Path) -> None:
    told = choose(tmp_path / "absent")
    assert told.returncode == 1 and told.stdout == ""
    assert "3.11" in told.stderr and "absent" in told.stderr
