"""Who takes part: this resolver, the bare UDP echo, and the resolvers that may be installed.

Knows: how each is configured to forward to one upstream and to refuse a list of names with NXDOMAIN.
Does not know: what is measured.
Every contestant runs on one core with one thread and answers from a large cache.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dns.rcode

from benchmarks.measure import LOAD_CORE, SERVER_CORE, pinned
from benchmarks.workload import TOP_LABELS, Workload
from tests.loopback.authority import NSD_CONFIGURATION, UNBOUND_CONFIGURATION, answers
from tests.loopback.process import Program, free_port
from tests.loopback.server import Server

HERE = Path(__file__).parent
START_S_MAX = 120.0

WILDCARD_ZONE = """\
$TTL 300
@ IN SOA ns.example. host.example. 1 3600 600 86400 60
@ IN NS ns.example.
* IN A 192.0.2.10
* IN AAAA 2001:db8::10
"""

UNBOUND_LARGE = """\
server:
  msg-cache-size: 256m
  rrset-cache-size: 256m
  so-rcvbuf: 8m
  outgoing-range: 8192
  num-queries-per-thread: 4096
"""

EXCHANGES_ONLY = """\
version: 1
exchanges:
  blocked: {name: Blocked, domains: [blocked.example]}
"""
"""A policy without the long list."""


@dataclass
class Setting:
    """What a contestant is given."""

    directory: Path
    port: int
    upstream_port: int
    workload: Workload


Build = Callable[[Setting], Program]


def policy_with_list(list_path: Path) -> str:
    """Our blocklist file: one exchange and the long list."""
    return f"{EXCHANGES_ONLY}lists:\n  - {{name: long, path: {list_path}, format: domains}}\n"


def our_server(setting: Setting, blocklist: str) -> Server:
    """This resolver, pinned, with caches as large as its peers'."""
    return Server(
        setting.directory,
        upstream_ports=(setting.upstream_port,),
        port=setting.port,
        blocklist=blocklist,
        prefix=pinned(SERVER_CORE),
        changes={"cache": {"size_mb": 256}, "log": {"level": "warning"}},
    )


def _ours(setting: Setting) -> Program:
    return our_server(setting, policy_with_list(setting.workload.list_path))


def _echo(setting: Setting) -> Program:
    program = setting.directory / "udp_echo"
    subprocess.run(["gcc", "-O2", "-o", program, HERE / "udp_echo.c"], check=True)
    return Program([*pinned(SERVER_CORE), str(program), str(setting.port)], setting.directory, name="echo")


def _unbound(setting: Setting) -> Program:
    path = setting.directory / "unbound.conf"
    zones = "".join(f'local-zone: "{name}." always_nxdomain\n' for name in setting.workload.blocked)
    path.write_text(
        UNBOUND_CONFIGURATION.format(
            host="127.0.0.1",
            port=setting.port,
            directory=setting.directory,
            upstream_port=setting.upstream_port,
        )
        + UNBOUND_LARGE
        + zones
    )
    return Program([*pinned(SERVER_CORE), "unbound", "-c", path], setting.directory, name="unbound")


def _policy_zone(setting: Setting) -> Path:
    """A response policy zone with the list."""
    path = setting.directory / "rpz.zone"
    records = "".join(f"{name} CNAME .\n*.{name} CNAME .\n" for name in setting.workload.blocked)
    head = "$TTL 300\n@ SOA localhost. root.localhost. 1 3600 600 86400 60\n@ NS localhost.\n"
    path.write_text(head + records)
    return path


def _bind(setting: Setting) -> Program:
    zone = _policy_zone(setting)
    path = setting.directory / "named.conf"
    path.write_text(
        f'options {{ directory "{setting.directory}"; listen-on port {setting.port} {{ 127.0.0.1; }};'
        " listen-on-v6 { none; }; pid-file none; session-keyfile none; recursion yes; allow-query { any; };"
        f" dnssec-validation no; forwarders {{ 127.0.0.1 port {setting.upstream_port}; }}; forward only;"
        ' response-policy { zone "rpz" policy given; }; max-cache-size 512m; recursive-clients 20000; };\n'
        f'controls {{ }};\nzone "rpz" {{ type master; file "{zone}"; check-names ignore; }};\n'
    )
    command = [*pinned(SERVER_CORE), "named", "-g", "-n", "1", "-U", "1", "-c", str(path)]
    return Program(command, setting.directory, name="named")


def _recursor(setting: Setting) -> Program:
    directory = setting.directory
    (directory / "recursor.lua").write_text(f'rpzFile("{_policy_zone(setting)}", {{policyName="rpz"}})\n')
    (directory / "recursor.conf").write_text(
        f"local-address=127.0.0.1\nlocal-port={setting.port}\ndaemon=no\n"
        f"forward-zones-recurse=.=127.0.0.1:{setting.upstream_port}\ndnssec=off\nthreads=1\n"
        f"pdns-distributes-queries=no\nsocket-dir={directory}\nlua-config-file={directory}/recursor.lua\n"
        "quiet=yes\ndont-query=\nmax-mthreads=8192\ndisable-syslog=yes\n"
    )
    command = [*pinned(SERVER_CORE), "pdns_recursor", f"--config-dir={directory}"]
    return Program(command, directory, name="pdns_recursor")


