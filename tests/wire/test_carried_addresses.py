"""NAT64 prefixes: which there may be, and how ipv4only.arpa tells them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.wire.carried_addresses import (
    NAT64_PREFIXES_MAX,
    PLACES,
    Nat64Prefix,
    carried_addresses,
    found_prefixes,
    nat64_prefix,
)
from tests.support.for_each import for_each


def embedded(prefix: Nat64Prefix, ipv4: bytes) -> bytes:
    octets = bytearray(prefix.octets)
    for place, octet in zip(PLACES[prefix.length], ipv4, strict=True):
        octets[place] = octet
    return bytes(octets)


@pytest.mark.parametrize("text", ["2001:db8::/33", "2001:db8::/128", "::/0", "2001:db8:0:0:100::/96"])
def test_only_the_prefixes_of_rfc_6052_are_prefixes(text: str) -> None:
    with pytest.raises(ValueError, match="is no NAT64 prefix"):
        nat64_prefix(IPv6Network(text))


@for_each("length", PLACES)
@for_each("ipv4", ["192.0.0.170", "192.0.0.171"])
def test_ipv4only_tells_a_prefix_of_any_length(length: int, ipv4: str) -> None:
    network = IPv6Network(f"2001:db8:1:2::/{length}", strict=False)
    prefix = nat64_prefix(network)
    address = embedded(prefix, IPv4Address(ipv4).packed)
    assert found_prefixes([address]) == [prefix]
    assert str(prefix) == str(network)
    assert carried_addresses(address, [prefix]) == [IPv4Address(ipv4).packed]


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b::192.0.0.170",  # the well-known one needs no telling
        "2001:db8::192.0.2.1",
        "2001:db8:c000:aa:0:0:192.0.0.170",  # it stands there twice
        "2001:db8:122:3c0:100:aa::",  # bits 64 to 71 are set
        "::",
    ],
)
def test_other_addresses_tell_no_prefix(address: str) -> None:
    assert found_prefixes([IPv6Address(address).packed]) == []


def test_ipv4_addresses_and_doubles_tell_nothing_more_and_there_is_a_maximum() -> None:
    one = IPv6Address("2001:db8:64::192.0.0.170").packed
    other = IPv6Address("2001:db8:64::192.0.0.171").packed
    assert found_prefixes([IPv4Address("192.0.0.170").packed, one, other, one]) == [
        nat64_prefix(IPv6Network("2001:db8:64::/96"))
    ]
    many = [IPv6Address(f"2001:db8:{number:x}::192.0.0.170").packed for number in range(100)]
    assert len(found_prefixes(many)) == NAT64_PREFIXES_MAX


@given(address=st.binary(min_size=16, max_size=16), prefix=st.binary(min_size=16, max_size=16))
def test_any_octets_may_be_an_address(address: bytes, prefix: bytes) -> None:
    for length in PLACES:
        found = carried_addresses(address, [Nat64Prefix(prefix, length)])
        assert len(found) == len(set(found)) <= 4
        assert all(len(ipv4) == 4 for ipv4 in found)
    found_prefixes([address])
