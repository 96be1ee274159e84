"""Streams in the ways that RFC 7766, RFC 7858 and RFC 8484 allow and forbid, over TCP and TLS alike where both can.

Odd but legal clients are served; the others lose their connection, and nobody else's.
"""

from __future__ import annotations

import random
import socket
import ssl
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import dns.message
import dns.rcode
import pytest

from benchmarks.abuse_http2 import HTTP1_HEAD, SMUGGLING
from benchmarks.abuse_tls import HANDSHAKE, client_hello, early_data, record
from tests.loopback.encrypted import EncryptedServer
from tests.loopback.process import poll
from tests.loopback.slow_upstream import ADDRESS, SlowUpstream
from tests.support.asking import CLOSED, StreamClient, connected, received
from tests.support.tls_client import KeyClient, openssl

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

STREAMS = ("tcp", "tls")
WAIT_S = 10.0
PIPELINED = 20


@dataclass(frozen=True)
class Rig:
    """A server, and an upstream that holds some answers back."""

    server: EncryptedServer
    upstream: SlowUpstream


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, serving_engine: str) -> Iterator[Rig]:
    """Both, for all tests of one engine."""
    with SlowUpstream() as upstream:
        server = EncryptedServer(
            tmp_path_factory.mktemp("streams"),
            upstream_ports=(upstream.port,),
            changes={"upstreams": {"timeout_s": 30.0}},
        )
        with server:
            yield Rig(server, upstream)


def client(rig: Rig, transport: str) -> StreamClient:
    server = rig.server
    if transport == "tcp":
        return StreamClient(server.port)
    return StreamClient(server.ports["tls"], server.context())


def ask(qname: str, number: int = 1) -> bytes:
    return dns.message.make_query(qname, "A", id=number).to_wire()


def framed(octets: bytes) -> bytes:
    return len(octets).to_bytes(2, "big") + octets


def is_answer(reply: bytes | str, number: int = 1) -> bool:
    if not isinstance(reply, bytes):
        return False
    message = dns.message.from_wire(reply)
    return message.id == number and ADDRESS in message.to_text()


@pytest.mark.parametrize("transport", STREAMS)
def test_a_query_in_writes_of_one_octet_is_answered(rig: Rig, transport: str) -> None:
    asker = client(rig, transport)
    for octet in framed(ask("octets.example.org")):
        asker.socket.sendall(bytes((octet,)))
    assert is_answer(asker.receive())
    asker.close()


@pytest.mark.parametrize("transport", STREAMS)
def test_of_twenty_pipelined_a_slow_one_delays_none(rig: Rig, transport: str) -> None:
    asker = client(rig, transport)
    queries = [ask(f"held.{transport}.example.org", 1)]
    queries += [ask(f"p{number}.{transport}.example.org", number) for number in range(2, PIPELINED + 1)]
    asker.send(queries)
    answered = set()
    for _ in range(PIPELINED - 1):
        reply = asker.receive()
        assert isinstance(reply, bytes)
        answered.add(int.from_bytes(reply[:2], "big"))
    assert answered == set(range(2, PIPELINED + 1))
    asker.close()


@pytest.mark.parametrize("transport", STREAMS)
def test_who_says_no_more_is_still_answered(rig: Rig, transport: str) -> None:
    asker = client(rig, transport)
    asker.send([ask("half.example.org")])
    if isinstance(asker.socket, ssl.SSLSocket):
        # close_notify ends what the client says, not what it reads (RFC 8446 §6.1): sent by hand, because
        # Python's `unwrap` waits for the server's own.
        half_close_tls(asker.socket)
    else:
        asker.socket.shutdown(socket.SHUT_WR)
    assert is_answer(asker.receive())
    asker.close()


def half_close_tls(session: ssl.SSLSocket) -> None:
    """The socket's sending half closed behind the query."""
    socket.socket.shutdown(session, socket.SHUT_WR)


@pytest.mark.parametrize("transport", STREAMS)
@pytest.mark.parametrize("octets", [b"\0\0", b"\0\x0b" + bytes(11)], ids=["length-0", "length-11"])
def test_a_length_that_holds_no_header_ends_the_connection(rig: Rig, transport: str, octets: bytes) -> None:
    asker = client(rig, transport)
    asker.socket.sendall(octets)
    assert asker.receive() == CLOSED
    asker.close()


@pytest.mark.parametrize("transport", STREAMS)
def test_a_message_of_65535_octets_is_read_whole(rig: Rig, transport: str) -> None:
    asker = client(rig, transport)
    octets = bytearray(ask("long.example.org"))
    octets[10:12] = b"\0\1"
    filling = 65_535 - len(octets) - 11 - 4
    octets += b"\0\0\x29\x04\xd0\0\0\0\0" + (filling + 4).to_bytes(2, "big")
    octets += b"\xfd\xe9" + filling.to_bytes(2, "big") + bytes(filling)
    assert len(octets) == 65_535
    asker.send([bytes(octets), ask("after.example.org", 2)])
    reply = asker.receive()
    assert isinstance(reply, bytes)
    assert reply[:2] == octets[:2]
    assert is_answer(asker.receive(), 2)
    asker.close()


