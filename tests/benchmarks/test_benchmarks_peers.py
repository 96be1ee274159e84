"""Who takes part: their settings files, their versions, the command line that names them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from benchmarks.__main__ import lengths, parse_arguments
from benchmarks.contestants import Setting, Streams, policy_with_list
from benchmarks.field import (
    CONTESTANTS,
    WILDCARD_ZONE,
    contestant_of,
    key_of,
    reason_absent,
    version_in,
    version_numbers,
)
from benchmarks.go_peers import ELSEWHERE
from benchmarks.measure import SERVER_CORE
from benchmarks.peers import DEBIAN
from benchmarks.side_by_side import expected_rcode, in_turn, oddities
from benchmarks.stream_field import ASK_OVER_TLS, SPEAK_STREAMS
from benchmarks.workload import TTL_S, Workload
from resolver.publishing.compiler import compile_in_process

PORT, UPSTREAM_PORT = 15353, 15354


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    return Workload(tmp_path_factory.mktemp("workload"), 50)


@pytest.mark.parametrize("name", [*DEBIAN, *ELSEWHERE])
def test_settings_of_every_peer_name_its_ports_and_the_whole_list(
    name: str, workload: Workload, tmp_path: Path
) -> None:
    program = CONTESTANTS[name].build(Setting(tmp_path, PORT, UPSTREAM_PORT, workload))
    written = "".join(path.read_text() for path in sorted(tmp_path.rglob("*")) if path.is_file())
    assert str(PORT) in written
    assert str(UPSTREAM_PORT) in written
    # dnsdist reads the list itself.
    listed = written if name != "dnsdist" else workload.list_path.read_text()
    assert all(blocked in listed for blocked in workload.blocked)
    assert program.command[:2] == ["taskset", "-c"]


@pytest.mark.parametrize("name", SPEAK_STREAMS)
def test_settings_of_who_serves_streams_name_the_certificate_and_both_ports(
    name: str, workload: Workload, tmp_path: Path
) -> None:
    pair = tmp_path / "certificate.pem", tmp_path / "key.pem"
    streams = Streams(15_355, 15_356, *pair)
    CONTESTANTS[name].build(Setting(tmp_path, PORT, UPSTREAM_PORT, workload, streams=streams))
    written = "".join(path.read_text() for path in sorted(tmp_path.rglob("*")) if path.is_file())
    assert all(word in written for word in (*map(str, pair), "15355", "15356"))


@pytest.mark.parametrize("name", ASK_OVER_TLS)
def test_an_upstream_is_asked_over_tls_by_whoever_is_read_so(
    name: str, workload: Workload, tmp_path: Path
) -> None:
    streams = Streams(15_355, 15_356, tmp_path / "certificate.pem", tmp_path / "key.pem", 15_357)
    CONTESTANTS[name].build(Setting(tmp_path, PORT, UPSTREAM_PORT, workload, streams=streams))
    written = "".join(path.read_text() for path in sorted(tmp_path.rglob("*")) if path.is_file())
    assert "15357" in written
    assert str(UPSTREAM_PORT) not in written


@pytest.mark.parametrize("name", [*DEBIAN, *ELSEWHERE])
def test_another_program_may_be_named(name: str, workload: Workload, tmp_path: Path) -> None:
    setting = Setting(tmp_path, PORT, UPSTREAM_PORT, workload, command=("/opt/run", "/opt/other"))
    assert CONTESTANTS[name].build(setting).command[3:5] == ["/opt/run", "/opt/other"]


@pytest.mark.parametrize(("name", "file"), [("blocky", "blocky.yml"), ("adguardhome", "AdGuardHome.yaml")])
def test_settings_in_json_can_be_read(name: str, file: str, workload: Workload, tmp_path: Path) -> None:
    CONTESTANTS[name].build(Setting(tmp_path, PORT, UPSTREAM_PORT, workload))
    assert json.loads((tmp_path / file).read_text())


@pytest.mark.parametrize(
    ("version", "file", "other"), [((4, 8, 8), "recursor.conf", "yml"), ((5, 4, 9), "recursor.yml", "conf")]
)
def test_settings_of_the_recursor_are_of_its_version(
    version: tuple[int, ...], file: str, other: str, workload: Workload, tmp_path: Path
) -> None:
    CONTESTANTS["pdns_recursor"].build(Setting(tmp_path, PORT, UPSTREAM_PORT, workload, version=version))
    assert str(PORT) in (tmp_path / file).read_text()
    assert not list(tmp_path.glob(f"recursor.{other}"))


@pytest.mark.parametrize(("version", "is_told"), [((1, 17, 1), False), ((1, 26, 2), True)])
def test_unbound_is_told_only_what_its_version_knows(
    version: tuple[int, ...], is_told: bool, workload: Workload, tmp_path: Path
) -> None:
    CONTESTANTS["unbound"].build(Setting(tmp_path, PORT, UPSTREAM_PORT, workload, version=version))
    assert ("wait-limit: 0" in (tmp_path / "unbound.conf").read_text()) is is_told


@pytest.mark.parametrize(("version", "is_told"), [((9, 18, 49), True), ((9, 20, 30), False)])
def test_bind_is_told_its_listeners_only_where_it_counts_them(
    version: tuple[int, ...], is_told: bool, workload: Workload, tmp_path: Path
) -> None:
    program = CONTESTANTS["named"].build(Setting(tmp_path, PORT, UPSTREAM_PORT, workload, version=version))
    assert ("-U" in program.command) is is_told


def test_adguard_home_sends_no_do_and_coredns_keeps_answers_as_long_as_the_upstream_says(
    workload: Workload, tmp_path: Path
) -> None:
    setting = Setting(tmp_path, PORT, UPSTREAM_PORT, workload)
    for name in ("adguardhome", "coredns"):
        CONTESTANTS[name].build(setting)
    told = json.loads((tmp_path / "AdGuardHome.yaml").read_text())["dns"]
    assert (told["enable_dnssec"], told["cache_optimistic"]) == (False, False)
    corefile = (tmp_path / "Corefile").read_text()
    assert f"cache {TTL_S} " in corefile
    assert f"{TTL_S}" in WILDCARD_ZONE


def test_our_policy_with_a_list_compiles(workload: Workload, tmp_path: Path) -> None:
    path = tmp_path / "blocklist.yaml"
    path.write_text(policy_with_list(workload.list_path))
    image, problems = compile_in_process(path, tmp_path)
    assert image is not None, problems


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Version 1.17.1\n\nConfigure line: ...", "1.17.1"),
        ("dnsdist 1.7.3 (Lua 5.1.4 [LuaJIT 2.1.0-beta3])", "1.7.3"),
        ("Nov 22 03:52:38 PowerDNS Recursor 4.8.8 (C) 2001-2022", "4.8.8"),
        ("BIND 9.18.49-1~deb12u3-Debian (Extended Support Version)", "9.18.49"),
        ("AdGuard Home, version v0.107.50", "0.107.50"),
        ("CoreDNS-1.15.0\nlinux/amd64", "1.15.0"),
        ("no number here", ""),
    ],
)
def test_version_is_the_first_number_of_its_kind(text: str, version: str) -> None:
    assert version_in(text) == version


def test_versions_are_compared_as_numbers() -> None:
    assert version_numbers("1.9.10") > version_numbers("1.9.2")
    assert version_numbers("9.18.49-P1") == (9, 18, 49)
    assert version_numbers("") == ()


def test_another_version_is_the_same_contestant() -> None:
    assert contestant_of("unbound@new") is CONTESTANTS["unbound"]
    assert contestant_of("echo x2 on one core") is CONTESTANTS["echo"]


def test_program_that_is_not_there_is_told() -> None:
    assert reason_absent("blocky", {"blocky": ("/nowhere/blocky",)}) == "the program named is not there"
    assert reason_absent("blocky", {"blocky": ("/bin/sh",)}) == ""


def test_answers_that_do_not_fit_the_load_make_a_reading_doubtful() -> None:
    assert oddities("unbound", "hot", 1_000, 0, {"NOERROR": 1_000}) == []
    assert oddities("unbound", "block", 1_000, 0, {"NOERROR": 1_000}) == [
        "only 0.0% of the answers were NXDOMAIN"
    ]
    assert oddities("coredns", "block", 1_000, 0, {"NOERROR": 1_000}) == []
    assert oddities("echo", "hot", 1_000, 0, {"NXDOMAIN": 1_000}) == []
    assert oddities("native x2", "mix", 0, 5, {}) == ["nothing was answered"]
    assert expected_rcode("unbound", "mix") == ""


def test_ours_may_lose_nothing_unmentioned_and_a_peer_its_first_burst() -> None:
    rcodes = {"NOERROR": 100_000}
    assert oddities("named", "hot", 100_000, 106, rcodes) == []
    assert oddities("named", "hot", 100_000, 1_000, rcodes) == ["1,000 of 101,000 queries lost"]
    assert oddities("native", "hot", 100_000, 1, rcodes) == ["1 of 100,001 queries lost"]


def test_every_round_begins_with_another_one() -> None:
    rounds = ["".join(in_turn("abc", repeat)) for repeat in range(4)]
    assert rounds == ["abc", "bca", "cab", "abc"]
    assert (key_of("echo", (SERVER_CORE,)), key_of("echo", (SERVER_CORE, -1))) == ("echo", "echo x2")
    assert key_of("echo", (SERVER_CORE, SERVER_CORE)) == "echo x2 on one core"


def test_command_line_takes_peers_and_refuses_what_it_does_not_know() -> None:
    arguments = parse_arguments(["contest", "--peer", "coredns=/opt/coredns", "--loads", "hot"])
    assert arguments.commands == {"coredns": ("/opt/coredns",)}
    assert arguments.contestants[-1] == "coredns"
    assert arguments.contestants[:3] == ["echo", "native", "python"]
    for words in (["--loads", "cold"], ["guess"], ["--peer", "coredns"], ["--peer", "other=/opt/other"]):
        with pytest.raises(SystemExit):
            parse_arguments(words)


def test_second_program_of_a_peer_takes_part_beside_the_first(tmp_path: Path) -> None:
    words = ["contest", "--peer", "unbound@new=/opt/unbound", "--contestants", "echo,unbound"]
    assert parse_arguments(words).contestants == ["echo", "unbound", "unbound@new"]
    root = tmp_path / "a release"
    (root / "usr" / "sbin").mkdir(parents=True)
    with pytest.raises(SystemExit):
        parse_arguments(["--packages", str(root)])
    (root / "usr" / "sbin" / "named").touch(0o755)
    arguments = parse_arguments(["--packages", str(root)])
    assert arguments.contestants[-1] == "named@a-release"
    assert arguments.commands["named@a-release"][1:] == (str(root), "/usr/sbin/named")


def test_only_a_whole_run_writes_the_page_that_is_shipped() -> None:
    assert parse_arguments([]).page.name == "docs"
    assert parse_arguments(["render"]).page.name == "docs"
    for words in (["--quick"], ["contest"]):
        arguments = parse_arguments(words)
        assert arguments.page == arguments.out


def test_quick_run_is_shorter_and_said_lengths_hold() -> None:
    usual, quick = (lengths(parse_arguments(words)) for words in ([], ["--quick"]))
    assert all(
        quick[key].seconds * quick[key].repeats <= usual[key].seconds * usual[key].repeats for key in usual
    )
    said = lengths(parse_arguments(["--seconds", "0.5", "--repeats", "2"]))
    assert (said["plain"].seconds, said["ipv6"].repeats) == (0.5, 2)


def test_names_of_a_size_are_always_the_same_and_fresh_ones_never(workload: Workload, tmp_path: Path) -> None:
    again = Workload(tmp_path, 50)
    assert again.blocked == workload.blocked
    assert not set(again.blocked) & set(again.allowed)
    first = set(workload.queries("miss", 0.01).read_text().split("\n"))
    second = set(workload.queries("miss", 0.01).read_text().split("\n"))
    assert len(first) == 2_001
    assert first & second == {""}
    listed = set(workload.blocked)
    asked = workload.queries("block").read_text().splitlines()
    sample = random.Random(1).sample(asked, 100)
    assert all(
        name in listed or name.split(".", 1)[1] in listed for name in (each.split()[0] for each in sample)
    )
