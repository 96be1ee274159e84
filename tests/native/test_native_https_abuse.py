"""What clients of DNS over HTTPS may not do to the native plane: each attack ends, is counted, and costs nobody else."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from h2.settings import SettingCodes

from tests.native.https_play import PATIENCE_S, HttpsPlay, query, reply
from tests.support.https_client import TYPE, Http2Client, target_of

native: Any = pytest.importorskip("resolver_native", reason="resolver_native is not built")

pytestmark = pytest.mark.loopback

PRINTER = query("printer.example")
GET = f"GET {target_of(PRINTER)} HTTP/1.1\r\nHost: a\r\n".encode()
POST = f"POST /dns-query HTTP/1.1\r\nHost: a\r\nContent-Type: {TYPE}\r\n".encode()

HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 1, 2, 3, 4, 6, 7, 8, 9


@pytest.fixture
def play(ads_image: Path) -> Iterator[HttpsPlay]:
    with HttpsPlay(native, ads_image) as made:
        yield made
        # Whatever a test did: others are served.
        other = made.http2()
        assert other.response(other.get(PRINTER)).status == 200
        other.close()


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def frames_of(client: Http2Client) -> Iterator[tuple[int, int]]:
    """Kind and stream of each frame that comes."""
    said = b""
    while True:
        while len(said) >= 9 and len(said) >= (end := 9 + int.from_bytes(said[:3], "big")):
            yield said[3], int.from_bytes(said[5:9], "big")
            said = said[end:]
        octets = client.sock.recv(65536)
        if not octets:
            return
        said += octets


def flood(client: Http2Client, octets: bytes, times: int) -> None:
    """Send something over and over until the server has had enough, and read what it says."""
    try:
        for _ in range(times):
            client.raw(octets * 100)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        client.is_closed = True
    client.until_closed()


# HTTP/1.1: two readers must never see two different requests.


@pytest.mark.parametrize(
    "octets",
    [
        GET.replace(b"\r\n", b"\n") + b"\n",
        GET[:-2] + b"\n\r\n",
        GET + b"X: a\rb\r\n\r\n",
        POST + b"Content-Length: 33\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: identity\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        POST + b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 33\r\nContent-Length: 34\r\n\r\n" + PRINTER,
        POST + b"Content-Length: 33, 34\r\n\r\n" + PRINTER,
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: +33\r\n\r\n" + PRINTER,
        POST + b"Content-Length: 0x21\r\n\r\n" + PRINTER,
        POST + b"Content-Length: 18446744073709551649\r\n\r\n" + PRINTER,
        GET + b"X\0: y\r\n\r\n",
        GET + b"X y\r\n\r\n",
        GET.replace(b" HTTP/1.1", b" HTTP/1.1 HTTP/1.1") + b"\r\n",
        GET.replace(b"HTTP/1.1", b"HTTP/2.0") + b"\r\n",
        b"\r\n" * 10 + GET + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\0\1\0\1\xfc\x03\x03" + bytes(100),
        PRINTER,
    ],
)
def test_a_shape_that_smuggles_is_refused_and_its_connection_ends(play: HttpsPlay, octets: bytes) -> None:
    client = play.http1()
    client.send(octets + GET + b"\r\n")
    response = client.response()
    assert response is None or response.status == 400
    assert client.is_closed()
    client.close()


def test_what_a_chunked_body_hides_is_never_answered(play: HttpsPlay) -> None:
    client = play.http1()
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(PRINTER), PRINTER)
    client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + body + GET + b"\r\n")
    first = client.response()
    assert first is not None
    assert first.status == 200
    assert client.is_closed()
    client.close()


def test_heads_beyond_their_bounds_get_their_status(play: HttpsPlay) -> None:
    for octets, status in (
        (b"GET /dns-query?dns=" + b"A" * 100_000, 414),
        (GET + b"X: " + b"a" * 100_000, 431),
        (GET + b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 1000 + b"\r\n", 431),
        (GET + b"X: a\r\n" * 70 + b"\r\n", 431),
    ):
        client = play.http1()
        client.send(octets)
        response = client.response()
        assert response is not None
        assert response.status == status
        assert client.is_closed()
        client.close()
        assert dict(play.plane.https_responses())[status] >= 1


# HTTP/2: frames that ask nothing.


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (frame(SETTINGS, 0, 0, b"\0\3\0\0\0\x64"), "https_control_frames"),
        (frame(SETTINGS, 1, 0), "https_control_frames"),
        (frame(PING, 0, 0, bytes(8)), "https_control_frames"),
        (frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"), "https_control_frames"),
        (frame(PRIORITY, 0, 5, b"\0\0\0\0\x10"), "https_control_frames"),
        (frame(0xEE, 0, 0, b"x"), "https_control_frames"),
    ],
)
def test_a_flood_of_idle_frames_ends_its_connection(play: HttpsPlay, octets: bytes, reason: str) -> None:
    client = play.http2()
    flood(client, octets, 20)
    # The library itself may have had enough first.
    assert play.counter(reason) + play.counter("https_broken") == 1
    client.close()


def test_rapid_reset_ends_its_connection(play: HttpsPlay) -> None:
    client = play.http2()
    try:
        for _ in range(1000):
            stream = client.get(query("miss.example"))
            client.state.reset_stream(stream)
            client.flush()
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        pass
    client.until_closed()
    assert play.counter("https_resets") + play.counter("https_broken") == 1
    client.close()


def test_who_takes_back_a_request_now_and_then_is_served_on(play: HttpsPlay) -> None:
    client = play.http2()
    for _ in range(300):
        stream = client.get(PRINTER)
        client.flush()
        client.state.reset_stream(stream)
        assert client.response(client.get(PRINTER)).status == 200
    assert client.response(client.get(PRINTER)).status == 200
    client.close()


def test_endless_continuations_end_their_connection(play: HttpsPlay) -> None:
    client = play.http2()
    client.raw(frame(HEADERS, 0, 1, b"\x83"))
    flood(client, frame(CONTINUATION, 0, 1, b"\0\1a\1b"), 20)
    assert play.counter("https_control_frames") + play.counter("https_broken") == 1
    client.close()


def test_a_header_bomb_gets_its_status_and_the_connection_goes_on(play: HttpsPlay) -> None:
    client = play.http2()
    stream = client.begin(
        "GET", target_of(PRINTER), *(("x", f"{number}" + "a" * 3000) for number in range(8))
    )
    assert client.response(stream).status == 431
    assert comes_to(play, "https_headers", 1)
    assert dict(play.plane.https_responses())[431] == 1
    assert client.response(client.get(PRINTER)).status == 200
    # Its own statuses are none of these, however short they are.
    refused = client.response(client.begin("GET", "/elsewhere"))
    assert (refused.status, play.counter("https_headers")) == (404, 1)
    client.close()


def test_a_bomb_of_references_to_one_header_is_bounded(play: HttpsPlay) -> None:
    client = play.http2()
    # One field of 4,000 octets in the table (RFC 7541 §6.2.1), then thousands of references of one octet.
    field = b"\x40\1a\x7f\xa1\x1e" + b"b" * 4000
    head = b"\x82\x87\x04\x0a/dns-query\x41\x01a" + field + b"\xbe" * 4000
    client.state.get_next_available_stream_id()
    client.raw(frame(HEADERS, 5, 1, head))
    # It gets a status, or its connection ends: nothing is decoded without an end.
    said = next(seen for seen in frames_of(client) if seen[1] == 1 or seen[0] == GOAWAY)
    assert said in ((HEADERS, 1), (GOAWAY, 0))
    assert comes_to(play, "https_headers", 1)
    assert play.counter("https_broken") == 0
    client.close()


def test_half_open_streams_are_bounded_and_leave_others_alone(play: HttpsPlay) -> None:
    client = play.http2()
    assert client.response(client.get(PRINTER)).status == 200
    for _ in range(client.state.remote_settings.max_concurrent_streams or 0):
        client.begin("POST", "/dns-query", ("content-type", TYPE), end=False)
    client.flush()
    # One more than may be open, past the state machine that would not let it.
    head = b"\x83\x87\x04\x0a/dns-query\x41\x01a\x0f\x10\x17application/dns-message"
    client.raw(frame(HEADERS, 4, 1001, head))
    said = b""
    while b"\0\0\4\3\0" + (1001).to_bytes(4, "big") not in said:
        said += client.sock.recv(65536)
    refused = said.index(b"\0\0\4\3\0" + (1001).to_bytes(4, "big"))
    # RFC 9113 §8.7: REFUSED_STREAM, it may be asked again.
    assert said[refused + 9 : refused + 13] == b"\0\0\0\7"
    assert comes_to(play, "https_streams_max", 1)
    client.close()


# Slowness.


def test_a_client_that_does_not_read_gets_all_when_it_does(play: HttpsPlay) -> None:
    client = play.http2()
    stream = client.post(query("large.example", edns=True))
    client.flush()
    asked, sender = play.asked()
    play.upstream.sendto(reply(asked, addresses=70), sender)
    whole = len(client.response(stream).body)
    assert whole > 1000
    # More than the client's windows, and than what the server holds for one connection, several times.
    for _ in range(3):
        streams = [client.post(query("large.example", edns=True)) for _ in range(90)]
        client.flush()
        assert all(len(client.response(stream).body) == whole for stream in streams)
    client.close()


def test_whole_queries_that_wait_for_a_client_to_read_are_held_against_it(play: HttpsPlay) -> None:
    client = play.http2()
    stream = client.post(query("large.example", edns=True))
    client.flush()
    asked, sender = play.asked()
    play.upstream.sendto(reply(asked, addresses=70), sender)
    assert len(client.response(stream).body) > 1000
    # From here on it takes no octet of an answer; what it asks then waits behind those.
    client.state.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    for _ in range(60):
        client.post(query("large.example", edns=True))
    client.flush()
    try:
        # 2.5 MB of queries, where one connection may hold 1 MB.
        for _ in range(39):
            stream = client.begin("POST", "/dns-query", ("content-type", TYPE), end=False)
            send_whole(client, stream, bytes(65_000))
    except (ConnectionError, ssl.SSLError):
        client.is_closed = True
    client.until_closed()
    assert play.counter("tcp_connection_octets_max") == 1
    client.close()


def test_long_queries_that_wait_for_an_upstream_are_held_against_their_client(play: HttpsPlay) -> None:
    client = play.http2()
    try:
        # Each is short enough to come in one piece, so that nothing of it ever waits for the rest.
        for number in range(95):
            stream = client.begin("POST", "/dns-query", ("content-type", TYPE), end=False)
            send_whole(client, stream, long_query(f"long-{number}.example", 12_000))
    except (ConnectionError, ssl.SSLError):
        client.is_closed = True
    client.until_closed()
    assert play.counter("tcp_connection_octets_max") == 1
    client.close()


def long_query(name: str, octets: int) -> bytes:
    """A query with an option of private use that nobody reads (RFC 6891 §6.1.2)."""
    short = bytearray(query(name))
    short[10:12] = b"\0\1"
    filling = octets - len(short) - 15
    option = b"\xfd\xe9" + filling.to_bytes(2, "big") + bytes(filling)
    return bytes(short) + b"\0\0\x29\4\xd0\0\0\0\0" + len(option).to_bytes(2, "big") + option


def send_whole(client: Http2Client, stream: int, body: bytes) -> None:
    """A body, as fast as the server takes it.  Raises ConnectionError, ssl.SSLError."""
    while body and not client.is_closed:
        part = body[:16_384]
        if client.state.local_flow_control_window(stream) < len(part):
            client.read()
            continue
        body = body[len(part) :]
        client.state.send_data(stream, part, end_stream=not body)
        client.flush()


# TLS.


def hello_of(port: int) -> bytes:
    """The first octets of a client that would speak with this server."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2"])
    client = context.wrap_bio(incoming, outgoing, server_hostname="dns.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def wait_for(connect: Callable[[], Http2Client]) -> Http2Client:
    """A connection, as soon as the server has seen that another is gone."""
    while True:
        try:
            return connect()
        except (ConnectionError, ssl.SSLError):
            continue


def closes(sock: socket.socket) -> bool:
    """Whether the server ends this connection."""
    try:
        while sock.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize(
    "make",
    [
        lambda hello: GET + b"\r\n",
        lambda hello: b"\0\x1d" + PRINTER,
        lambda hello: b"\x80" * 1000,
        lambda hello: hello[:5] + b"\2" + hello[6:],
        lambda hello: b"\x16\3\1\x48\x01" + bytes(18_433),
    ],
)
def test_octets_that_are_no_handshake_end_it_and_are_counted(
    play: HttpsPlay, make: Callable[[bytes], bytes]
) -> None:
    with socket.create_connection(("127.0.0.1", play.port), 10) as sock:
        sock.sendall(make(hello_of(play.port)))
        assert closes(sock)
    # Whoever comes behind it is served when it is counted.
    play.http2().close()
    failures = dict(play.plane.handshakes()[1])
    assert (failures["garbage"], sum(failures.values())) == (1, 1)
    assert play.counter("tls_failed") == 1


def test_garbage_behind_the_handshake_ends_the_session_and_counts_against_its_client(
    ads_image: Path,
) -> None:
    with HttpsPlay(native, ads_image, handshakes_per_s_max=20, handshakes_per_client_max=20) as play:
        broken = 0
        until = time.monotonic() + PATIENCE_S
        while not play.counter("tls_breaches_of_client") and time.monotonic() < until:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                client = play.http2()
                client.read()  # Its settings: what is sent before them may be read as part of the handshake.
                with socket.socket(fileno=client.sock.detach()) as plain:
                    plain.settimeout(PATIENCE_S)
                    plain.sendall(b"\x17\3\3\0\x20" + bytes(32))
                    assert closes(plain)
                broken += 1
        assert play.counter("tls_breaches_of_client") and broken >= 3
        assert comes_to(play, "tls_failed", broken)
        failures = dict(play.plane.handshakes()[1])
        assert failures["limit"] == sum(failures.values()), "the handshakes of all others were done"


def test_connections_that_are_opened_ahead_and_say_nothing_cost_their_client_nothing(
    ads_image: Path,
) -> None:
    # A debt would last a second.
    bounds: dict[str, Any] = {"handshakes_per_s_max": 2, "handshakes_per_client_max": 4, "idle_s": 0.6}
    with HttpsPlay(native, ads_image, **bounds) as play:
        silent = [socket.create_connection(("127.0.0.1", play.port), 10) for _ in range(2)]
        for sock in silent:
            assert closes(sock)
            sock.close()
        wait_for(play.http2).close()
        assert play.counter("tls_handshake_timeout") >= 2
        assert play.counter("tls_breaches_of_client") == 0


def test_garbage_in_the_middle_of_a_handshake_ends_it(play: HttpsPlay) -> None:
    with socket.create_connection(("127.0.0.1", play.port), 10) as sock:
        sock.sendall(hello_of(play.port))
        assert sock.recv(1) == b"\x16"
        sock.sendall(b"\x17\3\3\0\x20" + bytes(32))
        assert closes(sock)
    # Whoever comes behind it is served when it is counted.
    play.http2().close()
    failures = dict(play.plane.handshakes()[1])
    assert (failures["garbage"], sum(failures.values())) == (1, 1)


def test_a_client_that_does_not_trust_us_is_counted(play: HttpsPlay) -> None:
    with socket.create_connection(("127.0.0.1", play.port), 10) as sock:
        strict = ssl.create_default_context()
        strict.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLCertVerificationError):
            strict.wrap_socket(sock, server_hostname="dns.example")
    other = play.http2()
    other.close()
    assert dict(play.plane.handshakes()[1])["alert"] == 1


