"""What an entry is said to cost is what it costs."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from resolver.cache import ResponseCache
from resolver.wire.question import Question
from resolver.wire.response import ChainLink, Response


def name(number: int) -> bytes:
    label = b"host%07d" % number
    return bytes([len(label)]) + label + b"\7example\3org\0"


def small_answer(number: int) -> Response:
    address = number.to_bytes(4, "big")
    body = b"\xc0\x0c\0\1\0\1" + (300).to_bytes(4, "big") + b"\0\4" + address
    # Made at run time, as a parser makes them: constants would be shared by all entries.
    ttl_s = int.from_bytes(body[6:10], "big")
    offsets, ttls = (6 + 0 * number,), (ttl_s,)
    return Response(0, False, body, 1, 0, offsets, ttls, None, ttl_s, (), (), (address,), name(number))


def chained_answer(number: int) -> Response:
    links = tuple(ChainLink(name(number + 1 + step), 40 * step, step + 1) for step in range(3))
    addresses = tuple((number + step).to_bytes(4, "big") for step in range(4))
    ttls = tuple(1000 + number + step for step in range(7))
    offsets = tuple(250 + 20 * step for step in range(7))
    body = number.to_bytes(4, "big") * 100
    return Response(
        0, False, body, 7, 0, offsets, ttls, None, min(ttls), links, (), addresses, name(number + 3)
    )


@pytest.mark.slow
@pytest.mark.parametrize("make", [small_answer, chained_answer])
def test_accounted_octets_are_real_memory_within_15_percent(make: object) -> None:
    assert callable(make)
    count = 5000
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        cache = ResponseCache(64 << 20)
        for number in range(count):
            cache.store(Question(name(number), 1), make(number), float(number))
        gc.collect()
        real = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert cache.entries == count
    assert cache.octets == pytest.approx(real, rel=0.15)


def test_failures_are_accounted_too() -> None:
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        cache = ResponseCache(64 << 20)
        for number in range(5000):
            text = f"upstream {number} did not answer"
            cache.store_failure(Question(name(number), 1), (22, text), float(number))
        gc.collect()
        real = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert cache.octets == pytest.approx(real, rel=0.15)
