"""How listed exchanges are written in labels, and how much it says that somebody writes so.

Knows: names, aliases and domains of an exchange, which words say little.  Does not know: the names that are
held against them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from resolver.known_names.public_suffixes import top_level_labels
from resolver.suggestions.confusables import plain_letters
from resolver.suggestions.names import label_text, registrable
from resolver.suggestions.words import COMMON_NAMES, MONEY_WORDS, WORDS, words_in
from resolver.wire.names import name_from_text

SPELLING_CHARS_MIN: Final = 3
SPELLING_CHARS_MAX: Final = 40
SPELLINGS_MAX: Final = 20_000
"""Of all exchanges together; the index takes about 2 kB for each."""

_WEIGHTS: Final = {3: 0.4, 4: 0.55, 5: 0.8, 6: 0.92}
"""By letters: a short label is written by many who mean something else.  Longer ones: 1."""
_WEIGHT_OF_WORD: Final = 0.35
_WEIGHT_OF_MONEY: Final = 0.5
_WEIGHT_NEAR_MONEY: Final = 0.55
_WEIGHT_OF_WORDS: Final = 0.9


class Listed(NamedTuple):
    """One listed exchange."""

    id: str
    name: str
    owners: tuple[bytes, ...]
    """The names it is listed with, wire form."""
    aliases: tuple[str, ...] = ()
    known_owners: tuple[bytes, ...] = ()
    """Names that the catalogue knows of it and the blocklist lacks, wire form."""
    is_confidential: bool = False


class Spelling(NamedTuple):
    """One way in which a listed exchange is written in a label."""

    text: str
    exchange: Listed
    weight: float
    """0 to 1: how sure it is that who writes it means the exchange."""
    is_common: bool
    """It is a word, or words of money."""


def named(exchange: Listed) -> Iterator[str]:
    """Spellings of what it is called."""
    for text in (exchange.id, exchange.name, *exchange.aliases):
        yield from _if_fit("".join(sign for sign in text.lower() if sign.isalnum()))


def labelled(exchange: Listed) -> Iterator[str]:
    """Spellings of the labels that it registered."""
    for owner in (*exchange.owners, *exchange.known_owners):
        # A name under somebody else's says nothing of whose it is.
        label = label_text(owner) if registrable(owner) == owner else None
        if label is not None:
            yield from _if_fit(plain_letters(label).replace("-", ""))


def official_names(exchange: Listed) -> Iterator[bytes]:
    """Domain names (wire form) that the exchange itself goes by, those it is listed with left out."""
    for text in (exchange.name, *exchange.aliases):
        if "." in text:  # Binance.US
            with contextlib.suppress(ValueError):
                yield name_from_text(text)
    yield from exchange.known_owners


def weigh(text: str) -> tuple[float, bool]:
    """How much it says that somebody writes `text`, 0 to 1; and whether it is a word, or words of money."""
    if text in COMMON_NAMES or text in WORDS or text in top_level_labels():
        return _WEIGHT_OF_WORD, True
    words = words_in(text, 3)
    if words is not None and all(word in MONEY_WORDS for word in words):
        return _WEIGHT_OF_MONEY, True
    if any(len(part) > 4 and part in MONEY_WORDS for part in (text[1:], text[:-1])):
        return _WEIGHT_NEAR_MONEY, True
    return _WEIGHTS.get(len(text), 1.0 if words is None else _WEIGHT_OF_WORDS), False


def _if_fit(text: str) -> Iterator[str]:
    if SPELLING_CHARS_MIN <= len(text) <= SPELLING_CHARS_MAX and text.isascii() and not text.isdigit():
        yield text
