"""Which program listens on a port, by the kernel's tables of sockets.

Knows: `/proc/net/{udp,tcp}{,6}`, whose sockets processes hold.  Does not know: what to do about it.
Whose process holds a socket is told to root and to its own user; to others only which user that is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

from resolver.machine.files import Machine

TABLES: Final = (
    ("udp", "/proc/net/udp"),
    ("udp", "/proc/net/udp6"),
    ("tcp", "/proc/net/tcp"),
    ("tcp", "/proc/net/tcp6"),
)
_LISTENING: Final = {"udp": "07", "tcp": "0A"}
"""States of sockets that take what comes: UDP's unconnected, TCP's LISTEN (include/net/tcp_states.h)."""
PROCESSES_MAX: Final = 50_000


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that takes queries, and who holds it, as far as we may know."""

    protocol: str
    """`udp` or `tcp`."""
    address: IPv4Address | IPv6Address
    port: int
    uid: int
    inode: int
    pid: int = 0
    """0: not known."""
    program: str = ""
    """The name of its program; empty: not known."""

    @property
    def place(self) -> str:
        """Address and port as text."""
        shown = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{shown}:{self.port}"

    def is_in_the_way_of(self, address: str, port: int) -> bool:
        """Whether who wants to listen there finds it taken."""
        if port != self.port:
            return False
        wanted = ip_address(address)
        if wanted.version != self.address.version:
            # `::` takes IPv4, too, but for those who bind it for IPv6 alone, as we do and most servers.
            return False
        return wanted == self.address or wanted.is_unspecified or self.address.is_unspecified


def listeners(machine: Machine, ports: frozenset[int]) -> list[Listener]:
    """Who listens on these ports."""
    found = [
        one for protocol, table in TABLES for one in _rows(machine, protocol, table) if one.port in ports
    ]
    if not found:
        return []
    owners = _owners(machine, {one.inode for one in found})
    return [_named(machine, one, owners.get(one.inode, 0)) for one in found]


def _rows(machine: Machine, protocol: str, table: str) -> Iterator[Listener]:
    for line in machine.lines(table)[1:]:
        words = line.split()
        if len(words) < 10 or words[3] != _LISTENING[protocol]:
            continue
        where, _, port = words[1].partition(":")
        try:
            yield Listener(protocol, _address(where), int(port, 16), int(words[7]), int(words[9]))
        except ValueError:
            continue


def _address(text: str) -> IPv4Address | IPv6Address:
    """An address as the kernel writes it: words of four octets, each the other way round on little-endian
    machines."""
    octets = bytes.fromhex(text)
    turned = b"".join(octets[at : at + 4][::-1] for at in range(0, len(octets), 4))
    return IPv4Address(turned) if len(turned) == 4 else IPv6Address(turned)


def _owners(machine: Machine, inodes: set[int]) -> dict[int, int]:
    """Socket -> the process that holds it."""
    owners: dict[int, int] = {}
    processes = machine.at("/proc")
    try:
        names = [name for name in os.listdir(processes) if name.isdigit()]  # noqa: PTH208 - names alone.
    except OSError:
        return {}
    for name in names[:PROCESSES_MAX]:
        for inode in _sockets_of(processes / name / "fd"):
            if inode in inodes:
                owners.setdefault(inode, int(name))
    return owners


def _sockets_of(folder: Path) -> Iterator[int]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names alone.
    except OSError:
        return
    for name in names:
        try:
            target = os.readlink(folder / name)  # noqa: PTH115 - its text is no path.
        except OSError:
            continue
        found = re.fullmatch(r"socket:\[(\d+)\]", target)
        if found is not None:
            yield int(found[1])


def _named(machine: Machine, one: Listener, pid: int) -> Listener:
    program = machine.text(f"/proc/{pid}/comm").strip() if pid else ""
    if not program:
        program = _by_user(machine, one)
    return Listener(one.protocol, one.address, one.port, one.uid, one.inode, pid, program)


def _by_user(machine: Machine, one: Listener) -> str:
    """A guess where we may not look: programs that have a user of their own, or an address of their own."""
    if str(one.address) in ("127.0.0.53", "127.0.0.54"):
        return "systemd-resolved"
    for line in machine.lines("/etc/passwd"):
        fields = line.split(":")
        if len(fields) > 2 and fields[2] == str(one.uid):
            return {"systemd-resolve": "systemd-resolved"}.get(fields[0], "" if one.uid == 0 else fields[0])
    return ""
