"""Upstreams over TLS and HTTPS, real ones and bad ones, behind a whole server."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dns.rcode
import pytest

from resolver.cli.demo_upstream import bind_pair
from tests.loopback.encrypted_peers import (
    ADDRESS,
    Files,
    Peer,
    running_dnsdist,
    running_unbound,
    write_files,
)
from tests.loopback.process import poll
from tests.loopback.server import Server, running_server
from tests.support.encrypted_upstreams import HOST, authorities_file

pytestmark = pytest.mark.loopback

Start = Callable[..., Server]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def unbound(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Iterator[Peer]:
    with running_unbound(tmp_path_factory.mktemp("unbound"), files) as peer:
        yield peer


@pytest.fixture(scope="module")
def dnsdist(tmp_path_factory: pytest.TempPathFactory, files: Files, unbound: Peer) -> Iterator[Peer]:
    with running_dnsdist(tmp_path_factory.mktemp("dnsdist"), files, unbound.plain) as peer:
        yield peer


@pytest.fixture
def start(serving_engine: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a server with these upstreams."""
    with ExitStack() as stack:

        def start(*servers: Any, **upstreams: Any) -> Server:
            changes = {
                "upstreams": {
                    "servers": list(servers),
                    "tls_ca": str(authorities_file(tmp_path)),
                    **upstreams,
                }
            }
            return stack.enter_context(running_server(tmp_path, 9, changes=changes))

        yield start


def url(peer: Peer, scheme: str, where: str = "127.0.0.1", name: str = f"#{HOST}") -> str:
    if scheme == "tls":
        return f"tls://{where}:{peer.tls}{name}"
    return f"https://{where}:{peer.https}/dns-query{name}"


def asks_many(server: Server, upstream: str) -> None:
    """Fifty names are answered, over few connections."""
    for number in range(50):
        [answer] = server.ask(f"www{number}.example").answer
        assert answer[0].to_text() == ADDRESS
    assert server.metric("resolver_upstream_up", upstream=upstream) == 1
    assert server.metric("resolver_upstream_handshakes_total", upstream=upstream) <= 3
    assert server.metric("resolver_upstream_queries_total", upstream=upstream) >= 50
    expiry = server.metric("resolver_upstream_certificate_expiry_timestamp_seconds", upstream=upstream)
    assert expiry > 4e9


@pytest.mark.needs("unbound")
@pytest.mark.parametrize("scheme", ["tls", "https"])
def test_unbound_answers(start: Start, unbound: Peer, scheme: str) -> None:
    upstream = url(unbound, scheme)
    asks_many(start(upstream), upstream)


@pytest.mark.needs("unbound", "dnsdist")
@pytest.mark.parametrize("scheme", ["tls", "https"])
def test_dnsdist_answers(start: Start, dnsdist: Peer, scheme: str) -> None:
    upstream = url(dnsdist, scheme)
    asks_many(start(upstream), upstream)


@pytest.mark.needs("unbound")
@pytest.mark.parametrize("scheme", ["tls", "https"])
def test_a_host_name_is_resolved_by_bootstrap_servers(start: Start, unbound: Peer, scheme: str) -> None:
    upstream = url(unbound, scheme, HOST, "")
    asks_many(start(upstream, bootstrap=[f"127.0.0.1:{unbound.plain}"]), upstream)


@pytest.mark.needs("unbound")
@pytest.mark.parametrize("strategy", ["parallel", "random"])
def test_every_strategy_asks_encrypted_upstreams(start: Start, unbound: Peer, strategy: str) -> None:
    upstreams = [url(unbound, "tls"), url(unbound, "https")]
    server = start(*upstreams, strategy=strategy)
    for number in range(40):
        assert server.ask(f"www{number}.example").answer
    for upstream in upstreams:
        assert server.metric("resolver_upstream_queries_total", upstream=upstream) > 5


@pytest.mark.needs("unbound")
def test_one_that_is_not_who_it_should_be_is_passed_over_counted_and_named(
    start: Start, unbound: Peer
) -> None:
    wrong, good = url(unbound, "tls", name="#other.example"), url(unbound, "https")
    server = start(wrong, good)
    for number in range(5):
        assert server.ask(f"www{number}.example", timeout_s=1.0).answer
    counted = server.metric("resolver_upstream_failures_total", upstream=wrong, reason="certificate_name")
    assert counted >= 1
    poll(lambda: not server.metric("resolver_upstream_up", upstream=wrong), timeout_s=5.0, what="down")
    status, page = server.page("/readyz")
    assert status == 200
    remark = json.loads(page)["remarks"]["upstreams"]
    assert f"{wrong} is down (certificate_name: " in remark and "'other.example'" in remark


class Listener:
    """Somebody at the upstream's port: hears what comes over UDP and TCP, and never answers."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._datagrams, self._connections = bind_pair("127.0.0.1")
        self._connections.listen()
        self.port = int(self._datagrams.getsockname()[1])
        self._open: list[socket.socket] = []
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._hear_datagrams, self._accept)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        for sock in (self._datagrams, self._connections, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5.0)

    def _hear_datagrams(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._datagrams.recv(65_536):
                self.heard.append(b"UDP " + data)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._connections.accept()
                self._open.append(connection)
                self.heard.append(connection.recv(65_536))


@pytest.mark.parametrize("scheme", ["tls", "https"])
def test_where_only_encrypted_upstreams_are_named_nothing_of_a_client_leaves_in_clear_text(
    start: Start, scheme: str
) -> None:
    listener = Listener()
    try:
        peer = Peer(listener.port, listener.port, listener.port)
        server = start(url(peer, scheme), timeout_s=1.0)
        for number in range(3):
            answer = server.ask(f"secret{number}.example", timeout_s=5.0)
            assert answer.rcode() == dns.rcode.SERVFAIL
        heard = b"".join(listener.heard).lower()
        assert heard and b"udp " not in heard and b"secret" not in heard
        assert all(octets[:1] == b"\x16" for octets in listener.heard)  # a ClientHello
    finally:
        listener.close()


@pytest.mark.needs("unbound")
def test_upstreams_test_tells_good_from_bad(unbound: Peer, files: Files, tmp_path: Path) -> None:
    settings = {
        "upstreams": {
            "servers": [
                url(unbound, "tls"),
                url(unbound, "https"),
                url(unbound, "tls", name="#other.example"),
            ],
            "tls_ca": str(files.authorities),
        }
    }
    config = tmp_path / "resolver.yaml"
    config.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "resolver", "upstreams", "test", "--config", str(config), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    tls, https, wrong = json.loads(done.stdout)["upstreams"]
    assert done.returncode == 1
    for one in (tls, https):
        assert one["ok"] and one["certificate"]["names"] == [HOST] and one["tls"] == "TLSv1.3"
        assert 0 < one["warm_s"] < one["first_s"] and one["handshake_s"] > 0
    assert (wrong["ok"], wrong["reason"]) == (False, "certificate_name")
    assert wrong["certificate"]["names"] == [HOST]
