"""Turns the addresses of a kept answer, so that they take turns at the front: most clients take the first.

Knows: which records may change places in a body as it is.  Does not know: for whom, whether it is wanted.
Theory: the records of an RRset of addresses have the same size and, but for their RDATA, the same octets, so
turning them moves octets and changes no offset.  How far they turn follows from the query's ID, which clients
choose by chance (Unbound does so too): no state to keep, and the same octets get the same answer.
"""

from __future__ import annotations

from functools import lru_cache

from resolver.wire.response import Response

TURNS_MAX = 8
"""Orders that one answer is given in; with more records than this it turns by several at once."""

_ADDRESS_TYPES = (b"\0\x01", b"\0\x1c")
_RRSIG_TYPE = b"\0\x2e"


class Turning:
    """Which octets of a body turn, and how."""

    __slots__ = ("_end", "_start", "shifts")

    def __init__(self, start: int, step: int, records: int) -> None:
        """`records` (at least 2) of `step` octets each, from `start` on."""
        self._start = start
        self._end = start + step * records
        turns = min(records, TURNS_MAX)
        self.shifts = tuple([number * records // turns * step for number in range(turns)])
        """For each order how many octets are moved from the front to the back."""

    def turned(self, body: bytes, number: int) -> bytes:
        """The body in the order that `number` (of the query's ID) chooses."""
        shift = self.shifts[number % len(self.shifts)]
        if not shift:
            return body
        start = self._start
        if not start and len(body) == self._end:
            return body[shift:] + body[:shift]
        return self.moved(body, 0, shift)

    def turned_back(self, message: bytes, body_at: int, number: int) -> bytes:
        """A message with the body at `body_at`, turned by `number`, as it is kept."""
        shift = self.shifts[number % len(self.shifts)]
        return self.moved(message, body_at, self._end - self._start - shift)

    def moved(self, message: bytes, body_at: int, shift: int) -> bytes:
        """A message with the body at `body_at`, so many octets moved from the row's front to its back."""
        start, end = body_at + self._start, body_at + self._end
        front = start + shift
        return message[:start] + message[front:end] + message[start:front] + message[end:]


@lru_cache(maxsize=4096)
def _shared(start: int, step: int, records: int) -> Turning:
    """The one object for all answers of this shape: nearly all have one of a few."""
    return Turning(start, step, records)


def turning_part(response: Response) -> Turning | None:
    """The addresses of an answer that may take turns; None: there are none, or they are in no such row."""
    count = len(response.addresses)
    if count < 2:
        return None
    first = start = 0
    if response.links:
        first, start = response.links[-1].ancount, response.links[-1].end
    body = response.body
    step = 12 + len(response.addresses[0])
    end = start + step * count
    offsets = response.ttl_offsets
    owner = body[start : start + 2]
    if (
        first + count > response.ancount
        or end > len(body)
        # Owners of two octets, pointers, so that no name begins here ...
        or offsets[first : first + count] != tuple(range(start + 6, end, step))
        # ... all to the same place before all these records.
        or body[start:end:step] != owner[:1] * count
        or body[start + 1 : end : step] != owner[1:] * count
        or body[start + 2 : start + 4] not in _ADDRESS_TYPES
        or response.nscount
    ):
        return None
    for offset in offsets[first + count :]:
        # Behind them only signatures over them, whose owners point to that place as well.
        if offset != end + 6 or body[end : end + 4] != owner + _RRSIG_TYPE:
            return None
        end = offset + 6 + (body[offset + 4] << 8 | body[offset + 5])
    return _shared(start, step, count)
