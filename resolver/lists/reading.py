"""What the readers of all formats share: batches of names, notes on what was left out, the fast way.

Knows: how to read a million plain lines fast.  Does not know: any format's signs, what a list is for.
Theory: a chunk whose every line is plain is taken by one regular expression and turned into wire
form by the batch; in any other chunk each line is tried by the same expression and, failing that,
read slowly.  What the fast way accepts, the slow way reads alike.  Where there is native help, it takes
the plain lines, and the odd ones are read here.

A line is bad, left out and counted when it is no line of the format.  A line that is one, but says
nothing that a DNS server can do, is skipped and counted by kind.
"""

from __future__ import annotations

import ipaddress
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from operator import itemgetter
from typing import Literal, NamedTuple

from resolver.known_names.public_suffixes import suffixes
from resolver.lists.native_lists import NativeLists, native_lists
from resolver.policy.verdict import LocalData, PolicyAction, RuleForm
from resolver.problems import Problem, show
from resolver.wire.names import name_from_text, parent

CHUNK_OCTETS = 1 << 17
"""Read at a time: large enough to spread the cost of a batch, small enough to stay in the CPU's cache
(a megabyte at a time took 20 % longer)."""
BAD_LINES_SHOWN_MAX = 20
"""Bad lines reported one by one; the rest are only counted."""
SKIPPED_LINES_SHOWN_MAX = 3
"""Skipped lines of each kind whose numbers are reported."""
TEXT_OCTETS_MAX = 253
"""Longest name in text (RFC 1035 §2.3.4: 255 octets of wire form)."""
LINE_OCTETS_MAX = 4096
"""Longest line looked at: hosts(5) lines with a hundred names stay under it."""
TAILS_MAX = 5000
"""Top-level domains remembered in wire form: three times as many as exist."""

PLAIN = rb"(?:[a-z0-9_-]{1,63}+\.)++[a-z][a-z0-9-]{0,62}+"
"""A plain lower-case name of two labels or more; whether all of it is too long is asked apart."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

Skip = Literal[
    "cosmetic rules",
    "path rules",
    "regular expressions",
    "name patterns",
    "rules with options",
    "cancelled rules",
    "addresses",
    "real addresses",
    "top-level domains",
    "other directives",
    "rpz-client-ip triggers",
    "rpz-nsdname triggers",
    "rpz-nsip triggers",
    "wide or private networks",
    "other record types",
    "answers beyond the limit",
]
"""Why a line that is well written is not served: a closed set, for counters."""


class Said(NamedTuple):
    """What a line says of its name."""

    form: RuleForm | None
    """None: of a network."""
    effect: Literal["block", "allow"] = "block"
    action: PolicyAction | None = None
    """None: whatever the list's own action is."""
    local_data: LocalData | None = None


class Batch(NamedTuple):
    """Names of one stretch of a list of which the same is said."""

    names: Sequence[bytes]
    """Wire form, lower case, two labels or more."""
    lines: Sequence[int]
    """Each name's line."""
    said: Said


class NetworkRule(NamedTuple):
    """One network of which a list says something."""

    network: Network
    line: int
    said: Said


class Skipped(Exception):
    """The line is well written but not for us."""

    def __init__(self, kind: Skip) -> None:
        super().__init__(kind)
        self.kind: Skip = kind


