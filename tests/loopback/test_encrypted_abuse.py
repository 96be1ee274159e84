"""Encrypted streams as clients abuse them, the short form: each attack for a moment, and what is left of it.

`python -m benchmarks abuse` has them longer, with memory and waits before, during and after.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator

import dns.message
import dns.rcode
import pytest

from benchmarks.abuse import DEFECTS
from benchmarks.abuse_attacks import Attack, Target
from benchmarks.abuse_catalogue import ENCRYPTED
from tests.loopback.authority import answers
from tests.loopback.conformance import TRANSPORTS
from tests.loopback.encrypted import EncryptedServer, client_of
from tests.loopback.process import Program, free_port, poll, resident_mb, running_on_a_free_port
from tests.loopback.server import ROOT
from tests.support.asking import Asker

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

ATTACK_S = 0.5
TRIES = 4
GROWTH_MB_MAX = 64.0
"""Over all attacks together; one alone could take a gigabyte where nothing bounds it."""
DESCRIPTORS = 4_096
HANDSHAKE_S_MAX = 5.0
"""How long a handshake may take: an attack of silence is counted when that is over."""


@pytest.fixture(scope="module", autouse=True)
def room() -> Iterator[None]:
    """Descriptors for a thousand clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, DESCRIPTORS), hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, serving_engine: str) -> Iterator[EncryptedServer]:
    """One server for all attacks of an engine: what one leaves behind, the next one meets."""
    folder = tmp_path_factory.mktemp("abuse")

    def upstream_on(port: int) -> Program:
        ports = map(str, (port, free_port(), free_port()))
        upstream = Program(
            [sys.executable, "-m", "benchmarks.abuse_upstream", *ports], folder, name="upstream"
        )
        upstream.start(cwd=ROOT)
        return upstream

    def is_up(port: int) -> bool:
        return answers(port, "www.example.org")

    with running_on_a_free_port(upstream_on, is_up, "the upstream answers") as port:
        limits = {"tcp_idle_s": 2.0}
        with EncryptedServer(folder, upstream_ports=(port,), changes={"limits": limits}) as running:
            yield running


@pytest.fixture(scope="module")
def rest_mb(server: EncryptedServer) -> float:
    """Memory before the first of them."""
    for transport in TRANSPORTS:
        assert is_answered(server, transport)
    return resident_mb(server.pid)


def is_answered(server: EncryptedServer, transport: str) -> bool:
    """Whether somebody else, on an address of their own, gets an answer now."""
    query = dns.message.make_query("www.example.org", "A")
    with Asker(client_of(server, transport, server.context())) as client:
        reply = client.exchange(query.to_wire())
    return isinstance(reply, bytes) and dns.message.from_wire(reply).rcode() == dns.rcode.NOERROR


def counted(server: EncryptedServer, attack: Attack) -> float:
    """What the metrics that should count it say together."""
    return sum(server.metric(name) for name in attack.counted)


@pytest.mark.parametrize("name", ENCRYPTED)
def test_an_attack_is_survived_counted_and_leaves_nothing(
    server: EncryptedServer, rest_mb: float, name: str
) -> None:
    attack = ENCRYPTED[name]
    before = counted(server, attack)
    for tries_left in reversed(range(TRIES)):
        until = time.monotonic() + ATTACK_S
        target = Target(server.port, server.http_port, until, server.ports["tls"], server.ports["https"])
        seen = attack.run(target)
        assert seen.get("opened", 1) > 0
        for transport in TRANSPORTS:
            assert is_answered(server, transport), f"nobody is answered over {transport}"
        if not attack.counted:
            break
        try:
            poll(
                lambda: counted(server, attack) > before,
                timeout_s=HANDSHAKE_S_MAX + 5.0,
                what=f"one of {attack.counted} counts it",
            )
            break
        except AssertionError:
            # On a busy machine a moment may be too short to get as far as a limit.
            if not tries_left:
                raise
    metrics = server.metrics()
    assert [each for each in DEFECTS if metrics.get(each)] == []
    assert "Traceback" not in server.stderr()
    assert "panicked" not in server.stderr()
    assert resident_mb(server.pid) - rest_mb < GROWTH_MB_MAX
