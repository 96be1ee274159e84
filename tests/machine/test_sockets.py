"""Who listens on a port, by the kernel's tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.machine.sockets import listeners
from tests.support.faked_machine import FakedMachine

PORT = frozenset({53})


@pytest.fixture
def faked(tmp_path: Path) -> FakedMachine:
    return FakedMachine(tmp_path)


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("address", ["127.0.0.53", "0.0.0.0", "::", "2001:db8::1"])
def test_a_listener_is_found_with_its_program(faked: FakedMachine, protocol: str, address: str) -> None:
    faked.listen(protocol, address, 53, inode=77)
    faked.process(123, "some-dns", inodes=(5, 77))
    [found] = listeners(faked.machine, PORT)
    assert (found.protocol, str(found.address), found.port) == (protocol, address, 53)
    assert (found.pid, found.program) == (123, "some-dns")


def test_other_ports_and_connections_are_no_listeners(faked: FakedMachine) -> None:
    faked.listen("udp", "127.0.0.1", 54, inode=1)
    faked.listen("tcp", "127.0.0.1", 53, inode=2, state="01")
    assert listeners(faked.machine, PORT) == []


def test_a_program_that_we_may_not_look_at_is_guessed_by_its_user(faked: FakedMachine) -> None:
    faked.write("/etc/passwd", "root:x:0:0::/root:\nunbound:x:115:115::/var/lib/unbound:\n")
    faked.listen("udp", "192.0.2.1", 53, inode=1, uid=115)
    faked.listen("udp", "192.0.2.2", 53, inode=2, uid=0)
    assert [one.program for one in listeners(faked.machine, PORT)] == ["unbound", ""]


def test_the_stub_of_systemd_is_known_by_its_address(faked: FakedMachine) -> None:
    faked.listen("udp", "127.0.0.53", 53, inode=1, uid=101)
    assert listeners(faked.machine, PORT)[0].program == "systemd-resolved"


def test_broken_rows_are_passed_over(faked: FakedMachine) -> None:
    faked.write("/proc/net/udp", "head\nnonsense\n 1: XYZ:0035 0:0 07 a b c 0 0 1 2\n")
    assert listeners(faked.machine, PORT) == []


@pytest.mark.parametrize(
    ("held", "wanted", "is_in_the_way"),
    [
        ("0.0.0.0", "192.0.2.1", True),
        ("127.0.0.53", "0.0.0.0", True),
        ("127.0.0.53", "192.0.2.1", False),
        ("::", "::", True),
        ("::", "0.0.0.0", False),
        ("2001:db8::1", "::", True),
    ],
)
def test_only_the_same_address_or_all_of_them_are_in_the_way(
    faked: FakedMachine, held: str, wanted: str, is_in_the_way: bool
) -> None:
    faked.listen("udp", held, 53, inode=1)
    [found] = listeners(faked.machine, PORT)
    assert found.is_in_the_way_of(wanted, 53) is is_in_the_way
