"""Places for connections, for a whole server and for each client."""

from __future__ import annotations

from ipaddress import ip_address

from resolver.listeners.limits import TOO_MANY, TOO_MANY_OF_CLIENT, ConnectionLimits


def take(limits: ConnectionLimits, address: str) -> str | None:
    return limits.take(ip_address(address).packed)


def free(limits: ConnectionLimits, address: str) -> None:
    limits.free(ip_address(address).packed)


def test_each_client_has_its_own_places() -> None:
    limits = ConnectionLimits(10, 2)
    assert [take(limits, "192.0.2.1") for _ in range(3)] == [None, None, TOO_MANY_OF_CLIENT]
    assert take(limits, "192.0.2.2") is None
    assert limits.open == 3


def test_all_clients_together_have_so_many() -> None:
    limits = ConnectionLimits(3, 2)
    assert [take(limits, f"192.0.2.{number}") for number in range(4)] == [None, None, None, TOO_MANY]
    assert limits.open == 3


def test_hosts_of_one_ipv6_64_share_their_places() -> None:
    limits = ConnectionLimits(10, 1)
    assert take(limits, "2001:db8::1") is None
    assert take(limits, "2001:db8::ffff:1") == TOO_MANY_OF_CLIENT
    assert take(limits, "2001:db8:0:1::1") is None


def test_a_place_given_back_is_free_for_whoever_shares_it() -> None:
    limits = ConnectionLimits(1, 1)
    assert take(limits, "2001:db8::1") is None
    free(limits, "2001:db8::1")
    assert take(limits, "2001:db8::2") is None


def test_a_client_without_connections_is_not_remembered() -> None:
    limits = ConnectionLimits(10, 1)
    for number in range(100):
        assert take(limits, f"192.0.2.{number}") is None
        assert take(limits, f"192.0.2.{number}") == TOO_MANY_OF_CLIENT
        free(limits, f"192.0.2.{number}")
    assert limits.open == 0
    assert not limits._open_of_client
