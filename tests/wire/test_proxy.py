"""Heads of the PROXY protocol: what the vectors say, and whatever octets do."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from resolver.wire.proxy import (
    BAD_HEADS,
    NEED_MORE,
    PROXY_HEAD_OCTETS_MIN,
    REST_OCTETS_MAX,
    SIGNATURE,
    BadHead,
    Place,
    Proxied,
    parse_proxy,
)
from resolver.wire.query import Malformed, parse_query
from tests.support.for_each import for_each

VECTORS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parents[1] / "vectors/proxy.yaml").read_text())


def place(told: list[Any] | None) -> Place | None:
    return None if told is None else (ip_address(told[0]).packed, told[1])


@for_each("case", VECTORS, ids=lambda case: case["name"])
def test_a_head_is_read_as_the_vector_says(case: dict[str, Any]) -> None:
    octets = bytes.fromhex(case["octets"]) + bytes(case.get("then", 0))
    found = parse_proxy(octets)
    if "head" in case:
        head = case["head"]
        assert found == Proxied(place(head["source"]), place(head["destination"]), head["length"])
    else:
        assert found == (NEED_MORE if case.get("more") else BadHead(case["bad"]))


@for_each("case", [case for case in VECTORS if "head" in case], ids=lambda case: case["name"])
def test_a_head_that_comes_in_pieces_is_awaited_to_its_end(case: dict[str, Any]) -> None:
    octets, length = bytes.fromhex(case["octets"]), case["head"]["length"]
    assert {parse_proxy(octets[:end]) for end in range(length)} == {NEED_MORE}
    assert parse_proxy(bytearray(octets[:length])) == parse_proxy(octets)


def test_every_reason_has_a_vector() -> None:
    assert {case["bad"] for case in VECTORS if "bad" in case} == {bad.why for bad in BAD_HEADS}


def test_no_head_is_a_query() -> None:
    octets = SIGNATURE + b"\x21\x12\0\x0c" + bytes(12) + bytes(20)
    assert isinstance(parse_query(octets), Malformed)


@given(st.binary(max_size=60), st.binary(max_size=40))
def test_whatever_octets_come_no_head_is_longer_than_they_are(rest: bytes, more: bytes) -> None:
    for octets in (rest, SIGNATURE + rest, SIGNATURE + b"\x21" + rest, SIGNATURE + b"\x21\x11\0\x0c" + rest):
        found = parse_proxy(octets)
        if isinstance(found, Proxied):
            assert (
                PROXY_HEAD_OCTETS_MIN
                <= found.length
                <= min(len(octets), PROXY_HEAD_OCTETS_MIN + REST_OCTETS_MAX)
            )
            assert parse_proxy(octets + more) == found
        elif isinstance(found, BadHead):
            assert parse_proxy(octets + more) == found
