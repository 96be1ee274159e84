"""`AdGuardHome.yaml` taken over: rules, rewrites, upstreams, old keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.for_each import for_each
from tests.support.importing import FORWARD, Taken

CONFIG = """\
schema_version: 28
dns:
  bind_hosts: [192.0.2.53, "2001:db8::53"]
  port: 5353
  upstream_dns:
    - "# a comment"
    - tls://192.0.2.1:853
    - 192.0.2.2
    - "[/corp.example/lan.example/]192.0.2.3:5300"
    - "[/plain.corp.example/]#"
    - quic://dns.example
  bootstrap_dns: [192.0.2.9]
  upstream_mode: parallel
  allowed_clients: [192.0.2.0/24, phone]
  cache_ttl_min: 60
filtering:
  blocking_mode: default
  blocked_response_ttl: 17
  rewrites:
    - {domain: nas.example, answer: 192.0.2.7, enabled: true}
    - {domain: "*.apps.example", answer: 192.0.2.8}
    - {domain: alias.example, answer: target.example, enabled: true}
    - {domain: off.example, answer: 192.0.2.9, enabled: false}
user_rules:
  - "! a comment"
  - "||ads.example^"
  - "||*.below.example^"
  - "|alone.example^"
  - "bare.example"
  - "0.0.0.0 hosts.example"
  - "127.0.0.1 loop.example"
  - "192.0.2.66 printer.example"
  - "@@||good.ads.example^"
  - "@@||whole.example^"
  - "||deep.whole.example^"
  - "||firm.example^$important"
  - "@@||hole.firm.example^"
  - "@@||saved.example^$important"
  - "||saved.example^$important"
  - "||taken-back.example^"
  - "||taken-back.example^$badfilter"
  - "||answer.example^$dnsrewrite=192.0.2.99"
  - "||none.example^$dnsrewrite=NXDOMAIN;;"
  - '/(\\.|^)regex\\.example$/'
  - "/ads[0-9]+/"
  - "||client.example^$client=192.0.2.5"
  - "example.com##.banner"
filters:
  - {enabled: true, url: "https://lists.example/a.txt", name: First List, id: 1}
  - {enabled: false, url: "https://lists.example/b.txt", name: First List, id: 2}
whitelist_filters:
  - {enabled: true, url: "http://lists.example/c.txt", name: Allowed, id: 3}
"""


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    return Taken(tmp_path_factory.mktemp("adguard"), "auto", CONFIG)


@pytest.fixture(scope="module")
def decisions(taken: Taken) -> dict[str, str]:
    names = """ads.example x.ads.example good.ads.example x.good.ads.example below.example x.below.example
    alone.example x.alone.example bare.example x.bare.example hosts.example x.hosts.example whole.example
    deep.whole.example firm.example x.firm.example hole.firm.example saved.example taken-back.example
    answer.example none.example regex.example x.regex.example nas.example x.nas.example apps.example
    x.apps.example off.example client.example loop.example other.example printer.example"""
    return taken.decisions(names.split())


@for_each(
    ("name", "decision"),
    [
        ("ads.example", "0.0.0.0"),
        ("x.ads.example", "0.0.0.0"),
        ("good.ads.example", FORWARD),
        ("x.good.ads.example", FORWARD),
        ("below.example", FORWARD),
        ("x.below.example", "0.0.0.0"),
        ("alone.example", "0.0.0.0"),
        ("x.alone.example", FORWARD),
        ("bare.example", "0.0.0.0"),
        ("x.bare.example", FORWARD),
        ("hosts.example", "0.0.0.0"),
        ("x.hosts.example", FORWARD),
        ("loop.example", "127.0.0.1"),
        ("other.example", FORWARD),
    ],
)
def test_a_rule_reaches_as_far_as_there(decisions: dict[str, str], name: str, decision: str) -> None:
    assert decisions[name] == decision


@pytest.mark.parametrize(
    ("name", "decision"),
    [
        ("deep.whole.example", FORWARD),  # an exception wins over a longer name
        ("firm.example", "0.0.0.0"),
        ("hole.firm.example", "0.0.0.0"),  # $important over an exception
        ("saved.example", FORWARD),  # an $important exception over an $important block
        ("taken-back.example", FORWARD),
    ],
)
def test_the_rule_wins_that_won_there(decisions: dict[str, str], name: str, decision: str) -> None:
    assert decisions[name] == decision


@pytest.mark.parametrize(
    ("name", "decision"),
    [
        ("nas.example", "192.0.2.7"),
        ("x.nas.example", FORWARD),
        ("apps.example", FORWARD),
        ("x.apps.example", "192.0.2.8"),
        ("off.example", FORWARD),
        ("answer.example", "192.0.2.99"),
        ("none.example", "nxdomain"),
        ("printer.example", "192.0.2.66"),
    ],
)
def test_rewrites_answer_as_there(decisions: dict[str, str], name: str, decision: str) -> None:
    assert decisions[name] == decision


def test_expressions_that_mean_names_are_names(decisions: dict[str, str]) -> None:
    assert decisions["regex.example"] == decisions["x.regex.example"] == "0.0.0.0"


def test_what_has_no_counterpart_is_told_with_its_line(taken: Taken) -> None:
    def line_of(text: str) -> int:
        return next(number for number, line in enumerate(CONFIG.split("\n"), 1) if text in line)

    lost = {loss.key: loss for loss in taken.gathered.losses}
    for text in ("/ads[0-9]+/", "||client.example^$client=192.0.2.5", "example.com##.banner"):
        assert lost[text].place.line == line_of(text), text
    assert lost["dns.upstream_dns: quic://dns.example"].place.line == line_of("quic://")
    assert lost["dns.allowed_clients"].place.line == line_of("phone")


def test_a_rule_for_one_client_blocks_nobody(decisions: dict[str, str]) -> None:
    assert decisions["client.example"] == FORWARD


def test_settings_are_those_of_the_file(taken: Taken) -> None:
    settings = taken.settings
    assert [str(one) for one in settings.listen.dns] == ["192.0.2.53:5353", "[2001:db8::53]:5353"]
    assert [str(one) for one in settings.upstreams.servers] == ["tls://192.0.2.1:853", "udp://192.0.2.2:53"]
    forward = {
        key.decode("latin-1"): [str(one) for one in urls] for key, urls in settings.upstreams.forward.items()
    }
    assert forward == {
        "\4corp\7example\0": ["udp://192.0.2.3:5300"],
        "\3lan\7example\0": ["udp://192.0.2.3:5300"],
        "\5plain\4corp\7example\0": ["tls://192.0.2.1:853", "udp://192.0.2.2:53"],
    }
    assert settings.upstreams.strategy == "parallel" and settings.cache.ttl_min_s == 60
    assert [str(network) for network in settings.clients.allow] == ["192.0.2.0/24"]
    assert taken.gathered.defaults["ttl_s"] == 17


def test_lists_keep_their_kind_and_whether_they_are_on(taken: Taken) -> None:
    lists = {one.name: one.keys for one in taken.gathered.lists}
    assert lists["first-list"]["url"] == "https://lists.example/a.txt" and "mode" not in lists["first-list"]
    assert lists["first-list-2"]["mode"] == "disabled"
    assert lists["allowed"]["kind"] == "allow" and lists["allowed"]["allow_http"] is True


def test_keys_of_the_first_versions_are_known(tmp_path: Path) -> None:
    old = """\
