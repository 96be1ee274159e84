"""Pydantic's errors, said at the right line in our words."""

from __future__ import annotations

from typing import Literal

import pytest

from resolver.config.yamlmodel import Section, build_section, line_of, setting, text_setting
from resolver.config.yamlsource import read_yaml
from resolver.problems import Findings


class Inner(Section):
    """A section inside another."""

    size: int = setting(5, "Size.", unit="MiB", least=1, most=9)
    names: dict[str, tuple[Literal["a", "b"], ...]] = setting({}, "Names.")


class Outer(Section):
    """A section."""

    inner: Inner = setting(Inner(), "Inner.")
    title: str = text_setting(..., "Title.", longest=3)
    starts: str | None = setting(None, "Start.", alias="from")
    switch: bool = setting(False, "Switch.")


def build(text: str) -> tuple[Outer | None, list[str]]:
    tree, _ = read_yaml(text.encode())
    findings = Findings("f")
    section = build_section(Outer, tree, findings, line=1, where="here")
    return section, [f"{problem.line}: {problem.message}" for problem in findings.in_order()]


def test_a_right_mapping_becomes_the_model() -> None:
    section, problems = build("title: abc\nfrom: x\ninner: {size: 9}\n")
    assert section == Outer.model_validate({"title": "abc", "from": "x", "inner": {"size": 9}})
    assert problems == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("title: abcd", "1: here.title: 'abcd' is not allowed; allowed: text of 1 to 3 characters (numbers in quotes)"),
        ("title: 5", "1: here.title: 5 is not allowed; allowed: text of 1 to 3 characters (numbers in quotes)"),
        ("from: x", "1: here.title is missing; allowed: text of 1 to 3 characters (numbers in quotes)"),
        ("title: a\nstarts: x", "2: unknown key 'here.starts'; known keys: inner, title, from, switch"),
        ("title: a\ninner:\n  siez: 1", "3: unknown key 'here.inner.siez' (did you mean 'size'?)"),
        ("title: a\ninner:\n  size: 10", "3: here.inner.size: 10 is not allowed; allowed: a whole number from 1 to 9 (MiB); default 5"),
        ("title: a\ninner:\n  size: {}", "3: here.inner.size: a mapping is not allowed; allowed: a whole number from 1 to 9 (MiB); default 5"),
        ("title: a\ninner: [1]", "2: here.inner: a list is not allowed; allowed: a mapping (key: value)"),
        ("title: a\nswitch: on", "2: here.switch: 'on' is not allowed; allowed: true or false; default false"),
        ("5", "1: here: 5 is not allowed; allowed: a mapping (key: value)"),
    ],
)  # fmt: skip
def test_a_wrong_one_is_told_by_line_path_and_allowed_values(text: str, complaint: str) -> None:
    section, problems = build(text)
    assert section is None
    assert complaint in problems


def test_lines_are_found_as_far_as_the_tree_has_the_path() -> None:
    tree, _ = read_yaml(b"a:\n  b:\n    - x\n    - {c: 1}\n")
    assert line_of(tree, ("a", "b", 1, "c"), 1) == 4
    assert line_of(tree, ("a", "b", 7), 1) == 2
    assert line_of(tree, ("z",), 9) == 9
