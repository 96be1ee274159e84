"""Attackers on encrypted streams do what they are named after, whatever the server makes of it."""

from __future__ import annotations

import random
import ssl
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import hpack
import pytest

from benchmarks import abuse_http2 as http2
from benchmarks.abuse_attacks import http2_frame
from benchmarks.abuse_catalogue import ATTACKS, ENCRYPTED
from benchmarks.abuse_tls import (
    COEFFICIENTS,
    HANDSHAKE,
    MODULUS,
    client_hello,
    early_data,
    post_quantum_share,
    record,
)
from tests.support.list_server import serving


def server_says(folder: Path, octets: bytes) -> bytes:
    """What a server of TLS sends in return for `octets`."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = serving(folder)
    context.set_alpn_protocols(["dot"])
    session = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(octets)
    with pytest.raises(ssl.SSLError):
        session.do_handshake()
    return outgoing.read()


def test_a_made_up_hello_makes_a_server_answer_in_full(tmp_path: Path) -> None:
    said = server_says(tmp_path, record(HANDSHAKE, client_hello(random.Random(1))))
    assert said[0] == HANDSHAKE
    assert len(said) > 500, "with its certificate and signature"


def test_a_long_hello_is_a_legal_one(tmp_path: Path) -> None:
    said = server_says(tmp_path, record(HANDSHAKE, client_hello(random.Random(1), filling_octets=40_000)))
    assert said[0] == HANDSHAKE


def test_early_data_is_announced_by_a_hello_that_is_answered(tmp_path: Path) -> None:
    chance = random.Random(1)
    said = server_says(tmp_path, record(HANDSHAKE, client_hello(chance, more=early_data(chance))))
    assert said[0] == HANDSHAKE


def test_a_made_up_share_has_coefficients_under_the_modulus() -> None:
    share = post_quantum_share(random.Random(1))
    assert len(share) == 1184 + 32
    packed = share[: COEFFICIENTS // 2 * 3]
    for at in range(0, len(packed), 3):
        first, second, third = packed[at : at + 3]
        assert first | (second & 15) << 8 < MODULUS
        assert second >> 4 | third << 4 < MODULUS


def frames_of(kind: type[http2.Http2], bursts: int = 2) -> bytes:
    """What an attacker sends behind the preface."""
    attacker = kind.__new__(kind)
    attacker.stream = -1
    return b"".join(attacker.frames() for _ in range(bursts))


def server_events(octets: bytes) -> list[h2.events.Event]:
    """What a server of HTTP/2 sees of it."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
    server.initiate_connection()
    return server.receive_data(http2.PREFACE + http2_frame(http2.SETTINGS, 0, 0, b"") + octets)


def test_rapid_resets_are_requests_taken_back() -> None:
    events = server_events(frames_of(http2.RapidReset, 1))
    kinds = (h2.events.RequestReceived, h2.events.StreamReset)
    assert [sum(isinstance(event, kind) for event in events) for kind in kinds] == [http2.BURST] * 2
    # Half of them have begun work.
    assert sum(isinstance(event, h2.events.StreamEnded) for event in events) == http2.BURST / 2


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        (http2.PingFlood, h2.events.PingReceived),
        (http2.SettingsFlood, h2.events.RemoteSettingsChanged),
        (http2.WindowFlood, h2.events.WindowUpdated),
        (http2.PriorityFlood, h2.events.PriorityUpdated),
        (http2.EmptyData, h2.events.DataReceived),
    ],
)
def test_floods_are_of_the_frames_they_are_named_after(
    kind: type[http2.Http2], event: type[h2.events.Event]
) -> None:
    assert sum(isinstance(each, event) for each in server_events(frames_of(kind))) >= http2.BURST


def test_a_header_bomb_grows_a_thousand_times() -> None:
    attacker = http2.HeaderBomb.__new__(http2.HeaderBomb)
    attacker.stream = -1
    decoder = hpack.Decoder(max_header_list_size=1 << 30)
    decoder.decode(attacker.frames()[9:])
    bomb = attacker.frames()[9:]
    assert sum(len(value) for _, value in decoder.decode(bomb)) > 1_000 * len(bomb) / 2


def test_half_open_requests_end_never() -> None:
    events = server_events(frames_of(http2.HalfOpen, 1))
    assert any(isinstance(event, h2.events.RequestReceived) for event in events)
    assert not any(isinstance(event, h2.events.StreamEnded) for event in events)


def test_every_attack_on_streams_is_among_all() -> None:
    assert set(ENCRYPTED) < set(ATTACKS)
    assert all(attack.does for attack in ENCRYPTED.values())
