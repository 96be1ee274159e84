"""A certificate that changes under load: new sessions get the new one, no answer of an old session is lost.

`FUZZ_PROFILE=long`: 50 reloads at 5,000 queries a second.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dns.message
import dns.rcode
import pytest
from cryptography import x509

from tests.fuzz.rig import IS_LONG
from tests.loopback.encrypted import ENCRYPTED, EncryptedServer, client_of
from tests.loopback.odd_upstream import OddUpstream
from tests.loopback.process import poll
from tests.support.asking import connected
from tests.support.list_server import server_files

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

RELOADS = 50 if IS_LONG else 5
QUERIES_PER_S = 5_000 if IS_LONG else 1_000
CONNECTIONS = 4
"""Of each encrypted transport."""
TICK_S = 0.01
SEEN_S_MAX = 20.0


class SteadyLoad:
    """One client on one connection that asks at a steady rate and reads every answer."""

    def __init__(self, server: EncryptedServer, transport: str, per_s: float) -> None:
        self._client = client_of(server, transport, server.context())
        self._per_tick = max(1, round(per_s * TICK_S))
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = self.answered = 0
        self.ended_with = ""

    def _run(self) -> None:
        query = dns.message.make_query("www.example.org", "A", id=1).to_wire()
        next_at = time.monotonic()
        while not self._is_over.is_set():
            self._client.send([query] * self._per_tick)
            self.sent += self._per_tick
            for _ in range(self._per_tick):
                reply = self._client.receive()
                if not isinstance(reply, bytes) or reply[3] & 15 != dns.rcode.NOERROR:
                    self.ended_with = str(reply)
                    return
                self.answered += 1
            next_at += TICK_S
            self._is_over.wait(max(0.0, next_at - time.monotonic()))

    @contextmanager
    def running(self) -> Iterator[None]:
        """From now on, until it is left."""
        self._thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            self._thread.join()
            self._client.close()


def shown_serial(server: EncryptedServer, transport: str) -> int:
    """The serial number of the certificate that a new session is shown."""
    protocol = "h2" if transport == "https" else "dot"
    with connected(server.ports[transport], server.context(), [protocol], "127.0.0.1") as session:
        assert isinstance(session, ssl.SSLSocket)
        shown = session.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def serial_of(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


def replace_pair(server: EncryptedServer) -> int:
    """A new pair in place of the one in use, a file at a time as editors do; its serial number."""
    beside = server_files(server.directory / "next")
    serial = serial_of(beside[0])
    for path in beside:
        path.replace(server.directory / "certificate" / path.name)
    return serial


def wait_until_shown(server: EncryptedServer, transport: str, serial: int) -> None:
    poll(
        lambda: shown_serial(server, transport) == serial,
        timeout_s=SEEN_S_MAX,
        what=f"a new session over {transport} is shown certificate {serial}",
    )


def test_no_answer_is_lost_while_certificates_change(tmp_path: Path, serving_engine: str) -> None:
    with (
        OddUpstream() as upstream,
        EncryptedServer(tmp_path, upstream_ports=(upstream.port,)) as server,
    ):
        server.ask("www.example.org")
        each_per_s = QUERIES_PER_S / CONNECTIONS / len(ENCRYPTED)
        loads = [
            SteadyLoad(server, transport, each_per_s) for transport in ENCRYPTED for _ in range(CONNECTIONS)
        ]
        with ExitStack() as stack:
            for load in loads:
                stack.enter_context(load.running())
            for _ in range(RELOADS):
                wanted = replace_pair(server)
                for transport in ENCRYPTED:
                    wait_until_shown(server, transport, wanted)
        assert [load.ended_with for load in loads if load.ended_with] == []
        assert all(load.sent == load.answered > 0 for load in loads)


def test_half_a_pair_keeps_the_one_in_use(tmp_path: Path, serving_engine: str) -> None:
    with (
        OddUpstream() as upstream,
        EncryptedServer(tmp_path, upstream_ports=(upstream.port,)) as server,
    ):
        before = shown_serial(server, "tls")
        other = server_files(tmp_path / "next")
        other[0].replace(tmp_path / "certificate" / other[0].name)
        poll(
            lambda: "certificate" in server.page("/readyz")[1],
            timeout_s=SEEN_S_MAX,
            what="the page says that the certificate and the key do not belong together",
        )
        assert {shown_serial(server, transport) for transport in ENCRYPTED} == {before}
        other[1].replace(tmp_path / "certificate" / other[1].name)
        poll(
            lambda: shown_serial(server, "tls") != before,
            timeout_s=SEEN_S_MAX,
            what="a new session is shown the new certificate",
        )
