"""How requests are read: parameters, bodies, pages of lists; hostile texts break nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from resolver.api import app as api_app
from resolver.api.access import Need
from resolver.api.endpoint import Call, Endpoint, Shape, body_of
from resolver.api.refusal import Kind, Refusal
from resolver.api.tokens import Role
from resolver.observe.facts import Facts, HealthFacts
from resolver.observe.problem import Standing, Wrong
from resolver.web import make_app
from resolver.web.manners import BODY_OCTETS_MAX
from tests.api.made import Made

NASTY = "</script><img src=x onerror=alert(1)>\u202e\x00\x1b[31m\r\nset-cookie: a=b\U0001f4a9\ud800"


class Note(Shape):
    """What a test writes."""

    text: str
    count: int = 0


class Echo(Shape):
    """What it gets."""

    text: str
    who: str


class FakeReads:
    """A policy of three exchanges."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def policy(self) -> dict[str, Any]:
        names: list[dict[str, Any]] = [
            {"id": label, "names": [], "name": NASTY, "audit": None} for label in ("a", "b", "c")
        ]
        return {
            "exchanges": names,
            "orders": [],
            "lists": [],
            "confidential": dict.fromkeys(("exchanges", "orders", "lists"), 0),
            "audited_at": None,
        }

    async def read(self, what: str, **asked: Any) -> dict[str, Any]:
        self.asked.append((what, asked))
        return {"found": [], "more": 0}


def written(answer: Callable[[Call], Awaitable[Any]] | None = None) -> Made:
    """An API that also takes notes."""

    async def echo(call: Call) -> Echo:
        return Echo(text=call.body.text, who=call.caller.name)

    row = Endpoint(
        "POST", "/notes", "changes", "Take a note", answer or echo, Echo, need=Need.EDIT, body=Note
    )
    made = Made()
    made.api = api_app.Api(made.desk, made.tokens, made.count, event_streams_max=1, more=[row])
    made.app = make_app(made.desk.facts, routes=made.api.routes, on_refused=made.count)
    return made


def note(made: Made, *, role: Role | None = Role.EDIT, **sent: Any) -> httpx.Response:
    return made.ask("/api/v1/notes", method="POST", role=role, **sent)


def test_a_row_of_somebody_else_is_served_and_described() -> None:
    made = written()
    assert note(made, json={"text": "x"}).json() == {"text": "x", "who": "edit"}
    assert "/api/v1/notes" in made.api.description["paths"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"json": {"text": 1}}, 422),
        ({"json": {}}, 422),
        ({"json": {"text": "x", "more": 1}}, 422),
        ({"json": []}, 422),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}, 400),
        ({"content": b'{"text": "x"}', "headers": {"content-type": "text/plain"}}, 415),
        ({"data": {"text": "x"}}, 415),
        ({"content": b'{"text": "x"}'}, 415),
        ({"json": {"text": "x" * BODY_OCTETS_MAX}}, 413),
    ],
)
def test_what_is_no_such_body_is_refused(sent: dict[str, Any], status: int) -> None:
    reply = note(written(), **sent)
    assert reply.status_code == status


def test_a_body_without_a_length_is_counted_as_it_comes() -> None:
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 65_536
        return {"type": "http.request", "body": b" " * 65_536, "more_body": True}

    async def read() -> None:
        scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/json")]}
        with pytest.raises(Refusal) as refused:
            await body_of(Request(scope, receive), Note)
        assert refused.value.kind is Kind.TOO_LARGE

    asyncio.run(read())
    assert taken <= BODY_OCTETS_MAX + 2 * 65_536


def test_changes_need_a_token_and_its_role() -> None:
    made = written()
    assert note(made, role=None, json={"text": "x"}).status_code == 401
    reply = note(made, role=Role.READ, json={"text": "x"})
    assert reply.status_code == 403 and "needs edit" in reply.json()["detail"]
    assert note(made, role=Role.APPROVE, json={"text": "x"}).status_code == 200
    assert made.refused == {"token_missing": 1, "role": 1}


def test_a_defect_is_a_problem_too_and_says_nothing_of_its_inside() -> None:
    async def breaks(call: Call) -> Echo:
        raise RuntimeError("secret path /etc/x")

    reply = note(written(breaks), json={"text": "x"})
    assert reply.status_code == 500 and "secret" not in reply.text
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limit=0", "greater than or equal to 1"),
        ("limit=1001", "less than or equal to 1000"),
        ("limit=1.0", "is no whole number"),
        ("limit=%201", "is no whole number"),
        ("limit=１", "is no whole number"),
        ("limits=1", "unknown parameter 'limits' (did you mean 'limit'?)"),
        ("limit=1&limit=2", "stands there twice"),
        ("after=%00", "has a NUL in it"),
        ("x=" + "y" * 9_000, "characters of query"),
    ],
)
def test_parameters_are_read_strictly_and_told_of(query: str, says: str) -> None:
    reply = Made(reads=FakeReads()).ask(f"/api/v1/exchanges?{query}")
    assert reply.status_code == 400 and says in reply.json()["detail"]


def test_a_list_comes_page_by_page() -> None:
    made = Made(reads=FakeReads())
    first = made.ask("/api/v1/exchanges?limit=2").json()
    assert [one["id"] for one in first["items"]] == ["a", "b"] and first["next"] == "b"
    second = made.ask(f"/api/v1/exchanges?limit=2&after={first['next']}").json()
    assert [one["id"] for one in second["items"]] == ["c"] and second["next"] is None
    reply = made.ask("/api/v1/exchanges?after=gone")
    assert reply.status_code == 409 and reply.json()["remedy"]


def test_one_thing_that_is_not_there_is_not_found_with_a_hint() -> None:
    assert Made(reads=FakeReads()).ask("/api/v1/exchanges/a").status_code == 200
    reply = Made(reads=FakeReads()).ask("/api/v1/exchanges/zz")
    assert reply.status_code == 404 and "there is no exchange 'zz'" in reply.json()["detail"]


def test_hostile_texts_stay_json_on_one_line_of_ascii() -> None:
    wrong = Standing(Wrong("upstream_down", NASTY, NASTY), 1_796_000_000.0)
    facts = Facts(health=HealthFacts(remarks={"listen": NASTY}, reasons={"x": NASTY}))
    made = Made(reads=FakeReads(), problems=lambda: [wrong], facts=lambda: facts)
    for path in ("exchanges", "problems", "status", "exchanges/a", "find?q=" + "%3Cscript%3E"):
        reply = made.ask(f"/api/v1/{path}")
        assert reply.status_code == 200, reply.text
        reply.json()
        assert "set-cookie" not in reply.headers and reply.headers["content-type"] == "application/json"
        assert reply.content.find(b"\n") == len(reply.content) - 1, "one line, which ends"
        assert b"\x1b" not in reply.content and b"\x00" not in reply.content


def test_what_is_asked_for_is_handed_on_as_it_is() -> None:
    reads = FakeReads()
    Made(reads=reads).ask("/api/v1/find", params={"q": "'; DROP TABLE x"})
    assert reads.asked == [("find", {"text": "'; DROP TABLE x"})]
