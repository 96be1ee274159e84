"""An NSD that serves the zones of `tests/zones`, and an Unbound or dnsmasq that forwards.

Knows: their configuration files, how to see that they answer.  Does not know: the resolver under test.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

from tests.loopback.process import Program, running_on_a_free_port

ZONES = Path(__file__).parent.parent / "zones"

NSD_CONFIGURATION = """\
server:
  ip-address: {host}@{port}
  username: ""
  zonesdir: "{zones}"
  pidfile: "{directory}/nsd.pid"
  database: ""
  zonelistfile: "{directory}/zone.list"
  xfrdfile: "{directory}/xfrd.state"
  server-count: 1
  rrl-ratelimit: 0
  tcp-count: 200
remote-control:
  control-enable: no
"""

UNBOUND_CONFIGURATION = """\
server:
  interface: {host}@{port}
  num-threads: 1
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: ""
  use-syslog: no
  verbosity: 0
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  max-udp-size: 1232
  module-config: "iterator"
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{upstream_port}
"""


def answers(port: int, qname: str, *, host: str = "127.0.0.1", rcode: int = dns.rcode.NOERROR) -> bool:
    """Whether a server answers `qname` A with `rcode` at this very moment."""
    try:
        reply = dns.query.udp(dns.message.make_query(qname, "A"), host, port=port, timeout=1.0)
    except (dns.exception.DNSException, OSError):
        return False
    return bool(reply.rcode() == rcode)


def is_serving(port: int) -> bool:
    """Whether a server on 127.0.0.1 answers from the zones of `tests/zones`."""
    return answers(port, "www.example.org")


@contextmanager
def running_authority(directory: Path, *, port: int | None = None) -> Iterator[int]:
    """An NSD with all zones of `tests/zones`; gives its port on 127.0.0.1."""
    directory.mkdir(parents=True, exist_ok=True)
    zones = directory / "zones"
    shutil.copytree(ZONES, zones, dirs_exist_ok=True)

    def nsd_on(chosen: int) -> Program:
        text = NSD_CONFIGURATION.format(host="127.0.0.1", port=chosen, zones=zones, directory=directory)
        for zone in sorted(zones.glob("*.zone")):
            text += f'zone:\n  name: "{zone.stem}"\n  zonefile: "{zone.name}"\n'
        configuration = directory / "nsd.conf"
        configuration.write_text(text)
        return Program(["nsd", "-d", "-c", configuration], directory)

    with running_on_a_free_port(nsd_on, is_serving, "NSD answers", port) as chosen:
        yield chosen


@contextmanager
def running_unbound(directory: Path, upstream_port: int) -> Iterator[int]:
    """An Unbound that forwards everything to 127.0.0.1, `upstream_port`; gives its own port."""
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "unbound.conf"

    def unbound_on(port: int) -> Program:
        configuration.write_text(
            UNBOUND_CONFIGURATION.format(
                host="127.0.0.1", port=port, directory=directory, upstream_port=upstream_port
            )
        )
        return Program(["unbound", "-c", configuration], directory)

    with running_on_a_free_port(unbound_on, is_serving, "Unbound answers") as port:
        yield port


@contextmanager
def running_dnsmasq(directory: Path, upstream_port: int) -> Iterator[int]:
    """A dnsmasq that forwards everything to 127.0.0.1, `upstream_port`; gives its own port."""
    command = ["dnsmasq", "-k", "--conf-file=/dev/null", "--listen-address=127.0.0.1"]
    command += ["--bind-interfaces", "--no-resolv", "--no-hosts", f"--server=127.0.0.1#{upstream_port}"]
    command += ["--pid-file=", "--user=root", "--log-facility=-"]

    def dnsmasq_on(port: int) -> Program:
        return Program([*command, f"--port={port}"], directory)

    with running_on_a_free_port(dnsmasq_on, is_serving, "dnsmasq answers") as port:
        yield port
