"""DNS over HTTPS: the stream listener over real sockets on loopback, in front of a scripted service."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, StreamEnded, StreamReset

from resolver.flow.outcome import Drop
from resolver.flow.peer import Transport
from resolver.listeners import connection, stream
from resolver.listeners.http import CONTROL, MEDIA_TYPE, OVER_HEADERS, RESETS, STREAMS
from resolver.listeners.https_connection import HttpSide
from resolver.listeners.limits import NEVER
from resolver.listeners.stream import StreamListener
from resolver.listeners.tls_connection import TlsSide
from tests.listeners.http2_rig import frame
from tests.listeners.stream_rig import ScriptedService, connect, is_closed, run, until
from tests.listeners.tls_rig import Client as TlsClient
from tests.support.list_server import serving

DATE = b"Mon, 01 Jun 2026 00:00:00 GMT"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    made = serving(tmp_path_factory.mktemp("https"))
    made.set_alpn_protocols(["h2", "http/1.1"])
    return made


@pytest.fixture
def quick_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SWEEP_EVERY_S", 0.01)


class Sides:
    """What makes a listener speak HTTPS, and what it counted."""

    def __init__(self, context: ssl.SSLContext, *, streams_max: int = 100) -> None:
        self.tls = TlsSide(lambda now: context)
        self.http = HttpSide(lambda now: DATE, streams_max=streams_max)

    @property
    def options(self) -> dict[str, Any]:
        return {"transport": Transport.HTTPS, "tls": self.tls, "http": self.http}

    @property
    def statuses(self) -> Counter[int]:
        return self.http.statuses


class HttpClient(TlsClient):
    """A client over TLS that offers these protocols."""

    protocols: tuple[str, ...] = ("h2", "http/1.1")

    def tune(self, context: ssl.SSLContext) -> None:
        context.set_alpn_protocols(list(self.protocols))

    async def some(self) -> bytes:
        """Plain octets; empty: the end."""
        while True:
            try:
                return self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                if not await self._more():
                    return b""
            except (ssl.SSLZeroReturnError, ssl.SSLError):
                return b""

    async def until(self, mark: bytes) -> bytes:
        said = b""
        while mark not in said:
            part = await self.some()
            assert part, said
            said += part
        return said


class Http1Client(HttpClient):
    protocols = ("http/1.1",)


class Http2Client(HttpClient):
    """The same with hyper-h2 on top."""

    is_half_closed = False

    async def begin(self) -> Http2Client:
        await self.shake_hands()
        assert self.tls.selected_alpn_protocol() == "h2"
        self.http = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.http.initiate_connection()
        self.events: list[Event] = []
        self.send()
        return self

    def send(self) -> None:
        octets = self.http.data_to_send()
        if octets and not self.is_half_closed:
            self.say(octets)

    def close_half(self) -> None:
        self.is_half_closed = True
        self.writer.write_eof()

    def ask(self, body: bytes, *, end: bool = True) -> int:
        number = self.http.get_next_available_stream_id()
        headers = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", b"dns.example"),
            (b":path", b"/dns-query"),
            (b"content-type", MEDIA_TYPE),
        ]
        self.http.send_headers(number, headers)
        self.http.send_data(number, body, end_stream=end)
        return number

    async def hear(self) -> bool:
        octets = await self.some()
        for event in self.http.receive_data(octets) if octets else ():
            if isinstance(event, DataReceived):
                self.http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            self.events.append(event)
        self.send()
        return bool(octets)

    async def wait_for(self, kind: type[Event], number: int | None = None) -> Any:
        while True:
            for event in self.events:
                if isinstance(event, kind) and number in (None, getattr(event, "stream_id", None)):
                    return event
            assert await self.hear(), "the server hung up"

    async def answer(self, number: int) -> bytes:
        await self.wait_for(StreamEnded, number)
        return b"".join(
            event.data or b""
            for event in self.events
            if isinstance(event, DataReceived) and event.stream_id == number
        )


def query(number: int, text: bytes) -> bytes:
    return number.to_bytes(2, "big") + text.ljust(10, b".")


async def http2(listener: StreamListener) -> Http2Client:
    return await Http2Client(*await connect(listener)).begin()


async def http1(listener: StreamListener) -> Http1Client:
    client = Http1Client(*await connect(listener))
    await client.shake_hands()
    return client


def post(body: bytes) -> bytes:
    head = b"POST /dns-query HTTP/1.1\r\nhost: a\r\ncontent-type: application/dns-message\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def test_requests_are_answered_as_they_become_ready_and_counted_as_https(context: ssl.SSLContext) -> None:
    sides = Sides(context)

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await http2(listener)
        slow, quick = client.ask(query(0, b"wait")), client.ask(query(1, b"quick"))
        client.send()
        assert await client.answer(quick) == b"\0\1quick....."
        [(ask, _)] = service.waiting
        assert ask.peer.transport is Transport.HTTPS
        service.release()
        assert (await client.answer(slow))[:2] == b"\0\0"

    reporter = run(play, **sides.options)
    assert {(key.transport, count) for key, count, _ in reporter.tallies.snapshot().counts} == {("https", 2)}
    assert not reporter.drops and sides.statuses == {200: 2}
    [(labels, count)] = sides.tls.counts.sessions.items()
    assert (labels[0], labels[1], labels[3], count) == ("https", "1.3", "false", 1)


def test_http_1_is_answered_in_order(context: ssl.SSLContext) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await http1(listener)
        client.say(post(query(0, b"wait")) + post(query(1, b"quick")))
        await until(lambda: len(service.waiting) == 1)
        await asyncio.sleep(0.02)
        assert service.asked == 1
        service.release()
        said = await client.until(b"\0\1quick.....")
        assert said.index(b"\0\0wait") < said.index(b"\0\1quick")

    assert not run(play, **Sides(context).options).drops


def test_a_request_in_pieces_and_a_hundred_at_once_are_answered(context: ssl.SSLContext) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await http2(listener)
        numbers = [client.ask(query(number, b"quick")) for number in range(90)]
        octets = client.http.data_to_send()
        for at in range(0, len(octets), 37):
            client.say(octets[at : at + 37])
            await asyncio.sleep(0)
        for number, stream_id in enumerate(numbers):
            assert (await client.answer(stream_id))[:2] == number.to_bytes(2, "big")

    assert not run(play, **Sides(context).options).drops


def test_a_dropped_query_resets_its_stream_and_ends_a_connection_of_http_1(context: ssl.SSLContext) -> None:
    class Dropping(ScriptedService):
        def answer_now(self, octets: bytes, peer: Any, now: float) -> Any:
            return Drop("policy", close=True) if b"drop" in octets else super().answer_now(octets, peer, now)

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        listener.service = Dropping()  # type: ignore[assignment]
        client = await http2(listener)
        dropped, quick = client.ask(query(0, b"drop")), client.ask(query(1, b"quick"))
        client.send()
        assert await client.answer(quick) == b"\0\1quick....."
        await client.wait_for(StreamReset, dropped)
        other = await http1(listener)
        other.say(post(query(0, b"drop")))
        assert await other.some() == b""
        other = await http1(listener)
        other.say(post(query(2, b"quick")) + post(query(0, b"drop")) + post(query(3, b"quick")))
        said = b""
        while part := await other.some():
            said += part
        assert b"\0\2quick" in said and b"\0\3quick" not in said, "what was answered before"

    run(play, **Sides(context).options)


def test_a_defect_of_ours_costs_one_request_and_not_the_connection(context: ssl.SSLContext) -> None:
    class Defective(ScriptedService):
        def answer_now(self, octets: bytes, peer: Any, now: float) -> Any:
            assert b"defect" not in octets
            return super().answer_now(octets, peer, now)

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        listener.service = Defective()  # type: ignore[assignment]
        client = await http2(listener)
        broken, quick = client.ask(query(0, b"defect")), client.ask(query(1, b"quick"))
        client.send()
        assert await client.answer(quick) == b"\0\1quick....."
        await client.wait_for(StreamReset, broken)

    assert run(play, **Sides(context).options).drops == {"defect": 1}


def test_a_client_that_closes_its_half_gets_its_answers_and_the_end(context: ssl.SSLContext) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await http2(listener)
        number = client.ask(query(0, b"wait"))
        client.send()
        await until(lambda: len(service.waiting) == 1)
        client.close_half()
        await asyncio.sleep(0.02)
        service.release()
        assert (await client.answer(number))[:2] == b"\0\0"
        while await client.hear():
            pass
        await until(lambda: listener.connections == 0)

    assert not run(play, **Sides(context).options).drops


def test_all_that_came_before_a_half_close_is_answered_over_http_1(context: ssl.SSLContext) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await http1(listener)
        client.say(b"".join(post(query(number, b"wait")) for number in range(3)))
        client.writer.write_eof()
        for number in range(3):
            await until(lambda: len(service.waiting) == 1)
            service.release()
            await client.until(bytes([0, number]) + b"wait")
        assert await client.some() == b""

    assert not run(play, **Sides(context).options).drops


def test_an_answer_to_a_request_that_was_taken_back_goes_nowhere(context: ssl.SSLContext) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await http2(listener)
        client.http.reset_stream(client.ask(query(0, b"wait")))
        number = client.ask(query(1, b"quick"))
        client.send()
        await client.answer(number)
        service.release()
        later = client.ask(query(2, b"quick"))
        client.send()
        await client.answer(later)

    assert not run(play, **Sides(context).options).drops


@pytest.mark.usefixtures("quick_sweep")
def test_an_idle_connection_is_told_its_end(context: ssl.SSLContext) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await http2(listener)
        await client.wait_for(ConnectionTerminated)
        while await client.hear():
            pass
        client.writer.close()
        await until(lambda: listener.connections == 0)

    assert not run(play, idle_s=0.05, **Sides(context).options).drops


def test_a_stop_answers_what_is_open_and_ends(context: ssl.SSLContext) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await http2(listener)
        number = client.ask(query(0, b"wait"))
        client.send()
        await until(lambda: len(service.waiting) == 1)
        listener.stop_reading()
        service.release()
        said = b""
        while part := await client.some():
            said += part
        assert b"\0\0wait" in said and number == 1

    run(play, **Sides(context).options)


@pytest.mark.parametrize(
    ("flood", "reason"),
    [
        (frame(6, 0, 0, bytes(8)) * 1_000, CONTROL),
        (frame(4, 0, 0, b"") * 1_000, CONTROL),
        (frame(1, 1, 1, b"\x82" * 16_000) + frame(9, 0, 1, b"\x82" * 16_000), OVER_HEADERS),
    ],
)
def test_a_flood_is_cut_and_counted(context: ssl.SSLContext, flood: bytes, reason: str) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await http2(listener)
        client.say(flood)
        await client.until(frame(7, 0, 0, b"")[3:9])  # GOAWAY
        client.writer.close()
        await until(lambda: listener.connections == 0)

    assert run(play, **Sides(context).options).drops == {reason: 1}


def test_rapid_reset_is_cut_with_its_questions_bounded(context: ssl.SSLContext) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await http2(listener)
        with contextlib.suppress(ConnectionError):
            for number in range(300):
                client.http.reset_stream(client.ask(query(number, b"wait")))
                client.send()
                await client.writer.drain()
        await until(lambda: listener.reporter.drops[RESETS] == 1 or len(service.waiting) >= 100)
        assert len(service.waiting) <= 101

        def is_cut() -> bool:
            # Its last question may come after the others were released: the connection stays until that ends.
            while service.waiting:
                service.release()
            return listener.reporter.drops[RESETS] == 1

        await until(is_cut)
        client.writer.close()
        await until(lambda: is_cut() and listener.connections == 0)

    run(play, **Sides(context).options)


def test_requests_beyond_the_limit_of_streams_are_refused_and_counted(context: ssl.SSLContext) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await http2(listener)
        numbers = [client.ask(query(number, b"wait")) for number in range(5)]
        client.send()
        for number in numbers[3:]:
            await client.wait_for(StreamReset, number)
        assert len(service.waiting) == 3

    assert run(play, **Sides(context, streams_max=3).options).drops == {STREAMS: 2}


@pytest.mark.usefixtures("quick_sweep")
def test_a_client_that_reads_nothing_is_cut(context: ssl.SSLContext) -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await http2(listener)
        client.http.increment_flow_control_window(1 << 30)
        for number in range(80):
            client.ask(query(number, b"big"))
        client.send()
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: listener.connections == 0)

    drops = run(play, idle_s=0.2, **Sides(context).options).drops
    assert set(drops) <= {"tcp_client_does_not_read", "tcp_connection_octets_max"} and drops


@pytest.mark.parametrize(
    "text", [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /dns-query?dns=" + b"A" * 100_000]
)
def test_statuses_of_what_is_no_query_are_counted(context: ssl.SSLContext, text: bytes) -> None:
    sides = Sides(context)

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await http1(listener)
        client.say(text)
        said = await client.until(b"\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 4")
        assert service.asked == 0

    run(play, **sides.options)
    assert sides.statuses in ({404: 1}, {414: 1})


def test_without_a_protocol_http_1_is_spoken_and_garbage_ends(context: ssl.SSLContext) -> None:
    class Plain(Http1Client):
        def tune(self, context: ssl.SSLContext) -> None:
            """Offers nothing."""

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = Plain(*await connect(listener))
        await client.shake_hands()
        client.say(post(query(3, b"quick")))
        await client.until(b"\0\3quick")
        client.say(b"\xff\xfe\n\n" * 10)
        assert b" 400 " in await client.until(b"\r\n\r\n")
        while await client.some():
            pass
        assert await is_closed(client.reader)

    assert set(run(play, **Sides(context).options).drops) == {"https_broken"}


@pytest.mark.usefixtures("quick_sweep")
def test_a_client_that_does_not_send_the_rest_of_a_request_is_slow(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SLOW_AFTER_S", 0.02)

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        client = await http2(listener)
        [held] = listener._connections
        number = client.ask(query(1, b"quick"))
        client.send()
        await client.answer(number)
        assert held.place.slow_since == NEVER
        client.ask(query(2, b"quick"), end=False)
        client.send()
        await until(lambda: held.place.slow_since < NEVER)

    assert not run(play, **Sides(context).options).drops
