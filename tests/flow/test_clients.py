"""Client networks, who counts as one client, and the rate limiter."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from resolver.flow.clients import BUCKETS_MAX, UNKNOWN, Clients, RateLimiter, client_key

VECTORS: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "vectors/clients.yaml").read_text())


@pytest.mark.parametrize("case", VECTORS["standings"], ids=lambda case: case["name"])
def test_a_client_has_the_standing_that_the_vector_says(case: dict[str, Any]) -> None:
    clients = Clients([ip_network(text) for text in case["networks"]])
    for address, group, is_allowed in case["clients"]:
        assert clients.standing(ip_address(address).packed) == (group, is_allowed), address


@pytest.mark.parametrize(("address", "key"), VECTORS["keys"])
def test_a_client_counts_under_the_key_that_the_vector_says(address: str, key: str) -> None:
    assert client_key(ip_address(address).packed) == bytes.fromhex(key)


def test_a_client_that_was_not_looked_up_may_not_ask() -> None:
    assert not UNKNOWN.is_allowed
    stranger = Clients([]).standing(ip_address("127.0.0.1").packed)
    assert stranger is not UNKNOWN  # or it would be looked up with every query


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


def test_an_ipv4_client_has_one_bucket_however_its_address_is_written() -> None:
    limiter = RateLimiter(1)
    assert limiter.takes(ip_address("192.0.2.1").packed, 5.0)
    assert not limiter.takes(ip_address("::ffff:192.0.2.1").packed, 5.0)
    assert limiter.takes(ip_address("::ffff:192.0.2.2").packed, 5.0)


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
