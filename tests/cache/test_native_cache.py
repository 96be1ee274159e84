"""Entries that crossed the line to the native plane's cache and back."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from resolver.cache import NativeCache
from resolver.cache.native_cache import fields_of, response_of
from resolver.wire.numbers import ExtendedError, NegativeKind
from resolver.wire.question import Question
from resolver.wire.response import ChainLink, Response
from tests.support import fake_native

NAME = b"\3www\7example\3org\0"
QUESTION = Question(NAME, 1)
TARGET = b"\3cdn\7example\3org\0"
FULL = Response(
    rcode=3,
    authentic_data=True,
    body=bytes(60),
    ancount=2,
    nscount=1,
    ttl_offsets=(6, 40),
    ttls=(300, 200),
    negative=NegativeKind.NXDOMAIN,
    ttl_s=200,
    links=(ChainLink(TARGET, 30, 1),),
    service_targets=(TARGET,),
    addresses=(b"\xc0\0\2\1",),
    name_at_end=TARGET,
)
PLAIN = Response(
    0,
    False,
    b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2\1",
    1,
    0,
    (6,),
    (300,),
    None,
    300,
    (),
    (),
    (b"\xc0\0\2\1",),
    NAME,
)


def native_module() -> Any:
    return pytest.importorskip("resolver_native")


@pytest.fixture(params=["fake", "native"])
def cache(request: pytest.FixtureRequest) -> NativeCache:
    module: ModuleType = fake_native if request.param == "fake" else native_module()
    return NativeCache(module.Cache(1 << 20, ttl_min_s=0, ttl_max_s=86400))


@pytest.mark.parametrize(
    "response",
    [FULL, PLAIN, replace(FULL, negative=NegativeKind.NODATA), replace(FULL, negative=None, links=())],
    ids=["nxdomain", "plain", "nodata", "positive"],
)
def test_a_response_is_the_same_after_two_crossings(response: Response) -> None:
    assert response_of(NAME, fields_of(response)) == response


def test_an_answer_that_was_stored_is_found_with_its_times(cache: NativeCache) -> None:
    assert cache.lookup(QUESTION, 1000.0) is None
    stored = cache.store(QUESTION, PLAIN, 1000.0)
    found = cache.lookup(QUESTION, 1010.0)
    assert stored is not None and found is not None
    assert found.response == stored.response == PLAIN
    assert (found.stored_at, found.expires_at, found.stale_until) == (1000.0, 1300.0, 87700.0)
    assert found.failure is None
    assert found.judgement is None
    assert cache.entries == 1
    assert cache.octets > 0
    assert (cache.hits, cache.misses, cache.evictions) == (1, 1, 0)


def test_another_kind_of_question_finds_nothing(cache: NativeCache) -> None:
    cache.store(QUESTION, PLAIN, 1000.0)
    for question in (
        Question(NAME, 28),
        Question(NAME, 1, dnssec_ok=True),
        Question(NAME, 1, checking_disabled=True),
        Question(TARGET, 1),
    ):
        assert cache.lookup(question, 1010.0) is None


def test_what_may_not_be_kept_is_not(cache: NativeCache) -> None:
    assert cache.store(QUESTION, replace(PLAIN, ttls=(0,), ttl_s=0), 1000.0) is None
    assert cache.entries == 0


def test_a_failure_comes_back_with_what_is_to_be_said_of_it(cache: NativeCache) -> None:
    said = (ExtendedError.NO_REACHABLE_AUTHORITY, "no upstream answered in time")
    noted = cache.store_failure(QUESTION, said, 1000.0)
    found = cache.lookup(QUESTION, 1000.5)
    assert found is not None
    assert found.response is None
    assert found.failure == noted.failure == said
    assert found.failed_until == noted.failed_until == 1001.0
    assert cache.lookup(QUESTION, 1001.0) is None


def test_misses_that_both_planes_looked_up_count_once(cache: NativeCache) -> None:
    for _ in "plane", "python":
        found = cache.lookup(QUESTION, 1000.0)
    cache.uncount(found, 1000.0)
    assert (cache.hits, cache.misses) == (0, 1)


def test_hits_that_both_planes_looked_up_count_once(cache: NativeCache) -> None:
    cache.store(QUESTION, PLAIN, 1000.0)
    for _ in "plane", "python":
        found = cache.lookup(QUESTION, 1000.0)
    cache.uncount(found, 1000.0)
    assert (cache.hits, cache.misses) == (1, 0)
