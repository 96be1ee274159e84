"""Which entry goes when the cache is full: S3-FIFO, counted in octets.

Knows: entries' sizes and use counts.  Does not know: what they answer, or the clock beyond `now`.
Theory (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): new entries enter
a small queue; the ones used again before they reach its end move to the main queue, the others
leave and only a fingerprint stays.  A name that comes back while its fingerprint is remembered goes
straight to main.  So a scan of one-time names passes through the small queue and never touches main.
Main is a FIFO with second chances.  No list surgery on a hit: a hit only counts.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import Final

from resolver.cache.entry import Seat

FREQUENCY_MAX: Final = 3
"""Use counts saturate here (two bits in the paper): second chances are few."""
PROMOTION_FREQUENCY: Final = 2
"""Uses after admission that lead from small to main; one retransmission is no sign of popularity."""
SMALL_SHARE: Final = 10
"""The small queue's part of the octets is 1/10 (the paper's 10 %)."""
STEPS_MAX: Final = 64
"""Entries looked at for one eviction, so that no store stalls the loop however many are popular."""
OCTETS_PER_FINGERPRINT: Final = 512
"""One remembered fingerprint per this many octets of cache: about as many as main has entries."""
FINGERPRINTS_MIN: Final = 64
_KIND_STEP: Final = 40503
"""Spreads the kinds of one name over the fingerprints; odd, so that none share a slot by its factor."""


class EvictionQueues:
    """The two queues and the memory of what left, with their octets."""

    def __init__(self, octets_max: int) -> None:
        self._small: deque[Seat] = deque()
        self._main: deque[Seat] = deque()
        self._small_octets = 0
        self._small_octets_max = octets_max // SMALL_SHARE
        slots = FINGERPRINTS_MIN
        while slots * OCTETS_PER_FINGERPRINT < octets_max:
            slots *= 2
        self._left_mask = slots - 1
        self._left = array("I", bytes(4 * slots))
        """Direct-mapped fingerprints; a newer one overwrites an older in its slot, which is its ageing."""
        self.own_octets = 4 * slots
        """Memory of the fingerprints, part of the cache's account from the start."""
        self.octets = self.own_octets

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def seats(self) -> list[Seat]:
        """All of them, main's first; a copy."""
        return [*self._main, *self._small]

    def admit(self, seat: Seat) -> None:
        """Take in a question not seated yet."""
        # Written out, not called: it runs for every new name.
        mixed = hash(seat.qname) + seat.kind * _KIND_STEP
        left = self._left
        slot = mixed & self._left_mask
        if left[slot] != mixed >> 32 & 0xFFFFFFFF:
            self._small.append(seat)
            self._small_octets += seat.octets
        else:
            # It left lately and is back already: straight to main.
            left[slot] = 0
            seat.in_main = True
            self._main.append(seat)
        self.octets += seat.octets

    def resize(self, seat: Seat, octets: int) -> None:
        """Note that a seat and its entry now cost `octets`."""
        change = octets - seat.octets
        seat.octets = octets
        self.octets += change
        if not seat.in_main:
            self._small_octets += change

    def evict(self, now: float, *, must: bool) -> Seat | None:
        """Unseat the entry least worth keeping.

        None when nothing is left, or when all that were looked at are popular and it need not be now
        (`must` False): the next call looks further.
        """
        for _ in range(STEPS_MAX):
            from_small = self._small_octets > self._small_octets_max or not self._main
            seat = self._pop(from_small)
            if seat is None:
                return None
            # An entry past its staleness can answer nothing, however popular it was.
            entry = seat.entry
            is_dead = now >= entry.stale_until and now >= entry.failed_until
            if is_dead:
                return seat
            if from_small:
                if entry.frequency < PROMOTION_FREQUENCY:
                    self._remember(seat)
                    return seat
                entry.frequency = 0
            elif entry.frequency > 0:
                entry.frequency -= 1
            else:
                return seat
            self._main.append(seat)
            seat.in_main = True
            self.octets += seat.octets
        return self._pop(from_small=not self._main) if must else None

    def _pop(self, from_small: bool) -> Seat | None:
        queue = self._small if from_small else self._main
        if not queue:
            return None
        seat = queue.popleft()
        self.octets -= seat.octets
        if from_small:
            self._small_octets -= seat.octets
        return seat

    def _remember(self, seat: Seat) -> None:
        # Python's hash of bytes is keyed per process, so nobody outside can aim at a slot.
        mixed = hash(seat.qname) + seat.kind * _KIND_STEP
        self._left[mixed & self._left_mask] = mixed >> 32 & 0xFFFFFFFF
