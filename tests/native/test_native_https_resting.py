"""DNS over HTTPS on the native plane: connections that were taken from the library while they were quiet go on."""

from __future__ import annotations

import contextlib
import select
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.native.https_play import ADDRESS, PATIENCE_S, HttpsPlay, query, reply
from tests.support.https_client import TYPE, Http2Client

native: Any = pytest.importorskip("resolver_native", reason="resolver_native is not built")
testing: Any = pytest.importorskip("resolver_native.testing", reason="resolver_native is not built")

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

PRINTER = query("printer.example")
WINDOW_OCTETS = 1_000_000
HEADERS, RST_STREAM, GOAWAY, WINDOW_UPDATE = 1, 3, 7, 8
BOTH_ENDS = 5
"""END_STREAM and END_HEADERS."""


@pytest.fixture
def play(ads_image: Path) -> Iterator[HttpsPlay]:
    with HttpsPlay(native, ads_image, idle_s=60.0) as made:
        yield made


def client_of(play: HttpsPlay) -> Http2Client:
    """One that lets the server send as much as browsers do."""
    client = play.http2()
    client.state.increment_flow_control_window(WINDOW_OCTETS)
    client.flush()
    return client


def asks(client: Http2Client, *, by_post: bool = False) -> None:
    """It asks, and is answered."""
    response = client.response(client.post(PRINTER) if by_post else client.get(PRINTER))
    assert (response.status, response.body[-4:]) == (200, ADDRESS)


def rests(play: HttpsPlay, count: int, *clients: Http2Client) -> bool:
    """Whether connections come to rest so many times before patience ends; clients agree to what they are told."""
    until = time.monotonic() + PATIENCE_S
    while testing.https_rests(play.plane) < count and time.monotonic() < until:
        readable, _, _ = select.select([client.sock for client in clients], [], [], 0.05)
        for client in clients:
            if client.sock in readable:
                client.read()
    return bool(testing.https_rests(play.plane) == count)


def frame(kind: int, stream: int, payload: bytes, flags: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def test_a_connection_that_rested_goes_on_as_if_nothing_had_been(play: HttpsPlay) -> None:
    client = client_of(play)
    window = client.state.outbound_flow_control_window
    for turn in range(1, 4):
        for _ in range(turn):
            asks(client)
            asks(client, by_post=True)
        assert rests(play, turn, client)
    asks(client)
    # What it sent by POST is made good, before or behind a rest, and it never had more to send than it was told.
    assert client.state.outbound_flow_control_window > window
    assert client.goaway is None and not client.is_closed
    client.close()


def test_a_burst_behind_a_rest_may_fill_the_window(play: HttpsPlay) -> None:
    client = client_of(play)
    asks(client)
    assert rests(play, 1, client)
    # More in all than the 65,535 octets that a connection begins with, and in one piece.
    streams = [client.begin("POST", "/dns-query", ("content-type", TYPE), end=False) for _ in range(2)]
    for stream in streams:
        for number in range(4):
            client.state.send_data(stream, bytes(16_000), end_stream=number == 3)
    client.flush()
    assert [client.response(stream).status for stream in streams] == [200, 200]
    assert client.goaway is None and not client.is_closed
    client.close()


def breaks(client: Http2Client) -> None:
    """It refers to a header that is in no table, as some do behind a rest, and is closed."""
    client.raw(frame(HEADERS, 101, b"\xbe", BOTH_ENDS))
    client.until_closed()
    client.close()


def test_who_breaks_behind_a_rest_pays_no_fine(ads_image: Path) -> None:
    with HttpsPlay(native, ads_image, handshakes_per_s_max=20, handshakes_per_client_max=20) as play:
        clients = [client_of(play) for _ in range(8)]
        for client in clients:
            asks(client)
        assert rests(play, len(clients), *clients)
        for client in clients:
            breaks(client)
        other = play.http2()
        asks(other)
        other.close()
        assert (play.counter("https_broken"), play.counter("tls_breaches_of_client")) == (len(clients), 0)
        # Who breaks without a rest does.
        until = time.monotonic() + PATIENCE_S
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while not play.counter("tls_breaches_of_client") and time.monotonic() < until:
                breaks(play.http2())
        assert play.counter("tls_breaches_of_client") == 1


def test_what_a_client_says_of_streams_that_were_is_no_fault(play: HttpsPlay) -> None:
    client = client_of(play)
    stream = client.get(PRINTER)
    assert client.response(stream).status == 200
    assert rests(play, 1, client)
    client.raw(frame(WINDOW_UPDATE, stream, (100).to_bytes(4, "big")))
    client.raw(frame(RST_STREAM, stream, (8).to_bytes(4, "big")))
    asks(client)
    client.state.ping(b"12345678")
    asks(client)
    assert client.goaway is None and not client.is_closed
    client.close()


def test_a_question_that_waits_behind_a_rest_is_answered_by_the_upstream(play: HttpsPlay) -> None:
    client = client_of(play)
    asks(client)
    assert rests(play, 1, client)
    stream = client.get(query("far.example"))
    client.flush()
    octets, sender = play.asked()
    # While it waits, the connection does not rest.
    assert testing.https_rests(play.plane) == 1
    play.upstream.sendto(reply(octets), sender)
    assert client.response(stream).body[-4:] == ADDRESS
    client.close()


def test_a_client_that_lets_us_send_little_keeps_the_library(play: HttpsPlay) -> None:
    narrow, wide = play.http2(), client_of(play)
    asks(narrow)
    asks(wide)
    assert rests(play, 1, narrow, wide), "the wide one alone"
    asks(narrow)
    asks(wide)
    narrow.close()
    wide.close()


def test_a_client_that_rests_is_told_to_go_when_its_time_is_up(ads_image: Path) -> None:
    with HttpsPlay(native, ads_image, idle_s=4.0) as play:
        client = client_of(play)
        asks(client)
        assert rests(play, 1, client)
        # Past its state machine, which takes nothing behind a GOAWAY, not even the PING that is due.
        assert client.sock.recv(65_536)[3] == GOAWAY
        client.close()


def test_a_client_that_goes_while_it_rests_frees_its_place(ads_image: Path) -> None:
    with HttpsPlay(native, ads_image, idle_s=60.0, connections_per_client_max=1) as play:
        client = client_of(play)
        asks(client)
        assert rests(play, 1, client)
        client.close()
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                other = play.http2()
            except OSError:
                continue
            break
        asks(other)
        other.close()
