"""Suggestions of a running server: what is asked becomes advice, and what is accepted is blocked."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dns.rcode
import pytest
from typer.testing import CliRunner

from resolver.cli.app import app
from resolver.suggestions.seen import read_seen, seen_path
from resolver.wire.names import name_from_text
from tests.fuzz.rig import IS_LONG
from tests.loopback.server import Server
from tests.loopback.slow_upstream import ADDRESS, SlowUpstream

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("serving_engine")]

BLOCKLIST = """\
version: 1
# Ours.
exchanges:
  binance:
    name: Binance  # the large one
    domains: [binance.com]
allow: [binance-academy.example]
protected: [binance-protected.example]
"""


@pytest.fixture
def upstream() -> Iterator[SlowUpstream]:
    with SlowUpstream() as upstream:
        yield upstream


def watching(
    folder: Path, upstream: SlowUpstream, blocklist: str = BLOCKLIST, log: dict[str, str] | None = None
) -> Server:
    settings: dict[str, Any] = {"suggestions": {"enabled": True, "queries_min": 3}, "log": log or {}}
    return Server(folder, upstream_ports=(upstream.port,), blocklist=blocklist, changes=settings)


def wait_until_followed(server: Server) -> None:
    server.wait_for(
        lambda: "names are held against 1 exchange" in server.stderr(), "exchanges are read", 30.0
    )


def command(server: Server, *words: str) -> Any:
    result = CliRunner().invoke(app, ["suggestions", *words, "--config", str(server.settings_path), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_what_is_asked_is_suggested_accepted_and_then_blocked(upstream: SlowUpstream, tmp_path: Path) -> None:
    with watching(tmp_path, upstream) as server:
        wait_until_followed(server)
        for _ in range(4):
            for name in (
                "www.binance-login.example",
                "binance-academy.example",
                "binance-protected.example",
                "binance.com",
                "weather.example",
            ):
                server.ask(name)
        server.ask("binance-seldom.example")
        server.send(signal.SIGTERM)
        assert server.wait_for_end() == 0
    found = command(server)["suggestions"]
    names = {one["name"]: one for one in found}
    assert "binance-login.example" in names
    assert names["binance-login.example"]["exchange"] == "binance"
    assert names["binance-login.example"]["queries"] == 4
    assert not names.keys() & {"binance-academy.example", "binance-seldom.example", "weather.example"}
    assert "binance-protected.example" not in names and "binance.com" not in names
    assert b"127.0.0.1" not in seen_path(tmp_path / "state").read_bytes()
    accepted = command(server, "accept", "binance-login.example")
    assert accepted["exchange"] == "binance" and accepted["who"]
    text = (tmp_path / "blocklist.yaml").read_text()
    assert "Binance  # the large one" in text
    with watching(tmp_path, upstream, text) as server:
        reply = server.ask("www.binance-login.example")
        assert reply.rcode() == dns.rcode.NXDOMAIN
        assert server.ask("binance-academy.example").rcode() == dns.rcode.NOERROR
        assert server.metric("resolver_suggestions", state="open") == 0


def test_a_name_whose_answers_lead_to_an_exchange_is_suggested(
    upstream: SlowUpstream, tmp_path: Path
) -> None:
    policy = f"""\
version: 1
exchanges:
  binance: {{name: Binance, domains: [binance.com], addresses: [{ADDRESS}/32]}}
"""
    with watching(tmp_path, upstream, policy) as server:
        wait_until_followed(server)
        for _ in range(3):
            assert not server.ask("www.weather.example").answer
        server.send(signal.SIGTERM)
        assert server.wait_for_end() == 0
    (found,) = command(server)["suggestions"]
    assert (found["name"], found["exchange"]) == ("weather.example", "binance")
    assert found["reasons"] == ["its answers lead to a name or an address of Binance"]


@pytest.mark.slow
def test_a_kill_loses_less_than_a_minute(upstream: SlowUpstream, tmp_path: Path) -> None:
    name = name_from_text("binance-login.example")
    for total in (5, 10) if IS_LONG else (5,):
        with watching(tmp_path, upstream) as server:
            wait_until_followed(server)
            for _ in range(5):
                server.ask("binance-login.example")
            server.wait_for(partial(keeps, tmp_path, name, total), "the file is written", 60.0)
            server.send(signal.SIGKILL)
            server.wait_for_end()
        assert keeps(tmp_path, name, total)


def keeps(folder: Path, name: bytes, queries: int) -> bool:
    seen = read_seen(folder / "state").get(name)
    return seen is not None and seen.queries == queries


def test_without_being_asked_for_nothing_is_looked_at(upstream: SlowUpstream, tmp_path: Path) -> None:
    changes = {"suggestions": {"enabled": False}}
    with Server(tmp_path, upstream_ports=(upstream.port,), blocklist=BLOCKLIST, changes=changes) as server:
        for _ in range(9):
            server.ask("binance-login.example")
        assert server.metric("resolver_suggestions", state="open") == 0
        assert not [name for name in server.metrics() if "sink=" in name]
        server.send(signal.SIGTERM)
        assert server.wait_for_end() == 0
    assert not seen_path(tmp_path / "state").exists()


def test_the_log_shows_what_it_was_asked_for_all_the_same(upstream: SlowUpstream, tmp_path: Path) -> None:
    for log, wanted in (
        ("none", []),
        ("blocked", ["binance.com"]),
        ("all", ["binance.com", "weather.example"]),
    ):
        wants = {"queries": log, "format": "json"}
        with watching(tmp_path / log, upstream, log=wants) as server:
            server.ask("binance.com")
            server.ask("weather.example")
            server.send(signal.SIGTERM)
            assert server.wait_for_end() == 0
            lines = map(json.loads, server.stderr().splitlines())
            assert sorted(line["qname"] for line in lines if line["event"] == "query") == wanted, log
