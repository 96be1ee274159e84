"""Which ports upstreams are asked from, and how many sockets each pool may have.

Knows: ports, reserved ones, the limit on open files.  Does not know: sockets, who asks.
Theory: a forger must hit the port a query left from, so there should be many, bound by us at random: the
kernel's own choice has less than half of them.  Each thread picks from `SOCKETS_PER_UPSTREAM_MAX` sockets for
each upstream where ports and files are enough for that, else from what is there, shared evenly.  What is left
over goes to whoever asks most.
"""

from __future__ import annotations

import resource
from array import array
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

SOCKETS_PER_UPSTREAM_MAX = 1024
"""Sockets that a thread picks from for one upstream: at least 1,000 ports (RFC 5452 §7.2 counts them)."""

SOCKETS_PER_UPSTREAM_MIN = 16
"""However few files may be open."""

SOCKETS_RESTING_MAX = 19_400
"""Sockets that rest beside those, where files and ports allow: see `udp_pool.REST_STEPS_MIN`."""

PORT_MIN: Final = 1024
"""Lower ones are the services'."""
PORT_MAX: Final = 65_535

RESERVED_PORTS: Final = Path("/proc/sys/net/ipv4/ip_local_reserved_ports")
"""What the operator keeps for other programs, for IPv4 and IPv6."""

FILES_FOR_OTHERS = 512
"""Descriptors left to files, lists and upstream TCP, beside those of clients' connections."""

FILES_PER_THREAD = 4
"""Descriptors of a native thread: its socket twice, what it waits with, what it is woken by."""

SHARE_OF_PORTS: Final = 0.75
"""Part of the ports that sockets at rest may take: other programs on this machine look for ports, too."""


class SourcePorts(NamedTuple):
    """What one plane may have."""

    usable: Sequence[int]
    """Ports that may be bound; none: the kernel chooses."""
    base: int = SOCKETS_PER_UPSTREAM_MAX
    """Sockets that a thread picks from, for each upstream."""
    sockets_max: int = SOCKETS_PER_UPSTREAM_MAX + SOCKETS_RESTING_MAX
    """Sockets open at one time, of all threads and upstreams."""


class Limits(NamedTuple):
    """What there is to share."""

    usable: array[int]
    files: int
    """Descriptors that sockets towards upstreams may take."""


class Pools(NamedTuple):
    """Who wants to have some."""

    threads: int
    """Of the native plane; 0: there is none."""
    ipv4: int
    """Upstreams asked over UDP."""
    ipv6: int


def reserved_ports(text: str) -> set[int]:
    """Of what the kernel says of them, such as `5060,8000-8010`; what makes no sense is left out."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            found.update(range(int(first), min(int(last or first), PORT_MAX) + 1))
    return found


def usable_ports(ours: Collection[int] = ()) -> array[int]:
    """Ports to ask from: all that are nobody's, and not `ours`, which we listen on or are going to."""
    try:
        reserved = reserved_ports(RESERVED_PORTS.read_text())
    except OSError:
        reserved = set()
    reserved.update(ours)
    return array("H", [port for port in range(PORT_MIN, PORT_MAX + 1) if port not in reserved])


ANY_PORTS: Final = SourcePorts(array("H", range(PORT_MIN, PORT_MAX + 1)))


def base_of(limits: Limits, pools: Pools) -> int:
    """Sockets for each thread and upstream: all that are wanted, or what there is, shared evenly.

    The loop of Python counts as a thread, beside those of the native plane, too.
    """
    loops = pools.threads + 1
    shares = [limits.files // max(loops * (pools.ipv4 + pools.ipv6), 1)]
    # The ports of the two families are not the same.
    shares += [len(limits.usable) // (loops * count) for count in (pools.ipv4, pools.ipv6) if count]
    return max(min(SOCKETS_PER_UPSTREAM_MAX, *shares), SOCKETS_PER_UPSTREAM_MIN)


def share_out(limits: Limits, pools: Pools) -> tuple[SourcePorts, SourcePorts | None]:
    """What Python's sockets may have, and what the native plane's; None: there is no such plane."""
    base = base_of(limits, pools)
    families = (pools.ipv4 > 0) + (pools.ipv6 > 0)
    most = min(limits.files, int(SHARE_OF_PORTS * len(limits.usable) * families))
    one_loop = base * max(pools.ipv4 + pools.ipv6, 1)
    if not pools.threads:
        return SourcePorts(limits.usable, base, max(most, one_loop)), None
    native = max(most - one_loop, one_loop * pools.threads)
    return SourcePorts(limits.usable, base, one_loop), SourcePorts(limits.usable, base, native)


def files_wanted(pools: Pools, others: int) -> int:
    """Open files with which every pool has what it wants."""
    upstreams = max(pools.ipv4 + pools.ipv6, 1)
    return (pools.threads + 1) * upstreams * SOCKETS_PER_UPSTREAM_MAX + SOCKETS_RESTING_MAX + others


def files_for_others(threads: int, connections_max: int) -> int:
    """Open files that the rest of the server needs."""
    return FILES_FOR_OTHERS + connections_max + threads * FILES_PER_THREAD


def files_allowed(wanted: int, *, raises: bool) -> int:
    """The limit on open files, after asking for a higher one if it `raises`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    if raises:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    return max(soft, most)


def shortage(limits: Limits, pools: Pools, others: int) -> str | None:
    """Why there are too few source ports, and what helps; None: there are enough."""
    base = base_of(limits, pools)
    if base >= min(SOCKETS_PER_UPSTREAM_MAX, 1000):
        return None
    wanted = files_wanted(pools, others)
    if limits.files < (pools.threads + 1) * (pools.ipv4 + pools.ipv6) * 1000:
        what, remedy = (
            f"the limit of {limits.files + others} open files leaves",
            f"raise it (LimitNOFILE=, ulimit -n) to {wanted}",
        )
    else:
        what, remedy = (
            f"{len(limits.usable)} usable ports leave",
            f"name fewer upstreams or threads, or reserve fewer ports in {RESERVED_PORTS}",
        )
    return f"{what} {base} source ports for each upstream and thread; {remedy} to make forged answers harder"