def _dnsdist(setting: Setting) -> Program:
    path = setting.directory / "dnsdist.conf"
    path.write_text(
        f'setLocal("127.0.0.1:{setting.port}")\nsetACL("127.0.0.0/8")\n'
        f'newServer({{address="127.0.0.1:{setting.upstream_port}", sockets=8}})\n'
        'getPool(""):setCache(newPacketCache(400000, {maxTTL=86400}))\nlocal s = newSuffixMatchNode()\n'
        f'for line in io.lines("{setting.workload.list_path}") do s:add(newDNSName(line)) end\n'
        'addAction(SuffixMatchNodeRule(s), RCodeAction(DNSRCode.NXDOMAIN))\nsetSecurityPollSuffix("")\n'
    )
    command = [*pinned(SERVER_CORE), "dnsdist", "-C", str(path), "--supervised"]
    return Program(command, setting.directory, name="dnsdist")


def _dnsmasq(setting: Setting) -> Program:
    path = setting.directory / "dnsmasq.conf"
    lines = "".join(f"address=/{name}/\n" for name in setting.workload.blocked)
    path.write_text(
        f"port={setting.port}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\n"
        f"server=127.0.0.1#{setting.upstream_port}\ncache-size=400000\ndns-forward-max=10000\nuser=root\n"
        f"pid-file=\n{lines}"
    )
    return Program([*pinned(SERVER_CORE), "dnsmasq", "-k", "-C", path], setting.directory, name="dnsmasq")


def _knot(setting: Setting) -> Program:
    path, directory = setting.directory / "kresd.conf", setting.directory
    path.write_text(
        f"net.listen('127.0.0.1', {setting.port}, {{kind='dns'}})\nmodules = {{ 'policy', 'hints' }}\n"
        f"trust_anchors.remove('.')\ncache.open(512*MB, 'lmdb://{directory}/cache')\n"
        f"policy.add(policy.rpz(policy.DENY, '{_policy_zone(setting)}'))\n"
        f"policy.add(policy.all(policy.FORWARD({{'127.0.0.1@{setting.upstream_port}'}})))\n"
    )
    return Program([*pinned(SERVER_CORE), "kresd", "-n", "-c", path, directory], directory, name="kresd")


CONTESTANTS: dict[str, tuple[str, Build]] = {
    "echo": ("gcc", _echo),
    "unbound": ("unbound", _unbound),
    "ours": ("python3", _ours),
    "named": ("named", _bind),
    "pdns_recursor": ("pdns_recursor", _recursor),
    "dnsdist": ("dnsdist", _dnsdist),
    "dnsmasq": ("dnsmasq", _dnsmasq),
    "kresd": ("kresd", _knot),
}
"""Name -> the program it needs, and how it is set up."""


def is_installed(name: str) -> bool:
    """Whether this machine has what the contestant needs."""
    return shutil.which(CONTESTANTS[name][0]) is not None


def upstream(directory: Path) -> tuple[Program, int]:
    """An NSD with wildcard zones, on the load generator's core, not started; and its port."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    (directory / "wild.zone").write_text(WILDCARD_ZONE)
    text = NSD_CONFIGURATION.format(host="127.0.0.1", port=port, zones=directory, directory=directory)
    text += "".join(f'zone:\n  name: "{zone}"\n  zonefile: "wild.zone"\n' for zone in TOP_LABELS)
    path = directory / "nsd.conf"
    path.write_text(text)
    return Program([*pinned(LOAD_CORE), "nsd", "-d", "-c", path], directory, name="nsd"), port


def start(name: str, directory: Path, upstream_port: int, workload: Workload) -> tuple[Program, int, float]:
    """Start a contestant and wait until it blocks and forwards: program, port, seconds that took."""
    directory.mkdir(parents=True, exist_ok=True)
    setting = Setting(directory, free_port(), upstream_port, workload)
    program = CONTESTANTS[name][1](setting)
    began = time.monotonic()
    program.start()
    blocks = (f"www.{workload.blocked[0]}", dns.rcode.NXDOMAIN)
    forwards = (workload.allowed[0], dns.rcode.NOERROR)
    try:
        for qname, rcode in [blocks] if name == "echo" else [blocks, forwards]:
            program.wait_for(
                lambda qname=qname, rcode=rcode: answers(setting.port, qname, rcode=rcode),  # type: ignore[misc]
                f"answers {qname}",
                START_S_MAX,
            )
    except AssertionError:
        program.stop()
        raise
    return program, setting.port, time.monotonic() - began
