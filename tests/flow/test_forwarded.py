"""Who asks through proxies of HTTP: what the vectors say, and whatever headers hold."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from resolver.flow.clients import Networks
from resolver.flow.forwarded import BadForwarded, client_behind
from tests.support.for_each import for_each

VECTORS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[1] / "vectors/forwarded.yaml").read_text()
)
TRUSTED = Networks([ip_network("192.0.2.0/24"), ip_network("2001:db8:1::/48")])
PROXY = "192.0.2.1"


def lines(case: dict[str, Any], key: str) -> list[bytes]:
    """A character stands for the octet of its number."""
    found = [line.encode("latin-1") for line in case.get(key, [])]
    if key == "xff" and "repeat" in case:
        text, times = case["repeat"]
        found[0] = text.encode() * times + found[0]
    return found


@for_each("case", VECTORS, ids=lambda case: case["name"])
def test_the_client_is_who_the_vector_says(case: dict[str, Any]) -> None:
    asked = ip_address(case.get("peer", PROXY)).packed, lines(case, "forwarded"), lines(case, "xff"), TRUSTED
    if case["client"] is None:
        with pytest.raises(BadForwarded):
            client_behind(*asked)
    else:
        assert client_behind(*asked) == ip_address(case["client"]).packed


def test_nobody_is_believed_where_nobody_is_trusted() -> None:
    for peer in ("127.0.0.1", "192.0.2.1"):
        packed = ip_address(peer).packed
        assert client_behind(packed, [b"for=10.0.0.1"], [b"10.0.0.1"], Networks([])) == packed


@given(
    st.lists(st.binary(max_size=60), max_size=3),
    st.lists(st.text(alphabet=' ,;="\\[]:._for192-', max_size=60), max_size=3),
)
def test_whatever_headers_hold_there_is_an_address_or_a_refusal(
    octets: list[bytes], texts: list[str]
) -> None:
    peer = ip_address(PROXY).packed
    for forwarded, listed in ((octets, []), ([], octets), ([text.encode() for text in texts], octets)):
        try:
            assert len(client_behind(peer, forwarded, listed, TRUSTED)) in (4, 16)
        except BadForwarded:
            continue
