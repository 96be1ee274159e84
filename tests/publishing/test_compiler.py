"""From blocklist and list files to an image, in this process and in a child."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from resolver.policy.table import PolicyTable, open_table
from resolver.policy.verdict import RuleForm
from resolver.problems import Problem
from resolver.publishing.compiled import Compiled
from resolver.publishing.compiler import compile_in_process, compile_policy
from resolver.wire.names import name_from_text as n

BLOCKLIST = """\
version: 1
orders:
  one: {authority: Court, title: Order, reference: "1/2", date: 2018-08-23, url: null, imposed_by: external}
exchanges:
  alpha:
    name: Alpha
    order: one
    domains: [alpha.example, "=login.beta.example"]
    addresses: [198.51.100.0/24]
  empty: {name: Empty, order: one, domains: [empty.example], mode: disabled}
allow: [ok.alpha.example]
lists:
  - {name: ads, path: ads.txt}
  - {name: machines, path: machines.txt}
"""


@pytest.fixture
def blocklist(tmp_path: Path) -> Path:
    (tmp_path / "ads.txt").write_text("ads.example\nads.example\nbad..name\nalpha.example\n")
    (tmp_path / "machines.txt").write_text("0.0.0.0 one.machine.example\n")
    path = tmp_path / "blocklist.yaml"
    path.write_text(BLOCKLIST)
    return path


def table_of(compiled: Compiled) -> PolicyTable:
    assert compiled.image is not None, compiled.problems
    return open_table(compiled.image, 1.7e9, 0.0, 1)


def test_blocklist_becomes_a_table_that_judges(blocklist: Path, tmp_path: Path) -> None:
    compiled = compile_policy(blocklist, tmp_path / "images")
    table = table_of(compiled)
    assert table.judge_name(n("www.alpha.example"), 0.0).is_blocked
    assert not table.judge_name(n("ok.alpha.example"), 0.0).is_blocked
    verdict = table.judge_name(n("x.ads.example"), 0.0)
    assert verdict.match is not None and verdict.match.file.endswith("ads.txt") and verdict.match.line == 1
    assert not table.judge_name(n("x.one.machine.example"), 0.0).is_blocked
    exact = table.judge_name(n("one.machine.example"), 0.0).match
    assert exact is not None and exact.form is RuleForm.EXACT
    assert [rule.label for rule in table.exchanges] == ["alpha", "empty"]
    assert [rule.label for rule in table.lists] == ["ads", "machines"]
    assert table.orders["one"]["authority"] == "Court"


def test_counts_say_what_is_in_force(blocklist: Path, tmp_path: Path) -> None:
    counts = compile_policy(blocklist, tmp_path / "images").counts
    assert counts["exchanges"] == 2 and counts["domains"] == 3 and counts["addresses"] == 1
    assert counts["per_exchange"] == {"alpha": 2, "empty": 1}
    assert counts["per_list"] == {"ads": 2, "machines": 1} and counts["list_names"] == 3


def test_bad_lines_of_a_list_are_reported_with_their_line(blocklist: Path, tmp_path: Path) -> None:
    compiled = compile_policy(blocklist, tmp_path / "images")
    (problem,) = [problem for problem in compiled.problems if problem.file.endswith("ads.txt")]
    assert problem.line == 3 and problem.severity == "warning"


def test_same_content_is_compiled_once(blocklist: Path, tmp_path: Path) -> None:
    first = compile_policy(blocklist, tmp_path / "images")
    assert first.image is not None
    made = first.image.stat().st_mtime_ns
    second = compile_policy(blocklist, tmp_path / "images")
    assert second.image == first.image and second.image.stat().st_mtime_ns == made
    assert second.counts == first.counts
    assert list(map(str, second.problems)) == list(map(str, first.problems))


def test_change_of_a_list_makes_another_image(blocklist: Path, tmp_path: Path) -> None:
    first = compile_policy(blocklist, tmp_path / "images")
    (tmp_path / "ads.txt").write_text("other.example\n")
    assert compile_policy(blocklist, tmp_path / "images").key != first.key


def test_damaged_image_of_the_same_content_is_made_anew(blocklist: Path, tmp_path: Path) -> None:
    first = compile_policy(blocklist, tmp_path / "images")
    assert first.image is not None
    octets = bytearray(first.image.read_bytes())
    octets[-1] ^= 1
    first.image.chmod(0o644)
    first.image.write_bytes(octets)
    assert table_of(compile_policy(blocklist, tmp_path / "images")).is_filtering


@pytest.mark.parametrize(
    "break_it",
    [
        "missing list",
        "html list",
        "bad yaml",
        "missing blocklist",
        "huge list",
        "fifo list",
        "fifo blocklist",
    ],
)
def test_what_cannot_be_read_whole_makes_no_image(blocklist: Path, tmp_path: Path, break_it: str) -> None:
    if break_it == "missing list":
        (tmp_path / "ads.txt").unlink()
    elif break_it == "html list":
        (tmp_path / "ads.txt").write_text("<html>Not Found</html>\n")
    elif break_it == "bad yaml":
        blocklist.write_text("exchanges: [")
    elif break_it == "huge list":
        blocklist.write_text(BLOCKLIST.replace("path: ads.txt", "path: ads.txt, size_mb_max: 1"))
        (tmp_path / "ads.txt").write_bytes(b"a.example\n" * 120_000)
    elif break_it == "fifo list":
        (tmp_path / "ads.txt").unlink()
        os.mkfifo(tmp_path / "ads.txt")
    else:
        blocklist.unlink()
        if break_it == "fifo blocklist":
            os.mkfifo(blocklist)
    image, problems = compile_in_process(blocklist, tmp_path / "images")
    assert image is None and any(problem.severity == "error" for problem in problems)
    assert not list((tmp_path).glob("images/*"))


def test_blocklist_is_read_once(blocklist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Refused as too large, then rewritten: the second content has no place among the inputs of this compilation.
    too_large = Problem(str(blocklist), 0, "is too large")
    monkeypatch.setattr("resolver.publishing.compiler.read_octets", lambda _: (None, [too_large]))
    compiled = compile_policy(blocklist, tmp_path / "images")
    assert compiled.image is None and compiled.problems == [too_large]
    assert not compiled.inputs and compiled.paths == [str(blocklist)]


def test_folder_that_cannot_be_written_is_a_transient_failure(blocklist: Path, tmp_path: Path) -> None:
    (tmp_path / "images").write_text("a file stands in the way")
    compiled = compile_policy(blocklist, tmp_path / "images")
    assert compiled.image is None and compiled.transient


def test_bad_list_is_no_transient_failure(blocklist: Path, tmp_path: Path) -> None:
    (tmp_path / "ads.txt").unlink()
    compiled = compile_policy(blocklist, tmp_path / "images")
    assert not compiled.transient and str(tmp_path / "ads.txt") in compiled.paths


@pytest.mark.slow
def test_child_prints_what_came_of_it(blocklist: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "resolver.publishing.compiler", "--out", str(tmp_path / "images")]
    good = subprocess.run([*words, str(blocklist)], capture_output=True, text=True, check=False)
    assert good.returncode == 0 and good.stderr == ""
    assert Path(json.loads(good.stdout)["image"]).exists()
    blocklist.write_text("version: 2\n")
    bad = subprocess.run([*words, str(blocklist)], capture_output=True, text=True, check=False)
    assert bad.returncode == 2 and json.loads(bad.stdout)["image"] is None
    assert json.loads(bad.stdout)["problems"]
