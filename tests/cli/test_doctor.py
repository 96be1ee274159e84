"""`doctor`: what is wrong, worst first, with and without a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resolver.cli.doctor import diagnose
from tests.support.faked_machine import FakedMachine

SETTINGS = """\
listen: {dns: ["127.0.0.1:53"], http: null}
upstreams: {servers: ["udp://192.0.2.1:53"]}
blocklist: blocklist.yaml
state_dir: state
engine: python
"""
BLOCKLIST = "version: 1\nexchanges:\n  acme: {name: Acme, domains: [acme.example]}\n"


@pytest.fixture
def faked(tmp_path: Path) -> FakedMachine:
    faked = FakedMachine(tmp_path / "machine")
    faked.write("/proc/sys/net/core/rmem_max", str(8 << 20))
    faked.write("/proc/sys/net/core/wmem_max", str(8 << 20))
    faked.write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
    faked.write("/proc/self/limits", "Max open files  1000000  1000000  files\n")
    faked.write("/run/systemd/timesync/synchronized", "")
    return faked


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "blocklist.yaml").write_text(BLOCKLIST)
    path = tmp_path / "resolver.yaml"
    path.write_text(SETTINGS)
    return path


def findings(
    config: Path, faked: FakedMachine, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, dict[str, str]]]:
    code = diagnose(config, offline=True, as_json=True, root=faked.folder)
    document = json.loads(capsys.readouterr().out)
    return code, {finding["check"]: finding for finding in reversed(document["findings"])}


def test_a_machine_that_is_well_has_no_findings_and_needs_no_server(
    config: Path, faked: FakedMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = findings(config, faked, capsys)
    assert code == 0, found
    assert set(found) == {
        "settings",
        "paths",
        "policy",
        "server",
        "ports",
        "permissions",
        "state",
        "lists",
        "disk",
        "clock",
        "buffers",
        "engine",
        "descriptors",
        "ipv6",
    }


def test_what_is_wrong_comes_first_with_its_remedy(
    config: Path, faked: FakedMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    faked.listen("udp", "127.0.0.1", 53, inode=1)
    faked.process(9, "named", inodes=(1,))
    faked.write("/proc/sys/net/core/rmem_max", "212992")
    assert diagnose(config, offline=True, as_json=False, root=faked.folder) == 1
    lines = capsys.readouterr().out.split("\n")
    assert "127.0.0.1:53 is taken: named" in lines[0] and "systemctl disable --now named" in lines[1]
    assert "buffers" in lines[2] and "2 findings" in lines[-2]


def test_a_broken_blocklist_is_told_with_the_command(
    config: Path, faked: FakedMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    config.with_name("blocklist.yaml").write_text("version: 1\nexchanges: {a: {domains: []}}\n")
    code, found = findings(config, faked, capsys)
    assert code == 1 and found["policy"]["remedy"] == f"exchange-resolver check --config {config}"


def test_broken_settings_are_bad_input_and_the_machine_is_looked_at_all_the_same(
    config: Path, faked: FakedMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("listen: {dns: [nonsense]}\n")
    code, found = findings(config, faked, capsys)
    assert code == 2 and found["settings"]["level"] == "error" and "buffers" in found


def test_a_key_that_everybody_can_read_is_told(
    config: Path, faked: FakedMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    key = config.with_name("log.key")
    key.write_text("0" * 64)
    key.chmod(0o644)
    config.write_text(SETTINGS + "log: {queries: all, clients: encrypted, key_file: log.key}\n")
    code, found = findings(config, faked, capsys)
    assert code == 1 and found["permissions"]["remedy"] == f"chmod 600 {key}"


def test_the_key_of_a_sinks_certificate_is_a_secret_too(
    config: Path, faked: FakedMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("sink.pem", "sink.key"):
        config.with_name(name).write_text("x")
        config.with_name(name).chmod(0o644)
    sink = "{name: s, type: syslog, to: 'tls://192.0.2.20:6514#siem.example', tls_certificate: sink.pem, tls_key: sink.key}"
    config.write_text(SETTINGS + f"query_records: [{sink}]\n")
    _, found = findings(config, faked, capsys)
    assert found["permissions"]["remedy"] == f"chmod 600 {config.with_name('sink.key')}"


def test_commands_of_ours_look_at_the_settings_that_were_given(
    config: Path, faked: FakedMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    config.with_name("blocklist.yaml").write_text(
        BLOCKLIST + "lists: [{name: ads, url: 'https://lists.example/a.txt'}]\n"
    )
    _, found = findings(config, faked, capsys)
    assert found["lists"]["remedy"] == f"exchange-resolver lists update ads --config {config}"


def test_without_settings_it_says_how_to_make_some(
    tmp_path: Path, faked: FakedMachine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("resolver.cli.files.DEFAULT_PATHS", (Path("config/resolver.yaml"),))
    assert diagnose(None, offline=True, as_json=False, root=faked.folder) == 2
    assert "exchange-resolver init" in capsys.readouterr().out


def test_a_settings_file_that_is_not_there_is_made_by_init(
    tmp_path: Path, faked: FakedMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = findings(tmp_path / "new" / "resolver.yaml", faked, capsys)
    assert code == 2
    assert found["settings"]["remedy"] == f"exchange-resolver init --directory {tmp_path / 'new'}"
