"""YAML octets -> a tree of plain values that remembers its lines, and what is wrong with the octets.

Knows: files, UTF-8, YAML.  Does not know: what the values mean.
Theory: libyaml gives parse events; everything that can hurt (size, depth, aliases, tags, second
documents, endless scalars) is refused on the events or before, so nothing hostile is ever
composed.  libyaml's own composer recurses, and crashes on nesting 100,000 deep.
Scalars follow the YAML 1.2 core schema: `on`, `off`, `yes`, `no` and dates are strings, there are
no base-60 numbers.  Keys are always strings.
"""

from __future__ import annotations

import codecs
import os
import re
from array import array
from typing import Any

import yaml
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from resolver.config.yamlfaults import conflict_lines, likely_fault
from resolver.portions import open_regular, read_up_to
from resolver.problems import Findings, Problem, show

FILE_OCTETS_MAX = 64 * 1024 * 1024
"""Largest YAML file: some three million domains; larger sets belong into list files."""

DEPTH_MAX = 32
"""Deepest nesting; our files use five levels."""

LINE_OCTETS_MAX = 65_536
"""Longest line: no entry needs one, and editors, diffs and reviewers give up long before."""

SCALAR_CHARS_MAX = 8_192
"""Longest single value; the longest we know (an order's title) is a few hundred."""

GAP_OCTETS_MAX = 4 * 1024 * 1024
"""Most octets read between two events: bounds the memory that one endless scalar can take."""

VALUES_MAX = 4_000_000
"""Most values in one file: as many two-letter ones would fit in 64 MB ten times over."""


class YamlSequence:
    """A list of values and the line of each."""

    __slots__ = ("items", "line", "lines")

    def __init__(self, line: int) -> None:
        self.line = line
        self.items: list[Value] = []
        self.lines = array("I")


class YamlMapping:
    """Keys (strings, in file order), their values, and the line of each key."""

    __slots__ = ("items", "line", "lines", "pending", "pending_line")

    def __init__(self, line: int) -> None:
        self.line = line
        self.items: dict[str, Value] = {}
        self.lines: dict[str, int] = {}
        self.pending: str | None = None
        self.pending_line = 0


Value = str | int | float | bool | None | YamlSequence | YamlMapping


def read_yaml(
    source: str | os.PathLike[str] | bytes, *, file: str | None = None, octets_max: int = FILE_OCTETS_MAX
) -> tuple[Value, list[Problem]]:
    """Read one YAML document from a path or from octets.

    Gives the tree and all problems found.  The tree is None when the octets could not be read as
    a whole; with duplicate keys alone it is there, the first of each kept.  An empty file gives None
    and no problem.  `file` is the name that problems carry (default: the path as given).
    """
    if isinstance(source, bytes):
        findings = Findings(file or "<octets>")
        octets: bytes | None = source
        if len(source) > octets_max:
            findings.error(0, _too_large(len(source), octets_max))
            return None, findings.in_order()
    else:
        octets, problems = read_octets(source, file=file, octets_max=octets_max)
        findings = Findings(file or os.fspath(source))
        findings.take(problems)
    if octets is None or not is_sane_text(octets, findings):
        return None, findings.in_order()
    for line, message in conflict_lines(octets):
        findings.error(line, message)
    if findings.error_count:
        return None, findings.in_order()
    root, is_whole = _compose(octets, findings)
    return (root if is_whole else None), findings.in_order()


def read_octets(
    path: str | os.PathLike[str], *, file: str | None = None, octets_max: int = FILE_OCTETS_MAX
) -> tuple[bytes | None, list[Problem]]:
    """Read a regular file of at most `octets_max` octets; None and a problem for anything else."""
    findings = Findings(file or os.fspath(path))
    try:
        with open_regular(path) as opened:
            size = os.fstat(opened.fileno()).st_size
            # It may grow meanwhile.
            octets = read_up_to(opened, octets_max + 1) if size <= octets_max else b""
    except OSError as error:
        findings.error(0, f"cannot be read: {error.strerror or error}")
        return None, findings.in_order()
    except ValueError as error:  # A path with a NUL octet.
        findings.error(0, f"cannot be read: {error}")
        return None, findings.in_order()
    if max(size, len(octets)) > octets_max:
        findings.error(0, _too_large(max(size, len(octets)), octets_max))
        return None, findings.in_order()
    return octets, findings.in_order()


def _too_large(octets: int, octets_max: int) -> str:
    return f"is too large: {octets:,} bytes; allowed: at most {octets_max:,}"


