"""The description of the API is OpenAPI 3.1, is what it was, and has words for everything."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import ValidationError

from resolver.api.app import description_of_all
from resolver.api.values import Page

GOLDEN = Path(__file__).parents[1] / "golden" / "openapi.json"


def operations() -> list[tuple[str, dict[str, Any]]]:
    paths = description_of_all()["paths"]
    return [(f"{method} {path}", found) for path, row in paths.items() for method, found in row.items()]


def test_it_is_openapi_3_1() -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(description_of_all()).iter_errors()] == []


def test_it_is_what_it_was() -> None:
    """Renewed by `exchange-resolver schema api --output tests/golden/openapi.json`, knowingly."""
    assert description_of_all() == json.loads(GOLDEN.read_text())


def test_everything_has_words() -> None:
    for name, operation in operations():
        assert operation["summary"] and operation["description"], name
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (name, parameter["name"])


def test_every_operation_says_how_it_refuses() -> None:
    for name, operation in operations():
        assert {"401", "403", "429", "500"} <= set(operation["responses"]), name
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], (name, status)


def test_whatever_changes_something_needs_a_token() -> None:
    for name, operation in operations():
        if not name.startswith("get "):
            assert operation["security"] == [{"token": []}], name


def test_a_text_of_a_query_that_the_server_refuses_is_none_that_the_description_allows() -> None:
    with pytest.raises(ValidationError, match="has a NUL in it"):
        Page.model_validate({"after": "a\0b"})
    described = Page.model_json_schema()["properties"]["after"]["anyOf"][0]
    assert re.search(described["pattern"], "a\0b") is None and re.search(described["pattern"], "a b\nc")
