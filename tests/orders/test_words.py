"""One word of an order: which host it means, and what DNS can do about it."""

from __future__ import annotations

import pytest

from resolver.orders.words import is_comma_typo, plain_text, read_word
from tests.support.for_each import for_each

TAKEN = [
    ("binance.com", "binance.com"),
    ("BINANCE.US", "binance.us"),
    ("okx.com.", "okx.com"),
    ("https://www.acme.example/en?a=b.c#d", "www.acme.example"),
    ("HTTPS://Acme.Example:8443/login", "acme.example"),
    ("//acme.example/x", "acme.example"),
    ("acme.example/login", "acme.example"),
    ("acme.example:8443", "acme.example"),
    ("hxxps://acme[.]example/x", "acme.example"),
    ("hXXp://acme(dot)example", "acme.example"),
    ("acme[.]co[.]uk", "acme.co.uk"),
    ("hxxp[:]//acme.example", "acme.example"),
    ("„acme.example“", "acme.example"),
    ("(https://acme.example)", "acme.example"),
    ("<acme.example>,", "acme.example"),
    ("münzbörse.example", "xn--mnzbrse-d1a4c.example"),
    ("xn--mnzbrse-d1a4c.example", "xn--mnzbrse-d1a4c.example"),
    ("ａｃｍｅ．example", "acme.example"),
    ("交易所。example", "xn--tlqx19b5xc.example"),
    ("huobi.br.com", "huobi.br.com"),
    ("wss://stream.acme.example/ws", "stream.acme.example"),
]


@for_each(("word", "host"), TAKEN, ids=[word for word, _ in TAKEN])
def test_the_host_of_a_word_is_taken(word: str, host: str) -> None:
    address = read_word(plain_text(word), 7, is_listed=True)
    assert address is not None
    assert (address.host, address.reason, address.line) == (host, None, 7)


def test_signs_of_word_processors_belong_to_no_name() -> None:
    for text in ("ac\u00adme.example", "ac\u200bme.example", "\u200eacme.example", "acme.example\u00a0"):
        address = read_word(plain_text(text).strip(), 1, is_listed=True)
        assert address is not None and address.host == "acme.example"
    address = read_word(plain_text("acme\u2011coin.example"), 1, is_listed=True)
    assert address is not None and address.host == "acme-coin.example"
    address = read_word(plain_text("acme–coin.example"), 1, is_listed=True)
    assert address is not None and address.host == "acme-coin.example"


REFUSED = [
    ("https://t.me/acme", "shared_platform"),
    ("t.me", "shared_platform"),
    ("https://play.google.com/store/apps/details?id=x.y", "shared_platform"),
    ("https://wa.me/15551234567", "shared_platform"),
    ("https://www.tiktok.com/@acme", "shared_platform"),
    ("https://vk.com/acme", "shared_platform"),
    ("https://bit.ly/3acme", "shared_platform"),
    ("https://linktr.ee/acme", "shared_platform"),
    ("https://appgallery.huawei.com/app/C1", "shared_platform"),
    ("https://youtu.be/abc", "shared_platform"),
    ("https://social.example/@acme", "doubtful"),
    ("https://films.example/channel/acme", "doubtful"),
    ("https://store.example/store/apps/details?id=acme", "doubtful"),
    ("https://apps.apple.com/app/id1", "shared_platform"),
    ("https://www.facebook.com/acme", "shared_platform"),
    ("m.facebook.com", "shared_platform"),
    ("storage.googleapis.com", "shared_platform"),
    ("https://storage.googleapis.com/acme/x.html", "shared_platform"),
    ("login.microsoftonline.com", "shared_platform"),
    ("www.blogspot.com", "shared_platform"),
    ("github.io", "shared_platform"),
    ("blogspot.com", "public_suffix"),
    ("co.uk", "public_suffix"),
    ("ocsp.digicert.com", "protected"),
    ("digicert.com", "protected"),
    ("203.0.113.7", "address_only"),
    ("http://203.0.113.7:8080/x", "address_only"),
    ("203.0.113.0/24", "address_only"),
    ("[2001:db8::1]:443", "address_only"),
    ("2001:db8::1", "address_only"),
    ("support@acme.example", "mail_address"),
    ("mailto:support@acme.example", "mail_address"),
    ("support[at]acme[.]example", "mail_address"),
    ("tg://resolve?domain=acme", "not_dns"),
    ("market://details?id=acme.example", "not_dns"),
    ("tel:+49.30.1234", "not_dns"),
    ("acmeacmeacme.onion", "not_dns"),
    ("acme.exmaple", "unknown_top_level"),
    ("acme..example", "invalid"),
    (".acme.example", "invalid"),
    ("https.//acme.example/x", "invalid"),
    ("https//acme.example", "invalid"),
    ("ttps://acme.example", "invalid"),
    ("http:\\\\acme.example", "invalid"),
    ("https://acme", "invalid"),
    ("acme!.example", "invalid"),
    ("acme_coin.example", "doubtful"),
    ("https://binance.com@acme.example/", "doubtful"),
    ("bіnance.com", "doubtful"),  # The second letter is Cyrillic.
]


@for_each(("word", "reason"), REFUSED, ids=[word for word, _ in REFUSED])
def test_what_dns_cannot_enforce_or_nobody_surely_meant_is_not_taken(word: str, reason: str) -> None:
    address = read_word(word, 1, is_listed=True)
    assert address is not None and address.reason is not None
    assert address.reason.value == reason
    assert address.why


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [
        ("alphabits,example", "alphabits.example"),
        ("www.alphabits,example", "www.alphabits.example"),
        ("betabits..example", "betabits.example"),
        ("gammabits.exmaple", "gammabits.example"),
        ("gammabits.con", "gammabits.com"),
        ("delta_bits.example", "delta-bits.example"),
        ("https.//acme.example/x", "acme.example"),
        ("ttps://acme.example", "acme.example"),
    ],
)
def test_a_slip_is_suggested_and_not_taken(word: str, suggestion: str) -> None:
    address = read_word(word, 1, is_listed=True)
    assert address is not None and address.reason is not None
    assert address.suggestions[0] == suggestion


@pytest.mark.parametrize(
    "word",
    [
        "acme",
        "e.g.",
        "No.",
        "25.11.2026",
        "1.2.3",
        "00:00",
        "1.000.000",
        "(inclusive).",
        "S.p.A.",
        "U.S.",
        "x" * 5000 + ".com",
    ],
)
def test_words_of_running_text_are_no_addresses(word: str) -> None:
    assert read_word(word, 1, is_listed=False) is None


@pytest.mark.parametrize(
    ("word", "is_typo"),
    [
        ("alphabits,example", True),
        ("www.alphabits,com", True),
        ("okx.com,gate.io", False),
        ("okx.com,example", False),
        ("one,two", False),
        ("a,b,com", False),
    ],
)
def test_a_comma_for_a_dot_is_told_from_one_between_names(word: str, is_typo: bool) -> None:
    assert is_comma_typo(word) is is_typo


def test_a_customers_label_on_a_host_of_many_is_taken_alone() -> None:
    for word in (
        "acme.blogspot.com",
        "acme.github.io",
        "https://acme.github.io/path",
        "acme.web.app",
        "acme.medium.com",
    ):
        address = read_word(word, 1, is_listed=True)
        assert address is not None
        assert (address.reason, address.form.value) == (None, "exact"), word
    below = read_word("*.acme.example", 1, is_listed=True)
    assert below is not None and below.form.value == "below"
