"""The endpoints -> their description in OpenAPI 3.1.

Knows: OpenAPI's words.  Does not know: any endpoint.
Theory: schemas are pydantic's own (JSON Schema 2020-12, which OpenAPI 3.1 takes as they are), of the same
shapes that read requests and write answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic.json_schema import models_json_schema

from resolver.api.access import Need
from resolver.api.endpoint import BASE, JSON, Endpoint, Nothing, may_be_absent
from resolver.api.refusal import MEDIA_TYPE, TYPE_PREFIX, Kind

_REF = "#/components/schemas/{model}"
_EVERYWHERE = (Kind.TOKEN_MISSING, Kind.TOKEN_WRONG, Kind.ROLE, Kind.ORIGIN, Kind.GUESSES, Kind.DEFECT)
_WITH_QUERY = (Kind.BAD_REQUEST,)
_WITH_BODY = (Kind.BAD_REQUEST, Kind.TOO_LARGE, Kind.TOO_SLOW, Kind.MEDIA, Kind.INVALID)

DESCRIPTION = """\
Reads what a resolver does and has in force, and changes it.

**Who may ask.** Reading is open to who asks from the resolver's own machine; query records, everything that
changes something, and everything from elsewhere need a token: `Authorization: Bearer TOKEN`. Roles: `read`,
`edit`, `approve`; each may do what those before it may. `exchange-resolver token` makes one.

**Refusals** are `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail`, `remedy`.
**Lists** are `{items, next}`; `next` is what the same request takes to go on, or null.
**Moments** are RFC 3339 in UTC. What is confidential is counted, and never named.
"""

TAGS = {
    "server": "What is going on, and whether anything is wrong.",
    "policy": "What is blocked and why.",
    "figures": "What was asked and blocked, over time.",
    "proof": "Audits, reports, query records.",
    "history": "What was in force when, and what changed.",
    "changes": "Everything that changes something.",
}


def describe(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """The whole document."""
    shapes = {shape for row in endpoints for shape in (row.gives, row.body, *row.tells) if shape is not None}
    ordered = sorted(shapes, key=lambda shape: shape.__name__)
    _, schemas = models_json_schema([(shape, "serialization") for shape in ordered], ref_template=_REF)
    components: dict[str, Any] = dict(schemas.get("$defs", {}))
    components["Problem"] = _problem()
    paths: dict[str, Any] = {}
    for row in endpoints:
        paths.setdefault(BASE + row.path, {})[row.method.lower()] = _operation(row)
    used = {row.tag for row in endpoints}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "exchange-resolver",
            "version": version,
            "summary": "A DNS resolver that refuses the names of listed exchanges.",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items() if name in used],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of this server."}
            },
        },
    }


def _operation(row: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{row.method.lower()}{_camel(row.path)}",
        "tags": [row.tag],
        "summary": row.summary,
        "description": _with_need(row),
        "security": [{"token": []}] if not row.need.is_open_here else [{}, {"token": []}],
        "responses": {**_answers(row), **_refusals(row)},
    }
    if parameters := [*_path_parameters(row), *_query_parameters(row)]:
        operation["parameters"] = parameters
    if row.body is not None:
        operation["requestBody"] = {
            "required": not may_be_absent(row.body),
            "content": {JSON: {"schema": {"$ref": _REF.format(model=row.body.__name__)}}},
        }
    return operation


def _with_need(row: Endpoint) -> str:
    needs = {
        Need.READ: "Needs a token (`read`), but not on the resolver's own machine.",
        Need.TOKEN: "Needs a token (`read`), on the resolver's own machine too.",
        Need.EDIT: "Needs a token with the role `edit`.",
        Need.APPROVE: "Needs a token with the role `approve`.",
    }
    return "\n\n".join(filter(None, (row.description, needs[row.need])))


def _answers(row: Endpoint) -> dict[str, Any]:
    return {str(status): _response(row, status) for status in (row.status, row.also) if status}


def _response(row: Endpoint, status: int) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if row.gives is not None:
        content["application/json"] = {"schema": {"$ref": _REF.format(model=row.gives.__name__)}}
    for media in row.media:
        content[media] = {"schema": {} if media == "application/json" else {"type": "string"}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def _refusals(row: Endpoint) -> dict[str, Any]:
    kinds = {*_EVERYWHERE, *row.refuses, *_WITH_QUERY}
    if row.body is not None:
        kinds.update(_WITH_BODY)
    if row.parts:
        kinds.add(Kind.NOT_FOUND)
    by_status: dict[int, list[str]] = {}
    for kind in Kind:
        if kind in kinds:
            by_status.setdefault(kind.status, []).append(kind.title)
    return {
        str(status): {
            "description": "; ".join(titles),
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
        }
        for status, titles in sorted(by_status.items())
    }


def _path_parameters(row: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": part.description,
            "schema": {"type": "string", "pattern": f"^{part.pattern}$"},
            **({"example": part.example} if part.example else {}),
        }
        for name, part in row.parts.items()
    ]


def _query_parameters(row: Endpoint) -> list[dict[str, Any]]:
    if row.query is Nothing:
        return []
    schema = row.query.model_json_schema(ref_template=_REF)
    if "$defs" in schema:
        raise ValueError(f"{row.path}: parameters are plain values")
    required = set(schema.get("required", ()))
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": value.pop("description", ""),
            "schema": _plain(value),
        }
        for name, value in schema.get("properties", {}).items()
    ]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Without what a parameter's name says already; one that may be left out is never the text `null`."""
    schema.pop("title", None)
    kinds = [one for one in schema.pop("anyOf", ()) if one.get("type") != "null"]
    if schema.get("default", ...) is None:
        del schema["default"]
    return {**schema, **(kinds[0] if kinds else {})}


def _problem() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "title": "Problem",
        "description": "Why a request is refused (RFC 9457).",
        "type": "object",
        "properties": {
            "type": {**text, "format": "uri", "enum": [f"{TYPE_PREFIX}{kind.word}" for kind in Kind]},
            "title": text,
            "status": {"type": "integer"},
            "detail": {**text, "description": "Why this request."},
            "remedy": {"type": ["string", "null"], "description": "What to do about it."},
        },
        "required": ["type", "title", "status", "detail", "remedy"],
        "additionalProperties": True,
    }


def _camel(path: str) -> str:
    words = path.replace("{", "").replace("}", "").replace(".", "/").replace("-", "/").split("/")
    return "".join(word.capitalize() for word in words if word)
