from __future__ import annotations

import asyncio

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from resolver.listeners.address import SocketAddress, bind_tcp
from resolver.observe.facts import Facts, HealthFacts
from resolver.web import WebServer, make_app

CONNECTIONS_MAX = 64
LOOPBACK = SocketAddress("127.0.0.1", 0)
NOT_READY = HealthFacts(reasons={"policy": "not yet"})


def app_of(health: HealthFacts | None = None) -> Starlette:
    facts = Facts(version="0.1.0", engine="python", health=health or HealthFacts())
    return make_app(lambda: facts)


def ask(
    path: str, health: HealthFacts | None = None, method: str = "GET", headers: dict[str, str] | None = None
) -> httpx.Response:
    async def fetch() -> httpx.Response:
        app = app_of(health)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://resolver"
        ) as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(fetch())


def test_metrics_are_text_that_prometheus_reads() -> None:
    reply = ask("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'resolver_build_info{engine="python",version="0.1.0"} 1.0' in reply.text


def test_a_scraper_that_asks_for_openmetrics_gets_it_compressed() -> None:
    wanted = {"accept": "application/openmetrics-text;version=1.0.0", "accept-encoding": "gzip"}
    reply = ask("/metrics", headers=wanted)
    assert reply.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert reply.headers["content-encoding"] == "gzip" and reply.headers["vary"] == "Accept, Accept-Encoding"
    families = {family.name for family in parse_openmetrics(reply.text)}  # type: ignore[no-untyped-call]
    assert {"resolver_build_info", "resolver_dropped"} <= families


def test_whoever_takes_no_compression_gets_none() -> None:
    reply = ask("/metrics", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in reply.headers and "resolver_ready 1.0" in reply.text


def test_alive_does_not_depend_on_ready() -> None:
    assert ask("/healthz", NOT_READY).status_code == 200


def test_ready_when_every_condition_holds() -> None:
    assert ask("/readyz").status_code == 200


def test_not_ready_is_503_and_says_why() -> None:
    reply = ask("/readyz", NOT_READY)
    assert reply.status_code == 503
    assert reply.json() == {"status": "not ready", "reasons": {"policy": "not yet"}}


def test_remarks_are_shown_ready_or_not() -> None:
    remarks = {"upstreams": "no upstream is left"}
    assert ask("/readyz", HealthFacts(remarks=remarks)).json() == {"status": "ready", "remarks": remarks}
    reply = ask("/readyz", HealthFacts(reasons={"sockets": "not yet"}, remarks=remarks))
    assert reply.status_code == 503 and reply.json()["remarks"] == remarks


@pytest.mark.parametrize(("path", "method", "status"), [("/nowhere", "GET", 404), ("/metrics", "POST", 405)])
def test_anything_else_is_refused(path: str, method: str, status: int) -> None:
    assert ask(path, method=method).status_code == status


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/", "GET"),
        ("/metrics", "GET"),
        ("/healthz", "GET"),
        ("/readyz", "GET"),
        ("/nowhere", "GET"),
        ("/metrics", "POST"),
    ],
)
def test_every_answer_ends_its_line(path: str, method: str) -> None:
    assert ask(path, method=method).content.endswith(b"\n")


def test_a_defect_of_a_page_is_told_on_a_line_of_its_own() -> None:
    def broken() -> Facts:
        raise LookupError("a defect")

    async def fetch() -> httpx.Response:
        transport = httpx.ASGITransport(app=make_app(broken), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://resolver") as client:
            return await client.get("/readyz")

    reply = asyncio.run(fetch())
    assert reply.status_code == 500 and reply.text == "a defect of the program; the log has it\n"


def test_serves_over_a_socket_and_stops_when_told() -> None:
    async def serve_once() -> int:
        server = WebServer(app_of(), bind_tcp(LOOPBACK), connections_max=CONNECTIONS_MAX)
        server.start()
        host, port = server.address
        async with httpx.AsyncClient(trust_env=False) as client:
            status = (await client.get(f"http://{host}:{port}/healthz")).status_code
        await server.stop()
        return status

    assert asyncio.run(serve_once()) == 200


def test_ready_tells_what_a_person_should_know() -> None:
    assert ask("/readyz").json() == {"status": "ready"}
    health = HealthFacts(remarks={"lists": "never downloaded: ads"})
    assert ask("/readyz", health).json() == {"status": "ready", "remarks": {"lists": "never downloaded: ads"}}


# Limits on connections.


class BoundSocket:
    """A web server and what it told about connections it lost."""

    def __init__(self, app: Starlette | None = None, connections_max: int = 2) -> None:
        self.drops: list[str] = []
        self.dropped = asyncio.Event()
        self.server = WebServer(
            app or app_of(),
            bind_tcp(LOOPBACK),
            connections_max=connections_max,
            on_drop=self._note,
        )

    def _note(self, reason: str) -> None:
        self.drops.append(reason)
        self.dropped.set()

    async def __aenter__(self) -> BoundSocket:
        self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()
        assert self.server.connections == 0

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.server.address)

    async def ask(self, path: str = "/healthz") -> bytes:
        """The whole reply on a connection of its own."""
        reader, writer = await self.connect()
        writer.write(b"GET %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % path.encode())
        reply = await reader.read()
        writer.close()
        return reply


def test_connections_over_the_limit_are_told_and_counted_and_those_within_it_go_on() -> None:
    async def crowd() -> list[str]:
        async with BoundSocket() as door:
            silent = [await door.connect() for _ in range(2)]
            for _ in range(3):
                reader, writer = await door.connect()
                assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
                writer.close()
            assert door.server.connections == 2
            first_reader, first = silent[0]
            first.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await first_reader.readline()).startswith(b"HTTP/1.1 200")
            for _, writer in silent:
                writer.close()
            return door.drops

    assert asyncio.run(crowd()) == ["http_connections_max"] * 3


def test_a_closed_connection_makes_room() -> None:
    async def one_by_one() -> list[str]:
        async with BoundSocket(connections_max=1) as door:
            for _ in range(5):
                assert (await door.ask()).startswith(b"HTTP/1.1 200")
            return door.drops

    assert asyncio.run(one_by_one()) == []


@pytest.mark.parametrize("head", [b"", b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: "])
def test_a_client_that_does_not_say_what_it_wants_loses_its_connection(
    monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr("resolver.web.server.IDLE_S", 0.02)

    async def wait() -> bytes:
        async with BoundSocket() as door:
            reader, writer = await door.connect()
            writer.write(head)
            reply = await reader.read()
            writer.close()
            return reply

    assert b" 200" not in asyncio.run(wait())


BODY_OCTETS = 32 * 1024 * 1024
"""More than the kernel keeps for a connection on loopback."""


def big_app() -> Starlette:
    async def big(request: Request) -> Response:
        return Response(bytes(BODY_OCTETS))

    return Starlette(routes=[Route("/", big)])


def test_a_client_that_does_not_read_is_cut_off_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolver.web.server.WRITE_STALL_S", 0.02)

    async def stall() -> list[str]:
        async with BoundSocket(big_app()) as door:
            _, writer = await door.connect()
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await door.dropped.wait()
            writer.transport.abort()
            return door.drops

    assert asyncio.run(stall()) == ["http_client_does_not_read"]


def test_a_client_that_reads_gets_all_however_much_it_is() -> None:
    async def read() -> tuple[int, list[str]]:
        async with BoundSocket(big_app()) as door:
            return len(await door.ask("/")), door.drops

    octets, drops = asyncio.run(read())
    assert octets > BODY_OCTETS and drops == []
