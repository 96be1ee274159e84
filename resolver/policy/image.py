"""The policy image: one immutable file that holds a whole compiled blocklist.

Knows: where each section stands, how a record is spelt.  Does not know: YAML, which rule wins, time.
It is written once under a temporary name, flushed, renamed and never changed again; readers map it.

Layout, little-endian throughout, version 5.  The header is 256 octets:

    0    8   magic `XRPOLICY`
    8    4   format version
    12   4   flags: bit 0, some owner is a top-level domain; bit 1, some owner is the root
    16   8   octets in the file
    24   8   seed of the hash
    32   144 nine sections, each (offset, octets), 64 bits each, in the order of `Section`
    176  8   homes: how many slots names are hashed to
    240  16  checksum: XXH3-128 (canonical, big-endian) of octets 0..239, then 256..end

CLASSES, 16 octets each.  A rule class is everything that rules share: one exchange (or list) has one
class per form, effect and audience.
    0 rule u16 (index into RULES) · 2 form u8 · 3 effect u8 · 4 tier u8 · 5 zero · 6 file u16 (index into
    META.files, and the order of files) · 8 audience u64: bit g says that it is for the clients of group g
    (all bits: for everybody).  For any other group it is as if it were not there.  Group 0 is that of all
    clients that nothing puts into another one.
RULES, 72 octets each.  What a source is at different times are records one after the other, in the order of
    their dates, which do not overlap; its classes name the first.
    0 action u8 · 1 mode u8 · 2 EDE code u16 · 4 TTL s u32 · 8 sinkhole IPv4 · 12 EDE text offset into
    STRINGS u32 · 16 sinkhole IPv6 · 32 from, Unix seconds f64, -inf: always · 40 until f64, +inf: never ·
    48 EDE text octets u32 · 52 local data offset into STRINGS u32 · 56 local data octets u32 ·
    60 how many further records of the same source follow u16 · 62 octets of its member `c` u16 ·
    64 that member's offset into STRINGS u32 · 68 octets of its member `j`, which stands behind it, u16 ·
    70 zero
INTERVALS, 24 octets each, sorted: 0 first address (16 octets in network order, IPv4 as ::ffff:a.b.c.d) ·
    16 first of its REFS u32 · 20 count u32.  An interval reaches to the next one's start.
REFS, 32 octets each, in the order of preference within an interval (lower tier, smaller network, allow
    before block): 0 class u16 · 2 prefix length u8
    (as written: 0-32 or 0-128) · 3 family u8 (4, 6) · 4 line u32 · 8 zero · 16 network (as in INTERVALS).
STRINGS: UTF-8 texts that answers carry (those of structured errors as members of a JSON object, escaped), and
    local data: one item each, type u16, octets u16, then RDATA (A, AAAA, or one CNAME, uncompressed, in lower
    case).
META: JSON for people (ids, names, orders, files, counts); no decision needs it.
TAGS, one octet a slot, and PLACES, one BLOB offset (u32) a slot: open addressing with linear probing.
    For h = XXH3-64(wire-form lower-case suffix with its root octet, seed), probing starts at slot
    h mod homes and goes upwards, never around: a few slots follow the homes, and the last one is free.
    Tag 0: the slot is free, and the name is not there.  Otherwise the tag is h's highest octet (1 for 0).
    A tag that agrees proves nothing: compare the name in BLOB.  Names are unique.
    (Tags apart from places: a look-up in vain, which is nearly every one, touches one small array.)
BLOB: records at arbitrary offsets: the wire-form name with its root octet, then count u8, then `count`
    references of 6 octets (class u16, line u32), in the order of preference within a tier.
    A reference whose class has effect MARKER is no rule: it says that an exception of its tier
    and rule stands somewhere below this name (so NXDOMAIN would lie; RFC 8020).
"""

from __future__ import annotations

import enum
import json
import math
import mmap
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from resolver.policy.verdict import (
    LocalData,
    Mode,
    PolicyAction,
    PolicyRule,
    RuleForm,
    joined_phases,
)
from resolver.wire.numbers import Qtype

