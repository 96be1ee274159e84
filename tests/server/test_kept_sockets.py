"""Which sockets a supervisor is given to keep, and when."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from resolver.config.settings import load_settings
from resolver.listeners.address import SocketAddress, bind_tcp
from resolver.listeners.inheritance import Inheritance, Inherited, name_of
from resolver.observe.log import LogWriter
from resolver.server.changeover import Arrival
from resolver.server.server import Server
from resolver.supervision import Supervisor

pytestmark = pytest.mark.loopback


class Keeping(Supervisor):
    """A supervisor that notes what it is given."""

    def __init__(self) -> None:
        super().__init__({})
        self.kept: set[str] = set()

    @property
    def is_there(self) -> bool:
        return True

    def keep(self, name: str, descriptors: Sequence[int]) -> None:
        assert descriptors
        self.kept.add(name)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60.0):
        while not condition():  # noqa: ASYNC110 -- whatever it is about
            await asyncio.sleep(0.01)


def server_of(folder: Path, supervisor: Supervisor, changes: dict[str, Any]) -> Server:
    (folder / "blocklist.yaml").write_text("version: 1\nexchanges: {}\n")
    path = folder / "resolver.yaml"
    base = {
        "upstreams": {"servers": ["udp://127.0.0.1:9"]},
        "blocklist": "blocklist.yaml",
        "state_dir": "state",
    }
    path.write_text(json.dumps(base | changes))
    settings, problems = load_settings(path)
    assert settings is not None, problems
    arrival = Arrival(supervisor=supervisor)
    return Server(settings, engine="python", log_writer=LogWriter(io.BytesIO()), arrival=arrival)


def test_an_address_that_could_not_be_served_at_the_start_is_kept_when_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("endpoints", "http_endpoint", "block_page"):
        monkeypatch.setattr(f"resolver.server.{module}.LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("resolver.server.endpoints.PATIENCE_S", 0.0)

    async def act() -> None:
        taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        dns, http, page = (sock.getsockname()[1] for sock in taken)
        supervisor = Keeping()
        listen = {"dns": ["127.0.0.1:0", f"127.0.0.1:{dns}"], "http": f"127.0.0.1:{http}"}
        block_page = {"listen": [f"127.0.0.1:{page}"]}
        server = server_of(tmp_path, supervisor, {"listen": listen, "block_page": block_page})
        await server.start()
        first = server.dns_addresses[0].port
        assert supervisor.kept == {f"dns/udp/127.0.0.1/{first}", f"dns/tcp/127.0.0.1/{first}"}
        for sock in taken:
            sock.close()
        later = {f"dns/udp/127.0.0.1/{dns}", f"dns/tcp/127.0.0.1/{dns}"}
        later |= {f"http/tcp/127.0.0.1/{http}", f"block_page/tcp/127.0.0.1/{page}"}
        await until(lambda: later <= supervisor.kept)
        await server.stop()

    asyncio.run(act())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_http_on_every_address_is_reached_over_ipv4_and_ipv6(tmp_path: Path, host: str) -> None:
    async def act() -> None:
        server = server_of(tmp_path, Keeping(), {"listen": {"dns": ["127.0.0.1:0"], "http": "*:0"}})
        await server.start()
        assert server.http_address is not None and "http" not in server.facts().health.remarks
        reader, writer = await asyncio.open_connection(host, server.http_address.port)
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()
        await server.stop()

    asyncio.run(act())


def test_its_socket_is_taken_over_and_no_other_address_gets_it(tmp_path: Path) -> None:
    with bind_tcp(SocketAddress("*", 0)) as both:
        port = both.getsockname()[1]
        left = Inheritance([Inherited("http", both, name_of("http", both))])
        assert left.take_tcp("http", SocketAddress("::", port)) == [], (
            "it would open IPv4, which nobody meant"
        )
        assert left.take_tcp("http", SocketAddress("*", port)) == [both]
    with bind_tcp(SocketAddress("::", 0)) as one_family:
        port = one_family.getsockname()[1]
        left = Inheritance([Inherited("http", one_family, name_of("http", one_family))])
        assert left.take_tcp("http", SocketAddress("*", port)) == []
        assert left.take_tcp("http", SocketAddress("::", port)) == [one_family]
    with bind_tcp(SocketAddress("*", 0)) as both:
        assert not Inheritance([Inherited("dns", both, "dns")]), "clients.allow knows no mapped addresses"


def test_where_the_kernel_has_no_ipv6_it_is_every_ipv4_address(monkeypatch: pytest.MonkeyPatch) -> None:
    really = socket.socket

    def without_ipv6(family: int = -1, *words: Any, **named: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return really(family, *words, **named)

    monkeypatch.setattr("resolver.listeners.address.socket.socket", without_ipv6)
    with bind_tcp(SocketAddress("*", 0)) as sock:
        assert sock.getsockname()[0] == "0.0.0.0"
