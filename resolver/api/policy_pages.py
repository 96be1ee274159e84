"""Pages about the policy: exchanges, orders, lists, what is called so, and what is decided about a name.

Knows: which part of what was read each shows.  Does not know: how it is read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from resolver.api.desk import Desk
from resolver.api.endpoint import Call, Endpoint, PathPart
from resolver.api.policy_shapes import (
    ExceptionPage,
    Exchange,
    ExchangePage,
    ExplainQuery,
    Explanation,
    FindQuery,
    FoundPage,
    Lists,
    Order,
    OrderPage,
)
from resolver.api.refusal import Kind, Refusal
from resolver.api.values import IDENTIFIER, Page
from resolver.moments import iso_moment
from resolver.observe.facts import ListFacts
from resolver.problems import show, suggest
from resolver.web.explain import Busy, NotReady

Item = dict[str, Any]
READS = (Kind.BUSY, Kind.CONFLICT, Kind.NOT_READY)
"""What may befall whoever has something read."""


def policy_endpoints(desk: Desk) -> list[Endpoint]:
    """The rows."""

    async def exchanges(call: Call) -> dict[str, Any]:
        document = await desk.reads.policy()
        items, following = page_of(document["exchanges"], "id", call.query)
        return {
            "items": [_without(one, "names") for one in items],
            "next": following,
            "confidential": document["confidential"]["exchanges"],
            "audited_at": document["audited_at"],
        }

    async def orders(call: Call) -> dict[str, Any]:
        document = await desk.reads.policy()
        items, following = page_of(document["orders"], "id", call.query)
        return {
            "items": [_without(one, "not_enforced", "audit") for one in items],
            "next": following,
            "confidential": document["confidential"]["orders"],
        }

    async def lists(call: Call) -> dict[str, Any]:
        document = await desk.reads.policy()
        downloads = {one.name: one for one in desk.facts().lists}
        return {
            "items": [_list(one, downloads.get(one["name"])) for one in document["lists"]],
            "next": None,
            "confidential": document["confidential"]["lists"],
        }

    async def exceptions(call: Call) -> dict[str, Any]:
        document = await desk.reads.read("exceptions")
        items, following = page_of(document["items"], "name", call.query)
        return {"items": items, "next": following, "confidential": document["confidential"]}

    async def exchange(call: Call) -> Item:
        return _one((await desk.reads.policy())["exchanges"], call.path["id"], "exchange")

    async def order(call: Call) -> Item:
        return _without(_one((await desk.reads.policy())["orders"], call.path["id"], "order"), "audit")

    async def find(call: Call) -> dict[str, Any]:
        found = await desk.reads.read("find", text=call.query.q)
        return {"items": found["found"], "next": None, "more": found["more"]}

    row = _row
    an_id = {"id": PathPart("As the blocklist has it.", IDENTIFIER)}
    return [
        row("/exchanges", "The exchanges of the policy", exchanges, ExchangePage, query=Page),
        row("/exchanges/{id}", "One exchange with its names", exchange, Exchange, parts=an_id),
        row("/orders", "The orders of the policy", orders, OrderPage, query=Page),
        row("/orders/{id}", "One order, and what of it is not enforced", order, Order, parts=an_id),
        row("/lists", "The lists of the policy, and how fresh they are", lists, Lists),
        row("/exceptions", "The names that are let through (allow)", exceptions, ExceptionPage, query=Page),
        row("/find", "Exchanges, orders and lists that are called so", find, FoundPage, query=FindQuery),
        _explain(desk),
    ]


def _row(
    path: str,
    summary: str,
    answer: Callable[[Call], Awaitable[Any]],
    gives: Any,
    **others: Any,
) -> Endpoint:
    return Endpoint("GET", path, "policy", summary, answer, gives, refuses=READS, **others)


def _explain(desk: Desk) -> Endpoint:
    async def explain(call: Call) -> dict[str, Any]:
        asked: ExplainQuery = call.query
        try:
            return await desk.explains(asked.name, asked.type, asked.client, asks=asked.ask != "0")
        except ValueError as error:
            raise _refused(Kind.BAD_REQUEST, error) from None
        except Busy as error:
            raise _refused(Kind.RATE, error) from None
        except NotReady as error:
            raise _refused(Kind.NOT_READY, error) from None

    return Endpoint(
        "GET",
        "/explain",
        "policy",
        "What is decided about a name, and why",
        explain,
        Explanation,
        description="A few a second: it may ask upstreams. What is confidential is called so, and no more.",
        query=ExplainQuery,
        refuses=(Kind.RATE, Kind.NOT_READY),
    )


def _refused(kind: Kind, error: Exception) -> Refusal:
    # `error`: what commands of before read.
    return Refusal(kind, str(error), error=str(error))


def page_of(items: Sequence[Item], key: str, page: Page) -> tuple[list[Item], str | None]:
    """The items behind the last one of the page before, and what the next page goes by.  Raises Refusal."""
    start = 0
    if page.after is not None:
        start = next((place + 1 for place, one in enumerate(items) if one[key] == page.after), 0)
        if not start:
            raise Refusal(
                Kind.CONFLICT,
                f"after: {show(page.after)} is not there any more",
                remedy="Begin with the first page.",
            )
    found = list(items[start : start + page.limit])
    return found, found[-1][key] if found and start + len(found) < len(items) else None


def _one(items: Sequence[Item], wanted: str, noun: str) -> Item:
    found = next((one for one in items if one["id"] == wanted), None)
    if found is None:
        hint = suggest(wanted, [one["id"] for one in items])
        raise Refusal(Kind.NOT_FOUND, f"there is no {noun} {show(wanted)}{hint}")
    return found


def _without(item: Item, *keys: str) -> Item:
    return {key: value for key, value in item.items() if key not in keys}


def _list(item: Item, facts: ListFacts | None) -> Item:
    reasons: Mapping[str, int] = {one["reason"]: one["count"] for one in item["entries_not_enforced"]}
    return {
        **_without(item, "sha256_prefix"),
        "entries_not_enforced": reasons,
        "download": None if facts is None else _download(facts),
    }


def _download(facts: ListFacts) -> Item:
    zone = facts.zone
    return {
        "last_success": iso_moment(facts.last_success or None),
        "refresh_s": facts.refresh_s,
        "results": dict(facts.downloads),
        "serial": None if zone is None else zone.serial,
        "authority_serial": None if zone is None else zone.authority_serial,
        "lag_s": None if zone is None else zone.lag_s,
    }
