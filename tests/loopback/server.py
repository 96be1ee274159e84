"""The resolver as an operator runs it: a process, its files, its ports, its metrics page.

Knows: the command line, the settings file, the ready line.  Does not know: the package's insides.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import dns.message
import dns.query

from tests.loopback.process import PORT_TRIES_MAX, START_S_MAX, PortTaken, Program, free_port, patience_s

ROOT = Path(__file__).parent.parent.parent

BLOCKLIST = """\
version: 1
defaults: {ttl_s: 300, contact: "mailto:noc@example.net"}
orders:
  order-1: {authority: "An authority", title: "An order", reference: "Ref 1/2024", date: 2024-01-02, imposed_by: external}
exchanges:
  alpha:
    name: Alpha Exchange
    order: order-1
    domains: [blocked.example.net, alpha.example]
  beta:
    name: Beta Exchange
    domains: [beta.example]
    action: sinkhole
    sinkhole: {ipv4: 192.0.2.250, ipv6: "2001:db8::250"}
  gamma:
    name: Gamma Exchange
    domains: ["=gamma.example"]
    addresses: [203.0.113.0/24]
  quiet:
    name: Never Asked
    domains: [quiet.example]
allow: [academy.alpha.example]
"""
"""The policy of most loopback tests."""

Sample = dict[str, float]
"""Metric samples: the line's name with its labels, as printed, to its value."""


def settings(**changes: Any) -> dict[str, Any]:
    """Settings of a server on loopback, `changes` merged in key by key."""
    base: dict[str, Any] = {
        "listen": {"dns": [], "http": None},
        "clients": {"allow": ["127.0.0.0/8", "::1/128"]},
        # No question of its own for prefixes of the network: questions are counted.
        "upstreams": {"servers": [], "strategy": "ordered", "timeout_s": 2.0, "nat64_prefixes": []},
        "blocklist": "blocklist.yaml",
        "state_dir": "state",
    }
    return merged(base, changes)


def merged(one: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Both, key by key; where both have a value that of `changes`."""
    both = copy.deepcopy(one)
    _merge(both, changes)
    return both


def _merge(into: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


class Server(Program):
    """One `python -m resolver run` and the directory with its files."""

    engine = "auto"
    """The setting of every server that does not say otherwise; see the fixture `serving_engine`."""

    def __init__(
        self,
        directory: Path,
        *,
        upstream_ports: tuple[int, ...] = (),
        blocklist: str = BLOCKLIST,
        hosts: tuple[str, ...] = ("127.0.0.1",),
        port: int | None = None,
        prefix: tuple[str, ...] = (),
        changes: dict[str, Any] | None = None,
        start_s_max: float = START_S_MAX,
    ) -> None:
        self._start_s_max = start_s_max
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.blocklist_path = directory / "blocklist.yaml"
        self.settings_path = directory / "resolver.yaml"
        self._upstream_ports = upstream_ports or (9,)
        self._hosts = hosts
        self._wanted_port = port
        self._changes = self._changes_wanted = changes or {}
        self._take_ports()
        if blocklist:
            self.blocklist_path.write_text(blocklist)
        command = [*prefix, sys.executable, "-m", "resolver", "run", "--config", str(self.settings_path)]
        super().__init__(command, directory, name="resolver")

    def _take_ports(self) -> None:
        """Choose the ports that nobody named, and write the settings with them."""
        self.port = self._wanted_port or free_port()
        self.http_port = free_port()
        configured = settings(
            engine=self.engine,
            listen={
                "dns": [
                    f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}" for host in self._hosts
                ],
                "http": f"127.0.0.1:{self.http_port}",
            },
            upstreams={"servers": [f"udp://127.0.0.1:{upstream}" for upstream in self._upstream_ports]},
        )
        _merge(configured, self._changes)
        # JSON is YAML: no second writer of YAML is needed here.
        self.settings_path.write_text(json.dumps(configured, indent=1))

    def start(self, *, env: dict[str, str] | None = None, cwd: Path | None = ROOT) -> None:
        """Start it from the project's root; does not wait."""
        super().start(env=env, cwd=cwd)

    def wait_until_ready(self, timeout_s: float | None = None) -> str:
        """The ready line, once it has been printed whole."""
        patience_s = self._start_s_max if timeout_s is None else timeout_s
        self.wait_for(lambda: "\n" in self.stdout(), "the ready line", patience_s)
        return self.stdout().splitlines()[0]

    def ask(
        self, qname: str, qtype: str = "A", *, tcp: bool = False, timeout_s: float = 5.0, **options: Any
    ) -> dns.message.Message:
        """One question to it, with EDNS, as dnspython asks and reads it; on a busy machine it waits longer."""
        query = dns.message.make_query(qname, qtype, **{"use_edns": 0, **options})
        ask = dns.query.tcp if tcp else dns.query.udp
        return ask(query, "127.0.0.1", port=self.port, timeout=patience_s(timeout_s))

    def page(self, path: str) -> tuple[int, str]:
        """Status and body of a page of its HTTP listener."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.http_port}{path}", timeout=patience_s(5.0)
            ) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metrics(self) -> Sample:
        """All samples of /metrics."""
        status, body = self.page("/metrics")
        assert status == 200
        samples: Sample = {}
        for line in body.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                samples[name] = float(value)
        return samples

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of `name` that carry all of `labels`; 0.0 where there is none."""
        total = 0.0
        for sample, value in self.metrics().items():
            sample_name, _, sample_labels = sample.partition("{")
            pairs = dict(re.findall(r'(\w+)="([^"]*)"', sample_labels))
            if sample_name == name and labels.items() <= pairs.items():
                total += value
        return total

    def wait_for_reload(self, before: Sample, result: str = "success", timeout_s: float = 15.0) -> None:
        """Return when it has counted one more reload of this `result` than `before` shows."""
        key = f'resolver_reloads_total{{result="{result}"}}'
        self.wait_for(lambda: self.metrics()[key] > before.get(key, 0.0), f"a reload: {result}", timeout_s)

    def replace_blocklist(self, text: str) -> None:
        """Put a new policy in place the way editors do: write beside, rename over."""
        beside = self.blocklist_path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.blocklist_path)

    def reload(self) -> None:
        """SIGHUP."""
        self.send(signal.SIGHUP)

    def forget_state(self) -> None:
        """Remove images and last good copies, as on a fresh machine."""
        shutil.rmtree(self.directory / "state", ignore_errors=True)

    def __enter__(self) -> Self:
        for tries_left in reversed(range(PORT_TRIES_MAX)):
            self.start()
            try:
                self.wait_until_ready()
            except AssertionError as failure:
                self.stop()
                if not (isinstance(failure, PortTaken) and tries_left and self._wanted_port is None):
                    raise
                self._take_ports()
                continue
            break
        return self


@contextmanager
def running_server(directory: Path, upstream_port: int, **options: Any) -> Iterator[Server]:
    """A server that is ready, with one upstream on 127.0.0.1."""
    with Server(directory, upstream_ports=(upstream_port,), **options) as server:
        yield server
