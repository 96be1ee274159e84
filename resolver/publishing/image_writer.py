"""Builds a policy image: gathers rules, has the table of names laid, writes the file whole or not at all.

Knows: the layout in `image`.  Does not know: YAML, list formats, which rule wins (but the order of
preference within one name, so that readers may stop at the first that applies).
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from resolver.durable import replacing
from resolver.policy import image
from resolver.policy.image import AUDIENCE_ALL, Effect, RuleClass, Section, Tier
from resolver.policy.verdict import CONFIDENTIAL, PolicyRule, RuleForm
from resolver.portions import write_all
from resolver.publishing.name_table import Rank, name_table

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class TooManyRules(ValueError):
    """A limit of the format was met: the text says which."""


class _Record(NamedTuple):
    """One record of RULES."""

    rule: PolicyRule
    """The phase, or the whole source where it has none."""
    source: PolicyRule
    following: int
    """How many further phases of the source come behind it."""


class ImageWriter:
    """Takes rules in any order, then is laid and written."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._classes: list[RuleClass] = []
        self._class_ids: dict[tuple[int, RuleForm | None, Effect, int, int], int] = {}
        self._rules: list[_Record] = []
        self._rule_ids: dict[int, int] = {}
        self._files: dict[str, int] = {}
        self._names = name_table(seed)
        self._addresses: list[tuple[IPNetwork, int, int]] = []

    @property
    def duplicates(self) -> Mapping[int, int]:
        """Names dropped because their class has them already: {class id: count}; known when it is laid."""
        return self._names.duplicates

    def class_of(
        self,
        rule: PolicyRule,
        form: RuleForm | None,
        effect: Effect,
        file: str,
        audience: int = AUDIENCE_ALL,
    ) -> int:
        """The id of the class of these rules, made at the first call.  Files rank by first mention.

        `audience`: a bit for each group of clients that it is for.
        """
        file_index = self._files.setdefault(file, len(self._files))
        key = (id(rule), form, effect, file_index, audience)
        class_id = self._class_ids.get(key)
        if class_id is None:
            class_id = self._class_ids[key] = len(self._classes)
            if class_id >= image.CLASSES_MAX:
                raise TooManyRules(f"over {image.CLASSES_MAX} kinds of rules")
            tier = {"protected": Tier.PROTECTED, "list": Tier.LISTS}.get(rule.kind, Tier.EXCHANGES)
            self._classes.append(RuleClass(rule, form, effect, tier, file, file_index, audience))
            self.rule_id(rule)
        return class_id

    def rule_id(self, rule: PolicyRule) -> int:
        """The place of the rule's first record among RULES, made at the first mention."""
        if id(rule) not in self._rule_ids:
            self._rule_ids[id(rule)] = len(self._rules)
            phases = rule.phases or (rule,)
            following = range(len(phases) - 1, -1, -1)
            self._rules += [_Record(phase, rule, more) for phase, more in zip(phases, following, strict=True)]
            if len(self._rules) > image.RULES_MAX:
                raise TooManyRules(f"over {image.RULES_MAX} rules, each counted once for every phase it has")
        return self._rule_ids[id(rule)]

    def add_names(
        self, class_id: int, names: Sequence[bytes], lines: Iterable[int], *, is_deep: bool = False
    ) -> None:
        """Add wire-form lower-case names; `lines` gives each one's line.

        `is_deep`: the caller knows that each has two labels or more.
        """
        if not names:
            return
        is_exception = self._classes[class_id].effect in (Effect.PROTECT, Effect.ALLOW)
        with _limits():
            self._names.add_names(class_id, names, lines, is_exception=is_exception, is_deep=is_deep)

    def add_address(self, class_id: int, network: IPNetwork, line: int) -> None:
        """Add a network that answers must not point into."""
        self._addresses.append((network, class_id, line))

    def lay(self) -> None:
        """Lay the table of names.  Nothing can be added afterwards; `duplicates` is known then."""
        with _limits():
            self._names.lay([_rank(origin) for origin in self._classes], self._marker_of)

    def _marker_of(self, class_id: int) -> int:
        origin = self._classes[class_id]
        # For whom there is no exception, there is no mark of it either.
        return self.class_of(origin.rule, origin.form, Effect.MARKER, origin.file, origin.audience)

    # Writing the file.

    def write(self, path: Path, meta: dict[str, Any]) -> None:
        """Lay the image and put it at `path`: whole and on disk, or not at all.

        Raises `OSError` (no space, no permission), `TooManyRules`, `ImageUnusable` (what was
        written does not read back).
        """
        if not self._names.homes:
            self.lay()
        octets = self._sections(meta)
        with replacing(path, mode=0o444) as new:
            write_all(new.file.fileno(), octets)
            # Read back before the name exists: who finds the name finds a whole image.
            image.Image(new.path).verify()

    def _sections(self, meta: dict[str, Any]) -> list[bytes | bytearray | memoryview]:
        strings = bytearray()
        rules = b"".join(_pack_rule(record, strings) for record in self._rules)
        ranks = [(origin.tier, origin.effect) for origin in self._classes]
        intervals, refs = pack_intervals(self._addresses, ranks)
        people = [_words_of(record) for record in self._rules]
        words = json.dumps({**meta, "rules": people, "files": list(self._files)}, ensure_ascii=False)
        sections: dict[Section, bytes | bytearray | memoryview] = {
            Section.CLASSES: b"".join(map(self._pack_class, self._classes)),
            Section.RULES: rules,
            Section.INTERVALS: intervals,
            Section.REFS: refs,
            Section.STRINGS: bytes(strings),
            Section.META: words.encode("utf-8", "replace"),
            Section.TAGS: self._names.tags,
            Section.PLACES: memoryview(self._names.places).cast("B"),
            Section.BLOB: self._names.blob,
        }
        position = image.HEADER_OCTETS
        directory: list[int] = []
        pieces: list[bytes | bytearray | memoryview] = []
        for section in Section:
            padding = -position % 64
            directory += [position + padding, len(sections[section])]
            pieces += [b"\0" * padding, sections[section]]
            position += padding + len(sections[section])
        fields = (image.MAGIC, image.FORMAT_VERSION, self._names.flags, position, self._seed)
        header = image.HEADER.pack(*fields, *directory, self._names.homes).ljust(image.CHECKSUM_OFFSET, b"\0")
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
            origin.audience,
        )