coredns:
  bind_host: 127.0.0.1
  port: 5300
  bootstrap_dns: 192.0.2.9
  all_servers: true
  upstream_dns: [192.0.2.2]
  blocking_mode: nxdomain
  blocked_services: [video]
  rewrites: [{domain: nas.example, answer: 192.0.2.7}]
user_rules: ["||ads.example^"]
"""
    taken = Taken(tmp_path, "adguardhome", old)
    assert [str(one) for one in taken.settings.listen.dns] == ["127.0.0.1:5300"]
    assert taken.settings.upstreams.strategy == "parallel"
    assert taken.decision("x.ads.example") == "nxdomain" and taken.decision("nas.example") == "192.0.2.7"
    assert taken.lost("video")


def test_secrets_in_the_file_are_not_copied(tmp_path: Path) -> None:
    text = """\
users: [{name: admin, password: secret-hash}]
dns: {upstream_dns: [192.0.2.2]}
tls: {enabled: true, private_key: SECRET-KEY, certificate_chain: CHAIN, port_https: 443}
"""
    taken = Taken(tmp_path, "adguardhome", text)
    assert "SECRET-KEY" not in taken.written and "secret-hash" not in taken.written
    assert taken.lost("secrets") and taken.lost("passwords")


def test_protection_that_is_off_stays_off(tmp_path: Path) -> None:
    text = 'dns: {protection_enabled: false}\nuser_rules: ["||ads.example^"]\n'
    taken = Taken(tmp_path, "adguardhome", text)
    assert taken.decision("ads.example") == FORWARD


@pytest.mark.parametrize("option", ["client=192.0.2.5", "ctag=device_tv", "dnstype=A", "denyallow=x.example"])
@pytest.mark.parametrize("order", ["dnsrewrite=NXDOMAIN,{}", "{},dnsrewrite=NXDOMAIN"])
def test_a_rewrite_for_some_is_given_to_nobody(tmp_path: Path, option: str, order: str) -> None:
    taken = Taken(tmp_path, "adguardhome", f'user_rules: ["||ads.example^${order.format(option)}"]\n')
    assert taken.decision("ads.example") == FORWARD
    assert [loss.changes_answers for loss in taken.gathered.losses if "||ads" in loss.key] == [True]


def test_a_hosts_line_with_a_comment_is_no_rule_for_browsers(tmp_path: Path) -> None:
    taken = Taken(
        tmp_path, "adguardhome", 'user_rules: ["0.0.0.0 ads.example ## c", "0.0.0.0 b.example#$#"]\n'
    )
    assert taken.decisions(["ads.example", "b.example"]) == {"ads.example": "0.0.0.0", "b.example": "0.0.0.0"}


def test_an_exception_from_rewrites_is_none_from_blocks(tmp_path: Path) -> None:
    text = """\
user_rules: ["||ads.example^"]
filtering:
  rewrites:
    - {domain: ads.example, answer: ads.example}
    - {domain: x.ads.example, answer: A}
    - {domain: "*.apps.example", answer: 192.0.2.8}
    - {domain: own.apps.example, answer: Own.apps.example}
    - {domain: both.example, answer: both.example}
    - {domain: both.example, answer: 192.0.2.9}
    - {domain: nas, answer: 192.0.2.10}
    - {domain: "*.sub.apps.example", answer: "*.sub.apps.example"}
"""
    taken = Taken(tmp_path, "adguardhome", text)
    assert not taken.gathered.let_through
    names = ["ads.example", "x.ads.example", "x.apps.example", "own.apps.example", "x.sub.apps.example"]
    decisions = ["0.0.0.0", "0.0.0.0", "192.0.2.8", FORWARD, FORWARD]
    assert list(taken.decisions(names).values()) == decisions
    assert taken.lost("own.apps.example") and taken.lost("*.sub.apps") and taken.lost("x.ads.example")
    assert taken.lost("rewrites: both.example") and taken.decision("nas") == "192.0.2.10"
    assert not taken.lost("rewrites: ads.example")
