"""Upstreams over TCP and TLS as the native plane asks them: who is believed, what is sent, kept, handed over.

Knows: fake upstreams on loopback, the stub file.  Does not know: what Python does with a handover.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from resolver.plane import Handover, TlsFields, UpstreamServerFields
from resolver.publishing.compiler import compile_policy
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from resolver.wire.query_options import QUERY_BLOCK_OCTETS
from tests.support import encrypted_upstreams as fake
from tests.support.encrypted_upstreams import HOST, LONG_AGO, LOOPBACK, Accepted, authority, certified

native: Any = pytest.importorskip("resolver_native", reason="resolver_native is not built")
testing: Any = pytest.importorskip("resolver_native.testing", reason="resolver_native is not built")

PATIENCE_S = 10.0
FAR = 1e18
BLOCKLIST = "version: 1\nexchanges: {}\n"

pytestmark = pytest.mark.loopback


def query(name: str, number: int) -> bytes:
    return encode_query(
        name_from_text(name), 1, id=number, dnssec_ok=False, checking_disabled=False, edns=True
    )


def name_of(octets: bytes) -> str:
    """The first label of what is asked."""
    return octets[13 : 13 + octets[12]].decode()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    (folder / "blocklist.yaml").write_text(BLOCKLIST)
    compiled = compile_policy(folder / "blocklist.yaml", folder / "images")
    assert compiled.image is not None, compiled.problems
    return compiled.image


class Stage:
    """A plane with one thread, its client, and upstreams that are closed at the end."""

    def __init__(self, folder: Path, image: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.core = native.Core(
            native.Cache(1 << 20),
            allow=[(b"\x7f\0\0\0", 8)],
            rate_limit_qps=0,
            records=[],
            tcp_idle_s=10.0,
            in_flight_max=4096,
            waiters_max=100,
            waiting_max=4096,
        )
        self.core.publish(str(image), 1, 1.7e9, time.monotonic())
        self.door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.door.bind((LOOPBACK, 0))
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.connect(self.door.getsockname())
        self.client.setblocking(False)
        self.plane = native.Plane(self.core, [[(self.door.fileno(), False, False)]])
        self.plane.start()
        self.servers: list[UpstreamServerFields] = []
        self.ends: dict[int, asyncio.Future[bytes | str]] = {}
        """Of each query, by its ID: the answer, or why Python is to go on."""
        self.handovers: list[Handover] = []
        self.late: list[Any] = []
        self.closes_tickets = True
        self.connections = 0
        self.reports = [0] * 5
        """Queries, answers, handshakes, resumptions, certificates shown."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self.client.fileno(), self._on_answer)
        loop.add_reader(self.plane.fileno(), self._on_events)

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.client.fileno())
        loop.remove_reader(self.plane.fileno())
        self.plane.close()
        self.client.close()
        self.door.close()

    async def server(
        self, play: fake.Play = fake.answering, own: fake.Certified | None = None, *alpn: str
    ) -> fake.Upstream:
        context = fake.server_context(self.folder, own or certified(HOST), *alpn)
        return await self.stack.enter_async_context(fake.upstream(context, play))

    async def plain_server(self, play: fake.Play) -> fake.Upstream:
        return await self.stack.enter_async_context(fake.upstream(None, play))

    def use(self, *fields: Any, timeout_s: float = PATIENCE_S) -> None:
        """Ask this upstream from now on."""
        if fields not in self.servers:
            self.servers.append(fields)
        number = self.servers.index(fields)
        chosen = (b"", number, True, False, timeout_s, FAR, 0, None)
        self.core.publish_upstreams(self.servers, [chosen])

    def use_tls(
        self,
        server: fake.Upstream | fake.OnPath,
        host: str = HOST,
        pins: tuple[bytes, ...] = (),
        *,
        authorities: bytes = b"",
        **settings: Any,
    ) -> None:
        tls: TlsFields = (host, pins, authorities or authority().pem, True)
        self.use(LOOPBACK, server.port, tls, **settings)

    def asked(self, name: str, number: int) -> asyncio.Future[bytes | str]:
        end = self.ends[number] = asyncio.get_running_loop().create_future()
        self.client.send(query(f"{name}.example", number))
        return end

    async def ask(self, name: str, number: int = 1) -> bytes | str:
        """The answer, or the reason why there is none."""
        return await self.asked(name, number)

    def _on_answer(self) -> None:
        octets = self.client.recv(4096)
        self.ends.pop(int.from_bytes(octets[:2], "big")).set_result(octets)

    def _on_events(self) -> None:
        for word, *fields in self.plane.drain():
            if word != "handover":
                self.late.append((word, *fields))
                continue
            handover = Handover(*fields[0])
            self.handovers.append(handover)
            if self.closes_tickets:
                self.plane.close_ticket(handover.ticket)
            for waiting in handover.waiters:
                end = self.ends.pop(int.from_bytes(waiting[0][:2], "big"))
                end.set_result(handover.reason)

    def report(self) -> list[int]:
        """Queries, answers, handshakes, resumptions and certificates so far."""
        for row in self.plane.upstream_reports():
            self.connections = row[6][2]
            news = (row[1], row[2], *row[6][:2], row[7] is not None)
            self.reports = [old + new for old, new in zip(self.reports, news, strict=True)]
        return self.reports

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something that threads do has been done."""
        until = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < until
            await asyncio.sleep(0.001)


Play = Callable[[Stage], Coroutine[Any, Any, None]]
Perform = Callable[[Play], None]


@pytest.fixture
def perform(image: Path, tmp_path: Path) -> Perform:
    """Runs a play; whatever it opened is closed."""

    async def run(play: Play) -> None:
        async with AsyncExitStack() as stack:
            stage = Stage(tmp_path, image, stack)
            try:
                await asyncio.wait_for(play(stage), 3 * PATIENCE_S)
            finally:
                stage.close()

    return lambda play: asyncio.run(run(play))


def is_good(octets: bytes | str, number: int = 1) -> bool:
    return isinstance(octets, bytes) and octets[:2] == number.to_bytes(2, "big") and fake.ADDRESS in octets


@pytest.mark.parametrize("carrier", ["tcp", "tls"])
def test_a_miss_is_asked_over_a_stream_and_then_cached(perform: Perform, carrier: str) -> None:
    async def play(stage: Stage) -> None:
        if carrier == "tls":
            stage.use_tls(await stage.server())
        else:
            stage.use(LOOPBACK, (await stage.plain_server(fake.answering)).port, None)
        assert is_good(await stage.ask("one"))
        assert is_good(await stage.ask("one", 2), 2)
        is_tls = carrier == "tls"
        assert stage.report() == [1, 1, is_tls, 0, is_tls]
        assert stage.plane.counters()["streams_opened"] == 1

    perform(play)


# Who is believed.


@pytest.mark.parametrize(
    ("names", "more", "reason"),
    [
        (("other.example",), {}, "certificate_name"),
        ((LOOPBACK,), {}, "certificate_name"),
        ((HOST,), {"until": LONG_AGO}, "certificate_expired"),
        ((HOST,), {"self_signed": True}, "certificate_untrusted"),
        ((HOST,), {"by": certified("Other CA", self_signed=True)}, "certificate_untrusted"),
    ],
)
def test_a_wrong_certificate_is_refused_and_named(
    perform: Perform, names: tuple[str, ...], more: dict[str, Any], reason: str
) -> None:
    async def play(stage: Stage) -> None:
        heard: list[bytes] = []

        async def keeping(accepted: Accepted) -> None:
            heard.append(await accepted.read())

        stage.use_tls(await stage.server(keeping, certified(*names, **more)))
        assert await stage.ask("one") == reason
        assert heard == []
        assert stage.report() == [1, 0, 0, 0, 0]

    perform(play)


def test_a_certificate_for_the_address_is_enough_where_no_name_was_given(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        stage.use_tls(await stage.server(own=certified(LOOPBACK)), host="")
        assert is_good(await stage.ask("one"))
        stage.use_tls(await stage.server(own=certified(HOST)), host="")
        assert await stage.ask("two") == "certificate_name"

    perform(play)


def test_a_pin_alone_decides_whatever_the_certificate_says(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        own = certified("x.example", until=LONG_AGO, self_signed=True)
        server = await stage.server(own=own)
        stage.use_tls(server, "", (bytes(32), own.pin))
        assert is_good(await stage.ask("one"))
        stage.use_tls(server, "", (bytes(32),))
        assert await stage.ask("two") == "certificate_pin"

    perform(play)


def test_with_a_name_and_a_pin_both_must_hold(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        own, stranger = certified(HOST), certified("other.example")
        good, bad = await stage.server(own=own), await stage.server(own=stranger)
        ends: list[bytes | str] = []
        for server, pin in ((good, own.pin), (good, stranger.pin), (bad, stranger.pin)):
            stage.use_tls(server, HOST, (pin,))
            ends.append(await stage.ask(f"name{len(ends)}"))
        assert is_good(ends[0])
        assert ends[1:] == ["certificate_pin", "certificate_name"]

    perform(play)


def test_a_certificate_that_the_operator_named_is_trusted_by_itself(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        own = certified(HOST, self_signed=True)
        stage.use_tls(await stage.server(own=own), authorities=own.pem)
        assert is_good(await stage.ask("one"))
        expired = certified(HOST, until=LONG_AGO, self_signed=True)
        stage.use_tls(await stage.server(own=expired), authorities=expired.pem)
        assert await stage.ask("two") == "certificate_expired"
        other = certified("other.example", self_signed=True)
        stage.use_tls(await stage.server(own=other), authorities=other.pem)
        assert await stage.ask("three") == "certificate_name"

    perform(play)


def test_an_old_version_of_tls_is_refused(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def downgrading(accepted: Accepted) -> None:
            await accepted.reader.read(65_536)
            hello = b"\x03\x02" + bytes(32) + b"\0\xc0\x13\0"  # TLS 1.1 (RFC 4346 §7.4.1.3)
            handshake = b"\x02" + len(hello).to_bytes(3, "big") + hello
            accepted.writer.write(b"\x16\x03\x02" + fake.framed(handshake))
            await fake.silent(accepted)

        stage.use_tls(await stage.plain_server(downgrading))
        assert await stage.ask("one") == "tls"

    perform(play)


def test_a_server_that_speaks_no_tls_gets_no_question(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        heard = bytearray()

        async def plain(accepted: Accepted) -> None:
            heard.extend(await accepted.reader.read(65_536))
            accepted.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await accepted.writer.drain()
            heard.extend(await accepted.reader.read(65_536))

        stage.use_tls(await stage.plain_server(plain))
        assert await stage.ask("secret") == "tls"
        assert b"secret" not in heard and heard[:1] == b"\x16"

    perform(play)


def test_nothing_of_a_question_can_be_read_on_the_way(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server()
        path = await stage.stack.enter_async_context(fake.eavesdropper(server.port))
        stage.use_tls(path)
        assert is_good(await stage.ask("secret"))
        assert path.seen and b"secret" not in path.seen.lower()

    perform(play)


@pytest.mark.parametrize(
    "fields",
    [
        (LOOPBACK, 853, ("not a name", (), authority().pem, True)),
        (LOOPBACK, 853, (HOST, (b"short",), authority().pem, True)),
        (LOOPBACK, 853, (HOST, (), b"", False)),
        (LOOPBACK, 853, (HOST, (), b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", False)),
        ("dns.example", 853, (HOST, (), authority().pem, True)),
    ],
)
def test_what_tls_can_do_nothing_with_is_refused(perform: Perform, fields: Any) -> None:
    async def play(stage: Stage) -> None:
        with pytest.raises(ValueError):
            stage.core.publish_upstreams([fields], [])

    perform(play)


def test_a_number_keeps_name_pins_and_authorities(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        first = (LOOPBACK, 853, (HOST, (bytes(32),), authority().pem, True))
        stage.core.publish_upstreams([first], [])
        stage.core.publish_upstreams([first], [])
        for other in (
            (LOOPBACK, 853),
            (LOOPBACK, 853, None),
            (LOOPBACK, 853, ("other.example", (bytes(32),), authority().pem, True)),
            (LOOPBACK, 853, (HOST, (), authority().pem, True)),
            (LOOPBACK, 853, (HOST, (bytes(32),), authority().pem * 2, True)),
            (LOOPBACK, 853, (HOST, (bytes(32),), authority().pem, False)),
        ):
            with pytest.raises(ValueError, match="must keep its meaning"):
                stage.core.publish_upstreams([other], [])

    perform(play)


# What is sent.


def test_queries_are_padded_in_lower_case_and_the_first_asks_for_how_long_it_may_stay(
    perform: Perform,
) -> None:
    async def play(stage: Stage) -> None:
        heard: list[bytes] = []

        async def keeping(accepted: Accepted) -> None:
            while True:
                heard.append(await accepted.read())
                accepted.reply(fake.answer_to(heard[-1]))

        stage.use_tls(await stage.server(keeping))
        for number in (1, 2):
            assert is_good(await stage.ask(f"letters-{number}", number), number)
        assert [len(octets) for octets in heard] == [QUERY_BLOCK_OCTETS] * 2
        assert [b"\0\x0b\0\0\0\x0c" in octets for octets in heard] == [True, False]
        assert [name_of(octets) for octets in heard] == ["letters-1", "letters-2"]

    perform(play)


def test_each_query_has_a_record_of_its_own(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        path = await stage.stack.enter_async_context(fake.eavesdropper((await stage.server()).port))
        stage.use_tls(path)
        ends = [stage.asked(f"n{number}", number) for number in range(8)]
        for number, end in enumerate(ends):
            assert is_good(await end, number)
        assert path.seen.count(fake.RECORD_OF_A_QUERY) == 8

    perform(play)


def test_alpn_and_server_name_are_sent(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        seen: list[str | None] = []
        context = fake.server_context(stage.folder, certified(HOST), "dot")
        context.sni_callback = lambda _, name, __: seen.append(name)
        server = await stage.stack.enter_async_context(fake.upstream(context))
        stage.use_tls(server)
        assert is_good(await stage.ask("one"))
        assert seen == [HOST]
        assert server.accepted[0].tls.selected_alpn_protocol() == "dot"

    perform(play)


# What is kept.


def test_a_connection_carries_many_questions_answered_in_any_order(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def backwards(accepted: Accepted) -> None:
            while True:
                queries = [await accepted.read() for _ in range(16)]
                for octets in reversed(queries):
                    accepted.reply(fake.answer_to(octets))

        server = await stage.server(backwards)
        stage.use_tls(server)
        ends = [stage.asked(f"n{number}", number) for number in range(16)]
        for number, end in enumerate(ends):
            assert is_good(await end, number)
        assert len(server.accepted) == 1
        assert (stage.report(), stage.connections) == ([16, 16, 1, 0, 1], 1)
        server.accepted[0].close()

        def is_told() -> bool:
            stage.report()
            return stage.connections == 0

        await stage.until(is_told)

    perform(play)


def test_a_session_is_resumed_on_the_next_connection(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        stage.use_tls(await stage.server(fake.closing_after_each))
        for number in range(3):
            assert is_good(await stage.ask(f"n{number}", number), number)
        assert stage.report() == [3, 3, 1, 2, 1]

    perform(play)


def test_a_server_that_will_not_stay_gets_no_second_question_there(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        option = b"\0\0\x29\x04\xd0\0\0\0\0\0\6\0\x0b\0\2\0\0"

        async def leaving(accepted: Accepted) -> None:
            reply = bytearray(fake.answer_to(await accepted.read()) + option)
            reply[11] = 1
            accepted.reply(bytes(reply))
            await fake.silent(accepted)

        server = await stage.server(leaving)
        stage.use_tls(server)
        for number in (1, 2):
            assert is_good(await stage.ask(f"n{number}", number), number)
        assert len(server.accepted) == 2

    perform(play)


# What breaks.


async def closing_at_once(accepted: Accepted) -> None:
    await accepted.reader.read(10)


async def garbage_instead_of_tls(accepted: Accepted) -> None:
    accepted.writer.write(bytes(range(256)) * 8)
    await fake.silent(accepted)


async def no_dns(accepted: Accepted) -> None:
    await accepted.read()
    accepted.writer.write(b"\0\3abc")
    await fake.silent(accepted)


async def another_question(accepted: Accepted) -> None:
    octets = await accepted.read()
    accepted.reply(fake.answer_to(octets.replace(b"\x03one", b"\x03two")))
    await fake.silent(accepted)


async def half_closing(accepted: Accepted) -> None:
    await accepted.read()
    accepted.writer.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
    await fake.silent(accepted)


@pytest.mark.parametrize(
    ("play_of_server", "with_tls", "reason"),
    [
        (closing_at_once, False, "stream"),
        (garbage_instead_of_tls, False, "tls"),
        (fake.resetting, True, "stream"),
        (half_closing, True, "stream"),
        (no_dns, True, "stream"),
        (another_question, True, "reply"),
    ],
)
def test_an_upstream_that_misbehaves_is_handed_over_with_the_reason_at_once(
    perform: Perform, play_of_server: fake.Play, with_tls: bool, reason: str
) -> None:
    async def play(stage: Stage) -> None:
        make = stage.server if with_tls else stage.plain_server
        stage.use_tls(await make(play_of_server))
        assert await stage.ask("one") == reason

    perform(play)


def test_an_upstream_that_cannot_be_reached_is_handed_over_at_once(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        nobody = socket.socket()
        nobody.bind((LOOPBACK, 0))
        stage.use_tls(fake.Upstream(nobody.getsockname()[1]))
        assert await stage.ask("one") == "network"
        nobody.close()

    perform(play)


@pytest.mark.parametrize("with_tls", [False, True])
def test_one_that_accepts_and_never_answers_is_handed_over_in_time_and_each_question_has_its_ticket(
    perform: Perform, with_tls: bool
) -> None:
    async def play(stage: Stage) -> None:
        make = stage.server if with_tls else stage.plain_server
        stage.use_tls(await make(fake.silent), timeout_s=0.2)
        stage.closes_tickets = False
        ends = [stage.asked(f"n{number}", number) for number in range(4)]
        assert [await end for end in ends] == ["timeout"] * 4
        for handover in stage.handovers:
            stage.plane.close_ticket(handover.ticket)
        await stage.until(lambda: stage.core.in_flight == 0)
        assert stage.plane.counters()["tickets_expired"] == 0

    perform(play)


def test_an_answer_that_comes_late_reaches_python(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        may_answer = asyncio.Event()

        async def late(accepted: Accepted) -> None:
            octets = await accepted.read()
            await may_answer.wait()
            accepted.reply(fake.answer_to(octets))
            await fake.silent(accepted)

        stage.use_tls(await stage.server(late), timeout_s=0.2)
        stage.closes_tickets = False
        assert await stage.ask("one") == "timeout"
        may_answer.set()
        await stage.until(lambda: bool(stage.late))
        [(word, ticket, octets)] = stage.late
        assert (word, ticket) == ("late", stage.handovers[0].ticket)
        assert octets[:2] == stage.handovers[0].id.to_bytes(2, "big") and fake.ADDRESS in octets

    perform(play)


def test_a_connection_with_an_overdue_question_is_not_chosen_again(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def falling_silent(accepted: Accepted) -> None:
            if len(server.accepted) == 1:
                await fake.silent(accepted)
            await fake.answering(accepted)

        server = await stage.server(falling_silent)
        stage.use_tls(server, timeout_s=0.6)
        assert await stage.ask("one") == "timeout"
        assert is_good(await stage.ask("two", 2), 2)
        assert len(server.accepted) == 2

    perform(play)


def test_a_connection_that_breaks_after_an_answer_is_replaced_once(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def breaking(accepted: Accepted) -> None:
            accepted.reply(fake.answer_to(await accepted.read()))
            await accepted.read()
            accepted.abort()

        stage.use_tls(await stage.server(breaking))
        assert is_good(await stage.ask("one"))
        assert is_good(await stage.ask("two", 2), 2)
        counters = stage.plane.counters()
        assert (counters["streams_retried"], counters["streams_broken"], counters["handovers"]) == (1, 1, 0)

    perform(play)


def test_a_broken_connection_with_many_questions_loses_none(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def breaking(accepted: Accepted) -> None:
            for _ in range(12):
                await accepted.read()
            accepted.abort()

        server = await stage.server(breaking)
        stage.use_tls(server)
        ends = [stage.asked(f"n{number}", number) for number in range(12)]
        # Over TLS anybody on the way can break a connection: that says nothing of how many it takes.
        assert Counter([await end for end in ends]) == {"stream": 12}
        assert stage.plane.counters()["streams_retried"] == 0
        assert [handover.sends for handover in stage.handovers] == [1] * 12

    perform(play)


def test_one_that_closes_after_each_answer_answers_all_or_hands_over(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        stage.use_tls(await stage.server(fake.closing_after_each))
        for round_ in range(3):
            ends = [stage.asked(f"r{round_}n{number}", number) for number in range(8)]
            found = [await end for end in ends]
            good = sum(is_good(end, number) for number, end in enumerate(found))
            assert good + found.count("abandoned") == 8
        # By now it is known that it gives one answer on a connection.
        assert good == 8

    perform(play)


def test_a_panic_hands_over_what_waits_on_streams_too_and_the_thread_asks_again(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server(fake.silent)
        stage.use_tls(server)
        ends = [stage.asked(f"n{number}", number) for number in range(3)]
        await stage.until(lambda: bool(server.accepted))
        testing.panic_worker(stage.plane, 0)
        stage.client.send(query("panic.example", 9))
        assert [await end for end in ends] == ["abandoned"] * 3
        stage.use_tls(await stage.server())
        await stage.until(lambda: any(word == "up" for word, *_ in stage.late))
        assert is_good(await stage.ask("again", 10), 10)

    perform(play)


def test_python_can_call_for_all_attempts(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server(fake.silent)
        stage.use_tls(server)
        end = stage.asked("one", 1)
        await stage.until(lambda: bool(server.accepted))
        stage.plane.hand_over_all()
        assert await end == "recalled"

    perform(play)