def is_sane_text(octets: bytes, findings: Findings) -> bool:
    """Refuse what is no text of UTF-8 in lines that people can read, with the line.

    For YAML that is before libyaml sees it, whose messages have no line.
    """
    if octets[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        findings.error(1, "is UTF-16; save it as UTF-8")
        return False
    nul = octets.find(b"\0")
    if nul >= 0:
        findings.error(_line_at(octets, nul), "contains a NUL byte (0x00); this is not a text file")
        return False
    return _lines_are_short(octets, findings) and _is_utf8(octets, findings)


def _lines_are_short(octets: bytes, findings: Findings) -> bool:
    """Hop from line end to line end in the largest steps allowed: some thousand steps for 64 MB."""
    start = 0
    while len(octets) - start > LINE_OCTETS_MAX:
        end = octets.rfind(b"\n", start, start + LINE_OCTETS_MAX + 1)
        if end < 0:
            message = f"the line is longer than {LINE_OCTETS_MAX:,} bytes, the most allowed"
            findings.error(_line_at(octets, start), message)
            return False
        start = end + 1
    return True


def _is_utf8(octets: bytes, findings: Findings) -> bool:
    """Check piece by piece: decoding 64 MB at once can take four times that in memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    step = 1 << 20
    for start in range(0, len(octets), step):
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(octets[start : start + step], final=start + step >= len(octets))
        except UnicodeDecodeError as error:
            at = start - held + error.start
            findings.error(_line_at(octets, at), f"byte 0x{octets[at]:02x} is not UTF-8; save it as UTF-8")
            return False
    return True


def _line_at(octets: bytes, position: int) -> int:
    return octets.count(b"\n", 0, position) + 1


class _MeteredStream:
    """Feeds libyaml, and ends the feed when one scalar (or comment) swallows too much."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._position = 0
        self._event_count_seen = -1
        self._gap = 0
        self.event_count = 0
        self.was_cut = False

    def read(self, size: int = -1, /) -> bytes:
        """Give the next octets; libyaml asks for some 16 kB at a time."""
        if self.event_count != self._event_count_seen:
            self._event_count_seen = self.event_count
            self._gap = 0
        piece = self._octets[self._position : self._position + size]
        self._position += len(piece)
        self._gap += len(piece)
        if self._gap > GAP_OCTETS_MAX:
            self.was_cut = True
            return b""
        return piece


def _compose(octets: bytes, findings: Findings) -> tuple[Value, bool]:
    """Run the parse events into a tree; whether that tree is the whole file comes second."""
    stream = _MeteredStream(octets)
    composer = _Composer(findings)
    try:
        parser = CParser(stream)
        next_event = parser.get_event
        accept = composer.accept
        while not composer.gave_up and (event := next_event()) is not None:
            if stream.was_cut:
                break
            stream.event_count += 1
            accept(event)
    except yaml.YAMLError as error:
        if not stream.was_cut:
            findings.error(*_syntax_message(error, octets))
        composer.gave_up = True
    except MemoryError:
        findings.error(0, "needs more memory than there is")
        return None, False
    if stream.was_cut:
        findings.error(composer.line, f"a value or a comment here is longer than {GAP_OCTETS_MAX:,} bytes")
        return None, False
    return composer.root, not (composer.gave_up or composer.is_broken)


class _Composer:
    """Events in, tree out; iterative, so that depth costs no stack."""

    def __init__(self, findings: Findings) -> None:
        self.root: Value = None
        self.gave_up = False
        """No use in going on."""
        self.is_broken = False
        """The tree misses values that the file has."""
        self.line = 1
        self._findings = findings
        self._stack: list[YamlMapping | YamlSequence] = []
        self._document_count = 0
        self._value_count = 0

    def accept(self, event: Any) -> None:
        """Take one event; the commonest kind first."""
        kind = type(event)
        if kind is ScalarEvent:
            self._on_scalar(event)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            self._stack.pop()
        elif kind is MappingStartEvent:
            self._open(YamlMapping(event.start_mark.line + 1), event)
        elif kind is SequenceStartEvent:
            self._open(YamlSequence(event.start_mark.line + 1), event)
        elif kind is AliasEvent:
            self._on_alias(event)
        elif kind is DocumentStartEvent:
            self._document_count += 1
            if self._document_count > 1:
                self._give_up(event.start_mark.line + 1, "a second document starts here; only one is allowed")

    def _on_scalar(self, event: Any) -> None:
        text: str = event.value
        self.line = line = event.start_mark.line + 1
        if event.anchor is not None or event.tag is not None:
            self._refuse_marks(event, line)
        if len(text) > SCALAR_CHARS_MAX:
            message = f"the value is {len(text):,} characters long; allowed: at most {SCALAR_CHARS_MAX:,}"
            self._findings.error(line, message)
            self.is_broken = True
            text = text[:SCALAR_CHARS_MAX]
        stack = self._stack
        if stack:
            top = stack[-1]
            if type(top) is YamlMapping and top.pending is None:
                top.pending = text
                top.pending_line = line
                return
        # Only plain scalars (no quotes, no block style) can be anything but strings.
        value = text if event.style else plain_scalar(text)
        self._place(value, line)

    def _place(self, value: Value, line: int) -> None:
        """Put a value where the file has it."""
        self._value_count += 1
        if self._value_count > VALUES_MAX:
            self._give_up(line, f"more than {VALUES_MAX:,} values, the most allowed")
            return
        if not self._stack:
            self.root = value
            return
        top = self._stack[-1]
        if type(top) is YamlSequence:
            top.items.append(value)
            top.lines.append(line)
            return
        assert type(top) is YamlMapping
        key = top.pending
        assert key is not None
        top.pending = None
        if key in top.items:
            message = f"duplicate key {show(key)}: it is already on line {top.lines[key]}"
            self._findings.error(top.pending_line, message)
            self.gave_up = self._findings.is_full
            return
        top.items[key] = value
        top.lines[key] = top.pending_line

    def _open(self, container: YamlMapping | YamlSequence, event: Any) -> None:
        self.line = container.line
        if event.anchor is not None or event.tag is not None:
            self._refuse_marks(event, container.line)
        if len(self._stack) >= DEPTH_MAX:
            self._give_up(container.line, f"nested more than {DEPTH_MAX} levels deep")
            return
        top = self._stack[-1] if self._stack else None
        if type(top) is YamlMapping and top.pending is None:
            self._give_up(container.line, "a key must be a plain word, not a list or a mapping")
            return
        self._place(container, container.line)
        self._stack.append(container)

    def _on_alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        name = f"*{event.anchor}"
        self._findings.error(line, f"aliases ({show(name)}) are not allowed; {_STAR_HINT}")
        self.is_broken = True
        self.gave_up = self._findings.is_full
        top = self._stack[-1] if self._stack else None
        if type(top) is YamlMapping and top.pending is None:
            top.pending, top.pending_line = name, line
        else:
            self._place(None, line)

    def _refuse_marks(self, event: Any, line: int) -> None:
        if event.anchor is not None:
            self._findings.error(line, f"anchors ({show('&' + event.anchor)}) are not allowed")
        if event.tag is not None:
            self._findings.error(
                line, f"tags ({show(event.tag)}) are not allowed; put text in quotes instead"
            )
        self.is_broken = True

    def _give_up(self, line: int, message: str) -> None:
        self._findings.error(line, message)
        self.gave_up = True


_STAR_HINT = 'put a value that begins with * in quotes: "*.example"'

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_STARTS = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_NUMBER_CHARS_MAX = 64
"""Longer runs of digits stay strings: turning them into numbers takes quadratic time."""


def plain_scalar(text: str) -> str | int | float | bool | None:
    """Give an unquoted scalar its type, after the core schema (YAML 1.2.2 §10.3.2)."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS or len(text) > _NUMBER_CHARS_MAX:
        return text
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _syntax_message(error: yaml.YAMLError, octets: bytes) -> tuple[int, str]:
    """Turn libyaml's complaint into a line and a sentence, with the usual cause where it is known."""
    if isinstance(error, yaml.reader.ReaderError):
        position = error.position if isinstance(error.position, int) else 0
        return _line_at(octets, position), f"not readable as YAML: {error.reason}"
    if not isinstance(error, yaml.MarkedYAMLError):
        return 0, f"not readable as YAML: {error}"
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 0
    began = error.context_mark.line + 1 if error.context_mark else 0
    if fault := likely_fault(octets, str(error.problem or ""), line, began):
        return fault
    message = f"not readable as YAML: {error.problem or error.context}"
    context = error.context or ""
    if "alias" in context:
        return line, f"{message}; {_STAR_HINT}"
    if "cannot start any token" in (error.problem or "") and _has_tab(octets, line):
        return line, f"{message}; indent with spaces, not with tabs"
    if "mapping values are not allowed" in message:
        return line, f"{message}; check the indentation, and put a value that holds ': ' or '::' in quotes"
    if "block mapping" in context or "block collection" in context:
        return line, f"{message}; check the indentation"
    if error.context and error.context_mark:
        return line, f"{message} ({error.context} that began on line {error.context_mark.line + 1})"
    return line, message


def _has_tab(octets: bytes, line: int) -> bool:
    lines = octets.split(b"\n", line)
    return line <= len(lines) and b"\t" in lines[line - 1]
