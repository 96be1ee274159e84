"""`listen`, `tls` and `limits`: what is read, what cannot be meant together, and what is only unwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.config.settings import Settings, load_settings, settings_schema
from resolver.config.settingvalues import endpoint_from
from tests.config.test_settings import complaints, load
from tests.support.for_each import for_each

PAIR = "tls: {certificate: a.pem, key: /etc/a.key}"


def remarks(text: str) -> list[str]:
    settings, problems = load_settings(Path("f"), octets=text.encode())
    assert settings is not None
    assert {problem.severity for problem in problems} <= {"warning"}
    return [str(problem) for problem in problems]


def test_encrypted_listeners_and_their_certificates_are_read() -> None:
    settings = load(
        "listen:\n  tls: ['192.0.2.53:853', '[2001:db8::53]:853']\n  https: ['192.0.2.53:443']\n"
        "  proxy_protocol: [192.0.2.0/24]\n"
        "tls:\n  certificate: a.pem\n  key: /etc/a.key\n  more:\n    - {certificate: ../b.pem, key: b.key}\n"
    )
    assert [f"{key} {index} {endpoint}" for key, index, endpoint in settings.listen.served()] == [
        "dns 0 127.0.0.1:5335",
        "dns 1 [::1]:5335",
        "tls 0 192.0.2.53:853",
        "tls 1 [2001:db8::53]:853",
        "https 0 192.0.2.53:443",
    ]
    assert (settings.tls.certificate, settings.tls.key) == (Path("dir/a.pem"), Path("/etc/a.key"))
    assert [(pair.certificate, pair.key) for pair in settings.tls.more] == [
        (Path("b.pem"), Path("dir/b.key"))
    ]
    assert [str(network) for network in settings.listen.proxy_protocol] == ["192.0.2.0/24"]


@for_each(
    ("text", "complaint"),
    [
        ("listen:\n  quic: ['192.0.2.53:853']", "f:2: listen.quic: DNS over QUIC is not served by this release; leave it empty: []"),
        ("listen: {dns: []}", "f:1: listen.dns: is empty; allowed: at least one ADDRESS:PORT"),
        ("listen: {dns: ['127.0.0.1:53', '127.0.0.1:53']}", "f:1: listen.dns: 127.0.0.1:53 is listed twice"),
        ("listen: {dns: ['127.0.0.1:8053']}", "f:1: listen.http: 127.0.0.1:8053 is taken by listen.dns"),
        ("listen: {dns: ['127.0.0.1:8053'], http: '*:8053'}", "f:1: listen.http: *:8053 is taken by listen.dns"),
        ("listen: {dns: ['*:53']}", "f:1: listen.dns: '*:53' has no address; for all addresses write '0.0.0.0:53' and '[::]:53'"),
        ("listen: {http: '*:x'}", "f:1: listen.http: '*:x': 'x' is not a port; allowed: 0 to 65535"),
        (f"{PAIR}\nlisten:\n  tls:\n    - '127.0.0.1:853'\n    - '127.0.0.1:853'", "f:5: listen.tls: 127.0.0.1:853 is listed twice"),
        (f"{PAIR}\nlisten:\n  tls: ['127.0.0.1:5335']", "f:3: listen.tls: 127.0.0.1:5335 is taken by listen.dns"),
        (f"{PAIR}\nlisten:\n  tls: ['127.0.0.1:853']\n  https: ['127.0.0.1:853']", "f:4: listen.https: 127.0.0.1:853 is taken by listen.tls"),
        (f"{PAIR}\nlisten:\n  https: ['127.0.0.1:8053']", "f:2: listen.http: 127.0.0.1:8053 is taken by listen.https"),
        (f"{PAIR}\nlisten: {{https: ['127.0.0.1:80']}}\nblock_page:\n  listen: ['127.0.0.1:80']", "f:4: block_page.listen: 127.0.0.1:80 is taken by listen.https"),
        ("listen:\n  tls: ['127.0.0.1:853']", "f:2: listen.tls: needs tls.certificate and tls.key; `exchange-resolver cert` makes a pair for tests and small networks"),
        ("listen:\n  https: ['127.0.0.1:443']", "f:2: listen.https: needs tls.certificate and tls.key; `exchange-resolver cert` makes a pair for tests and small networks"),
        ("listen: {tls: [853]}", "f:1: listen.tls: 853 is only a port; write '127.0.0.1:853' or '0.0.0.0:853'"),
        ("tls:\n  certificate: a.pem", "f:2: tls.certificate: stands alone; tls.key belongs to it"),
        ("tls:\n  key: a.key", "f:2: tls.key: stands alone; tls.certificate belongs to it"),
        ("tls:\n  more: [{certificate: a.pem, key: a.key}]", "f:2: tls.more: needs tls.certificate and tls.key, for clients that name no server"),
        ("tls:\n  more:\n    - certificate: a.pem", "f:3: tls.more.key is missing; allowed: a path"),
        ("tls: {certificate: 5}", "f:1: tls.certificate: 5 is not allowed; allowed: a path"),
        ("tls: {password: a}", "f:1: unknown key 'tls.password'; known keys: certificate, key, more"),
        ("listen: {proxy_protocol: [192.0.2.1/24]}", "f:1: listen.proxy_protocol: '192.0.2.1/24' has bits set after its prefix; did you mean '192.0.2.0/24'?"),
        ("limits: {tcp_connections_max: 5}", "f:1: limits.tcp_connections_per_client_max: 100 is more than limits.tcp_connections_max (5)"),
        ("limits: {tls_handshakes_per_s_max: 5}", "f:1: limits.tls_handshakes_per_s_per_client_max: 100 is more than limits.tls_handshakes_per_s_max (5)"),
        ("limits: {stream_buffers_mb: 1}", "f:1: limits.stream_buffers_mb: 1 is not allowed; allowed: a whole number from 8 to 65536 (MiB); default 32"),
        ("limits: {https_streams_max: 0}", "f:1: limits.https_streams_max: 0 is not allowed; allowed: a whole number from 1 to 10000; default 100"),
        ("limits: {https_header_octets_max: 100}", "f:1: limits.https_header_octets_max: 100 is not allowed; allowed: a whole number from 4096 to 65536 (octets); default 16384"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_line_value_and_remedy(text: str, complaint: str) -> None:
    assert complaint in complaints(text)


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (PAIR, "f:1: tls.certificate: nothing uses it, for listen.tls and listen.https are empty"),
        (
            "listen: {http: '*:8053'}\nhttp: {tokens_file: tokens}",
            "f:2: http.tokens_file: tokens cross the network in clear text, for listen.http is *:8053 without "
            "http.tls; set http.tls, or listen on a loopback address behind a proxy",
        ),
        (
            "listen: {proxy_protocol: ['::/0']}",
            "f:1: listen.proxy_protocol: ::/0 lets everybody say who they are",
        ),
    ],
)
def test_what_is_only_unwise_is_a_warning(text: str, remark: str) -> None:
    assert [said.replace("warning: ", "") for said in remarks(text)] == [remark]


def test_one_port_of_two_addresses_and_any_free_port_may_be_taken_twice() -> None:
    load(f"{PAIR}\nlisten: {{dns: ['127.0.0.1:0'], tls: ['127.0.0.1:853', '127.0.0.2:853', '127.0.0.1:0']}}")


def test_an_upstream_over_tcp_may_not_be_an_encrypted_listener_of_this_server() -> None:
    text = f"{PAIR}\nlisten: {{tls: ['127.0.0.1:853']}}\nupstreams: {{servers: ['tcp://127.0.0.1:853']}}"
    assert "is this server itself" in complaints(text)[0]


def test_more_pairs_than_are_read_are_refused() -> None:
    more = ", ".join(["{certificate: a.pem, key: a.key}"] * 64)
    assert "tls.more" in complaints(f"tls: {{certificate: a.pem, key: a.key, more: [{more}]}}")[0]


def test_octets_of_buffers_are_counted_in_mebibytes() -> None:
    assert Settings().limits.stream_buffers_octets == 32 * 1024 * 1024


def test_the_schema_has_what_encrypted_listeners_need() -> None:
    properties = settings_schema()["$defs"]
    assert set(properties["Tls"]["properties"]) == {"certificate", "key", "more"}
    assert set(properties["CertificatePair"]["required"]) == {"certificate", "key"}
    assert properties["Listen"]["properties"]["tls"]["default"] == []
    assert properties["Tls"]["properties"]["more"]["default"] == []


def test_http_may_be_on_every_address_of_both_families() -> None:
    settings = load("listen: {http: '*:8053'}")
    http = settings.listen.http
    assert http is not None and str(http) == "*:8053"
    assert http.is_everywhere and not http.is_loopback and str(http.from_here) == "127.0.0.1:8053"
    assert [str(one.from_here) for one in map(endpoint_from, ("0.0.0.0:1", "[::]:2", "192.0.2.1:3"))] == [
        "127.0.0.1:1",
        "[::1]:2",
        "192.0.2.1:3",
    ]
