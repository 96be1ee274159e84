"""Which addresses lists come from."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from resolver.fetching.addresses import is_on_the_internet


@pytest.mark.parametrize(
    "text", ["9.9.9.9", "1.1.1.1", "2620:fe::fe", "64:ff9b::909:909", "::ffff:9.9.9.9", "2002:909:909::1"]
)
def test_public_addresses_are_on_the_internet(text: str) -> None:
    assert is_on_the_internet(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.0.1",
        "100.64.0.1", "100.100.100.200", "169.254.169.254", "192.0.0.192", "192.0.2.1", "198.18.0.1",
        "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
        "::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "3fff::1",
        "100::1", "::127.0.0.1", "::10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1",
        "2001:0:909:909::f5ff:fffe",
    ],
)  # fmt: skip
def test_this_machine_its_neighbours_and_metadata_are_not(text: str) -> None:
    assert not is_on_the_internet(ip_address(text))
