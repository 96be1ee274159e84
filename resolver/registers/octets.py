"""The octets of a register before anything is read of them: unpacked, bounded, and text at all.

Knows: gzip, byte order marks, what web servers send instead of a register.  Does not know: formats.
Theory: pieces in, pieces out.  Nothing here holds more than one piece, whatever the register's size.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator

from resolver.registers.record import RegisterRefused

PIECE_OCTETS = 1 << 16
"""Unpacked at a time."""
SNIFF_OCTETS = 4096
"""Looked at to see what it is."""
MEMBERS_MAX = 10_000
"""Of one gzip file; packers that cut a file up do so every 64 kB or more."""
LINE_OCTETS_MAX = 1 << 16
"""Longest line: the widest real rows have some kB."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_GZIP_MAGIC = b"\x1f\x8b"
_PACKERS = (
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xfd7zXZ\x00", "packed with xz; unpack it first"),
    (b"BZh", "packed with bzip2; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"%PDF-", "a PDF"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
)
_HTML = re.compile(
    rb"\s*(?:<!--.{0,1000}?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)


def text_pieces(pieces: Iterable[bytes], octets_max: int) -> Iterator[bytes]:
    """The text of a register, gzip and a byte order mark undone.  Raises `RegisterRefused`.

    `octets_max` bounds the text, packed or not, so a gzip bomb costs no more than a large register.
    """
    started = _gathered(iter(pieces))
    head = next(started, b"")
    for magic, what in _PACKERS:
        if head.startswith(magic):
            raise RegisterRefused(f"is {what}")
    packed = _joined(head, started)
    text = _gathered(_unpacked(packed)) if head.startswith(_GZIP_MAGIC) else _joined(head, started)
    line = 1
    total = 0
    for number, piece in enumerate(text):
        total += len(piece)
        if total > octets_max:
            raise RegisterRefused(f"has over {octets_max:,} bytes (size_mb_max)")
        if not number:
            piece = _without_mark(piece)
        if b"\0" in piece:
            raise RegisterRefused(
                "a NUL byte: this is not text", line=line + piece[: piece.index(b"\0")].count(b"\n")
            )
        line += piece.count(b"\n")
        if piece:
            yield piece


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same octets, at least `SNIFF_OCTETS` of them in the first piece if there are so many."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= SNIFF_OCTETS:
            break
    yield head
    yield from pieces


def _joined(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _without_mark(head: bytes) -> bytes:
    """The first piece without its byte order mark, once it is known to be text and no page."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RegisterRefused("is UTF-16 text", line=1)
    head = head.removeprefix(BYTE_ORDER_MARK)
    if _HTML.match(head[:SNIFF_OCTETS]):
        raise RegisterRefused("looks like a web page, not a register", line=1)
    return head


def _unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """All members of a gzip file."""
    unpacker = zlib.decompressobj(wbits=31)
    members = 1
    is_padding = False
    for fed in pieces:
        while fed:
            if unpacker.eof:
                if is_padding or not fed.startswith(_GZIP_MAGIC[: len(fed)]):
                    if fed.strip(b"\0"):
                        raise RegisterRefused("is gzip with other data after it")
                    is_padding, fed = True, b""
                    continue
                members += 1
                if members > MEMBERS_MAX:
                    raise RegisterRefused(f"is gzip of over {MEMBERS_MAX} members")
                unpacker = zlib.decompressobj(wbits=31)
            try:
                yield unpacker.decompress(fed, PIECE_OCTETS)
            except zlib.error as error:
                raise RegisterRefused(f"is damaged gzip ({error})") from None
            fed = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    if not unpacker.eof:
        raise RegisterRefused("is gzip that ends too early")


def lines_of(pieces: Iterable[bytes], encoding: str, *, must_end: bool = False) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, line ends kept.  Raises `RegisterRefused`.

    `encoding`: one in which a line feed is one octet.  `must_end`: a last line without an end was cut off.
    """
    number = 0
    rest = b""
    for piece in pieces:
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        for octets in lines:
            number += 1
            yield number, _decoded(octets, encoding, number) + "\n"
        if len(rest) > LINE_OCTETS_MAX:
            raise RegisterRefused(f"a line of over {LINE_OCTETS_MAX:,} bytes", line=number + 1)
    if rest:
        if must_end:
            raise RegisterRefused("the last line does not end: the register is cut off", line=number + 1)
        yield number + 1, _decoded(rest, encoding, number + 1)


def _decoded(octets: bytes, encoding: str, line: int) -> str:
    if len(octets) > LINE_OCTETS_MAX:
        raise RegisterRefused(f"a line of over {LINE_OCTETS_MAX:,} bytes", line=line)
    try:
        return octets.decode(encoding)
    except UnicodeDecodeError as error:
        where = f"byte {error.start + 1} of the line"
        raise RegisterRefused(f"is not {encoding} text ({where})", line=line) from None
