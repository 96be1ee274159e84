"""A full cache drops what is not used, keeps what is, and never grows past its octets."""

from __future__ import annotations

import pytest

from resolver.cache import ResponseCache
from resolver.cache.entry import Seat
from resolver.cache.eviction import STEPS_MAX, EvictionQueues
from resolver.wire.question import Question
from resolver.wire.response import Response


def name(kind: bytes, number: int) -> bytes:
    label = kind + b"%07d" % number
    return bytes([len(label)]) + label + b"\7example\3org\0"


def answer(qname: bytes, octets: int = 16) -> Response:
    body = b"\xc0\x0c\0\1\0\1" + (300).to_bytes(4, "big") + b"\0\4" + bytes(octets - 12)
    return Response(0, False, body, 1, 0, (6,), (300,), None, 300, (), (), (b"\xc0\0\2\1",), qname)


def store(cache: ResponseCache, qname: bytes, now: float = 0.0, octets: int = 16) -> None:
    cache.store(Question(qname, 1), answer(qname, octets), now)


def use(cache: ResponseCache, qname: bytes, now: float = 1.0) -> bool:
    """One client's question: from the cache, or fetched and kept."""
    if cache.lookup(Question(qname, 1), now) is not None:
        return True
    store(cache, qname, now)
    return False


def scan_survivors(hot_count: int, scanned: int, octets_max: int) -> tuple[int, ResponseCache]:
    """How many hot names are still hits after a scan that leaves them two uses in all."""
    cache = ResponseCache(octets_max)
    hot = [name(b"hot", number) for number in range(hot_count)]
    for _ in range(3):
        for qname in hot:
            use(cache, qname)
    for number in range(scanned):
        use(cache, name(b"scan", number))
        assert cache.octets <= octets_max
        if number % (scanned // 2) == scanned // 4:
            for qname in hot:
                use(cache, qname)
    return sum(cache.lookup(Question(qname, 1), 2.0) is not None for qname in hot), cache


def test_a_hot_set_survives_a_scan_of_one_time_names() -> None:
    # Room for about twice the hot set; the scan is fifty times it.
    survivors, cache = scan_survivors(2000, 100_000, octets_max=4 << 20)
    assert survivors == 2000
    assert cache.evictions > 90_000


def test_one_time_names_do_not_survive_a_scan() -> None:
    cache = ResponseCache(1 << 20)
    cold = [name(b"cold", number) for number in range(500)]
    for qname in cold:
        use(cache, qname)
    for number in range(5000):
        use(cache, name(b"scan", number))
    assert not any(cache.lookup(Question(qname, 1), 1.0) for qname in cold)


def test_octets_stay_within_the_bound_whatever_the_sizes() -> None:
    cache = ResponseCache(300_000)
    for number in range(3000):
        store(cache, name(b"any", number % 900), octets=16 + number * 7919 % 4000)
        assert cache.octets <= 300_000
    assert cache.evictions > 0
    assert cache.entries > 0


def test_a_name_that_comes_back_soon_after_it_left_goes_straight_to_main() -> None:
    cache = ResponseCache(100_000)
    first = name(b"back", 0)
    use(cache, first)
    number = 0
    while not cache.evictions:  # the first to come is the first to leave
        number += 1
        store(cache, name(b"scan", number))
    store(cache, first)
    entry = cache.lookup(Question(first, 1), 1.0)
    assert entry is not None and entry.seat.in_main


def test_a_new_name_starts_in_the_small_queue() -> None:
    cache = ResponseCache(100_000)
    store(cache, name(b"new", 0))
    entry = cache.lookup(Question(name(b"new", 0), 1), 1.0)
    assert entry is not None and not entry.seat.in_main


def test_popular_entries_past_their_staleness_leave_first() -> None:
    queues = EvictionQueues(10_000)
    dead, alive = Seat(b"\1a\0", 4, 2000), Seat(b"\1b\0", 4, 2000)
    dead.entry.stale_until, alive.entry.stale_until = 10.0, 1000.0
    for seat in (dead, alive):
        seat.entry.frequency = 3
        queues.admit(seat)
    assert queues.evict(20.0, must=True) is dead


@pytest.mark.parametrize("count", [1, STEPS_MAX, 10 * STEPS_MAX])
def test_an_eviction_ends_soon_although_all_are_popular(count: int) -> None:
    queues = EvictionQueues(1_000_000)
    for number in range(count):
        seat = Seat(name(b"pop", number), 4, 500)
        seat.entry.frequency, seat.entry.stale_until = 3, 1000.0
        queues.admit(seat)
    assert queues.evict(0.0, must=True) is not None
    assert len(queues) == count - 1


def test_an_eviction_that_can_wait_spares_the_popular() -> None:
    queues = EvictionQueues(1000)
    for number in range(2 * STEPS_MAX):
        seat = Seat(name(b"pop", number), 4, 500)
        seat.entry.frequency, seat.entry.stale_until = 3, 1000.0
        queues.admit(seat)
    assert queues.evict(0.0, must=False) is None
    assert len(queues) == 2 * STEPS_MAX


def test_nothing_is_evicted_from_nothing() -> None:
    assert EvictionQueues(1000).evict(0.0, must=True) is None


def test_a_type_asked_once_leaves_no_table_behind() -> None:
    cache = ResponseCache(50_000)
    qname = name(b"types", 0)
    for qtype in range(1000, 3000):
        cache.store(Question(qname, qtype), answer(qname), 0.0)
    assert len(cache._tables) <= cache.entries + 4


def test_what_is_evicted_is_freed_without_the_collector() -> None:
    cache = ResponseCache(50_000)
    entry = cache.store(Question(name(b"gone", 0), 1), answer(name(b"gone", 0)), 0.0)
    assert entry is not None
    seat = entry.seat
    number = 0
    while not cache.evictions:
        number += 1
        store(cache, name(b"scan", number))
    assert not hasattr(seat, "entry")
