"""Who may ask for an explanation over HTTP, and what refusals look like."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from resolver.api.access import why_not_here
from resolver.web.explain import Busy, NotReady
from tests.api.made import ask

CALLS: list[tuple[Any, ...]] = []


async def explains(name: str, qtype_text: str, client: str | None, *, asks: bool) -> dict[str, Any]:
    CALLS.append((name, qtype_text, client, asks))
    match name:
        case "busy.example":
            raise Busy("over 5 a second")
        case "early.example":
            raise NotReady("still starting")
        case "bad..example":
            raise ValueError("empty label")
    return {"name": name}


def get(path: str, *, address: str = "127.0.0.1", headers: dict[str, str] | None = None) -> httpx.Response:
    CALLS.clear()
    return ask(path, address=address, headers=headers, explains=explains)


def test_this_machine_is_told() -> None:
    reply = get("/api/v1/explain?name=www.example.org&type=AAAA&client=192.0.2.1&ask=0")
    assert (reply.status_code, reply.json()) == (200, {"name": "www.example.org"})
    assert CALLS == [("www.example.org", "AAAA", "192.0.2.1", False)]
    assert reply.headers["cache-control"] == "no-store"


def test_the_type_is_a_and_upstreams_are_asked_unless_said() -> None:
    get("/api/v1/explain?name=www.example.org")
    assert CALLS == [("www.example.org", "A", None, True)]


@pytest.mark.parametrize("address", ["::1", "127.9.9.9", "::ffff:127.0.0.1"])
def test_every_loopback_address_is_this_machine(address: str) -> None:
    assert get("/api/v1/explain?name=x.example", address=address).status_code == 200


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.1", "unix", ""])
def test_nobody_else_is(address: str) -> None:
    reply = get("/api/v1/explain?name=x.example", address=address)
    assert reply.status_code == 401 and "this machine" in reply.json()["detail"] and CALLS == []


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
def test_who_comes_through_a_proxy_is_somebody_else(header: str) -> None:
    reply = get("/api/v1/explain?name=x.example", headers={header: "127.0.0.1"})
    assert reply.status_code == 401 and CALLS == []


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200)])
def test_a_page_from_elsewhere_cannot_have_questions_asked(site: str, status: int) -> None:
    assert get("/api/v1/explain?name=x.example", headers={"sec-fetch-site": site}).status_code == status


def test_another_name_of_the_server_is_not_answered() -> None:
    assert get("/api/v1/explain?name=x.example", headers={"host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("name=", 400),
        ("name=bad..example", 400),
        ("name=x.example&what=1", 400),
        ("name=" + "x" * 20_000, 400),
        ("name=busy.example", 429),
        ("name=early.example", 503),
    ],
)
def test_what_cannot_be_answered_has_a_status_and_a_reason(query: str, status: int) -> None:
    reply = get(f"/api/v1/explain?{query}")
    assert reply.status_code == status and reply.json()["detail"]
    assert (status in (429, 503)) is ("retry-after" in reply.headers)


def test_no_address_is_nobody() -> None:
    assert why_not_here("", {}) and not why_not_here("127.0.0.1", {})
