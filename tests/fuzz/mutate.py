"""Breaks octets in the ways that parsers of DNS messages have been broken by.

Knows: octets, where a header ends, what a compression pointer looks like.  Does not know: who reads them.
Seeded, so that a failing case comes again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

HEADER_OCTETS = 12
MUTATIONS_MAX = 3
"""Changes to one message: more, and every case is refused at the first check."""
OCTETS_MAX = 65535

INTERESTING_WORDS = (
    0,
    1,
    2,
    0x0F,
    0x3F,
    0x40,
    0x80,
    0xFF,
    0x0100,
    0x0200,
    0x7FFF,
    0x8000,
    0xC000,
    0xC00C,
    0xFFFF,
)
"""Counts, lengths, label types and pointers at the edges."""


class Mutator:
    """Makes broken copies of the messages of a corpus."""

    def __init__(self, corpus: Sequence[bytes], seed: int) -> None:
        self._corpus = corpus
        self._random = random.Random(seed)
        self._ways = (
            self._flip_bit,
            self._flip_bit,
            self._set_octet,
            self._set_word,
            self._set_word,
            self._point,
            self._remove,
            self._repeat,
            self._insert,
            self._cut,
            self._splice,
            self._lengthen,
        )

    def next(self) -> tuple[int, bytes]:
        """The place of a message in the corpus, and a broken copy of it."""
        place = self._below(len(self._corpus))
        octets = bytearray(self._corpus[place])
        for _ in range(1 + self._below(MUTATIONS_MAX)):
            self._ways[self._below(len(self._ways))](octets)
        return place, bytes(octets[:OCTETS_MAX])

    def _below(self, bound: int) -> int:
        return int(self._random.random() * bound)

    def _flip_bit(self, octets: bytearray) -> None:
        if octets:
            octets[self._below(len(octets))] ^= 1 << self._below(8)

    def _set_octet(self, octets: bytearray) -> None:
        if octets:
            octets[self._below(len(octets))] = self._below(256)

    def _set_word(self, octets: bytearray) -> None:
        if len(octets) >= 2:
            place = self._below(len(octets) - 1)
            word = INTERESTING_WORDS[self._below(len(INTERESTING_WORDS))]
            octets[place : place + 2] = word.to_bytes(2, "big")

    def _point(self, octets: bytearray) -> None:
        """A compression pointer to somewhere: itself, forward, back, into the header, past the end."""
        if len(octets) >= 2:
            place = self._below(len(octets) - 1)
            target = (place, self._below(len(octets) + 4), self._below(HEADER_OCTETS))[self._below(3)]
            octets[place : place + 2] = (0xC000 | target & 0x3FFF).to_bytes(2, "big")

    def _remove(self, octets: bytearray) -> None:
        if octets:
            place = self._below(len(octets))
            del octets[place : place + 1 + self._below(16)]

    def _repeat(self, octets: bytearray) -> None:
        if octets:
            place = self._below(len(octets))
            piece = octets[place : place + 1 + self._below(64)]
            octets[place:place] = piece * (1 + self._below(4))

    def _insert(self, octets: bytearray) -> None:
        place = self._below(len(octets) + 1)
        octets[place:place] = self._random.randbytes(1 + self._below(16))

    def _cut(self, octets: bytearray) -> None:
        del octets[self._below(len(octets) + 1) :]

    def _splice(self, octets: bytearray) -> None:
        """The rest of another message from some place on."""
        other = self._corpus[self._below(len(self._corpus))]
        place = self._below(len(octets) + 1)
        octets[place:] = other[self._below(len(other) + 1) :]

    def _lengthen(self, octets: bytearray) -> None:
        octets += bytes(self._below(3)) or self._random.randbytes(self._below(600))
