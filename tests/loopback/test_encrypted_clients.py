"""The clients people have, over TLS and HTTPS: kdig, curl, getdns, Chromium, and resolvers that forward to ours."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.loopback.authority import running_dnsmasq
from tests.loopback.downstream import DOWNSTREAM, RESOLVED, Upstream, running_downstream
from tests.loopback.encrypted import EncryptedServer
from tests.support.list_server import ca_pem

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.needs("nsd")]

WEB_NAME = "web.test-records.example.org"
PAGE = "<html><body><p id=page>It was found by name.</p></body></html>"
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def web() -> Iterator[int]:
    """Port of a web server on 127.0.0.1 with one page."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def log_message(self, _format: str, *words: object) -> None:
            """Nothing: pytest shows what fails."""

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield served.server_address[1]
    served.shutdown()
    thread.join()
    served.server_close()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, authority: int, serving_engine: str
) -> Iterator[EncryptedServer]:
    """A server with the usual policy on every transport."""
    directory = tmp_path_factory.mktemp("encrypted")
    with EncryptedServer(
        directory, upstream_ports=(authority,), changes={"records": {WEB_NAME: ["127.0.0.1"]}}
    ) as running:
        (directory / "ca.pem").write_bytes(ca_pem())
        yield running


def ca_path(server: EncryptedServer) -> Path:
    return server.directory / "ca.pem"


def shown(*words: str | Path, env: dict[str, str] | None = None) -> str:
    """What a command prints on both channels."""
    command = [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=env)
    return done.stdout + done.stderr


KDIG_TRANSPORTS = {
    "tls": ("+tls",),
    "https": ("+https=/dns-query",),
    "https-get": ("+https=/dns-query", "+https-get"),
}


def kdig(server: EncryptedServer, transport: str, *words: str) -> str:
    port = server.ports["tls" if transport == "tls" else "https"]
    trust = (f"+tls-ca={ca_path(server)}", "+tls-hostname=localhost")
    flags = (*KDIG_TRANSPORTS[transport], *trust, "+edns", "+retry=0", "+time=5")
    return shown("kdig", *flags, "-p", str(port), "@127.0.0.1", *words)


@pytest.mark.needs("kdig")
@pytest.mark.parametrize("transport", KDIG_TRANSPORTS)
def test_kdig_is_answered_and_told_why_a_name_is_blocked(server: EncryptedServer, transport: str) -> None:
    allowed = kdig(server, transport, "www.example.org", "A")
    assert "status: NOERROR" in allowed
    assert "192.0.2.80" in allowed
    blocked = kdig(server, transport, "www.blocked.example.net", "A")
    assert "status: NXDOMAIN" in blocked
    assert "EDE: 16 (Censored)" in blocked
    assert "TLS" in allowed
    assert "WARNING" not in allowed + blocked


@pytest.mark.needs("kdig")
def test_kdig_asks_for_padding_and_gets_blocks(server: EncryptedServer) -> None:
    # RFC 8467 §4.1: 468 octets.
    assert "PADDING" in kdig(server, "tls", "+padding", "www.example.org", "A").upper()


@pytest.mark.needs("kdig")
def test_kdig_gets_a_big_answer_whole(server: EncryptedServer) -> None:
    for transport in KDIG_TRANSPORTS:
        said = kdig(server, transport, "huge.example.org", "TXT")
        assert "ANSWER: 40" in said
        assert " tc " not in said


@pytest.mark.needs("kdig")
def test_kdig_refuses_a_name_that_the_certificate_lacks(server: EncryptedServer) -> None:
    said = kdig(server, "tls", "+tls-hostname=elsewhere.example", "www.example.org", "A")
    assert "status: NOERROR" not in said


def curl(server: EncryptedServer, url: str) -> subprocess.CompletedProcess[str]:
    doh = f"https://localhost:{server.ports['https']}/dns-query"
    command = ["curl", "--silent", "--show-error", "--max-time", "10", "--noproxy", "*"]
    command += ["--doh-url", doh, "--cacert", str(ca_path(server)), url]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.needs("curl")
def test_curl_finds_a_page_by_our_answers_and_a_blocked_one_not(server: EncryptedServer, web: int) -> None:
    assert curl(server, f"http://{WEB_NAME}:{web}/").stdout == PAGE
    blocked = curl(server, f"http://www.blocked.example.net:{web}/")
    # CURLE_COULDNT_RESOLVE_HOST.
    assert blocked.returncode == 6, blocked


@pytest.mark.needs("curl")
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_speaks_both_versions_of_http(server: EncryptedServer, version: str, tmp_path: Path) -> None:
    message, answer = tmp_path / "query", tmp_path / "answer"
    message.write_bytes(dns.message.make_query("www.example.org", "A", id=0).to_wire())
    said = shown(
        "curl", "--silent", version, "--noproxy", "*", "--cacert", ca_path(server), "--output", answer,
        "--write-out", "%{http_version} %{response_code} %{content_type}", "--data-binary", f"@{message}",
        "--header", "content-type: application/dns-message",
        f"https://localhost:{server.ports['https']}/dns-query",
    )  # fmt: skip
    wanted = "1.1" if version == "--http1.1" else "2"
    assert said == f"{wanted} 200 application/dns-message"
    assert "192.0.2.80" in dns.message.from_wire(answer.read_bytes()).to_text()