MAGIC = b"XRPOLICY"
FORMAT_VERSION = 5
HEADER_OCTETS = 256
CHECKSUM_OFFSET = 240
FLAG_TOP_LEVEL_OWNER = 1
"""Some rule is owned by a top-level domain; elsewhere look-ups need not try that suffix."""
FLAG_ROOT_OWNER = 2
"""Some rule is owned by the root."""
REFS_PER_NAME_MAX = 255
"""A record counts its references in one octet."""
CLASSES_MAX = 65_535
"""A reference names its class in 16 bits."""
RULES_MAX = 65_536
"""A class names its rule in 16 bits."""
GROUPS_MAX = 64
"""An audience has one bit for each group."""
EVERYBODY = 0
"""The group of all clients that nothing puts into another one."""
AUDIENCE_ALL = (1 << GROUPS_MAX) - 1
"""The audience of what is for everybody."""
META_VERSIONS = (2, 3, 4, 5)
"""Formats whose header and META stand where ours do: what they say to people can be read."""
BLOB_OCTETS_MAX = 0xFFFFFFFF
"""A place is an offset of 32 bits: about 170,000,000 list names."""


class ImageUnusable(Exception):
    """The file is no image this version can serve: the text says why."""


class Section(enum.IntEnum):
    """Sections in the order of the header's directory."""

    CLASSES = 0
    RULES = 1
    INTERVALS = 2
    REFS = 3
    STRINGS = 4
    META = 5
    TAGS = 6
    PLACES = 7
    BLOB = 8


class Effect(enum.IntEnum):
    """What a rule class does with a name."""

    PROTECT = 0
    ALLOW = 1
    BLOCK = 2
    MARKER = 3


class Tier(enum.IntEnum):
    """A lower tier beats a higher one, whatever the owners' lengths."""

    PROTECTED = 0
    EXCHANGES = 1
    LISTS = 2


FORMS: tuple[RuleForm | None, ...] = (RuleForm.EXACT, RuleForm.BELOW, RuleForm.SUBTREE, None)
"""The code of a form is its place here, which is also the order of preference; None: an address."""
ACTIONS = (
    PolicyAction.PASSTHRU,
    PolicyAction.NXDOMAIN,
    PolicyAction.NODATA,
    PolicyAction.SINKHOLE,
    PolicyAction.REFUSED,
    PolicyAction.DROP,
    PolicyAction.TCP_ONLY,
    PolicyAction.LOCAL_DATA,
)
"""The code of an action is its place here."""
MODES = (Mode.ENFORCE, Mode.SHADOW, Mode.DISABLED)
"""The code of a mode is its place here."""

HEADER = struct.Struct("<8sIIQQ18QQ")
CLASS = struct.Struct("<HBBBxHQ")
RULE = struct.Struct("<BBHI4sI16sddIIIHHIHxx")
FOLLOWING = 12
"""The place of the count of further records among the fields of `RULE`."""
LOCAL_ITEM = struct.Struct("<HH")
INTERVAL = struct.Struct("<16sII")
ADDRESS_REF = struct.Struct("<HBBI8x16s")
REF = struct.Struct("<HI")


@dataclass(slots=True, frozen=True)
class RuleClass:
    """What the rules of one form, effect and audience of one source have in common."""

    rule: PolicyRule
    form: RuleForm | None
    """None: an address rule."""
    effect: Effect
    tier: Tier
    file: str
    file_index: int
    audience: int = AUDIENCE_ALL
    """Bit g: it is for the clients of group g."""

    def is_for(self, group: int) -> bool:
        """Whether it is for the clients of this group."""
        return bool(self.audience >> group & 1)


def checksum(octets: memoryview) -> bytes:
    """The checksum that belongs at `CHECKSUM_OFFSET` of an image of these octets."""
    digest = new_checksum(octets)
    digest.update(octets[HEADER_OCTETS:])
    return digest.digest()


def new_checksum(header: memoryview) -> xxhash.xxh3_128:
    """Begin the checksum of an image with this header; what stands behind the header is to be added."""
    return xxhash.xxh3_128(header[:CHECKSUM_OFFSET])


def mapped_address(packed: bytes) -> bytes:
    """4 or 16 octets of address as the 16 that INTERVALS compares."""
    return packed if len(packed) == 16 else b"\0\0\0\0\0\0\0\0\0\0\xff\xff" + packed


def pack_local_data(local_data: LocalData | None) -> bytes:
    """Local data as STRINGS has it."""
    if local_data is None:
        return b""
    items = [(Qtype.A if len(rdata) == 4 else Qtype.AAAA, rdata) for rdata in local_data.addresses]
    if local_data.redirect:
        items.append((Qtype.CNAME, local_data.redirect))
    return b"".join(LOCAL_ITEM.pack(rtype, len(rdata)) + rdata for rtype, rdata in items)


