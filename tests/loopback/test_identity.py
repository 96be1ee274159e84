"""Who asks and who answers, on a running server: both engines, real sockets."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import dns.edns
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from resolver.wire.proxy import SIGNATURE
from tests.loopback.server import Server, running_server
from tests.loopback.slow_upstream import SlowUpstream
from tests.support.certificates import make

pytestmark = [pytest.mark.loopback]

PROXY, STRANGER = "127.0.0.7", "127.0.0.8"
ALLOWED, OUTSIDE = "192.0.2.5", "203.0.113.5"
LOCAL = SIGNATURE + b"\x20\0\0\0"
ANSWER_S_MAX = 5.0
"""What a busy machine may take for an answer."""
SILENCE_S = 0.5
"""After so long none is believed to come."""


def head(client: str) -> bytes:
    block = ip_address(client).packed + ip_address("127.0.0.1").packed + b"\xc0\x01\0\x35"
    return SIGNATURE + b"\x21\x12" + len(block).to_bytes(2, "big") + block


@pytest.fixture
def server(serving_engine: str, tmp_path: Path) -> Iterator[Server]:
    made = make("dns.example.net", addresses=("127.0.0.1",), days=(-100, 36_500))
    (tmp_path / "dns.pem").write_bytes(made.pem)
    (tmp_path / "dns.key").write_bytes(made.key)
    changes = {
        "listen": {"proxy_protocol": [f"{PROXY}/32"], "tls": ["127.0.0.1:0"]},
        "tls": {"certificate": "dns.pem", "key": "dns.key"},
        "clients": {"allow": ["127.0.0.8/32", f"{ALLOWED}/32"]},
        "nsid": "ns-a",
        "threads": 1,
    }
    with SlowUpstream() as upstream, running_server(tmp_path, upstream.port, changes=changes) as running:
        yield running


def asked(name: str = "www.alpha.example", rrtype: str = "A", *options: dns.edns.Option) -> bytes:
    return dns.message.make_query(name, rrtype, use_edns=0, options=list(options)).to_wire()


def say(
    server: Server, source: str, octets: bytes, patience_s: float = ANSWER_S_MAX
) -> dns.message.Message | None:
    """Over a datagram from `source`; None: nothing comes back for so long."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((source, 0))
        client.connect(("127.0.0.1", server.port))
        client.settimeout(patience_s)
        client.send(octets)
        try:
            return dns.message.from_wire(client.recv(4096))
        except TimeoutError:
            return None


def say_over_tcp(
    server: Server, source: str, before: bytes, octets: bytes, patience_s: float = ANSWER_S_MAX
) -> dns.message.Message | None:
    with socket.create_connection(
        ("127.0.0.1", server.port), patience_s, source_address=(source, 0)
    ) as client:
        client.sendall(before + len(octets).to_bytes(2, "big") + octets)
        client.shutdown(socket.SHUT_WR)
        try:
            whole = b"".join(iter(lambda: client.recv(4096), b""))
        except (ConnectionError, TimeoutError):
            return None
        return dns.message.from_wire(whole[2:]) if whole else None


def test_a_proxy_s_client_counts_and_nobody_else_s_word(server: Server) -> None:
    for over in (say, tcp_of):
        answer = over(server, PROXY, head(ALLOWED) + asked())
        assert answer is not None and answer.rcode() == dns.rcode.NXDOMAIN
        refused = over(server, PROXY, head(OUTSIDE) + asked())
        assert refused is not None and refused.rcode() == dns.rcode.REFUSED
        # The proxy itself is in no allowed network.
        itself = over(server, PROXY, LOCAL + asked())
        assert itself is not None and itself.rcode() == dns.rcode.REFUSED
        assert over(server, PROXY, asked(), SILENCE_S) is None
        assert over(server, STRANGER, head(ALLOWED) + asked(), SILENCE_S) is None
        plain = over(server, STRANGER, asked())
        assert plain is not None and plain.rcode() == dns.rcode.NXDOMAIN
    assert server.metric("resolver_dropped_total", reason="proxy_head") == 4


def tcp_of(
    server: Server, source: str, octets: bytes, patience_s: float = ANSWER_S_MAX
) -> dns.message.Message | None:
    """What was said over a datagram, over TCP: the head as it is, the query with its length."""
    query = asked()
    before = octets[: len(octets) - len(query)]
    return say_over_tcp(server, source, before, octets[len(before) :], patience_s)


def test_clients_find_the_encrypted_listener_that_there_is(server: Server) -> None:
    answer = say(server, STRANGER, asked("_dns.resolver.arpa", "SVCB"))
    assert answer is not None
    [record] = answer.answer[0]
    assert record.target.to_text() == "dns.example.net." and record.priority == 1
    port = record.params[3].port
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(server.directory / "dns.pem")
    plain = socket.create_connection(("127.0.0.1", port), 5.0, source_address=(STRANGER, 0))
    # RFC 9462 section 4.2: the certificate has the address that was asked in the clear.
    with plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as session:
        query = asked("localhost")
        session.sendall(len(query).to_bytes(2, "big") + query)
        length = int.from_bytes(session.recv(2), "big")
        assert dns.message.from_wire(session.recv(length)).rcode() == dns.rcode.NOERROR


def test_who_asks_for_it_learns_which_server_answered(server: Server) -> None:
    answer = say(
        server,
        STRANGER,
        asked("www.alpha.example", "A", dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")),
    )
    assert answer is not None
    assert [option.to_wire() for option in answer.options if option.otype == 3] == [b"ns-a"]
