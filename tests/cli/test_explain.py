from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from resolver.cli.app import app

ROOT = Path(__file__).parents[2]

BLOCKLIST = """\
version: 1
defaults: {ttl_s: 300, contact: "mailto:noc@example.net", time_zone: America/New_York}
orders:
  order-1: {authority: An Authority, title: An Order, reference: Ref 1, date: 2024-01-02, imposed_by: external}
exchanges:
  acme:
    name: Acme Exchange
    order: order-1
    domains:
      - acme.example
      - "=login.example"
    addresses: [203.0.113.0/24]
  soon:
    name: Soon
    domains: [soon.example]
    from: 2030-01-01
    until: 2031-01-01
  ghost:
    name: Ghost
    domains: [ghost.example]
    mode: shadow
  quiet:
    name: Quiet
    domains: [quiet.example]
    action: drop
  off:
    name: Off
    domains: [off.example]
    mode: disabled
allow: [academy.acme.example]
"""

SETTINGS = """\
blocklist: blocklist.yaml
clients: {allow: [192.0.2.0/24]}
records: {printer.example.net: [192.0.2.9]}
upstreams:
  servers: ["udp://198.51.100.53:53"]
  forward: {corp.example: ["udp://198.51.100.10:53"]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "blocklist.yaml").write_text(BLOCKLIST)
    path = tmp_path / "resolver.yaml"
    path.write_text(SETTINGS)
    return path


def run(config: Path, name: str, *options: str) -> Result:
    arguments = ["explain", name, "--config", str(config), "--client", "192.0.2.1", *options]
    return CliRunner().invoke(app, arguments)


def explained(config: Path, name: str, *options: str) -> dict[str, Any]:
    result = run(config, name, "--json", *options)
    assert result.exit_code == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_a_blocked_name_has_its_rule_line_exchange_and_order(config: Path) -> None:
    decision = explained(config, "WWW.Acme.Example.")["decision"]
    assert decision["blocked"] is True
    assert (decision["rule"], decision["label"], decision["action"]) == ("acme.example", "acme", "nxdomain")
    assert decision["file"].endswith("blocklist.yaml") and decision["line"] == 10
    assert decision["orders"]["order-1"]["reference"] == "Ref 1"


def test_what_the_client_sees_is_the_real_answer(config: Path) -> None:
    sees = explained(config, "www.acme.example")["client_sees"]
    assert sees["source"] == "policy"
    assert sees["reply"]["rcode"] == "NXDOMAIN"
    assert sees["reply"]["ttl_s"] == 300
    [error] = sees["reply"]["ede"]
    assert error["code"] == 16
    assert "Acme Exchange" in error["text"] and "mailto:noc@example.net" in error["text"]


def test_a_name_no_rule_speaks_of_goes_to_the_upstreams(config: Path) -> None:
    document = explained(config, "www.example.org")
    assert document["decision"]["blocked"] is False
    assert document["trace"] == []
    assert document["client_sees"] == {
        "source": "upstream",
        "upstreams": ["udp://198.51.100.53:53"],
        "reply": None,
    }


def test_a_forwarded_suffix_names_its_own_upstream(config: Path) -> None:
    assert explained(config, "www.corp.example")["client_sees"]["upstreams"] == ["udp://198.51.100.10:53"]


def test_an_exception_wins_and_the_trace_still_shows_the_outranked_rule(config: Path) -> None:
    document = explained(config, "academy.acme.example")
    assert document["decision"]["blocked"] is False
    assert [(rule["rule"], rule["fate"]) for rule in document["trace"]] == [
        ("academy.acme.example", "decides"),
        ("acme.example", "outranked"),
    ]


def test_the_trace_says_what_beat_a_rule(config: Path) -> None:
    [winner, outranked] = explained(config, "academy.acme.example")["trace"]
    assert winner["why"] == "wins"
    assert "longer owner name" in outranked["why"]


def test_nodata_above_an_exception_is_explained(config: Path) -> None:
    document = explained(config, "acme.example")
    assert document["decision"]["nxdomain"].startswith("NODATA: an exception stands below")
    assert document["client_sees"]["reply"]["rcode"] == "NOERROR"


def test_a_rule_for_one_name_only_is_shown_as_not_reaching_below(config: Path) -> None:
    [rule] = explained(config, "www.login.example")["trace"]
    assert (rule["rule"], rule["fate"]) == ("=login.example", "out_of_reach")


@pytest.mark.parametrize(
    ("at", "fate", "blocked"),
    [
        ("2029-12-31", "future", False),
        ("2030-01-01", "decides", True),
        ("2030-01-01T04:59:59Z", "future", False),
        ("2030-01-01T05:00:00Z", "decides", True),
        ("2031-01-01", "expired", False),
    ],
)
def test_dates_are_days_of_the_blocklists_time_zone(config: Path, at: str, fate: str, blocked: bool) -> None:
    document = explained(config, "soon.example", "--at", at)
    assert document["trace"][0]["fate"] == fate
    assert document["decision"]["blocked"] is blocked


def test_a_ttl_never_outlives_the_rule(config: Path) -> None:
    sees = explained(config, "soon.example", "--at", "2031-01-01T04:58:20Z")["client_sees"]
    assert sees["reply"]["ttl_s"] == 100


def test_a_shadow_rule_blocks_nothing_and_is_named(config: Path) -> None:
    document = explained(config, "ghost.example")
    assert document["decision"]["blocked"] is False
    assert document["decision"]["shadow"] == "ghost"
    assert document["trace"][0]["fate"] == "shadow"


def test_a_disabled_rule_is_shown_as_such(config: Path) -> None:
    assert explained(config, "off.example")["trace"][0]["fate"] == "disabled"


def test_a_dropped_query_shows_no_reply(config: Path) -> None:
    sees = explained(config, "quiet.example")["client_sees"]
    assert (sees["source"], sees["reply"]) == ("dropped", None)


def test_a_stranger_is_refused_whatever_the_name(config: Path) -> None:
    document = explained(config, "www.example.org", "--client", "198.51.100.1")
    assert document["client"]["allowed"] is False
    assert document["client_sees"]["reply"]["rcode"] == "REFUSED"
    assert document["client_sees"]["reply"]["ede"][0]["code"] == 18


@pytest.mark.parametrize(
    ("name", "rdata"), [("printer.example.net", "192.0.2.9"), ("localhost", "127.0.0.1")]
)
def test_names_answered_here_show_their_records(config: Path, name: str, rdata: str) -> None:
    sees = explained(config, name)["client_sees"]
    assert sees["source"] == "local"
    assert sees["reply"]["answers"][0]["rdata"] == rdata


def test_an_address_is_looked_up_among_the_networks(config: Path) -> None:
    document = explained(config, "203.0.113.9")
    assert document["trace"][0]["fate"] == "decides"
    assert document["trace"][0]["label"] == "acme"
    assert document["trace"][0]["rule"] == "203.0.113.0/24"


@pytest.mark.parametrize("address", ["64:ff9b::203.0.113.9", "2002:cb00:7109::1", "2001:db8:64::203.0.113.9"])
def test_an_address_that_carries_one_of_a_network_is_found_there(config: Path, address: str) -> None:
    config.write_text(SETTINGS + '  nat64_prefixes: ["2001:db8:64::/96"]\n')
    [rule] = explained(config, address)["trace"]
    assert (rule["fate"], rule["rule"]) == ("decides", "203.0.113.0/24")
    assert explained(config, "2001:db8:65::203.0.113.9")["trace"] == []


def test_an_address_outside_every_network_has_no_trace(config: Path) -> None:
    assert explained(config, "198.51.100.9")["trace"] == []


def test_the_page_for_people_says_the_same(config: Path) -> None:
    result = run(config, "www.acme.example")
    assert result.exit_code == 0
    for words in (
        "blocklist.yaml:10",
        "Acme Exchange (acme)",
        "An Authority",
        "NXDOMAIN",
        "16 (censored)",
        "wins",
    ):
        assert words in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("bad..name",),
        ("example.org", "--type", "NONSENSE"),
        ("example.org", "--client", "nobody"),
        ("example.org", "--at", "tomorrow"),
        ("example.org", "--at", "2030-01-01T00:00:00"),
    ],
)
def test_a_bad_argument_is_bad_input_with_a_reason(config: Path, arguments: tuple[str, ...]) -> None:
    result = run(config, *arguments)
    assert result.exit_code == 2
    assert result.stderr.strip()


def test_a_broken_blocklist_is_bad_input_with_its_problems(config: Path) -> None:
    (config.parent / "blocklist.yaml").write_text("version: 1\nexchanges: 7\n")
    result = run(config, "example.org")
    assert result.exit_code == 2
    assert "blocklist.yaml:2: " in result.stderr


def test_the_end_is_shown_as_a_day_that_is_not_included(config: Path) -> None:
    result = run(config, "soon.example", "--at", "2030-06-01")
    words = "from 2030-01-01 (America/New_York), until 2031-01-01 (America/New_York), that day not included"
    assert words in result.stdout


def page(config: Path, name: str, columns: int | None) -> list[str]:
    """What `explain` prints, run by itself, on a terminal so wide or (None) into a pipe."""
    words = [sys.executable, "-m", "resolver", "explain", name, "--config", str(config)]
    words += ["--client", "192.0.2.1", "--at", "2026-01-01"]
    if columns is None:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()
    terminal, there = os.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(words, cwd=ROOT, stdin=there, stdout=there, stderr=there):
        os.close(there)
        octets = bytearray()
        # Linux says EIO where the other side is closed.
        with contextlib.suppress(OSError):
            while some := os.read(terminal, 65536):
                octets += some
    os.close(terminal)
    return octets.decode().splitlines()


@pytest.mark.slow
def test_the_page_fits_the_terminal_and_is_not_wrapped_in_a_pipe(config: Path) -> None:
    facts = " ".join(page(config, "academy.acme.example", None))
    for columns in (80, 120):
        lines = page(config, "academy.acme.example", columns)
        # The paths of temporary folders are names, too: those are never broken.
        assert [line for line in lines if len(line) > columns and len(line.split()) > 1] == []
        assert max(map(len, lines)) > columns - 30
        assert " ".join(" ".join(lines).split()) == " ".join(facts.split())
    whole = page(config, "www.acme.example", None)
    [order] = [line for line in whole if line.startswith("Order")]
    assert order.endswith("order-1: An Authority, An Order, Ref 1, 2024-01-02 (external)")


def test_hostile_text_in_the_blocklist_does_not_reach_the_terminal(config: Path) -> None:
    blocklist = config.parent / "blocklist.yaml"
    blocklist.write_text(BLOCKLIST.replace("An Authority", '"[red]An\\e[31m Authority"'))
    result = run(config, "www.acme.example")
    assert "\x1b" not in result.stdout


def test_a_label_is_shown_with_what_it_stands_for(config: Path) -> None:
    blocklist = config.parent / "blocklist.yaml"
    blocklist.write_text(
        "version: 1\nexchanges: {a: {name: A, domains: [bücher.example]}}\n", encoding="utf-8"
    )
    document = explained(config, "xn--bcher-kva.example")
    assert (document["name"], document["unicode"]) == ("xn--bcher-kva.example", "bücher.example")
    page = run(config, "xn--bcher-kva.example").stdout
    assert page.count("xn--bcher-kva.example (bücher.example)") >= 2, "the name and the rule"
    assert explained(config, "a.example")["unicode"] is None


def test_a_pasted_name_is_bad_input_with_the_name_that_was_meant(config: Path) -> None:
    result = run(config, "crypto–x.example")
    assert result.exit_code == 2 and "did you mean 'crypto-x.example'?" in result.stderr


def test_a_relay_that_is_blocked_says_by_which_setting(config: Path) -> None:
    assert explained(config, "mask.icloud.com")["client_sees"]["source"] == "upstream"
    config.write_text(SETTINGS + "special_names: {browser_relay: block}\n")
    assert explained(config, "mask.icloud.com")["client_sees"]["source"] == "local"
    text = run(config, "mask-h2.icloud.com").stdout
    assert "special_names.browser_relay: block" in text and "NXDOMAIN" in text
