"""Whole answers by whole queries: the short cut past all gates but the client's own two.

Knows: octets in, `Respond` out, a limit.  Does not know: why the answer is what it is.
Theory: two dicts.  Entries are written to the young one; when it holds half the limit it
becomes the old one and the old one is dropped.  A hit in the old one moves the entry back, so
what is asked often stays and what was asked once leaves, without any order kept on a hit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from resolver.cache.entry import CacheEntry
from resolver.cache.eviction import FREQUENCY_MAX
from resolver.flow.outcome import Respond
from resolver.wire.query import Query
from resolver.wire.ttl import age_body
from resolver.wire.turning import Turning

ENTRY_OVERHEAD_OCTETS = 430
"""What CPython needs for one entry beside its octets: dict slot, key, `Respond`, `Remembered` (64-bit)."""

CACHE_ENTRY_OCTETS = 600
"""What a cache entry that only the memo still holds needs beside its body."""

TURN_OVERHEAD_OCTETS = 50
"""What each order of an answer needs beside its octets: the object and its place in a list."""

MEMO_OCTETS_MAX = 64 << 20
"""More gains nothing: some 60,000 questions are a network's hot set."""

LEAVE_AT_ONCE = 4
"""Answers dropped for each one remembered: the leaving half is gone long before the next one comes."""

SEEN_MAX = 32_768
"""Questions remembered by hash alone, to tell the second time from the first: about 3 MB."""


@dataclass(slots=True, eq=False)
class Remembered:
    """An answer, and how long it may be repeated."""

    answer: Respond
    generation: int = 0
    """The policy generation it was judged under."""
    good_until: float = -math.inf
    """Monotonic seconds until which the answer may be sent again unchanged."""
    entry: CacheEntry | None = None
    """What to rebuild the answer from when its TTLs have aged: `head`, the body of `entry`, `opt`."""
    head: bytes = b""
    opt: bytes = b""
    turning: Turning | None = None
    """Which addresses of the answer take turns, its offset that of a body behind `turn_at`."""
    turn_at: int = 0
    turns: list[bytes] | None = None
    """The answer in each order, made when first wanted (empty till then); the first is as it is kept."""

    def in_order(self, number: int) -> bytes:
        """The tail in the order that `number` chooses, made now."""
        assert self.turns is not None and self.turning is not None
        number %= len(self.turns)
        tail = self.turning.moved(self.turns[0], self.turn_at, self.turning.shifts[number])
        self.turns[number] = tail
        return tail

    def aged(self, entry: CacheEntry, now: float) -> Respond:
        """The answer, the TTLs of what `entry` gave it brought up to this second."""
        age_s = int(now - entry.stored_at)
        assert entry.response is not None
        answer = self.answer
        answer.tail = self.head + age_body(entry.response, age_s) + self.opt
        if self.turning is not None:
            self.turns = orders_of(answer.tail, self.turning)
        self.good_until = min(entry.stored_at + age_s + 1, entry.expires_at)
        if entry.frequency < FREQUENCY_MAX:
            entry.frequency += 1  # the cache never sees these uses
        return answer


def orders_of(tail: bytes, turning: Turning) -> list[bytes]:
    """The orders of an answer, all but the first still to be made."""
    return [tail, *[b""] * (len(turning.shifts) - 1)]


class Memo:
    """Answers by the octets after a query's ID; at most `octets_max` octets of memory."""

    def __init__(self, octets_max: int) -> None:
        self._half_max = min(octets_max, MEMO_OCTETS_MAX) // 2
        self._young: dict[bytes, Remembered] = {}
        self.old: dict[bytes, Remembered] = {}
        """The half that is on its way out; look there by `recall`, when `find` knows nothing."""
        self._leaving: dict[bytes, Remembered] = {}
        self._young_octets = 0
        self._seen: set[int] = set()
        self.find = self._young.get

    def recall(self, key: bytes) -> Remembered | None:
        """The old half's answer, moved to the young one; for when `find` knew none."""
        known = self.old.pop(key, None)
        if known is not None:
            self.remember(key, known)
        return known

    def is_asked_again(self, key: bytes) -> bool:
        """Whether `key` was seen lately; so that what is asked once costs no more than this."""
        if not self._half_max:
            return False  # It is off: nothing is remembered.
        seen = self._seen
        fingerprint = hash(key)
        if fingerprint in seen:
            return True
        if len(seen) >= SEEN_MAX:
            seen.clear()
        seen.add(fingerprint)
        return False

    def consider(
        self,
        query: Query,
        answer: Respond,
        generation: int,
        good_until: float,
        entry: CacheEntry | None,
        turning: Turning | None,
    ) -> None:
        """Remember `answer`, made from the body of `entry` if any, once its query is asked again.

        `turning`: which addresses in it take turns; they are in the order that is this query's.
        """
        key = query.octets[2:]
        if not self.is_asked_again(key):
            return
        known = Remembered(answer, generation, good_until)
        tail = answer.tail
        if entry is not None and entry.response is not None and not tail[0] & 0x02:  # not truncated
            body_at = query.question_end - 2
            known.entry = entry
            known.head = tail[:body_at]
            known.opt = tail[body_at + len(entry.response.body) :]
        if turning is not None and not tail[0] & 0x02:
            known.turning = turning
            known.turn_at = query.question_end - 2
            tail = turning.turned_back(tail, known.turn_at, query.octets[1])
            known.turns = orders_of(tail, turning)
        self.remember(key, known)

    def remember(self, key: bytes, known: Remembered) -> None:
        """Keep an answer for queries whose octets after the ID are `key`."""
        octets = ENTRY_OVERHEAD_OCTETS + len(key) + len(known.answer.tail) + len(known.head) + len(known.opt)
        if known.turns is not None:
            octets += len(known.turns) * (len(known.answer.tail) + TURN_OVERHEAD_OCTETS)
        if known.entry is not None and known.entry.response is not None:
            # The cache may let its entry go while we hold it.
            octets += CACHE_ENTRY_OCTETS + len(known.entry.response.body)
        if self._young_octets + octets > self._half_max:
            if octets > self._half_max:
                return
            self._leaving, self.old, self._young = self.old, self._young, {}
            self._young_octets = 0
            self.find = self._young.get
        # Letting a whole half go at once would stop the loop for tens of milliseconds.
        leaving = self._leaving
        for _ in range(min(LEAVE_AT_ONCE, len(leaving))):
            leaving.popitem()
        self._young[key] = known
        self._young_octets += octets

    def __len__(self) -> int:
        return len(self._young) + len(self.old)
