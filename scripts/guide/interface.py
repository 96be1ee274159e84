"""The page of the API, from its own description.

Knows: OpenAPI 3.1.  Does not know: any path of the API.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.guide.places import OPENAPI
from scripts.guide.words import anchor, code, heading, table

METHODS = ("get", "post", "put", "patch", "delete")

INTRO = """\
Every path of the API, from the description that the server itself gives at `/api/v1/openapi.json`.
[The API](../api.md) says who may ask, and how tokens are made. """


def description() -> dict[str, Any]:
    """The description of the API; empty: this version has none."""
    read = json.loads(OPENAPI.read_text()) if OPENAPI.exists() else {}
    assert isinstance(read, dict)
    return read


def operations(told: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Method, path and description of each operation."""
    for path, item in told.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def interface_page() -> str:
    """Every operation: what it does, what it takes, what it answers."""
    told = description()
    parts = [heading(1, "Every path of the API", id_="page"), INTRO]
    for method, path, operation in operations(told):
        parts += _operation(method, path, operation, told)
    return "\n".join(parts)


def _operation(method: str, path: str, operation: Mapping[str, Any], told: Mapping[str, Any]) -> list[str]:
    title = f"{method} {path}"
    parts = [heading(2, code(title), id_=anchor(title))]
    summary = f"{operation.get('summary', '').rstrip('.')}."
    more = " ".join(operation.get("description", "").split())
    # Where there is no more to say the description begins with the summary.
    parts += [f"{text}\n" for text in (summary, more.removeprefix(summary).strip()) if text.strip(".")]
    rows = [_parameter(_resolved(one, told)) for one in operation.get("parameters", ())]
    if rows:
        parts.append(table(("parameter", "where", "what"), rows))
    if body := _resolved(operation.get("requestBody", {}), told).get("content", {}).get("application/json"):
        parts += ["The body is JSON:\n", table(("member", "type", "what"), _members(body["schema"], told))]
    answers = [
        (code(status), _resolved(answer, told).get("description", ""))
        for status, answer in operation.get("responses", {}).items()
    ]
    parts.append(table(("status", "means"), answers))
    return parts


def _parameter(one: Mapping[str, Any]) -> tuple[str, str, str]:
    needed = "; required" if one.get("required") else ""
    return (
        code(one["name"]),
        one["in"],
        f"{one.get('description', '')}{_limits(one.get('schema', {}))}{needed}",
    )


def _limits(schema: Mapping[str, Any]) -> str:
    if choices := schema.get("enum"):
        return f" ({', '.join(code(str(choice)) for choice in choices)})"
    if "minimum" in schema and "maximum" in schema:
        return f" ({schema['minimum']:,} to {schema['maximum']:,})"
    return ""


def _members(schema: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    schema = _resolved(schema, told)
    needed = schema.get("required", ())
    for name, one in schema.get("properties", {}).items():
        inner = _resolved(one, told)
        kind = inner.get("type", "")
        words = " or ".join(kind) if isinstance(kind, list) else kind
        must = "; required" if name in needed else ""
        yield code(name), words, f"{inner.get('description', '')}{_limits(inner)}{must}"


def _resolved(one: Mapping[str, Any], told: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in one:
        return one
    found: Any = told
    for step in one["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return {**found, **{name: value for name, value in one.items() if name != "$ref"}}
