"""What the metrics page says after a known number of questions."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.loopback.process import free_port
from tests.loopback.server import Server, running_server

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.slow,
    pytest.mark.needs("nsd"),
    pytest.mark.usefixtures("serving_engine"),
]


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory, authority: int) -> Iterator[Server]:
    """A server that nobody has asked anything."""
    with running_server(tmp_path_factory.mktemp("fresh"), authority) as running:
        yield running


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, authority: int, serving_engine: str) -> Iterator[Server]:
    """One server for all tests to which it does not matter what others asked."""
    with running_server(tmp_path_factory.mktemp("asked"), authority) as running:
        yield running


def test_every_exchange_is_there_at_zero_before_anyone_asks(fresh: Server) -> None:
    samples = fresh.metrics()
    for exchange in ("alpha", "beta", "gamma", "quiet"):
        hits = [
            value for name, value in samples.items() if f'exchange="{exchange}"' in name and "hits" in name
        ]
        assert hits
        assert set(hits) == {0.0}
        assert fresh.metric("resolver_blocklist_rules", exchange=exchange) >= 1


def test_hits_count_exactly_the_questions_asked(fresh: Server) -> None:
    for qtype in ("A", "AAAA", "HTTPS", "TXT", "MX", "ANY", "A", "A"):
        fresh.ask("www.blocked.example.net", qtype)
    for _ in range(3):
        fresh.ask("www.alpha.example", "A", tcp=True)
    fresh.ask("to-blocked.example.net", "A")
    for _ in range(5):
        fresh.ask("beta.example", "A")
    fresh.ask("at-blocked-address.example.net", "A")
    fresh.ask("academy.alpha.example", "A")
    fresh.ask("www.example.org", "A")
    hits = "resolver_exchange_hits_total"
    assert fresh.metric(hits, exchange="alpha", action="nxdomain", mode="enforce") == 12
    assert fresh.metric(hits, exchange="alpha") == 12
    assert fresh.metric(hits, exchange="beta", action="sinkhole", mode="enforce") == 5
    assert fresh.metric(hits, exchange="gamma") == 1
    assert fresh.metric(hits, exchange="quiet") == 0
    assert fresh.metric(hits) == 18


def test_queries_and_responses_count_exactly_the_questions_asked(fresh: Server) -> None:
    for _ in range(4):
        fresh.ask("www.example.org", "A")
    for _ in range(2):
        fresh.ask("www.example.org", "AAAA", tcp=True)
    fresh.ask("no-such-name.example.org", "A")
    fresh.ask("www.blocked.example.net", "TXT")
    assert fresh.metric("resolver_queries_total", transport="udp", qtype="A") == 5
    assert fresh.metric("resolver_queries_total", transport="tcp", qtype="AAAA") == 2
    assert fresh.metric("resolver_queries_total") == 8
    responses = "resolver_responses_total"
    assert fresh.metric(responses, source="upstream", rcode="NOERROR") == 2
    assert fresh.metric(responses, source="upstream", rcode="NXDOMAIN") == 1
    assert fresh.metric(responses, source="cache", rcode="NOERROR") == 4
    assert fresh.metric(responses, source="policy", rcode="NXDOMAIN") == 1
    assert fresh.metric(responses) == 8
    assert fresh.metric("resolver_response_seconds_count") == 8
    # Three for clients, and one that the server asked for itself when it started.
    assert fresh.metric("resolver_upstream_queries_total") == 3 + 1
    assert fresh.metric("resolver_cache_hits_total") == 4
    assert fresh.metric("resolver_cache_misses_total") == 3


def test_responses_that_arrive_as_queries_are_dropped_and_counted(asked: Server) -> None:
    dropped, answered = asked.metric("resolver_dropped_total"), asked.metric("resolver_responses_total")
    reflected = dns.message.make_query("www.example.org", "A")
    reflected.flags |= dns.flags.QR
    with pytest.raises(dns.exception.Timeout):
        dns.query.udp(reflected, "127.0.0.1", port=asked.port, timeout=0.2)
    assert asked.metric("resolver_dropped_total") == dropped + 1
    assert asked.metric("resolver_responses_total") == answered


@pytest.mark.needs("promtool")
def test_promtool_has_nothing_to_say(asked: Server) -> None:
    asked.ask("www.example.org", "A")
    asked.ask("www.blocked.example.net", "A")
    status, page = asked.page("/metrics")
    assert status == 200
    lint = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")


def test_hostile_names_add_no_series(asked: Server) -> None:
    asked.ask("www.example.org", "A")
    asked.ask("no-such-name.example.org", "A")
    before = set(asked.metrics())
    for number in range(50):
        asked.ask(f'x{number}\\"\\010}}.example.org', "A")
    assert set(asked.metrics()) == before


def test_health_and_readiness_say_yes(asked: Server) -> None:
    assert asked.page("/healthz")[0] == 200
    assert asked.page("/readyz")[0] == 200
    assert asked.page("/no-such-page")[0] == 404


def test_a_dead_upstream_is_counted_and_reported_to_the_client(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_server(tmp_path_factory.mktemp("dead"), free_port()) as server:
        reply = server.ask("www.example.org", "A")
        assert reply.rcode() == dns.rcode.SERVFAIL
        assert "EDE" in reply.to_text()
        assert server.metric("resolver_upstream_failures_total") >= 1
        assert server.ask("www.blocked.example.net").rcode() == dns.rcode.NXDOMAIN
