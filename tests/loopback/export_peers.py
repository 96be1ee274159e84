"""Other resolvers with our exports loaded, each a foreground process on a port of its own.

Knows: their configuration files.  Does not know: what the exports say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

from tests.loopback.authority import NSD_CONFIGURATION, answers
from tests.loopback.process import Program, running_on_a_free_port

ZONE = """\
$TTL 300
@       SOA     ns.invalid. hostmaster.invalid. 1 3600 600 86400 60
@       NS      ns.invalid.
*       A       192.0.2.10
*       AAAA    2001:db8::10
*       TXT     "from upstream"
*       MX      10 mail.invalid.
*       HTTPS   1 . alpn=h2
alias   CNAME   www.tree.example.
spared  CNAME   www.tree.example.
points  A       203.0.113.5
points  AAAA    2001:db8::10
points  TXT     "elsewhere"
pardon  A       203.0.113.6
"""
"""Everything under `example` exists, so whatever is missing was blocked."""

READY = "ready.example"
ADDRESS = "192.0.2.10"
"""Of every name in `ZONE`."""


def is_ready(port: int) -> bool:
    """Whether a server on 127.0.0.1 answers from `ZONE`."""
    return answers(port, READY)


def passes(port: int, qname: str) -> bool:
    """Whether a server on 127.0.0.1 gives the address in `ZONE`, or nothing at all."""
    query = dns.message.make_query(qname, "A")
    try:
        reply = dns.query.udp(query, "127.0.0.1", port=port, timeout=1.0)
    except (dns.exception.DNSException, OSError):
        return True
    return reply.rcode() == dns.rcode.SERVFAIL or ADDRESS in reply.to_text()


@contextmanager
def running_upstream(directory: Path) -> Iterator[int]:
    """An NSD with `ZONE`; gives its port."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "example.zone").write_text(ZONE)
    configuration = directory / "nsd.conf"

    def nsd_on(port: int) -> Program:
        text = NSD_CONFIGURATION.format(host="127.0.0.1", port=port, zones=directory, directory=directory)
        configuration.write_text(text + 'zone:\n  name: "example"\n  zonefile: "example.zone"\n')
        return Program(["nsd", "-d", "-c", configuration], directory)

    with running_on_a_free_port(nsd_on, is_ready, "NSD answers") as port:
        yield port


@dataclass(frozen=True)
class Start:
    """What a configuration is made of."""

    directory: Path
    port: int
    upstream: int
    export: Path
    """The file that `export` wrote."""


@dataclass(frozen=True)
class ExportPeer:
    """One resolver and the format it loads."""

    name: str
    program: str
    export_format: str
    configure: Callable[[Start], list[str | Path]]
    """Write the configuration; the command that runs it."""


@contextmanager
def running_peer(
    peer: ExportPeer, directory: Path, upstream: int, export: Path, blocked: str
) -> Iterator[int]:
    """The peer with its export loaded, in which the name `blocked` is; gives its port.

    That it answers is not enough: BIND serves before it has made its table of a policy zone.
    """
    directory.mkdir(parents=True, exist_ok=True)

    def is_up(port: int) -> bool:
        return is_ready(port) and not passes(port, blocked)

    def peer_on(port: int) -> Program:
        return Program(peer.configure(Start(directory, port, upstream, export)), directory)

    with running_on_a_free_port(peer_on, is_up, f"{peer.name} answers and blocks") as port:
        yield port


def _unbound(start: Start, modules: str, server: str, more: str) -> list[str | Path]:
    configuration = start.directory / "unbound.conf"
    configuration.write_text(f"""\
server:
  interface: 127.0.0.1@{start.port}
  num-threads: 1
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{start.directory}"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  module-config: "{modules}"
{server}
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{start.upstream}
{more}
""")
    return ["unbound", "-c", configuration]


def unbound(start: Start) -> list[str | Path]:
    """Local zones."""
    return _unbound(start, "iterator", "", f'include: "{start.export}"')


