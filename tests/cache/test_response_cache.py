"""The cache keeps what it may, for as long as it may, and gives it only to the question it answers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from resolver.cache import FAILURE_TTL_MAX_S, CacheEntry, ResponseCache
from resolver.wire.numbers import NegativeKind, Qtype, Rcode
from resolver.wire.question import Question
from resolver.wire.response import ChainLink, Response

NAME = b"\3www\7example\3org\0"
OTHER = b"\3api\7example\3org\0"
UNREACHABLE = (22, "no upstream answered")
MEGABYTE = 1 << 20


def positive(ttl_s: int = 300, *, qname: bytes = NAME, address: bytes = b"\xc0\0\2\1") -> Response:
    """One A record."""
    body = b"\xc0\x0c\0\1\0\1" + ttl_s.to_bytes(4, "big") + b"\0\4" + address
    return Response(Rcode.NOERROR, False, body, 1, 0, (6,), (ttl_s,), None, ttl_s, (), (), (address,), qname)


def negative(kind: NegativeKind, ttl_s: int = 60) -> Response:
    """A SOA of the root's, as far as the cache looks."""
    body = b"\0\0\6\0\1" + ttl_s.to_bytes(4, "big") + b"\0\x16\0\0" + bytes(20)
    rcode = Rcode.NXDOMAIN if kind is NegativeKind.NXDOMAIN else Rcode.NOERROR
    return Response(rcode, False, body, 0, 1, (5,), (ttl_s,), kind, ttl_s, (), (), (), NAME)


def without_soa(kind: NegativeKind) -> Response:
    rcode = Rcode.NXDOMAIN if kind is NegativeKind.NXDOMAIN else Rcode.NOERROR
    return Response(rcode, False, b"", 0, 0, (), (), kind, 0, (), (), (), NAME)


@pytest.fixture
def cache() -> ResponseCache:
    return ResponseCache(MEGABYTE)


def look(cache: ResponseCache, now: float, qtype: int = Qtype.A, qname: bytes = NAME) -> CacheEntry | None:
    return cache.lookup(Question(qname, qtype), now)


def keep(cache: ResponseCache, response: Response, now: float, qtype: int = Qtype.A) -> CacheEntry | None:
    return cache.store(Question(NAME, qtype), response, now)


def test_an_answer_is_fresh_for_its_ttl_and_not_a_moment_longer(cache: ResponseCache) -> None:
    keep(cache, positive(300), now=1000.0)
    before = look(cache, 1299.9)
    assert before is not None and before.is_fresh(1299.9)
    after = look(cache, 1300.0)
    assert after is not None and not after.is_fresh(1300.0)


def test_an_expired_answer_is_usable_for_stale_max_and_then_gone() -> None:
    cache = ResponseCache(MEGABYTE, stale_max_s=100)
    keep(cache, positive(300), now=0.0)
    entry = look(cache, 399.9)
    assert entry is not None and entry.is_usable(399.9)
    assert look(cache, 400.0) is None


def test_ttl_zero_is_not_kept(cache: ResponseCache) -> None:
    assert keep(cache, positive(0), now=0.0) is None
    assert look(cache, 0.0) is None


def test_a_name_does_not_answer_for_another(cache: ResponseCache) -> None:
    keep(cache, positive(), now=0.0)
    assert look(cache, 1.0, qname=OTHER) is None


def test_a_type_does_not_answer_for_another(cache: ResponseCache) -> None:
    keep(cache, positive(), now=0.0)
    assert look(cache, 1.0, Qtype.AAAA) is None


