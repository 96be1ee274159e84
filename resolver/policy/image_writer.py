"""Builds a policy image: gathers rules, lays the hash table, writes the file whole or not at all.

Knows: the layout in `image`.  Does not know: YAML, list formats, which rule wins (but the order of
preference within one name, so that readers may stop at the first that applies).
Theory: names stream in by the batch and leave at once as octets of the blob, a hash and an offset;
no Python object per name survives its batch, so ten million names take a few hundred MB.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import math
import os
import struct
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, repeat
from operator import add
from pathlib import Path
from typing import Any

import xxhash

from resolver.policy import image
from resolver.policy.image import Effect, ImageUnusable, RuleClass, Section, Tier
from resolver.policy.verdict import PolicyRule, RuleForm

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

SINGLE_REF = struct.Struct("<BHI")
"""What follows the name in nearly every record: count 1 and its reference."""
BLOB_PAD = b"\0" * 8
"""Offset 0 of the blob means 'no record', so nothing stands there."""
SLOTS_PER_NAME = 3
"""Homes for each name, at 5 octets a slot: seven in ten look-ups of absent names end at once."""


class TooManyRules(ValueError):
    """A limit of the format was met: the text says which."""


class ImageWriter:
    """Takes rules in any order, then is laid and written."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._classes: list[RuleClass] = []
        self._class_ids: dict[tuple[int, RuleForm | None, Effect, int], int] = {}
        self._rules: list[PolicyRule] = []
        self._rule_ids: dict[int, int] = {}
        self._files: dict[str, int] = {}
        self._pieces: list[bytes] = [BLOB_PAD]
        self._blob_octets = len(BLOB_PAD)
        self._hashes = array("Q")
        self._offsets = array("I")
        self._flags = 0
        self._below: dict[bytes, set[int]] = {}
        self._addresses: list[tuple[IPNetwork, int, int]] = []
        self._homes = 0
        self._tags = bytearray()
        self._places = array("I")
        self._blob = bytearray()
        self._more: dict[int, list[tuple[int, int]]] = {}
        self.duplicates: dict[int, int] = {}
        """Names dropped because their class has them already: {class id: count}."""

    def class_of(self, rule: PolicyRule, form: RuleForm | None, effect: Effect, file: str) -> int:
        """The id of the class of these rules, made at the first call.  Files rank by first mention."""
        file_index = self._files.setdefault(file, len(self._files))
        key = (id(rule), form, effect, file_index)
        class_id = self._class_ids.get(key)
        if class_id is None:
            class_id = self._class_ids[key] = len(self._classes)
            if class_id >= image.CLASSES_MAX:
                raise TooManyRules(f"over {image.CLASSES_MAX} kinds of rules")
            tier = {"protected": Tier.PROTECTED, "list": Tier.LISTS}.get(rule.kind, Tier.EXCHANGES)
            self._classes.append(RuleClass(rule, form, effect, tier, file, file_index))
            self.rule_id(rule)
        return class_id

    def rule_id(self, rule: PolicyRule) -> int:
        """The rule's place among RULES, made at the first mention."""
        if id(rule) not in self._rule_ids:
            self._rule_ids[id(rule)] = len(self._rules)
            self._rules.append(rule)
        return self._rule_ids[id(rule)]

    def add_names(
        self, class_id: int, names: Sequence[bytes], lines: Iterable[int], *, is_deep: bool = False
    ) -> None:
        """Add wire-form lower-case names; `lines` gives each one's line.

        `is_deep`: the caller knows that each has two labels or more.
        """
        if not names:
            return
        tails = _tails(class_id, lines, len(names))
        records = list(map(add, names, tails))
        self._hashes.extend(map(xxhash.xxh3_64_intdigest, names, repeat(self._seed)))
        ends = list(accumulate(map(len, records), initial=self._blob_octets))
        if ends[-1] > image.BLOB_OCTETS_MAX:
            raise TooManyRules("the names fill over 4 GB")
        self._blob_octets = ends.pop()
        self._offsets.extend(ends)
        self._pieces.append(b"".join(records))
        if self._classes[class_id].effect in (Effect.PROTECT, Effect.ALLOW):
            for name in names:
                self._note_exception(class_id, name)
        if not is_deep:
            for name in names:
                if len(name) <= 65 and not (name[0] and name[name[0] + 1]):
                    self._flags |= image.FLAG_TOP_LEVEL_OWNER if name[0] else image.FLAG_ROOT_OWNER

    def add_address(self, class_id: int, network: IPNetwork, line: int) -> None:
        """Add a network that answers must not point into."""
        self._addresses.append((network, class_id, line))

    def _note_exception(self, class_id: int, name: bytes) -> None:
        position = name[0] + 1
        while position < len(name):
            ancestors = self._below.setdefault(name[position:], set())
            if class_id in ancestors:
                break  # This class's exceptions have been noted from here up already.
            ancestors.add(class_id)
            position += name[position] + 1

    # Laying the table.

    def lay(self) -> None:
        """Fill the slots, then add what names share and the markers of exceptions below them.

        Nothing can be added afterwards; `duplicates` is known then.
        """
        names_max = len(self._hashes) + len(self._below)
        self._homes = max(1, SLOTS_PER_NAME * names_max)
        self._tags = bytearray(self._homes + 1)
        self._places = array("I", bytes(4 * (self._homes + 1)))
        self._blob = bytearray(b"".join(self._pieces))
        self._pieces.clear()
        self._insert(self._hashes, self._offsets)
        self._hashes = array("Q")
        self._offsets = array("I")
        self._mark_exceptions()
        for offset, refs in self._more.items():
            self._move(offset, refs)

    def _insert(self, hashes: Sequence[int], offsets: Sequence[int]) -> None:
        tags = self._tags
        places = self._places
        homes = self._homes
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
        if self._tags[-1]:
            self._tags.append(0)
            self._places.append(0)

    def _name_at(self, offset: int) -> bytes:
        blob = self._blob
        end = offset
        while blob[end]:
            end += blob[end] + 1
        return bytes(blob[offset : end + 1])

    def _is_same_name(self, first: int, second: int) -> bool:
        name = self._name_at(first)
        return self._blob[second : second + len(name)] == name

    def _merge(self, first: int, second: int) -> None:
        """One more reference for the name at `first`, unless its class has it already."""
        _, class_id, line = SINGLE_REF.unpack_from(self._blob, second + len(self._name_at(second)))
        self._add_ref(first, class_id, line)

    def _add_ref(self, offset: int, class_id: int, line: int) -> None:
        end = offset + len(self._name_at(offset))
        _, *own = SINGLE_REF.unpack_from(self._blob, end)
        more = self._more.get(offset, [])
        if class_id == own[0] or any(class_id == other for other, _ in more):
            self.duplicates[class_id] = self.duplicates.get(class_id, 0) + 1
            return
        if not more:
            more = self._more[offset] = []
        more.append((class_id, line))

    def _mark_exceptions(self) -> None:
        """Say at each covered ancestor of an exception that one stands below it.

        Only where a rule at or above blocks in the exception's tier or a later one: elsewhere the
        mark would change nothing, and would cost every question under `com` a look at it.
        """
        markers: dict[int, int] = {}
        for name, class_ids in self._below.items():
            weakest = self._weakest_block_over(name)
            for class_id in sorted(class_ids):
                origin = self._classes[class_id]
                if origin.tier > weakest:
                    continue
                marker = markers.get(class_id)
                if marker is None:
                    marker = markers[class_id] = self.class_of(
                        origin.rule, origin.form, Effect.MARKER, origin.file
                    )
                self._add_late(name, marker)
        self._below = {}

    def _weakest_block_over(self, name: bytes) -> int:
        """The highest tier that blocks at or above `name`; -1: none does."""
        weakest = -1
        position = 0
        while position < len(name):
            slot = self._slot_of(name[position:])
            if self._tags[slot]:
                for class_id, _ in self._refs_of(self._places[slot]):
                    origin = self._classes[class_id]
                    if origin.effect is Effect.BLOCK:
                        weakest = max(weakest, origin.tier)
            position += name[position] + 1
        return weakest

    def _refs_of(self, offset: int) -> list[tuple[int, int]]:
        _, class_id, line = SINGLE_REF.unpack_from(self._blob, offset + len(self._name_at(offset)))
        return [(class_id, line), *self._more.get(offset, [])]

    def _slot_of(self, name: bytes) -> int:
        """Where `name` stands, or the free slot where it would."""
        digest = xxhash.xxh3_64_intdigest(name, self._seed)
        slot = digest % self._homes
        tag = digest >> 56 or 1
        while found := self._tags[slot]:
            place = self._places[slot]
            if found == tag and self._blob[place : place + len(name)] == name:
                break
            slot += 1
        return slot

    def _add_late(self, name: bytes, class_id: int) -> None:
        slot = self._slot_of(name)
        if self._tags[slot]:
            self._add_ref(self._places[slot], class_id, 0)
            return
        self._tags[slot] = xxhash.xxh3_64_intdigest(name, self._seed) >> 56 or 1
        self._places[slot] = len(self._blob)
        self._keep_last_free()
        self._blob += name + SINGLE_REF.pack(1, class_id, 0)

    def _move(self, offset: int, more: list[tuple[int, int]]) -> None:
        """Write the whole record of a name with several references; its first one is left behind."""
        refs = sorted(self._refs_of(offset), key=self._preference)
        name = self._name_at(offset)
        if len(refs) > image.REFS_PER_NAME_MAX:
            raise TooManyRules(f"over {image.REFS_PER_NAME_MAX} rules for one name")
        self._places[self._slot_of(name)] = len(self._blob)
        self._blob += name + bytes([len(refs)]) + b"".join(image.REF.pack(*ref) for ref in refs)

    def _preference(self, ref: tuple[int, int]) -> tuple[int, int, int, int, int, int]:
        origin = self._classes[ref[0]]
        form = image.FORMS.index(origin.form)
        return (origin.tier, origin.effect, form, origin.file_index, ref[1], ref[0])

    # Writing the file.

    def write(self, path: Path, meta: dict[str, Any]) -> None:
        """Lay the image and put it at `path`: whole and on disk, or not at all.

        Raises `OSError` (no space, no permission), `TooManyRules`, `ImageUnusable` (what was
        written does not read back).
        """
        if not self._homes:
            self.lay()
        if self._blob_octets > image.BLOB_OCTETS_MAX or len(self._blob) > image.BLOB_OCTETS_MAX:
            raise TooManyRules("the names fill over 4 GB")
        octets = self._sections(meta)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                for piece in octets:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            # Read back before the name exists: who finds the name finds a whole image.
            image.Image(temporary).verify()
            temporary.chmod(0o444)
            temporary.replace(path)
        except (OSError, ImageUnusable):
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_directory(path.parent)

    def _sections(self, meta: dict[str, Any]) -> list[bytes | bytearray | memoryview]:
        strings = bytearray()
        rules = b"".join(self._pack_rule(rule, strings) for rule in self._rules)
        ranks = [(origin.tier, origin.effect) for origin in self._classes]
        intervals, refs = pack_intervals(self._addresses, ranks)
        people = [
            {
                "kind": rule.kind,
                "label": rule.label,
                "name": rule.name,
                "category": rule.category,
                "orders": list(rule.orders),
            }
            for rule in self._rules
        ]
        words = json.dumps({**meta, "rules": people, "files": list(self._files)}, ensure_ascii=False)
        sections: dict[Section, bytes | bytearray | memoryview] = {
            Section.CLASSES: b"".join(map(self._pack_class, self._classes)),
            Section.RULES: rules,
            Section.INTERVALS: intervals,
            Section.REFS: refs,
            Section.STRINGS: bytes(strings),
            Section.META: words.encode("utf-8", "replace"),
            Section.TAGS: self._tags,
            Section.PLACES: memoryview(self._places).cast("B"),
            Section.BLOB: self._blob,
        }
        position = image.HEADER_OCTETS
        directory: list[int] = []
        pieces: list[bytes | bytearray | memoryview] = []
        for section in Section:
            padding = -position % 64
            directory += [position + padding, len(sections[section])]
            pieces += [b"\0" * padding, sections[section]]
            position += padding + len(sections[section])
        fields = (image.MAGIC, image.FORMAT_VERSION, self._flags, position, self._seed)
        header = image.HEADER.pack(*fields, *directory, self._homes).ljust(image.CHECKSUM_OFFSET, b"\0")
        digest = xxhash.xxh3_128(header)
        for piece in pieces:
            digest.update(piece)
        return [header + digest.digest(), *pieces]

    def _pack_class(self, origin: RuleClass) -> bytes:
        return image.CLASS.pack(
            self._rule_ids[id(origin.rule)],
            image.FORMS.index(origin.form),
            origin.effect,
            origin.tier,
            origin.file_index,
        )

    @staticmethod
    def _pack_rule(rule: PolicyRule, strings: bytearray) -> bytes:
        text = rule.ede_text.encode()
        offset = len(strings)
        local_data = image.pack_local_data(rule.local_data)
        strings += text + local_data
        return image.RULE.pack(
            image.ACTIONS.index(rule.action),
            image.MODES.index(rule.mode),
            rule.ede,
            rule.ttl_s,
            rule.sinkhole_ipv4,
            offset,
            rule.sinkhole_ipv6,
            -math.inf if rule.starts_at is None else rule.starts_at,
            math.inf if rule.ends_at is None else rule.ends_at,
            len(text),
            offset + len(text),
            len(local_data),
        )


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


