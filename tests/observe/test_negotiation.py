from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.observe.negotiation import ACCEPT_CHARS_MAX, Form, chosen_form, takes_gzip

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
TEXT_FIRST = "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4"


@pytest.mark.parametrize("accept", [PROMETHEUS_2, PROMETHEUS_3, "application/openmetrics-text"])
def test_who_likes_openmetrics_best_gets_it(accept: str) -> None:
    assert chosen_form(accept) is Form.OPENMETRICS


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "text/html, */*;q=0.8", "application/*", "text/plain", TEXT_FIRST, "application/json"],
)
def test_everybody_else_gets_the_classic_text(accept: str) -> None:
    assert chosen_form(accept) is Form.TEXT


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;q=nan",
        "application/openmetrics-text;q=-1",
        "application/openmetrics-text;version=1.0.0\x00",
    ],
)
def test_a_version_that_we_have_not_and_a_weight_of_nothing_ask_for_nothing(accept: str) -> None:
    assert chosen_form(accept) is Form.TEXT


def test_a_header_beyond_the_limit_is_none() -> None:
    assert chosen_form("application/openmetrics-text," + " " * ACCEPT_CHARS_MAX) is Form.TEXT


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0.0", False),
    ],
)
def test_gzip_is_used_where_it_is_taken(header: str, taken: bool) -> None:
    assert takes_gzip(header) is taken


@given(st.text(max_size=200))
def test_no_header_is_too_strange(header: str) -> None:
    assert chosen_form(header) in Form
    assert takes_gzip(header) in (True, False)
