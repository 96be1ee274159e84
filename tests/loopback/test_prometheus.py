"""A real Prometheus scrapes a real server: every panel of the dashboard has something to show, and alerts fire
while something is out of order and resolve when it is mended.

`FUZZ_PROFILE=long` also waits a minute for the first audit of everything, which some panels show.
"""

from __future__ import annotations

import asyncio
import http.server
import json
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import dns.exception
import pytest

from tests.fuzz.rig import IS_LONG
from tests.loopback.encrypted import EncryptedServer, client_of
from tests.loopback.monitoring import ROOT, Prometheus
from tests.loopback.server import BLOCKLIST
from tests.loopback.slow_upstream import SlowUpstream
from tests.support.encrypted_upstreams import (
    HOST,
    answer_to,
    authorities_file,
    certified,
    framed,
    server_context,
)
from tests.support.zone_server import Script, blocked, soa, zone_server

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.slow,
    pytest.mark.needs("prometheus"),
]

DASHBOARD = json.loads((ROOT / "config" / "grafana" / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {"$instance": ".*", "$__range": "1m"}

BY_THE_REAL_CLOCK = {"ResolverAuditOverdue"}
"""The first audit begins after a minute, however fast the rules' clock runs."""
NOT_IN_A_SHORT_RUN = {"Audits: time since the last one of everything"}
"""The first audit of everything begins a minute after the start."""

LISTED = """\
  order-2: {authority: A, title: T, imposed_by: external, due: 2020-01-01T00:00:00Z, from: 2030-01-01}
"""
"""An order that is overdue: it begins too late."""


def blocklist(list_port: int, zone_port: int) -> str:
    """The usual policy, an order that is overdue, and two lists from servers on this machine."""
    head, _, tail = BLOCKLIST.partition("exchanges:\n")
    ads = {
        "name": "ads",
        "url": f"http://127.0.0.1:{list_port}/ads.txt",
        "format": "domains",
        "allow_http": True,
        "allow_private": True,
        "order": "order-1",
    }
    zone = {"name": "zone", "url": f"axfr://127.0.0.1:{zone_port}/rpz.example"}
    return f"{head}{LISTED}exchanges:\n{tail}lists: {json.dumps([ads, zone])}\n"


@contextmanager
def list_server(folder: Path) -> Iterator[int]:
    """Serves one list over HTTP."""
    (folder / "ads.txt").write_text("ads.example\n")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *of_the_library: Any) -> None:
            super().__init__(*of_the_library, directory=str(folder))

        def log_message(self, *words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextmanager
def primary() -> Iterator[int]:
    """A name server from which a policy zone can be transferred; its port."""
    whole = [soa(1), *blocked("zoned.example"), soa(1)]
    ports: queue.Queue[int] = queue.Queue()
    ends = threading.Event()

    async def serve() -> None:
        async with zone_server(Script(axfr=[whole])) as server:
            ports.put(server.port)
            await asyncio.to_thread(ends.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    yield ports.get(timeout=10)
    ends.set()
    thread.join()


class TlsUpstream:
    """Answers every question over TLS, one connection after the other."""

    def __init__(self, folder: Path) -> None:
        self._context = server_context(folder, certified(HOST))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._socket.accept()
                with (
                    suppress(OSError),
                    self._context.wrap_socket(plain, server_side=True) as stream,
                    stream.makefile("rb") as file,
                ):
                    while len(length := file.read(2)) == 2:
                        stream.sendall(framed(answer_to(file.read(int.from_bytes(length, "big")))))

    def close(self) -> None:
        self._socket.close()


class Load:
    """Somebody who asks all the time: names that are blocked, cached and new, over UDP and TLS."""

    def __init__(self, server: EncryptedServer) -> None:
        self._server = server
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        number = 0
        while not self._ends.wait(0.02):
            number += 1
            names = (
                "www.alpha.example",
                "ads.example",
                "same.example",
                f"n{number}.example",
                "n.tls.example",
            )
            for name in names:
                with suppress(OSError, dns.exception.DNSException):
                    self._server.ask(name, timeout_s=0.3)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *of_the_block: object) -> None:
        self._ends.set()
        self._thread.join()


@pytest.fixture(scope="module")
def upstream() -> Iterator[list[SlowUpstream]]:
    """The upstream that lives now, in a list, for its successor has the same port."""
    alive = [SlowUpstream()]
    alive[0].__enter__()
    yield alive
    alive[0].__exit__(None, None, None)


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory, upstream: list[SlowUpstream]
) -> Iterator[tuple[EncryptedServer, Prometheus]]:
    """A server under load and the Prometheus that scrapes it."""
    folder = tmp_path_factory.mktemp("watched")
    with ExitStack() as stack:
        list_port, zone_port = stack.enter_context(list_server(folder)), stack.enter_context(primary())
        tls_upstream = TlsUpstream(folder)
        stack.callback(tls_upstream.close)
        changes = {
            "upstreams": {
                "timeout_s": 0.4,
                "tls_ca": str(authorities_file(folder)),
                "forward": {"tls.example": [f"tls://127.0.0.1:{tls_upstream.port}#{HOST}"]},
            },
            "acknowledge": {"ads": {"command": ["/bin/false"]}},
            "query_records": [{"name": "all", "type": "jsonl", "to": "records.jsonl", "queries": "all"}],
        }
        server = stack.enter_context(
            EncryptedServer(
                folder / "server",
                upstream_ports=(upstream[0].port,),
                blocklist=blocklist(list_port, zone_port),
                changes=changes,
            )
        )
        prometheus = stack.enter_context(Prometheus(folder / "prometheus", f"127.0.0.1:{server.http_port}"))
        stack.enter_context(Load(server))
        stack.callback(client_of(server, "tls", server.context()).close)
        prometheus.wait_until_it_scrapes()
        yield server, prometheus


def expressions(panel: dict[str, Any]) -> list[str]:
    found = []
    for target in panel["targets"]:
        expression = target["expr"]
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)
        found.append(expression)
    return found


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_has_something_to_show(
    watched: tuple[EncryptedServer, Prometheus], panel: dict[str, Any]
) -> None:
    _, prometheus = watched
    for expression in expressions(panel):
        if panel["title"] in NOT_IN_A_SHORT_RUN and not IS_LONG:
            assert prometheus.query(expression) is not None
            continue
        prometheus.wait_for(
            partial(prometheus.query, expression),
            f"a value of {expression}",
            90.0 if IS_LONG else 15.0,
        )


