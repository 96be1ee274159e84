"""One table: every probe of `conformance` over every transport, for names of every outcome, on both engines.

Which transports differ, and why, is said in `conformance.DIFFERENCES` and beside it.
"""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest

from tests.loopback.conformance import (
    AA,
    AD,
    CD,
    DIFFERENCES,
    LONGEST,
    NUMBER,
    PADDED_OVER,
    PADDING,
    PROBES,
    QR,
    RA,
    RD,
    SPECIAL,
    TC,
    TRANSPORTS,
    TRUNCATED_OVER,
    UDP_OCTETS_MAX,
    Outcome,
    Probe,
    Special,
    Z,
    in_place_of_the_name,
    plain,
    question,
    with_edns,
)
from tests.loopback.encrypted import EncryptedServer, client_of
from tests.loopback.odd_upstream import OddUpstream, Stream, good
from tests.loopback.process import free_port
from tests.support.asking import Asker
from tests.support.for_each import for_each

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

UNDER = {
    Outcome.ALLOWED: "example.org",
    Outcome.BLOCKED: "blocked.example.net",
    Outcome.CACHED: "example.org",
    Outcome.DEAD: "dead.example.org",
}
BIG_TEXTS = 40
MARKER = b"\xff\xfe" + plain()(b"\x09localhost\0")[2:]
"""A query that is answered here."""
_numbers = itertools.count()


def says(query: bytes, *, is_cut: bool = False) -> bytes:
    """An address for every name; for `big` names 40 texts; of every other type nothing."""
    asked = dns.message.from_wire(query)
    name, qtype = asked.question[0].name, asked.question[0].rdtype
    if qtype == dns.rdatatype.A:
        return good(query)
    reply = dns.message.make_response(asked, recursion_available=True)
    if qtype == dns.rdatatype.TXT and name.labels[0].lower().startswith(b"big"):
        if is_cut:
            reply.flags |= dns.flags.TC
        else:
            texts = [f'"{number:02} {"x" * 200}"' for number in range(BIG_TEXTS)]
            reply.answer.append(dns.rrset.from_text_list(name, 60, "IN", "TXT", texts))
    else:
        soa = "ns.example. host.example. 1 3600 600 86400 60"
        reply.authority.append(dns.rrset.from_text("example.org.", 60, "IN", "SOA", soa))
    return reply.to_wire(max_size=65_535)


def says_cut(query: bytes) -> bytes:
    """As over UDP."""
    return says(query, is_cut=True)


def serve_whole(stream: Stream, number: int) -> None:
    """Everything over TCP."""
    while query := stream.read():
        stream.write(says(query))


@dataclass(frozen=True)
class Rig:
    """A server, and the upstream that it asks."""

    server: EncryptedServer
    upstream: OddUpstream
    context: ssl.SSLContext


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, serving_engine: str) -> Iterator[Rig]:
    """Both, for all tests of one engine.  Its limits let one client shake hands as often as it likes."""
    dead = free_port()
    limits = {"tls_handshakes_per_s_max": 100_000, "tls_handshakes_per_s_per_client_max": 100_000}
    with OddUpstream(udp=says_cut, tcp=serve_whole) as upstream:
        server = EncryptedServer(
            tmp_path_factory.mktemp("conformance"),
            upstream_ports=(upstream.port,),
            changes={
                "upstreams": {"forward": {"dead.example.org": [f"udp://127.0.0.1:{dead}"]}},
                "limits": limits,
            },
        )
        with server:
            yield Rig(server, upstream, server.context())


def wire_name(text: str) -> bytes:
    wire = dns.name.from_text(text).to_wire()
    assert wire is not None
    return wire


def fresh_name(outcome: Outcome) -> bytes:
    """A name that nobody has asked for."""
    return wire_name(f"c{next(_numbers)}.{UNDER[outcome]}")


def asker(rig: Rig, transport: str) -> Asker:
    if transport not in rig.server.transports:
        pytest.skip(f"no listener for {transport} yet")
    return Asker(client_of(rig.server, transport, rig.context))


