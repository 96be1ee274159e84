"""Connections to upstreams over TLS: who is believed, what is sent, what is kept, what breaks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop

from resolver.forwarding.connection import CONNECT_S_MAX, IDLE_S, LATE_TO_OPEN_S
from resolver.forwarding.entropy import Entropy
from resolver.forwarding.network import SendError
from resolver.forwarding.oddities import ANSWERS_UNLIMITED
from resolver.forwarding.stream import Streams
from resolver.forwarding.tls_terms import VERIFIED_FOR_S, TlsBook
from resolver.forwarding.udp_pool import UdpPools
from resolver.forwarding.upstream import Upstream
from resolver.wire.encode import encode_question
from resolver.wire.names import name_from_text
from resolver.wire.query_options import QUERY_BLOCK_OCTETS
from tests.support import encrypted_upstreams as fake
from tests.support.encrypted_upstreams import HOST, LONG_AGO, LOOPBACK, Accepted, certified, framed
from tests.support.scenario_clock import FakeClock

QUESTION = name_from_text("secret.example.org") + b"\0\1\0\1"


def query(number: int = 1, *, edns: bool = True) -> bytes:
    return encode_question(number, QUESTION, False, False, edns)


class Stage:
    """Streams on a fake clock, and servers that are closed at the end."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.clock = FakeClock()
        self.streams = Streams(asyncio.get_running_loop(), self.clock, TlsBook(fake.authorities_file(folder)))

    async def server(
        self, play: fake.Play = fake.answering, own: fake.Certified | None = None, *alpn: str
    ) -> fake.Upstream:
        context = fake.server_context(self.folder, own or certified(HOST), *alpn)
        return await self.stack.enter_async_context(fake.upstream(context, play))

    async def plain_server(self, play: fake.Play) -> fake.Upstream:
        return await self.stack.enter_async_context(fake.upstream(None, play))

    async def ask(self, upstream: Upstream, octets: bytes | None = None) -> bytes | str:
        """The reply, or the reason why there is none."""
        return await self.asked(upstream, octets or query())

    def asked(self, upstream: Upstream, octets: bytes) -> asyncio.Future[bytes | str]:
        heard = Heard()
        ticket = self.streams.ask(upstream, octets, heard)
        if isinstance(ticket, SendError):
            heard.on_error(ticket.reason)
        return heard.result

    async def until_closed(self) -> None:
        """Until no connection is open any more."""
        for _ in range(10_000):
            if not self.streams.open_connections:
                return
            await asyncio.sleep(0)
        raise AssertionError("a connection stays open")


class Heard:
    """A receiver that can be awaited."""

    def __init__(self) -> None:
        self.result: asyncio.Future[bytes | str] = asyncio.get_running_loop().create_future()

    def on_octets(self, octets: bytes) -> None:
        self.result.set_result(octets)

    def on_error(self, reason: str, sends: int | None = None) -> None:
        self.result.set_result(reason)


Play = Callable[[Stage], Coroutine[Any, Any, None]]
Perform = Callable[[Play], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def perform(request: pytest.FixtureRequest, tmp_path: Path) -> Perform:
    """Runs a play on either event loop."""

    async def run(play: Play) -> None:
        async with AsyncExitStack() as stack:
            stage = Stage(tmp_path, stack)
            try:
                await asyncio.wait_for(play(stage), 10.0)
            finally:
                stage.streams.close()
                await asyncio.sleep(0)

    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def perform(play: Play) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run(play))

    return perform


def to(server: fake.Upstream, host: str = HOST, pins: tuple[bytes, ...] = ()) -> Upstream:
    return Upstream(LOOPBACK, server.port, "tls", host=host, pins=pins)


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


# What is sent.


