"""Checks of the machine: ports, kernel buffers, open files, IPv6, clock, disk.

Knows: what this server wants of a machine.  Does not know: whether a server runs, how findings are shown.
Each check is a function of a `Machine` and what the settings want, and touches nothing else, so that each
has a test on a faked machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from resolver.doctor.finding import Finding, fine
from resolver.machine.files import Machine
from resolver.machine.network import has_ipv6, has_ipv6_route
from resolver.machine.port_conflicts import conflicts
from resolver.problems import printable

RECEIVE_BUFFER_OCTETS: Final = 8 << 20
"""What a listening socket asks for (`listeners/address.py`)."""
BUFFER_LEAST_OCTETS: Final = 1 << 20
"""With less, bursts that the server could answer are dropped by the kernel: some 1,000 queries."""
SYSCTL_FILE: Final = "/etc/sysctl.d/60-exchange-resolver.conf"
DISK_LEAST_OCTETS: Final = 256 << 20
"""A policy of a million names, the one before it, and a list that is being fetched."""
INODES_LEAST: Final = 1_000
FUTURE_S: Final = 300.0
"""A file this far ahead of the clock shows that the clock was set back, or is wrong."""
PRIVILEGED_PORTS: Final = 1024
CAP_NET_BIND_SERVICE: Final = 10
"""Its bit (capabilities(7))."""


def check_ports(
    machine: Machine, wanted: Sequence[tuple[str, int]], *, is_running: bool, euid: int
) -> list[Finding]:
    """Whether the addresses that are to be listened on are free, and may be taken.

    `is_running`: this server answers there already, so that those who hold them are itself.
    """
    found = (
        []
        if is_running
        else [
            Finding("ports", "error", conflict.said, conflict.remedy)
            for conflict in conflicts(machine, wanted)
        ]
    )
    low = machine.setting("net.ipv4.ip_unprivileged_port_start")
    start = PRIVILEGED_PORTS if low is None else low
    privileged = sorted({port for _, port in wanted if 0 < port < start})
    if privileged and euid != 0 and not is_running and not _may_bind(machine):
        shown = ", ".join(map(str, privileged))
        what = f"port {shown} is below {start}, and this user may not listen there"
        remedy = (
            "start it by its systemd unit, which may, or: "
            f"sysctl -w net.ipv4.ip_unprivileged_port_start={privileged[0]}"
        )
        found.append(Finding("ports", "warning", what, remedy))
    return found or fine("ports", f"the addresses of listen are {'its own' if is_running else 'free'}")


def _may_bind(machine: Machine) -> bool:
    for line in machine.lines("/proc/self/status"):
        if line.startswith("CapEff:"):
            try:
                return bool(int(line.split()[1], 16) >> CAP_NET_BIND_SERVICE & 1)
            except (ValueError, IndexError):
                return False
    return False


def check_buffers(machine: Machine) -> list[Finding]:
    """Whether the kernel gives sockets the room that bursts need."""
    found = []
    for name in ("net.core.rmem_max", "net.core.wmem_max"):
        octets = machine.setting(name)
        if octets is not None and octets < BUFFER_LEAST_OCTETS:
            what = f"{name} is {octets:,} bytes: bursts of queries are lost before the server sees them"
            remedy = (
                f"echo '{name} = {RECEIVE_BUFFER_OCTETS}' >> {SYSCTL_FILE} && sysctl -p {SYSCTL_FILE}"
                "   # then restart the server"
            )
            found.append(Finding("buffers", "warning", what, remedy))
    return found or fine("buffers", "the kernel's limits on socket buffers are wide enough")


def check_files(machine: Machine, wanted: int) -> list[Finding]:
    """Whether so many files and sockets may be open at a time as the settings want."""
    for line in machine.lines("/proc/self/limits"):
        if line.startswith("Max open files"):
            words = line.split()
            hard = words[4] if len(words) > 4 else ""
            if hard.isdigit() and int(hard) < wanted:
                what = f"{int(hard):,} files may be open at a time, and {wanted:,} are wanted"
                remedy = (
                    f"systemctl edit exchange-resolver   # [Service] LimitNOFILE={wanted}; in a "
                    f"shell: ulimit -n {wanted}"
                )
                return [Finding("descriptors", "warning", what, remedy)]
            return fine("descriptors", f"{hard} files may be open at a time")
    return [Finding("descriptors", "unknown", "the limit on open files cannot be read")]


def check_ipv6(machine: Machine, listen: Iterable[str], upstreams: Iterable[str]) -> list[Finding]:
    """Whether IPv6 is there where the settings want it."""
    found = []
    listened = [address for address in listen if ":" in address]
    asked = [address for address in upstreams if ":" in address]
    if listened and not has_ipv6(machine):
        what = f"listen names {', '.join(listened)}, and this machine has no IPv6"
        remedy = "take it out of listen, or: sysctl -w net.ipv6.conf.all.disable_ipv6=0"
        found.append(Finding("ipv6", "warning", what, remedy))
    if asked and not has_ipv6_route(machine):
        what = f"upstreams names {', '.join(asked)}, and there is no way out over IPv6"
        found.append(
            Finding("ipv6", "warning", what, "take it out of upstreams, or give the machine a default route")
        )
    return found or fine(
        "ipv6", "IPv6 is there" if has_ipv6(machine) else "there is no IPv6, and nothing wants it"
    )


def check_clock(
    machine: Machine, now: float, known: Iterable[tuple[str, float]], *, is_synchronised: bool
) -> list[Finding]:
    """Whether the clock can be right: dates of orders depend on it.

    `known`: what was written when (Unix seconds); `is_synchronised`: the kernel says that something sets it.
    """
    ahead = [(what, moment) for what, moment in known if moment > now + FUTURE_S]
    if ahead:
        what, moment = max(ahead, key=lambda one: one[1])
        hours = (moment - now) / 3_600
        said = f"the clock is {hours:,.1f} hours behind what has been: {printable(what)} is of later"
        return [Finding("clock", "error", said, "timedatectl set-ntp true && timedatectl timesync-status")]
    if is_synchronised or machine.at("/run/systemd/timesync/synchronized").exists():
        return fine("clock", "a time service sets the clock")
    what = "nothing sets the clock, so dates of orders may begin and end at the wrong moment"
    return [Finding("clock", "warning", what, "apt install systemd-timesyncd && timedatectl set-ntp true")]


def check_disk(folder: Path, status: os.statvfs_result | None = None) -> list[Finding]:
    """Whether there is room where the state is kept."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        status = os.statvfs(there) if status is None else status
    except OSError as error:
        return [Finding("disk", "unknown", f"{folder} cannot be looked at: {error.strerror}")]
    free = status.f_bavail * status.f_frsize
    found = []
    if free < DISK_LEAST_OCTETS:
        what = f"{free >> 20:,} MB are free for {folder}; a new policy, or a list, may not fit"
        found.append(
            Finding("disk", "error" if free < DISK_LEAST_OCTETS // 8 else "warning", what, f"df -h {there}")
        )
    if status.f_files and status.f_favail < INODES_LEAST:
        what = f"{status.f_favail:,} more files fit where {folder} is"
        found.append(Finding("disk", "warning", what, f"df -i {there}"))
    return found or fine("disk", f"{free >> 20:,} MB are free for {folder}")
