"""One endpoint: method, path, what it takes, what it gives, what it needs; and how a request becomes a call.

Knows: query parameters, JSON bodies, their limits.  Does not know: any endpoint, who may ask (`access`).
Theory: an endpoint is a row of a table.  Its route and its part of the description are made of the same row,
so they cannot disagree.  Whoever has endpoints gives a list of rows; `routes` does the rest.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect, Request

from resolver.api.access import Need
from resolver.api.refusal import Kind, Refusal
from resolver.api.tokens import Caller
from resolver.problems import show, suggest
from resolver.web.manners import BODY_OCTETS_MAX

BASE: Final = "/api/v1"
JSON: Final = "application/json"
BODY_S: Final = 15.0
"""A body that is not whole by then is not waited for, however many octets come."""
QUERY_CHARS_MAX: Final = 8_192
JSON_DEPTH_MAX: Final = 32
OBJECTIONS_MAX: Final = 20
"""Told of one request."""


class Shape(BaseModel):
    """What an endpoint takes or gives: known members, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Taken = TypeVar("Taken", bound=Shape)


class Nothing(Shape):
    """No members."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read and checked."""

    request: Request
    caller: Caller
    path: Mapping[str, str]
    query: Any
    """A value of the endpoint's `query`."""
    body: Any = None
    """A value of the endpoint's `body`; None: it takes none."""


@dataclass(frozen=True, slots=True)
class PathPart:
    """A part of a path that varies."""

    description: str
    pattern: str
    """As JSON Schema has patterns; what does not match is not found."""
    example: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row."""

    method: Literal["GET", "POST"]
    path: str
    """Behind `BASE`: `/exchanges/{id}`."""
    tag: str
    summary: str
    answer: Callable[[Call], Awaitable[Any]]
    """Gives a value of `gives`, its JSON as a dict, or a starlette Response.  Raises Refusal."""
    gives: type[Shape] | None = None
    """None: `media` says what it gives."""
    description: str = ""
    need: Need = Need.READ
    query: type[Shape] = Nothing
    body: type[Shape] | None = None
    status: int = 200
    also: int = 0
    """Another status with the same members; 0: there is none."""
    media: tuple[str, ...] = ()
    """Media types besides JSON."""
    tells: tuple[type[Shape], ...] = ()
    """Shapes that what it gives is made of, where that is no JSON."""
    parts: Mapping[str, PathPart] = field(default_factory=dict)
    refuses: tuple[Kind, ...] = ()
    """Kinds beside those that every endpoint of its sort may have."""


def query_of(request: Request, shape: type[Taken]) -> Taken:
    """The query parameters.  Raises Refusal."""
    if len(request.url.query) > QUERY_CHARS_MAX:
        raise Refusal(Kind.BAD_REQUEST, f"over {QUERY_CHARS_MAX:,} characters of query")
    known = {info.alias or name for name, info in shape.model_fields.items()}
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            hint = suggest(name, known) or f"; known: {names}"
            raise Refusal(Kind.BAD_REQUEST, f"unknown parameter {show(name)}{hint}")
        if name in found:
            raise Refusal(Kind.BAD_REQUEST, f"the parameter {show(name)} stands there twice")
        found[name] = value
    try:
        return shape.model_validate_strings(found)
    except ValidationError as error:
        raise _objection(error, Kind.BAD_REQUEST) from None


async def body_of(request: Request, shape: type[Taken]) -> Taken:
    """The JSON body; none at all, without a type of another sort, where the shape can do without one.

    Raises Refusal.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    octets = await _octets_of(request)
    if not octets and media in ("", JSON) and may_be_absent(shape):
        return shape()
    # A form, which a page of another site could send without asking, has another type.
    if media != JSON:
        raise Refusal(
            Kind.MEDIA,
            f"the body is {show(media) if media else 'of no type'}",
            remedy="Send `Content-Type: application/json`.",
        )
    try:
        value = json.loads(octets)
    except (ValueError, RecursionError):
        raise Refusal(Kind.BAD_REQUEST, "the body is no JSON") from None
    if _depth(value) > JSON_DEPTH_MAX:
        raise Refusal(Kind.BAD_REQUEST, f"the body is nested more than {JSON_DEPTH_MAX} deep")
    try:
        return shape.model_validate(value, strict=None)
    except ValidationError as error:
        raise _objection(error, Kind.INVALID) from None


def may_be_absent(shape: type[Shape]) -> bool:
    """Whether a request may leave the whole body out: no member of it is needed."""
    return not any(info.is_required() for info in shape.model_fields.values())


async def _octets_of(request: Request) -> bytes:
    octets = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                octets += part
                if len(octets) > BODY_OCTETS_MAX:
                    raise Refusal(Kind.TOO_LARGE, f"over {BODY_OCTETS_MAX:,} octets")
    except TimeoutError:
        raise Refusal(Kind.TOO_SLOW, f"the body took over {BODY_S:g} s") from None
    except ClientDisconnect:
        raise Refusal(Kind.BAD_REQUEST, "the body is not whole") from None
    return bytes(octets)


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= JSON_DEPTH_MAX:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth


def _objection(error: ValidationError, kind: Kind) -> Refusal:
    found = [_told(details) for details in error.errors(include_url=False)[:OBJECTIONS_MAX]]
    return Refusal(kind, "; ".join(found))


def _told(details: ErrorDetails) -> str:
    place = ".".join(str(part) for part in details["loc"])
    said = str(details["ctx"]["error"]) if details["type"] == "value_error" else details["msg"]
    return f"{place[:100]}: {said}" if place else said
