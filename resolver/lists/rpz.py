"""Response policy zones as files (`rpz`): names as written, actions by CNAME, networks in answers.

Knows: qname and response-IP triggers and every action.  Does not know: triggers on clients and name
servers (`rpz-client-ip`, `rpz-nsdname`, `rpz-nsip`), which are skipped and counted.
Theory: nearly every line is `x CNAME .` or `*.x CNAME .`, and goes the fast way; of the two in a row
one rule for x and all below it is made, which says the same and takes half the room.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial

from resolver.blocklist.entries import address_objection
from resolver.lists.native_lists import NativeLists, native_lists
from resolver.lists.reading import (
    LINE_OCTETS_MAX,
    PLAIN,
    TEXT_OCTETS_MAX,
    Batch,
    ListFormat,
    Network,
    NetworkRule,
    Notes,
    Said,
    Skip,
    Skipped,
    checked_name,
    plain_text,
    wire_forms,
)
from resolver.lists.zone_text import ZoneRecord, ZoneText
from resolver.policy.verdict import LocalData, PolicyAction, RuleForm
from resolver.problems import show
from resolver.wire.names import name_from_text, name_to_text

ANSWERS_MAX = 4096
"""Different answers (addresses, CNAMEs) that one list may give: each is kept like an exchange's rule."""

ADDRESSED_MAX = 5_000_000
"""Triggers of one list that may be answered with addresses: 300 octets each until the list is read."""

_BEFORE_TYPE = rb"[ \t]+(?:\d+[ \t]+)?(?:in[ \t]+)?"
_FAST = re.compile(
    rb"^(\*\.)?("
    + PLAIN
    + rb")"
    + _BEFORE_TYPE
    + rb"(?:cname[ \t]+(\*?\.|"
    + PLAIN
    + rb"\.|rpz-[a-z-]+\.)|a[ \t]+(\d+\.\d+\.\d+\.\d+))[ \t]*(?:;[^\n]*)?$",
    re.MULTILINE,
)
"""A relative owner and a CNAME, or an IPv4 address."""
_PAIRS = re.compile(
    rb"^(" + PLAIN + rb")" + _BEFORE_TYPE + rb"cname[ \t]+\.\n\*\.\1" + _BEFORE_TYPE + rb"cname[ \t]+\.$",
    re.MULTILINE,
)
"""`x CNAME .` and `*.x CNAME .`, of which most zones are made from end to end."""
_PLAIN_TRIGGER = re.compile(rb"(?:\*\.)?" + PLAIN)
_ACTIONS = {
    ".": PolicyAction.NXDOMAIN,
    "*.": PolicyAction.NODATA,
    "rpz-passthru.": PolicyAction.PASSTHRU,
    "rpz-drop.": PolicyAction.DROP,
    "rpz-tcp-only.": PolicyAction.TCP_ONLY,
}
_TRIGGERS: dict[str, Skip] = {
    "rpz-client-ip": "rpz-client-ip triggers",
    "rpz-nsdname": "rpz-nsdname triggers",
    "rpz-nsip": "rpz-nsip triggers",
}
_SUBTREE = Said(RuleForm.SUBTREE, "block", PolicyAction.NXDOMAIN)
_APEX_TYPES = frozenset(("SOA", "NS"))

Answer = tuple[PolicyAction, LocalData | None]
Key = bytes | tuple[bytes, RuleForm] | Network
"""A plain trigger as text, any other as wire form, or a network."""


