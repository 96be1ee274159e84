"""YAML in: the core schema, lines, and everything that is refused before it can hurt."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from resolver.config.yamlmodel import to_plain
from resolver.config.yamlsource import (
    DEPTH_MAX,
    LINE_OCTETS_MAX,
    SCALAR_CHARS_MAX,
    YamlMapping,
    YamlSequence,
    plain_scalar,
    read_octets,
    read_yaml,
)
from tests.support.for_each import for_each


def read(text: str | bytes) -> object:
    """The plain value of a text that must be fine."""
    value, problems = read_yaml(text if isinstance(text, bytes) else text.encode())
    assert problems == []
    return to_plain(value)


def complaints(text: str | bytes) -> list[tuple[int, str]]:
    """Lines and messages about a text that must be refused."""
    value, problems = read_yaml(text if isinstance(text, bytes) else text.encode())
    assert problems
    assert value is None
    return [(problem.line, problem.message) for problem in problems]


def test_mappings_lists_and_scalars_become_plain_values() -> None:
    assert read("a: [1, x]\nb: {c: null}\n") == {"a": [1, "x"], "b": {"c": None}}


@for_each(
    ("text", "value"),
    [
        ("on", "on"), ("off", "off"), ("yes", "yes"), ("no", "no"), ("y", "y"), ("NO", "NO"),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("none", "none"),
        ("12", 12), ("-3", -3), ("+3", 3), ("010", 10), ("0o17", 15), ("0x1F", 31),
        ("190:20:30", "190:20:30"), ("1:30", "1:30"), ("1_000", "1_000"), ("0b1", "0b1"),
        ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("-.inf", -math.inf), (".INF", math.inf),
        ("2018-08-23", "2018-08-23"), ("0.0.0.0", "0.0.0.0"), ("::1", "::1"), ("1xbit.example", "1xbit.example"),
        ("-", "-"), (".", "."), ("+", "+"), ("=", "="), ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_plain_scalars_follow_the_core_schema(text: str, value: object) -> None:
    got = plain_scalar(text)
    assert got == value and type(got) is type(value)


def test_not_a_number_is_a_float() -> None:
    assert math.isnan(float(str(plain_scalar(".nan"))))


@pytest.mark.parametrize("text", ["'12'", '"true"', "'~'", "|\n 12", ">\n null"])
def test_what_is_quoted_is_always_text(text: str) -> None:
    value = read(f"a: {text}\n")
    assert isinstance(value, dict) and isinstance(value["a"], str)


def test_keys_are_always_text() -> None:
    assert read("1: a\nnull: b\n2018-08-23: c\n") == {"1": "a", "null": "b", "2018-08-23": "c"}


def test_every_key_and_item_knows_its_line() -> None:
    value, _ = read_yaml(b"# comment\na:\n  - x\n\n  - y\nb: {c:\n   1}\n")
    assert isinstance(value, YamlMapping)
    assert value.lines == {"a": 2, "b": 6}
    inner = value.items["a"]
    assert isinstance(inner, YamlSequence) and list(inner.lines) == [3, 5]


def test_an_empty_file_is_null_and_no_problem() -> None:
    assert read("") is None
    assert read("# only a comment\n") is None


def test_a_byte_order_mark_is_no_problem() -> None:
    assert read(b"\xef\xbb\xbfa: 1\n") == {"a": 1}


def test_windows_line_ends_are_no_problem() -> None:
    assert read(b"a: 1\r\nb: 2\r\n") == {"a": 1, "b": 2}


def test_duplicate_keys_are_each_reported_and_the_first_is_kept() -> None:
    value, problems = read_yaml(b"a: 1\nb: {c: 1,\n  c: 2}\na: 3\n")
    assert to_plain(value) == {"a": 1, "b": {"c": 1}}
    assert [(problem.line, problem.message) for problem in problems] == [
        (3, "duplicate key 'c': it is already on line 2"),
        (4, "duplicate key 'a': it is already on line 1"),
    ]


def test_the_same_key_in_two_mappings_is_no_duplicate() -> None:
    assert read("a: {x: 1}\nb: {x: 2}\n") == {"a": {"x": 1}, "b": {"x": 2}}


@for_each(
    ("text", "line", "part"),
    [
        ("a: 1\nb: x\0y\n", 2, "NUL"),
        (b"a: 1\nb: \xff\n", 2, "0xff is not UTF-8"),
        (b"a: 1\nb: \xed\xa0\x80\n", 2, "not UTF-8"),
        (b"a: 1\nb: \xe2\x82", 2, "not UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, "UTF-16"),
        (b"a: \x07\n", 1, "control characters"),
        ("a: &x 1\n", 1, "anchors"),
        ("a: 1\nb: *x\n", 2, "in quotes"),
        ("a:\n  - *.cdn.example\n", 2, 'in quotes: "*.example"'),
        ("a: !!python/object:os.system x\n", 1, "tags"),
        ("a: !x {}\n", 1, "tags"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("[a, b]: 1\n", 1, "a key must be"),
        ("? {a: 1}\n: 1\n", 1, "a key must be"),
        ("a:\n\t- b\n", 2, "not with tabs"),
        ("a: b: c\n", 1, "mapping values"),
        ("a: 1\n b: 2\n", 2, "indentation"),
        ("a: [1\n", 2, "flow sequence"),
        ("a: 'x\n", 1, "is not closed"),
        ("a: " + "x" * (SCALAR_CHARS_MAX + 1), 1, "characters long"),
        ("a: 1\nb: " + "x" * LINE_OCTETS_MAX + "\n", 2, "line is longer"),
        ("[" * (DEPTH_MAX + 1), 1, "levels deep"),
        ("- " * (DEPTH_MAX + 1), 1, "levels deep"),
        ("{a: " * (DEPTH_MAX + 1), 1, "levels deep"),
        ("%TAG ! tag:x,2000:\n---\na: !x 1\n", 3, "tags"),
    ],
)  # fmt: skip
def test_what_could_hurt_is_refused_with_its_line(text: str | bytes, line: int, part: str) -> None:
    found = complaints(text)
    assert found[0][0] == line
    assert part in found[0][1]


def test_nesting_as_deep_as_allowed_is_read() -> None:
    read("[" * DEPTH_MAX + "]" * DEPTH_MAX)


def test_a_line_and_a_value_as_long_as_allowed_are_read() -> None:
    assert read("a: " + "x" * SCALAR_CHARS_MAX) == {"a": "x" * SCALAR_CHARS_MAX}
    assert read("#" * LINE_OCTETS_MAX + "\na: 1\n") == {"a": 1}


def test_every_alias_and_anchor_is_reported_not_only_the_first() -> None:
    lines = [line for line, _ in complaints("a: &x 1\nb: &y 2\nc: [*x,\n *y]\n*x : 1\n")]
    assert lines == [1, 2, 3, 4, 5]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    with path.open("wb") as stream:
        stream.truncate(101)
    assert "too large" in read_yaml(path, octets_max=100)[1][0].message
    assert "too large" in read_yaml(bytes(101), octets_max=100)[1][0].message
    assert "too large" not in read_yaml(path, octets_max=101)[1][0].message


def test_a_missing_file_is_a_problem_with_its_name(tmp_path: Path) -> None:
    value, problems = read_yaml(tmp_path / "none.yaml")
    assert value is None
    assert str(problems[0]) == f"{tmp_path}/none.yaml: cannot be read: No such file or directory"


def test_what_is_no_regular_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", Path("/dev/zero")):
        octets, problems = read_octets(path)
        assert octets is None
        assert "regular file" in problems[0].message or "directory" in problems[0].message


def test_a_path_with_a_nul_is_a_problem_not_an_exception() -> None:
    assert "cannot be read" in read_octets("a\0b")[1][0].message


def test_octets_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    assert read_octets(path, octets_max=3) == (b"abc", [])
    assert read_octets(path, octets_max=2)[0] is None


def test_problems_carry_the_given_file_name() -> None:
    assert read_yaml(b"a: *x", file="named.yaml")[1][0].file == "named.yaml"