def unbound_rpz(start: Start) -> list[str | Path]:
    """The policy zone."""
    more = f'rpz:\n  name: "policy.invalid"\n  zonefile: "{start.export}"\n'
    return _unbound(start, "respip iterator", "", more)


def bind(start: Start) -> list[str | Path]:
    """The clause, the options, and through them the zone."""
    configuration = start.directory / "named.conf"
    configuration.write_text(f"""\
options {{
    directory "{start.directory}";
    listen-on port {start.port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    pid-file none;
    session-keyfile none;
    recursion yes;
    allow-query {{ 127.0.0.0/8; }};
    dnssec-validation no;
    forwarders {{ 127.0.0.1 port {start.upstream}; }};
    forward only;
    include "{start.export.with_suffix(".options.conf")}";
}};
controls {{ }};
include "{start.export}";
""")
    return ["named", "-g", "-n", "1", "-U", "1", "-c", configuration]


def powerdns(start: Start) -> list[str | Path]:
    """The policy zone."""
    (start.directory / "recursor.lua").write_text(f'rpzFile("{start.export}", {{policyName="policy"}})\n')
    (start.directory / "recursor.conf").write_text(f"""\
local-address=127.0.0.1
local-port={start.port}
daemon=no
forward-zones-recurse=.=127.0.0.1:{start.upstream}
dnssec=off
threads=1
pdns-distributes-queries=no
socket-dir={start.directory}
lua-config-file={start.directory}/recursor.lua
dont-query=
disable-syslog=yes
security-poll-suffix=
""")
    return ["pdns_recursor", f"--config-dir={start.directory}"]


def knot_resolver(start: Start) -> list[str | Path]:
    """The policy zone."""
    configuration = start.directory / "kresd.conf"
    configuration.write_text(f"""\
net.listen('127.0.0.1', {start.port}, {{kind='dns'}})
modules.load('policy')
for _, name in ipairs({{'priming', 'ta_update', 'ta_signal_query', 'detect_time_skew'}}) do
    modules.unload(name)
end
trust_anchors.remove('.')
cache.open(10 * MB, 'lmdb://{start.directory}/cache')
local zone = policy.rpz(policy.DENY, '{start.export}', false)
local upstream = policy.FORWARD({{'127.0.0.1@{start.upstream}'}})
policy.add(function (request, query)
    local action = zone(request, query)
    -- What passes would pass the forwarding below as well.
    if action == policy.PASS then return upstream end
    return action
end)
policy.add(policy.all(upstream))
""")
    work = start.directory / "work"
    work.mkdir(exist_ok=True)
    return ["kresd", "-n", "-c", configuration, work]


def _dnsmasq(start: Start, more: list[str]) -> list[str | Path]:
    command: list[str | Path] = ["dnsmasq", "-k", f"--port={start.port}", "--listen-address=127.0.0.1"]
    command += ["--bind-interfaces", "--no-resolv", "--no-hosts", f"--server=127.0.0.1#{start.upstream}"]
    return [*command, "--pid-file=", "--user=root", "--log-facility=-", *more]


def dnsmasq(start: Start) -> list[str | Path]:
    """Its own lines."""
    return _dnsmasq(start, [f"--conf-file={start.export}"])


def dnsmasq_hosts(start: Start) -> list[str | Path]:
    """A hosts file."""
    return _dnsmasq(start, ["--conf-file=/dev/null", f"--addn-hosts={start.export}"])


PEERS = (
    ExportPeer("unbound", "unbound", "unbound", unbound),
    ExportPeer("unbound-rpz", "unbound", "rpz", unbound_rpz),
    ExportPeer("bind", "named", "bind", bind),
    ExportPeer("powerdns", "pdns_recursor", "rpz", powerdns),
    ExportPeer("knot-resolver", "kresd", "rpz", knot_resolver),
    ExportPeer("dnsmasq", "dnsmasq", "dnsmasq", dnsmasq),
)
HOSTS_PEER = ExportPeer("dnsmasq-hosts", "dnsmasq", "hosts", dnsmasq_hosts)