class Rpz(ListFormat):
    """Records of a zone; what a name's address records say together is known at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._zone = ZoneText()
        self._apex = ""
        """Absolute, lower case; empty: not known yet."""
        self._answers: dict[str, Answer] = {}
        """By CNAME target, absolute."""
        self._data: set[LocalData] = set()
        self._addresses: dict[Key, tuple[int, bytes]] = {}
        """The line and the addresses of each trigger: as `_packed` has them, one after the other."""

    def read_chunk(self, chunk: bytes, first_line: int, notes: Notes) -> Iterator[Batch]:
        """The names of whole lines."""
        buckets = _Buckets(first_line)
        is_plain_here = self._is_plain_here()
        native = native_lists() if is_plain_here else None
        if native is not None:
            suffix = f".{self._apex}".encode() if self._apex else b""
            find = partial(_find_natively, native, suffix)
            if (batch := self._pairs(chunk, self._prepared, find, buckets)) is not None:
                yield batch
                yield from self._batches(buckets)
                return
        text = self._prepared(chunk) if is_plain_here else plain_text(chunk)
        if is_plain_here and b".rpz-" not in text:
            if (batch := self._pairs(text, bytes, _find_pairs, buckets)) is not None:
                yield batch
                yield from self._batches(buckets)
                return
            found = _FAST.findall(text)
            if len(found) == text.count(b"\n") and self._take_all(found, buckets):
                yield from self._batches(buckets)
                return
            buckets = _Buckets(first_line)
        yield from self._read_mixed(chunk, text, buckets, notes)

    def _is_plain_here(self) -> bool:
        return not self._zone.is_inside_record and self._zone.origin in ("", self._apex)

    def _prepared(self, chunk: bytes) -> bytes:
        """Whole lines as the fast way wants them, their owners without the zone's name."""
        text = plain_text(chunk)
        if self._apex:
            suffix = re.escape(f".{self._apex}".encode())
            text = re.sub(rb"(?m)^([^\s;]+)" + suffix + rb"(?=[ \t])", rb"\1", text)
        return text

    def _pairs(
        self,
        text: bytes,
        prepare: Callable[[bytes], bytes],
        find: Callable[[bytes, int, int], Sequence[bytes] | None],
        buckets: _Buckets,
    ) -> Batch | None:
        """A chunk that is pairs from end to end, but perhaps for half of one at either end.

        `find` gives the names of the pairs in between, in wire form; `prepare` makes a half plain.
        """
        lines = text.count(b"\n")
        start = text.find(b"\n") + 1 if text.startswith(b"*") else 0
        end = len(text)
        if (lines - bool(start)) % 2:
            end = text.rfind(b"\n", 0, end - 1) + 1
        pairs = (lines - bool(start)) // 2
        names = find(text, start, end) if pairs else None
        if names is None or len(names) != pairs:
            return None
        halves = [
            (index, prepare(half)) for index, half in ((0, text[:start]), (lines - 1, text[end:])) if half
        ]
        matches = [
            (index, None if b".rpz-" in half else _FAST.fullmatch(half[:-1])) for index, half in halves
        ]
        owner = f"*.{name_to_text(names[-1])}"
        taken = []
        for index, match in matches:
            if match is None or not match[3] or len(match[2]) > TEXT_OCTETS_MAX:
                return None
            taken.append((index, match[1] or b"", match[2], match[3]))
            if index:
                owner = ((match[1] or b"") + match[2]).decode()
        for half in taken:
            buckets.take(*half)
            buckets.flush()
        self._zone.owner = owner
        first = buckets.first_line + bool(start)
        return Batch(names, range(first, first + 2 * pairs, 2), _SUBTREE)

    def _take_all(self, found: list[tuple[bytes, bytes, bytes, bytes]], buckets: _Buckets) -> bool:
        if max(len(name) for _, name, _, _ in found) > TEXT_OCTETS_MAX:
            return False
        if not all(_is_ipv4(address) for address in {address for _, _, _, address in found} if address):
            return False
        if len(self._addresses) + len(found) > ADDRESSED_MAX:
            return False  # The slow way counts those that are too many.
        take = buckets.take
        for index, (star, name, target, address) in enumerate(found):
            if target:
                take(index, star, name, target)
            else:
                self._hold(star + name, buckets.first_line + index, _packed(address))
        star, name, _, _ = found[-1]
        self._zone.owner = (star + name).decode()
        return True

    def _hold(self, key: Key, line: int, packed: bytes) -> None:
        """One more address of a trigger."""
        known = self._addresses.get(key)
        if known is not None:
            self._addresses[key] = (known[0], known[1] + packed)
        elif len(self._addresses) >= ADDRESSED_MAX:
            raise Skipped("answers beyond the limit")
        else:
            self._addresses[key] = (line, packed)

    def _read_mixed(self, chunk: bytes, text: bytes, buckets: _Buckets, notes: Notes) -> Iterator[Batch]:
        slow: dict[Said, list[tuple[bytes, int]]] = {}
        written = chunk.split(b"\n")
        for index, octets in enumerate(text.split(b"\n")[:-1]):
            if not octets or octets.startswith(b";"):
                continue
            if self._is_plain_here() and len(octets) <= LINE_OCTETS_MAX and b".rpz-" not in octets:
                match = _FAST.fullmatch(octets)
                if match is not None and match[3] and len(match[2]) <= TEXT_OCTETS_MAX:
                    buckets.take(index, match[1] or b"", match[2], match[3])
                    self._zone.owner = ((match[1] or b"") + match[2]).decode()
                    continue
            line = buckets.first_line + index
            try:
                record = self._zone.read_line(written[index], line)
                if record is not None and (rule := self._read_record(record)) is not None:
                    name, said = rule
                    slow.setdefault(said, []).append((name, record.line))
            except Skipped as skipped:
                notes.skip(skipped.kind, line)
            except ValueError as error:
                notes.bad(line, str(error))
        yield from self._batches(buckets, notes)
        for said, found in slow.items():
            yield Batch([name for name, _ in found], [line for _, line in found], said)

    def _batches(self, buckets: _Buckets, notes: Notes | None = None) -> Iterator[Batch]:
        buckets.flush()
        for (form, target), (names, lines) in buckets.of.items():
            try:
                said = self._said(form, target.decode())
            except (Skipped, ValueError) as refusal:
                for line in lines if notes else ():
                    self._note(refusal, line, notes)
                continue
            yield Batch(wire_forms(names), lines, said)

    @staticmethod
    def _note(refusal: Exception, line: int, notes: Notes | None) -> None:
        if notes is None:
            return
        if isinstance(refusal, Skipped):
            notes.skip(refusal.kind, line)
        else:
            notes.bad(line, str(refusal))

    # The slow way: one record.

    def _read_record(self, record: ZoneRecord) -> tuple[bytes, Said] | None:
        """A name and what is said of it; None: kept for later, or nothing to say."""
        trigger = self._trigger(record)
        if trigger is None:
            return None
        last = trigger.rsplit(".", 1)[-1]
        if last in _TRIGGERS:
            raise Skipped(_TRIGGERS[last])
        if last == "rpz-ip":
            self._read_network(trigger, record)
            return None
        form, text = RuleForm.EXACT, trigger
        if trigger.startswith("*."):
            form, text = RuleForm.BELOW, trigger[2:]
        if record.rtype in ("A", "AAAA"):
            name = checked_name(name_from_text(text), trigger)
            plain = trigger.encode()
            self._add_address(plain if _PLAIN_TRIGGER.fullmatch(plain) else (name, form), record)
            return None
        target = self._cname(record)
        name = checked_name(name_from_text(text), trigger)
        if target == f"{trigger}.":
            target = "rpz-passthru."  # A CNAME to itself: how early zones spelt it.
        return name, self._said(form, target)

    def _trigger(self, record: ZoneRecord) -> str | None:
        """The owner without the zone's name, lower case; None for the apex."""
        owner = record.owner.lower()
        origin = self._zone.origin
        if record.rtype == "SOA" and not self._apex:
            self._apex = self._absolute(owner)
            if not origin:
                self._zone.origin = self._apex
            return None
        if not self._apex and record.rtype not in _APEX_TYPES and self._zone.first_origin != ".":
            # A zone without its SOA, as some publish it: the first $ORIGIN is then its name.
            self._apex = self._zone.first_origin
        if owner == "@" and not self._apex and not origin:
            return None
        absolute = self._absolute(owner) if owner.endswith(".") or origin or owner == "@" else f"{owner}."
        if absolute == self._apex or (record.rtype in _APEX_TYPES and not self._apex):
            return None
        if self._apex and absolute.endswith(f".{self._apex}"):
            return absolute[: -len(self._apex) - 1]
        if self._apex and owner.endswith("."):
            raise ValueError(f"{show(record.owner)} lies outside the zone {show(self._apex)}")
        return absolute[:-1]

    def _absolute(self, name: str) -> str:
        if name == "@":
            return self._zone.origin
        if name.endswith("."):
            return name
        origin = self._zone.origin
        return f"{name}.{origin}" if origin not in ("", ".") else f"{name}."

    def _cname(self, record: ZoneRecord) -> str:
        if record.rtype != "CNAME":
            raise Skipped("other record types")
        if len(record.words) != 1:
            raise ValueError(f"{show(' '.join(record.words))}: CNAME takes one name")
        return self._absolute(record.words[0].lower())

    def _add_address(self, key: Key, record: ZoneRecord) -> None:
        if len(record.words) != 1:
            raise ValueError(f"{show(' '.join(record.words))}: {record.rtype} takes one address")
        kind = ipaddress.IPv4Address if record.rtype == "A" else ipaddress.IPv6Address
        packed = kind(record.words[0]).packed
        self._hold(key, record.line, bytes([len(packed)]) + packed)

    def _read_network(self, trigger: str, record: ZoneRecord) -> None:
        network = network_from_labels(trigger.split(".")[:-1])
        if record.rtype in ("A", "AAAA"):
            self._add_address(network, record)
            return
        action, local_data = self._answer(self._cname(record))
        self._add_network(network, record.line, action, local_data)

    def _add_network(
        self, network: Network, line: int, action: PolicyAction, local_data: LocalData | None
    ) -> None:
        is_exception = action is PolicyAction.PASSTHRU
        if not is_exception and address_objection(network) is not None:
            raise Skipped("wide or private networks")
        said = Said(None, "allow") if is_exception else Said(None, "block", action, local_data)
        self.networks.append(NetworkRule(network, line, said))

    # What is answered.

    def _said(self, form: RuleForm, target: str) -> Said:
        action, local_data = self._answer(target)
        return (
            Said(form, "allow")
            if action is PolicyAction.PASSTHRU
            else Said(form, "block", action, local_data)
        )

    def _answer(self, target: str) -> Answer:
        answer = self._answers.get(target)
        if answer is None:
            action = _ACTIONS.get(target)
            if action is not None:
                answer = (action, None)
            elif target.startswith("rpz-") and target.count(".") == 1:
                raise ValueError(f"{show(target)} is not an action")
            else:
                answer = (PolicyAction.LOCAL_DATA, self._interned(LocalData((), _redirect(target))))
            self._answers[target] = answer
        return answer

    def _interned(self, local_data: LocalData) -> LocalData:
        if local_data not in self._data:
            if len(self._data) >= ANSWERS_MAX:
                raise Skipped("answers beyond the limit")
            self._data.add(local_data)
        return local_data

    def finish(self, notes: Notes) -> Iterator[Batch]:
        """The triggers whose answer is addresses."""
        if self._zone.is_inside_record:
            notes.bad(0, "the last record is left open by a (")
        found: dict[tuple[RuleForm, LocalData], tuple[list[bytes], list[int]]] = {}
        plain: dict[tuple[RuleForm, LocalData], tuple[list[bytes], list[int]]] = {}
        answers: dict[bytes, LocalData] = {}
        for key, (line, packed) in self._addresses.items():
            try:
                local_data = answers.get(packed)
                if local_data is None:
                    local_data = answers[packed] = self._interned(LocalData(_unpacked(packed)))
                if isinstance(key, bytes):
                    form, name = RuleForm.EXACT, key
                    if key.startswith(b"*."):
                        form, name = RuleForm.BELOW, key[2:]
                    bucket = plain.setdefault((form, local_data), ([], []))
                elif isinstance(key, tuple):
                    name, form = key
                    bucket = found.setdefault((form, local_data), ([], []))
                else:
                    self._add_network(key, line, PolicyAction.LOCAL_DATA, local_data)
                    continue
                bucket[0].append(name)
                bucket[1].append(line)
            except Skipped as skipped:
                notes.skip(skipped.kind, line)
        self._addresses.clear()
        for (form, local_data), (texts, lines) in plain.items():
            yield Batch(wire_forms(texts), lines, Said(form, "block", PolicyAction.LOCAL_DATA, local_data))
        for (form, local_data), (names, lines) in found.items():
            yield Batch(names, lines, Said(form, "block", PolicyAction.LOCAL_DATA, local_data))


