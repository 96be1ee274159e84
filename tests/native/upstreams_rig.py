"""The native plane in front of fake upstreams over TCP and TLS on loopback."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from resolver.plane import Handover, TlsFields, UpstreamServerFields
from resolver.publishing.compiler import compile_policy
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from tests.support import encrypted_upstreams as fake
from tests.support.encrypted_upstreams import HOST, LOOPBACK, authority, certified

native: Any = pytest.importorskip("resolver_native", reason="resolver_native is not built")
PATIENCE_S = 10.0
FAR = 1e18
BLOCKLIST = "version: 1\nexchanges: {}\n"


def query(name: str, number: int) -> bytes:
    return encode_query(
        name_from_text(name), 1, id=number, dnssec_ok=False, checking_disabled=False, edns=True
    )


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
