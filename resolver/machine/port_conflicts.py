"""Who holds the port that this server wants, and the exact way to get it.

Knows: the programs that usually hold port 53, and the commands that free it.  Does not know: settings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from resolver.machine.files import Machine
from resolver.machine.sockets import Listener, listeners
from resolver.problems import printable

OWN_PROGRAM: Final = "exchange-resolv"
"""Our own program, as the kernel cuts names of programs at 15 characters."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """An address that is wanted and taken."""

    wanted: str
    """As the settings write it."""
    holder: Listener
    remedy: str
    """Commands, one after the other."""

    @property
    def said(self) -> str:
        """One sentence for people."""
        who = printable(self.holder.program) or f"a program of user {self.holder.uid}"
        pid = f" (process {self.holder.pid})" if self.holder.pid else ""
        return (
            f"{self.wanted} is taken: {who}{pid} listens on {self.holder.place} over "
            f"{self.holder.protocol.upper()}"
        )


_RESOLVED: Final = (
    "mkdir -p /etc/systemd/resolved.conf.d && "
    "printf '[Resolve]\\nDNS={dns}\\nDNSStubListener=no\\n' > "
    "/etc/systemd/resolved.conf.d/exchange-resolver.conf && "
    "ln -sf /run/systemd/resolve/resolv.conf /etc/resolv.conf && systemctl restart systemd-resolved"
)
_DNSMASQ: Final = (
    "printf 'port=0\\n' > /etc/dnsmasq.d/no-dns.conf && systemctl restart dnsmasq"
    "   # it goes on with DHCP; without DHCP: systemctl disable --now dnsmasq"
)
_LIBVIRT: Final = (
    "list addresses in listen.dns rather than 0.0.0.0 and [::]: this dnsmasq serves the "
    "virtual machines of libvirt"
)
_SERVICES: Final = {
    "named": "systemctl disable --now named",
    "bind9": "systemctl disable --now named",
    "unbound": "systemctl disable --now unbound",
    "pihole-FTL": "systemctl disable --now pihole-FTL",
    "AdGuardHome": "systemctl disable --now AdGuardHome",
    "blocky": "systemctl disable --now blocky",
    "coredns": "systemctl disable --now coredns",
    "kresd": "systemctl disable --now 'kresd@*'",
    "pdns_recursor": "systemctl disable --now pdns-recursor",
    "dnsdist": "systemctl disable --now dnsdist",
    "connmand": "add `--nodnsproxy` to connmand's options, then systemctl restart connman",
    "NetworkManager": "write `[main]` and `dns=default` to /etc/NetworkManager/conf.d/dns.conf, then "
    "systemctl restart NetworkManager",
}


def conflicts(machine: Machine, wanted: Iterable[tuple[str, int]], *, own_pid: int = 0) -> list[Conflict]:
    """The addresses of `wanted` that others hold; one for each address and program."""
    wanted = list(wanted)
    holders = listeners(machine, frozenset(port for _, port in wanted if port))
    found: dict[tuple[str, int, str], Conflict] = {}
    for address, port in wanted:
        for holder in holders:
            if not port or not holder.is_in_the_way_of(address, port):
                continue
            if holder.program.startswith(OWN_PROGRAM) or (own_pid and holder.pid == own_pid):
                continue
            shown = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            key = (shown, holder.pid or holder.inode * 0, holder.program)
            found.setdefault(key, Conflict(shown, holder, remedy(machine, holder)))
    return list(found.values())


def remedy(machine: Machine, holder: Listener) -> str:
    """The commands that free the port."""
    program = holder.program
    if program.startswith("systemd-resolve"):
        return _RESOLVED.format(dns="127.0.0.1")
    if program == "dnsmasq":
        words = machine.text(f"/proc/{holder.pid}/cmdline") if holder.pid else ""
        return _LIBVIRT if "libvirt" in words else _DNSMASQ
    for name, command in _SERVICES.items():
        if program == name[:15]:
            return command
    if program in ("docker-proxy", "rootlessport"):
        return (
            f"a container publishes port {holder.port}: docker ps --filter "
            f"publish={holder.port}, then docker stop it"
        )
    where = f"ss -lnp 'sport = :{holder.port}'"
    return f"{where}   # as root: shows who it is; stop it, or choose another address in listen.dns"
