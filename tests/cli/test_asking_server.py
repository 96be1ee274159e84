"""`explain --server` and `--why-not`: what is asked of whom, and how it reads."""

from __future__ import annotations

import copy
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner, Result

from resolver.cli import asking_server
from resolver.cli.app import app
from resolver.cli.explain_text import page_lines
from resolver.config.settingvalues import Endpoint

BLOCKLIST = """\
version: 1
orders:
  order-1: {authority: An Authority, title: An Order, reference: Ref 1, date: 2024-01-02}
exchanges:
  acme: {name: Acme Exchange, order: order-1, domains: ["=acme.example", login.acme.example]}
"""
REPLY = {
    "rcode": "NOERROR",
    "truncated": False,
    "answers": [
        {"name": "www.acme.example", "ttl_s": 40, "type": "CNAME", "rdata": "cdn.login.acme.example."},
        {"name": "cdn.login.acme.example", "ttl_s": 40, "type": "A", "rdata": "192.0.2.1"},
    ],
    "authority": [],
    "ttl_s": 40,
    "ede": [],
    "octets": 90,
}
BLOCKED_BY = {
    "by": "link",
    "value": "cdn.login.acme.example",
    "position": 1,
    "rule": "login.acme.example",
    "file": "blocklist.yaml",
    "line": 5,
    "kind": "exchange",
    "label": "acme",
    "name": "Acme Exchange",
    "action": "nxdomain",
}
SERVER = {
    "version": "0.1.0",
    "engine": "native",
    "generation": 3,
    "cached": [
        {
            "dnssec_ok": False,
            "checking_disabled": False,
            "state": "fresh",
            "age_s": 20,
            "ttl_left_s": 40,
            "stale_left_s": 86_400,
            "failure": None,
            "reply": REPLY,
            "authentic_data": False,
            "blocked_by": BLOCKED_BY,
        },
        {
            "dnssec_ok": True,
            "checking_disabled": False,
            "state": "stale",
            "age_s": 100,
            "ttl_left_s": 0,
            "stale_left_s": 500,
            "failure": {"code": 22, "text": "no upstream answered in time", "left_s": 3},
            "reply": REPLY,
            "authentic_data": False,
            "blocked_by": None,
        },
    ],
    "upstream": {
        "server": "udp://198.51.100.53:53",
        "took_ms": 12.5,
        "failure": None,
        "reply": REPLY,
        "authentic_data": False,
        "blocked_by": {**BLOCKED_BY, "by": "address", "value": "203.0.113.7", "position": 2},
    },
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "blocklist.yaml").write_text(BLOCKLIST)
    path = tmp_path / "resolver.yaml"
    path.write_text('blocklist: blocklist.yaml\nlisten: {http: "127.0.0.1:8399"}\n')
    return path


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["explain", *arguments, "--config", str(config)])


def document_of(config: Path, name: str = "www.acme.example") -> dict[str, Any]:
    """What a server over the same files would say."""
    result = run(config, name, "--json")
    assert result.exit_code == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return {**document, "server": copy.deepcopy(SERVER)}


@pytest.fixture
def asked(config: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Endpoint, dict[str, str]]]:
    """What the server is asked; it answers with its document."""
    calls: list[tuple[Endpoint, dict[str, str]]] = []
    document = document_of(config)

    def fetch(endpoint: Endpoint, parameters: dict[str, str], settings: object) -> dict[str, Any]:
        calls.append((endpoint, parameters))
        return document

    monkeypatch.setattr(asking_server, "_fetch", fetch)
    return calls


Asked = list[tuple[Endpoint, dict[str, str]]]


def test_the_address_is_that_of_the_settings_or_as_given(config: Path, asked: Asked) -> None:
    for arguments in (
        ("--server", "www.acme.example"),
        ("www.acme.example", "--server"),
        ("www.acme.example", "--server", "--type", "AAAA"),
        ("--server", "192.0.2.1:80", "www.acme.example"),
        ("www.acme.example", "--server=[::1]:8053"),
        ("www.acme.example", "--server", "http://127.0.0.1:8054/"),
        ("www.acme.example", "--server", "--client", "192.0.2.7"),
    ):
        result = run(config, *arguments)
        assert result.exit_code == 0, (arguments, result.output)
    assert [str(endpoint) for endpoint, _ in asked] == [
        "127.0.0.1:8399",
        "127.0.0.1:8399",
        "127.0.0.1:8399",
        "192.0.2.1:80",
        "[::1]:8053",
        "127.0.0.1:8054",
        "127.0.0.1:8399",
    ]
    assert asked[2][1] == {"name": "www.acme.example", "type": "AAAA"}
    assert asked[6][1]["client"] == "192.0.2.7"


def test_the_page_says_what_is_cached_what_upstream_says_and_what_is_blocked(
    config: Path, asked: Asked
) -> None:
    text = run(config, "--server", "www.acme.example").stdout
    assert "http://127.0.0.1:8399: version 0.1.0, engine native, policy 3" in text
    assert "In its cache      fresh, 40 s left, 20 s old" in text
    assert "In its cache (DO) stale: its TTL is over, 100 s old; it stands in when upstreams fail" in text
    assert "asking again failed, not tried for 3 s: 22" in text
    assert "link 1 of its chain, cdn.login.acme.example: rule login.acme.example, blocklist.yaml:5" in text
    assert "Upstream says     this, from udp://198.51.100.53:53 in 12.5 ms" in text
    assert "address 2, 203.0.113.7: rule login.acme.example" in text


