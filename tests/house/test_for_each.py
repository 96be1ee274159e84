"""Cases in one test: each is tried, and whoever fails is named."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from tests.support.for_each import SHOWN_MAX, for_each


def test_every_case_is_tried_and_each_that_fails_is_named() -> None:
    tried = []

    @for_each("number", range(9), ids=lambda number: f"n{number}")
    def odd(number: int) -> None:
        tried.append(number)
        assert number % 2, f"{number} is even"

    with pytest.raises(ExceptionGroup, match=r"5 of 9 cases: 0: n0, 2: n2, 4: n4, 6: n6, 8: n8") as found:
        odd()
    assert tried == list(range(9))
    assert len(found.value.exceptions) == SHOWN_MAX
    assert found.value.exceptions[1].__notes__ == ["in the case n2"]


def test_where_all_hold_it_passes_and_fixtures_go_in_beside_the_cases() -> None:
    @for_each(("one", "two"), [(1, "a"), (2, "b")], ids=["first", "second"])
    def holds(seen: list[object], one: int, two: str) -> None:
        seen.append((one, two))

    seen: list[object] = []
    holds(seen=seen)
    assert seen == [(1, "a"), (2, "b")]
    assert list(inspect.signature(holds).parameters) == ["seen"]


def test_each_case_has_a_folder_of_its_own(tmp_path: Path) -> None:
    @for_each("name", ["x", "x"])
    def writes(tmp_path: Path, name: str) -> None:
        (tmp_path / name).mkdir()

    writes(tmp_path=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_no_case_at_all_is_a_failure() -> None:
    @for_each("number", [])
    def never(number: int) -> None: ...

    with pytest.raises(AssertionError, match="no case"):
        never()


def test_a_case_that_skips_or_raises_nothing_where_it_should_is_a_failure() -> None:
    @for_each("number", [1, 2])
    def skips(number: int) -> None:
        if number == 1:
            pytest.skip("not here")
        with pytest.raises(ValueError):
            int("1")

    with pytest.raises(BaseExceptionGroup, match="2 of 2 cases"):
        skips()


def test_loops_within_loops_name_both() -> None:
    @for_each("inner", "ab")
    @for_each("outer", "cd")
    def fails(inner: str, outer: str) -> None:
        assert (inner, outer) != ("b", "c")

    with pytest.raises(ExceptionGroup, match="1 of 2 cases: 1: 'b'") as found:
        fails()
    assert found.group_contains(AssertionError, match="'b', 'c'")


def test_a_parameter_that_the_test_does_not_have_is_refused() -> None:
    with pytest.raises(AssertionError, match="has no parameters"):

        @for_each("other", [1])
        def unlike(number: int) -> None: ...
