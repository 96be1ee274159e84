"""Signs that are taken for Latin letters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.suggestions.confusables import LOOKS_LIKE, flat, plain_letters, skeleton


@pytest.mark.parametrize(
    ("label", "plain"),
    [
        ("binance", "binance"),
        ("bіnаnсe", "binance"),
        ("bínäncę", "binance"),
        ("krakeń", "kraken"),
        ("ҝraken", "kraken"),
        ("ꓐinance", "ꓐinance"),
        ("łuno", "luno"),
    ],
)
def test_look_alikes_become_what_they_look_like(label: str, plain: str) -> None:
    assert skeleton(plain_letters(label)) == skeleton(plain)


def test_no_sign_looks_like_two_letters() -> None:
    signs = "".join(LOOKS_LIKE.values())
    assert len(signs) == len(set(signs))
    assert all(not sign.isascii() and unicodedata.category(sign)[0] in "LNM" for sign in signs)


@pytest.mark.parametrize(
    ("text", "other"), [("bl7finex", "bitfinex"), ("kuc0in", "kucoin"), ("rnexc", "mexc")]
)
def test_digits_and_strokes_read_as_letters(text: str, other: str) -> None:
    assert skeleton(text) == skeleton(other)


def test_different_letters_stay_different() -> None:
    assert skeleton("kraken") != skeleton("krakow")


@given(st.text(max_size=70))
def test_any_text_has_a_skeleton(text: str) -> None:
    plain = plain_letters(text)
    assert len(flat(plain)) == len(plain)
    assert skeleton(plain) == skeleton(plain_letters(text))