class Notes:
    """What was left out of one list."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.bad_line_count = 0
        self.skipped: Counter[str] = Counter()
        """Lines that say nothing here, by kind (`Skip`)."""
        self.first_skipped: dict[str, list[int]] = {}
        """The numbers of the first lines of each kind."""
        self.shown: list[Problem] = []

    def bad(self, line: int, message: str) -> None:
        """Count a line that is none of the format."""
        self.bad_line_count += 1
        if len(self.shown) < BAD_LINES_SHOWN_MAX:
            self.shown.append(Problem(self.file, line, f"{message}; the line is left out", "warning"))

    def skip(self, kind: Skip, line: int) -> None:
        """Count a line that is not for us."""
        self.skipped[kind] += 1
        first = self.first_skipped.setdefault(kind, [])
        if len(first) < SKIPPED_LINES_SHOWN_MAX:
            first.append(line)

    def skipped_lines(self) -> str:
        """The kinds with their counts and the numbers of their first lines."""
        parts = []
        for kind, total in sorted(self.skipped.items()):
            first = self.first_skipped[kind]
            numbers = ", ".join(map(str, sorted(first))) + (", ..." if total > len(first) else "")
            parts.append(f"{kind} {total:,} ({'line' if total == 1 else 'lines'} {numbers})")
        return ", ".join(parts)


class ListFormat(ABC):
    """A reader of one list in one format; it may keep what later lines depend on."""

    looks_ahead = False
    """Whether `look_ahead` wants to see the list."""

    def __init__(self) -> None:
        self.networks: list[NetworkRule] = []

    def look_ahead(self, chunk: bytes) -> None:
        """Note what later lines change of earlier ones; called with all chunks before the first is read."""
        del chunk

    @abstractmethod
    def read_chunk(self, chunk: bytes, first_line: int, notes: Notes) -> Iterator[Batch]:
        """The names of whole lines."""

    def finish(self, notes: Notes) -> Iterator[Batch]:
        """What is known only when the whole list is read."""
        del notes
        return iter(())


class LineFormat(ListFormat):
    """A format in which each line stands for itself."""

    fast: re.Pattern[bytes]
    """Lines of one plain name and nothing else: group 1 is the name, of which `plain` is said."""
    fast_with_comments: re.Pattern[bytes] | None = None
    """The same, and perhaps a comment behind it: half as slow again."""
    plain: Said
    native = ""
    """The format's name to the native reader, which takes lines that say `plain`; empty: it takes none."""

    @abstractmethod
    def read_line(self, octets: bytes) -> Iterable[tuple[bytes, Said]]:
        """Any line, as written -> its names.  Raises ValueError (bad) or `Skipped`."""

    def read_chunk(self, chunk: bytes, first_line: int, notes: Notes) -> Iterator[Batch]:
        """The names of whole lines."""
        if self.native and (native := native_lists()) is not None:
            yield from self._read_natively(native, chunk, first_line, notes)
            return
        text = plain_text(chunk)
        line_count = text.count(b"\n")
        fast = self._fast_for(text)
        names = fast.findall(text)
        if len(names) == line_count and max(map(len, names)) <= TEXT_OCTETS_MAX:
            yield Batch(wire_forms(names), range(first_line, first_line + line_count), self.plain)
            return
        each = zip(count(first_line), chunk.split(b"\n"), text.split(b"\n")[:-1], strict=False)
        wires, lines, slow = self._read_each(each, fast, notes)
        for line, name in slow.pop(self.plain, []):
            wires.append(name)
            lines.append(line)
        if wires:
            yield _in_order(wires, lines, self.plain)
        yield from _batches(slow)

    def _fast_for(self, text: bytes) -> re.Pattern[bytes]:
        return self.fast_with_comments if self.fast_with_comments is not None and b"#" in text else self.fast

    def _read_natively(
        self, native: NativeLists, chunk: bytes, first_line: int, notes: Notes
    ) -> Iterator[Batch]:
        names, lines, odd = native.read_list_lines(self.native, chunk, first_line)
        slow: _Slow = {}
        if odd:
            each = ((line, octets, octets.removesuffix(b"\r").lower()) for line, octets in odd)
            wires, numbers, slow = self._read_each(each, self._fast_for(chunk), notes)
            found = sorted([*zip(numbers, wires, strict=True), *slow.pop(self.plain, [])], key=itemgetter(0))
            if found:
                names, lines = names.merged(lines, found)
        if names:
            yield Batch(names, memoryview(lines).cast("I"), self.plain)
        yield from _batches(slow)

    def _read_each(
        self, each: Iterable[tuple[int, bytes, bytes]], fast: re.Pattern[bytes], notes: Notes
    ) -> tuple[list[bytes], list[int], _Slow]:
        """Of lines, each as written and as the fast way wants it: plain names, their lines, the others."""
        names: list[bytes] = []
        lines: list[int] = []
        slow: _Slow = {}
        fullmatch = fast.fullmatch
        for line, octets, text in each:
            if not text:
                continue
            match = fullmatch(text) if len(text) <= LINE_OCTETS_MAX else None
            if match is not None and len(match[1]) <= TEXT_OCTETS_MAX:
                names.append(match[1])
                lines.append(line)
                continue
            try:
                for name, said in self.read_line(octets):
                    slow.setdefault(said, []).append((line, name))
            except Skipped as skipped:
                notes.skip(skipped.kind, line)
            except ValueError as error:
                notes.bad(line, str(error))
        return wire_forms(names), lines, slow


_Slow = dict[Said, list[tuple[int, bytes]]]
"""By what is said: lines and names."""


