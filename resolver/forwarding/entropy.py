"""Unpredictable numbers from the operating system, drawn in big blocks.

Knows: `os.urandom`.  Does not know: sockets, messages.
IDs, ports, letter case and socket choice are the only secrets between us and a forger
(RFC 5452 §9), so nothing on this path comes from a guessable generator.
"""

from __future__ import annotations

import os
from collections.abc import Callable

BLOCK_OCTETS = 8192
"""One system call's worth: some 300 queries, so the call costs each of them under 0.1 µs."""

_LETTERS = bytes(0x20 if 0x61 <= octet <= 0x7A else 0 for octet in range(256))
"""Where a lower-case letter stands, its case bit; length octets are at most 63 and never letters."""

COINED_OCTETS_MAX = 48
"""Names up to this long take their coins from one number of 64 bits."""

_SPREAD = sum(1 << 65 * copy for copy in range(COINED_OCTETS_MAX // 8))
"""Multiplied by this, a number of 64 bits stands there six times, each time shifted by one bit more, so that
the 48 case bits (`_CASE_BITS`) of the product are 48 different bits of the number."""

_CASE_BITS = int.from_bytes(b"\x20" * COINED_OCTETS_MAX, "big")

_as_int = int.from_bytes


class Entropy:
    """A stock of random numbers; `source(n)` refills it (tests give a seeded one).

    No octet is used twice.
    """

    __slots__ = ("_block", "_coins", "_numbers", "_offset", "_source")

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._block = b""
        self._offset = 0
        self._numbers: list[int] = []
        self._coins: list[int] = []

    def query_id(self) -> int:
        """A 16-bit message ID."""
        numbers = self._numbers
        if not numbers:
            # In place: `below` and `query_id` share the stock.
            numbers.extend(memoryview(self._source(BLOCK_OCTETS)).cast("H").tolist())
        return numbers.pop()

    def below(self, bound: int) -> int:
        """A number in [0, bound), for bounds up to 65,536; even to within one part in 65,536 / bound."""
        numbers = self._numbers
        return ((numbers.pop() if numbers else self.query_id()) * bound) >> 16

    def mix_case(self, qname: bytes) -> bytes:
        """`qname` (wire form, lower case) with each letter's case chosen by a coin."""
        length = len(qname)
        if length <= COINED_OCTETS_MAX:
            coins = self._coins
            if not coins:
                numbers = memoryview(self._source(BLOCK_OCTETS)).cast("Q").tolist()
                coins.extend([number * _SPREAD & _CASE_BITS for number in numbers])
            plain = _as_int(qname, "big")
            # Letters have both 0x40 and 0x20 set, and of a host name's octets only they.
            mixed = (plain ^ (plain & plain >> 1 & coins.pop())).to_bytes(length, "big")
            if mixed.lower() == qname:
                return mixed
        return self._mix_any(qname, length)

    def _mix_any(self, qname: bytes, length: int) -> bytes:
        """The same for names of any octets, and longer ones."""
        offset = self._offset
        end = offset + length
        if end > len(self._block):
            self._block = self._source(BLOCK_OCTETS)
            offset, end = 0, length
        self._offset = end
        coins = _as_int(self._block[offset:end], "big") & _as_int(qname.translate(_LETTERS), "big")
        return (_as_int(qname, "big") ^ coins).to_bytes(length, "big")
