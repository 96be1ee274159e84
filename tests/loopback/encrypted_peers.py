"""Other resolvers that answer over TLS and HTTPS, each a foreground process on ports of its own.

Knows: their configuration files.  Does not know: what is under test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.loopback.authority import answers
from tests.loopback.process import Program, free_port, running_on_a_free_port
from tests.support.encrypted_upstreams import HOST, authorities_file, certified

ADDRESS = "192.0.2.10"
"""Of every name under `example`, but for the host itself."""


@dataclass(frozen=True)
class Peer:
    """Where a resolver answers on 127.0.0.1."""

    plain: int
    tls: int
    https: int


@dataclass(frozen=True)
class Files:
    """A certificate for `HOST` and whom it is from."""

    certificate: Path
    key: Path
    authorities: Path


def write_files(directory: Path) -> Files:
    """The files of one server."""
    directory.mkdir(parents=True, exist_ok=True)
    own = certified(HOST)
    files = Files(directory / "server.pem", directory / "server.key", authorities_file(directory))
    files.certificate.write_bytes(own.pem)
    files.key.write_bytes(own.key_pem)
    return files


@contextmanager
def running_unbound(directory: Path, files: Files) -> Iterator[Peer]:
    """Unbound; every name under `example` has one address, `HOST` that of this machine."""
    configuration = directory / "unbound.conf"
    tls, https = free_port(), free_port()

    def unbound_on(port: int) -> Program:
        configuration.write_text(f"""\
server:
  interface: 127.0.0.1@{port}
  interface: 127.0.0.1@{tls}
  interface: 127.0.0.1@{https}
  tls-port: {tls}
  https-port: {https}
  tls-service-key: "{files.key}"
  tls-service-pem: "{files.certificate}"
  num-threads: 1
  incoming-num-tcp: 200
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: ""
  use-syslog: no
  module-config: "iterator"
  local-zone: "." static
  local-data: ". 86400 NS ns.invalid."
  local-zone: "example." redirect
  local-data: "example. 300 A {ADDRESS}"
  local-data: "example. 300 AAAA 2001:db8::10"
  local-zone: "{HOST}." static
  local-data: "{HOST}. 300 A 127.0.0.1"
remote-control:
  control-enable: no
""")
        return Program(["unbound", "-c", configuration], directory)

    with running_on_a_free_port(unbound_on, _is_ready, "Unbound answers") as port:
        yield Peer(port, tls, https)


@contextmanager
def running_dnsdist(directory: Path, files: Files, backend: int) -> Iterator[Peer]:
    """dnsdist in front of the resolver at `backend`."""
    configuration = directory / "dnsdist.conf"
    tls, https = free_port(), free_port()

    def dnsdist_on(port: int) -> Program:
        pair = f'"{files.certificate}", "{files.key}"'
        configuration.write_text(f"""\
setLocal("127.0.0.1:{port}")
addTLSLocal("127.0.0.1:{tls}", {pair})
addDOHLocal("127.0.0.1:{https}", {pair}, "/dns-query")
newServer({{address="127.0.0.1:{backend}", healthCheckInterval=60}})
setSecurityPollSuffix("")
""")
        return Program(["dnsdist", "--supervised", "-C", configuration], directory)

    with running_on_a_free_port(dnsdist_on, _is_ready, "dnsdist answers") as port:
        yield Peer(port, tls, https)


def _is_ready(port: int) -> bool:
    return answers(port, "ready.example")