def _batches(slow: _Slow) -> Iterator[Batch]:
    for said, found in slow.items():
        yield Batch([name for _, name in found], [line for line, _ in found], said)


def _in_order(names: list[bytes], lines: list[int], said: Said) -> Batch:
    """By line: of a name that stands twice, the first place is the one to report."""
    pairs = sorted(zip(lines, names, strict=True), key=itemgetter(0))
    return Batch([name for _, name in pairs], [line for line, _ in pairs], said)


def chunks(octets: bytes) -> Iterator[bytes]:
    """Whole lines, each closed by a line feed, about `CHUNK_OCTETS` at a time."""
    position = 3 if octets.startswith(b"\xef\xbb\xbf") else 0  # A byte order mark, as editors leave it.
    while position < len(octets):
        end = octets.find(b"\n", position + CHUNK_OCTETS) + 1 or len(octets)
        chunk = octets[position:end]
        yield chunk if chunk.endswith(b"\n") else chunk + b"\n"
        position = end


def plain_text(chunk: bytes) -> bytes:
    """A chunk as the fast way wants it: lower case, Unix line ends."""
    text = chunk.lower()
    return text.replace(b"\r\n", b"\n") if b"\r" in text else text


class _Tails(dict[bytes, bytes]):
    """A top-level domain -> its wire form with the root's octet, remembered."""

    def __missing__(self, label: bytes) -> bytes:
        if len(self) >= TAILS_MAX:
            self.clear()
        wire = self[label] = _LENGTH[len(label)] + label + b"\0"
        return wire


_LENGTH = [bytes([length]) for length in range(64)]
_tails = _Tails()


def wire_forms(texts: Iterable[bytes]) -> list[bytes]:
    """Wire form of plain lower-case names of at least two labels.

    Two and three labels are spelt out: this runs a million times, and they are nearly all of it.
    """
    wires: list[bytes] = []
    append = wires.append
    join = b"".join
    length = _LENGTH
    tails = _tails
    for text in texts:
        labels = text.split(b".")
        if len(labels) == 2:
            first, last = labels
            append(join((length[len(first)], first, tails[last])))
        elif len(labels) == 3:
            first, second, last = labels
            append(join((length[len(first)], first, length[len(second)], second, tails[last])))
        else:
            append(join([length[len(label)] + label for label in labels]) + b"\0")
    return wires


def text_of(octets: bytes) -> str:
    """A line's text.  Raises ValueError for a line that is no text or too long."""
    if len(octets) > LINE_OCTETS_MAX:
        octets = octets.strip()
        if len(octets) > LINE_OCTETS_MAX:
            raise ValueError(f"line of {len(octets):,} bytes (at most {LINE_OCTETS_MAX})")
    try:
        return octets.decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"{show(octets.decode('latin-1'))} is not UTF-8") from None


def words_of(octets: bytes) -> list[str]:
    """The words of a line in which `#` begins a comment."""
    return text_of(octets.split(b"#")[0].strip()).split()


def address_of(word: str) -> Address | None:
    """The address a word is, or None."""
    # Cheaper than to let `ip_address` raise: most words are names.
    if not (word[:1].isdigit() or ":" in word):
        return None
    try:
        return ipaddress.ip_address(word)
    except ValueError:
        return None


def name_of(word: str) -> bytes:
    """Wire form of a list's name.  Raises ValueError, or `Skipped` for a top-level domain."""
    if word.startswith(("*", "=", "|", "@")):
        raise ValueError(f"{show(word)}: this format holds plain names only")
    if address_of(word) is not None:
        raise ValueError(f"{show(word)} is an address, not a name")
    return checked_name(name_from_text(word), word)


_NUMBER_ENDS = tuple(b"%d\0" % digit for digit in range(10))


def _ends_in_number(name: bytes) -> bool:
    last = 0
    while len(name) > last + name[last] + 2:
        last += name[last] + 1
    return name[last + 1 : -1].isdigit()


def checked_name(name: bytes, word: str) -> bytes:
    """`name`, which has two labels or more: one stray word must not cut off a top-level domain."""
    if name == b"\0" or parent(name) == b"\0":
        if name in suffixes().names:
            raise Skipped("top-level domains")
        raise ValueError(f"{show(word)} is a single label")
    if name.endswith(_NUMBER_ENDS) and _ends_in_number(name):
        raise ValueError(f"{show(word)} ends in a number; no domain does")
    return name