class _Buckets:
    """Plain lines of one chunk by what they say; `x` and `*.x` in a row become one."""

    def __init__(self, first_line: int) -> None:
        self.first_line = first_line
        self.of: dict[tuple[RuleForm, bytes], tuple[list[bytes], list[int]]] = {}
        self._last: tuple[int, bytes, bytes, bytes] | None = None

    def take(self, index: int, star: bytes, name: bytes, target: bytes) -> None:
        """One line; `index` counts from the chunk's first."""
        last = self._last
        if last is not None:
            if last[2] == name and last[3] == target and last[1] != star:
                self._put(RuleForm.SUBTREE, last)
                self._last = None
                return
            self._put(RuleForm.BELOW if last[1] else RuleForm.EXACT, last)
        self._last = (index, star, name, target)

    def flush(self) -> None:
        """Put the last line too."""
        if self._last is not None:
            self._put(RuleForm.BELOW if self._last[1] else RuleForm.EXACT, self._last)
            self._last = None

    def _put(self, form: RuleForm, taken: tuple[int, bytes, bytes, bytes]) -> None:
        index, _, name, target = taken
        if target == name + b".":
            target = b"rpz-passthru."  # As in the slow way.
        bucket = self.of.get((form, target))
        if bucket is None:
            bucket = self.of[form, target] = ([], [])
        bucket[0].append(name)
        bucket[1].append(self.first_line + index)