def test_nothing_of_a_question_can_be_read_on_the_way(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server()
        path = await stage.stack.enter_async_context(fake.eavesdropper(server.port))
        upstream = Upstream(LOOPBACK, path.port, "tls", host=HOST)
        assert await stage.ask(upstream) == fake.answer_to(query())
        assert path.seen and b"secret" not in path.seen.lower()

    perform(play)


def test_queries_are_padded_and_the_first_asks_for_how_long_it_may_stay(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        heard: list[bytes] = []

        async def keeping(accepted: Accepted) -> None:
            while True:
                heard.append(await accepted.read())
                accepted.reply(fake.answer_to(heard[-1]))

        upstream = to(await stage.server(keeping))
        for number in (1, 2):
            await stage.ask(upstream, query(number))
        await stage.ask(upstream, query(3, edns=False))
        assert [len(octets) for octets in heard[:2]] == [QUERY_BLOCK_OCTETS] * 2
        assert [b"\0\x0b\0\0\0\x0c" in octets for octets in heard] == [True, False, False]
        assert heard[2] == query(3, edns=False)

    perform(play)


def test_each_query_has_a_record_of_its_own(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server()
        path = await stage.stack.enter_async_context(fake.eavesdropper(server.port))
        upstream = Upstream(LOOPBACK, path.port, "tls", host=HOST)
        # All of them are sent when the connection is open.
        heard = [stage.asked(upstream, query(number)) for number in range(8)]
        for number in range(8):
            assert await heard[number] == fake.answer_to(query(number))
        assert path.seen.count(fake.RECORD_OF_A_QUERY) == 8

    perform(play)


def test_alpn_and_server_name_are_sent(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        seen: list[str | None] = []
        context = fake.server_context(stage.folder, certified(HOST), "dot")
        context.sni_callback = lambda _, name, __: seen.append(name)
        server = await stage.stack.enter_async_context(fake.upstream(context))
        await stage.ask(to(server))
        assert seen == [HOST]
        assert server.accepted[0].tls.selected_alpn_protocol() == "dot"

    perform(play)


# What is kept.


def test_a_connection_carries_many_questions(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        upstream = to(await stage.server())
        heard = [stage.asked(upstream, query(number)) for number in range(10)]
        for number in range(10):
            assert await heard[number] == fake.answer_to(query(number))
        assert (stage.streams.counts.opened, upstream.handshakes) == (1, 1)

    perform(play)


def test_a_certificate_is_looked_at_again_after_a_while(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        upstream = to(await stage.server(fake.closing_after_each))
        for pause_s, shaken in ((0.0, (1, 0)), (VERIFIED_FOR_S - 1.0, (1, 1)), (2.0, (2, 1)), (1.0, (2, 2))):
            stage.clock.advance(pause_s)
            assert await stage.ask(upstream) == fake.answer_to(query())
            assert (upstream.handshakes, upstream.resumptions) == shaken

    perform(play)


def test_a_session_is_resumed_on_the_next_connection(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        upstream = to(await stage.server(fake.closing_after_each))
        for _ in range(3):
            assert await stage.ask(upstream) == fake.answer_to(query())
            await stage.until_closed()
        assert (upstream.handshakes, upstream.resumptions) == (1, 2)

    perform(play)


def test_an_idle_connection_is_closed(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        upstream = to(await stage.server())
        await stage.ask(upstream)
        stage.clock.advance(IDLE_S - 0.1)
        assert stage.streams.open_connections == 1
        stage.clock.advance(0.2)
        assert stage.streams.open_connections == 0

    perform(play)


@pytest.mark.parametrize(("tenths", "open_after"), [(20, 1.9), (600, IDLE_S - 0.1)])
def test_the_server_says_for_how_long_a_connection_stays(
    perform: Perform, tenths: int, open_after: float
) -> None:
    async def play(stage: Stage) -> None:
        option = b"\0\0\x29\x04\xd0\0\0\0\0\0\6\0\x0b\0\2" + tenths.to_bytes(2, "big")

        async def keeping(accepted: Accepted) -> None:
            reply = bytearray(fake.answer_to(await accepted.read()) + option)
            reply[11] = 1
            accepted.reply(bytes(reply))
            await fake.silent(accepted)

        upstream = to(await stage.server(keeping))
        await stage.ask(upstream)
        stage.clock.advance(open_after)
        assert stage.streams.open_connections == 1
        stage.clock.advance(0.2)
        assert stage.streams.open_connections == 0

    perform(play)


def test_a_server_that_will_not_stay_gets_no_second_question_there(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        option = b"\0\0\x29\x04\xd0\0\0\0\0\0\6\0\x0b\0\2\0\0"

        async def leaving(accepted: Accepted) -> None:
            reply = bytearray(fake.answer_to(await accepted.read()) + option)
            reply[11] = 1
            accepted.reply(bytes(reply))
            await fake.silent(accepted)

        upstream = to(await stage.server(leaving))
        for number in (1, 2):
            assert isinstance(await stage.ask(upstream, query(number)), bytes)
        assert stage.streams.counts.opened == 2

    perform(play)


# What breaks.


def test_a_silent_connection_is_not_chosen_again(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        asked = asyncio.Event()

        async def falling_silent(accepted: Accepted) -> None:
            if len(server.accepted) == 1:
                await accepted.read()
                asked.set()
                await fake.silent(accepted)
            await fake.answering(accepted)

        server = await stage.server(falling_silent)
        upstream = to(server)
        stage.asked(upstream, query(1))
        await asked.wait()
        stage.clock.advance(1.0)
        assert await stage.ask(upstream, query(2)) == fake.answer_to(query(2))
        assert len(server.accepted) == 2

    perform(play)


def test_a_connection_that_breaks_after_an_answer_is_replaced_once(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def breaking(accepted: Accepted) -> None:
            accepted.reply(fake.answer_to(await accepted.read()))
            await accepted.read()
            accepted.abort()

        upstream = to(await stage.server(breaking))
        await stage.ask(upstream, query(1))
        assert await stage.ask(upstream, query(2)) == fake.answer_to(query(2))
        assert stage.streams.counts.retried == 1

    perform(play)


def test_one_that_closes_after_two_answers_is_learnt_when_it_did_so_twice(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def closing_after_two(accepted: Accepted) -> None:
            queries = [await accepted.read() for _ in range(4 if len(server.accepted) < 3 else 2)]
            for octets in queries[:2]:
                accepted.reply(fake.answer_to(octets))
            await accepted.writer.drain()
            accepted.close()

        server = await stage.server(closing_after_two)
        upstream = to(server)
        heard = [stage.asked(upstream, query(number)) for number in range(6)]
        for one in heard:
            await one
        assert upstream.oddities.answers_per_connection(stage.clock.now()) == 2

    perform(play)


def test_a_connection_that_is_cut_off_says_nothing_of_how_many_answers_there_are(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def cut_off(accepted: Accepted) -> None:
            accepted.reply(fake.answer_to(await accepted.read()))
            for _ in range(2):
                await accepted.read()
            accepted.abort()  # nobody said goodbye

        upstream = to(await stage.server(cut_off))
        for number in (0, 10, 20):
            await stage.ask(upstream, query(number))
            heard = [stage.asked(upstream, query(number + one)) for one in (1, 2)]
            await asyncio.wait(heard, timeout=0.2)
        assert upstream.oddities.answers_per_connection(stage.clock.now()) == ANSWERS_UNLIMITED

    perform(play)


def test_a_new_connection_that_breaks_is_replaced_where_others_were_answered_just_now(
    perform: Perform,
) -> None:
    async def play(stage: Stage) -> None:
        async def breaking_once(accepted: Accepted) -> None:
            if len(server.accepted) == 1:
                accepted.reply(fake.answer_to(await accepted.read()))
                await accepted.writer.drain()
                accepted.close()
            elif len(server.accepted) == 2:
                await fake.resetting(accepted)
            else:
                await fake.answering(accepted)

        server = await stage.server(breaking_once)
        upstream = to(server)
        upstream.answered_at = stage.clock.now()
        assert isinstance(await stage.ask(upstream, query(1)), bytes)
        await stage.until_closed()
        assert await stage.ask(upstream, query(2)) == fake.answer_to(query(2))
        assert len(server.accepted) == 3

    perform(play)


def test_one_that_breaks_off_each_question_fails_at_once(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server(fake.resetting)
        assert await stage.ask(to(server)) == "stream"
        assert len(server.accepted) == 1

    perform(play)


def test_an_answer_without_framing_ends_the_connection(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def broken(accepted: Accepted) -> None:
            await accepted.read()
            accepted.writer.write(b"\0\3abc")
            await fake.silent(accepted)

        assert await stage.ask(to(await stage.server(broken))) == "stream"
        assert stage.streams.open_connections == 0

    perform(play)


def test_octets_changed_on_the_way_end_the_connection(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def changed(accepted: Accepted) -> None:
            await accepted.read()
            # Behind TLS's back: a record that nobody sealed.
            socket = accepted.writer.get_extra_info("socket")
            os.write(socket.fileno(), b"\x17\x03\x03\0\x20" + bytes(32))
            await fake.silent(accepted)

        assert await stage.ask(to(await stage.server(changed))) == "stream"
        assert stage.streams.open_connections == 0

    perform(play)


def test_an_encrypted_upstream_is_never_asked_by_datagram() -> None:
    pools = UdpPools(FakeClock(), Entropy())
    try:
        upstream = Upstream(LOOPBACK, 853, "tls", host=HOST)
        assert pools.send(upstream, query(), Heard) == SendError("network")  # type: ignore[arg-type]
    finally:
        pools.close()
