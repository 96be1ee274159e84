"""The exact way to get a port that another program holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.machine.port_conflicts import conflicts
from tests.support.faked_machine import FakedMachine

WANTED = [("0.0.0.0", 53), ("::", 53)]


@pytest.fixture
def faked(tmp_path: Path) -> FakedMachine:
    return FakedMachine(tmp_path)


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("systemd-resolve", "DNSStubListener=no"),
        ("dnsmasq", "port=0"),
        ("named", "systemctl disable --now named"),
        ("unbound", "systemctl disable --now unbound"),
        ("pihole-FTL", "systemctl disable --now pihole-FTL"),
        ("AdGuardHome", "systemctl disable --now AdGuardHome"),
        ("docker-proxy", "docker ps"),
        ("something", "ss -lnp"),
    ],
)
def test_each_program_has_its_remedy(faked: FakedMachine, program: str, command: str) -> None:
    faked.listen("udp", "127.0.0.53", 53, inode=1)
    faked.process(9, program, inodes=(1,))
    [found] = conflicts(faked.machine, WANTED)
    assert command in found.remedy and program in found.said and "process 9" in found.said


def test_udp_and_tcp_of_one_program_are_one_conflict(faked: FakedMachine) -> None:
    faked.listen("udp", "0.0.0.0", 53, inode=1)
    faked.listen("tcp", "0.0.0.0", 53, inode=2)
    faked.process(9, "named", inodes=(1, 2))
    assert len(conflicts(faked.machine, WANTED)) == 1


def test_the_dnsmasq_of_virtual_machines_is_left_alone(faked: FakedMachine) -> None:
    faked.listen("udp", "192.168.122.1", 53, inode=1)
    faked.process(
        9, "dnsmasq", inodes=(1,), command="dnsmasq\0--conf-file=/var/lib/libvirt/dnsmasq/default.conf"
    )
    [found] = conflicts(faked.machine, WANTED)
    assert "libvirt" in found.remedy and "systemctl" not in found.remedy


def test_a_server_of_ours_is_no_conflict(faked: FakedMachine) -> None:
    faked.listen("udp", "0.0.0.0", 53, inode=1)
    faked.process(9, "exchange-resolv", inodes=(1,))
    assert conflicts(faked.machine, WANTED) == []


def test_a_hostile_name_of_a_program_steers_no_terminal(faked: FakedMachine) -> None:
    faked.listen("udp", "0.0.0.0", 53, inode=1)
    faked.process(9, "x\x1b[31m", inodes=(1,))
    assert conflicts(faked.machine, WANTED)[0].said.isprintable()
