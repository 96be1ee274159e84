"""The page's file: which names are blocked for what, and the words for it.  All that the page's process sees.

Knows: the layout, how a name is looked up.  Does not know: rules, how the file is made (`writing`).
Theory: what policy says changes only at names that own a rule.  So for each of those the file has two
answers: for the name itself, and for names under it that own none.  Names stand here as hashes with a secret
seed: whoever takes the page over can ask about a name, but not read the list.

Layout, little-endian.  The header is 64 octets:

    0   8  magic `XRBLKPG1`
    8   8  seed of the hash
    16  8  how many names
    24  8  octets in the file
    32  8  XXH3-64 of octets 0..31, then 40..end
    40  24 zero

then for each name its XXH3-64 (wire form, lower case, root octet included), sorted; for each, in the same
order, the number of what it is blocked for (u16; 0: it is not); the same for names under it; then JSON:
`Words`, of whose subjects the first has number 1.
"""

from __future__ import annotations

import json
import mmap
import struct
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Final

import xxhash

from resolver.block_page.subject import Subject, Words, words_from_json, words_to_json

PAGE_MAGIC: Final = b"XRBLKPG1"
HEADER: Final = struct.Struct("<8sQQQ")
CHECKSUM: Final = struct.Struct("<Q")
HEADER_OCTETS: Final = 64
SUBJECTS_MAX: Final = 0xFFFF
"""A number has 16 bits."""
OCTETS_PER_NAME: Final = 12


class PageFileUnusable(Exception):
    """It is no file of this version, or is damaged; the text says why."""


Outcome = tuple[int, int]
"""What a name is blocked for, and what names under it are: numbers of subjects, 0: nothing."""


def hash_of(name: bytes, seed: int) -> int:
    """Of a name in wire form, lower case."""
    return xxhash.xxh3_64_intdigest(name, seed)


def page_octets(outcomes: Mapping[int, Outcome], words: Words, seed: int) -> Iterator[bytes]:
    """The file's content, in pieces; `outcomes`: by the hash of the owner's name."""
    hashes = sorted(outcomes)
    count = len(hashes)
    pieces = [
        struct.pack(f"<{count}Q", *hashes),
        struct.pack(f"<{count}H", *(outcomes[one][0] for one in hashes)),
        struct.pack(f"<{count}H", *(outcomes[one][1] for one in hashes)),
        json.dumps(words_to_json(words), ensure_ascii=False).encode("utf-8", "replace"),
    ]
    octets = HEADER_OCTETS + sum(map(len, pieces))
    head = HEADER.pack(PAGE_MAGIC, seed, count, octets)
    rest = bytes(HEADER_OCTETS - HEADER.size - CHECKSUM.size)
    digest = xxhash.xxh3_64(head + rest)
    for piece in pieces:
        digest.update(piece)
    yield head + CHECKSUM.pack(digest.intdigest()) + rest
    yield from pieces


class PageFile:
    """A mapped file."""

    def __init__(self, descriptor: int) -> None:
        """Map and check what is open there; it may be closed afterwards.  Raises PageFileUnusable."""
        try:
            self._octets = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            whole = memoryview(self._octets)
            magic, self._seed, count, octets = HEADER.unpack_from(whole)
            words_at = HEADER_OCTETS + OCTETS_PER_NAME * count
            if magic != PAGE_MAGIC or octets != len(whole) or words_at > octets:
                raise PageFileUnusable("it is no file of a block page, or not whole")
            self._check(whole)
            below_at = HEADER_OCTETS + 10 * count
            self._hashes = whole[HEADER_OCTETS : HEADER_OCTETS + 8 * count].cast("Q")
            self._exact = whole[HEADER_OCTETS + 8 * count : below_at].cast("H")
            self._below = whole[below_at:words_at].cast("H")
            self.words = words_from_json(json.loads(bytes(whole[words_at:])))
        except (OSError, struct.error, ValueError, KeyError, TypeError) as error:
            raise PageFileUnusable(f"it cannot be read: {error}") from error

    def _check(self, whole: memoryview) -> None:
        [stated] = CHECKSUM.unpack_from(whole, HEADER.size)
        digest = xxhash.xxh3_64(whole[: HEADER.size])
        digest.update(whole[HEADER.size + CHECKSUM.size :])
        if digest.intdigest() != stated:
            raise PageFileUnusable("its checksum differs: it is damaged")

    def __len__(self) -> int:
        """How many names it holds."""
        return len(self._hashes)

    def subject_of(self, name: bytes) -> Subject | None:
        """What a name (wire form, lower case) is blocked for; None: for nothing."""
        position = 0
        while True:
            at = self._place_of(name[position:])
            if at is not None:
                number = (self._below if position else self._exact)[at]
                return self.words.subjects[number - 1] if 0 < number <= len(self.words.subjects) else None
            if not name[position]:
                return None
            position += name[position] + 1

    def _place_of(self, suffix: bytes) -> int | None:
        digest = hash_of(suffix, self._seed)
        at = bisect_left(self._hashes, digest)
        return at if at < len(self._hashes) and self._hashes[at] == digest else None
