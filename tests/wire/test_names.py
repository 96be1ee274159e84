"""Names between text and wire form, and how they relate."""

from __future__ import annotations

import re

import dns.name
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.wire import idn
from resolver.wire.names import is_at_or_below, name_from_text, name_to_text, parent, suffix_offsets
from tests.support.for_each import for_each

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=5)


def wire(labels: list[bytes]) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


@for_each(
    ("text", "expected"),
    [
        (".", b"\0"),
        ("example.org", b"\7example\3org\0"),
        ("EXAMPLE.org.", b"\7example\3org\0"),
        ("_dmarc.example.org", b"\6_dmarc\7example\3org\0"),
        (r"a\.b.example", b"\3a.b\7example\0"),
        (r"\000\032\255.example", b"\3\0 \xff\7example\0"),
        (r"\065bc.example", b"\3abc\7example\0"),
        (r"\*.example", b"\1*\7example\0"),
        ("bücher.example", b"\x0dxn--bcher-kva\7example\0"),
        ("BÜCHER.example", b"\x0dxn--bcher-kva\7example\0"),
        ("_x.bücher.example", b"\2_x\x0dxn--bcher-kva\7example\0"),
        ("faß.example", b"\x0axn--fa-hia\7example\0"),
        ("例え。example", b"\x0bxn--r8jz45g\7example\0"),
        ("i❤.example", b"\x09xn--i-7iq\7example\0"),
        ("a" * 63 + ".example", b"\x3f" + b"a" * 63 + b"\7example\0"),
    ],
)
def test_text_becomes_wire_form(text: str, expected: bytes) -> None:
    assert name_from_text(text) == expected


