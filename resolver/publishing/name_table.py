"""The names of an image: gathers them with their rules, then lays TAGS, PLACES and BLOB.

Knows: these three sections of `image`, the order of preference within one name.  Does not know: what a
rule says, files, META.
Theory: names stream in by the batch and leave at once as octets of the blob, a hash and an offset;
no Python object per name survives its batch, so ten million names take a few hundred MB.
The native table lays the same octets in a fraction of the time; this one says what they are.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, chain, repeat
from operator import add
from typing import NamedTuple, Protocol

import xxhash

from resolver.lists.native_lists import native_lists
from resolver.policy import image
from resolver.policy.image import Effect

SINGLE_REF = struct.Struct("<BHI")
"""What follows the name in nearly every record: count 1 and its reference."""
BLOB_PAD = b"\0" * 8
"""Offset 0 of the blob means 'no record', so nothing stands there."""
SLOTS_PER_NAME = 3
"""Homes for each name, at 5 octets a slot: seven in ten look-ups of absent names end at once."""


class Rank(NamedTuple):
    """What decides the order of preference of a rule class, each as CLASSES has it."""

    tier: int
    effect: int
    form: int
    file_index: int


class AnyNameTable(Protocol):
    """What either table does; `OverflowError` says which limit of the format was met."""

    @property
    def flags(self) -> int:
        """Of the image's header."""

    @property
    def homes(self) -> int:
        """How many slots names are hashed to; 0: not laid.  The rest is known when it is."""

    @property
    def duplicates(self) -> dict[int, int]:
        """Names dropped because their class has them already: {class id: count}."""

    @property
    def tags(self) -> bytes | bytearray | memoryview:
        """One octet a slot."""

    @property
    def places(self) -> bytes | bytearray | memoryview | array[int]:
        """One offset into the blob a slot, 32 bits each."""

    @property
    def blob(self) -> bytes | bytearray | memoryview:
        """All records."""

    def add_names(
        self,
        class_id: int,
        names: Sequence[bytes],
        lines: Iterable[int],
        *,
        is_exception: bool,
        is_deep: bool,
    ) -> None:
        """Add wire-form lower-case names of one class; `lines` gives each one's line.

        `is_exception`: marks say so above them.  `is_deep`: each is known to have two labels or more.
        """

    def lay(self, ranks: list[Rank], marker_of: Callable[[int], int]) -> None:
        """Fill the slots, then add what names share and the marks of exceptions below them.

        `ranks` has every class so far; `marker_of` gives the class of a class's marks, which ranks
        behind all others when it is made.  Nothing can be added afterwards.
        """


def name_table(seed: int) -> AnyNameTable:
    """An empty table: the native one where there is one."""
    native = native_lists()
    return NameTable(seed) if native is None else native.ImageTable(seed)


