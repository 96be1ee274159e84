"""Who may ask what: this machine, others, proxies, pages of other sites, and who tries tokens."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from resolver.api.access import GUESS_EVERY_S, GUESSED_MAX, GUESSERS_MAX, GUESSES_MAX, Guesses, client_of
from resolver.api.tokens import TOKEN_CHARS_MAX, Role
from resolver.observe.facts import HTTP_REFUSALS, Facts, HealthFacts
from resolver.web import make_app
from tests.api.made import Made

STATUS = "/api/v1/status"
RECORDS = "/api/v1/query-records"
WRONG = {"authorization": "Bearer xr_wrong"}


def wrong(number: int) -> dict[str, str]:
    """One of many wrong tokens."""
    return {"authorization": f"Bearer xr_wrong_{number}"}


def test_this_machine_reads_without_a_token() -> None:
    made = Made()
    assert made.ask(STATUS).status_code == 200
    assert (
        made.ask("/api/v1/whoami").json() | {"role": "read", "has_token": False, "name": None}
        == made.ask("/api/v1/whoami").json()
    )


@pytest.mark.parametrize("path", [STATUS, "/api/v1/openapi.json", "/api/v1/nothing", "/api/v1", RECORDS])
def test_others_are_told_nothing_without_one_not_even_what_there_is(path: str) -> None:
    made = Made()
    reply = made.ask(path, address="192.0.2.7")
    assert reply.status_code == 401 and reply.headers["www-authenticate"].startswith("Bearer")
    assert reply.headers["content-type"] == "application/problem+json"
    assert made.refused == {"token_missing": 1}


def test_others_read_with_one() -> None:
    assert Made().ask(STATUS, address="2001:db8::7", role=Role.READ).status_code == 200


def test_query_records_need_one_on_this_machine_too() -> None:
    made = Made(records=lambda count: [b'{"qname": "a.example"}'])
    assert made.ask(RECORDS).status_code == 401
    assert made.ask(RECORDS, role=Role.READ).json()["items"] == [{"qname": "a.example"}]


def test_without_the_operators_will_there_are_no_records() -> None:
    reply = Made().ask(RECORDS, role=Role.APPROVE)
    assert reply.status_code == 409 and "query_records" in reply.json()["remedy"]


def test_a_wrong_token_is_refused_where_none_is_needed() -> None:
    made = Made()
    reply = made.ask(STATUS, headers=WRONG)
    assert reply.status_code == 401 and "invalid_token" in reply.headers["www-authenticate"]
    assert made.refused == {"token_wrong": 1}


@pytest.mark.parametrize("shown", ["", "Bearer", "Bearer  ", "Basic eHI6eHI=", "Bearer a b", "xr_reader"])
def test_what_is_no_bearer_token_is_a_wrong_one(shown: str) -> None:
    assert Made().ask(STATUS, headers={"authorization": shown}).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:81"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_may_not_ask_with_a_token_neither(headers: dict[str, str]) -> None:
    made = Made()
    assert made.ask(STATUS, headers=headers, role=Role.APPROVE).status_code == 403
    assert made.refused == {"origin": 1}


@pytest.mark.parametrize(
    "headers", [{"origin": "http://localhost"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}]
)
def test_its_own_page_may(headers: dict[str, str]) -> None:
    assert Made().ask(STATUS, headers=headers).status_code == 200


def test_who_tries_tokens_is_slowed_down_and_a_right_token_beside_them_is_heard() -> None:
    made = Made()
    statuses = [
        made.ask(STATUS, headers=wrong(number), address="192.0.2.7").status_code
        for number in range(GUESSES_MAX + 2)
    ]
    assert statuses == [401] * GUESSES_MAX + [429] * 2
    reply = made.ask(STATUS, headers=WRONG, address="192.0.2.7")
    assert reply.status_code == 429 and "retry-after" in reply.headers
    assert made.refused == {"token_wrong": GUESSES_MAX, "guesses": 3}
    assert made.ask(STATUS, role=Role.READ, address="192.0.2.7").status_code == 200
    assert made.ask(STATUS, headers=WRONG, address="192.0.2.8").status_code == 401
    made.at += GUESS_EVERY_S
    assert made.ask(STATUS, headers=WRONG, address="192.0.2.7").status_code == 401


def test_clients_with_wrong_tokens_are_so_many_and_no_more() -> None:
    guesses = Guesses(lambda: 0.0)
    for number in range(GUESSERS_MAX + 10):
        guesses.note(f"client {number}", "xr_wrong")
    assert len(guesses._buckets) == GUESSERS_MAX


def test_the_same_wrong_token_counts_once_so_that_a_forgotten_page_locks_nobody_out() -> None:
    made = Made()
    for _ in range(GUESSES_MAX * 3):
        assert made.ask(STATUS, headers=WRONG, address="192.0.2.7").status_code == 401
    assert made.ask(STATUS, role=Role.READ, address="192.0.2.7").status_code == 200
    assert made.refused == {"token_wrong": GUESSES_MAX * 3}


def test_what_cannot_be_a_token_counts_once_and_what_can_each_time() -> None:
    made = Made()
    for number in range(GUESSES_MAX):
        long = {"authorization": f"Bearer {'x' * TOKEN_CHARS_MAX}x{number}"}
        assert made.ask(STATUS, headers=long, address="192.0.2.7").status_code == 401
        none = {"authorization": f"Basic {number}"}
        assert made.ask(STATUS, headers=none, address="192.0.2.7").status_code == 401
    for number in range(GUESSES_MAX - 2):
        assert made.ask(STATUS, headers=wrong(number), address="192.0.2.7").status_code == 401
    assert made.ask(STATUS, headers=wrong(GUESSES_MAX), address="192.0.2.7").status_code == 429
    assert made.ask(STATUS, role=Role.READ, address="192.0.2.7").status_code == 200


def test_wrong_tokens_of_a_client_are_remembered_so_many_and_no_more() -> None:
    at = 0.0
    guesses = Guesses(lambda: at)
    for number in range(GUESSED_MAX + 10):
        guesses.note("client", f"xr_{number}")
    assert len(guesses._buckets["client"][2]) == GUESSED_MAX
    at += GUESS_EVERY_S * (GUESSED_MAX + 10)
    guesses.note("client", f"xr_{GUESSED_MAX + 9}")
    assert guesses._buckets["client"][0] == 0.0
    guesses.note("client", "xr_0")
    assert guesses._buckets["client"][0] == 1.0


def test_a_network_of_ipv6_is_one_client() -> None:
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff") != client_of("2001:db8:0:1::1")
    assert client_of("::ffff:192.0.2.1") == client_of("192.0.2.1") == "192.0.2.1"


def test_every_reason_is_one_of_the_closed_set() -> None:
    made = Made()
    made.ask(STATUS, headers={"host": "evil.example"})
    made.ask(STATUS, content=b"x" * 10)
    made.ask("/metrics", headers={"host": "evil.example"})
    assert made.refused == {"host": 2, "body": 1} and set(made.refused) <= set(HTTP_REFUSALS)


def test_monitoring_is_open_unless_a_setting_asks_for_a_token() -> None:
    made = Made()
    for path in ("/metrics", "/healthz"):
        assert made.ask(path, address="192.0.2.7").status_code == 200
    made.app = make_app(made.desk.facts, objects=lambda request: PlainTextResponse("no", 401))
    for path in ("/metrics", "/healthz", "/readyz"):
        assert made.ask(path).status_code == 401


WHO_AND_WHY = "filtering is paused until 2026-12-01T10:00:00Z by ann (raid at dawn): acme"
UNTIL = "filtering is paused until 2026-12-01T10:00:00Z"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, WHO_AND_WHY),
        ({"address": "192.0.2.7", "role": Role.READ}, WHO_AND_WHY),
        ({"address": "192.0.2.7"}, UNTIL),
        ({"address": "192.0.2.7", "headers": WRONG}, UNTIL),
        ({"headers": WRONG}, UNTIL),
        ({"headers": {"x-forwarded-for": "192.0.2.7"}}, UNTIL),
        ({"headers": {"origin": "http://evil.example"}}, UNTIL),
    ],
    ids=["here", "reader", "stranger", "wrong token", "wrong token here", "proxy", "other site"],
)
def test_strangers_are_told_of_a_pause_but_not_by_whom_and_why(asked: dict[str, Any], told: str) -> None:
    remarks = {"filtering": WHO_AND_WHY, "upstreams": "one is down"}
    health = HealthFacts(remarks=remarks, outside={"filtering": UNTIL})
    made = Made(facts=lambda: Facts(health=health))
    reply = made.ask("/readyz", **asked)
    assert reply.status_code == 200
    assert reply.json()["remarks"] == {"filtering": told, "upstreams": "one is down"}
    assert made.refused == ({"token_wrong": 1} if asked.get("headers") is WRONG else {})


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", STATUS, "/api/v1/nothing", "/nothing"])
def test_no_answer_may_be_framed_sniffed_or_read_by_another_site(path: str) -> None:
    headers = Made().ask(path).headers
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "set-cookie" not in headers and "access-control-allow-origin" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused_in_the_same_words(method: str) -> None:
    reply = Made().ask(STATUS, method=method)
    if method == "BREW":
        assert reply.status_code == 405
    else:
        assert reply.status_code == 405 and reply.headers["allow"] == "GET, HEAD"
        assert reply.json()["status"] == 405 and reply.json()["type"].endswith(":method")
