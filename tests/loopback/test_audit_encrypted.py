"""The command `audit` over TLS and HTTPS: our own encrypted listeners, and a server that is named by its URL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.loopback.encrypted import EncryptedServer
from tests.loopback.export_peers import running_upstream
from tests.loopback.server import ROOT
from tests.loopback.test_audit import POLICY
from tests.support.list_server import ca_pem

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.needs("nsd")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, serving_engine: str) -> Iterator[EncryptedServer]:
    """A server on every transport, with rules of every action; one drops."""
    directory = tmp_path_factory.mktemp("audited")
    with (
        running_upstream(tmp_path_factory.mktemp("upstream")) as port,
        EncryptedServer(
            directory, upstream_ports=(port,), blocklist=POLICY, changes={"audit": {"every_h": 0}}
        ) as running,
    ):
        (directory / "ca.pem").write_bytes(ca_pem())
        yield running


def audit(server: EncryptedServer, *words: object, trusts: bool = True) -> tuple[int, dict[str, Any]]:
    """Exit code and document of an audit of this server's policy."""
    command = [sys.executable, "-m", "resolver", "audit", "--json", *map(str, words)]
    env = {**os.environ, **({"SSL_CERT_FILE": str(server.directory / "ca.pem")} if trusts else {})}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env=env
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_an_audit_of_this_server_asks_its_encrypted_listeners_too(server: EncryptedServer) -> None:
    code, document = audit(server, "--config", server.settings_path)
    [own] = document["servers"]
    asked = {one["transport"]: one for one in own["listeners"]}
    assert set(asked) == {"udp", "tcp", "tls", "https"}
    assert all(one["answered"] > 0 and one["unanswered"] == 0 for one in asked.values()), asked
    assert code == 0, own


@pytest.mark.parametrize("transport", ["tls", "https"])
def test_another_server_is_asked_by_its_url(server: EncryptedServer, transport: str) -> None:
    url = {
        "tls": f"tls://127.0.0.1:{server.ports['tls']}#localhost",
        "https": f"https://localhost:{server.ports['https']}/dns-query",
    }[transport]
    _, document = audit(server, "--config", server.settings_path, "--server", url)
    [other] = document["servers"]
    assert [one["transport"] for one in other["listeners"]] == [transport]
    assert other["listeners"][0]["answered"] > 0


@pytest.mark.parametrize("transport", ["tls", "https"])
def test_a_certificate_of_nobody_we_trust_proves_nothing(server: EncryptedServer, transport: str) -> None:
    port = server.ports[transport]
    url = f"tls://127.0.0.1:{port}#localhost" if transport == "tls" else f"https://localhost:{port}/dns-query"
    code, document = audit(server, "--config", server.settings_path, "--server", url, trusts=False)
    [other] = document["servers"]
    assert other["listeners"][0]["answered"] == 0
    assert code == 1
