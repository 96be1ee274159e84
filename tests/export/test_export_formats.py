"""What each format writes for small policies, and what it says that it can not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

import dns.rdatatype
import dns.zone
import pytest

from resolver.export import FORMATS, LossKind, export_policy
from resolver.export.rpz import ip_trigger
from resolver.export.spelling import master_name, plain_name
from resolver.policy.verdict import LocalData, PolicyAction
from resolver.wire.names import name_from_text
from tests.support.policy_maker import PolicyMaker, make_rule

NXDOMAIN = make_rule()
SINKHOLE = make_rule(
    label="sink",
    action=PolicyAction.SINKHOLE,
    sinkhole_ipv4=bytes([192, 0, 2, 99]),
    sinkhole_ipv6=bytes.fromhex("20010db8000000000000000000000099"),
)
REFUSED = make_rule(label="refused", action=PolicyAction.REFUSED)
DROP = make_rule(label="drop", action=PolicyAction.DROP)
NODATA = make_rule(label="nodata", action=PolicyAction.NODATA)
LISTED = make_rule("list", "names")


@pytest.fixture
def maker() -> PolicyMaker:
    return PolicyMaker()


Written = tuple[list[str], dict[LossKind, list[str]]]


def written(maker: PolicyMaker, folder: Path, list_format: str) -> Written:
    """The lines that say something, and the losses."""
    export = export_policy(maker.table(folder), list_format, 0.0, PurePath("/policy/out.conf"))
    lines = "".join(export.files[0].lines).splitlines()
    losses = {loss.kind: loss.examples for loss in export.losses.all()}
    is_frame = ("#", ";", "!", "$TTL", "@ ", "server:")
    return [line for line in lines if not line.startswith(is_frame)], losses


SOA = "SOA policy.invalid. nobody.invalid. 1 3600 600 86400 300"


@pytest.mark.parametrize(
    ("list_format", "lines"),
    [
        ("rpz", ["example.com CNAME .", "*.example.com CNAME ."]),
        (
            "unbound",
            [
                'domain-insecure: "example.com."',
                'local-zone: "example.com." always_nxdomain',
                f'local-data: "example.com. 300 {SOA}"',
            ],
        ),
        ("dnsmasq", ["address=/example.com/"]),
        ("domains", ["example.com"]),
        ("adblock", ["||example.com^"]),
    ],
)
def test_a_blocked_tree_is_said_without_loss(
    maker: PolicyMaker, tmp_path: Path, list_format: str, lines: Sequence[str]
) -> None:
    assert written(maker.block(NXDOMAIN, "example.com"), tmp_path, list_format) == (lines, {})


def test_a_hosts_file_says_that_it_leaves_the_tree(maker: PolicyMaker, tmp_path: Path) -> None:
    lines, losses = written(maker.block(NXDOMAIN, "example.com", "=example.net"), tmp_path, "hosts")
    assert lines == ["0.0.0.0 example.com", ":: example.com", "0.0.0.0 example.net", ":: example.net"]
    assert losses == {LossKind.SUBTREE: ["example.com"]}


@pytest.mark.parametrize(
    ("list_format", "lines"),
    [
        ("rpz", ["example.com CNAME *."]),
        (
            "unbound",
            [
                'domain-insecure: "example.com."',
                'local-zone: "example.com." transparent',
                f'local-data: "example.com. 300 {SOA}"',
            ],
        ),
        (
            "dnsmasq",
            ["address=/example.com/", "naptr-record=example.com,0,0,,,", "server=/*.example.com/#"],
        ),
        ("adblock", ["|example.com^"]),
    ],
)
def test_an_exact_name_exists_and_what_is_below_it_passes(
    maker: PolicyMaker, tmp_path: Path, list_format: str, lines: Sequence[str]
) -> None:
    assert written(maker.block(NXDOMAIN, "=example.com"), tmp_path, list_format) == (lines, {})


def test_a_list_of_trees_leaves_out_an_exact_name(maker: PolicyMaker, tmp_path: Path) -> None:
    lines, losses = written(maker.block(NXDOMAIN, "=example.com"), tmp_path, "domains")
    assert (lines, losses) == ([], {LossKind.EXACT: ["example.com"]})


def test_names_below_only(maker: PolicyMaker, tmp_path: Path) -> None:
    maker.block(NXDOMAIN, "*.example.com")
    assert written(maker, tmp_path, "rpz") == (["*.example.com CNAME ."], {})
    assert written(maker, tmp_path, "dnsmasq") == (["address=/*.example.com/"], {})
    assert written(maker, tmp_path, "adblock") == (["||example.com^", "@@|example.com^"], {})
    for list_format in ("unbound", "domains"):
        assert written(maker, tmp_path, list_format) == ([], {LossKind.BELOW: ["example.com"]})


def test_a_policy_zone_repeats_its_wildcards_where_names_would_hide_them(
    maker: PolicyMaker, tmp_path: Path
) -> None:
    # RFC 4592 §2.2.1: with a.b.example.com in the zone, *.example.com does not reach x.b.example.com.
    maker.block(NXDOMAIN, "example.com").block(SINKHOLE, "=a.b.example.com")
    lines, _ = written(maker, tmp_path, "rpz")
    assert set(lines) == {
        "example.com CNAME .",
        "*.example.com CNAME .",
        "b.example.com CNAME .",
        "*.b.example.com CNAME .",
        "a.b.example.com A 192.0.2.99",
        "a.b.example.com AAAA 2001:db8::99",
        "*.a.b.example.com CNAME .",
    }


def test_a_policy_zone_is_a_master_file_that_dnspython_reads(maker: PolicyMaker, tmp_path: Path) -> None:
    odd = "a\\032b\\;c.example.com"
    maker.block(NXDOMAIN, odd, "example.net").block(SINKHOLE, "example.org").block(DROP, "example.info")
    maker.allow("ok.example.net").addresses(NXDOMAIN, "203.0.113.0/24", "2001:db8:1::/48")
    export = export_policy(maker.table(tmp_path), "rpz", 0.0, None)
    zone = dns.zone.from_text("".join(export.files[0].lines), origin="policy.invalid.")
    found = {
        str(name): [rdata.to_text() for rdataset in node for rdata in rdataset]
        for name, node in zone.nodes.items()
        if str(name) != "@"
    }
    assert found.pop("a\\032b\\;c.example.com") == ["."]
    assert found.pop("*.a\\032b\\;c.example.com") == ["."]
    assert found["ok.example.net"] == ["rpz-passthru."]
    assert found["example.net"] == ["*."] and found["*.example.net"] == ["."]
    assert sorted(found["example.org"]) == ["192.0.2.99", "2001:db8::99"]
    assert found["*.example.info"] == ["rpz-drop."]
    assert found["24.0.113.0.203.rpz-ip"] == ["*."]
    assert found["48.zz.1.db8.2001.rpz-ip"] == ["*."]


def test_the_serial_of_a_policy_zone_rises_with_time(maker: PolicyMaker, tmp_path: Path) -> None:
    table = maker.table(tmp_path)
    serials = []
    for wall in (1_700_000_000.5, 1_700_000_001.5):
        text = "".join(export_policy(table, "rpz", wall, None).files[0].lines)
        serials.append(dns.zone.from_text(text, origin="policy.invalid.").get_soa().serial)
    assert serials == [1_700_000_000, 1_700_000_001]


@pytest.mark.parametrize(
    ("network", "trigger"),
    [
        ("203.0.113.0/24", "24.0.113.0.203"),
        ("2001:db8::/32", "32.zz.db8.2001"),
        ("2001:db8:0:1::1/128", "128.1.zz.1.0.db8.2001"),
        ("::/1", "1.zz"),
    ],
)
def test_response_address_triggers_are_written_backwards(network: str, trigger: str) -> None:
    address, _, length = network.partition("/")
    packed = dns.rdata.from_text("IN", "AAAA" if ":" in address else "A", address).to_wire()
    assert packed is not None
    assert ip_trigger(packed, int(length)) == trigger


def test_refused_and_drop_where_a_format_knows_them_and_where_not(maker: PolicyMaker, tmp_path: Path) -> None:
    maker.block(REFUSED, "example.com").block(DROP, "example.net").block(NODATA, "example.org")
    lines, losses = written(maker, tmp_path, "unbound")
    assert 'local-zone: "example.com." always_refuse' in lines and losses == {}
    assert 'local-zone: "example.net." always_deny' in lines
    assert 'local-zone: "example.org." always_nodata' in lines
    assert written(maker, tmp_path, "rpz")[1] == {LossKind.DENIAL: ["example.com"]}
    assert written(maker, tmp_path, "dnsmasq")[1] == {
        LossKind.DENIAL: ["example.com", "example.net", "example.org"]
    }


def test_what_lists_say_beyond_blocking(maker: PolicyMaker, tmp_path: Path) -> None:
    maker.block(make_rule("list", "tcp", action=PolicyAction.TCP_ONLY), "example.com")
    addresses = LocalData(addresses=(bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])))
    maker.block(make_rule("list", "own", action=PolicyAction.LOCAL_DATA, local_data=addresses), "example.net")
    elsewhere = LocalData(redirect=b"\x01*" + name_from_text("walled.example.info"))
    maker.block(make_rule("list", "led", action=PolicyAction.LOCAL_DATA, local_data=elsewhere), "example.org")
    lines, losses = written(maker, tmp_path, "rpz")
    assert losses == {}
    assert [line for line in lines if not line.startswith("*")] == [
        "example.com CNAME rpz-tcp-only.",
        "example.net A 192.0.2.1",
        "example.net A 192.0.2.2",
        "example.org CNAME *.walled.example.info.",
    ]
    for list_format in ("unbound", "dnsmasq"):
        lines, losses = written(maker, tmp_path, list_format)
        assert losses == {LossKind.TCP_ONLY: ["list tcp"], LossKind.DENIAL: ["example.org"]}
        assert not any("example.com" in line for line in lines)
        assert sum("192.0.2." in line for line in lines) == 2


def test_exceptions_within_exceptions(maker: PolicyMaker, tmp_path: Path) -> None:
    maker.block(NXDOMAIN, "example.com", "again.ok.example.com").allow("ok.example.com")
    lines, losses = written(maker, tmp_path, "adblock")
    assert set(lines) == {"||example.com^", "@@||ok.example.com^"}
    assert losses == {LossKind.NESTED: ["again.ok.example.com"]}
    lines, losses = written(maker, tmp_path, "domains")
    assert lines == ["again.ok.example.com"] and losses == {LossKind.EXCEPTION: ["example.com"]}
    lines, losses = written(maker, tmp_path, "dnsmasq")
    assert losses == {} and set(lines) == {
        "address=/example.com/",
        "naptr-record=example.com,0,0,,,",
        "server=/ok.example.com/#",
        "address=/again.ok.example.com/",
    }


def test_an_exception_that_nothing_blocks_is_said_only_where_it_spares_answers(
    maker: PolicyMaker, tmp_path: Path
) -> None:
    maker.allow("example.com")
    assert written(maker, tmp_path, "rpz")[0] == [
        "example.com CNAME rpz-passthru.",
        "*.example.com CNAME rpz-passthru.",
    ]
    for list_format in ("unbound", "dnsmasq", "hosts", "domains", "adblock"):
        assert written(maker, tmp_path, list_format) == ([], {})


def test_names_of_lists_get_no_soa_and_no_trust_exception_of_their_own(
    maker: PolicyMaker, tmp_path: Path
) -> None:
    lines, _ = written(maker.block(LISTED, "example.com"), tmp_path, "unbound")
    assert lines == ['local-zone: "example.com." always_nxdomain']


def test_a_name_that_a_format_can_not_spell_is_reported(maker: PolicyMaker, tmp_path: Path) -> None:
    maker.block(NXDOMAIN, "a\\032b.example.com")
    for list_format in ("dnsmasq", "hosts", "domains", "adblock"):
        lines, losses = written(maker, tmp_path, list_format)
        assert lines == [] and losses[LossKind.NAME] == ["a\\032b.example.com"]
    assert LossKind.NAME not in written(maker, tmp_path, "unbound")[1]


def test_different_ttls_are_a_loss_where_one_soa_serves_all(maker: PolicyMaker, tmp_path: Path) -> None:
    maker.block(NXDOMAIN, "example.com").block(make_rule(label="long", ttl_s=900), "example.net")
    lines, losses = written(maker, tmp_path, "rpz")
    assert "example.net 900 CNAME ." in lines and losses == {LossKind.TTL: ["exchange long"]}


@pytest.mark.parametrize("list_format", FORMATS)
def test_every_export_says_in_its_head_what_it_never_says(
    maker: PolicyMaker, tmp_path: Path, list_format: str
) -> None:
    table = maker.block(NXDOMAIN, "example.com").table(tmp_path)
    export = export_policy(table, list_format, 0.0, PurePath("/policy/out.conf"))
    assert export.limits
    assert all("in force at 1970-01-01T00:00:00Z" in next(file.lines) for file in export.files)


def test_bind_gets_a_zone_and_two_files_to_include(maker: PolicyMaker, tmp_path: Path) -> None:
    maker.block(NXDOMAIN, "example.com").block(LISTED, "example.net")
    export = export_policy(maker.table(tmp_path), "bind", 0.0, PurePath("/policy/out.conf"))
    texts = {str(file.path): "".join(file.lines) for file in export.files}
    assert set(texts) == {"/policy/out.conf", "/policy/out.options.conf", "/policy/out.zone"}
    assert 'file "/policy/out.zone";' in texts["/policy/out.conf"]
    assert "break-dnssec yes" in texts["/policy/out.options.conf"]
    assert '    "example.com";\n' in texts["/policy/out.options.conf"]
    assert "example.net" not in texts["/policy/out.options.conf"]


def test_bind_needs_to_know_where_its_files_will_be(maker: PolicyMaker, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--output"):
        export_policy(maker.table(tmp_path), "bind", 0.0, None)


@pytest.mark.parametrize(
    ("text", "plain", "master"),
    [
        ("www.example.com", "www.example.com", "www.example.com"),
        ("_x-1.example.com", "_x-1.example.com", "_x-1.example.com"),
        ("a\\.b.example.com", None, "a\\046b.example.com"),
        ("a\\$b.example.com", None, "a\\036b.example.com"),
        ("a\\000.example.com", None, "a\\000.example.com"),
    ],
)
def test_names_are_spelt_so_that_every_reader_agrees(text: str, plain: str | None, master: str) -> None:
    name = name_from_text(text)
    assert plain_name(name) == plain
    assert master_name(name) == master
    assert name_from_text(master) == name
