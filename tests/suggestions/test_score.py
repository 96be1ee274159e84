"""What looks like a listed exchange, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resolver.suggestions.names import registrable
from resolver.suggestions.score import DEFAULT_SCORE_MIN, Index, Likeness
from resolver.suggestions.spellings import Listed
from resolver.wire.names import name_from_text, name_to_text
from tests.support.for_each import for_each

BINANCE = Listed("binance", "Binance", (name_from_text("binance.com"),), ("Binance.US",))
KRAKEN = Listed("kraken", "Kraken", (name_from_text("kraken.com"),))
GEMINI = Listed("gemini", "Gemini", (name_from_text("gemini.com"),))
CASH = Listed("cash-app", "Cash App", (name_from_text("cash.app"),))
OKX = Listed("okx", "OKX", (name_from_text("okx.com"),), ("OKEx",))
LOCAL = Listed("localbitcoins", "LocalBitcoins", (name_from_text("localbitcoins.com"),))
HIDDEN = Listed("hidden", "Bittrex", (name_from_text("bittrex.com"),), is_confidential=True)
KNOWN = Listed("moonpay", "MoonPay", (name_from_text("moonpay.com"),), (), (name_from_text("moonpay.io"),))
COINEX = Listed("coinex", "CoinEx", (name_from_text("coinex.com"),))

DECIDED = tuple(map(name_from_text, ("binance-news.example", "ok.binance-safe.example")))
INDEX = Index((BINANCE, KRAKEN, GEMINI, CASH, OKX, LOCAL, HIDDEN, KNOWN, COINEX), DECIDED)


def look(name: str) -> Likeness | None:
    return INDEX.look(name_from_text(name))


def suggested(name: str) -> str | None:
    """The exchange that a name is suggested for, by the default threshold."""
    likeness = look(name)
    return likeness.exchange.id if likeness and likeness.score >= DEFAULT_SCORE_MIN else None


@for_each(
    ("name", "exchange"),
    [
        ("binance-login.example", "binance"),
        ("mybinance.example", "binance"),
        ("www-binance.example", "binance"),
        ("binance.vip", "binance"),
        ("BINANCE.Vip", "binance"),
        ("bi-nance.example", "binance"),
        ("secure-binance-support.example", "binance"),
        ("binance2024.example", "binance"),
        ("binnance.example", "binance"),
        ("bianance.example", "binance"),
        ("biannce.example", "binance"),
        ("binanse.example", "binance"),
        ("b1nance.example", "binance"),
        ("blnance.example", "binance"),
        ("loginbinnance.example", "binance"),
        ("binańcee.example", "binance"),
        ("bіnance.example", "binance"),
        ("binаnсe-login.example", "binance"),
        ("bínance.example", "binance"),
        ("kгaken.example", "kraken"),
        ("krakerı.example", None),
        ("localbitcoin.example", "localbitcoins"),
        ("localbitcoıns.example", "localbitcoins"),
        ("binance.stranger.example", "binance"),
        ("binance-app.stranger.example", "binance"),
        ("binance.blogspot.com", "binance"),
        ("gemini.example", None),
        ("gemini-horoscope.example", None),
        ("cash-loans.example", None),
        ("cash.example", None),
        ("okx.example", None),
        ("okxygen.example", None),
        ("bookxchange.example", None),
        ("finance.example", None),
        ("bestbitcoinexchange.example", None),
        ("krakow.example", None),
        ("weather.example", None),
        ("alliance.example", None),
    ],
)
def test_a_name_is_suggested_or_not(name: str, exchange: str | None) -> None:
    assert suggested(name) == exchange, look(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("binance.vip", "is binance under another ending"),
        ("bi-nance.example", "is binance with hyphens"),
        ("binance-login.example", "has binance beside login"),
        ("b1nance-login.example", "has b1nance, which reads as binance, beside login"),
        ("binnance.example", "is binance with a slip"),
        ("bіnance.example", "shows bіnance, which reads as binance"),
        ("blnance.example", "reads as binance"),
        ("binance.stranger.example", "has binance under a name of somebody else"),
        ("moonpay.io", "is known as a name of MoonPay itself"),
    ],
)
def test_the_reason_is_said_in_words(name: str, reason: str) -> None:
    likeness = look(name)
    assert likeness is not None and likeness.reasons[0] == reason


def test_the_name_to_act_on_is_what_somebody_registered() -> None:
    likeness = look("www.shop.binance-login.example")
    assert likeness is not None and name_to_text(likeness.name) == "binance-login.example"


@pytest.mark.parametrize(
    "name",
    [
        "binance.stranger.example",
        "www.binance.stranger.example",
        "ann.binance.bob.carol.stranger.example",
        "ann-binance-bob.a1.stranger.example",
    ],
)
def test_under_a_stranger_only_the_part_that_imitates_is_meant(name: str) -> None:
    likeness = look(name)
    assert likeness is not None and name_to_text(likeness.name) == "binance.stranger.example"


def test_under_a_stranger_what_is_decided_is_no_news() -> None:
    index = Index([BINANCE], [name_from_text("binance.stranger.example")])
    assert index.look(name_from_text("binance.a1.stranger.example")) is None


@pytest.mark.parametrize("name", ["moonpay.io", "app.moonpay.io", "binance.us", "www.Binance.US"])
def test_names_of_the_exchange_itself_are_marked(name: str) -> None:
    likeness = look(name)
    assert likeness is not None and likeness.is_official and likeness.score > 0.9


def test_an_imitation_is_not_marked_as_official() -> None:
    likeness = look("binance.vip")
    assert likeness is not None and not likeness.is_official


@pytest.mark.parametrize(
    "name",
    [
        "binance.com",
        "www.binance.com",
        "binance-news.example",
        "www.binance-news.example",
        "ok.binance-safe.example",
        "com",
        "co.uk",
        "blogspot.com",
        "github.io",
        "cloudflare.com",
        ".",
    ],
)
def test_what_is_listed_decided_or_shared_looks_like_nothing(name: str) -> None:
    assert INDEX.look(name_from_text(name)) is None


def test_a_word_scores_less_than_a_name() -> None:
    word, name = look("gemini.example"), look("binance.example")
    assert word is not None and name is not None and word.score < name.score


def test_without_exchanges_nothing_looks_alike() -> None:
    assert Index(()).look(name_from_text("binance.vip")) is None


labels = st.binary(min_size=1, max_size=63)
wire_names = st.lists(labels, max_size=12).map(
    lambda parts: b"".join(bytes([len(part)]) + part for part in parts)[:253]
)


def closed(octets: bytes) -> bytes:
    """Whole labels only, and the root."""
    at, end = 0, 0
    while at < len(octets) and at + octets[at] + 1 <= len(octets) and octets[at]:
        at += octets[at] + 1
        end = at
    return octets[:end] + b"\0"


@given(wire_names)
@example(b"\x3f" + b"-" * 63)
@example(b"\x04xn--")
@example(b"\x08xn--\xff\xfe\xfd\xfc")
@example((b"\x01a" * 126)[:252])
@example(
    b"\x3f"
    + b"binance" * 9
    + b"\x3f"
    + b"l1" * 31
    + b"x"
    + b"\x3f"
    + b"rn" * 31
    + b"v"
    + b"\x3c"
    + b"o0" * 30
)
def test_any_octets_give_a_score_and_words(octets: bytes) -> None:
    likeness = INDEX.look(closed(octets))
    if likeness is not None:
        assert 0.0 < likeness.score <= 1.0
        assert likeness.reasons and all(reason.isprintable() for reason in likeness.reasons)
        owner = registrable(closed(octets).lower())
        assert owner is not None and likeness.name.endswith(owner)
        assert len(likeness.name) <= len(closed(octets))


near = st.sampled_from(["binance", "login", "kraken", "www", "b1nance", "-", "okx", "com", "bittrex", "my"])


@given(st.lists(near, min_size=1, max_size=5), st.sampled_from(["binance.com", "binance-news.example"]))
def test_nothing_at_or_below_a_decided_name_is_ever_suggested(parts: list[str], decided: str) -> None:
    label = "".join(parts)[:60].strip("-") or "x"
    assert INDEX.look(name_from_text(f"{label}.{decided}")) is None


@given(st.lists(near, min_size=1, max_size=5))
def test_the_name_to_act_on_looks_the_same_when_it_is_looked_at(parts: list[str]) -> None:
    label = "".join(parts)[:60].strip("-") or "x"
    for name in (f"{label}.example", f"{label}.stranger.example", f"www.{label}.co.uk"):
        likeness = look(name)
        if likeness is not None:
            assert INDEX.look(likeness.name) == likeness