@pytest.mark.needs("getdns_query")
def test_getdns_asks_over_tls_with_the_name_checked(server: EncryptedServer) -> None:
    upstream = f"@127.0.0.1#{server.ports['tls']}~localhost"
    env = {**os.environ, "SSL_CERT_FILE": str(ca_path(server))}
    said = shown("getdns_query", "-s", "-l", "L", "-m", "-C", ca_settings(server), upstream, "-A", "www.example.org", env=env)  # fmt: skip
    assert "192.0.2.80" in said
    assert "GETDNS_RESPSTATUS_GOOD" in said


def ca_settings(server: EncryptedServer) -> str:
    """A file of settings that names the authority."""
    path = server.directory / "getdns.conf"
    path.write_text(f'{{ tls_ca_file: "{ca_path(server)}" }}\n')
    return str(path)


def chromium(server: EncryptedServer, directory: Path, url: str) -> str:
    """What the page at `url` is to a Chromium that resolves names by our HTTPS alone."""
    profile = directory / "profile"
    profile.mkdir(parents=True, exist_ok=True)
    template = f"https://localhost:{server.ports['https']}/dns-query"
    secure = {"mode": "secure", "templates": template}
    (profile / "Local State").write_text(json.dumps({"dns_over_https": secure}))
    return shown(
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-proxy-server",
        "--ignore-certificate-errors", "--disable-background-networking", "--dump-dom",
        f"--user-data-dir={profile}", url,
        env={**os.environ, "HOME": str(directory)},
    )  # fmt: skip


@pytest.mark.needs("chromium")
def test_chromium_with_secure_dns_finds_a_page_and_a_blocked_one_not(
    server: EncryptedServer, web: int, tmp_path: Path
) -> None:
    before = server.metric("resolver_queries_total", transport="https")
    assert "It was found by name." in chromium(server, tmp_path, f"http://{WEB_NAME}:{web}/")
    assert server.metric("resolver_queries_total", transport="https") > before
    blocked = chromium(server, tmp_path, f"http://www.blocked.example.net:{web}/")
    assert "It was found by name." not in blocked


@pytest.fixture(scope="module", params=DOWNSTREAM)
def downstream(
    request: pytest.FixtureRequest, server: EncryptedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """Port of a resolver whose only upstream is ours, over TLS or HTTPS."""
    program = request.param.partition("-")[0]
    if program == "systemd_resolved":
        if not RESOLVED.exists() or os.geteuid() != 0:
            pytest.skip("systemd-resolved is not unpacked, or this is not root")
    elif shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    ours = Upstream(server.ports["tls"], server.ports["https"], ca_path(server))
    with running_downstream(request.param, tmp_path_factory.mktemp(request.param), ours) as port:
        yield port


DOWNSTREAM_CASES = [
    ("www.example.org", "A", dns.rcode.NOERROR, ["192.0.2.80"]),
    ("cname-abroad.example.org", "AAAA", dns.rcode.NOERROR, ["www.example.net.", "2001:db8:2::80"]),
    ("no-such-name.example.org", "A", dns.rcode.NXDOMAIN, []),
    ("a-only.example.org", "AAAA", dns.rcode.NOERROR, []),
    ("www.blocked.example.net", "A", dns.rcode.NXDOMAIN, []),
    ("beta.example", "A", dns.rcode.NOERROR, ["192.0.2.250"]),
]


@pytest.mark.parametrize(("qname", "qtype", "rcode", "answers"), DOWNSTREAM_CASES)
def test_a_downstream_resolver_passes_our_answer_on(
    downstream: int, qname: str, qtype: str, rcode: int, answers: list[str]
) -> None:
    query = dns.message.make_query(qname, qtype)
    reply = dns.query.udp(query, "127.0.0.1", port=downstream, timeout=5.0)
    assert reply.rcode() == rcode
    assert [rdata.to_text() for rrset in reply.answer for rdata in rrset] == answers


def test_a_downstream_resolver_gets_a_big_answer_whole(downstream: int) -> None:
    query = dns.message.make_query("huge.example.org", "TXT")
    whole = dns.query.tcp(query, "127.0.0.1", port=downstream, timeout=5.0)
    assert len(whole.answer[0]) == 40


@pytest.mark.needs("stubby", "dnsmasq")
def test_dnsmasq_reaches_us_through_stubby(server: EncryptedServer, tmp_path: Path) -> None:
    ours = Upstream(server.ports["tls"], server.ports["https"], ca_path(server))
    before = server.metric("resolver_queries_total", transport="tls")
    with (
        running_downstream("stubby", tmp_path / "stubby", ours) as stubby_port,
        running_dnsmasq(tmp_path / "dnsmasq", stubby_port) as port,
    ):
        for qname, qtype, rcode, answers in DOWNSTREAM_CASES:
            reply = dns.query.udp(dns.message.make_query(qname, qtype), "127.0.0.1", port=port, timeout=5.0)
            assert reply.rcode() == rcode
            assert [rdata.to_text() for rrset in reply.answer for rdata in rrset] == answers
    assert server.metric("resolver_queries_total", transport="tls") > before