def test_the_page_of_a_server_is_the_page_of_the_files(config: Path, asked: Asked) -> None:
    def common(text: str) -> list[str]:
        lines = text.splitlines()
        return [
            line for line in lines if not line.startswith(("Question", "Server", "In its", "Upstream", "  "))
        ]

    assert common(run(config, "--server", "www.acme.example").stdout) == common(
        run(config, "www.acme.example").stdout
    )


def test_json_is_the_servers_document(config: Path, asked: Asked) -> None:
    document = json.loads(run(config, "--server", "www.acme.example", "--json").stdout)
    assert set(document) - set(json.loads(run(config, "www.acme.example", "--json").stdout)) == {"server"}
    assert document["server"] == SERVER


def test_near_rules_are_looked_for_in_the_files(config: Path, asked: Asked) -> None:
    document = json.loads(run(config, "--server", "www.acme.example", "--json", "--why-not").stdout)
    assert [one["relation"] for one in document["why_not"]] == ["above", "beside"]
    text = run(config, "--server", "www.acme.example", "--why-not").stdout
    assert "'=' makes it about acme.example alone, not about names under it" in text


def test_why_not_names_rule_place_and_reason(config: Path) -> None:
    text = run(config, "far.example.org", "--why-not").stdout
    assert "Near rules        none: no rule is above, below or beside it, or spelt alike" in text
    text = run(config, "acmee.example", "--why-not").stdout
    assert "spelt alike: acme.example and acmee.example are two names" in text
    assert "blocklist.yaml:5, exchange acme, mode enforce" in text
    assert "why not" not in run(config, "acmee.example").stdout
    assert "why_not" not in json.loads(run(config, "acmee.example", "--json").stdout)


def test_the_page_fits_80_columns(config: Path, asked: Asked) -> None:
    from datetime import UTC

    from resolver.explain.document import explanation_from

    document = document_of(config)
    facts = asking_server.server_facts(document["server"], "http://127.0.0.1:8399")
    document["blocklist"] = "blocklist.yaml"
    lines = list(page_lines(explanation_from(document, UTC), 80, facts))
    # A path is there to be copied: it is not broken.
    assert [line for line in lines if len(line) > 80 and len(line.split()) > 1] == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--server", "www.acme.example", "--at", "2026-01-01"), "--at"),
        (("--server", "-f", "names.txt"), "one NAME"),
        (("--why-not", "-f", "names.txt"), "one NAME"),
        (("www.acme.example", "--server=nowhere"), "nowhere"),
    ],
)
def test_what_does_not_go_together_is_said(config: Path, arguments: tuple[str, ...], says: str) -> None:
    result = run(config, *arguments)
    assert result.exit_code == 2 and says in result.output


def test_a_server_that_is_off_by_its_settings_is_not_looked_for(config: Path) -> None:
    config.write_text("blocklist: blocklist.yaml\nlisten: {http: null}\n")
    result = run(config, "--server", "www.acme.example")
    assert result.exit_code == 2 and "listen.http is off" in result.output


@pytest.mark.parametrize("spoilt", ["server", "decision", "trace", "client_sees"])
def test_what_cannot_be_read_is_no_traceback(
    config: Path, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    document = document_of(config)
    values: tuple[object, ...] = (None, "x", 7) if spoilt == "trace" else (None, [], {}, "x", 7)
    for value in values:
        monkeypatch.setattr(asking_server, "_fetch", lambda *_, v=value: {**document, spoilt: v})
        result = run(config, "--server", "www.acme.example")
        assert result.exit_code == 2 and "cannot read" in result.output, (spoilt, value, result.output)


def test_hostile_text_of_a_server_does_not_reach_the_terminal(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = document_of(config)
    document["server"]["version"] = "1\x1b[2J\n\u202e"
    document["server"]["upstream"]["server"] = "\x1b]0;x\x07"
    monkeypatch.setattr(asking_server, "_fetch", lambda *_: document)
    text = run(config, "--server", "www.acme.example").stdout
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text


class Page(BaseHTTPRequestHandler):
    """Says what its server is told to say."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.asked.append((parts.path, parse_qs(parts.query)))  # type: ignore[attr-defined]
        status, body = self.server.says  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def page(status: int, body: bytes) -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), Page)
    server.says, server.asked = (status, body), []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_name_reaches_the_server_as_it_is(config: Path) -> None:
    with page(200, json.dumps(document_of(config)).encode()) as server:
        result = run(config, "a&b=ü.example", f"--server=127.0.0.1:{server.server_port}", "--json")
        assert result.exit_code == 0, result.output
        assert server.asked == [("/api/v1/explain", {"name": ["a&b=ü.example"], "type": ["A"]})]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (429, b'{"error": "over 5 explanations a second"}', "429: over 5 explanations a second"),
        (403, b'{"error": "only this machine may ask"}', "only this machine"),
        (404, b"not found", "404"),
        (200, b"<html>", "200"),
        (200, b"[1]", "200"),
        (200, b"", "200"),
    ],
)
def test_what_a_server_refuses_is_said(config: Path, status: int, body: bytes, says: str) -> None:
    with page(status, body) as server:
        result = run(config, "x.example", f"--server=127.0.0.1:{server.server_port}")
    assert result.exit_code == 2 and says in result.output


def test_where_nobody_listens_the_address_is_said(config: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        result = run(config, "x.example", f"--server=127.0.0.1:{port}")
    assert result.exit_code == 2 and f"http://127.0.0.1:{port}" in result.output
    assert "is it running?" in result.output