def pack_intervals(
    addresses: Sequence[tuple[IPNetwork, int, int]], ranks: Sequence[tuple[int, int]]
) -> tuple[bytes, bytes]:
    """Networks that may nest -> disjoint intervals, each with its networks in the order of preference.

    `ranks`: tier and effect of each class.
    """
    spans: list[tuple[int, int, tuple[int, int, int, int], bytes]] = []
    for network, class_id, line in addresses:
        first = int.from_bytes(image.mapped_address(network.network_address.packed))
        packed = image.ADDRESS_REF.pack(
            class_id, network.prefixlen, network.version, line, first.to_bytes(16)
        )
        tier, effect = ranks[class_id]
        spans.append((first, network.num_addresses, (tier, network.num_addresses, effect, line), packed))
    edges = sorted({edge for first, size, _, _ in spans for edge in (first, first + size) if edge < 1 << 128})
    opening: dict[int, list[int]] = {}
    closing: dict[int, list[int]] = {}
    for number, (first, size, _, _) in enumerate(spans):
        opening.setdefault(first, []).append(number)
        closing.setdefault(first + size, []).append(number)
    intervals = bytearray()
    refs = bytearray()
    inside: set[int] = set()
    for edge in edges:
        inside.difference_update(closing.get(edge, ()))
        inside.update(opening.get(edge, ()))
        ranked = sorted(inside, key=lambda number: spans[number][2])
        intervals += image.INTERVAL.pack(edge.to_bytes(16), len(refs) // image.ADDRESS_REF.size, len(ranked))
        for number in ranked:
            refs += spans[number][3]
    return bytes(intervals), bytes(refs)


def sync_directory(directory: Path) -> None:
    """Make a rename in `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