def test_alerts_fire_while_something_is_out_of_order_and_resolve_when_it_is_mended(
    watched: tuple[EncryptedServer, Prometheus], upstream: list[SlowUpstream]
) -> None:
    server, prometheus = watched

    def loud() -> set[str]:
        return prometheus.firing() - BY_THE_REAL_CLOCK

    def wait_until_quiet() -> None:
        try:
            prometheus.wait_for(lambda: not loud(), "no alert", 30.0)
        except AssertionError as late:
            raise AssertionError(f"{sorted(loud())} fire: {late}") from None

    whole = server.blocklist_path.read_text().replace(LISTED, "")
    server.replace_blocklist(whole.replace("exchanges:\n", f"{LISTED}exchanges:\n"))
    prometheus.wait_until_fires("ResolverOrderOverdue")
    server.replace_blocklist(whole)
    wait_until_quiet()

    # The upstream dies, an edit goes wrong, new certificate files are half written.
    upstream[0].__exit__(None, None, None)
    server.replace_blocklist("exchanges: [")
    certificate = Path(json.loads(server.settings_path.read_text())["tls"]["certificate"])
    pem = certificate.read_bytes()
    certificate.write_bytes(pem[:100])
    prometheus.wait_until_fires(
        "ResolverUpstreamDown",
        "ResolverUpstreamFails",
        "ResolverAnswersFail",
        "ResolverBlocklistNotInForce",
        "ResolverCertificateNotServed",
    )
    # All is mended.
    upstream[0] = SlowUpstream(upstream[0].port)
    upstream[0].__enter__()
    server.replace_blocklist(whole)
    certificate.write_bytes(pem)
    wait_until_quiet()

    # The server itself goes, and comes back.
    server.stop()
    prometheus.wait_until_fires("ResolverDown")
    server.start()
    server.wait_until_ready()
    wait_until_quiet()
