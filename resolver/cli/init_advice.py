"""How a network is pointed at this server: what to write where, with this machine's own addresses.

Knows: what routers and DHCP servers call it.  Does not know: which of them is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final

Address = IPv4Address | IPv6Address
DNS_PORT: Final = 53


def advice(profile: str, addresses: Sequence[Address], router: IPv4Address | None) -> list[str]:
    """Lines for people; `addresses`: those at which others reach this machine."""
    return list(_lines(profile, addresses, router))


def reached_at(listen: Sequence[tuple[Address, int]], own: Sequence[Address]) -> list[Address]:
    """The addresses at which others can ask; `own`: those of this machine, for listeners on all of them."""
    found: list[Address] = []
    for address, _ in listen:
        here = [one for one in own if one.version == address.version] if address.is_unspecified else [address]
        found += [one for one in here if not one.is_loopback and one not in found]
    return found


def only_here(listen: Sequence[tuple[Address, int]]) -> list[str]:
    """What to say where only this machine can ask; none: others can."""
    if not all(address.is_loopback for address, _ in listen):
        return []
    shown = ", ".join(str(address) for address, _ in listen)
    return [
        f"only this machine can ask: listen.dns has {shown}",
        "for a network write an address of this machine into listen.dns, or 0.0.0.0:53 and [::]:53 for all",
    ]


def other_ports(listen: Sequence[tuple[Address, int]]) -> list[str]:
    """What to say of ports that no device asks by itself."""
    ports = sorted({port for _, port in listen if port != DNS_PORT})
    if not ports:
        return []
    shown = ", ".join(map(str, ports))
    return [f"devices ask port {DNS_PORT}; listen.dns has {shown}: for programs and tests"]


def _lines(profile: str, addresses: Sequence[Address], router: IPv4Address | None) -> Iterator[str]:
    ipv4 = next((str(address) for address in addresses if address.version == 4), "")
    ipv6 = next((str(address) for address in addresses if address.version == 6), "")
    if not ipv4 and not ipv6:
        yield "this machine has no address that others can reach; give it one that never changes, then:"
    shown = ipv4 or "ADDRESS"
    yield f"point the network at {shown}{f' and {ipv6}' if ipv6 else ''}; that address must never change:"
    if profile == "home":
        where = f"http://{router}" if router else "its page"
        yield f"  router ({where}): in its DHCP settings write {shown} as the only DNS server, then save"
    if profile in ("home", "office"):
        yield f"  dnsmasq:  dhcp-option=option:dns-server,{shown}"
        if ipv6:
            yield f"            dhcp-option=option6:dns-server,[{ipv6}]"
    if profile == "office":
        yield f'  Kea:      {{"name": "domain-name-servers", "data": "{shown}"}}'
        yield f"  Windows:  Set-DhcpServerv4OptionValue -DnsServer {shown}"
    if profile == "provider":
        yield (
            f"  RADIUS:   MS-Primary-DNS-Server := {shown}   (and a second server of yours "
            "as the secondary one)"
        )
        yield f'  Kea:      {{"name": "domain-name-servers", "data": "{shown}"}}'
    if ipv6:
        yield f"  radvd:    RDNSS {ipv6} {{ }};   (clients with IPv6 ask the router's server otherwise)"
    yield f"  this machine alone:  resolvectl dns LINK {shown}, or `nameserver {shown}` in /etc/resolv.conf"
    yield (
        "a second DNS server beside it would answer what is blocked here: name this one alone, or two of them"
    )
