"""Who asks over TCP, TLS and HTTPS behind proxies, on a running server: both engines, real sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest

from resolver.wire.proxy import SIGNATURE
from tests.loopback.encrypted import EncryptedServer
from tests.loopback.server import merged
from tests.loopback.slow_upstream import SlowUpstream

pytestmark = [pytest.mark.loopback]

PROXY, STRANGER = "127.0.0.7", "127.0.0.8"
ALLOWED, OUTSIDE = "192.0.2.5", "203.0.113.5"
LOCAL = SIGNATURE + b"\x20\0\0\0"
QUERY = dns.message.make_query("www.alpha.example", "A", use_edns=0, id=0x1234).to_wire()
PATIENCE_S = 20.0
TRANSPORTS = ["tcp", "tls", "https"]


def head(client: str, extensions: bytes = b"") -> bytes:
    block = ip_address(client).packed + ip_address("127.0.0.1").packed + b"\xc0\x01\0\x35" + extensions
    return SIGNATURE + b"\x21\x11" + len(block).to_bytes(2, "big") + block


CONTEXTS: dict[str, ssl.SSLContext] = {}
"""By server name: a session goes on in the context that it began in."""


class Talk:
    """A connection from one of loopback's addresses, over TLS where there is a context."""

    def __init__(
        self,
        server: EncryptedServer,
        transport: str,
        source: str,
        *,
        before: Sequence[bytes] = (),
        server_name: str = "127.0.0.1",
        session: ssl.SSLSession | None = None,
    ) -> None:
        """`before`: what goes before everything else, in pieces; the last one leaves with what follows it."""
        port = server.port if transport == "tcp" else server.ports[transport]
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE_S, source_address=(source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in before[:-1]:
            self.sock.sendall(piece)
        self._unsent = before[-1] if before else b""
        self._session: ssl.SSLObject | None = None
        if transport != "tcp":
            context = CONTEXTS.setdefault(server_name, server.context())
            context.check_hostname = server_name == "127.0.0.1"
            self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._session = context.wrap_bio(
                self._in, self._out, server_hostname=server_name, session=session
            )
        self._is_http = transport == "https"

    def _pump(self) -> bool:
        """Send what is to be sent, wait for more; whether anything came."""
        self.sock.sendall(self._unsent + self._out.read())
        self._unsent = b""
        try:
            came = self.sock.recv(65_536)
        except ConnectionError:
            return False
        self._in.write(came)
        return bool(came)

    def say(self, octets: bytes) -> None:
        session = self._session
        if session is None:
            self.sock.sendall(self._unsent + octets)
            self._unsent = b""
            return
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                if not self._pump():
                    raise ConnectionResetError from None
        session.write(octets)
        self.sock.sendall(self._out.read())

    def hear(self) -> bytes:
        """What comes next; empty: nothing more."""
        if self._session is None:
            try:
                return self.sock.recv(65_536)
            except ConnectionError:
                return b""
        while True:
            try:
                return self._session.read(65_536)
            except ssl.SSLWantReadError:
                if not self._pump():
                    return b""
            except ssl.SSLError:
                return b""

    @property
    def session(self) -> ssl.SSLSession | None:
        """To go on with in another connection."""
        return None if self._session is None else self._session.session

    @property
    def is_resumed(self) -> bool:
        return self._session is not None and bool(self._session.session_reused)

    def question(self, path: str = "/dns-query", *headers: str, query: bytes = QUERY) -> bytes:
        """The query, as this transport has it."""
        if not self._is_http:
            return len(query).to_bytes(2, "big") + query
        kind, length = "content-type: application/dns-message", f"content-length: {len(query)}"
        lines = [f"POST {path} HTTP/1.1", "host: dns.example.net", kind, length, *headers, "", ""]
        return "\r\n".join(lines).encode() + query

    def answer(self) -> dns.message.Message | None:
        """The next message; None: the connection ends, or the status is none that has one."""
        octets = self._body() if self._is_http else self._rest(b"", 2)
        if octets is not None and not self._is_http:
            octets = self._rest(octets[2:], int.from_bytes(octets[:2], "big"))
        return None if not octets else dns.message.from_wire(octets)

    def _body(self) -> bytes | None:
        came = b""
        while b"\r\n\r\n" not in came:
            more = self.hear()
            if not more:
                return None
            came += more
        lines, _, rest = came.partition(b"\r\n\r\n")
        self.status = int(lines.split()[1])
        return self._rest(rest, int(lines.lower().partition(b"content-length: ")[2].split()[0]))

    def _rest(self, came: bytes, count: int) -> bytes | None:
        """`came`, and more until there are `count` octets."""
        while len(came) < count:
            more = self.hear()
            if not more:
                return None
            came += more
        return came

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


def rcode(
    server: EncryptedServer, transport: str, source: str, *before: bytes, server_name: str = "127.0.0.1"
) -> dns.rcode.Rcode | None:
    """What the query gets; None: the connection is cut."""
    with Talk(server, transport, source, before=before, server_name=server_name) as talk:
        try:
            talk.say(talk.question())
        except ConnectionError:
            return None
        answer = talk.answer()
        return None if answer is None else answer.rcode()


def single_octets(octets: bytes) -> list[bytes]:
    return [octets[at : at + 1] for at in range(len(octets))]


CHANGES = {
    "listen": {"proxy_protocol": [f"{PROXY}/32"]},
    "clients": {"allow": [f"{STRANGER}/32", f"{ALLOWED}/32"]},
    "limits": {"tcp_connections_per_client_max": 2},
    "threads": 1,
}


@contextmanager
def running(directory: Path, **limits: float) -> Iterator[EncryptedServer]:
    changes = merged(CHANGES, {"limits": limits})
    with (
        SlowUpstream() as upstream,
        EncryptedServer(directory, upstream_ports=(upstream.port,), changes=changes) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def server(serving_engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncryptedServer]:
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


class Counts:
    """What was dropped, and which handshakes failed, since this was made."""

    def __init__(self, server: EncryptedServer) -> None:
        self._server = server
        self._before = server.metrics()

    def since(self) -> dict[str, float]:
        found = {}
        for name, value in self._server.metrics().items():
            gained = value - self._before.get(name, 0.0)
            if gained and name.startswith(("resolver_dropped_total", "resolver_tls_failures_total")):
                found[name.partition('reason="')[2].rstrip('"}')] = gained
        return found


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_client_of_a_head_counts_in_whatever_pieces_it_comes(
    server: EncryptedServer, transport: str
) -> None:
    counts = Counts(server)
    extended = head(ALLOWED, b"\x01\0\x02h2" + b"\xe0\x01\0" + bytes(256))
    assert rcode(server, transport, PROXY, head(ALLOWED)) is dns.rcode.NXDOMAIN
    assert rcode(server, transport, PROXY, *single_octets(extended)) is dns.rcode.NXDOMAIN
    assert rcode(server, transport, PROXY, extended[:20], extended[20:]) is dns.rcode.NXDOMAIN
    assert rcode(server, transport, STRANGER) is dns.rcode.NXDOMAIN
    # The proxy itself is in no allowed network; it looks whether somebody is there.
    assert rcode(server, transport, PROXY, LOCAL) is dns.rcode.REFUSED
    assert counts.since() == {}
    # Who may not ask hears so over TCP, and has no handshake.
    is_tcp = transport == "tcp"
    assert rcode(server, transport, PROXY, head(OUTSIDE)) is (dns.rcode.REFUSED if is_tcp else None)
    assert counts.since() == ({} if is_tcp else {"tls_stranger": 1})


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_connection_without_its_head_or_with_one_that_nobody_may_send_is_cut_and_counted(
    server: EncryptedServer, transport: str
) -> None:
    counts = Counts(server)
    cases = [
        (PROXY, b""),
        (PROXY, b"PROXY TCP4 203.0.113.5 192.0.2.1 49153 53\r\n"),
        (PROXY, SIGNATURE + b"\x11\x11\0\x0c" + bytes(12)),
        (PROXY, SIGNATURE + b"\x21\x11\x02\x01" + bytes(513)),
        (STRANGER, head(ALLOWED)),
    ]
    for number, (source, before) in enumerate(cases, 1):
        assert rcode(server, transport, source, before) is None
        assert counts.since() == {"proxy_head": number}


@pytest.mark.slow
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_head_that_does_not_come_ends_its_connection(
    serving_engine: str, tmp_path: Path, transport: str
) -> None:
    with (
        running(tmp_path, tcp_idle_s=2.0) as server,
        Talk(server, transport, PROXY) as silent,
        Talk(server, transport, PROXY, before=[head(ALLOWED)[:17], b""]) as half,
    ):
        # They are nobody's, and so no limit on the proxy's connections holds.
        assert rcode(server, transport, PROXY, head(ALLOWED)) is dns.rcode.NXDOMAIN
        for talk in (silent, half):
            with contextlib.suppress(ConnectionResetError):
                assert talk.sock.recv(1) == b""
        if transport != "tcp":
            assert server.metric("resolver_tls_failures_total", reason="timeout") >= 2
            assert server.metric("resolver_dropped_total", reason="tls_handshake_timeout") >= 2


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_each_client_behind_a_proxy_has_its_own_share_of_connections(
    server: EncryptedServer, transport: str
) -> None:
    counts = Counts(server)
    with (
        Talk(server, transport, PROXY, before=[head(ALLOWED)]) as one,
        Talk(server, transport, PROXY, before=[head(ALLOWED)]) as other,
    ):
        for talk in (one, other):
            talk.say(talk.question())
            assert talk.answer() is not None
        assert rcode(server, transport, PROXY, head(ALLOWED)) is None
        assert counts.since() == {"tcp_connections_per_client_max": 1}
        assert rcode(server, transport, STRANGER) is dns.rcode.NXDOMAIN


# Names and headers.


@pytest.fixture(scope="module")
def naming(serving_engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncryptedServer]:
    """A server whose clients name themselves, with records of all that is asked."""
    changes: dict[str, Any] = {
        "client_names": {"in_path": True, "below": "dns.example.net"},
        "http": {"trusted_proxies": [f"{PROXY}/32", "10.0.0.0/8"]},
        "clients": {"allow": [f"{STRANGER}/32", f"{ALLOWED}/32"]},
        "query_records": [
            {"name": "all", "type": "jsonl", "to": "records", "queries": "all", "clients": "full"}
        ],
        "threads": 1,
    }
    directory = tmp_path_factory.mktemp("naming")
    with (
        SlowUpstream() as upstream,
        EncryptedServer(directory, upstream_ports=(upstream.port,), changes=changes) as server,
    ):
        yield server


class Recorded:
    """Who asked what since this was made."""

    def __init__(self, server: EncryptedServer) -> None:
        self._server = server
        self._before = len(self._lines())

    def _lines(self) -> list[str]:
        path = self._server.directory / "records"
        text = path.read_text() if path.exists() else ""
        return text[: text.rfind("\n") + 1].splitlines()

    def wait(self, count: int) -> list[tuple[str, str, str]]:
        """The next so many records: client, its name, what it asked."""
        self._server.wait_for(lambda: len(self._lines()) - self._before >= count, "records", PATIENCE_S)
        records = [json.loads(line) for line in self._lines()[self._before :]]
        return [(one["client"], one.get("client_name", ""), one["qname"]) for one in records]


def asked(name: str) -> bytes:
    return dns.message.make_query(name, "A", use_edns=0, id=0x1234).to_wire()


@pytest.mark.parametrize("transport", ["tls", "https"])
def test_the_server_name_names_the_client_in_every_record_of_it(
    naming: EncryptedServer, transport: str
) -> None:
    recorded = Recorded(naming)
    names = ["www.alpha.example", "www.example.org", "www.example.org", "fresh.example.org"]
    with Talk(naming, transport, STRANGER, server_name="Phones.dns.example.net") as talk:
        for name in names:
            talk.say(talk.question(query=asked(name)))
            assert talk.answer() is not None
        session = talk.session
    with Talk(naming, transport, STRANGER, server_name="Phones.dns.example.net", session=session) as talk:
        talk.say(talk.question())
        assert talk.answer() is not None and talk.is_resumed
    found = recorded.wait(5)
    assert [(client, name) for client, name, _ in found] == [(STRANGER, "phones")] * 5
    recorded = Recorded(naming)
    for server_name in ("dns.example.net", "a.b.dns.example.net", "phones.dns.example.org"):
        assert rcode(naming, transport, STRANGER, server_name=server_name) is dns.rcode.NXDOMAIN
    assert [name for _, name, _ in recorded.wait(3)] == [""] * 3


def test_the_path_names_the_client_request_by_request(naming: EncryptedServer) -> None:
    recorded = Recorded(naming)
    with Talk(naming, "https", STRANGER, server_name="tv.dns.example.net") as talk:
        for path in ("/dns-query/Phones", "/dns-query/phones", "/dns-query", "/dns-query/laptop"):
            talk.say(talk.question(path))
            assert talk.answer() is not None
        talk.say(talk.question("/dns-query/a/b"))
        assert talk.answer() is None and talk.status == 404
    assert [name for _, name, _ in recorded.wait(4)] == ["phones", "phones", "tv", "laptop"]


def test_a_trusted_proxy_says_who_asks_request_by_request(naming: EncryptedServer) -> None:
    recorded, counts = Recorded(naming), Counts(naming)
    with Talk(naming, "https", PROXY) as talk:
        cases: list[tuple[tuple[str, ...], dns.rcode.Rcode]] = [
            ((f"x-forwarded-for: {OUTSIDE}, {ALLOWED}, 10.0.0.1",), dns.rcode.NXDOMAIN),
            (("Forwarded: for=10.0.0.1", f"forwarded: for={OUTSIDE};proto=https"), dns.rcode.REFUSED),
            # The proxy itself may not ask.
            ((), dns.rcode.REFUSED),
        ]
        for headers, wanted in cases:
            talk.say(talk.question("/dns-query/phones", *headers))
            answer = talk.answer()
            assert answer is not None and answer.rcode() is wanted
        assert counts.since() == {}
        contradiction = ("forwarded: for=10.0.0.1", f"x-forwarded-for: {OUTSIDE}")
        for number, headers in enumerate([("x-forwarded-for: client.example",), contradiction], 1):
            talk.say(talk.question("/dns-query", *headers))
            assert talk.answer() is None and talk.status == 400
            assert counts.since() == {"https_forwarded": number}
    with Talk(naming, "https", STRANGER) as talk:
        talk.say(talk.question("/dns-query", f"x-forwarded-for: {OUTSIDE}", "forwarded: x"))
        answer = talk.answer()
        assert answer is not None and answer.rcode() is dns.rcode.NXDOMAIN
    # The name that it asked for as a server is that of the client behind it, too.
    with Talk(naming, "https", PROXY, server_name="branch.dns.example.net") as talk:
        talk.say(talk.question("/dns-query", f"x-forwarded-for: {ALLOWED}"))
        answer = talk.answer()
        assert answer is not None and answer.rcode() is dns.rcode.NXDOMAIN
    # Who may not ask has no name.
    assert [(client, name) for client, name, _ in recorded.wait(5)] == [
        (ALLOWED, "phones"),
        (OUTSIDE, ""),
        (PROXY, ""),
        (STRANGER, ""),
        (ALLOWED, "branch"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tls", "https"])
def test_the_name_goes_along_when_python_has_to_ask_on(
    serving_engine: str, tmp_path: Path, transport: str
) -> None:
    changes: dict[str, Any] = {
        "client_names": {"below": "dns.example.net"},
        "query_records": [
            {"name": "all", "type": "jsonl", "to": "records", "queries": "all", "clients": "full"}
        ],
        "upstreams": {"timeout_s": 10.0},
        "threads": 1,
    }
    with (
        SlowUpstream() as upstream,
        EncryptedServer(tmp_path, upstream_ports=(upstream.port,), changes=changes) as server,
        Talk(server, transport, STRANGER, server_name="phones.dns.example.net") as talk,
    ):
        recorded = Recorded(server)
        talk.say(talk.question(query=asked("held.example.org")))
        # What was asked a second time, Python asks.
        server.wait_for(lambda: upstream.held_count >= 2, "a second attempt", PATIENCE_S)
        upstream.release()
        assert talk.answer() is not None
        assert recorded.wait(1)[0][:2] == (STRANGER, "phones")
