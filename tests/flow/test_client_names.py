"""Names that clients give themselves: where they stand, and that records alone carry them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from resolver.flow.client_names import ClientNames
from tests.support.for_each import for_each

VECTORS: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[1] / "vectors/client_names.yaml").read_text()
)
SERVED = b"/dns-query"


@for_each(("path", "asked", "name"), VECTORS["paths"])
def test_a_path_names_the_client_that_the_vector_says(path: str, asked: str, name: str | None) -> None:
    found = ClientNames(in_path=True).split_path(path.encode(), SERVED)
    assert found == (asked.encode(), name or "")


@for_each(("below", "server_name", "name"), VECTORS["server_names"])
def test_a_server_name_names_the_client_that_the_vector_says(
    below: str, server_name: str, name: str | None
) -> None:
    assert ClientNames(below=below).in_server_name(server_name) == (name or "")


def test_nobody_is_named_where_the_settings_do_not_say_so() -> None:
    names = ClientNames()
    assert names.split_path(b"/dns-query/phones", SERVED) == (b"/dns-query/phones", "")
    assert names.in_server_name("phones.dns.example.net") == ""
    assert ClientNames(below="dns.example.net").in_server_name(None) == ""
