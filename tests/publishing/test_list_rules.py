"""From a list's lines to rules in an image: what the list's own keys change, and how its rules rank."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from resolver.known_names.public_suffixes import within_infrastructure
from resolver.policy.image import pack_local_data, unpack_local_data
from resolver.policy.table import PolicyTable, open_table
from resolver.policy.verdict import PASS, Exemption, LocalData, PolicyAction, RuleForm, over_stream
from resolver.publishing.compiled import Compiled
from resolver.publishing.compiler import compile_policy
from resolver.wire.names import name_from_text as n
from resolver.wire.names import name_to_text

ZONE = """\
@ SOA localhost. root.localhost. 1 2 3 4 5
nx.example CNAME .
*.nx.example CNAME .
nodata.example CNAME *.
ok.nx.example CNAME rpz-passthru.
drop.example CNAME rpz-drop.
tcp.example CNAME rpz-tcp-only.
walled.example CNAME *.garden.example.net.
local.example A 192.0.2.1
24.0.113.0.203.rpz-ip CNAME .
32.9.113.0.203.rpz-ip CNAME rpz-passthru.
32.7.100.51.198.rpz-ip CNAME rpz-drop.
"""
EXCHANGES = "exchanges: {acme: {name: Acme, domains: [acme.example], addresses: [198.51.100.0/24]}}"


def compiled(folder: Path, entry: str, content: str, exchanges: str = "exchanges: {}") -> Compiled:
    (folder / "list.txt").write_text(content)
    (folder / "b.yaml").write_text(
        f"version: 1\n{exchanges}\nlists: [{{name: one, path: list.txt{entry}}}]\n"
    )
    return compile_policy(folder / "b.yaml", folder / "images")


def table(
    folder: Path, entry: str = "", content: str = ZONE, exchanges: str = "exchanges: {}"
) -> PolicyTable:
    result = compiled(folder, entry, content, exchanges)
    assert result.image is not None, result.problems
    return open_table(result.image, 1.7e9, 0.0, 1)


def actions(table: PolicyTable, *names: str) -> list[str]:
    return [table.judge_name(n(name), 0.0).action.value for name in names]


NAMES = (
    "nx.example",
    "nodata.example",
    "ok.nx.example",
    "drop.example",
    "tcp.example",
    "walled.example",
    "local.example",
)


def test_zone_keeps_the_action_of_each_line(tmp_path: Path) -> None:
    one = table(tmp_path)
    assert actions(one, *NAMES) == [
        "nxdomain",
        "nodata",
        "passthru",
        "drop",
        "tcp-only",
        "local-data",
        "local-data",
    ]
    assert one.judge_name(n("below.local.example"), 0.0) is PASS
    match = one.judge_name(n("walled.example"), 0.0).match
    assert match is not None and match.rule.local_data == LocalData((), b"\x01*" + n("garden.example.net"))
    assert match.rule.label == "one" and match.rule.kind == "list"


def test_action_of_the_entry_beats_those_of_the_lines_but_no_exception(tmp_path: Path) -> None:
    one = table(tmp_path, ", action: nodata")
    assert actions(one, *NAMES) == ["nodata", "nodata", "passthru", "nodata", "nodata", "nodata", "nodata"]


def test_allow_list_excepts_whatever_its_lines_say(tmp_path: Path) -> None:
    (tmp_path / "ads.txt").write_text("example\nnx.example\nok.nx.example\n")
    (tmp_path / "list.txt").write_text("||a.ads.example^\n@@||b.ads.example^\n")
    (tmp_path / "ads.txt").write_text("ads.example\n")
    (tmp_path / "b.yaml").write_text(
        "version: 1\nexchanges: {}\nlists: [{name: fine, path: list.txt, kind: allow}, {name: ads, path: ads.txt}]\n"
    )
    result = compile_policy(tmp_path / "b.yaml", tmp_path / "images")
    assert result.image is not None and result.counts["per_list"] == {"fine": 2, "ads": 1}
    one = open_table(result.image, 1.7e9, 0.0, 1)
    assert actions(one, "ads.example", "a.ads.example", "b.ads.example") == [
        "nxdomain",
        "passthru",
        "passthru",
    ]
    assert one.judge_name(n("a.ads.example"), 0.0).exemption is Exemption.LISTS


def test_mode_of_a_list_holds_for_all_its_actions(tmp_path: Path) -> None:
    one = table(tmp_path, ", mode: shadow")
    verdict = one.judge_name(n("drop.example"), 0.0)
    assert not verdict.is_blocked and verdict.shadow is not None
    assert verdict.shadow.rule.action is PolicyAction.DROP


def test_match_of_the_entry_beats_that_of_the_format(tmp_path: Path) -> None:
    one = table(tmp_path, ", match: exact", "||ads.example^\n")
    assert actions(one, "ads.example", "www.ads.example") == ["nxdomain", "passthru"]


def address_verdicts(one: PolicyTable, last: str, skip_lists: bool = False) -> str | None:
    octets = bytes(map(int, last.split(".")))
    match, _, _, _ = one._judge_address(one.addresses_at(octets), skip_lists)
    return None if match is None else f"{match.rule.label} {match.rule.action.value}"


def test_networks_of_a_list_rank_behind_those_of_exchanges_and_its_exceptions_are_its_own(
    tmp_path: Path,
) -> None:
    one = table(tmp_path, exchanges=EXCHANGES)
    assert address_verdicts(one, "203.0.113.8") == "one nxdomain"
    assert address_verdicts(one, "203.0.113.9") is None
    assert address_verdicts(one, "203.0.113.8", skip_lists=True) is None
    # The list's network is smaller, but an exchange's comes first.
    assert address_verdicts(one, "198.51.100.7") == "acme nxdomain"
    assert address_verdicts(one, "198.51.100.7", skip_lists=True) == "acme nxdomain"


def test_tcp_only_name_passes_over_a_stream_and_is_exempt_from_lists(tmp_path: Path) -> None:
    verdict = table(tmp_path).judge_name(n("tcp.example"), 0.0)
    assert verdict.is_blocked
    passed = over_stream(verdict)
    assert not passed.is_blocked and passed.exemption is Exemption.LISTS and passed.match == verdict.match


def test_counts_say_how_many_rules_of_each_list_and_what_was_skipped(tmp_path: Path) -> None:
    result = compiled(tmp_path, "", ZONE + "nx.example CNAME .\n24.0.2.0.192.rpz-client-ip CNAME .\n")
    # `x` and `*.x` in a row are one rule; `x` alone, once more, is another of a narrower form.
    assert result.counts["per_list"] == {"one": 11}
    assert result.counts["list_formats"] == {"one": "rpz"}
    assert result.counts["list_skipped"] == {"one": {"rpz-client-ip triggers": 1}}


@pytest.mark.parametrize("content", ["<html><body>404</body></html>", "", "a.example\n" + "b..c\n" * 9])
def test_list_that_is_refused_makes_no_image(tmp_path: Path, content: str) -> None:
    result = compiled(tmp_path, "", content)
    assert result.image is None and not result.transient


def test_public_suffixes_of_any_format_are_left_out(tmp_path: Path) -> None:
    one = table(tmp_path, "", "||co.uk^\n||com^\n||ads.example^\n|co.jp^\n@@||org.uk^\n")
    assert actions(one, "x.co.uk", "co.uk", "x.com", "ads.example") == [
        "passthru",
        "passthru",
        "passthru",
        "nxdomain",
    ]


@pytest.mark.parametrize(
    "data",
    [
        LocalData((b"\xc0\0\2\1",)),
        LocalData((b"\xc0\0\2\1", bytes(16))),
        LocalData((), n("garden.example")),
        None,
    ],
)
def test_local_data_is_read_back_as_written(data: LocalData | None) -> None:
    assert unpack_local_data(pack_local_data(data)) == data


def test_twenty_reloads_leave_one_image_mapped(tmp_path: Path) -> None:
    current = None
    for number in range(20):
        content = "".join(f"host{number}-{index}.example\n" for index in range(300))
        current = table(tmp_path, "", content)
        assert current.judge_name(n(f"host{number}-7.example"), 0.0).is_blocked
    gc.collect()
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line]
    assert len(mapped) == 1 and current is not None
    del current
    gc.collect()
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_rule_of_another_form_is_kept_beside_the_first(tmp_path: Path) -> None:
    one = table(tmp_path, "", "*.ads.example\nads.example\nplain.example\n*.other.example\n")
    match = one.judge_name(n("ads.example"), 0.0).match
    assert match is not None and match.form is RuleForm.EXACT
    assert actions(one, "www.ads.example", "www.plain.example") == ["nxdomain", "passthru"]


def test_each_list_tells_of_twenty_shared_names_and_how_many_more_there_are(tmp_path: Path) -> None:
    names = [name_to_text(name) for name in sorted(within_infrastructure())]
    one = compiled(tmp_path, ", format: domains", "\n".join([*names, "bad.example"]))
    assert one.counts["per_list"] == {"one": 1}
    assert len([p for p in one.problems if "the line is left out" in p.message]) == 20
    [rest] = [p.message for p in one.problems if "more lines are left out" in p.message]
    assert f" {len(names) - 20} more lines" in rest
