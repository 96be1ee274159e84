"""Encrypted listeners of a whole server: the clients people have, and certificates that change under load."""

from __future__ import annotations

import base64
import http.client
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import httpx
import pytest
from cryptography import x509

from resolver.certificates.making import make_pair
from resolver.certificates.pair import read_pair
from tests.loopback.process import free_port
from tests.loopback.server import Server, running_server

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.needs("nsd")]

NAMES = ["dns.example", "*.dns.example"]
RELOADS = 50 if os.environ.get("FUZZ_PROFILE", "short") == "long" else 5
QUERY = dns.message.make_query("www.example.org", "A")
BLOCKED = dns.message.make_query("www.blocked.example.net", "A", want_dnssec=False, use_edns=0)


class Encrypted:
    """A server with encrypted listeners, and the files of its certificate."""

    def __init__(self, server: Server, folder: Path, tls_port: int, https_port: int) -> None:
        self.server = server
        self.certificate = folder / "dns.pem"
        self.tls_port = tls_port
        self.https_port = https_port

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.https_port}/dns-query"

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.certificate)


def write_pair(folder: Path, *names: str, days: int = 90) -> int:
    """A new pair in place of the one before, as a tool that renews does it; its serial number."""
    chain, key = make_pair(names or NAMES, [], time.time(), days=days)
    for name, octets in (("dns.pem", chain), ("dns.key", key)):
        new = folder / f"{name}.new"
        new.write_bytes(octets)
        new.chmod(0o600)
        new.rename(folder / name)
    return x509.load_pem_x509_certificate(chain).serial_number


@pytest.fixture
def encrypted(tmp_path: Path, authority: int, serving_engine: str) -> Iterator[Encrypted]:
    """A server of a test's own: its certificates may be changed."""
    with running_encrypted(tmp_path / "server", authority) as running:
        yield running


@pytest.fixture(scope="module")
def lasting(
    tmp_path_factory: pytest.TempPathFactory, authority: int, serving_engine: str
) -> Iterator[Encrypted]:
    """One server for all tests that only ask."""
    with running_encrypted(tmp_path_factory.mktemp("encrypted") / "server", authority) as running:
        yield running


@contextmanager
def running_encrypted(folder: Path, authority: int) -> Iterator[Encrypted]:
    folder.mkdir()
    write_pair(folder)
    ports = free_port(), free_port()
    changes = {
        "listen": {"tls": [f"127.0.0.1:{ports[0]}"], "https": [f"127.0.0.1:{ports[1]}"]},
        "tls": {"certificate": "dns.pem", "key": "dns.key"},
        "limits": {"tls_handshakes_per_s_per_client_max": 1000},
    }
    with running_server(folder, authority, changes=changes) as running:
        yield Encrypted(running, folder, *ports)


def over_https(query: dns.message.Message, encrypted: Encrypted, *, is_post: bool) -> dns.message.Message:
    """POST over HTTP/2, GET over HTTP/1.1."""
    octets = query.to_wire()
    context = encrypted.trusting()
    context.check_hostname = False
    with httpx.Client(http2=is_post, verify=context, timeout=5) as client:
        if is_post:
            media_type = {"content-type": "application/dns-message"}
            response = client.post(encrypted.url, content=octets, headers=media_type)
        else:
            text = base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
            response = client.get(encrypted.url, params={"dns": text})
    assert response.status_code == 200
    assert response.http_version == ("HTTP/2" if is_post else "HTTP/1.1")
    assert response.headers["content-type"] == "application/dns-message"
    return dns.message.from_wire(response.content)


