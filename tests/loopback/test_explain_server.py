"""A running server explains itself to this machine, tells blocked clients why, and counts none of the asking."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.rdatatype
import pytest

from tests.loopback.server import ROOT, Server, running_server

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.slow,
    pytest.mark.needs("nsd"),
    pytest.mark.usefixtures("serving_engine"),
]

SDE = 65001
CHANGES = {
    "structured_errors": {"enabled": True, "option_code": SDE, "organization": "Example Networks"},
    "resinfo": {"infourl": "https://resolver.example.net/"},
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, authority: int, serving_engine: str) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("told"), authority, changes=CHANGES) as server:
        yield server


def explain(server: Server, name: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "resolver", "explain", name, "--server", "--json", *options]
    command += ["--config", str(server.settings_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def counts(server: Server) -> dict[str, float]:
    """All that counts clients' questions and answers, and looks into the cache."""
    named = ("queries_total", "responses_total", "hits_total", "cache_hits_total", "cache_misses_total")
    return {
        key: value
        for key, value in server.metrics().items()
        if key.partition("{")[0].removeprefix("resolver_").removeprefix("exchange_") in named
    }


def option(value: bytes = b"") -> dns.edns.Option:
    return dns.edns.GenericOption(dns.edns.OptionType.make(SDE), value)


def test_a_server_says_what_it_has_and_what_upstreams_say(told: Server, serving_engine: str) -> None:
    told.ask("www.example.net")
    before = counts(told)
    document = explain(told, "www.example.net")
    server = document["server"]
    assert server["engine"] == serving_engine
    (cached,) = server["cached"]
    assert cached["state"] == "fresh" and cached["ttl_left_s"] > 0
    assert cached["reply"]["answers"] == [
        {**record, "ttl_s": cached["reply"]["answers"][number]["ttl_s"]}
        for number, record in enumerate(server["upstream"]["reply"]["answers"])
    ]
    assert document["decision"]["blocked"] is False
    assert explain(told, "never-asked.example.net")["server"]["cached"] == []
    assert counts(told) == before, "explaining counted as a question"


@pytest.mark.parametrize(
    ("name", "by", "value", "label"),
    [
        ("to-blocked.example.net", "link", "www.blocked.example.net", "alpha"),
        ("at-blocked-address.example.net", "address", "203.0.113.66", "gamma"),
    ],
)
def test_what_condemns_an_answer_is_named(told: Server, name: str, by: str, value: str, label: str) -> None:
    told.ask(name)
    server = explain(told, name)["server"]
    for part in (server["cached"][0], server["upstream"]):
        found = part["blocked_by"]
        assert (found["by"], found["value"], found["label"]) == (by, value, label)


def test_a_blocked_name_is_explained_by_the_policy_in_force(told: Server) -> None:
    document = explain(told, "www.alpha.example", "--why-not")
    assert document["decision"]["label"] == "alpha" and document["decision"]["blocked"]
    assert document["client_sees"]["reply"]["rcode"] == "NXDOMAIN"
    assert isinstance(document["why_not"], list)


def test_who_asks_for_structured_errors_gets_them_over_udp_and_tcp(told: Server) -> None:
    for tcp in (False, True):
        plain = told.ask("www.alpha.example", tcp=tcp)
        reply = told.ask("www.alpha.example", tcp=tcp, options=[option()])
        (error,) = [one for one in reply.options if isinstance(one, dns.edns.EDEOption)]
        assert error.text is not None
        assert json.loads(error.text) == {
            "c": ["mailto:noc@example.net"],
            "j": "Alpha Exchange: Ref 1/2024, An order",
            "o": "Example Networks",
            "l": "en",
        }
        (before,) = [one for one in plain.options if isinstance(one, dns.edns.EDEOption)]
        assert before.text == "Alpha Exchange is blocked (order Ref 1/2024); contact mailto:noc@example.net"


def test_the_resolver_says_what_it_is(told: Server) -> None:
    reply = told.ask("resolver.arpa", "TYPE261")
    assert reply.flags & dns.flags.AA
    assert b"infourl=https://resolver.example.net/" in reply.answer[0][0].to_wire()


def test_the_page_is_for_this_machine_by_its_own_name(told: Server, tmp_path: Path) -> None:
    status, body = told.page("/api/v1/explain?name=www.example.net&ask=0")
    assert status == 200 and json.loads(body)["server"]["upstream"] is None
    assert told.page("/api/v1/explain?name=")[0] == 400
