"""Unbound's configuration taken over: local zones of every type, access, forwarding, policy zones."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.migration.gathered import BadConfig
from tests.support.for_each import for_each
from tests.support.importing import FORWARD, Taken

CONFIG = """\
server:
  interface: 127.0.0.1@5353
  interface: eth0
  access-control: 192.0.2.0/24 allow
  access-control: 192.0.2.128/25 refuse
  access-control: 198.51.100.0/24 refuse
  cache-max-ttl: 3600
  local-zone: "static.example." static
  local-data: "www.static.example. IN A 192.0.2.10"
  local-zone: nx.example always_nxdomain
  local-data: "ignored.nx.example A 192.0.2.11"
  local-zone: "refused.example" refuse   # a comment
  local-zone: "null.example" always_null
  local-zone: "nodata.example" always_nodata
  local-zone: "drop.example" deny
  local-zone: "redirect.example" redirect
  local-data: "redirect.example A 192.0.2.12"
  local-zone: "open.nx.example" transparent
  local-data: 'plain.example. 3600 IN A 192.0.2.13'
  local-data: 'text.example TXT "hello"'
  local-zone: "lan." static
  auto-trust-anchor-file: "/var/lib/unbound/root.key"
  include: "more.conf"
  include: "missing.conf"
forward-zone:
  name: "."
  forward-tls-upstream: yes
  forward-addr: 192.0.2.1@853#dns.example
  forward-addr: 192.0.2.2@853
forward-zone:
  name: corp.example
  forward-addr: 192.0.2.3@5300
rpz:
  name: block.rpz.example
  url: "https://lists.example/block.rpz"
  rpz-action-override: nxdomain
rpz:
  name: tagged.rpz.example
  zonefile: "tagged.zone"
  tags: "kids"
view:
  name: "kids"
remote-control:
  control-enable: yes
"""


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    folder = tmp_path_factory.mktemp("unbound")
    (folder / "more.conf").write_text('local-zone: "included.example" always_nxdomain\n')
    return Taken(folder, "auto", CONFIG)


@for_each(
    ("name", "decision"),
    [
        ("static.example", "nodata"),  # a name below exists
        ("x.static.example", "nxdomain"),
        ("www.static.example", "192.0.2.10"),
        ("nx.example", "nxdomain"),
        ("ignored.nx.example", "nxdomain"),
        ("refused.example", "refused"),
        ("x.refused.example", "refused"),
        ("null.example", "0.0.0.0"),
        ("x.nodata.example", "nodata"),
        ("drop.example", "dropped"),
        ("redirect.example", "192.0.2.12"),
        ("deep.x.redirect.example", "192.0.2.12"),
        ("open.nx.example", FORWARD),
        ("x.open.nx.example", FORWARD),
        ("plain.example", "192.0.2.13"),
        ("x.plain.example", FORWARD),
        ("included.example", "nxdomain"),
    ],
)
def test_a_name_is_decided_as_there(taken: Taken, name: str, decision: str) -> None:
    assert taken.decision(name) == decision


def test_the_narrower_network_decides_who_may_ask(taken: Taken) -> None:
    allowed = {str(network) for network in taken.settings.clients.allow}
    assert allowed == {"127.0.0.0/8", "::1/128", "192.0.2.0/25"}


def test_upstreams_are_those_of_the_root(taken: Taken) -> None:
    upstreams = taken.settings.upstreams
    assert [str(one) for one in upstreams.servers] == [
        "tls://192.0.2.1:853#dns.example",
        "tls://192.0.2.2:853",
    ]
    assert [[str(one) for one in urls] for urls in upstreams.forward.values()] == [["udp://192.0.2.3:5300"]]


def test_policy_zones_are_lists(taken: Taken) -> None:
    [one] = taken.gathered.lists
    assert one.keys == {"format": "rpz", "url": "https://lists.example/block.rpz", "action": "nxdomain"}


@pytest.mark.parametrize(
    "word", ["eth0", "text.example", "lan", "validated", "missing.conf", "tagged.rpz.example", "view"]
)
def test_what_has_no_counterpart_is_told(taken: Taken, word: str) -> None:
    assert taken.lost(word)


def test_an_unbound_that_asks_authorities_itself_is_told(tmp_path: Path) -> None:
    taken = Taken(tmp_path, "unbound", "server:\n  port: 53\n")
    assert taken.lost("asks the authorities")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("server:\n  port 53\n", 2, "colon"),
        ('server:\n  local-zone: "x.example\n', 2, "quote"),
        ("server:\n  local-zone: x.example\n", 2, "no value"),
        ("server:\n  include: config.txt\n", 2, "includes itself"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(BadConfig) as caught:
        Taken(tmp_path, "unbound", text)
    [problem] = caught.value.problems
    assert problem.line == line and said in problem.message


def test_a_zone_with_tags_is_left_out_with_its_data(tmp_path: Path) -> None:
    text = """\
server:
  local-zone: blocked.example always_nxdomain
  local-zone: kids.example always_nxdomain
  local-zone: open.blocked.example transparent
  local-zone: data.example static
  local-data: "www.data.example A 192.0.2.1"
  local-zone: plain.data.example transparent
  local-data: "www.plain.data.example A 192.0.2.2"
  local-zone-tag: KIDS.example. "kids"
  local-zone-tag: open.blocked.example "kids"
  local-zone-tag: data.example "kids guests"
"""
    taken = Taken(tmp_path, "unbound", text)
    assert taken.decisions(
        [
            "blocked.example",
            "open.blocked.example",
            "kids.example",
            "www.data.example",
            "www.plain.data.example",
        ]
    ) == {
        "blocked.example": "nxdomain",
        "open.blocked.example": "nxdomain",
        "kids.example": FORWARD,
        "www.data.example": FORWARD,
        "www.plain.data.example": "192.0.2.2",
    }
    losses = [loss for loss in taken.gathered.losses if loss.key.startswith("local-zone-tag")]
    assert [loss.place.line for loss in losses] == [9, 10, 11] and all(
        loss.changes_answers for loss in losses
    )
