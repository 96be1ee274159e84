"""Unpredictable numbers from the operating system, drawn in big blocks.

Knows: `os.urandom`.  Does not know: what the numbers are for.
IDs, ports, letter case and socket choice are the only secrets between us and a forger
(RFC 5452 §9), so nothing on this path comes from a guessable generator.
"""

from __future__ import annotations

import os
from collections.abc import Callable

BLOCK_OCTETS = 16_384
"""One system call's worth: some 400 queries, so the call costs each of them under 0.1 µs."""

_LETTERS = bytes(0x20 if 0x61 <= octet <= 0x7A else 0 for octet in range(256))
"""Where a lower-case letter stands, its case bit; length octets are at most 63 and never letters."""


class Entropy:
    """A stock of random octets; `source(n)` refills it (tests give a counted or seeded one)."""

    __slots__ = ("_block", "_offset", "_source")

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._block = b""
        self._offset = 0

    def octets(self, count: int) -> bytes:
        """`count` fresh octets (at most `BLOCK_OCTETS`); no octet is handed out twice."""
        offset = self._offset
        end = offset + count
        if end > len(self._block):
            self._block = self._source(BLOCK_OCTETS)
            offset, end = 0, count
        self._offset = end
        return self._block[offset:end]

    def query_id(self) -> int:
        """A 16-bit message ID."""
        return int.from_bytes(self.octets(2), "big")

    def below(self, bound: int) -> int:
        """A number in [0, bound) for bounds far under 2**32, where the bias of `%` does not matter."""
        return int.from_bytes(self.octets(4), "big") % bound

    def port(self) -> int:
        """A UDP port in [1024, 65535]."""
        return 1024 + int.from_bytes(self.octets(4), "big") % 64_512

    def mix_case(self, qname: bytes) -> bytes:
        """`qname` (wire form, lower case) with each letter's case chosen by a coin."""
        length = len(qname)
        coins = int.from_bytes(self.octets(length), "big") & int.from_bytes(qname.translate(_LETTERS), "big")
        return (int.from_bytes(qname, "big") ^ coins).to_bytes(length, "big")
