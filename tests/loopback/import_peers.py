"""Programs whose configurations can be taken over, run with configurations of many rules, and asked.

Knows: how each is told its rules, how to read what it decides.  Does not know: what this resolver makes of them.
The upstream of all of them gives every name one address, so that whatever is answered with it was forwarded.
"""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.loopback.process import Program, free_port, running_on_a_free_port
from tests.support.importing import FORWARD

MARK = "198.51.100.77"
"""What the upstream answers to every name."""
NAMES = 1_000
READY = "ready.marker.example"


@contextmanager
def marking_upstream() -> Iterator[int]:
    """A server that answers every A with `MARK`; gives its port."""
    port = free_port()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", port))
    ended = threading.Event()

    def serve() -> None:
        while True:
            octets, sender = sock.recvfrom(4096)
            if ended.is_set():
                return
            try:
                query = dns.message.from_wire(octets)
                reply = dns.message.make_response(query)
                reply.flags |= dns.flags.RA
                question = query.question[0]
                if question.rdtype == dns.rdatatype.A:
                    reply.answer.append(dns.rrset.from_text(question.name, 300, "IN", "A", MARK))
                sock.sendto(reply.to_wire(), sender)
            except (dns.exception.DNSException, IndexError):
                continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield port
    finally:
        ended.set()
        sock.sendto(b"", ("127.0.0.1", port))
        thread.join()
        sock.close()


def ask(port: int, name: str, *, timeout_s: float = 3.0) -> str:
    """What a server on loopback decides about a name, in the words of `tests.support.importing`."""
    try:
        reply = dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=port, timeout=timeout_s)
    except dns.exception.Timeout:
        return "dropped"
    if reply.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(reply.rcode()).lower()
    addresses = [one.address for rrset in reply.answer if rrset.rdtype == dns.rdatatype.A for one in rrset]
    if not addresses:
        return "nodata"
    return FORWARD if addresses == [MARK] else " ".join(sorted(addresses))


def is_ready(port: int) -> bool:
    """Whether it forwards."""
    try:
        return ask(port, READY, timeout_s=1.0) == FORWARD
    except OSError:
        return False


@dataclass(frozen=True)
class Made:
    """A configuration, and the names that are worth asking of it."""

    text: str
    names: list[str]


class Names:
    """Names that hang together: few words, so that many are above and below each other."""

    WORDS = ("ads", "cdn", "www", "api", "img", "eu", "x")
    BASES = ("one.example", "two.example", "three.example", "four-example.net", "five-example.org")

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.used: list[str] = []

    def one(self) -> str:
        """A name for a rule."""
        words = [self.chance.choice(self.WORDS) for _ in range(self.chance.choice((0, 1, 1, 2, 2, 3)))]
        name = ".".join([*words, self.chance.choice(self.BASES)])
        self.used.append(name)
        return name

    def to_ask(self) -> list[str]:
        """`NAMES` names: those of rules, above, below and beside them."""
        found: dict[str, None] = {}
        for name in self.used:
            parent = name.partition(".")[2]
            for one in (name, f"www.{name}", f"a.b.{name}", f"zz{name}", f"x.{parent}", parent):
                if one.count("."):
                    found.setdefault(one)
        number = 0
        while len(found) < NAMES:
            number += 1
            found.setdefault(f"n{number}.{self.chance.choice([*self.used, 'free.example'])}")
        return list(found)[:NAMES]


UNBOUND_TYPES = (
    "static", "always_nxdomain", "always_nxdomain", "refuse", "always_refuse", "always_null", "always_nodata", "redirect",
    "transparent", "typetransparent", "always_transparent", "inform",
)  # fmt: skip


def unbound_made(port: int, upstream: int, folder: Path, seed: int = 1) -> Made:
    """Zones of every type within each other, with data in some."""
    names = Names(seed)
    lines = [
        "server:",
        f"  interface: 127.0.0.1@{port}",
        f"  port: {port}",
        '  username: ""',
        '  chroot: ""',
        f'  directory: "{folder}"',
        '  pidfile: ""',
        "  use-syslog: no",
        "  do-daemonize: no",
        "  do-not-query-localhost: no",
        '  module-config: "iterator"',
        "  access-control: 127.0.0.0/8 allow",
    ]
    zones: dict[str, str] = {}
    for _ in range(120):
        name = names.one()
        if name in zones:
            continue
        zones[name] = names.chance.choice(UNBOUND_TYPES)
        lines.append(f'  local-zone: "{name}." {zones[name]}')
        if zones[name] == "redirect":
            lines.append(f'  local-data: "{name} A 192.0.2.{len(zones) % 250 + 1}"')
    with_data: set[str] = set()
    for number in range(60):
        name = names.one()
        # Unbound refuses data below a redirecting zone.
        parts = [name.split(".", at)[-1] for at in range(name.count(".") + 1)]
        if name not in with_data and not any(zones.get(part) == "redirect" for part in parts):
            with_data.add(name)
            lines.append(f'  local-data: "{name}. 300 IN A 192.0.2.{number + 1}"')
    lines += ["remote-control:", "  control-enable: no", "forward-zone:", '  name: "."']
    lines.append(f"  forward-addr: 127.0.0.1@{upstream}")
    return Made("\n".join(lines) + "\n", names.to_ask())


