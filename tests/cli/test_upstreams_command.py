"""`upstreams test`: what it prints, for people and for programs, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from resolver.cli import upstreams
from resolver.cli.app import app
from resolver.config.settings import Settings
from resolver.forwarding.tls_terms import Certificate
from resolver.forwarding.upstream import Upstream
from resolver.server.upstream_trial import Tried

FAR, NEAR = 4e9, 1.7e9
GOOD = Tried(
    Upstream("192.0.2.1", 853, "tls", host="dns.example"),
    address="192.0.2.1",
    connect_s=0.0101,
    handshake_s=0.0202,
    first_s=0.0404,
    warm_s=0.0101,
    tls="TLSv1.3",
    certificate=Certificate(("dns.example", "a.example", "b.example", "c.example"), FAR, "CN=Test CA"),
)
BAD = Tried(
    Upstream("192.0.2.2", 853, "tls", host="dns.example"),
    reason="certificate_name",
    words="Hostname mismatch",
    certificate=Certificate(("oth\x1ber.example",), FAR, "CN=Test CA"),
)
ENDING = Tried(
    Upstream("192.0.2.3", 853, "tls", host="dns.example"),
    certificate=Certificate(("dns.example",), NEAR, "CN=Test CA"),
)
PINNED = Tried(
    Upstream("192.0.2.4", 853, "tls", pins=(bytes(32),)),
    certificate=Certificate(("dns.example",), NEAR, "CN=Test CA"),
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the command on canned results."""
    config = tmp_path / "resolver.yaml"
    config.write_text("upstreams: {servers: ['tls://192.0.2.1#dns.example', 'udp://192.0.2.5']}\n")
    asked: list[Settings] = []

    def run(results: list[Tried], *arguments: str) -> Any:
        async def try_upstreams(settings: Settings) -> list[Tried]:
            asked.append(settings)
            return results

        monkeypatch.setattr(upstreams, "try_upstreams", try_upstreams)
        result = CliRunner().invoke(app, ["upstreams", "test", "--config", str(config), *arguments])
        return result, asked

    return run


def test_a_table_shows_times_certificates_and_reasons(run: Any) -> None:
    result, _ = run([GOOD, BAD])
    assert result.exit_code == 1
    good, bad = result.stdout.splitlines()[1:3]
    for part in (
        "tls://192.0.2.1:853#dns.example",
        "10.1 ms",
        "20.2 ms",
        "40.4 ms",
        "TLSv1.3",
        "and 1 more",
        "2096-",
    ):
        assert part in good
    assert good.rstrip().endswith("fine")
    assert "certificate_name: Hostname mismatch" in bad
    assert "\x1b" not in bad


@pytest.mark.parametrize(
    ("results", "code", "remark"),
    [
        ([GOOD], 0, None),
        ([ENDING], 1, "its certificate ends soon"),
        ([PINNED], 0, None),
        ([GOOD, BAD], 1, None),
    ],
)
def test_the_exit_code_says_whether_all_is_well(
    run: Any, results: list[Tried], code: int, remark: str | None
) -> None:
    result, _ = run(results, "--json")
    assert result.exit_code == code
    assert json.loads(result.stdout)["upstreams"][0]["remark"] == remark


def test_programs_get_every_figure(run: Any) -> None:
    result, _ = run([GOOD, BAD], "--json")
    good, bad = json.loads(result.stdout)["upstreams"]
    assert good == {
        "upstream": "tls://192.0.2.1:853#dns.example",
        "address": "192.0.2.1",
        "connect_s": 0.0101,
        "handshake_s": 0.0202,
        "first_s": 0.0404,
        "warm_s": 0.0101,
        "tls": "TLSv1.3",
        "certificate": {
            "names": ["dns.example", "a.example", "b.example", "c.example"],
            "issuer": "CN=Test CA",
            "until": good["certificate"]["until"],
        },
        "ok": True,
        "reason": None,
        "remark": None,
    }
    assert (bad["ok"], bad["reason"], bad["remark"]) == (
        False,
        "certificate_name",
        "certificate_name: Hostname mismatch",
    )


def test_warnings_about_the_settings_are_shown_beside_it(run: Any) -> None:
    result, _ = run([GOOD], "--json")
    [problem] = json.loads(result.stdout)["problems"]
    assert "udp://192.0.2.5:53 beside encrypted servers" in problem["message"]


def test_other_servers_can_be_named(run: Any) -> None:
    result, asked = run([GOOD], "https://192.0.2.9/dns-query#dns.example")
    assert result.exit_code == 0
    assert [str(server) for server in asked[-1].upstreams.servers] == [
        "https://192.0.2.9/dns-query#dns.example"
    ]


@pytest.mark.parametrize(
    ("url", "words"),
    [("tsl://192.0.2.1", "did you mean 'tls'"), ("tls://dns.example", "upstreams.bootstrap")],
)
def test_a_wrong_server_is_bad_input(run: Any, url: str, words: str) -> None:
    result, asked = run([GOOD], url, "--json")
    assert result.exit_code == 2 and asked == []
    assert words in json.loads(result.stdout)["problems"][0]["message"]


def test_servers_that_are_named_need_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Settings] = []

    async def try_upstreams(settings: Settings) -> list[Tried]:
        asked.append(settings)
        return [GOOD]

    monkeypatch.setattr(upstreams, "try_upstreams", try_upstreams)
    monkeypatch.setattr("resolver.cli.files.DEFAULT_PATHS", (Path("nowhere/resolver.yaml"),))
    result = CliRunner().invoke(app, ["upstreams", "test", "tls://192.0.2.1#dns.example"])
    assert result.exit_code == 0, result.output
    assert [str(server) for server in asked[0].upstreams.servers] == ["tls://192.0.2.1:853#dns.example"]
    assert CliRunner().invoke(app, ["upstreams", "test"]).exit_code == 2
