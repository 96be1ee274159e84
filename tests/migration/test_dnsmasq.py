"""dnsmasq's configuration taken over: the longest name decides, includes are followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.migration.dnsmasq import reverse_zones
from tests.support.for_each import for_each
from tests.support.importing import FORWARD, Taken

CONFIG = """\
# a comment
port=5353
listen-address=127.0.0.1,192.0.2.53
no-resolv
domain=lan.example
expand-hosts
server=192.0.2.1
server=192.0.2.2#5300
server=/corp.example/192.0.2.3
rev-server=192.0.2.0/24,192.0.2.4
address=/ads.example/
address=/null.example/#
address=/zero.example/0.0.0.0
address=/web.example/www.web.example/192.0.2.80
server=/open.ads.example/#
local=/private.example/
local=/lan/
host-record=nas,nas.lan.example,192.0.2.7,2001:db8::7
cname=alias.example,nas.lan.example
addn-hosts=more.hosts
conf-dir=more.d,*.conf
dhcp-range=192.0.2.100,192.0.2.200,12h
dnssec
bogus-nxdomain=192.0.2.66
strict-order
frobnicate=1
address=/#/192.0.2.9
"""


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    folder = tmp_path_factory.mktemp("dnsmasq")
    (folder / "more.hosts").write_text("192.0.2.8 printer\n192.0.2.8 scanner.example\n0.0.0.0 dead.example\n")
    (folder / "more.d").mkdir()
    (folder / "more.d" / "one.conf").write_text("address=/included.example/\n")
    (folder / "more.d" / "two.conf~").write_text("address=/backup.example/\n")
    (folder / "more.d" / "three.txt").write_text("address=/other.example/\n")
    return Taken(folder, "auto", CONFIG)


@for_each(
    ("name", "decision"),
    [
        ("ads.example", "nxdomain"),
        ("x.ads.example", "nxdomain"),
        ("open.ads.example", FORWARD),
        ("x.open.ads.example", FORWARD),
        ("null.example", "0.0.0.0"),
        ("zero.example", "0.0.0.0"),
        ("web.example", "192.0.2.80"),
        ("deep.www.web.example", "192.0.2.80"),
        ("private.example", "nxdomain"),
        ("nas.lan.example", "192.0.2.7"),
        ("printer.lan.example", "192.0.2.8"),
        ("scanner.example", "192.0.2.8"),
        ("dead.example", "0.0.0.0"),
        ("included.example", "nxdomain"),
        ("backup.example", FORWARD),
        ("other.example", FORWARD),
    ],
)
def test_a_name_is_decided_as_there(taken: Taken, name: str, decision: str) -> None:
    assert taken.decision(name) == decision


def test_a_name_with_servers_of_its_own_is_asked_there(taken: Taken) -> None:
    forward = {len(key): [str(one) for one in urls] for key, urls in taken.settings.upstreams.forward.items()}
    assert forward[len(b"\4corp\7example\0")] == ["udp://192.0.2.3:53"]
    assert [str(one) for one in taken.settings.upstreams.servers] == [
        "udp://192.0.2.1:53",
        "udp://192.0.2.2:5300",
    ]
    assert taken.settings.upstreams.strategy == "ordered"


@pytest.mark.parametrize(
    "word", ["dhcp", "dnssec", "bogus-nxdomain", "frobnicate", "address=/#/", "/etc/hosts", "lan"]
)
def test_what_has_no_counterpart_is_told(taken: Taken, word: str) -> None:
    assert taken.lost(word)


def test_a_missing_include_is_told_and_no_error(tmp_path: Path) -> None:
    taken = Taken(tmp_path, "dnsmasq", "conf-file=gone.conf\naddress=/ads.example/\n")
    assert (
        taken.lost("gone.conf") == ["1: the file is not here"] and taken.decision("ads.example") == "nxdomain"
    )


@pytest.mark.parametrize(
    ("network", "zones"),
    [
        ("192.0.2.0/24", ["2.0.192.in-addr.arpa"]),
        ("10.0.0.0/8", ["10.in-addr.arpa"]),
        ("192.168.0.0/23", ["0.168.192.in-addr.arpa", "1.168.192.in-addr.arpa"]),
        ("2001:db8::/32", ["8.b.d.0.1.0.0.2.ip6.arpa"]),
    ],
)
def test_zones_of_a_network_cover_it(network: str, zones: list[str]) -> None:
    assert list(reverse_zones(network)) == zones
