"""What everybody uses is blocked by no exchange unless somebody insists."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.blocklist.reader import read_blocklist
from resolver.known_names.shared_platforms import SHARED_PLATFORMS_BY_KIND, shared_platforms
from resolver.problems import Problem

ROOT = Path(__file__).parents[2]


def problems_of(entry: str, *, force: bool = False) -> list[Problem]:
    text = f"version: 1\nexchanges:\n  acme: {{name: Acme, domains: ['{entry}']}}\n"
    return read_blocklist(Path("b.yaml"), octets=text.encode(), force=force)[1]


@pytest.mark.parametrize(
    "entry",
    ["github.com", "x.com", "drive.google.com", "*.zendesk.com", "=reddit.com", "gitbook.io"],
)
def test_an_exchange_that_blocks_a_shared_platform_is_an_error_that_can_be_forced(entry: str) -> None:
    [problem] = problems_of(entry)
    assert problem.severity == "error" and problem.forcible and problem.line == 3
    assert entry in problem.message


def test_force_makes_it_a_warning() -> None:
    assert {problem.severity for problem in problems_of("github.com", force=True)} == {"warning"}


@pytest.mark.parametrize(
    "entry",
    [
        "acme.zendesk.com",
        "acme.github.io",
        "notgithub.com",
        "=github.io",
        "acme.example",
        "x.com.example",
    ],
)
def test_names_under_a_platform_and_names_like_one_are_fine(entry: str) -> None:
    assert problems_of(entry) == []


def test_a_name_above_a_platform_covers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    above = {b"\x04wide\x07example\x00": b"\x04docs\x04wide\x07example\x00"}
    monkeypatch.setattr("resolver.blocklist.conflicts.above_shared_platforms", lambda: above)
    known = {**shared_platforms(), b"\x04docs\x04wide\x07example\x00": "documents of many"}
    monkeypatch.setattr("resolver.blocklist.conflicts.shared_platforms", lambda: known)
    [problem] = problems_of("wide.example")
    assert "covers 'docs.wide.example', a shared platform (documents of many)" in problem.message
    assert problems_of("=wide.example") == []


def test_the_platforms_are_names_in_lower_case_each_once() -> None:
    names = [name for kind in SHARED_PLATFORMS_BY_KIND.values() for name in kind]
    assert len(shared_platforms()) == len(names) and all(name == name.lower() for name in names)


def test_the_shipped_blocklist_blocks_none() -> None:
    _, problems = read_blocklist(ROOT / "blocklist.yaml")
    assert [problem for problem in problems if "shared platform" in problem.message] == []
