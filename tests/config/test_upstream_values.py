"""Upstreams as people write them."""

from __future__ import annotations

import base64

import pytest

from resolver.config.upstream_values import UpstreamServer, upstream_from
from tests.support.for_each import for_each

PIN = base64.b64encode(bytes(range(32))).decode()


@for_each(
    ("value", "part"),
    [
        ("192.0.2.1", "did you mean 'udp://192.0.2.1'"), ("udp:/192.0.2.1", "has no scheme"), (53, "not an upstream"),
        ("upd://192.0.2.1", "did you mean 'udp'"), ("udp://dns.example:53", "not an IP address"),
        ("udp://2001:db8::1", "brackets: udp://[2001:db8::1]:53"), ("udp://192.0.2.1:0", "1 to 65535"),
        ("udp://", "not an IP address"), ("udp://0.0.0.0:53", "not the address of a server"), ("udp://192.0.2.1/x", "not an IP address"),
        ({"url": "udp://192.0.2.1", "trust": True}, "did you mean 'trust_ad'"),
        ({"url": "udp://192.0.2.1", "trust_ad": "yes"}, "true or false"), ({}, "not an upstream"),
        ({"url": "udp://192.0.2.1", "letter_case": "lowr"}, "did you mean 'lower'"),
        ({"url": "udp://192.0.2.1", "letter_case": True}, "auto, mixed or lower"),
    ],
)  # fmt: skip
def test_a_wrong_upstream_says_how_to_write_it(value: object, part: str) -> None:
    with pytest.raises(ValueError) as caught:
        upstream_from(value)
    assert part in str(caught.value)


@pytest.mark.parametrize("letter_case", ["auto", "mixed", "lower"])
def test_the_letter_case_of_an_upstream_is_read(letter_case: str) -> None:
    server = upstream_from({"url": "udp://192.0.2.1", "letter_case": letter_case, "trust_ad": True})
    assert (server.letter_case, server.trust_ad, str(server)) == (letter_case, True, "udp://192.0.2.1:53")


@pytest.mark.parametrize("text", ["udp://192.0.2.1:53", "tcp://[2001:db8::1]:5353"])
def test_a_right_upstream_is_written_back_as_read(text: str) -> None:
    assert str(upstream_from(text)) == text


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("tls://192.0.2.1:853#dns.example", UpstreamServer("tls", "192.0.2.1", 853, host="dns.example")),
        (
            "tls://[2001:db8::1]:8853#dns.example",
            UpstreamServer("tls", "2001:db8::1", 8853, host="dns.example"),
        ),
        ("tls://dns.example:853", UpstreamServer("tls", "", 853, host="dns.example")),
        ("tls://192.0.2.1:853", UpstreamServer("tls", "192.0.2.1", 853)),
        (
            "https://dns.example/dns-query",
            UpstreamServer("https", "", 443, host="dns.example", path="/dns-query"),
        ),
        (
            "https://192.0.2.1/dns-query#dns.example",
            UpstreamServer("https", "192.0.2.1", 443, host="dns.example", path="/dns-query"),
        ),
        ("https://[2001:db8::1]:8443/a/b?c=d", UpstreamServer("https", "2001:db8::1", 8443, path="/a/b?c=d")),
    ],
)
def test_an_encrypted_upstream_has_an_address_or_a_name_or_both(text: str, server: UpstreamServer) -> None:
    assert upstream_from(text) == server
    assert str(server) == text
    assert server.is_encrypted and not server.is_plain


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("tls://dns.example", "tls://dns.example:853"),
        ("tls://192.0.2.1#DNS.Example.", "tls://192.0.2.1:853#dns.example"),
        ("tls://[2001:db8::1]", "tls://[2001:db8::1]:853"),
        ("tls://bücher.example", "tls://xn--bcher-kva.example:853"),
        ("https://dns.example:443/dns-query{?dns}", "https://dns.example/dns-query"),
    ],
)
def test_what_is_left_out_of_an_upstream_is_the_usual(text: str, written: str) -> None:
    assert str(upstream_from(text)) == written


@for_each(
    ("value", "part"),
    [
        ("https://dns.example", "did you mean 'https://dns.example/dns-query'"),
        ("https://dns.example/dns query", "is not a path"),
        ("https://dns.example/{dns}", "is not a path"),
        ("https:///dns-query", "not an IP address"),
        ("https://user@dns.example/dns-query", "more than an address or a name"),
        ("https://0.0.0.0/dns-query", "not the address of a server"),
        ("tls://dns.example/dns-query", "more than an address or a name"),
        ("tls://192.0.2.1@853#dns.example", "more than an address or a name"),
        ("tls://dns.example#other.example", "only behind an address"),
        ("tls://192.0.2.1#", "write tls://ADDRESS:PORT#NAME"),
        ("tls://192.0.2.1#192.0.2.1", "not the name in a certificate"),
        ("tls://192.0.2.1#*.example", "write tls://ADDRESS:PORT#NAME"),
        ("tls://192.0.2.1:0#dns.example", "1 to 65535"),
        ("tls://192.0.2", "not an IP address"),
        ("tls://2001:db8::1", "brackets: tls://[2001:db8::1]:853"),
        ("tls://[fe80::1%eth0]:853", "zone"),
        ("tls://", "not an IP address"),
        ("tsl://192.0.2.1", "did you mean 'tls'"),
        ({"url": "tls://192.0.2.1", "pins": []}, "1 to 8 hashes"),
        ({"url": "tls://192.0.2.1", "pins": PIN}, "1 to 8 hashes"),
        ({"url": "tls://192.0.2.1", "pins": [PIN[:40]]}, "openssl x509"),
        ({"url": "tls://192.0.2.1", "pins": [7]}, "openssl x509"),
        ({"url": "udp://192.0.2.1", "pins": [PIN]}, "only tls:// and https://"),
        ({"url": "tls://192.0.2.1", "pin": [PIN]}, "did you mean 'pins'"),
    ],
)
def test_a_wrong_encrypted_upstream_says_how_to_write_it(value: object, part: str) -> None:
    with pytest.raises(ValueError) as caught:
        upstream_from(value)
    assert part in str(caught.value)


def test_pins_are_read() -> None:
    assert upstream_from({"url": "tls://192.0.2.1", "pins": [PIN]}).pins == (bytes(range(32)),)


@pytest.mark.parametrize(("text", "is_plain"), [("udp://192.0.2.1", True), ("tcp://127.0.0.1", False)])
def test_clear_text_counts_where_it_leaves_this_machine(text: str, is_plain: bool) -> None:
    assert upstream_from(text).is_plain is is_plain
