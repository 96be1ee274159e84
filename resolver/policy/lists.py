"""Reads list files: one name a line (`domains`), or lines of hosts(5) (`hosts`) -> wire-form names.

Knows: the two formats, how to read a million lines fast.  Does not know: rules, files on disk, what
a name on a list means.
Theory: a chunk whose every line is plain is taken by one regular expression and turned into wire
form by the batch; a chunk with anything else in it (comments, IDN, rubbish) is read line by line.
What the fast way accepts, the slow way reads alike.

A line that is no name is left out, counted, and the first few are reported: lists from elsewhere
are never clean, and one bad line must not cost the other million.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from resolver.problems import Problem, show
from resolver.wire.names import name_from_text

CHUNK_OCTETS = 1 << 17
"""Read at a time: large enough to spread the cost of a batch, small enough to stay in the CPU's cache
(a megabyte at a time took 20 % longer)."""
BAD_LINES_SHOWN_MAX = 20
"""Bad lines reported one by one; the rest are only counted."""
TEXT_OCTETS_MAX = 253
"""Longest name in text (RFC 1035 §2.3.4: 255 octets of wire form)."""
LINE_OCTETS_MAX = 4096
"""Longest line looked at: hosts(5) lines with a hundred names stay under it."""
TAILS_MAX = 5000
"""Top-level domains remembered in wire form: three times as many as exist."""

_PLAIN = rb"(?:[a-z0-9_-]{1,63}+\.)++[a-z][a-z0-9-]{0,62}+"
_FAST = {
    "domains": re.compile(rb"^(" + _PLAIN + rb")$", re.MULTILINE),
    "hosts": re.compile(
        rb"^(?:0\.0\.0\.0|127\.0\.0\.1|::1?)[ \t]+(?!localhost\.localdomain$)(" + _PLAIN + rb")$",
        re.MULTILINE,
    ),
}
"""Lines of one plain name and nothing else; what they match, `_Line` accepts with the same name."""
_LENGTH = [bytes([length]) for length in range(64)]
_HOSTS_OWN_NAMES = frozenset(
    (
        "localhost",
        "localhost.localdomain",
        "local",
        "broadcasthost",
        "0.0.0.0",
        "ip6-localhost",
        "ip6-loopback",
        "ip6-localnet",
        "ip6-mcastprefix",
        "ip6-allnodes",
        "ip6-allrouters",
        "ip6-allhosts",
    )
)
"""Names that stand in every hosts file for the machine's own sake: skipped without a word."""


class Batch(NamedTuple):
    """Names of one stretch of a list."""

    names: list[bytes]
    """Wire form, lower case."""
    lines: Sequence[int]
    """Each name's line."""


class ListReader:
    """Reads one list's octets; what went wrong is known when `batches` is exhausted."""

    def __init__(self, octets: bytes, file: str, list_format: str) -> None:
        """`list_format`: `domains`, `hosts`, or `auto` to find out.  `file` is its name in problems."""
        self.file = file
        self.format = detect_format(octets) if list_format == "auto" else list_format
        self.name_count = 0
        """Names read, repeated ones included."""
        self.bad_line_count = 0
        self._octets = octets
        self._bad: list[Problem] = []

    def batches(self) -> Iterator[Batch]:
        """All names, in the order of the file."""
        line = 1
        for chunk in _chunks(self._octets):
            text = chunk.lower()
            if b"\r" in text:
                text = text.replace(b"\r\n", b"\n")
            line_count = text.count(b"\n")
            names = _FAST[self.format].findall(text)
            if len(names) == line_count and max(map(len, names)) <= TEXT_OCTETS_MAX:
                batch = Batch(wire_forms(names), range(line, line + line_count))
            else:
                batch = self._read_lines(chunk, line)
            if batch.names:
                self.name_count += len(batch.names)
                yield batch
            line += line_count

    def problems(self) -> list[Problem]:
        """What there is to say of the list, once it is read."""
        problems = list(self._bad)
        left_out = self.bad_line_count - len(self._bad)
        if left_out:
            problems.append(
                Problem(self.file, 0, f"{left_out} more lines are no names and were left out", "warning")
            )
        if self.bad_line_count and not self.name_count:
            problems.append(Problem(self.file, 0, f"not one line of it is in format {self.format!r}"))
        return problems

    def _read_lines(self, chunk: bytes, first_line: int) -> Batch:
        """The slow way, line by line."""
        names: list[bytes] = []
        lines: list[int] = []
        fast = _FAST[self.format]
        read = _read_domains_line if self.format == "domains" else _read_hosts_line
        for line, octets in enumerate(chunk.split(b"\n")[:-1], first_line):
            match = fast.fullmatch(octets) if len(octets) <= TEXT_OCTETS_MAX else None
            if match is not None:
                names += wire_forms([match[1]])
                lines.append(line)
                continue
            try:
                found = read(octets)
            except ValueError as error:
                self._note_bad(line, str(error))
                continue
            names += found
            lines += [line] * len(found)
        return Batch(names, lines)

    def _note_bad(self, line: int, message: str) -> None:
        self.bad_line_count += 1
        if len(self._bad) < BAD_LINES_SHOWN_MAX:
            self._bad.append(Problem(self.file, line, f"{message}; the line is left out", "warning"))


