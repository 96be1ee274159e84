"""blocky's `config.yml` taken over: groups, sources, custom names, old keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.for_each import for_each
from tests.support.importing import FORWARD, Taken

CONFIG = """\
upstreams:
  strategy: strict
  timeout: 3s
  groups:
    default:
      - 192.0.2.1
      - tcp-tls:dns.example:853
      - https://192.0.2.2/dns-query#doh.example
      - quic:dns.example
    kids*:
      - 192.0.2.3
bootstrapDns:
  - tcp+udp:192.0.2.9
customDNS:
  rewrite:
    old.example: printer.example
  mapping:
    printer.example: 192.0.2.33,2001:db8::33
conditional:
  mapping:
    fritz.example: 192.0.2.4
    .: 192.0.2.4
blocking:
  denylists:
    ads:
      - https://lists.example/hosts
      - https://lists.example/wildcard.txt
      - |
        ads.example
        *.wild.example # a comment
        /^banners?[_.-]/
        /^(one|two)\\.example$/
        0.0.0.0 hosts.example
    kids:
      - |
        games.example
    night:
      - |
        late.example
  allowlists:
    ads:
      - |
        ok.wild.example
  clientGroupsBlock:
    default: [ads, night]
    kids*: [ads, kids]
  listSchedules:
    night: [evening]
  blockType: 192.0.2.80, 2001:db8::80
  blockTTL: 1m
ports:
  dns: [53, "127.0.0.1:5353"]
"""


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    return Taken(tmp_path_factory.mktemp("blocky"), "auto", CONFIG)


@for_each(
    ("name", "decision"),
    [
        ("ads.example", "192.0.2.80"),
        ("x.ads.example", FORWARD),
        ("wild.example", "192.0.2.80"),
        ("x.wild.example", "192.0.2.80"),
        ("ok.wild.example", FORWARD),
        ("hosts.example", "192.0.2.80"),
        ("one.example", "192.0.2.80"),
        ("three.example", FORWARD),
        ("printer.example", "192.0.2.33"),
        ("x.y.printer.example", "192.0.2.33"),
        ("old.example", FORWARD),
        ("x.old.example", "192.0.2.33"),
        ("games.example", FORWARD),
        ("late.example", FORWARD),
    ],
)
def test_a_name_is_decided_as_there_for_the_default_group(taken: Taken, name: str, decision: str) -> None:
    assert taken.decision(name) == decision


def test_what_holds_for_some_clients_or_hours_is_told(taken: Taken) -> None:
    for word in ("kids*", "list group kids", "list group night", "conditional.mapping: .", "banners"):
        assert taken.lost(word), word


def test_an_inline_line_is_told_with_its_own_line(taken: Taken) -> None:
    [loss] = [loss for loss in taken.gathered.losses if "banners" in loss.key]
    assert CONFIG.split("\n")[loss.place.line - 1].strip() == "/^banners?[_.-]/"


def test_settings_are_those_of_the_file(taken: Taken) -> None:
    upstreams = taken.settings.upstreams
    assert [str(one) for one in upstreams.servers] == [
        "udp://192.0.2.1:53",
        "tls://dns.example:853",
        "https://192.0.2.2/dns-query#doh.example",
    ]
    assert upstreams.strategy == "ordered" and upstreams.timeout_s == 3.0
    assert [str(one) for one in taken.settings.listen.dns] == ["0.0.0.0:53", "[::]:53", "127.0.0.1:5353"]
    assert taken.gathered.defaults["ttl_s"] == 60


def test_old_keys_say_the_same(tmp_path: Path) -> None:
    old = """\
upstream:
  default: [192.0.2.1]
upstreamStrategy: random
port: 5300
blocking:
  blackLists:
    ads:
      - |
        ads.example
  whiteLists:
    ads:
      - |
        www.ads.example
  clientGroupsBlock:
    default: [ads]
  blockType: nxDomain
"""
    taken = Taken(tmp_path, "blocky", old)
    assert taken.decision("ads.example") == "nxdomain" and taken.settings.upstreams.strategy == "random"
    assert taken.settings.listen.dns[0].port == 5300


def test_an_allowlist_alone_is_told_for_it_blocked_all_else(tmp_path: Path) -> None:
    text = "blocking:\n  allowlists:\n    some:\n      - |\n        ok.example\n  clientGroupsBlock: {default: [some]}\n"
    taken = Taken(tmp_path, "blocky", text)
    assert taken.lost("lets nothing else through")


def test_lists_of_a_group_that_nobody_has_block_nobody(tmp_path: Path) -> None:
    text = "blocking:\n  denylists:\n    ads:\n      - |\n        ads.example\n"
    taken = Taken(tmp_path, "blocky", text)
    assert taken.decision("ads.example") == FORWARD and taken.lost("group ads")
