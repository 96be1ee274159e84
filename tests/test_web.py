from __future__ import annotations

import asyncio

import httpx
import pytest

from resolver.observe.health import Health
from resolver.observe.metrics import Metrics, PolicyFacts, ReloadFacts
from resolver.observe.tally import Tallies
from resolver.web import WebServer, make_app
from resolver.web.server import bind


class CacheStub:
    entries = octets = misses = evictions = 0


def metrics() -> Metrics:
    return Metrics(
        Tallies(),
        policy=PolicyFacts,
        reloads=ReloadFacts,
        upstreams=tuple,
        cache=CacheStub(),
        version="0.1.0",
        engine="python",
    )


def ask(path: str, health: Health | None = None, method: str = "GET") -> httpx.Response:
    async def fetch() -> httpx.Response:
        app = make_app(health or Health(), metrics())
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://resolver.example"
        ) as client:
            return await client.request(method, path)

    return asyncio.run(fetch())


def test_metrics_are_text_that_prometheus_reads() -> None:
    reply = ask("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'resolver_build_info{engine="python",version="0.1.0"} 1.0' in reply.text


def test_alive_does_not_depend_on_ready() -> None:
    assert ask("/healthz", Health("policy")).status_code == 200


def test_ready_when_every_condition_holds() -> None:
    assert ask("/readyz", Health()).status_code == 200


def test_not_ready_is_503_and_says_why() -> None:
    reply = ask("/readyz", Health("policy"))
    assert reply.status_code == 503
    assert reply.json() == {"status": "not ready", "reasons": {"policy": "not yet"}}


@pytest.mark.parametrize(("path", "method", "status"), [("/nowhere", "GET", 404), ("/metrics", "POST", 405)])
def test_anything_else_is_refused(path: str, method: str, status: int) -> None:
    assert ask(path, method=method).status_code == status


def test_serves_over_a_socket_and_stops_when_told() -> None:
    async def serve_once() -> int:
        server = WebServer(make_app(Health(), metrics()), bind("127.0.0.1", 0))
        server.start()
        host, port = server.address
        async with httpx.AsyncClient(trust_env=False) as client:
            status = (await client.get(f"http://{host}:{port}/healthz")).status_code
        await server.stop()
        return status

    assert asyncio.run(serve_once()) == 200


def test_an_address_in_use_is_an_os_error() -> None:
    with bind("127.0.0.1", 0) as first, pytest.raises(OSError):
        bind("127.0.0.1", first.getsockname()[1])


def test_ready_tells_what_a_person_should_know() -> None:
    health = Health()
    assert ask("/readyz", health).json() == {"status": "ready"}
    health.remark("lists", "never downloaded: ads")
    assert ask("/readyz", health).json() == {"status": "ready", "remarks": {"lists": "never downloaded: ads"}}
