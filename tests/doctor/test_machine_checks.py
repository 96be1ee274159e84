"""Each check of a machine finds what is wrong, and says nothing where nothing is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resolver.doctor.finding import Finding
from resolver.doctor.machine_checks import (
    BUFFER_LEAST_OCTETS,
    RECEIVE_BUFFER_OCTETS,
    check_buffers,
    check_clock,
    check_disk,
    check_files,
    check_ipv6,
    check_ports,
)
from resolver.listeners import address as listening
from tests.support.faked_machine import FakedMachine

NOW = 1_800_000_000.0


@pytest.fixture
def faked(tmp_path: Path) -> FakedMachine:
    return FakedMachine(tmp_path)


def wrong(findings: list[Finding]) -> list[Finding]:
    assert findings, "a check that finds nothing says so"
    assert all(finding.remedy for finding in findings if finding.is_wrong)
    return [finding for finding in findings if finding.is_wrong]


def test_a_port_that_is_taken_is_an_error_unless_we_have_it(faked: FakedMachine) -> None:
    faked.listen("udp", "127.0.0.53", 53, inode=1)
    [found] = wrong(check_ports(faked.machine, [("0.0.0.0", 53)], is_running=False, euid=0))
    assert found.level == "error" and "DNSStubListener" in found.remedy
    assert not wrong(check_ports(faked.machine, [("0.0.0.0", 53)], is_running=True, euid=0))


@pytest.mark.parametrize(
    ("start", "capabilities", "euid", "is_wrong"),
    [
        ("1024", "0000000000000000", 1000, True),
        ("1024", "0000000000000400", 1000, False),
        ("53", "0000000000000000", 1000, False),
        ("1024", "0000000000000000", 0, False),
    ],
)
def test_a_low_port_needs_a_right(
    faked: FakedMachine, start: str, capabilities: str, euid: int, is_wrong: bool
) -> None:
    faked.write("/proc/sys/net/ipv4/ip_unprivileged_port_start", start)
    faked.write("/proc/self/status", f"Name:\tx\nCapEff:\t{capabilities}\n")
    findings = check_ports(faked.machine, [("192.0.2.1", 53)], is_running=False, euid=euid)
    assert bool(wrong(findings)) is is_wrong


@pytest.mark.parametrize(
    ("octets", "is_wrong"), [(BUFFER_LEAST_OCTETS - 1, True), (BUFFER_LEAST_OCTETS, False)]
)
@pytest.mark.parametrize("name", ["rmem_max", "wmem_max"])
def test_small_buffers_are_told(faked: FakedMachine, name: str, octets: int, is_wrong: bool) -> None:
    faked.write("/proc/sys/net/core/rmem_max", str(8 << 20))
    faked.write("/proc/sys/net/core/wmem_max", str(8 << 20))
    faked.write(f"/proc/sys/net/core/{name}", str(octets))
    found = wrong(check_buffers(faked.machine))
    assert bool(found) is is_wrong and all(f"net.core.{name} = " in one.remedy for one in found)


def test_the_buffer_that_is_asked_for_is_the_one_that_is_advised() -> None:
    assert RECEIVE_BUFFER_OCTETS == listening.RECEIVE_BUFFER_OCTETS


@pytest.mark.parametrize(("hard", "is_wrong"), [("1024", True), ("131072", False), ("unlimited", False)])
def test_too_few_files_are_told(faked: FakedMachine, hard: str, is_wrong: bool) -> None:
    faked.write(
        "/proc/self/limits",
        f"Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 {hard}               files\n",
    )
    assert bool(wrong(check_files(faked.machine, 30_000))) is is_wrong


def test_ipv6_is_missed_only_where_it_is_wanted(faked: FakedMachine) -> None:
    assert not wrong(check_ipv6(faked.machine, ["192.0.2.1"], ["192.0.2.2"]))
    found = wrong(check_ipv6(faked.machine, ["::"], ["2001:db8::53"]))
    assert len(found) == 2


def test_a_clock_behind_what_has_been_is_an_error(faked: FakedMachine) -> None:
    known = [("the state", NOW + 7_200), ("this program", NOW - 1)]
    [found] = wrong(check_clock(faked.machine, NOW, known, is_synchronised=True))
    assert found.level == "error" and "2.0 hours" in found.what


def test_a_clock_that_nothing_sets_is_a_warning(faked: FakedMachine) -> None:
    [found] = wrong(check_clock(faked.machine, NOW, [], is_synchronised=False))
    assert found.level == "warning"
    assert not wrong(check_clock(faked.machine, NOW, [], is_synchronised=True))
    faked.write("/run/systemd/timesync/synchronized", "")
    assert not wrong(check_clock(faked.machine, NOW, [], is_synchronised=False))


@pytest.mark.parametrize(
    ("free_mb", "inodes", "levels"), [(10, 10_000, ["error"]), (100, 5, ["warning"] * 2), (9_000, 10_000, [])]
)
def test_a_full_disk_is_told(tmp_path: Path, free_mb: int, inodes: int, levels: list[str]) -> None:
    status = os.statvfs_result(
        (4096, 4096, 10**7, free_mb * 256, free_mb * 256, 10**6, inodes, inodes, 0, 255)
    )
    assert [found.level for found in wrong(check_disk(tmp_path / "not" / "there", status))] == levels
