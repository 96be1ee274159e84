"""Connections to upstreams over TLS: who is believed, and who is not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from resolver.forwarding.connection import CONNECT_S_MAX, LATE_TO_OPEN_S
from resolver.forwarding.entropy import Entropy
from resolver.forwarding.network import SendError
from resolver.forwarding.udp_pool import UdpPools
from resolver.forwarding.upstream import Upstream
from tests.forwarding.tls_rig import Heard, Perform, Stage, perform, query, to
from tests.support import encrypted_upstreams as fake
from tests.support.encrypted_upstreams import HOST, LONG_AGO, LOOPBACK, Accepted, certified, framed
from tests.support.scenario_clock import FakeClock

__all__ = ["perform"]


def test_a_question_over_tls_is_answered(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        upstream = to(await stage.server())
        assert await stage.ask(upstream) == fake.answer_to(query())
        assert (upstream.handshakes, upstream.resumptions) == (1, 0)
        assert upstream.certificate_until == fake.FOR_EVER.timestamp()

    perform(play)


# Who is believed.


@pytest.mark.parametrize(
    ("names", "more", "reason", "words"),
    [
        (("other.example",), {}, "certificate_name", "not valid for 'dns.example'"),
        ((LOOPBACK,), {}, "certificate_name", "not valid for 'dns.example'"),
        ((), {}, "certificate_name", "not valid for 'dns.example'"),
        ((HOST,), {"until": LONG_AGO}, "certificate_expired", "certificate has expired"),
        ((HOST,), {"self_signed": True}, "certificate_untrusted", "self-signed certificate"),
        ((HOST,), {"by": certified("Other CA", self_signed=True)}, "certificate_untrusted", "issuer"),
    ],
)
def test_a_wrong_certificate_is_refused_and_named(
    perform: Perform, names: tuple[str, ...], more: dict[str, Any], reason: str, words: str
) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server(fake.silent, certified(*names, **more))
        upstream = to(server)
        assert await stage.ask(upstream) == reason
        assert words in upstream.details[reason]
        assert stage.streams.open_connections == 0

    perform(play)


def test_a_certificate_for_the_address_is_enough_where_no_name_was_given(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        upstream = to(await stage.server(own=certified(LOOPBACK)), host="")
        assert await stage.ask(upstream) == fake.answer_to(query())
        upstream = to(await stage.server(own=certified(HOST)), host="")
        assert await stage.ask(upstream) == "certificate_name"

    perform(play)


def test_a_pin_alone_decides_whatever_the_certificate_says(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        own = certified("x.example", until=LONG_AGO, self_signed=True)
        server = await stage.server(own=own)
        assert await stage.ask(to(server, "", (bytes(32), own.pin))) == fake.answer_to(query())
        upstream = to(server, "", (bytes(32),))
        assert await stage.ask(upstream) == "certificate_pin"
        assert "pinned" in upstream.details["certificate_pin"]

    perform(play)


def test_with_a_name_and_a_pin_both_must_hold(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        own, stranger = certified(HOST), certified("other.example")
        good, bad = await stage.server(own=own), await stage.server(own=stranger)
        assert await stage.ask(to(good, HOST, (own.pin,))) == fake.answer_to(query())
        assert await stage.ask(to(good, HOST, (stranger.pin,))) == "certificate_pin"
        assert await stage.ask(to(bad, HOST, (stranger.pin,))) == "certificate_name"

    perform(play)


def test_a_pin_is_checked_again_when_a_session_is_resumed(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        own = certified(HOST)
        upstream = to(await stage.server(fake.closing_after_each, own), "", (own.pin,))
        for _ in range(2):
            assert await stage.ask(upstream) == fake.answer_to(query())
            await stage.until_closed()
        assert upstream.resumptions == 1
        upstream.pins = (bytes(32),)
        assert await stage.ask(upstream) == "certificate_pin"

    perform(play)


def test_a_downgrade_to_an_old_version_is_refused(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def downgrading(accepted: Accepted) -> None:
            await accepted.reader.read(65_536)
            hello = b"\x03\x02" + bytes(32) + b"\0\xc0\x13\0"  # TLS 1.1 (RFC 4346 §7.4.1.3)
            handshake = b"\x02" + len(hello).to_bytes(3, "big") + hello
            accepted.writer.write(b"\x16\x03\x02" + framed(handshake))
            await fake.silent(accepted)

        upstream = to(await stage.plain_server(downgrading))
        assert await stage.ask(upstream) == "tls"
        assert upstream.details["tls"] == "it offers no TLS 1.2 or 1.3"

    perform(play)


def test_a_server_that_speaks_no_tls_gets_no_question(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        heard = bytearray()

        async def plain(accepted: Accepted) -> None:
            heard.extend(await accepted.reader.read(65_536))
            accepted.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await accepted.writer.drain()
            heard.extend(await accepted.reader.read(65_536))

        upstream = to(await stage.plain_server(plain))
        assert await stage.ask(upstream) == "tls"
        assert upstream.details["tls"] == "what it says is not TLS"
        assert b"secret" not in heard and heard[:1] == b"\x16"

    perform(play)


def test_one_that_closes_during_the_handshake_is_named(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def closing(accepted: Accepted) -> None:
            await accepted.reader.read(10)

        upstream = to(await stage.plain_server(closing))
        assert await stage.ask(upstream) == "stream"
        assert "during the handshake" in upstream.details["stream"]

    perform(play)


def test_a_handshake_that_does_not_end_is_given_up(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        begun = asyncio.Event()

        async def stalling(accepted: Accepted) -> None:
            await accepted.reader.read(10)
            begun.set()
            await fake.silent(accepted)

        upstream = to(await stage.plain_server(stalling))
        heard = stage.asked(upstream, query())
        await begun.wait()
        stage.clock.advance(CONNECT_S_MAX)
        assert await heard == "tls"
        assert "handshake" in upstream.details["tls"]
        assert stage.streams.open_connections == 0

    perform(play)


def test_a_handshake_that_is_late_gets_no_further_question(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        begun = asyncio.Semaphore(0)

        async def stalling(accepted: Accepted) -> None:
            await accepted.reader.read(10)
            begun.release()
            await fake.silent(accepted)

        upstream = to(await stage.plain_server(stalling))
        ticket = stage.streams.ask(upstream, query(1), Heard())
        assert not isinstance(ticket, SendError)
        await begun.acquire()
        stage.clock.advance(LATE_TO_OPEN_S / 2)
        stage.asked(upstream, query(2))
        assert stage.streams.counts.opened == 1
        ticket.close()
        stage.clock.advance(LATE_TO_OPEN_S / 2)
        stage.asked(upstream, query(3))
        assert stage.streams.counts.opened == 2
        await begun.acquire()

    perform(play)


def test_an_encrypted_upstream_is_never_asked_by_datagram() -> None:
    pools = UdpPools(FakeClock(), Entropy())
    try:
        upstream = Upstream(LOOPBACK, 853, "tls", host=HOST)
        assert pools.send(upstream, query(), Heard) == SendError("network")  # type: ignore[arg-type]
    finally:
        pools.close()