class _Tails(dict[bytes, bytes]):
    """A top-level domain -> its wire form with the root's octet, remembered."""

    def __missing__(self, label: bytes) -> bytes:
        if len(self) >= TAILS_MAX:
            self.clear()
        wire = self[label] = _LENGTH[len(label)] + label + b"\0"
        return wire


_tails = _Tails()


def wire_forms(texts: list[bytes]) -> list[bytes]:
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


def detect_format(octets: bytes) -> str:
    """`hosts` when most of the first hundred lines that say anything start with an address."""
    hosts = others = 0
    for line in octets[:65536].split(b"\n"):
        words = line.split(b"#")[0].split()
        if not words:
            continue
        if len(words) > 1 and _address(words[0].decode("latin-1")) is not None:
            hosts += 1
        else:
            others += 1
        if hosts + others >= 100:
            break
    return "hosts" if hosts > others else "domains"


def _chunks(octets: bytes) -> Iterator[bytes]:
    """Whole lines, each closed by a line feed, about `CHUNK_OCTETS` at a time."""
    position = 3 if octets.startswith(b"\xef\xbb\xbf") else 0  # A byte order mark, as editors leave it.
    while position < len(octets):
        end = octets.find(b"\n", position + CHUNK_OCTETS) + 1 or len(octets)
        chunk = octets[position:end]
        yield chunk if chunk.endswith(b"\n") else chunk + b"\n"
        position = end


def _text_of(octets: bytes) -> str:
    """A line's words, its comment cut off.  Raises ValueError for a line that is no text."""
    octets = octets.split(b"#")[0].strip()
    if len(octets) > LINE_OCTETS_MAX:
        raise ValueError(f"line of {len(octets)} octets (at most {LINE_OCTETS_MAX})")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{show(octets.decode('latin-1'))} is not UTF-8") from None


def _address(word: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(word)
    except ValueError:
        return None


def _name_of(word: str) -> bytes:
    """Wire form of a list's name.  Raises ValueError."""
    if word.startswith(("*", "=", "|", "@")):
        raise ValueError(f"{show(word)}: this format holds plain names only")
    if _address(word) is not None:
        raise ValueError(f"{show(word)} is an address, not a name")
    name = name_from_text(word)
    if name == b"\0" or not name[name[0] + 1]:
        # One stray word would cut off a top-level domain.
        raise ValueError(f"{show(word)} is a single label")
    return name


def _read_domains_line(octets: bytes) -> list[bytes]:
    words = _text_of(octets).split()
    if len(words) > 1:
        raise ValueError(f"{show(' '.join(words))}: more than one word")
    return [_name_of(word) for word in words]


def _read_hosts_line(octets: bytes) -> list[bytes]:
    words = _text_of(octets).split()
    if not words:
        return []
    address = _address(words[0])
    if address is None:
        raise ValueError(f"{show(words[0])}: no address at the start of the line")
    names = [word for word in words[1:] if word.lower() not in _HOSTS_OWN_NAMES]
    if not names:
        if len(words) == 1:
            raise ValueError(f"{show(words[0])}: an address without a name")
        return []
    if not (address.is_unspecified or address.is_loopback):
        # Such a line gives a name its address; taking it for a block would surprise.
        raise ValueError(f"{show(words[0])} is a real address, so the line blocks nothing")
    return [_name_of(word) for word in names]
