"""Response policy zones and BIND's configuration taken over."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.migration.gathered import BadConfig
from tests.support.for_each import for_each
from tests.support.importing import FORWARD, Taken

ZONE = """\
$TTL 300
@ SOA localhost. root.localhost. 1 2 3 4 5
  NS localhost.
bad.example CNAME .
*.bad.example CNAME .
good.bad.example CNAME rpz-passthru.
walled.example A 192.0.2.80
text.example TXT "no"
32.5.2.0.192.rpz-client-ip CNAME .
"""

NAMED = """\
acl inside { 192.0.2.0/24; localhost; };
// a comment
options {
    directory "/var/cache/bind";   # another
    forwarders { 192.0.2.1; 192.0.2.2 port 5300; };
    allow-query { inside; };
    listen-on port 5353 { 127.0.0.1; };
    dnssec-validation auto;
    response-policy {
        zone "block.rpz" policy nxdomain;
        zone "fed.rpz";
        zone "gone.rpz";
    } break-dnssec yes;
};
/* a longer
   comment */
zone "block.rpz" { type primary; file "FOLDER/block.zone"; };
zone "fed.rpz" { type secondary; primaries { 192.0.2.9 port 5353 key "feed"; }; };
zone "corp.example" IN { type forward; forwarders { 192.0.2.3; }; };
zone "own.example" { type master; file "own.zone"; };
zone "." { type hint; file "root.hints"; };
"""


@pytest.fixture
def named(tmp_path: Path) -> Taken:
    (tmp_path / "block.zone").write_text(ZONE)
    return Taken(tmp_path, "auto", NAMED.replace("FOLDER", str(tmp_path)), "named.conf")


def test_a_zone_is_a_list_and_decides_as_written(tmp_path: Path) -> None:
    taken = Taken(tmp_path, "auto", ZONE, "block.zone")
    names = ["bad.example", "x.bad.example", "good.bad.example", "walled.example", "text.example"]
    assert list(taken.decisions(names).values()) == ["nxdomain", "nxdomain", FORWARD, "192.0.2.80", FORWARD]
    assert taken.lost("rpz-client-ip") and taken.lost("other record types")


def test_the_policy_of_a_zone_holds(named: Taken) -> None:
    assert named.decision("bad.example") == "nxdomain"
    block = next(one for one in named.gathered.lists if one.name == "block-rpz")
    assert block.keys["action"] == "nxdomain"


def test_a_zone_that_is_transferred_is_a_list(named: Taken) -> None:
    fed = next(one for one in named.gathered.lists if one.name == "fed-rpz")
    assert fed.keys["url"] == ["axfr://192.0.2.9:5353/fed.rpz"] and named.lost("secrets are not copied")


def test_settings_are_those_of_the_file(named: Taken) -> None:
    settings = named.settings
    assert [str(one) for one in settings.upstreams.servers] == ["udp://192.0.2.1:53", "udp://192.0.2.2:5300"]
    assert [[str(one) for one in urls] for urls in settings.upstreams.forward.values()] == [
        ["udp://192.0.2.3:53"]
    ]
    assert {str(network) for network in settings.clients.allow} == {"192.0.2.0/24", "127.0.0.0/8", "::1/128"}
    assert [str(one) for one in settings.listen.dns] == ["127.0.0.1:5353"]


@pytest.mark.parametrize("word", ["gone.rpz", "own.example", "dnssec-validation"])
def test_what_has_no_counterpart_is_told(named: Taken, word: str) -> None:
    assert named.lost(word)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("options {\n  forwarders { 192.0.2.1; };\n", 1, "never closed"),
        ("options { };\n}\n", 2, "not opened"),
        ("options {\n /* open\n", 2, "comment"),
        ("options { " + "{" * 100, 1, "nested"),
        ('options { directory "open; };', 1, "quote"),
        ('include "config.txt";\noptions { };', 1, "includes itself"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(BadConfig) as caught:
        Taken(tmp_path, "rpz", text)
    [problem] = caught.value.problems
    assert problem.line == line and said in problem.message


def test_a_file_that_is_no_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig):
        Taken(tmp_path, "rpz", "<html>\n<body>nothing</body>\n")


@for_each(
    ("limit", "decision"),
    [
        ("", "nxdomain"),
        ("match-clients { any; };", "nxdomain"),
        ("match-clients { any; }; match-recursive-only no;", "nxdomain"),
        ("match-clients { 192.0.2.5; };", FORWARD),
        ("match-clients { !192.0.2.5; any; };", FORWARD),
        ("match-clients { any; }; match-destinations { 192.0.2.53; };", FORWARD),
        ("match-recursive-only yes;", FORWARD),
    ],
)
@for_each("is_global", [True, False])
def test_a_policy_for_some_clients_is_left_out(
    tmp_path: Path, limit: str, decision: str, is_global: bool
) -> None:
    (tmp_path / "block.zone").write_text(ZONE)
    policy, zone = (
        'response-policy { zone "block.rpz"; };',
        f'zone "block.rpz" {{ type primary; file "{tmp_path}/block.zone"; }};',
    )
    text = f"""\
options {{ forwarders {{ 192.0.2.1; }}; {policy if is_global else ""} }};
view "some" {{ {limit} {"" if is_global else policy} {zone} }};
"""
    taken = Taken(tmp_path, "rpz", text, "named.conf")
    assert taken.decision("bad.example") == decision
    losses = [loss for loss in taken.gathered.losses if loss.key == "response-policy block.rpz"]
    assert [loss.changes_answers for loss in losses] == ([True] if decision == FORWARD else [])


def test_each_view_has_its_own_zones(tmp_path: Path) -> None:
    (tmp_path / "some.zone").write_text(ZONE.replace("bad.example", "some.example"))
    (tmp_path / "all.zone").write_text(ZONE)
    text = "options { forwarders { 192.0.2.1; }; };\n"
    for name, clients in (("some", "192.0.2.5"), ("all", "any")):
        text += f"""\
view "{name}" {{ match-clients {{ {clients}; }}; response-policy {{ zone "rpz"; }};
zone "rpz" {{ type primary; file "{tmp_path}/{name}.zone"; }}; }};
"""
    taken = Taken(tmp_path, "rpz", text, "named.conf")
    assert taken.decisions(["some.example", "bad.example"]) == {
        "some.example": FORWARD,
        "bad.example": "nxdomain",
    }