@for_each(
    ("text", "says"),
    [
        ("", "empty"),
        ("..", "empty label"),
        ("a..example", "empty label"),
        (".example", "empty label"),
        ("a" * 64 + ".example", "64 octets"),
        (".".join(["a" * 63] * 4), "257 octets"),
        ("https://example.org", "':'"),
        ("example.org/path", "'/'"),
        ("exa mple.org", "' '"),
        ("*.example.org", "'*'"),
        ("=example.org", "'='"),
        ("example.org\n", r"'\\n'"),
        ("example\\", "backslash"),
        (r"\256.example", "backslash"),
        (r"\25.example", "backslash"),
        (r"bü\.cher.example", "do not mix"),
        ("\u0000\u00fc.example", "cannot stand"),
        ("a\u2260\ud800.example", "cannot stand"),
        ("a" * 5000, "too long"),
        ("ü" * 70 + ".example", "octets|too long|Label"),
    ],
)
def test_text_that_is_no_name_is_refused_with_a_reason(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        name_from_text(text)


def test_a_name_of_255_octets_fits_and_one_of_256_does_not() -> None:
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert len(name_from_text(longest)) == 255
    with pytest.raises(ValueError, match="256 octets"):
        name_from_text(longest + "b")


@settings(max_examples=200)
@given(LABELS)
def test_text_of_any_name_is_read_back_as_the_same_name(labels: list[bytes]) -> None:
    name = wire(labels)
    if len(name) > 255:
        return
    text = name_to_text(name)
    assert text.isascii()
    assert text.isprintable()
    assert name_from_text(text) == name.lower()


@settings(max_examples=200)
@given(LABELS)
def test_dnspython_reads_our_text_as_the_same_name(labels: list[bytes]) -> None:
    name = wire(labels)
    if len(name) > 255:
        return
    assert dns.name.from_text(name_to_text(name)).to_wire() == name


@settings(max_examples=100)
@given(LABELS, LABELS)
def test_dnspython_agrees_on_what_lies_below(one: list[bytes], other: list[bytes]) -> None:
    for name, ancestor in ((wire(one + other), wire(other)), (wire(one), wire(other))):
        if max(len(name), len(ancestor)) > 255:
            continue
        oracle = dns.name.from_wire(name, 0)[0].is_subdomain(dns.name.from_wire(ancestor, 0)[0])
        assert is_at_or_below(name.lower(), ancestor.lower()) == oracle


def test_a_name_is_at_itself_and_below_its_ancestors_and_the_root() -> None:
    name = name_from_text("www.example.org")
    for ancestor in ("www.example.org", "example.org", "org", "."):
        assert is_at_or_below(name, name_from_text(ancestor))


@pytest.mark.parametrize("other", ["ww.example.org", "a.www.example.org", "notexample.org", "example.com"])
def test_a_name_is_not_below_what_only_looks_alike(other: str) -> None:
    assert not is_at_or_below(name_from_text("www.example.org"), name_from_text(other))


def test_octets_that_end_alike_within_a_label_do_not_make_an_ancestor() -> None:
    disguised = b"\x0dxx\7example\3or\1g\0"
    assert disguised.endswith(b"\1g\0")
    assert not is_at_or_below(b"\x0cx\7example\3org\0", name_from_text("example.org"))


def test_suffixes_are_listed_longest_first_without_the_root() -> None:
    assert suffix_offsets(name_from_text("www.example.org")) == [0, 4, 12]
    assert suffix_offsets(b"\0") == []


def test_parent_drops_one_label_and_stops_at_the_root() -> None:
    assert parent(name_from_text("www.example.org")) == name_from_text("example.org")
    assert parent(name_from_text("org")) == b"\0"
    assert parent(b"\0") == b"\0"


def test_hostile_octets_are_escaped_in_text() -> None:
    assert name_to_text(b"\x06a\nb\x1b\xff.\0") == r"a\010b\027\255\."


# What is pasted with a name.


@for_each(
    ("text", "meant"),
    [
        ("crypto–x.example", "crypto-x.example"),  # en dash
        ("crypto‑x.example", "crypto-x.example"),  # non-breaking hyphen
        ("crypto−x.example", "crypto-x.example"),  # minus
        ("“x.example”", "x.example"),
        ("‘x’.example", "x.example"),
        ("«x.example»", "x.example"),
        ("• x.example", "x.example"),
        ("●x.example", "x.example"),
        ("▪x.example", "x.example"),
        ("\uf0b7x.example", "x.example"),  # a bullet of a private font
        ("x.example、", "x.example"),
        ("x.example⁄path", "x.example"),  # fraction slash
        ("coin©.example", "coin.example"),
        ("x\u200e.example", "x.example"),  # left-to-right mark
        ("ゲーム–x.example", "ゲーム-x.example"),
    ],
)
def test_sign_that_no_name_may_hold_is_refused_with_the_name_that_was_meant(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=rf"; did you mean '{re.escape(meant)}'\?$"):
        name_from_text(text)


@pytest.mark.parametrize("text", ["x：80.example", "a⁄b.example"])
def test_one_label_of_a_longer_name_is_never_offered(text: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a") as refused:
        name_from_text(text)
    assert "did you mean" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["i❤.ws", "💩.la", "👨‍👩‍👧.ws", "1⃣.ws", "bücher.example", "straße.example", "日本語.jp"]
)
def test_emoji_and_letters_of_any_script_are_names(text: str) -> None:
    assert b"xn--" in name_from_text(text)


@pytest.mark.parametrize("sign", ["\u200b", "\u00ad", "\ufeff"])
def test_invisible_sign_that_unicode_ignores_is_ignored(sign: str) -> None:
    assert name_from_text(f"x{sign}y.example") == name_from_text("xy.example")


def test_every_emoji_of_the_table_can_be_said() -> None:
    said = [chr(point) for first, last in idn._EMOJI for point in range(first, last + 1)]
    assert all(idn._is_emoji(sign) for sign in said) and len(said) > 1000
    assert not any(map(idn._is_emoji, "©®–“▪●•aü"))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=12))
def test_a_text_is_a_name_that_reads_back_or_a_value_error(text: str) -> None:
    try:
        name = name_from_text(text)
    except ValueError:
        return
    written = name_to_text(name)
    assert name_from_text(written) == name.lower()
    read = idn.unicode_name(written)
    if read is not None:
        assert name_from_text(read) == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("xn--bcher-kva.example", "xn--bcher-kva.example (bücher.example)"),
        ("=xn--bcher-kva.example", "=xn--bcher-kva.example (=bücher.example)"),
        ("*.xn--bcher-kva.example", "*.xn--bcher-kva.example (*.bücher.example)"),
        ("xn--zz.example", "xn--zz.example"),
        ("a.example", "a.example"),
    ],
)
def test_a_labels_are_shown_with_what_they_stand_for(text: str, shown: str) -> None:
    assert idn.with_unicode(text) == shown
