"""The JSON Schema of the blocklist, for editors."""

from __future__ import annotations

import json
from typing import Any

from resolver.blocklist.keys import (
    AllowEntry,
    Defaults,
    ExchangeEntry,
    ListEntry,
    OrderEntry,
    Overrides,
    Root,
)
from resolver.blocklist.reader import blocklist_schema


def test_the_schema_knows_every_key_of_every_piece() -> None:
    schema: dict[str, Any] = blocklist_schema()
    json.dumps(schema)
    assert set(schema["properties"]) == set(Root.model_fields)
    assert schema["required"] == ["version"]
    assert schema["anyOf"] == [{"required": ["exchanges"]}, {"required": ["lists"]}]
    for model in (AllowEntry, Defaults, ExchangeEntry, ListEntry, OrderEntry):
        keys = {field.alias or name for name, field in model.model_fields.items()}
        assert set(schema["$defs"][model.__name__]["properties"]) == keys
        assert schema["$defs"][model.__name__]["additionalProperties"] is False


def test_the_schema_speaks_of_from_as_the_file_does() -> None:
    exchange = blocklist_schema()["$defs"]["ExchangeEntry"]
    assert {"from", "until", "domains"} <= set(exchange["properties"])
    assert exchange["required"] == ["name"]
    assert exchange["properties"]["ttl_s"]["anyOf"][0] == {"maximum": 86400, "minimum": 0, "type": "integer"}


def test_any_default_can_be_set_per_exchange() -> None:
    of_lists_or_the_whole = {"change_max_percent", "fall_max_percent"}
    assert set(Overrides.model_fields) == set(Defaults.model_fields) - of_lists_or_the_whole
    assert set(Overrides.model_fields) <= set(ExchangeEntry.model_fields)
    assert {"change_max_percent"} <= set(ListEntry.model_fields)


def test_every_key_says_what_it_means_and_when_it_applies() -> None:
    for model in (Root, AllowEntry, Defaults, ExchangeEntry, ListEntry, OrderEntry):
        for name, field in model.model_fields.items():
            assert field.description, name
            assert isinstance(field.json_schema_extra, dict)
            assert field.json_schema_extra["applies"] == "on reload"
