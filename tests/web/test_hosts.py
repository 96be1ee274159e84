"""A page is answered for the server's own names only, so that no stranger's page can read it by another name."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from resolver.observe.facts import Facts
from resolver.web import make_app
from resolver.web.hosts import is_own_host
from tests.support.for_each import for_each

OWN = [
    "127.0.0.1",
    "127.0.0.1:8053",
    "[::1]:8053",
    "192.0.2.7",
    "localhost:8053",
    "a.localhost",
    "resolver",
    "DNS1.:80",
]
OTHERS = [
    "rebind.example",
    "127.0.0.1.rebind.example",
    "resolver.example:8053",
    "",
    ":8053",
    "[::1].rebind.example",
    "user@127.0.0.1",
    "127.0.0.1:8053:1",
    "127.0.0.1, rebind.example",
    "rebind.example/localhost",
    "1.2.3",
    ".",
]


@pytest.mark.parametrize("host", OWN)
def test_addresses_and_names_of_one_label_are_its_own(host: str) -> None:
    assert is_own_host(host, ())


@for_each("host", OTHERS)
def test_any_other_name_is_not(host: str) -> None:
    assert not is_own_host(host, ())


def test_a_listed_name_is_its_own_and_those_under_it_are_not() -> None:
    names = ("resolver.corp.example",)
    assert is_own_host("Resolver.Corp.Example.:8053", names)
    assert not is_own_host("x.resolver.corp.example", names)


@for_each("path", ["/", "/metrics", "/healthz", "/readyz", "/nowhere", "/api/v1/status"])
@for_each("method", ["GET", "POST", "OPTIONS"])
def test_every_page_looks_at_the_host(path: str, method: str) -> None:
    async def ask(host: str) -> httpx.Response:
        app = make_app(lambda: Facts(version="0.1.0", engine="python"), hosts=("ops.example",))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url=f"http://{host}"
        ) as client:
            return await client.request(method, path)

    refused = asyncio.run(ask("rebind.example"))
    assert refused.status_code == 421 and "http.hosts" in refused.text and "resolver_" not in refused.text
    assert asyncio.run(ask("ops.example")).status_code in (200, 404, 405)