def out(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# Real clients.


@pytest.mark.needs("kdig")
@pytest.mark.parametrize("way", ["+tls", "+https", "+https-get"])
def test_kdig_verifies_the_certificate_and_gets_what_udp_gets(lasting: Encrypted, way: str) -> None:
    port = lasting.tls_port if way == "+tls" else lasting.https_port
    words = [
        "kdig",
        "+edns",
        "+retry=0",
        "-p",
        str(port),
        "@127.0.0.1",
        way,
        f"+tls-ca={lasting.certificate}",
        "+tls-hostname=dns.example",
    ]
    allowed = out(*words, "www.example.org", "A")
    assert "status: NOERROR" in allowed and "192.0.2.80" in allowed and "TLS1.3" in allowed
    blocked = out(*words, "www.blocked.example.net", "A")
    assert "status: NXDOMAIN" in blocked and "EDE: 16 (Censored)" in blocked
    assert "WARNING" not in allowed + blocked


@pytest.mark.needs("kdig")
def test_kdig_refuses_another_name_and_that_is_counted(lasting: Encrypted) -> None:
    words = ["kdig", "+retry=0", "-p", str(lasting.tls_port), "@127.0.0.1", "+tls"]
    shown = subprocess.run(
        [*words, f"+tls-ca={lasting.certificate}", "+tls-hostname=other.example", "www.example.org"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "192.0.2.80" not in shown.stdout


@pytest.mark.needs("curl")
@pytest.mark.parametrize("version", ["--http2", "--http1.1"])
def test_curl_resolves_by_it(lasting: Encrypted, version: str) -> None:
    shown = subprocess.run(
        ["curl", version, "-sv", "--max-time", "5", "--connect-timeout", "1", "--doh-insecure", "--doh-url", lasting.url, "http://www.example.org:1/"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "192.0.2.80" in shown.stderr


def test_every_transport_gives_the_same(lasting: Encrypted) -> None:
    context, server = lasting.trusting(), lasting.server

    def counted() -> list[float]:
        return [
            server.metric("resolver_queries_total", transport="https", qtype="A"),
            server.metric("resolver_queries_total", transport="tls", qtype="A"),
            server.metric("resolver_https_responses_total", status="200"),
        ]

    before = counted()
    for query in (QUERY, BLOCKED):
        said = [
            dns.query.udp(query, "127.0.0.1", port=lasting.server.port, timeout=5),
            dns.query.tls(query, "127.0.0.1", port=lasting.tls_port, timeout=5, server_hostname="dns.example", ssl_context=context),
            over_https(query, lasting, is_post=True),
            over_https(query, lasting, is_post=False),
        ]  # fmt: skip
        for other in said[1:]:
            assert other.rcode() is said[0].rcode()
            assert [rrset.name for rrset in other.answer + other.authority] == [
                rrset.name for rrset in said[0].answer + said[0].authority
            ]
    wanted = [count + asked for count, asked in zip(before, (4, 2, 4), strict=True)]
    server.wait_for(lambda: counted() == wanted, "all counted")
    ends_at = read_pair(
        lasting.certificate.read_bytes(), lasting.certificate.with_suffix(".key").read_bytes()
    ).ends_at
    assert server.metric("resolver_tls_certificate_expiry_timestamp_seconds") == ends_at


def test_a_status_is_what_the_request_deserves(lasting: Encrypted) -> None:
    context = lasting.trusting()
    context.check_hostname = False
    connection = http.client.HTTPSConnection("127.0.0.1", lasting.https_port, context=context, timeout=5)
    for method, target, status in (
        ("GET", "/dns-query", 400),
        ("GET", "/", 404),
        ("PUT", "/dns-query", 405),
        ("POST", "/dns-query", 415),
        ("GET", "/dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA29yZwAAAQAB", 200),
    ):
        connection.request(method, target)
        response = connection.getresponse()
        response.read()
        assert response.status == status, target
    connection.close()


# Certificates that change.


class Load(threading.Thread):
    """Asks over one session that stays, and over new ones, until told to stop."""

    def __init__(self, encrypted: Encrypted) -> None:
        super().__init__(daemon=True)
        self._port = encrypted.tls_port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self.stopping = threading.Event()
        self.answered = 0
        self.serials: set[int] = set()
        self.trouble = ""

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self._port), timeout=5)
        return self._context.wrap_socket(plain, server_hostname="dns.example")

    def ask(self, sock: ssl.SSLSocket) -> None:
        octets = QUERY.to_wire()
        sock.sendall(len(octets).to_bytes(2, "big") + octets)
        with sock.makefile("rb", buffering=0) as stream:
            length = int.from_bytes(read_whole(stream, 2), "big")
            answer = dns.message.from_wire(read_whole(stream, length))
        assert answer.rcode() is dns.rcode.NOERROR
        self.answered += 1

    def run(self) -> None:
        try:
            with self.connect() as kept:
                while not self.stopping.is_set():
                    for _ in range(20):
                        self.ask(kept)
                    with self.connect() as fresh:
                        self.ask(fresh)
                        der = fresh.getpeercert(binary_form=True)
                    self.serials.add(x509.load_der_x509_certificate(der or b"").serial_number)
        except Exception as error:
            self.trouble = f"{type(error).__name__}: {error}"


def read_whole(stream: object, octets: int) -> bytes:
    read = b""
    while len(read) < octets:
        part = stream.read(octets - len(read))  # type: ignore[attr-defined]
        assert part, "the server hung up"
        read += part
    return read


def test_reloads_under_load_lose_nothing(encrypted: Encrypted) -> None:
    server, folder = encrypted.server, encrypted.certificate.parent
    loads = [Load(encrypted) for _ in range(2)]
    for load in loads:
        load.start()
    wanted = set()
    for number in range(RELOADS):
        wanted.add(write_pair(folder))
        server.wait_for(
            lambda number=number: (
                server.metric("resolver_tls_certificate_reloads_total", result="success") == number + 1
            ),  # type: ignore[misc]
            "the new pair",
        )
        server.wait_for(
            lambda: all(wanted <= load.serials or load.trouble for load in loads), "new sessions under it"
        )
    for load in loads:
        load.stopping.set()
        load.join(10)
    assert [load.trouble for load in loads] == ["", ""]
    assert all(wanted <= load.serials for load in loads)
    assert server.metric("resolver_tls_certificate_reloads_total", result="failure") == 0


def test_a_wrong_pair_is_said_everywhere_and_the_old_one_serves_on(encrypted: Encrypted) -> None:
    server = encrypted.server
    key = encrypted.certificate.with_suffix(".key")
    kept = key.read_bytes()
    key.write_bytes(make_pair(NAMES, [], time.time())[1])
    server.wait_for(lambda: server.metric("resolver_tls_certificate_is_stale") == 1, "the failure", 15)
    assert server.metric("resolver_tls_certificate_reloads_total", result="failure") == 1
    assert "belongs to another certificate" in server.stderr()
    assert "belongs to another certificate" in server.page("/readyz")[1]
    answer = dns.query.tls(
        QUERY,
        "127.0.0.1",
        port=encrypted.tls_port,
        timeout=5,
        server_hostname="dns.example",
        ssl_context=encrypted.trusting(),
    )
    assert answer.rcode() is dns.rcode.NOERROR
    key.write_bytes(kept)
    server.wait_for(lambda: server.metric("resolver_tls_certificate_is_stale") == 0, "the end of it", 15)
    assert "belongs to another" not in server.page("/readyz")[1]


def test_a_link_that_is_turned_is_followed(tmp_path: Path, authority: int, serving_engine: str) -> None:
    folder = tmp_path / "server"
    serials = {}
    for name in ("..1", "..2"):
        (folder / "certs" / name).mkdir(parents=True)
        serials[name] = write_pair(folder / "certs" / name)
    (folder / "certs/..data").symlink_to("..1")
    for name in ("dns.pem", "dns.key"):
        (folder / "certs" / name).symlink_to(f"..data/{name}")
    port = free_port()
    changes = {
        "listen": {"tls": [f"127.0.0.1:{port}"]},
        "tls": {"certificate": "certs/dns.pem", "key": "certs/dns.key"},
    }
    with running_server(folder, authority, changes=changes) as server:
        (folder / "certs/..new").symlink_to("..2")
        (folder / "certs/..new").rename(folder / "certs/..data")

        def serial() -> int:
            pem = ssl.get_server_certificate(("127.0.0.1", port))
            return x509.load_pem_x509_certificate(pem.encode()).serial_number

        server.wait_for(lambda: serial() == serials["..2"], "the other pair")


def test_a_start_with_a_wrong_pair_says_where(tmp_path: Path, authority: int) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    write_pair(folder)
    (folder / "dns.key").write_bytes(make_pair(NAMES, [], time.time())[1])
    changes = {"listen": {"tls": ["127.0.0.1:0"]}, "tls": {"certificate": "dns.pem", "key": "dns.key"}}
    server = Server(folder, upstream_ports=(authority,), changes=changes)
    server.start()
    assert server.wait_for_end() == 2
    assert "tls.key: " in server.stderr() and "belongs to another certificate" in server.stderr()
    assert "resolver.yaml:" in server.stderr()
