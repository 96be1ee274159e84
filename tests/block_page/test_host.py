"""For which name a request is, whatever its head says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.block_page.host import BadHost, Host, host_of
from resolver.wire.names import name_from_text as n
from tests.support.for_each import for_each


@pytest.mark.parametrize(
    ("header", "name", "text"),
    [
        (b"www.example.org", "www.example.org", "www.example.org"),
        (b"WWW.Example.ORG", "www.example.org", "www.example.org"),
        (b"example.org:80", "example.org", "example.org"),
        (b"example.org:", "example.org", "example.org"),
        (b"example.org.", "example.org", "example.org"),
        (b"_dmarc.example.org:8080", "_dmarc.example.org", "_dmarc.example.org"),
        (b"a" * 63 + b".example.org", "a" * 63 + ".example.org", "a" * 63 + ".example.org"),
    ],
)
def test_a_name_is_read(header: bytes, name: str, text: str) -> None:
    assert host_of(b"/", header) == Host(n(name), text)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"192.0.2.80", "192.0.2.80"),
        (b"192.0.2.80:80", "192.0.2.80"),
        (b"[2001:db8::80]", "2001:db8::80"),
        (b"[2001:DB8::80]:80", "2001:db8::80"),
        (None, ""),
        (b"", ""),
    ],
)
def test_an_address_or_nothing_is_no_name(header: bytes | None, text: str) -> None:
    assert host_of(b"/", header) == Host(None, text)


@for_each(
    "header",
    [
        b"user@example.org",
        b"user:secret@example.org:80",
        b"example.org/evil",
        b"example.org evil",
        b"<script>",
        b"a..example.org",
        b".example.org",
        b".",
        b"a" * 64 + b".example.org",
        b".".join([b"a" * 63] * 5),
        b"a" * 70_000,
        b"[::1",
        b"[::zz]",
        b"[not-an-address]",
        b"example.org:port",
        b"example.org:800000",
        "münchen.example".encode(),
        b"\xff\xfe",
        b"example.org,other.example",
    ],
)
def test_what_is_neither_is_refused(header: bytes) -> None:
    with pytest.raises(BadHost):
        host_of(b"/", header)


@pytest.mark.parametrize(
    "target", [b"http://example.org/a?b", b"HTTP://example.org", b"https://example.org:443/"]
)
def test_a_target_in_absolute_form_goes_before_the_header(target: bytes) -> None:
    assert host_of(target, b"other.example").ascii_text == "example.org"


@pytest.mark.parametrize("target", [b"http://a@example.org/", b"http://[::1/"])
def test_a_bad_target_in_absolute_form_is_no_way_around(target: bytes) -> None:
    with pytest.raises(BadHost):
        host_of(target, b"example.org")


@pytest.mark.parametrize("target", [b"*", b"/http://example.org/", b"example.org:443"])
def test_other_targets_say_nothing(target: bytes) -> None:
    assert host_of(target, b"other.example").ascii_text == "other.example"


def test_a_name_beyond_ascii_is_known_by_both_of_its_forms() -> None:
    host = host_of(b"/", b"xn--mnchen-3ya.example")
    assert (host.ascii_text, host.unicode_text) == ("xn--mnchen-3ya.example", "münchen.example")


@pytest.mark.parametrize("label", [b"xn--a", b"xn--zzzzzzzzz", b"xn---"])
def test_an_a_label_that_stands_for_nothing_is_shown_as_it_is(label: bytes) -> None:
    assert host_of(b"/", label + b".example").unicode_text == ""


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_nothing_else_comes_of_any_octets(target: bytes, header: bytes) -> None:
    try:
        host = host_of(target, header)
    except BadHost:
        return
    assert host.ascii_text.isascii() and host.ascii_text.isprintable()
