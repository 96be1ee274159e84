"""One slip, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.suggestions.slips import shortened, slip


@pytest.mark.parametrize(
    "text", ["biannce", "binnance", "binace", "binanxe", "binabce", "bonance", "binancee"]
)
def test_one_slip_is_seen(text: str) -> None:
    assert slip(text, "binance") > 0


@pytest.mark.parametrize("text", ["binance", "biannec", "bnac", "finanza", "binancefff", "", "ecnanib"])
def test_none_and_two_are_not(text: str) -> None:
    assert slip(text, "binance") == 0


def test_letters_that_moved_say_more_than_a_letter_that_changed() -> None:
    assert slip("coinabse", "coinbase") > slip("coinqase", "coinbase") > 0


def test_a_short_text_says_less_than_a_long_one() -> None:
    assert slip("kraqen", "kraken") < slip("poloniqx", "poloniex")


letters = st.text("abcl", min_size=1, max_size=9)


@given(letters, letters)
def test_a_slip_lies_between_texts_that_share_a_shortened_one(text: str, meant: str) -> None:
    if slip(text, meant):
        assert set(shortened(text)) & set(shortened(meant))


@given(letters, letters)
def test_a_slip_is_seen_from_either_side(text: str, meant: str) -> None:
    assert (slip(text, meant) > 0) == (slip(meant, text) > 0)
    assert 0 <= slip(text, meant) < 1