@pytest.mark.parametrize("outcome", list(Outcome), ids=lambda outcome: outcome.replace(" ", "-"))
@pytest.mark.parametrize("transport", TRANSPORTS)
@for_each("probe", PROBES, ids=lambda probe: probe.name)
def test_what_comes_of_a_probe(rig: Rig, transport: str, outcome: Outcome, probe: Probe) -> None:
    name = fresh_name(outcome)
    octets = probe.make(name)
    with asker(rig, transport) as client:
        if outcome is Outcome.CACHED and not isinstance(probe.wanted, str):
            # Asked as the probe asks, but that it may be asked for upstream: DO and CD have entries of their own.
            client.exchange(octets[:2] + bytes((octets[2] | 1,)) + octets[3:])
        asked_before = len(rig.upstream.asked)
        wanted = probe.rcode_for(outcome)
        if wanted in DIFFERENCES:
            assert client.exchange_or_nothing(octets, MARKER) == DIFFERENCES[wanted][transport]
            assert len(rig.upstream.asked) == asked_before
            return
        reply = client.exchange(octets)
        assert isinstance(reply, bytes), reply
        check(probe, octets, reply, transport, outcome)
        if not probe.is_forwarded or outcome is not Outcome.ALLOWED:
            assert len(rig.upstream.asked) == asked_before, "an upstream was asked"
        # Whatever was sent before, who asks properly is answered: the connection survives.
        marked = client.exchange(MARKER)
        assert isinstance(marked, bytes)
        assert marked[:2] == MARKER[:2]


def check(probe: Probe, octets: bytes, reply: bytes, transport: str, outcome: Outcome) -> None:
    """Everything that a reply owes."""
    message = dns.message.from_wire(reply)
    assert dns.rcode.to_text(message.rcode()) == probe.rcode_for(outcome)
    assert reply[:2] == octets[:2]
    assert message.opcode() == octets[2] >> 3 & 15
    check_flags(reply, octets, probe, transport)
    if probe.is_name_echoed:
        end = 12 + len(question(octets[12 : octets.index(b"\0", 12) + 1]))
        assert reply[12:end] == octets[12:end], "the question comes back octet for octet"
    elif octets[4:6] != b"\0\1":
        assert message.question == []
    has_opt = probe.make(b"\0")[10:12] != b"\0\0"
    if probe.is_name_echoed:
        # RFC 6891 §7: an OPT to whoever sent one, and to nobody else.
        assert (message.edns == 0) == has_opt
        assert message.edns in (0, -1)
        assert message.ednsflags & 0x7FFF == 0, "unknown flags are not copied"
        if has_opt:
            assert bool(message.ednsflags & 0x8000) == bool(octets[-4 - rdata_octets(octets)] & 0x80)
    if message.rcode() == dns.rcode.NOERROR and probe.has_answer:
        assert [str(record) for rrset in message.answer for record in rrset] == ["192.0.2.99"]
    elif message.rcode() != dns.rcode.NOERROR:
        assert message.answer == []
    if message.rcode() == dns.rcode.NXDOMAIN and not message.flags & dns.flags.TC:
        assert [rrset.rdtype for rrset in message.authority] == [dns.rdatatype.SOA]
    if transport == "udp":
        assert len(reply) <= (UDP_OCTETS_MAX if has_opt else 512)
    if probe.more is not None:
        probe.more(message, transport, outcome)


def rdata_octets(octets: bytes) -> int:
    """Length of the RDATA of the OPT that ends a query: its flags stand four octets before that."""
    for length in range(len(octets)):
        if octets[-2 - length :][:2] == length.to_bytes(2, "big"):
            return length
    raise AssertionError("no OPT at the end")


