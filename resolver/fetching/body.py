"""A body as it comes over the wire -> a file of what it unpacks to, both bounded.

Knows: content codings, caps, hashes.  Does not know: HTTP, what the file is for, the event loop: call
it in a thread.
A thousand octets of gzip may unpack to a million, so nothing is unpacked whole: pieces of
`PIECE_OCTETS` are counted before the next is asked for.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import IO

from resolver.fetching.outcome import FetchFailed, Result

PIECE_OCTETS = 1 << 18
"""Unpacked at a time."""
MEMBERS_MAX = 10_000
"""Of one packed body: each costs a copy of what lies behind it."""

_GZIP, _ZLIB, _BARE = 31, 15, -15
"""zlib's names for the three wrappings of DEFLATE."""
CODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})


class Body:
    """Takes octets of one body and writes them, unpacked, to `file`."""

    def __init__(self, file: IO[bytes], coding: str, octets_max: int) -> None:
        """`coding`: the Content-Encoding.  Raises FetchFailed for one nobody asked for."""
        if coding not in CODINGS:
            raise FetchFailed(Result.NOT_A_LIST, f"content coding {coding!r}, which was not asked for")
        self.wire_octets = 0
        self.octets = 0
        self._file = file
        self._coding = coding
        self._octets_max = octets_max
        self._sha256 = hashlib.sha256()
        self._unpacker: zlib._Decompress | None = None
        self._members = 0

    @property
    def sha256(self) -> str:
        """Of what was unpacked so far, in hex."""
        return self._sha256.hexdigest()

    def take(self, octets: bytes) -> None:
        """Write more of it.  Raises FetchFailed and OSError."""
        self.wire_octets += len(octets)
        if self.wire_octets > self._octets_max:
            raise self._too_large("over the wire")
        for piece in self._unpacked(octets) if self._coding not in ("", "identity") else (octets,):
            self.octets += len(piece)
            if self.octets > self._octets_max:
                raise self._too_large("unpacked")
            self._sha256.update(piece)
            self._file.write(piece)

    def end(self) -> None:
        """The last octets have come.  Raises FetchFailed when they can not be the last."""
        if self._unpacker is not None and not self._unpacker.eof:
            raise FetchFailed(Result.TRUNCATED, "the packed body ends before its end")

    def _unpacked(self, octets: bytes) -> Iterator[bytes]:
        while octets:
            if self._unpacker is None or self._unpacker.eof:
                # RFC 1952 §2.2: a gzip file is one member after another.
                self._members += 1
                if self._members > MEMBERS_MAX:
                    raise FetchFailed(Result.TOO_LARGE, f"a gzip file of more than {MEMBERS_MAX:,} members")
                self._unpacker = zlib.decompressobj(self._wrapping(octets[0]))
            unpacker = self._unpacker
            try:
                yield unpacker.decompress(octets, PIECE_OCTETS)
                while unpacker.unconsumed_tail:
                    yield unpacker.decompress(unpacker.unconsumed_tail, PIECE_OCTETS)
            except zlib.error as error:
                raise FetchFailed(Result.TRUNCATED, f"the packed body is damaged: {error}") from None
            octets = unpacker.unused_data

    def _wrapping(self, first: int) -> int:
        if self._coding != "deflate":
            return _GZIP
        # RFC 9110 §8.4.1.2 means zlib's wrapping, and says that some send none.
        return _ZLIB if first & 0x0F == 8 else _BARE

    def _too_large(self, where: str) -> FetchFailed:
        return FetchFailed(
            Result.TOO_LARGE, f"over {self._octets_max:,} bytes {where}; the list's size_mb_max permits more"
        )