@pytest.mark.parametrize("kept", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize("asked", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize("kind", [None, NegativeKind.NXDOMAIN, NegativeKind.NODATA])
def test_do_and_cd_are_part_of_the_question(
    cache: ResponseCache, kept: tuple[bool, bool], asked: tuple[bool, bool], kind: NegativeKind | None
) -> None:
    response = positive() if kind is None else negative(kind)
    cache.store(Question(NAME, Qtype.A, *kept), response, 0.0)
    assert (cache.lookup(Question(NAME, Qtype.A, *asked), 1.0) is not None) == (kept == asked)


def test_nxdomain_answers_every_type_of_the_name(cache: ResponseCache) -> None:
    keep(cache, negative(NegativeKind.NXDOMAIN), now=0.0)
    for qtype in (Qtype.A, Qtype.AAAA, Qtype.TXT, 65280):
        entry = look(cache, 1.0, qtype)
        assert entry is not None and entry.response is not None
        assert entry.response.negative is NegativeKind.NXDOMAIN


def test_nodata_answers_its_own_type_only(cache: ResponseCache) -> None:
    keep(cache, negative(NegativeKind.NODATA), now=0.0, qtype=Qtype.AAAA)
    entry = look(cache, 1.0, Qtype.AAAA)
    assert entry is not None and entry.response is not None
    assert entry.response.negative is NegativeKind.NODATA
    assert look(cache, 1.0, Qtype.A) is None


def test_nxdomain_behind_a_cname_answers_its_own_type_only(cache: ResponseCache) -> None:
    """The name itself exists: it has a CNAME."""
    behind = replace(negative(NegativeKind.NXDOMAIN), links=(ChainLink(OTHER, 20, 1),), name_at_end=OTHER)
    keep(cache, behind, now=0.0)
    assert look(cache, 1.0, Qtype.A) is not None
    assert look(cache, 1.0, Qtype.TXT) is None


@pytest.mark.parametrize("kind", list(NegativeKind))
def test_a_denial_without_soa_is_not_kept(kind: NegativeKind) -> None:
    cache = ResponseCache(MEGABYTE, ttl_min_s=60)
    assert keep(cache, without_soa(kind), now=0.0) is None
    assert look(cache, 0.0) is None


def test_a_newer_answer_takes_the_place_of_nxdomain(cache: ResponseCache) -> None:
    keep(cache, negative(NegativeKind.NXDOMAIN), now=0.0)
    keep(cache, positive(), now=1.0)
    entry = look(cache, 2.0)
    assert entry is not None and entry.response is not None and entry.response.negative is None
    assert look(cache, 2.0, Qtype.TXT) is None


def test_a_newer_nxdomain_takes_the_place_of_an_answer(cache: ResponseCache) -> None:
    keep(cache, positive(), now=0.0)
    keep(cache, negative(NegativeKind.NXDOMAIN), now=1.0)
    entry = look(cache, 2.0)
    assert entry is not None and entry.response is not None
    assert entry.response.negative is NegativeKind.NXDOMAIN


@pytest.mark.parametrize(("stale_max_s", "is_found"), [(86400, True), (0, False)])
def test_an_nxdomain_of_another_type_hides_no_records_fresh_or_stale(
    stale_max_s: int, is_found: bool
) -> None:
    """Some servers deny the name when AAAA is asked; the A that is kept says better."""
    cache = ResponseCache(MEGABYTE, stale_max_s=stale_max_s)
    keep(cache, positive(10), now=0.0, qtype=Qtype.A)
    keep(cache, negative(NegativeKind.NXDOMAIN), now=1.0, qtype=Qtype.AAAA)
    entry = look(cache, 2.0, Qtype.A)
    assert entry is not None and entry.is_fresh(2.0)
    entry = look(cache, 12.0, Qtype.A)
    assert (entry is not None) is is_found
    assert entry is None or (entry.response is not None and entry.response.negative is None)
    assert (cache.hits, cache.misses) == (1, 1)
    # Types of which nothing is kept are denied.
    entry = look(cache, 12.0, Qtype.TXT)
    assert entry is not None and entry.is_fresh(12.0)


def test_a_failure_is_noted_beside_the_records_that_an_nxdomain_does_not_hide(cache: ResponseCache) -> None:
    keep(cache, positive(10), now=0.0, qtype=Qtype.A)
    keep(cache, negative(NegativeKind.NXDOMAIN), now=11.0, qtype=Qtype.AAAA)
    cache.store_failure(Question(NAME, Qtype.A), (22, "why"), 12.0)
    entry = look(cache, 12.5, Qtype.A)
    assert entry is not None and entry.is_failing(12.5) and entry.is_usable(12.5)
    assert entry.response is not None and entry.response.negative is None


def test_a_fresh_nxdomain_wins_over_a_stale_nodata_of_another_type(cache: ResponseCache) -> None:
    keep(cache, negative(NegativeKind.NODATA), now=0.0, qtype=Qtype.TXT)
    keep(cache, negative(NegativeKind.NXDOMAIN), now=100.0, qtype=Qtype.A)
    entry = look(cache, 101.0, Qtype.TXT)
    assert entry is not None and entry.response is not None
    assert entry.response.negative is NegativeKind.NXDOMAIN


def test_a_newer_answer_is_a_new_entry_and_leaves_the_older_as_it_was(cache: ResponseCache) -> None:
    """Who answers from an entry it holds never sees another answer's records in it."""
    first = keep(cache, positive(10), now=0.0)
    second = keep(cache, positive(10, address=b"\xc0\0\2\2"), now=11.0)
    assert second is look(cache, 12.0)
    assert first is not None and first.response is not None and second is not None
    assert first.response.addresses == (b"\xc0\0\2\1",)
    assert not first.is_fresh(12.0)
    assert cache.entries == 1


def test_a_newer_answer_is_to_be_judged_again_and_keeps_its_popularity(cache: ResponseCache) -> None:
    first = keep(cache, positive(10), now=0.0)
    assert first is not None
    first.judged_generation, first.judgement, first.frequency = 7, "blocked", 2
    second = keep(cache, positive(10), now=11.0)
    assert second is not None
    assert (second.judged_generation, second.frequency) == (-1, 2)
    assert second.judgement is None


# Bounds of the TTL.


def test_ttl_max_caps_what_is_kept_and_what_is_said() -> None:
    entry = keep(ResponseCache(MEGABYTE, ttl_max_s=100), positive(1_000_000), now=0.0)
    assert entry is not None and entry.response is not None
    assert entry.expires_at == 100.0
    assert entry.response.ttls == (100,)
    assert entry.response.body[6:10] == (100).to_bytes(4, "big")


def test_ttl_min_raises_what_is_kept_and_what_is_said() -> None:
    entry = keep(ResponseCache(MEGABYTE, ttl_min_s=60), positive(5), now=0.0)
    assert entry is not None and entry.response is not None
    assert entry.expires_at == 60.0
    assert entry.response.body == positive(60).body


def test_a_ttl_within_bounds_is_left_alone() -> None:
    response = positive(70)
    entry = keep(ResponseCache(MEGABYTE, ttl_min_s=60, ttl_max_s=100), response, now=0.0)
    assert entry is not None
    assert entry.response is response


def test_denials_have_a_cap_of_their_own() -> None:
    cache = ResponseCache(MEGABYTE, negative_ttl_max_s=30)
    entry = keep(cache, negative(NegativeKind.NXDOMAIN, 600), now=0.0)
    assert entry is not None and entry.response is not None
    assert entry.expires_at == 30.0
    assert entry.response.ttls == (30,)
    assert keep(cache, positive(600), now=0.0, qtype=Qtype.AAAA).expires_at == 600.0  # type: ignore[union-attr]


# Failures (RFC 9520) and stale answers (RFC 8767).


def fail(cache: ResponseCache, now: float, qtype: int = Qtype.A) -> CacheEntry:
    return cache.store_failure(Question(NAME, qtype), UNREACHABLE, now)


def test_a_failure_is_remembered_for_a_second(cache: ResponseCache) -> None:
    fail(cache, 100.0)
    entry = look(cache, 100.9)
    assert entry is not None and entry.is_failing(100.9)
    assert entry.response is None
    assert entry.failure == UNREACHABLE
    assert look(cache, 101.0) is None


def test_failures_in_a_row_are_remembered_longer_but_never_over_five_seconds(cache: ResponseCache) -> None:
    now, lasted = 100.0, []
    for _ in range(5):
        until = fail(cache, now).failed_until
        lasted.append(until - now)
        now = until
    assert lasted == [1.0, 2.0, 4.0, FAILURE_TTL_MAX_S, FAILURE_TTL_MAX_S]


def test_a_failure_long_after_the_last_starts_at_a_second_again(cache: ResponseCache) -> None:
    fail(cache, 100.0)
    fail(cache, 101.0)
    assert fail(cache, 1000.0).failed_until == 1001.0


def test_a_failure_reported_by_each_who_waited_counts_once(cache: ResponseCache) -> None:
    assert {fail(cache, 100.0).failed_until for _ in range(5)} == {101.0}


def test_a_failure_answers_its_own_type_only(cache: ResponseCache) -> None:
    fail(cache, 0.0)
    assert look(cache, 0.5, Qtype.AAAA) is None


def test_a_failure_never_replaces_a_stale_answer(cache: ResponseCache) -> None:
    keep(cache, positive(10), now=0.0)
    fail(cache, 20.0)
    entry = look(cache, 20.5)
    assert entry is not None and entry.is_failing(20.5)
    assert entry.is_usable(20.5)


def test_a_failure_is_noted_on_a_stale_denial_of_the_name(cache: ResponseCache) -> None:
    keep(cache, negative(NegativeKind.NXDOMAIN, 10), now=0.0)
    fail(cache, 20.0, Qtype.TXT)
    entry = look(cache, 20.5, Qtype.TXT)
    assert entry is not None and entry.is_failing(20.5) and entry.is_usable(20.5)


def test_an_answer_ends_the_failure(cache: ResponseCache) -> None:
    fail(cache, 0.0)
    entry = keep(cache, positive(), now=0.5)
    assert entry is not None and not entry.is_failing(0.6)
    assert entry.failure is None
    assert entry.failed_until == -math.inf


def test_a_failure_takes_the_place_of_an_answer_past_its_staleness() -> None:
    cache = ResponseCache(MEGABYTE, stale_max_s=10)
    keep(cache, positive(10), now=0.0)
    assert fail(cache, 50.0).response is None
    assert cache.entries == 1


# Counters.


def test_hits_and_misses_count_whether_an_upstream_must_be_asked(cache: ResponseCache) -> None:
    look(cache, 0.0)
    keep(cache, positive(10), now=0.0)
    look(cache, 1.0)
    look(cache, 11.0)  # stale
    fail(cache, 12.0)
    look(cache, 12.5)  # stale, and asking is pointless
    assert (cache.hits, cache.misses) == (2, 2)


def test_a_use_is_counted_up_to_three(cache: ResponseCache) -> None:
    entry = keep(cache, positive(), now=0.0)
    assert entry is not None
    counts = []
    for _ in range(5):
        look(cache, 1.0)
        counts.append(entry.frequency)
    assert counts == [1, 2, 3, 3, 3]


# Off, and too large.


def test_a_cache_of_zero_octets_keeps_nothing() -> None:
    cache = ResponseCache(0)
    assert keep(cache, positive(), now=0.0) is None
    failed = fail(cache, 0.0)
    assert failed.failure == UNREACHABLE
    assert look(cache, 0.0) is None
    assert (cache.entries, cache.octets) == (0, 0)


def test_an_answer_too_large_for_the_cache_is_not_kept_and_voids_the_older_one() -> None:
    cache = ResponseCache(100_000)
    keep(cache, positive(), now=0.0)
    large = replace(positive(), body=positive().body + bytes(20_000))
    assert keep(cache, large, now=1.0) is None
    assert look(cache, 2.0) is None