def _find_pairs(text: bytes, start: int, end: int) -> list[bytes] | None:
    names = _PAIRS.findall(text, start, end)
    return wire_forms(names) if names and max(map(len, names)) <= TEXT_OCTETS_MAX else None


def _find_natively(
    native: NativeLists, suffix: bytes, text: bytes, start: int, end: int
) -> Sequence[bytes] | None:
    return native.read_zone_pairs(text[start:end], suffix)


@lru_cache(maxsize=ANSWERS_MAX)
def _is_ipv4(text: bytes) -> bool:
    try:
        ipaddress.IPv4Address(text.decode())
    except ValueError:
        return False
    return True


@lru_cache(maxsize=ANSWERS_MAX)
def _packed(text: bytes) -> bytes:
    """An IPv4 address behind its length."""
    return b"\x04" + ipaddress.IPv4Address(text.decode()).packed


def _unpacked(packed: bytes) -> tuple[bytes, ...]:
    """The addresses behind their lengths, each once."""
    addresses = []
    position = 0
    while position < len(packed):
        end = position + 1 + packed[position]
        addresses.append(packed[position + 1 : end])
        position = end
    return tuple(dict.fromkeys(addresses))


def _redirect(target: str) -> bytes:
    """Wire form of a CNAME's target; `*.x` puts the question's name before x."""
    if target.startswith("*."):
        return b"\x01*" + name_from_text(target[2:])
    return name_from_text(target)


def network_from_labels(labels: list[str]) -> Network:
    """The network of `24.0.2.0.192` or `48.zz.db8.2001`: prefix length, then the address backwards.

    Raises ValueError.
    """
    text = ".".join(labels)
    try:
        length, *parts = labels
        if len(parts) == 4 and "zz" not in parts:
            return ipaddress.IPv4Network((".".join(reversed(parts)), int(length)))
        if "zz" in parts:
            place = parts.index("zz")
            # One `zz` stands for all the words of zeros left out.
            parts[place : place + 1] = ["0"] * (9 - len(parts))
        address = ipaddress.IPv6Address(":".join(reversed(parts)))
        return ipaddress.IPv6Network((address, int(length)))
    except ValueError as error:
        raise ValueError(f"{show(text)} is not an rpz-ip network: {error}") from None
