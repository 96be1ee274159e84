"""The octets of a list file before any line is read: unpacked, bounded, and seen to be a list at all.

Knows: gzip, what web servers send instead of a list.  Does not know: formats.
The commonest broken list is no damaged one but an error page with status 200.
"""

from __future__ import annotations

import re
import zlib

GZIP_MAGIC = b"\x1f\x8b"
"""RFC 1952 §2.3.1."""
SNIFF_OCTETS = 4096
"""How far into a file we look for what it is."""
PIECE_OCTETS = 1 << 20
"""Unpacked at a time."""
SLICE_OCTETS = 1 << 16
"""Packed octets given to zlib at a time: it copies those that lie behind the end of a member."""
MEMBERS_MAX = 10_000
"""Of one gzip file; packers that cut a file up do so every 64 kB or more."""

_OTHER_PACKERS = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\xfd7zXZ\x00", "packed with xz"),
    (b"BZh", "packed with bzip2"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
)
_HTML = re.compile(
    rb"<(?:!doctype|html|head|body|title|meta|script|\?xml|svg|div|center|h1|error)\b", re.IGNORECASE
)
_SPACE = re.compile(rb"\s*")
_JSON = re.compile(rb'\s*(?:\{\s*["}]|\[\s*[{"\]])')


class NoList(ValueError):
    """The file as a whole is refused: the text says why, as the end of a sentence about it."""


def list_text(octets: bytes, octets_max: int) -> bytes:
    """The text of a list file, gzip undone.  Raises `NoList`.

    `octets_max` bounds the text, packed or not, so a gzip bomb costs no more than a large list.
    """
    if octets.startswith(GZIP_MAGIC):
        octets = _gunzip(octets, octets_max)
    elif len(octets) > octets_max:
        raise NoList(f"has over {octets_max:,} bytes")
    head = octets[:SNIFF_OCTETS]
    for magic, what in _OTHER_PACKERS:
        if head.startswith(magic):
            raise NoList(f"is {what}; only gzip is unpacked here")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise NoList("is UTF-16 text; lists are UTF-8 or ASCII")
    if b"\0" in head:
        raise NoList("has NUL bytes, so it is not text")
    if _is_html(head.removeprefix(b"\xef\xbb\xbf")):
        raise NoList("looks like an HTML page, not a list")
    if _JSON.match(head):
        raise NoList("looks like JSON, not a list")
    return octets


def _is_html(head: bytes) -> bool:
    """Whether a page begins here, behind space and comments."""
    position = _end_of_space(head, 0)
    # A loop, as an expression that repeats "comment, perhaps space" may take time exponential in them.
    while head.startswith(b"<!--", position):
        end = head.find(b"-->", position + 4)
        if end < 0:
            return False
        position = _end_of_space(head, end + 3)
    return _HTML.match(head, position) is not None


def _end_of_space(head: bytes, position: int) -> int:
    match = _SPACE.match(head, position)
    return match.end() if match else position


def _gunzip(octets: bytes, octets_max: int) -> bytes:
    """All members of a gzip file, as `gzip -d` gives them."""
    pieces: list[bytes] = []
    room = octets_max
    view = memoryview(octets)
    position = 0
    for _ in range(MEMBERS_MAX):
        unpacker = zlib.decompressobj(wbits=31)
        rest = b""
        while not unpacker.eof:
            if not rest:
                # By the slice, as what is behind a member's end is copied each time.
                fed: bytes | memoryview = view[position : position + SLICE_OCTETS]
                position += len(fed)
            else:
                fed = rest
            try:
                piece = unpacker.decompress(fed, PIECE_OCTETS)
            except zlib.error as error:
                raise NoList(f"is damaged gzip ({error})") from None
            rest = unpacker.unconsumed_tail
            room -= len(piece)
            if room < 0:
                raise NoList(f"has over {octets_max:,} bytes when unpacked")
            pieces.append(piece)
            if not unpacker.eof and not piece and not rest and position == len(octets):
                raise NoList("is gzip that ends too early")
        position -= len(unpacker.unused_data)
        if view[position : position + 2] != GZIP_MAGIC:
            break
    else:
        raise NoList(f"is gzip of over {MEMBERS_MAX} members")
    if octets[position:].strip(b"\0"):
        raise NoList("is gzip with other data after it")
    return b"".join(pieces)
