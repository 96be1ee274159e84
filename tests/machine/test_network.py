"""The addresses of a machine and its way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.machine.network import gateway, has_ipv6, has_ipv6_route, own_addresses
from tests.support.faked_machine import FakedMachine

FIB = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 192.0.2.2
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
Local:
     |-- 192.0.2.2
        /32 host LOCAL
"""
IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000002 02 40 00 80     eth0
fe800000000000000000000000000002 02 40 20 80     eth0
"""


@pytest.fixture
def faked(tmp_path: Path) -> FakedMachine:
    return FakedMachine(tmp_path)


def test_addresses_that_others_reach_are_found_once(faked: FakedMachine) -> None:
    faked.write("/proc/net/fib_trie", FIB)
    faked.write("/proc/net/if_inet6", IF_INET6)
    assert [str(address) for address in own_addresses(faked.machine)] == ["192.0.2.2", "2001:db8::2"]


def test_the_router_is_found(faked: FakedMachine) -> None:
    faked.write(
        "/proc/net/route",
        "Iface Destination Gateway Flags RefCnt Use Metric Mask\neth0 00000000 010200C0 0003 0 0 0 00000000\n",
    )
    assert str(gateway(faked.machine)) == "192.0.2.1"


def test_a_machine_without_files_has_nothing(faked: FakedMachine) -> None:
    machine = faked.machine
    assert own_addresses(machine) == [] and gateway(machine) is None
    assert not has_ipv6(machine) and not has_ipv6_route(machine)


def test_a_route_over_ipv6_is_one_that_leads_out(faked: FakedMachine) -> None:
    row = f"{'0' * 32} 00 {'0' * 32} 00 {'f' * 32} 00000400 00000001 00000000 00000003 {{}}\n"
    faked.write("/proc/net/ipv6_route", row.format("lo"))
    assert not has_ipv6_route(faked.machine)
    faked.write("/proc/net/ipv6_route", row.format("eth0"))
    assert has_ipv6_route(faked.machine)
