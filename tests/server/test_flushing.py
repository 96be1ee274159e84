"""A name is forgotten in all its types, with what is under it where that is meant, and nothing else is."""

from __future__ import annotations

import asyncio
import struct

import pytest

from resolver.cache import AnyCache, NativeCache, ResponseCache
from resolver.cache.flushing import NAMES_AT_ONCE
from resolver.server.changes import flush_cache
from resolver.server.engine import Unusable, load_native
from resolver.wire.names import name_from_text as n
from resolver.wire.numbers import Qtype
from resolver.wire.question import Question
from resolver.wire.response import Response

MEGABYTE = 1 << 20
UNREACHABLE = (22, "no upstream answered")


@pytest.fixture(params=["python", "native"])
def cache(request: pytest.FixtureRequest) -> AnyCache:
    if request.param == "python":
        return ResponseCache(8 * MEGABYTE)
    try:
        module = load_native()
    except (ImportError, Unusable) as error:
        pytest.skip(str(error))
    return NativeCache(module.Cache(8 * MEGABYTE))


def keep(cache: AnyCache, name: str, qtype: int = Qtype.A, *, dnssec_ok: bool = False) -> None:
    body = b"\xc0\x0c" + struct.pack("!HHIH", qtype, 1, 300, 4) + b"\xc0\0\2\1"
    addresses = (b"\xc0\0\2\1",) if qtype == Qtype.A else ()
    response = Response(0, False, body, 1, 0, (6,), (300,), None, 300, (), (), addresses, n(name))
    assert cache.store(Question(n(name), qtype, dnssec_ok), response, 0.0) is not None


def is_known(cache: AnyCache, name: str, qtype: int = Qtype.A, *, dnssec_ok: bool = False) -> bool:
    entry = cache.lookup(Question(n(name), qtype, dnssec_ok), 0.5)
    return entry is not None and (entry.response is not None or entry.failure is not None)


def flush(cache: AnyCache, name: str, *, subtree: bool = False) -> int:
    return asyncio.run(flush_cache(cache, n(name), subtree=subtree))


def test_name_is_forgotten_in_all_types_and_no_other_name_is(cache: AnyCache) -> None:
    keep(cache, "example.org")
    keep(cache, "example.org", Qtype.TXT)
    keep(cache, "example.org", dnssec_ok=True)
    for other in ("www.example.org", "wwwexample.org", "org", "example.net"):
        keep(cache, other)
    assert flush(cache, "Example.ORG.") == 3
    assert not is_known(cache, "example.org") and not is_known(cache, "example.org", Qtype.TXT)
    assert not is_known(cache, "example.org", dnssec_ok=True)
    for other in ("www.example.org", "wwwexample.org", "org", "example.net"):
        assert is_known(cache, other)
    assert flush(cache, "example.org") == 0


def test_subtree_takes_what_is_under_the_name_and_nothing_that_ends_alike(cache: AnyCache) -> None:
    for name in ("example.org", "www.example.org", "a.b.example.org", "wwwexample.org"):
        keep(cache, name)
    assert flush(cache, "example.org", subtree=True) == 3
    assert not is_known(cache, "a.b.example.org") and is_known(cache, "wwwexample.org")


def test_failures_are_forgotten_too(cache: AnyCache) -> None:
    cache.store_failure(Question(n("down.example.org"), Qtype.A), UNREACHABLE, 0.0)
    assert is_known(cache, "down.example.org")
    assert flush(cache, "down.example.org") == 1
    assert not is_known(cache, "down.example.org")


def test_forgotten_name_is_kept_again(cache: AnyCache) -> None:
    keep(cache, "example.org")
    flush(cache, "example.org")
    keep(cache, "example.org")
    assert is_known(cache, "example.org")


def test_root_with_its_subtree_is_everything(cache: AnyCache) -> None:
    count = NAMES_AT_ONCE + 10
    for number in range(count):
        keep(cache, f"n{number}.example.org")
    assert flush(cache, ".", subtree=True) == count
