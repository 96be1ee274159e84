"""TTLs run down, and nothing else in a body changes."""

from __future__ import annotations

import pytest

from resolver.wire.response import Response
from resolver.wire.ttl import age_body, with_ttl
from tests.support.wirebuild import QNAME, accepted, rr, sent, soa, wire_name

TARGET = wire_name("web.example.net")


@pytest.fixture
def chain() -> Response:
    cname = rr(QNAME, 5, TARGET, 300)
    addresses = [rr(TARGET, 1, bytes((192, 0, 2, n)), 60) for n in (1, 2)]
    return accepted(sent(), [cname, *addresses])


def single(ttl: int) -> Response:
    return accepted(sent(), [rr(QNAME, 1, b"\xc0\0\2\1", ttl)])


def test_after_five_seconds_a_ttl_is_five_less() -> None:
    assert age_body(single(300), 5) == rr(QNAME, 1, b"\xc0\0\2\1", 295)


def test_every_ttl_of_a_chain_runs_down(chain: Response) -> None:
    aged = age_body(chain, 5)
    assert aged == (
        rr(QNAME, 5, TARGET, 295) + b"".join(rr(TARGET, 1, bytes((192, 0, 2, n)), 55) for n in (1, 2))
    )


@pytest.mark.parametrize("age_s", [300, 301, 10**9])
def test_a_ttl_never_falls_below_zero(age_s: int, chain: Response) -> None:
    assert age_body(single(300), age_s) == rr(QNAME, 1, b"\xc0\0\2\1", 0)
    assert age_body(chain, age_s).count(b"\0\0\0\0") == 3


def test_age_zero_changes_nothing(chain: Response) -> None:
    assert age_body(chain, 0) == chain.body
    assert age_body(single(7), 0) == single(7).body


def test_a_cap_lowers_long_ttls_and_leaves_short_ones(chain: Response) -> None:
    assert age_body(single(300), 5, ttl_max=30) == rr(QNAME, 1, b"\xc0\0\2\1", 30)
    assert age_body(single(20), 5, ttl_max=30) == rr(QNAME, 1, b"\xc0\0\2\1", 15)
    assert age_body(chain, 0, ttl_max=100).startswith(rr(QNAME, 5, TARGET, 100))
    assert age_body(chain, 0, ttl_max=100).endswith(rr(TARGET, 1, b"\xc0\0\2\2", 60))


def test_a_body_without_records_has_nothing_to_age() -> None:
    empty = accepted(sent())
    assert age_body(empty, 5) == b"" == with_ttl(empty, 30)


def test_a_negative_answer_ages_in_its_soa() -> None:
    negative = accepted(sent(), [], [soa(ttl=300, minimum=60)], flags=0x8183)
    assert age_body(negative, 10) == soa(ttl=50, minimum=60)


def test_stale_answers_carry_one_ttl_throughout(chain: Response) -> None:
    assert with_ttl(chain, 30) == (
        rr(QNAME, 5, TARGET, 30) + b"".join(rr(TARGET, 1, bytes((192, 0, 2, n)), 30) for n in (1, 2))
    )
