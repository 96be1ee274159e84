"""Client networks and the rate limiter."""

from ipaddress import ip_address, ip_network

import pytest

from resolver.flow.clients import BUCKETS_MAX, AccessList, RateLimiter


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.0", True),
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::192.0.2.1", False),
    ],
)
def test_only_listed_networks_may_ask(address: str, expected: bool) -> None:
    access = AccessList([ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")])
    assert access.allows(ip_address(address).packed) is expected


def test_an_empty_list_allows_nobody() -> None:
    assert not AccessList([]).allows(ip_address("127.0.0.1").packed)


def test_a_bucket_empties_and_fills_with_time() -> None:
    limiter = RateLimiter(2)
    client = ip_address("192.0.2.1").packed
    assert [limiter.takes(client, 100.0) for _ in range(3)] == [True, True, False]
    assert limiter.takes(client, 100.5)
    assert not limiter.takes(client, 100.5)


def test_one_client_does_not_spend_anothers_tokens() -> None:
    limiter = RateLimiter(1)
    assert limiter.takes(ip_address("192.0.2.1").packed, 5.0)
    assert limiter.takes(ip_address("192.0.2.2").packed, 5.0)


def test_an_ipv6_host_cannot_multiply_itself_within_its_64() -> None:
    limiter = RateLimiter(1)
    assert limiter.takes(ip_address("2001:db8::1").packed, 5.0)
    assert not limiter.takes(ip_address("2001:db8::ffff").packed, 5.0)
    assert limiter.takes(ip_address("2001:db8:0:1::1").packed, 5.0)


def test_a_flood_of_addresses_keeps_the_number_of_buckets_bounded() -> None:
    limiter = RateLimiter(1)
    for number in range(2 * BUCKETS_MAX):
        limiter.takes(number.to_bytes(4, "big"), 1.0)
    assert len(limiter._young) + len(limiter._old) <= BUCKETS_MAX


def test_a_busy_client_stays_limited_through_a_flood_of_addresses() -> None:
    limiter = RateLimiter(1)
    busy = ip_address("203.0.113.7").packed
    passed = 0
    for number in range(2 * BUCKETS_MAX):
        limiter.takes(number.to_bytes(4, "big"), 1.0)
        if number % 1000 == 0:
            passed += limiter.takes(busy, 1.0)
    assert passed == 1