def unpack_local_data(octets: bytes) -> LocalData | None:
    """What `pack_local_data` packed; None for nothing."""
    addresses = []
    redirect = b""
    position = 0
    while position < len(octets):
        rtype, length = LOCAL_ITEM.unpack_from(octets, position)
        position += LOCAL_ITEM.size
        rdata = octets[position : position + length]
        position += length
        if rtype == Qtype.CNAME:
            redirect = rdata
        else:
            addresses.append(rdata)
    return LocalData(tuple(addresses), redirect) if octets else None


class Image:
    """A mapped image: its sections, and the few objects that every table over it shares.

    Opening checks the header and the sizes, which catches truncation; `verify` reads everything.
    """

    __slots__ = (
        "blob",
        "blob_offset",
        "classes",
        "has_root_owner",
        "has_top_level_owner",
        "homes",
        "interval_starts",
        "intervals",
        "meta",
        "octets",
        "path",
        "places",
        "refs",
        "rules",
        "seed",
        "sources",
        "tags_offset",
    )

    def __init__(self, path: Path) -> None:
        """Map `path`.  Raises `ImageUnusable`, also for a file that cannot be read."""
        if sys.byteorder != "little":
            raise ImageUnusable("images are little-endian, this machine is not")
        self.path = path
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self.octets = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            raise ImageUnusable(f"{path}: cannot map it: {error}") from error
        try:
            self._read()
        except (struct.error, ValueError, KeyError, IndexError, TypeError) as error:
            raise ImageUnusable(f"{path}: damaged: {error}") from error

    def _read(self) -> None:
        if len(self.octets) < HEADER_OCTETS:
            raise ImageUnusable(f"{self.path}: {len(self.octets)} octets are too few for a header")
        magic, version, flags, octets, self.seed, *directory, homes = HEADER.unpack_from(self.octets)
        if magic != MAGIC:
            raise ImageUnusable(f"{self.path}: no policy image")
        if version != FORMAT_VERSION:
            raise ImageUnusable(f"{self.path}: format version {version}, this program reads {FORMAT_VERSION}")
        if octets != len(self.octets):
            raise ImageUnusable(f"{self.path}: {len(self.octets)} octets, its header says {octets}")
        whole = memoryview(self.octets)
        sections = []
        for offset, length in zip(directory[::2], directory[1::2], strict=True):
            if offset < HEADER_OCTETS or offset + length > octets:
                raise ImageUnusable(f"{self.path}: a section lies outside the file")
            sections.append(whole[offset : offset + length])
        tags = sections[Section.TAGS]
        if not 0 < homes < len(tags) or len(sections[Section.PLACES]) != 4 * len(tags) or tags[-1]:
            raise ImageUnusable(f"{self.path}: {len(tags)} slots do not fit {homes} homes")
        self.has_top_level_owner = bool(flags & FLAG_TOP_LEVEL_OWNER)
        self.has_root_owner = bool(flags & FLAG_ROOT_OWNER)
        self.homes: int = homes
        self.tags_offset: int = directory[2 * Section.TAGS]
        self.places = sections[Section.PLACES].cast("I")
        self.blob = sections[Section.BLOB]
        self.blob_offset: int = directory[2 * Section.BLOB]
        self.intervals = sections[Section.INTERVALS]
        self.interval_starts: list[bytes] = [start for start, _, _ in INTERVAL.iter_unpack(self.intervals)]
        self.refs = sections[Section.REFS]
        self.meta: dict[str, Any] = json.loads(bytes(sections[Section.META]))
        self.rules, self.sources = self._read_rules(sections[Section.RULES], sections[Section.STRINGS])
        self.classes = self._read_classes(sections[Section.CLASSES])

    def _read_rules(
        self, section: memoryview, strings: memoryview
    ) -> tuple[tuple[PolicyRule, ...], dict[int, PolicyRule]]:
        """Every record as a rule, and the whole sources by the place of their first record."""
        rules: list[PolicyRule] = []
        sources: dict[int, PolicyRule] = {}
        first = following = 0
        people: list[dict[str, Any]] = self.meta["rules"]
        for place, (words, fields) in enumerate(zip(people, RULE.iter_unpack(section), strict=True)):
            rules.append(_rule_of(words, fields, strings))
            more: int = fields[FOLLOWING]
            if following:
                following -= 1
                if more != following:
                    raise ValueError("records of one source that do not follow each other")
            else:
                first, following = place, more
            if not following:
                sources[first] = _source_of(rules[first:], people[first])
        if following:
            raise ValueError("records of a source are missing")
        return tuple(rules), sources

    def _read_classes(self, section: memoryview) -> tuple[RuleClass, ...]:
        files: list[str] = self.meta["files"]
        sources = self.sources
        return tuple(
            RuleClass(sources[rule], FORMS[form], Effect(effect), Tier(tier), files[file], file, audience)
            for rule, form, effect, tier, file, audience in CLASS.iter_unpack(section)
        )

    def verify(self) -> None:
        """Read the whole file against its checksum.  Raises `ImageUnusable`.

        Costs about 0.1 ms per MB plus what the disk takes, and releases the GIL: call it in a thread.
        """
        whole = memoryview(self.octets)
        if checksum(whole) != whole[CHECKSUM_OFFSET:HEADER_OCTETS]:
            raise ImageUnusable(f"{self.path}: checksum differs: the file is damaged")

    def find(self, name: bytes) -> int:
        """The BLOB offset of the references of `name` (their count), or 0."""
        digest = xxhash.xxh3_64_intdigest(name, self.seed)
        slot = digest % self.homes
        tag = digest >> 56 or 1
        while found := self.octets[self.tags_offset + slot]:
            if found == tag:
                place = self.places[slot]
                end = place + len(name)
                if self.blob[place:end] == name:
                    return end
            slot += 1
        return 0

    def refs_at(self, offset: int) -> list[tuple[int, int]]:
        """The (class, line) references of the record whose count stands at `offset` of BLOB."""
        end = offset + 1 + 6 * self.blob[offset]
        return list(REF.iter_unpack(self.blob[offset + 1 : end]))


