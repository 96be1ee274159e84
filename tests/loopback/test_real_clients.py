"""The clients people have: dig, kdig, dnspython, and Unbound and dnsmasq downstream."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import pytest

from tests.loopback.authority import running_dnsmasq, running_unbound
from tests.loopback.server import Server

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.needs("nsd")]

QTYPES = ("A", "AAAA", "HTTPS", "TXT", "MX", "ANY")


def dig(server: Server, *words: str) -> str:
    command = ["dig", "+tries=1", "+time=5", "-p", str(server.port), "@127.0.0.1", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def kdig(server: Server, *words: str) -> str:
    command = ["kdig", "+edns", "+retry=0", "+time=5", "-p", str(server.port), "@127.0.0.1", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.needs("dig")
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
@pytest.mark.parametrize("qtype", QTYPES)
def test_dig_sees_a_blocked_name_refused_with_an_honest_reason(
    server: Server, qtype: str, transport: str
) -> None:
    shown = dig(server, "www.blocked.example.net", qtype, transport)
    assert "status: NXDOMAIN" in shown
    assert "EDE: 16 (Censored)" in shown
    assert "Alpha Exchange" in shown
    assert "noc@example.net" in shown
    assert "blocked.example.net.\t300\tIN\tSOA" in shown
    assert "WARNING" not in shown


@pytest.mark.needs("dig")
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_dig_sees_an_allowed_name_resolved(server: Server, transport: str) -> None:
    shown = dig(server, "www.example.org", "A", transport)
    assert "status: NOERROR" in shown
    assert "192.0.2.80" in shown
    assert "EDE" not in shown
    assert "WARNING" not in shown


@pytest.mark.needs("dig")
def test_dig_over_ipv6(server: Server) -> None:
    command = ["dig", "+tries=1", "-p", str(server.port), "@::1", "+short", "www.example.org", "AAAA"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "2001:db8::80\n"


@pytest.mark.needs("dig")
def test_dig_gets_a_big_answer_by_turning_to_tcp(server: Server) -> None:
    shown = dig(server, "huge.example.org", "TXT")
    assert ";; Truncated, retrying in TCP mode." in shown
    assert "ANSWER: 40" in shown


@pytest.mark.needs("dig")
def test_dig_without_edns_gets_none_back(server: Server) -> None:
    for qname in ("www.blocked.example.net", "www.example.org"):
        assert "OPT PSEUDOSECTION" not in dig(server, "+noedns", qname)


@pytest.mark.needs("kdig")
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_kdig_agrees(server: Server, transport: str) -> None:
    blocked = kdig(server, "www.blocked.example.net", "A", transport)
    assert "status: NXDOMAIN" in blocked
    assert "EDE: 16 (Censored)" in blocked
    allowed = kdig(server, "www.example.org", "A", transport)
    assert "status: NOERROR" in allowed
    assert "192.0.2.80" in allowed
    assert "WARNING" not in blocked + allowed


@pytest.mark.needs("kdig")
def test_kdig_keeps_a_tcp_connection_open_for_more(server: Server) -> None:
    shown = kdig(server, "+tcp", "+keepopen", "www.example.org", "A", "www.example.org", "AAAA")
    assert "192.0.2.80" in shown
    assert "2001:db8::80" in shown


def stub(server: Server) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = server.port
    resolver.lifetime = 5.0
    return resolver


def test_dnspython_resolves_and_is_denied(server: Server) -> None:
    resolver = stub(server)
    assert [rdata.to_text() for rdata in resolver.resolve("cname-cname.example.org", "A")] == ["192.0.2.80"]
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve("blocked.example.net", "A")
    with pytest.raises(dns.resolver.NoAnswer):
        resolver.resolve("beta.example", "MX")


def test_a_sinkholed_name_has_the_configured_addresses(server: Server) -> None:
    resolver = stub(server)
    assert [rdata.to_text() for rdata in resolver.resolve("www.beta.example", "A")] == ["192.0.2.250"]
    assert [rdata.to_text() for rdata in resolver.resolve("beta.example", "AAAA")] == ["2001:db8::250"]


def test_an_exact_rule_denies_with_nodata_and_spares_what_is_below(server: Server) -> None:
    exact = server.ask("gamma.example")
    assert exact.rcode() == dns.rcode.NOERROR
    assert exact.answer == []
    # No zone holds it, so the upstream refuses; what counts is that policy does not speak.
    below = server.ask("www.gamma.example")
    assert b"Gamma" not in below.to_wire()


def test_a_name_above_an_exception_is_denied_with_nodata_for_the_exception_exists(server: Server) -> None:
    # RFC 8020: NXDOMAIN would say that nothing is below either.
    above = server.ask("alpha.example")
    assert above.rcode() == dns.rcode.NOERROR
    assert above.answer == []
    assert "Alpha" in above.to_text()
    assert server.ask("www.alpha.example").rcode() == dns.rcode.NXDOMAIN


def test_a_chain_into_a_blocked_name_is_cut_there(server: Server) -> None:
    reply = server.ask("to-blocked.example.net")
    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert [str(rrset.name) for rrset in reply.answer] == ["to-blocked.example.net."]
    assert "Alpha" in reply.to_text()


def test_an_answer_that_points_into_blocked_addresses_is_withheld(server: Server) -> None:
    reply = server.ask("at-blocked-address.example.net")
    assert reply.rcode() == dns.rcode.NOERROR
    assert reply.answer == []
    assert "Gamma" in reply.to_text()


def test_case_comes_back_as_it_was_sent(server: Server) -> None:
    for qname in ("WwW.eXample.ORG", "WwW.BlockeD.example.NET"):
        assert str(server.ask(qname).question[0].name) == f"{qname}."


@pytest.fixture(scope="module", params=["unbound", "dnsmasq"])
def downstream(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """Port of a resolver whose only upstream is ours."""
    directory: Path = tmp_path_factory.mktemp("downstream")
    run = {"unbound": running_unbound, "dnsmasq": running_dnsmasq}[request.param]
    with run(directory, server.port) as port:
        yield port


@pytest.mark.needs("unbound", "dnsmasq")
@pytest.mark.parametrize(
    ("qname", "qtype", "rcode", "answers"),
    [
        ("www.example.org", "A", dns.rcode.NOERROR, ["192.0.2.80"]),
        ("cname-abroad.example.org", "AAAA", dns.rcode.NOERROR, ["www.example.net.", "2001:db8:2::80"]),
        ("no-such-name.example.org", "A", dns.rcode.NXDOMAIN, []),
        ("a-only.example.org", "AAAA", dns.rcode.NOERROR, []),
        ("www.blocked.example.net", "A", dns.rcode.NXDOMAIN, []),
        ("https.blocked.example.net", "HTTPS", dns.rcode.NXDOMAIN, []),
        ("beta.example", "A", dns.rcode.NOERROR, ["192.0.2.250"]),
        ("beta.example", "TXT", dns.rcode.NOERROR, []),
    ],
)
def test_a_downstream_resolver_passes_our_answer_on(
    downstream: int, qname: str, qtype: str, rcode: int, answers: list[str]
) -> None:
    query = dns.message.make_query(qname, qtype)
    reply = dns.query.udp(query, "127.0.0.1", port=downstream, timeout=5.0)
    assert reply.rcode() == rcode
    assert [rdata.to_text() for rrset in reply.answer for rdata in rrset] == answers


@pytest.mark.needs("unbound", "dnsmasq")
def test_a_downstream_resolver_gets_a_big_answer_whole(downstream: int) -> None:
    query = dns.message.make_query("huge.example.org", "TXT")
    assert dns.query.udp(query, "127.0.0.1", port=downstream, timeout=5.0).flags & dns.flags.TC
    whole = dns.query.tcp(query, "127.0.0.1", port=downstream, timeout=5.0)
    assert len(whole.answer[0]) == 40
