"""What `check` says of the block page."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from resolver.cli.page_remarks import page_problems
from resolver.config.settings import load_settings
from resolver.publishing.compiler import compile_policy

POLICY = """\
version: 1
defaults: {action: sinkhole, sinkhole: {ipv4: 192.0.2.80, ipv6: "::"}%s}
orders: {court: {authority: Court, title: Order, measure: {ipv4: 192.0.2.81}}}
exchanges:
  one: {name: One, domains: [one.example]}
  two: {name: Two, domains: [two.example], sinkhole: {ipv4: 192.0.2.82, ipv6: "2001:db8::82"}}
  off: {name: Off, domains: [off.example], mode: disabled, sinkhole: {ipv4: 192.0.2.83}}
  ordered: {name: Ordered, order: court, domains: [ordered.example]}
  gone: {name: Gone, domains: [gone.example], action: nxdomain, sinkhole: {ipv4: 192.0.2.84}}
"""


def remarks(folder: Path, page: str, contact: str = ', contact: "mailto:noc@example.net"') -> list[str]:
    config, blocklist = folder / "resolver.yaml", folder / "blocklist.yaml"
    config.write_text(f"\nblock_page: {page}\n")
    blocklist.write_text(POLICY % contact)
    settings, problems = load_settings(config)
    assert settings is not None, problems
    compiled = compile_policy(blocklist, folder / "images")
    found = page_problems(config, settings, compiled.image)
    assert all(problem.severity == "warning" and problem.file == str(config) for problem in found)
    assert {problem.line for problem in found} <= {2}
    return [problem.message for problem in found]


ALL = '["192.0.2.80:80", "192.0.2.81:80", "192.0.2.82:80", "[2001:db8::82]:80"]'


@pytest.fixture(autouse=True)
def may_bind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolver.cli.page_remarks._may_bind", lambda endpoint: True)


@pytest.mark.parametrize("listen", [ALL, '["0.0.0.0:80", "[::]:80"]'])
def test_nothing_is_said_where_every_sinkhole_has_its_page(tmp_path: Path, listen: str) -> None:
    assert remarks(tmp_path, f"{{listen: {listen}}}") == []


def test_nothing_is_said_where_the_page_may_be_elsewhere(tmp_path: Path) -> None:
    assert remarks(tmp_path, "{listen: []}", "") == []


def test_a_sinkhole_without_a_page_is_named_with_what_leads_there(tmp_path: Path) -> None:
    said = remarks(tmp_path, '{listen: ["192.0.2.80:80"]}')
    assert [line.split()[4] for line in said] == ["192.0.2.81", "192.0.2.82", "2001:db8::82"]
    assert "(of ordered)" in said[0] and "(of two)" in said[1]


def test_a_page_that_no_browser_comes_to_is_told(tmp_path: Path) -> None:
    assert any(
        "come to port 80" in line for line in remarks(tmp_path, f"{{listen: {ALL.replace(':80', ':8080')}}}")
    )


def test_a_page_that_names_nobody_to_ask_is_told(tmp_path: Path) -> None:
    assert any("nobody to ask" in line for line in remarks(tmp_path, f"{{listen: {ALL}}}", ""))
    assert remarks(tmp_path, f"{{listen: {ALL}, operator: Example Networks}}", "") == []


def test_a_port_that_this_user_may_not_bind_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    def refuse(sock: socket.socket, address: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    said = remarks(tmp_path, f"{{listen: {ALL}}}")
    assert len(said) == 4 and all("CAP_NET_BIND_SERVICE" in line for line in said)


def test_without_a_policy_the_ports_are_looked_at_all_the_same(tmp_path: Path) -> None:
    config = tmp_path / "resolver.yaml"
    config.write_text('block_page: {listen: ["127.0.0.1:8080"]}\n')
    settings, _ = load_settings(config)
    assert settings is not None
    assert len(page_problems(config, settings, None)) == 1