def _pack_rule(record: _Record, strings: bytearray) -> bytes:
    rule = record.rule
    text = rule.ede_text.encode()
    offset = len(strings)
    local_data = image.pack_local_data(rule.local_data)
    contacts, reason = rule.contacts_json.encode(), rule.reason_json.encode()
    strings += text + local_data + contacts + reason
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
        record.following,
        len(contacts),
        offset + len(text) + len(local_data),
        len(reason),
    )


def _words_of(record: _Record) -> dict[str, Any]:
    """What META says of a record.  Its label is that of metrics and logs, so it conceals."""
    rule = record.rule
    label, name = (CONFIDENTIAL,) * 2 if rule.is_confidential else (rule.label, rule.name)
    words: dict[str, Any] = {
        "kind": rule.kind,
        "label": label,
        "name": name,
        "category": rule.category,
        "orders": list(rule.orders),
    }
    if rule.is_confidential:
        words["concealed"] = {"label": rule.label, "name": rule.name}
    if record.source.orders != rule.orders:
        words["cited"] = list(record.source.orders)
    return words | {key: text for key, text in (("reason", rule.reason), ("ticket", rule.ticket)) if text}


def _rank(origin: RuleClass) -> Rank:
    return Rank(origin.tier, origin.effect, image.FORMS.index(origin.form), origin.file_index)


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """Say of a limit that the table met what it is to us."""
    try:
        yield
    except OverflowError as error:
        raise TooManyRules(str(error)) from None


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