def check_flags(reply: bytes, octets: bytes, probe: Probe, transport: str) -> None:
    """QR; RD and CD copied; RA; never AA, TC, Z, nor AD, which only who validates may say."""
    unset = AA | Z | AD | (0 if probe.may_be_cut and transport in TRUNCATED_OVER else TC)
    sent, flags = int.from_bytes(octets[2:4], "big"), int.from_bytes(reply[2:4], "big")
    is_read = probe.is_name_echoed
    assert flags & QR
    assert flags & unset == 0, f"{flags:04x}"
    if is_read:
        assert flags & (RD | CD) == sent & (RD | CD)
        assert flags & RA


@pytest.mark.parametrize("transport", TRANSPORTS)
@for_each("special", SPECIAL, ids=lambda special: f"{special.name} {special.qtype}")
def test_special_names_are_answered_here(rig: Rig, transport: str, special: Special) -> None:
    asked_before = len(rig.upstream.asked)
    with asker(rig, transport) as client:
        reply = client.exchange(plain(qtype=special.qtype)(wire_name(special.name)))
    assert isinstance(reply, bytes)
    message = dns.message.from_wire(reply)
    assert dns.rcode.to_text(message.rcode()) == special.rcode
    assert tuple(str(record) for rrset in message.answer for record in rrset) == special.answers
    if message.rcode() == dns.rcode.NXDOMAIN:
        # RFC 2308 §3: without a SOA nobody may keep it.
        assert [rrset.rdtype for rrset in message.authority] == [dns.rdatatype.SOA]
    assert len(rig.upstream.asked) == asked_before


ODD_NAMES = {
    "the root": b"\0",
    "a label of 63 octets": b"\x3f" + b"a" * 63 + b"\0",
    "a name of 255 octets": LONGEST,
    "octets 0x00 . space 0xFF": b"\4\0.\x20\xff\0",
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@for_each("name", ODD_NAMES.values(), ids=ODD_NAMES)
def test_odd_names_are_answered(rig: Rig, transport: str, name: bytes) -> None:
    octets = in_place_of_the_name(name)(b"")
    with asker(rig, transport) as client:
        reply = client.exchange(octets)
    assert isinstance(reply, bytes)
    assert reply[3] & 15 == dns.rcode.NOERROR
    assert reply[12 : 12 + len(name)] == name


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_big_answer_is_cut_over_udp_alone(rig: Rig, transport: str) -> None:
    name = wire_name("big.example.org")
    with asker(rig, transport) as client:
        for _ in range(2):  # from the upstream, and from the cache
            reply = client.exchange(with_edns(payload=65_535, qtype=16)(name))
            assert isinstance(reply, bytes)
            message = dns.message.from_wire(reply)
            is_cut = transport in TRUNCATED_OVER
            assert bool(message.flags & dns.flags.TC) == is_cut
            assert reply[12 : 12 + len(name)] == name
            assert message.edns == 0
            if is_cut:
                assert len(reply) <= UDP_OCTETS_MAX
            else:
                assert [len(rrset) for rrset in message.answer] == [BIG_TEXTS]


@pytest.mark.parametrize("transport", TRANSPORTS)
@for_each("outcome", Outcome)
def test_an_answer_is_padded_where_it_was_asked_for_and_hides_something(
    rig: Rig, transport: str, outcome: Outcome
) -> None:
    name = fresh_name(outcome)
    with asker(rig, transport) as client:
        padded = client.exchange(with_edns((PADDING, b""))(name))
        bare = client.exchange(with_edns()(name))
    assert isinstance(padded, bytes)
    assert isinstance(bare, bytes)
    codes = [int(option.otype) for option in dns.message.from_wire(padded).options]
    is_padded = transport in PADDED_OVER
    assert (PADDING in codes) == is_padded
    # RFC 8467 §4.1: blocks of 468 octets.
    assert (len(padded) % 468 == 0) == is_padded
    assert PADDING not in [int(option.otype) for option in dns.message.from_wire(bare).options]


def test_every_probe_has_a_name_of_its_own() -> None:
    names = [probe.name for probe in PROBES]
    assert len(set(names)) == len(names)
    assert all(probe.source for probe in PROBES)
    assert NUMBER.to_bytes(2, "big") != MARKER[:2]
