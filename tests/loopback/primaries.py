"""Primaries of a policy zone: a BIND that takes dynamic updates, and an NSD that reads its file again.

Knows: their configuration files, how their zones are changed.  Does not know: who transfers them.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.update

from tests.loopback.process import START_S_MAX, Program, poll, running_on_a_free_port

ZONE = "rpz.example"
KEY = "transfer.example"
SECRET = "c2VjcmV0LW9mLXRoZS10cmFuc2ZlcnMtMzItb2N0ZXQ="

BIND_CONFIGURATION = """\
options {{
  directory "{directory}";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion no;
  dnssec-validation no;
  pid-file none;
  session-keyfile none;
  max-journal-size 10m;
  tcp-clients 50;
  notify explicit;
  notify-delay 0;
  serial-query-rate 1000;
}};
controls {{ }};
key "{key}" {{ algorithm hmac-sha256; secret "{secret}"; }};
zone "{zone}" {{
  type primary;
  file "rpz.zone";
  allow-transfer {{ {transfer} }};
  allow-update {{ 127.0.0.1; }};
  {notify}
}};
"""

NSD_CONFIGURATION = """\
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  zonesdir: "{directory}"
  pidfile: "{directory}/nsd.pid"
  database: ""
  zonelistfile: "{directory}/zone.list"
  xfrdfile: "{directory}/xfrd.state"
  server-count: 1
  zonefiles-check: yes
  {tls}
remote-control:
  control-enable: no
key:
  name: "{key}"
  algorithm: hmac-sha256
  secret: "{secret}"
zone:
  name: "{zone}"
  zonefile: "rpz.zone"
  provide-xfr: 127.0.0.1 {transfer}
  create-ixfr: yes
  store-ixfr: yes
  {notify}
"""


def zone_text(names: Iterable[str], serial: int, *more: str) -> str:
    """A policy zone whose names get NXDOMAIN, each with all below it."""
    lines = [f"$ORIGIN {ZONE}.", "$TTL 300", f"@ IN SOA ns.{ZONE}. admin.{ZONE}. {serial} 3600 600 86400 60"]
    lines.append("@ IN NS localhost.")
    lines += more
    for name in names:
        lines += [f"{name} CNAME .", f"*.{name} CNAME ."]
    return "\n".join(lines) + "\n"


def serial_at(port: int) -> int | None:
    """The serial that a primary on 127.0.0.1 says; None: it says nothing now."""
    try:
        reply = dns.query.udp(dns.message.make_query(ZONE, "SOA"), "127.0.0.1", port=port, timeout=1.0)
    except (dns.exception.DNSException, OSError):
        return None
    if reply.rcode() != dns.rcode.NOERROR or not reply.answer:
        return None
    return int(reply.answer[0][0].serial)


@dataclass
class Primary:
    """One running primary."""

    kind: str
    port: int
    program: Program
    directory: Path
    serial: int = 1
    patience_s: float = 20.0
    """For a change to be served."""
    names: list[str] = field(default_factory=list)

    def change(self, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Add and remove names; returns when the primary serves them."""
        self.names = [name for name in self.names if name not in set(remove)] + list(add)
        self.serial += 1
        if self.kind == "bind":
            for part in range(0, max(len(add), len(remove)), 300):
                update = dns.update.Update(ZONE)
                for name in remove[part : part + 300]:
                    update.delete(name)
                    update.delete(f"*.{name}")
                for name in add[part : part + 300]:
                    update.add(name, 300, "CNAME", ".")
                    update.add(f"*.{name}", 300, "CNAME", ".")
                reply = dns.query.tcp(update, "127.0.0.1", port=self.port, timeout=10.0)
                assert reply.rcode() == dns.rcode.NOERROR, dns.rcode.to_text(reply.rcode())
            self.serial = serial_at(self.port) or 0
            return
        (self.directory / "rpz.zone").write_text(zone_text(self.names, self.serial))
        self.program.send(signal.SIGHUP)
        poll(
            lambda: serial_at(self.port) == self.serial,
            timeout_s=self.patience_s,
            what="NSD serves the new zone",
        )


@contextmanager
def running_primary(
    kind: str,
    directory: Path,
    names: Sequence[str],
    *,
    signed: bool = True,
    notify_port: int | None = None,
    more: Sequence[str] = (),
    tls: str = "",
    port: int | None = None,
    patience_s: float = 20.0,
) -> Iterator[Primary]:
    """A BIND (`bind`) or NSD (`nsd`) with the zone; `signed`: it gives it only to who has the key.

    `notify_port`: whom on 127.0.0.1 it tells of changes.  `patience_s`: for reading the zone, each time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "rpz.zone").write_text(zone_text(names, 1, *more))
    fields = {"directory": directory, "zone": ZONE, "key": KEY, "secret": SECRET}

    def started_on(chosen: int) -> Program:
        if kind == "bind":
            notify = "" if notify_port is None else f"also-notify {{ 127.0.0.1 port {notify_port}; }};"
            transfer = f'key "{KEY}";' if signed else "127.0.0.1;"
            text = BIND_CONFIGURATION.format(port=chosen, transfer=transfer, notify=notify, **fields)
            (directory / "named.conf").write_text(text)
            return Program(["named", "-g", "-n", "1", "-c", directory / "named.conf"], directory)
        key = KEY if signed else "NOKEY"
        notify = "" if notify_port is None else f"notify: 127.0.0.1@{notify_port} {key}"
        text = NSD_CONFIGURATION.format(port=chosen, transfer=key, notify=notify, tls=tls, **fields)
        (directory / "nsd.conf").write_text(text)
        return Program(["nsd", "-d", "-c", directory / "nsd.conf"], directory)

    started: list[Program] = []

    def noted_on(chosen: int) -> Program:
        started.append(started_on(chosen))
        return started[-1]

    with running_on_a_free_port(
        noted_on,
        lambda chosen: serial_at(chosen) == 1,
        f"{kind} answers",
        port,
        start_s_max=max(patience_s, START_S_MAX),
    ) as chosen:
        yield Primary(kind, chosen, started[-1], directory, 1, patience_s, list(names))
