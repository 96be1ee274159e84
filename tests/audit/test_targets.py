"""Servers as people write them."""

from __future__ import annotations

import pytest

from resolver.audit.targets import own_server, server_from
from tests.support.for_each import for_each


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("192.0.2.1", "192.0.2.1:53"),
        ("192.0.2.1:5353", "192.0.2.1:5353"),
        ("2001:db8::1", "[2001:db8::1]:53"),
        ("[2001:db8::1]", "[2001:db8::1]:53"),
        ("[2001:db8::1]:5353", "[2001:db8::1]:5353"),
        ("2001:DB8:0::1", "[2001:db8::1]:53"),
        (" 192.0.2.1 ", "192.0.2.1:53"),
    ],
)
def test_an_address_with_or_without_a_port_is_a_server(text: str, place: str) -> None:
    server = server_from(text)
    assert server.name == place and not server.is_own
    assert [target.label for target in server.targets] == [f"{place} udp", f"{place} tcp"]


@pytest.mark.parametrize(
    ("text", "name", "label", "server_name", "path"),
    [
        ("tls://192.0.2.1", "tls://192.0.2.1:853", "192.0.2.1:853 tls", "", ""),
        ("tls://192.0.2.1#dns.example", "tls://192.0.2.1:853", "192.0.2.1:853 tls", "dns.example", ""),
        ("tls://[2001:db8::1]:8853", "tls://[2001:db8::1]:8853", "[2001:db8::1]:8853 tls", "", ""),
        ("https://192.0.2.1", "https://192.0.2.1:443", "192.0.2.1:443 https", "192.0.2.1", "/dns-query"),
        (
            "https://Dns.example:8443/phones",
            "https://dns.example:8443",
            "dns.example:8443 https",
            "dns.example",
            "/phones",
        ),
    ],
)
def test_an_encrypted_listener_is_named_by_its_url(
    text: str, name: str, label: str, server_name: str, path: str
) -> None:
    server = server_from(text)
    assert (server.name, server.is_own) == (name, False)
    [target] = server.targets
    assert (target.label, target.server_name, target.path) == (label, server_name, path)


@for_each(
    "text",
    [
        "",
        "tls://",
        "tls://dns.example",
        "tls://192.0.2.1/dns-query",
        "tls://192.0.2.1:0",
        "https://192.0.2.1/#name",
        "https:///dns-query",
        "https://[dns.example]/",
        "udp://192.0.2.1",
        "dns.example",
        "192.0.2.1:",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2.1:x",
        "[::1",
        "[]:53",
        ":53",
        "1.2.3",
    ],
)
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write 192"):
        server_from(text)


def test_this_server_is_asked_on_every_address_over_both_transports() -> None:
    server = own_server({"dns": [("0.0.0.0", 53), ("::", 53), ("192.0.2.1", 5335), ("127.0.0.1", 53)]})
    assert [target.label for target in server.targets] == [
        "127.0.0.1:53 udp",
        "[::1]:53 udp",
        "192.0.2.1:5335 udp",
        "127.0.0.1:53 tcp",
        "[::1]:53 tcp",
        "192.0.2.1:5335 tcp",
    ]


def test_this_server_is_asked_on_its_encrypted_listeners_too() -> None:
    server = own_server({"dns": [("127.0.0.1", 53)], "tls": [("0.0.0.0", 853)], "https": [("::", 443)]})
    assert [target.label for target in server.targets] == [
        "127.0.0.1:53 udp",
        "127.0.0.1:53 tcp",
        "127.0.0.1:853 tls",
        "[::1]:443 https",
    ]
    assert [target.server_name for target in server.targets] == [""] * 4