def _rule_of(words: dict[str, Any], fields: tuple[Any, ...], strings: memoryview) -> PolicyRule:
    action, mode, ede, ttl_s, ipv4, text_offset, ipv6, starts_at, ends_at, text_octets = fields[:10]
    local_offset, local_octets, _, contacts_octets, told_at, reason_octets = fields[10:]
    reason_at = told_at + contacts_octets
    concealed = words.get("concealed")
    return PolicyRule(
        kind=words["kind"],
        label=words["label"],
        name=words["name"],
        action=ACTIONS[action],
        mode=MODES[mode],
        ttl_s=ttl_s,
        sinkhole_ipv4=ipv4,
        sinkhole_ipv6=ipv6,
        ede=ede,
        ede_text=str(strings[text_offset : text_offset + text_octets], "utf-8"),
        contacts_json=str(strings[told_at:reason_at], "utf-8"),
        reason_json=str(strings[reason_at : reason_at + reason_octets], "utf-8"),
        category=words["category"],
        orders=tuple(words["orders"]),
        starts_at=None if starts_at == -math.inf else starts_at,
        ends_at=None if ends_at == math.inf else ends_at,
        local_data=unpack_local_data(bytes(strings[local_offset : local_offset + local_octets])),
        reason=words.get("reason", ""),
        ticket=words.get("ticket", ""),
        is_confidential=concealed is not None,
        concealed=None if concealed is None else (concealed["label"], concealed["name"]),
    )


def _source_of(phases: list[PolicyRule], words: dict[str, Any]) -> PolicyRule:
    """The source of these records; with one alone that rule itself."""
    if len(phases) == 1:
        return phases[0]
    return joined_phases(phases, tuple(words.get("cited", words["orders"])))


def read_meta(path: Path) -> dict[str, Any]:
    """What an image says to people; also one of an older format, by which nothing can be judged any more.

    Raises `ImageUnusable`.
    """
    try:
        with path.open("rb") as file:
            magic, version, _, octets, _, *directory, _ = HEADER.unpack(file.read(HEADER.size))
            offset, length = directory[2 * Section.META : 2 * Section.META + 2]
            is_whole = offset + length <= octets == os.fstat(file.fileno()).st_size
            if magic != MAGIC or version not in META_VERSIONS or not is_whole:
                raise ImageUnusable(f"{path}: no policy image that can be read")
            file.seek(offset)
            meta: dict[str, Any] = json.loads(file.read(length))
    except (OSError, struct.error, ValueError) as error:
        raise ImageUnusable(f"{path}: cannot be read: {error}") from error
    return meta