def dnsmasq_made(port: int, upstream: int, folder: Path, seed: int = 2) -> Made:
    """Blocks, addresses, exceptions and names of hosts within each other."""
    names = Names(seed)
    lines = [f"port={port}", "listen-address=127.0.0.1", "bind-interfaces", "no-resolv", "no-hosts"]
    lines += ["user=root", "pid-file=", "log-facility=-", f"server=127.0.0.1#{upstream}"]
    seen: set[str] = set()
    for number in range(150):
        name = names.one()
        if name in seen:
            continue
        seen.add(name)
        lines.append(
            names.chance.choice(
                (
                    f"address=/{name}/",
                    f"address=/{name}/#",
                    f"address=/{name}/0.0.0.0",
                    f"address=/{name}/192.0.2.{number + 1}",
                    f"local=/{name}/",
                    f"server=/{name}/#",
                    f"server=/{name}/#",
                    f"host-record={name},192.0.2.{number + 1}",
                )
            )
        )
    return Made("\n".join(lines) + "\n", names.to_ask())


ADGUARD_FORMS = (
    "||{}^",
    "||{}^",
    "||{}^",
    "|{}^",
    "{}",
    "0.0.0.0 {}",
    "||*.{}^",
    "@@||{}^",
    "@@|{}^",
    "||{}^$important",
    "@@||{}^$important",
)


def adguard_made(port: int, upstream: int, folder: Path, seed: int = 3) -> Made:
    """Blocks, exceptions, important ones of both, rewrites."""
    names = Names(seed)
    rules: list[str] = []
    rewrites = []
    seen: set[str] = set()
    for number in range(170):
        name = names.one()
        rules.append(names.chance.choice(ADGUARD_FORMS).format(name))
        if number % 20 == 0 and (own := f"own{number}.rewritten.example") not in seen:
            seen.add(own)
            names.used.append(own)
            rewrites.append({"domain": own, "answer": f"192.0.2.{number + 1}", "enabled": True})
            rewrites.append({"domain": f"*.{own}", "answer": f"192.0.2.{number + 2}", "enabled": True})
    config = {
        "schema_version": 28,
        "http": {"address": f"127.0.0.1:{free_port()}", "session_ttl": "720h"},
        "users": [],
        "dns": {
            "bind_hosts": ["127.0.0.1"],
            "port": port,
            "ratelimit": 0,
            "upstream_dns": [f"127.0.0.1:{upstream}"],
            "bootstrap_dns": [f"127.0.0.1:{upstream}"],
            "use_private_ptr_resolvers": False,
        },
        "querylog": {"enabled": False, "file_enabled": False, "interval": "24h"},
        "statistics": {"enabled": False, "interval": "24h"},
        "filters": [],
        "user_rules": rules,
        "filtering": {
            "protection_enabled": True,
            "filtering_enabled": True,
            "blocking_mode": "default",
            "filters_update_interval": 0,
            "rewrites": rewrites,
        },
        "clients": {"runtime_sources": dict.fromkeys(("whois", "arp", "rdns", "dhcp", "hosts"), False)},
        "dhcp": {"enabled": False},
    }
    return Made(json.dumps(config, indent=1), names.to_ask())


def blocky_made(port: int, upstream: int, folder: Path, seed: int = 4) -> Made:
    """Inline lists of both kinds, for all clients, and names of its own."""
    names = Names(seed)

    def lines(count: int) -> str:
        forms = ("{}", "{}", "*.{}", "0.0.0.0 {}", "{} # why")
        return "\n".join(names.chance.choice(forms).format(names.one()) for _ in range(count)) + "\n"

    config = {
        "upstreams": {"init": {"strategy": "fast"}, "groups": {"default": [f"tcp+udp:127.0.0.1:{upstream}"]}},
        "customDNS": {
            "mapping": {f"own{number}.one.example": f"192.0.2.{number + 1}" for number in range(10)}
        },
        "blocking": {
            "denylists": {"ads": [lines(100)], "more": [lines(50)], "unused": [lines(10)]},
            "allowlists": {"ads": [lines(40)]},
            "clientGroupsBlock": {"default": ["ads", "more"]},
            "blockType": "zeroIP",
            "loading": {"strategy": "blocking", "maxErrorsPerSource": -1},
        },
        "ports": {"dns": f"127.0.0.1:{port}"},
        "queryLog": {"type": "none"},
        "log": {"level": "warn"},
    }
    names.used += [f"own{number}.one.example" for number in range(10)]
    return Made(json.dumps(config, indent=1), names.to_ask())


@dataclass(frozen=True)
class Peer:
    """One program: its name on the command line, the name of its file, and how it is started."""

    program: str
    kind: str
    file: str
    make: Callable[[int, int, Path], Made]
    command: Callable[[Path], list[str | Path]]


PEERS = {
    one.kind: one
    for one in (
        Peer("unbound", "unbound", "unbound.conf", unbound_made, lambda path: ["unbound", "-d", "-c", path]),
        Peer(
            "dnsmasq",
            "dnsmasq",
            "dnsmasq.conf",
            dnsmasq_made,
            lambda path: ["dnsmasq", "-k", f"--conf-file={path}"],
        ),
        Peer(
            "AdGuardHome",
            "adguardhome",
            "AdGuardHome.yaml",
            adguard_made,
            lambda path: ["AdGuardHome", "-c", path, "-w", path.parent, "--no-check-update"],
        ),
        Peer(
            "blocky", "blocky", "blocky.yml", blocky_made, lambda path: ["blocky", "serve", "--config", path]
        ),
    )
}


@contextmanager
def running_peer(peer: Peer, folder: Path, upstream: int) -> Iterator[tuple[int, Path, Made]]:
    """The program on a free port: that port, its configuration, and what is in it."""
    made: list[Made] = []
    path = folder / peer.file

    def on(port: int) -> Program:
        made.append(peer.make(port, upstream, folder))
        path.write_text(made[-1].text)
        return Program(peer.command(path), folder)

    with running_on_a_free_port(on, is_ready, f"{peer.program} answers") as port:
        yield port, path, made[-1]
