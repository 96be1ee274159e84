"""The addresses of this machine, and its way out.

Knows: `/proc/net/fib_trie`, `/proc/net/if_inet6`, `/proc/net/route`.  Does not know: who asks.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from resolver.machine.files import Machine


def own_addresses(machine: Machine) -> list[IPv4Address | IPv6Address]:
    """The addresses that others can reach it by: no loopback, nothing of one link alone."""
    found: list[IPv4Address | IPv6Address] = [*_ipv4(machine), *_ipv6(machine)]
    return [
        address for address in dict.fromkeys(found) if not address.is_loopback and not address.is_link_local
    ]


def _ipv4(machine: Machine) -> list[IPv4Address]:
    """Those that the table of routes calls this host's own."""
    found, last = [], ""
    for line in machine.lines("/proc/net/fib_trie"):
        leaf = re.search(r"\|--\s+([0-9.]+)", line)
        if leaf is not None:
            last = leaf[1]
        elif "/32 host LOCAL" in line and last:
            found.append(IPv4Address(last))
    return found


def _ipv6(machine: Machine) -> list[IPv6Address]:
    return [
        IPv6Address(bytes.fromhex(words[0]))
        for line in machine.lines("/proc/net/if_inet6")
        if len(words := line.split()) >= 6 and re.fullmatch(r"[0-9a-f]{32}", words[0])
    ]


def has_ipv6(machine: Machine) -> bool:
    """Whether the kernel has IPv6, for loopback at least."""
    return bool(_ipv6(machine))


def has_ipv6_route(machine: Machine) -> bool:
    """Whether there is a way to the Internet over IPv6."""
    for line in machine.lines("/proc/net/ipv6_route"):
        words = line.split()
        if len(words) >= 10 and words[0] == "0" * 32 and words[1] == "00" and words[9] != "lo":
            return True
    return False


def gateway(machine: Machine) -> IPv4Address | None:
    """The router that packets to everywhere are sent to; None: there is none."""
    for line in machine.lines("/proc/net/route")[1:]:
        words = line.split()
        if len(words) > 7 and words[1] == "00000000" and words[7] == "00000000" and len(words[2]) == 8:
            return IPv4Address(bytes.fromhex(words[2])[::-1])
    return None