class NameTable:
    """The table in Python; see `AnyNameTable`."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._pieces: list[bytes] = [BLOB_PAD]
        self._blob_octets = len(BLOB_PAD)
        self._hashes = array("Q")
        self._offsets = array("I")
        self._below: dict[bytes, set[int]] = {}
        self._more: dict[int, list[tuple[int, int]]] = {}
        self._ranks: list[Rank] = []
        self.flags = 0
        self.homes = 0
        self.duplicates: dict[int, int] = {}
        self.tags = bytearray()
        self.places = array("I")
        self.blob = bytearray()

    def add_names(
        self,
        class_id: int,
        names: Sequence[bytes],
        lines: Iterable[int],
        *,
        is_exception: bool,
        is_deep: bool,
    ) -> None:
        """Add names: see `AnyNameTable`."""
        if not names:
            return
        tails = _tails(class_id, lines, len(names))
        records = list(map(add, names, tails))
        self._hashes.extend(map(xxhash.xxh3_64_intdigest, names, repeat(self._seed)))
        ends = list(accumulate(map(len, records), initial=self._blob_octets))
        self._blob_octets = ends.pop()
        self._check_octets(self._blob_octets)
        self._offsets.extend(ends)
        self._pieces.append(b"".join(records))
        if is_exception:
            for name in names:
                self._note_exception(class_id, name)
        if not is_deep:
            for name in names:
                if len(name) <= 65 and not (name[0] and name[name[0] + 1]):
                    self.flags |= image.FLAG_TOP_LEVEL_OWNER if name[0] else image.FLAG_ROOT_OWNER

    @staticmethod
    def _check_octets(octets: int) -> None:
        if octets > image.BLOB_OCTETS_MAX:
            raise OverflowError("the names fill over 4 GB")

    def _note_exception(self, class_id: int, name: bytes) -> None:
        position = name[0] + 1
        while position < len(name):
            ancestors = self._below.setdefault(name[position:], set())
            if class_id in ancestors:
                break  # This class's exceptions have been noted from here up already.
            ancestors.add(class_id)
            position += name[position] + 1

    def lay(self, ranks: list[Rank], marker_of: Callable[[int], int]) -> None:
        """Lay the table: see `AnyNameTable`."""
        self._ranks = list(ranks)
        names_max = len(self._hashes) + len(self._below)
        self.homes = max(1, SLOTS_PER_NAME * names_max)
        self.tags = bytearray(self.homes + 1)
        self.places = array("I", bytes(4 * (self.homes + 1)))
        self.blob = bytearray(b"".join(self._pieces))
        self._pieces.clear()
        self._insert(self._hashes, self._offsets)
        self._hashes = array("Q")
        self._offsets = array("I")
        self._mark_exceptions(marker_of)
        for offset, refs in self._more.items():
            self._move(offset, refs)

    def _insert(self, hashes: Sequence[int], offsets: Sequence[int]) -> None:
        tags = self.tags
        places = self.places
        homes = self.homes
        for digest, offset in zip(hashes, offsets, strict=True):
            slot = digest % homes
            tag = digest >> 56 or 1
            while found := tags[slot]:
                if found == tag and self._is_same_name(places[slot], offset):
                    self._merge(places[slot], offset)
                    break
                slot += 1
            else:
                tags[slot] = tag
                places[slot] = offset
                if slot >= homes:
                    self._keep_last_free()

    def _keep_last_free(self) -> None:
        """Probing goes upwards until a free slot, so there is always one behind the last name."""
        if self.tags[-1]:
            self.tags.append(0)
            self.places.append(0)

    def _name_at(self, offset: int) -> bytes:
        blob = self.blob
        end = offset
        while blob[end]:
            end += blob[end] + 1
        return bytes(blob[offset : end + 1])

    def _is_same_name(self, first: int, second: int) -> bool:
        name = self._name_at(first)
        return self.blob[second : second + len(name)] == name

    def _merge(self, first: int, second: int) -> None:
        """One more reference for the name at `first`, unless its class has it already."""
        _, class_id, line = SINGLE_REF.unpack_from(self.blob, second + len(self._name_at(second)))
        self._add_ref(first, class_id, line)

    def _add_ref(self, offset: int, class_id: int, line: int) -> None:
        end = offset + len(self._name_at(offset))
        _, *own = SINGLE_REF.unpack_from(self.blob, end)
        more = self._more.get(offset, [])
        if class_id == own[0] or any(class_id == other for other, _ in more):
            self.duplicates[class_id] = self.duplicates.get(class_id, 0) + 1
            return
        if not more:
            more = self._more[offset] = []
        more.append((class_id, line))

    def _mark_exceptions(self, marker_of: Callable[[int], int]) -> None:
        """Say at each covered ancestor of an exception that one stands below it.

        Only where a rule at or above blocks in the exception's tier or a later one: elsewhere the
        mark would change nothing, and would cost every question under `com` a look at it.
        """
        markers: dict[int, int] = {}
        for name, class_ids in self._below.items():
            weakest = self._weakest_block_over(name)
            for class_id in sorted(class_ids):
                origin = self._ranks[class_id]
                if origin.tier > weakest:
                    continue
                marker = markers.get(class_id)
                if marker is None:
                    marker = markers[class_id] = marker_of(class_id)
                    if marker == len(self._ranks):
                        self._ranks.append(origin._replace(effect=Effect.MARKER))
                self._add_late(name, marker)
        self._below = {}

    def _weakest_block_over(self, name: bytes) -> int:
        """The highest tier that blocks at or above `name`; -1: none does."""
        weakest = -1
        position = 0
        while position < len(name):
            slot = self._slot_of(name[position:])
            if self.tags[slot]:
                for class_id, _ in self._refs_of(self.places[slot]):
                    origin = self._ranks[class_id]
                    if origin.effect == Effect.BLOCK:
                        weakest = max(weakest, origin.tier)
            position += name[position] + 1
        return weakest

    def _refs_of(self, offset: int) -> list[tuple[int, int]]:
        _, class_id, line = SINGLE_REF.unpack_from(self.blob, offset + len(self._name_at(offset)))
        return [(class_id, line), *self._more.get(offset, [])]

    def _slot_of(self, name: bytes) -> int:
        """Where `name` stands, or the free slot where it would."""
        digest = xxhash.xxh3_64_intdigest(name, self._seed)
        slot = digest % self.homes
        tag = digest >> 56 or 1
        while found := self.tags[slot]:
            place = self.places[slot]
            if found == tag and self.blob[place : place + len(name)] == name:
                break
            slot += 1
        return slot

    def _add_late(self, name: bytes, class_id: int) -> None:
        slot = self._slot_of(name)
        if self.tags[slot]:
            self._add_ref(self.places[slot], class_id, 0)
            return
        self.tags[slot] = xxhash.xxh3_64_intdigest(name, self._seed) >> 56 or 1
        self.places[slot] = len(self.blob)
        self._keep_last_free()
        self.blob += name + SINGLE_REF.pack(1, class_id, 0)
        self._check_octets(len(self.blob))

    def _move(self, offset: int, more: list[tuple[int, int]]) -> None:
        """Write the whole record of a name with several references; its first one is left behind."""
        refs = sorted(self._refs_of(offset), key=self._preference)
        name = self._name_at(offset)
        if len(refs) > image.REFS_PER_NAME_MAX:
            raise OverflowError(f"over {image.REFS_PER_NAME_MAX} rules for one name")
        self.places[self._slot_of(name)] = len(self.blob)
        self.blob += name + bytes([len(refs)]) + b"".join(image.REF.pack(*ref) for ref in refs)
        self._check_octets(len(self.blob))

    def _preference(self, ref: tuple[int, int]) -> tuple[Rank, int, int]:
        return (self._ranks[ref[0]], ref[1], ref[0])


def _tails(class_id: int, lines: Iterable[int], count: int) -> Iterable[bytes]:
    """What follows each name in its record, `SINGLE_REF` for one class, made by the batch."""
    octets = bytearray(7 * count)
    numbers = array("I", lines).tobytes()
    octets[0::7] = b"\x01" * count
    octets[1::7] = bytes([class_id & 0xFF]) * count
    octets[2::7] = bytes([class_id >> 8]) * count
    for place in range(4):
        octets[3 + place :: 7] = numbers[place::4]
    return chain.from_iterable(struct.iter_unpack("7s", octets))
