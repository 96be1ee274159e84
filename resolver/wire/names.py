"""Domain names: presentation text <-> wire octets, and how names relate.

Knows: RFC 1035 labels and escapes.  Does not know: messages, compression, rules; names beyond ASCII are
`idn`'s.
A name in wire form is its labels, each behind its length octet, closed by the root's zero octet.
Lower-casing wire form is `bytes.lower()`: length octets are at most 63 and so below `A`.
"""

from __future__ import annotations

import re

from resolver.wire.idn import ascii_from_idn, ascii_meant

NAME_OCTETS_MAX = 255
"""Longest name in wire form, root octet included (RFC 1035 §2.3.4)."""
LABEL_OCTETS_MAX = 63
"""Longest label (RFC 1035 §2.3.4)."""
TEXT_CHARACTERS_MAX = 1024
"""Longest presentation text looked at: 255 octets, each written `\\DDD`, fit."""

_PLAIN_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}\Z", re.ASCII)
_PLAIN_OCTETS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_OCTET_TEXT = tuple(
    chr(octet) if octet in _PLAIN_OCTETS else f"\\{chr(octet)}" if 0x21 <= octet <= 0x7E else f"\\{octet:03d}"
    for octet in range(256)
)


def name_from_text(text: str) -> bytes:
    """Wire form, lower case, of a name as people write it, with or without the last dot.

    Plain labels hold letters, digits, `-` and `_`; any other octet needs an RFC 1035 escape
    (`\\.`, `\\032`), so that a URL or a stray wildcard is not taken for a name.  Text beyond
    ASCII is mapped by UTS 46 to A-labels, as far as IDNA 2008 (or emoji) allows.  Raises ValueError,
    saying what is wrong and which name was probably meant.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise ValueError(f"name of {len(text)} characters is too long (at most {NAME_OCTETS_MAX} octets)")
    if text == ".":
        return b"\0"
    if "\\" in text:
        return _closed(_escaped_labels(text), text)
    if text.isascii():
        return _plain_name(text)
    try:
        return _plain_name(ascii_from_idn(text))
    except ValueError as error:
        raise ValueError(f"{error}{_name_meant(text)}") from None


def _plain_name(text: str) -> bytes:
    labels = (text[:-1] if text.endswith(".") else text).split(".")
    wire: list[bytes] = []
    for label in labels:
        if _PLAIN_LABEL.match(label) is None:
            raise ValueError(_label_problem(label, text))
        wire.append(label.lower().encode("ascii"))
    return _closed(wire, text)


def name_to_text(name: bytes) -> str:
    """Presentation text of a well-formed wire name: case kept, no last dot but for the root.

    `name_from_text` reads it back.  Safe to print: only letters, digits, `-`, `_`, `.` and
    escapes come out, whatever the octets.
    """
    if name == b"\0":
        return "."
    octet_text = _OCTET_TEXT
    labels = []
    at = 0
    while at < len(name) and (length := name[at]):
        labels.append("".join([octet_text[octet] for octet in name[at + 1 : at + 1 + length]]))
        at += length + 1
    return ".".join(labels)


def suffix_offsets(name: bytes) -> list[int]:
    """Where each suffix of a name starts, longest first; the root is left out.

    `www.example.org` gives `[0, 4, 12]`; the root name gives `[]`.  At most 127 of them.
    """
    offsets = []
    at = 0
    while length := name[at]:
        offsets.append(at)
        at += length + 1
    return offsets


def is_at_or_below(name: bytes, ancestor: bytes) -> bool:
    """Whether `name` is `ancestor` or under it; both in wire form and of one case.

    Octets that merely end alike are not enough: the cut must fall between labels.
    """
    if not name.endswith(ancestor):
        return False
    cut = len(name) - len(ancestor)
    at = 0
    while at < cut:
        at += name[at] + 1
    return at == cut


def parent(name: bytes) -> bytes:
    """The name one label up; the root's parent is the root."""
    return name[name[0] + 1 :] or b"\0"


def _closed(labels: list[bytes], text: str) -> bytes:
    """Join labels to a name, or raise ValueError when one or all are too long."""
    wire = bytearray()
    for label in labels:
        if not 0 < len(label) <= LABEL_OCTETS_MAX:
            raise ValueError(f"{_quoted(text)}: a label has {len(label)} octets (1 to {LABEL_OCTETS_MAX})")
        wire.append(len(label))
        wire += label
    wire.append(0)
    if len(wire) > NAME_OCTETS_MAX:
        raise ValueError(f"{_quoted(text)}: name of {len(wire)} octets (at most {NAME_OCTETS_MAX})")
    return bytes(wire)


def _escaped_labels(text: str) -> list[bytes]:
    """Labels of a text with backslashes (RFC 1035 §5.1), lower case."""
    if not text.isascii():
        raise ValueError(f"{_quoted(text)}: escapes and letters beyond ASCII do not mix; write the A-label")
    labels = [bytearray()]
    at = 0
    while at < len(text):
        character = text[at]
        if character == ".":
            labels.append(bytearray())
        elif character != "\\":
            if ord(character) not in _PLAIN_OCTETS:
                raise ValueError(_label_problem(character, text))
            labels[-1] += character.lower().encode("ascii")
        elif (digits := text[at + 1 : at + 4]).isdigit() and len(digits) == 3 and int(digits) < 256:
            labels[-1] += bytes((int(digits),)).lower()
            at += 3
        elif at + 1 < len(text) and not text[at + 1].isdigit():
            labels[-1] += text[at + 1].lower().encode("ascii")
            at += 1
        else:
            raise ValueError(f"{_quoted(text)}: a backslash needs a character or three digits up to 255")
        at += 1
    if not labels[-1] and len(labels) > 1:
        labels.pop()
    return [bytes(label) for label in labels]


def _name_meant(text: str) -> str:
    """The name that `text` was probably pasted for, as the end of a sentence; nothing where that is none."""
    meant = ascii_meant(text)
    try:
        if meant and meant != text and ("." in meant or "." not in text):
            _plain_name(meant if meant.isascii() else ascii_from_idn(meant))
            return f"; did you mean {meant!r}?"
    except ValueError:
        pass
    return ""


def _label_problem(label: str, text: str) -> str:
    if not label:
        return f"{_quoted(text)}: empty label" if text else "empty name"
    if len(label) > LABEL_OCTETS_MAX:
        return f"{_quoted(text)}: label of {len(label)} octets (at most {LABEL_OCTETS_MAX})"
    odd = next((c for c in label if not c.isascii() or ord(c) not in _PLAIN_OCTETS), label)
    return f"{_quoted(text)}: character {odd!r} cannot stand in a name unescaped"


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:77] + "...")
