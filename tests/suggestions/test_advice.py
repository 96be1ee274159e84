"""What was seen, what is listed and what was decided, together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from resolver.suggestions.advice import SHARED_SCORE, Suggestion, suggest, worth_counting
from resolver.suggestions.decisions import ACCEPTED, DISMISSED, Decision
from resolver.suggestions.score import Index
from resolver.suggestions.seen import Seen
from resolver.suggestions.spellings import Listed
from resolver.wire.names import name_from_text, name_to_text

BINANCE = Listed("binance", "Binance", (name_from_text("binance.com"),))
KRAKEN = Listed("kraken", "Kraken", (name_from_text("kraken.com"),))
INDEX = Index((BINANCE, KRAKEN))
LISTED = {one.id: one for one in (BINANCE, KRAKEN)}
DAY = date(2026, 1, 31)
LOGIN = name_from_text("binance-login.example")
SHOP = name_from_text("shop.example")


def seen(queries: int = 9, *shared: str) -> Seen:
    return Seen({DAY: queries}, set(shared))


def suggested(
    names: dict[bytes, Seen],
    decisions: dict[bytes, Decision] | None = None,
    is_decided: Callable[[bytes], bool] = lambda name: False,
) -> list[Suggestion]:
    return suggest(INDEX, LISTED, names, decisions or {}, is_decided)


def test_what_scores_most_comes_first_then_what_is_asked_most() -> None:
    names = ("binance.example", "binance-login.example", "kraken-login.example", "weather.example")
    found = suggested({name_from_text(name): seen(number) for number, name in enumerate(names)})
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert [name_to_text(one.name) for one in found] == [
        "binance-login.example",
        "binance.example",
        "kraken-login.example",
    ]


def test_what_the_policy_in_force_speaks_of_is_left_out() -> None:
    assert suggested({LOGIN: seen()}, is_decided=lambda name: name == LOGIN) == []


def test_a_name_whose_answers_lead_to_a_listed_exchange_is_suggested_whatever_it_looks_like() -> None:
    (found,) = suggested({SHOP: seen(9, "binance")})
    assert found.exchange is BINANCE and found.score == SHARED_SCORE
    assert found.reasons == ("its answers lead to a name or an address of Binance",)


def test_where_answers_lead_counts_more_than_looks() -> None:
    (found,) = suggested({LOGIN: seen(9, "kraken")})
    assert found.exchange is KRAKEN and len(found.reasons) == 1
    (found,) = suggested({LOGIN: seen(9, "binance")})
    assert found.exchange is BINANCE and len(found.reasons) == 2


def test_an_exchange_that_is_listed_no_more_is_led_to_in_vain() -> None:
    assert suggested({SHOP: seen(9, "gone")}) == []


def test_a_dismissed_name_is_not_open_and_an_accepted_one_that_came_back_is() -> None:
    dismissed, accepted = (Decision(what, "ann", 1.0) for what in (DISMISSED, ACCEPTED))
    (found,) = suggested({LOGIN: seen()}, {LOGIN: dismissed})
    assert found.state() == "dismissed" and found.decision is dismissed
    (found,) = suggested({LOGIN: seen()}, {LOGIN: accepted})
    assert found.state() == "open"


def test_what_scores_little_is_weak() -> None:
    (found,) = suggested({LOGIN: seen()})
    assert found.state(1.0) == "weak" and found.state(0.5) == "open"


def test_only_what_looks_like_something_is_worth_counting() -> None:
    assert worth_counting(INDEX, LOGIN) is not None
    assert worth_counting(INDEX, SHOP) is None
