"""What a request for DNS over HTTPS asks, and how long its answer may be kept: the vectors of both engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from resolver.listeners.http import WANTS_BODY, Asked, Refused, asked_by, max_age_s, refusal_of_body
from tests.support.for_each import for_each

VECTORS = yaml.safe_load((Path(__file__).parents[1] / "vectors/https.yaml").read_text())


@for_each("vector", VECTORS["requests"], ids=lambda vector: vector["name"])
def test_a_head_asks_what_the_vectors_say(vector: dict[str, Any]) -> None:
    content_type = vector.get("content_type")
    asked = asked_by(
        vector.get("method", "GET").encode(),
        vector["target"].encode().ljust(vector.get("filled_to", 0), b"A"),
        None if content_type is None else content_type.encode(),
        vector.get("content_length"),
    )
    match asked:
        case Asked(message):
            assert message.hex() == vector["message"]
        case Refused(status):
            assert status == vector["status"]
        case _:
            assert asked is WANTS_BODY and vector["wants"] == "body"


@pytest.mark.parametrize(("octets", "status"), VECTORS["bodies"])
def test_a_body_is_a_query_or_a_status(octets: int, status: int) -> None:
    assert refusal_of_body(octets) == status


@for_each(("what", "answer", "seconds"), VECTORS["answers"])
def test_caches_may_keep_an_answer_for_its_lowest_ttl(what: str, answer: str, seconds: int) -> None:
    assert max_age_s(bytes.fromhex(answer)) == seconds, what


@given(
    st.sampled_from([b"GET", b"POST", b"HEAD", b"PUT", b""]),
    st.binary(max_size=60).map(lambda rest: b"/dns-query?dns=" + rest) | st.binary(max_size=60),
    st.none() | st.binary(max_size=30),
    st.none() | st.integers(0, 1 << 70),
)
def test_no_octets_raise(
    method: bytes, target: bytes, content_type: bytes | None, content_length: int | None
) -> None:
    asked = asked_by(method, target, content_type, content_length)
    assert isinstance(asked, Asked | Refused) or asked is WANTS_BODY
