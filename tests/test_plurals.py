"""Counts in words."""

from __future__ import annotations

import pytest

from resolver.plurals import counted


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 exchanges"), (1, "1 exchange"), (2, "2 exchanges"), (12_000, "12,000 exchanges")],
)
def test_one_is_singular_and_all_else_is_plural(count: int, words: str) -> None:
    assert counted(count, "exchange") == words


def test_a_plural_of_its_own() -> None:
    assert (counted(1, "entry", "entries"), counted(2, "entry", "entries")) == ("1 entry", "2 entries")