# TLS.


def raw(rig: Rig, key: str = "tls") -> socket.socket:
    """A plain connection to an encrypted listener."""
    return connected(rig.server.ports[key], None, [], "127.0.0.1")


def test_a_hello_in_pieces_of_one_octet_is_a_hello(rig: Rig) -> None:
    plain = raw(rig)
    context = rig.server.context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    while True:
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            for octet in outgoing.read():
                plain.sendall(bytes((octet,)))
            incoming.write(plain.recv(65_536))
            continue
        break
    plain.sendall(outgoing.read())
    session.write(framed(ask("pieces.example.org")))
    plain.sendall(outgoing.read())
    got = b""
    while len(got) < 2 or len(got) < 2 + int.from_bytes(got[:2], "big"):
        try:
            got += session.read(65_536)
        except ssl.SSLWantReadError:
            incoming.write(plain.recv(65_536))
    assert is_answer(got[2:])
    plain.close()


@pytest.mark.parametrize("cut", [1, 100, 700, 1_300])
def test_a_hello_with_a_post_quantum_share_is_answered_however_it_is_cut(rig: Rig, cut: int) -> None:
    plain = raw(rig)
    hello = record(HANDSHAKE, client_hello(random.Random(cut)))
    plain.sendall(hello[:cut])
    plain.sendall(hello[cut:])
    assert plain.recv(65_536)[:1] == bytes((HANDSHAKE,))
    plain.close()


HELLOS = {
    "16 MB": record(HANDSHAKE, b"\1\xff\xff\xff" + bytes(1 << 18)),
    "no hello at all": b"GET / HTTP/1.1\r\n\r\n" * 10,
    "a record of no kind": bytes((99, 3, 1, 0, 4)) + bytes(4),
    "an alert": bytes((21, 3, 1, 0, 2, 2, 40)),
}


@pytest.mark.parametrize("octets", HELLOS.values(), ids=[name.replace(" ", "-") for name in HELLOS])
@pytest.mark.parametrize("key", ["tls", "https"])
def test_what_is_no_hello_ends_the_connection_and_is_counted(rig: Rig, key: str, octets: bytes) -> None:
    before = rig.server.metric("resolver_tls_failures_total")
    plain = raw(rig, key)
    try:
        plain.sendall(octets)
    except ConnectionError:
        pass
    while received(plain):
        pass
    plain.close()
    poll(
        lambda: rig.server.metric("resolver_tls_failures_total") > before,
        timeout_s=WAIT_S,
        what="a failure is counted",
    )


def test_early_data_is_never_answered(rig: Rig) -> None:
    chance = random.Random(3)
    plain = raw(rig)
    plain.sendall(record(HANDSHAKE, client_hello(chance, more=early_data(chance))))
    plain.sendall(record(23, framed(ask("early.example.org"))))
    plain.settimeout(1.0)
    said = b""
    try:
        while more := received(plain):
            said += more
    except TimeoutError:
        pass
    plain.close()
    # A full handshake at most: nothing of a query's answer can stand in it before the client's Finished.
    assert len(said) < 8_192
    assert b"early" not in said


def test_old_versions_are_refused(rig: Rig) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    for port in rig.server.ports.values():
        with pytest.raises((ssl.SSLError, ConnectionError)):
            connected(port, context, ["dot", "h2"], "127.0.0.1").close()


def test_a_second_handshake_within_a_session_ends_it(rig: Rig) -> None:
    try:
        openssl()
    except (AttributeError, OSError):
        pytest.skip("Python has its OpenSSL to itself")
    with raw(rig) as plain:
        keys = KeyClient(tls12=True)
        try:
            is_done, octets = keys.shake_hands()
            plain.sendall(octets)
            while not is_done:
                is_done, octets = keys.shake_hands(plain.recv(65_536))
                plain.sendall(octets)
            plain.sendall(keys.renegotiate())
            # Refused by an alert or by the end; never by another certificate (CVE-2011-1473).
            said = b""
            plain.settimeout(1.0)
            try:
                while more := received(plain):
                    said += more
            except TimeoutError:
                pass
            assert len(said) < 500
        finally:
            keys.close()


# HTTP/1.1.


@pytest.mark.parametrize("number", range(len(SMUGGLING)))
def test_a_request_framed_in_two_ways_is_answered_as_one_at_most(rig: Rig, number: int) -> None:
    session = connected(rig.server.ports["https"], rig.server.context(), ["http/1.1"], "127.0.0.1")
    session.sendall(HTTP1_HEAD + SMUGGLING[number])
    session.settimeout(2.0)
    said = b""
    try:
        while more := received(session):
            said += more
    except TimeoutError:
        pass
    session.close()
    assert b"200 OK" not in said
    assert b" 200\r" not in said
    assert said.count(b"HTTP/1.1 ") <= 1, said


def test_every_transport_is_served_after_all_of_that(rig: Rig) -> None:
    for transport in STREAMS:
        asker = client(rig, transport)
        asker.send([ask("still.example.org")])
        assert is_answer(asker.receive())
        asker.close()
    assert rig.server.metric("resolver_dropped_total", reason="defect") == 0
