"""The sections that say who the server is and who its clients are: what is refused, and what is warned of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resolver.config.settings import Settings, load_settings
from resolver.server.parts import make_identities, make_nsid
from resolver.wire.encode import NSID_OCTETS_MAX
from resolver.wire.names import name_from_text


def load(text: str) -> Settings:
    settings, problems = load_settings(Path("f"), octets=text.encode())
    assert settings is not None and problems == []
    return settings


def warnings(text: str) -> list[str]:
    settings, problems = load_settings(Path("f"), octets=text.encode())
    assert settings is not None
    return [str(problem) for problem in problems]


def test_by_default_nobody_is_told_believed_or_blocked() -> None:
    settings = load("threads: 1")
    identities = make_identities(settings)
    assert make_nsid(settings) == b"" and settings.special_names.browser_relay == "allow"
    assert not identities.proxies and not identities.trusted_proxies
    assert not identities.names.in_path and not identities.names.below
    assert settings.ddr.enabled and settings.ddr.name is None


def test_a_server_is_called_as_the_operator_or_its_machine_calls_it() -> None:
    assert make_nsid(load("nsid: ns-ä")) == "ns-ä".encode()
    assert make_nsid(load("nsid: hostname")) == os.uname().nodename.encode()[:NSID_OCTETS_MAX]
    assert make_nsid(load("nsid: " + "x" * NSID_OCTETS_MAX)) == b"x" * NSID_OCTETS_MAX


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nsid: " + "ä" * 33, "66 octets; allowed: 64"),
        ('nsid: "two\\nlines"', "not one line"),
        ("nsid: ''", "nsid"),
        ("special_names: {browser_relay: deny}", "allow"),
        ("ddr: {name: 'not a name'}", "ddr.name"),
        ("client_names: {below: '*.dns.example.net'}", "client_names.below"),
        ("http: {trusted_proxies: [proxy.example]}", "trusted_proxies"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_is_allowed(text: str, says: str) -> None:
    settings, problems = load_settings(Path("f"), octets=text.encode())
    assert settings is None and len(problems) == 1
    assert str(problems[0]).startswith("f:1: ") and says in str(problems[0])


def test_networks_and_names_reach_those_who_listen() -> None:
    identities = make_identities(
        load(
            "listen: {proxy_protocol: [192.0.2.8/32]}\nhttp: {trusted_proxies: ['2001:db8::/64']}\n"
            "client_names: {in_path: true, below: DNS.example.net}"
        )
    )
    assert bytes((192, 0, 2, 8)) in identities.proxies and bytes((192, 0, 2, 9)) not in identities.proxies
    assert bytes.fromhex("20010db8") + bytes(12) in identities.trusted_proxies
    assert identities.names.in_server_name("tv.dns.example.net") == "tv"
    assert identities.names.split_path(b"/dns-query/tv", b"/dns-query") == (b"/dns-query", "tv")


def test_believing_everybody_is_warned_of() -> None:
    [text] = warnings("http:\n  trusted_proxies: ['0.0.0.0/0']")
    assert text.startswith("f:2: ") and "lets everybody say who they are" in text


@pytest.mark.parametrize("suffix", ["resolver.arpa", "_dns.resolver.arpa"])
def test_a_suffix_that_is_never_forwarded_is_warned_of(suffix: str) -> None:
    [text] = warnings(f"upstreams:\n  forward:\n    {suffix}: ['udp://192.0.2.53:53']")
    assert text.startswith("f:3: ") and "resolver.arpa is never forwarded" in text
    assert not warnings("upstreams:\n  forward:\n    arpa: ['udp://192.0.2.53:53']")


def test_the_name_of_the_server_is_read_as_a_name() -> None:
    assert load("ddr: {name: DNS.example.net}").ddr.name == name_from_text("dns.example.net")
