"""What `check` says of upstreams beside their settings."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from resolver.cli.upstream_remarks import upstream_problems
from resolver.config.settings import load_settings
from resolver.publishing.compiler import compile_policy

ENCRYPTED = "servers: ['tls://192.0.2.1#dns.example']"


def remarks(folder: Path, upstreams: str, *urls: str) -> list[str]:
    config = folder / "resolver.yaml"
    config.write_text(f"\nupstreams: {{{upstreams}}}\n")
    settings, problems = load_settings(config)
    assert settings is not None, problems
    blocklist = folder / "blocklist.yaml"
    lists = "".join(f"  - {{name: list{number}, url: '{url}'}}\n" for number, url in enumerate(urls))
    blocklist.write_text(f"version: 1\nexchanges: {{}}\nlists:\n{lists or '  []'}\n")
    image = compile_policy(blocklist, folder / "images").image
    return [f"{found.line} {found.message}" for found in upstream_problems(config, settings, image)]


def test_lists_that_nobody_could_resolve_are_named(tmp_path: Path) -> None:
    [remark] = remarks(tmp_path, ENCRYPTED, "https://lists.example/a.txt", "https://192.0.2.9/b.txt")
    assert remark.startswith("2 upstreams.servers: all are encrypted") and "(list0)" in remark


@pytest.mark.parametrize(
    ("upstreams", "url"),
    [
        (ENCRYPTED, "https://192.0.2.9/b.txt"),
        (f"{ENCRYPTED}, bootstrap: ['192.0.2.53']", "https://lists.example/a.txt"),
        ("servers: ['tls://192.0.2.1#dns.example', 'udp://192.0.2.2']", "https://lists.example/a.txt"),
    ],
)
def test_lists_that_somebody_resolves_are_not(tmp_path: Path, upstreams: str, url: str) -> None:
    assert remarks(tmp_path, upstreams, url) == []


def test_a_machine_without_authorities_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_: None)
    [remark] = remarks(tmp_path, ENCRYPTED)
    assert "ca-certificates" in remark and "upstreams.tls_ca" in remark
