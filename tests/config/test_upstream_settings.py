"""The keys of `upstreams`, and what no key of it can know alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.certificates.making import make_pair
from resolver.config.settings import load_settings
from resolver.config.upstream_settings import UpstreamSection, ca_objection


def section(text: str) -> UpstreamSection:
    settings, problems = load_settings(Path("f"), octets=f"upstreams: {{{text}}}".encode())
    assert settings is not None, problems
    return settings.upstreams


def told(text: str) -> list[str]:
    _, problems = load_settings(Path("f"), octets=f"upstreams:\n  {text}\n".encode())
    return [f"{problem.line} {problem.severity} {problem.message}" for problem in problems]


@pytest.mark.parametrize("strategy", ["fastest", "ordered", "parallel", "random"])
def test_every_strategy_is_taken(strategy: str) -> None:
    assert section(f"strategy: {strategy}").strategy == strategy


def test_a_misspelt_strategy_is_refused_with_the_right_one() -> None:
    assert "did you mean 'parallel'" in told("strategy: paralel")[0]


def test_a_name_without_bootstrap_is_refused_and_says_what_helps() -> None:
    [complaint] = told("servers: ['tls://192.0.2.1#dns.example', 'https://dns.example/dns-query']")
    assert complaint.startswith("2 error upstreams.servers: the address of https://dns.example/dns-query")
    assert "upstreams.bootstrap" in complaint
    assert "'https://ADDRESS/dns-query#dns.example'" in complaint


def test_a_name_of_a_forward_zone_needs_bootstrap_too() -> None:
    [complaint] = told("forward: {corp.example: ['tls://dns.corp.example:8853']}")
    assert complaint.startswith("2 error upstreams.forward.corp.example")
    assert "'tls://ADDRESS:8853#dns.corp.example'" in complaint


def test_a_name_with_bootstrap_is_fine() -> None:
    assert told("servers: ['https://dns.example/dns-query']\n  bootstrap: ['192.0.2.53']") == []


@pytest.mark.parametrize(
    ("strategy", "words"), [("fastest", "fastest will choose them"), ("ordered", "can leave in clear text")]
)
def test_plain_servers_beside_encrypted_ones_are_warned_of(strategy: str, words: str) -> None:
    servers = "['tls://192.0.2.1#dns.example', 'udp://192.0.2.2']"
    [warning] = told(f"strategy: {strategy}\n  servers: {servers}")
    assert warning.startswith("3 warning upstreams.servers: udp://192.0.2.2:53 beside encrypted")
    assert words in warning


@pytest.mark.parametrize(
    "servers",
    [
        "['udp://192.0.2.1', 'tcp://192.0.2.2']",
        "['tls://192.0.2.1#dns.example', 'udp://127.0.0.1:5300']",
        "['tls://192.0.2.1#dns.example']\n  forward: {corp.example: ['udp://192.0.2.2']}",
    ],
)
def test_servers_of_one_kind_are_not_warned_of(servers: str) -> None:
    assert told(f"servers: {servers}") == []


def test_a_server_without_a_name_is_warned_of() -> None:
    [warning] = told("servers: ['tls://192.0.2.1']")
    assert warning.startswith("2 warning") and "tls://192.0.2.1:853#NAME" in warning


def test_a_server_with_pins_needs_no_name() -> None:
    pins = "A" * 43 + "="
    assert told(f"servers: [{{url: 'tls://192.0.2.1', pins: ['{pins}']}}]") == []


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file"), ("nothing\n", "no certificate that can be read")],
)
def test_authorities_that_cannot_be_read_are_refused(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    assert words in ca_objection(path)
    [complaint] = told(f"tls_ca: {path}")
    assert complaint.startswith("2 error upstreams.tls_ca: ") and words in complaint


def test_one_servers_own_certificate_is_taken_for_an_authority(tmp_path: Path) -> None:
    path = tmp_path / "own.pem"
    path.write_bytes(make_pair(["dns.example"], [], 1_700_000_000.0)[0])
    assert told(f"tls_ca: {path}") == []