def test_a_hello_may_come_octet_by_octet(play: HttpsPlay) -> None:
    with socket.create_connection(("127.0.0.1", play.port), 10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in hello_of(play.port):
            sock.sendall(bytes([octet]))
        assert sock.recv(1) == b"\x16"


def test_a_connection_that_says_nothing_is_counted_when_it_goes(play: HttpsPlay) -> None:
    socket.create_connection(("127.0.0.1", play.port), 10).close()
    other = play.http2()
    assert other.response(other.get(PRINTER)).status == 200
    other.close()
    assert dict(play.plane.handshakes()[1])["closed"] == 1


def test_places_are_bounded_and_come_back(ads_image: Path) -> None:
    with HttpsPlay(native, ads_image, connections_per_client_max=2) as play:
        held = [play.http2(), play.http2()]
        with pytest.raises((ConnectionError, ssl.SSLError)):
            play.http2()
        assert play.counter("tcp_connections_per_client_max") == 1
        held.pop().close()
        held.append(wait_for(play.http2))
        assert held[-1].response(held[-1].get(PRINTER)).status == 200
        for client in held:
            client.close()


def test_handshakes_of_one_client_are_bounded(ads_image: Path) -> None:
    with HttpsPlay(native, ads_image, handshakes_per_client_max=2) as play:
        held = [play.http2(), play.http2()]
        with pytest.raises((ConnectionError, ssl.SSLError)):
            play.http2()
        assert dict(play.plane.handshakes()[1])["limit"] == 1
        assert play.counter("tls_handshakes_per_s_per_client_max") == 1
        for client in held:
            client.close()


def test_a_stranger_costs_no_handshake(ads_image: Path) -> None:
    with HttpsPlay(native, ads_image, allow=[(b"\xc0\0\2\0", 24)]) as play:
        for _ in range(2):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                play.http2()
        assert comes_to(play, "tls_stranger", 2)


def comes_to(play: HttpsPlay, name: str, count: int) -> bool:
    """Whether so many of this name are counted before patience ends."""
    until = time.monotonic() + PATIENCE_S
    while play.counter(name) != count and time.monotonic() < until:
        select.select([play.plane.fileno()], [], [], 0.01)
    return play.counter(name) == count
