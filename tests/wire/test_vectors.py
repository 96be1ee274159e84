"""The golden wire cases: octets in, facts or octets out; any engine must agree with them."""

from __future__ import annotations

from dataclasses import asdict
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from resolver.wire.carried_addresses import carried_addresses, nat64_prefix
from resolver.wire.numbers import Rcode
from resolver.wire.query import MALFORMED_REASONS, Malformed, Query
from resolver.wire.response import (
    REFUSED_REASONS,
    Refused,
    Response,
    SentQuery,
    Truncated,
    UpstreamFailure,
)
from resolver.wire.ttl import age_body
from tests.support.engines import Engine
from tests.support.for_each import for_each

Case = dict[str, Any]
VECTORS = Path(__file__).parents[1] / "vectors"


def cases(name: str) -> list[Any]:
    loaded: list[Case] = yaml.load((VECTORS / name).read_text(), Loader=yaml.CSafeLoader)
    return [pytest.param(case, id=case["name"].replace(" ", "-")) for case in loaded]


def octets(text: str) -> bytes:
    return bytes.fromhex(text)


@for_each("case", cases("queries.yaml"))
def test_a_query_is_read_as_the_vector_says(case: Case, engine: Engine) -> None:
    parsed = engine.parse_query(octets(case["octets"]))
    if "query" in case:
        facts = dict(case["query"])
        facts["options"] = tuple((code, octets(value)) for code, value in facts["options"])
        facts["qname"] = octets(facts["qname"])
        assert isinstance(parsed, Query)
        assert asdict(parsed) == {**facts, "octets": octets(case["octets"])}
    else:
        rcode = case["malformed"]["rcode"]
        assert parsed == Malformed(case["malformed"]["reason"], None if rcode is None else Rcode(rcode))
        if parsed.rcode is not None:
            assert engine.encode_malformed(octets(case["octets"]), parsed.rcode) == octets(case["reply"])
        else:
            assert case["reply"] is None


@for_each("case", cases("replies.yaml"))
def test_a_reply_is_encoded_as_the_vector_says(case: Case, engine: Engine) -> None:
    query = engine.parse_query(octets(case["query"]))
    assert isinstance(query, Query)
    reply = engine.encode_response(
        query,
        case["rcode"],
        body=octets(case.get("body", "")),
        ancount=case.get("ancount", 0),
        nscount=case.get("nscount", 0),
        limit=case["limit"],
        ede=tuple((code, text) for code, text in case.get("ede", ())),
        options=tuple((code, octets(value)) for code, value in case.get("options", ())),
        pads=case.get("pads", False),
        ra=case.get("ra", True),
        aa=case.get("aa", False),
        ad=case.get("ad", False),
        truncated=case.get("truncated", False),
    )
    assert reply.hex() == octets(case["reply"]).hex()
    assert len(reply) <= case["limit"]


@for_each("case", cases("responses.yaml"))
def test_a_response_is_accepted_as_the_vector_says(case: Case, engine: Engine) -> None:
    asked = {**case["sent"], "qname": octets(case["sent"]["qname"])}
    verdict = engine.accept_response(octets(case["octets"]), SentQuery(**asked))
    if "response" in case:
        assert isinstance(verdict, Response)
        assert facts_of(verdict) == case["response"]
    elif "refused" in case:
        assert verdict == Refused(**case["refused"])
    elif "failure" in case:
        assert verdict == UpstreamFailure(**case["failure"])
    else:
        assert case["truncated"] and verdict == Truncated()


def facts_of(response: Response) -> Case:
    return {
        "rcode": response.rcode,
        "authentic_data": response.authentic_data,
        "body": response.body.hex(),
        "ancount": response.ancount,
        "nscount": response.nscount,
        "ttl_offsets": list(response.ttl_offsets),
        "ttls": list(response.ttls),
        "negative": response.negative.value if response.negative else None,
        "ttl_s": response.ttl_s,
        "links": [[link.target.hex(), link.end, link.ancount] for link in response.links],
        "service_targets": [target.hex() for target in response.service_targets],
        "addresses": [address.hex() for address in response.addresses],
        "name_at_end": response.name_at_end.hex(),
        "aged_5_s": age_body(response, 5).hex(),
    }


def test_every_reason_has_a_vector() -> None:
    queries = yaml.safe_load((VECTORS / "queries.yaml").read_text())
    assert {c["malformed"]["reason"] for c in queries if "malformed" in c} == set(MALFORMED_REASONS)
    responses = yaml.safe_load((VECTORS / "responses.yaml").read_text())
    assert {c["refused"]["reason"] for c in responses if "refused" in c} == set(REFUSED_REASONS)


@for_each("case", cases("carried_addresses.yaml"))
def test_an_address_carries_what_the_vector_says(case: Case) -> None:
    prefixes = [nat64_prefix(IPv6Network(text)) for text in case.get("prefixes", [])]
    found = carried_addresses(IPv6Address(case["address"]).packed, prefixes)
    assert [str(IPv4Address(octets)) for octets in found] == case["carried"]
