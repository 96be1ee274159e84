"""`import-config`: files, losses, exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from resolver.blocklist.reader import read_blocklist
from resolver.cli import import_config, init_profiles
from resolver.cli.check import check_files
from resolver.cli.import_config import import_files
from resolver.config.settings import load_settings
from resolver.orders.platforms import SHIPPED
from resolver.wire.names import name_to_text

FINE = "server=192.0.2.1\nno-hosts\nno-resolv\naddress=/ads.example/\naddress=/web.example/192.0.2.80\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "dnsmasq.conf"
    path.write_text(FINE)
    return path


def taken(
    source: Path,
    *,
    as_json: bool = False,
    force: bool = False,
    dry_run: bool = False,
    kind: str = "auto",
    with_catalogue: bool = False,
) -> int:
    return import_files(
        source,
        kind,
        source.parent / "out",
        dry_run=dry_run,
        force=force,
        as_json=as_json,
        with_catalogue=with_catalogue,
    )


def test_what_has_a_counterpart_altogether_ends_with_0_and_passes_the_check(source: Path) -> None:
    assert taken(source) == 0
    assert check_files(source.parent / "out" / "resolver.yaml", None, strict=True, as_json=False) == 0


def test_what_has_none_is_listed_with_place_reason_and_remedy(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source.write_text(FINE + "dnssec\nlog-queries\n")
    assert taken(source) == 1
    out = capsys.readouterr().out
    assert f"{source}:6: dnssec: answers are not validated here  -> name upstreams that validate" in out
    assert out.index("changes what clients get (1)") < out.index("about how it runs (1)")


def test_a_rule_that_a_rail_leaves_out_is_listed_at_its_own_line(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source.write_text(FINE + "address=/github.io/\n")
    assert taken(source, as_json=True) == 1
    [loss] = json.loads(capsys.readouterr().out)["losses"]
    assert (loss["file"], loss["line"], loss["key"]) == (str(source), 6, "github.io")


def test_nothing_is_written_over_unless_it_is_forced(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert taken(source) == 0
    written = source.parent / "out" / "blocklist.yaml"
    written.write_text("mine")
    assert taken(source) == 2 and written.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert taken(source, force=True) == 0 and written.read_text() != "mine"


def test_what_may_hold_a_secret_is_not_for_all(source: Path) -> None:
    folder = source.parent / "out"
    folder.mkdir()
    (folder / "resolver.yaml").write_text("old")
    (folder / "resolver.yaml").chmod(0o644)
    (folder / "blocklist.yaml").write_text("old")
    (folder / "blocklist.yaml").chmod(0o600)
    assert taken(source, force=True) == 0
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes.pop("blocklist.yaml") == 0o600 and set(modes.values()) == {0o640}
    assert {"resolver.yaml", "own-names.txt"} <= modes.keys()


def test_nothing_is_replaced_where_one_file_cannot_be(source: Path) -> None:
    folder = source.parent / "out"
    (folder / "blocklist.yaml").mkdir(parents=True)
    (folder / "resolver.yaml").write_text("mine")
    assert taken(source, force=True) == 2
    assert {path.name for path in folder.iterdir()} == {"blocklist.yaml", "resolver.yaml"}
    assert (folder / "resolver.yaml").read_text() == "mine"


def test_state_of_the_systems_own_folder_is_where_the_package_has_it(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = source.parent / "out"
    monkeypatch.setattr(init_profiles, "SYSTEM_DIRECTORY", folder)
    taken(source)
    settings, _ = load_settings(folder / "resolver.yaml")
    assert settings is not None and settings.state_dir == Path("/var/lib/exchange-resolver")
    monkeypatch.setattr(init_profiles, "SYSTEM_DIRECTORY", Path("/etc/exchange-resolver"))
    taken(source, force=True)
    settings, _ = load_settings(folder / "resolver.yaml")
    assert settings is not None and settings.state_dir == folder / "state"


def test_a_dry_run_writes_nothing(source: Path) -> None:
    assert taken(source, dry_run=True) == 0
    assert not (source.parent / "out").exists()


def test_bad_input_ends_with_2_and_writes_nothing(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source.write_bytes(b"server=192.0.2.1\n\xff\n")
    assert taken(source, kind="dnsmasq", as_json=True) == 2
    [problem] = json.loads(capsys.readouterr().out)["problems"]
    assert problem["line"] == 2 and not (source.parent / "out").exists()


def test_a_configuration_of_nobody_is_not_guessed_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x"
    path.write_text("hello\n")
    assert taken(path) == 2 and "--from" in capsys.readouterr().err


def test_what_the_rails_refuse_costs_itself_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "AdGuardHome.yaml"
    path.write_text(
        "dns: {upstream_dns: [192.0.2.1]}\n"
        'user_rules:\n- "||co.uk^$important"\n- "||github.io^"\n- "||ok.example^$important"\n'
        "filters:\n- {enabled: true, url: /nowhere/list.txt, name: gone}\n"
    )
    assert taken(path, as_json=True) == 1
    lost = {loss["key"]: loss["line"] for loss in json.loads(capsys.readouterr().out)["losses"]}
    assert (lost["co.uk"], lost["github.io"], lost["list gone"]) == (3, 4, 7)
    folder = tmp_path / "out"
    assert check_files(folder / "resolver.yaml", None, strict=True, as_json=False) == 0
    assert "ok.example" in (folder / "blocklist.yaml").read_text()
    assert not (folder / "own-names.txt").exists()


def test_each_rule_of_a_name_is_left_out_for_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "AdGuardHome.yaml"
    path.write_text(
        "dns: {upstream_dns: [192.0.2.1]}\n"
        'user_rules:\n- "||github.io^"\n- "||github.io^$dnsrewrite=192.0.2.7"\n- "||github.io^$important"\n'
    )
    assert taken(path, as_json=True) == 1
    losses = json.loads(capsys.readouterr().out)["losses"]
    told = [(loss["line"], loss["why"].split(":")[0]) for loss in losses if loss["key"] == "github.io"]
    assert sorted(told) == [(3, "list 'own-names'"), (4, "list 'own-answers'"), (5, "own-names")]


def test_without_the_catalogue_no_exchange_is_blocked_and_that_is_said(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert taken(source) == 0
    assert "no exchange of the catalogue is blocked by this" in capsys.readouterr().out
    policy, _ = read_blocklist(source.parent / "out" / "blocklist.yaml")
    assert policy is not None and not policy.exchanges


def test_with_the_catalogue_its_exchanges_are_blocked_besides(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert taken(source, with_catalogue=True) == 0
    assert "no exchange" not in capsys.readouterr().out
    assert check_files(source.parent / "out" / "resolver.yaml", None, strict=True, as_json=False) == 0
    policy, _ = read_blocklist(source.parent / "out" / "blocklist.yaml")
    shipped, _ = read_blocklist(SHIPPED)
    assert policy is not None and shipped is not None
    assert {one.label for one in policy.exchanges} == {one.label for one in shipped.exchanges}
    assert len(policy.name_rules) == len(shipped.name_rules)
    assert [spec.name for spec in policy.lists] == ["own-names", "own-answers"]


def test_a_name_that_the_catalogue_blocks_already_is_no_obstacle(tmp_path: Path) -> None:
    source = tmp_path / "AdGuardHome.yaml"
    source.write_text(
        "dns: {upstream_dns: [192.0.2.1]}\nschema_version: 29\n"
        "user_rules: ['||binance.com^$important', '||mine.example^$important']\n"
    )
    assert taken(source, with_catalogue=True) == 1
    policy, problems = read_blocklist(tmp_path / "out" / "blocklist.yaml")
    assert policy is not None, problems
    blocked = {(name_to_text(rule.owner), rule.rule.label) for rule in policy.name_rules}
    assert ("binance.com", "binance") in blocked and ("mine.example", "own-names") in blocked


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("is_known", [True, False])
def test_what_root_imports_can_be_read_by_the_server(
    source: Path, is_known: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or whoever imports is told how."""
    monkeypatch.setattr(import_config, "default_state_dir", lambda: None)
    folder = source.parent / "out"
    if is_known:
        (folder / "state").mkdir(parents=True)
        os.chown(folder / "state", 54_321, 54_322)
    assert taken(source) == 0
    told = capsys.readouterr().out
    for path in folder.iterdir():
        if path.is_file():
            status = path.stat()
            assert (status.st_mode & 0o777, status.st_gid) == (0o640, 54_322 if is_known else 0)
    assert ("chgrp GROUP-OF-THE-SERVER" in told) is not is_known
    if not is_known:
        assert taken(source, dry_run=True) == 0 and "chgrp" not in capsys.readouterr().out
