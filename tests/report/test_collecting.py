"""What a report says: of orders, exchanges, names, exceptions; and what it must not say."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest

from resolver.report.facts import Exchange, Hits, Lack, Order, Report, State
from resolver.report.json_form import as_json, canonical
from resolver.report.relevance import relevance_of
from resolver.report.sources import AuditSource, HistorySource, HitSource
from tests.report.support import BEFORE, NOW, POLICY, ZONE, days, generation, parsed, report, sources

DAY_S = 86_400


def order(made: Report, order_id: str) -> Order:
    return next(one for one in made.orders if one.id == order_id)


def exchange(made: Report, label: str) -> Exchange:
    return next(one for one in made.exchanges if one.id == label)


def test_an_order_has_its_authority_its_dates_and_how_long_it_took() -> None:
    found = order(report(), "fma-2026-17")
    assert (found.authority, found.reference) == ("Financial Markets Authority", "FMA 2026/17")
    assert found.in_force_since == NOW - 14 * DAY_S
    assert found.received_at is not None and found.due_at is not None
    assert found.took_s == found.in_force_since - found.received_at
    assert found.ahead_s == found.due_at - found.in_force_since
    assert found.measure == "192.0.2.80, 2001:db8::80"


def test_an_order_that_was_in_force_before_it_came_took_no_time() -> None:
    made = report(history=HistorySource((), {"fma-2026-17": NOW - 300 * DAY_S}))
    assert order(made, "fma-2026-17").took_s == 0


def test_an_order_that_never_was_in_force_has_no_time_taken() -> None:
    assert order(report(), "court-991").took_s is None
    assert order(report(), "court-991").state is State.SHADOW


def test_what_is_not_enforced_has_its_reason() -> None:
    reasons = {one.ask: one.reason for one in order(report(), "fma-2026-17").not_enforced}
    assert reasons == {
        "https://t.me/newcoin": "shared_platform",
        "198.51.100.7": "address_only",
        "other.example": "excepted",
    }


def test_each_name_has_its_form_its_state_and_its_rule() -> None:
    names = {
        one.text: (one.form, one.state, one.file, one.line) for one in exchange(report(), "newcoin").names
    }
    line = next(n for n, text in enumerate(POLICY.splitlines(), 1) if "domains: [newcoin.example" in text)
    assert names == {
        "newcoin.example": ("subtree", State.IN_FORCE, "blocklist.yaml", line),
        "login.newcoin.test": ("exact", State.IN_FORCE, "blocklist.yaml", line),
        "cdn.newcoin.test": ("below", State.IN_FORCE, "blocklist.yaml", line),
        "xn--bcher-kva.example": ("subtree", State.IN_FORCE, "blocklist.yaml", line),
        "203.0.113.16/28": ("network", State.IN_FORCE, "blocklist.yaml", line + 1),
    }
    assert [one.unicode for one in exchange(report(), "newcoin").names][3] == "bücher.example"


def test_a_name_that_an_exception_opens_is_not_told_as_blocked() -> None:
    text = POLICY.replace(
        "- other.example", '- newcoin.example\n  - "=login.newcoin.test"\n  - "=swiftpay.example"'
    )
    made = report(text)
    states = {one.text: one.state for label in ("newcoin", "swiftpay") for one in exchange(made, label).names}
    assert states["newcoin.example"] is State.EXCEPTED
    assert states["login.newcoin.test"] is State.EXCEPTED
    assert states["swiftpay.example"] is State.PARTLY


def test_what_an_exception_touches_is_told() -> None:
    touched = {one.text: one.touches for one in report().exceptions}
    assert touched == {"help.newcoin.example": ("newcoin",), "other.example": ()}


def test_an_exchange_is_in_force_since_it_was_enforced_and_not_since_it_was_listed() -> None:
    found = exchange(report(), "swiftpay")
    assert found.in_policy_since == NOW - 60 * DAY_S
    assert found.in_force_since == NOW - 10 * DAY_S


def test_an_exchange_is_not_in_force_before_its_order_is() -> None:
    begins = exchange(report(), "newcoin").in_force_since
    assert begins is not None and begins == order(report(), "fma-2026-17").starts_at


def test_an_exchange_that_went_and_came_back_is_in_force_since_it_came_back() -> None:
    gone = POLICY[: POLICY.index("  newcoin:\n")] + POLICY[POLICY.index("  swiftpay:") :]
    history = (
        generation(1, NOW - 9 * DAY_S, None, POLICY),
        generation(2, NOW - 8 * DAY_S, POLICY, gone),
        generation(3, NOW - 2 * DAY_S, gone, POLICY),
    )
    assert exchange(report(history=HistorySource(history)), "newcoin").in_force_since == NOW - 2 * DAY_S


def test_what_is_pending_in_shadow_or_disabled_is_not_told_as_in_force() -> None:
    text = POLICY.replace(
        "  later: {name: Later,",
        "  off: {name: Off, mode: disabled, order: house, domains: [off.example]}\n  later: {name: Later,",
    )
    states = {one.id: (one.state, one.in_force_since) for one in report(text).exchanges}
    assert states["later"] == (State.PENDING, None)
    assert states["openbook"] == (State.SHADOW, None)
    assert states["off"] == (State.DISABLED, None)


def test_hits_of_a_confidential_exchange_are_a_number() -> None:
    made = report()
    assert (made.confidential.orders, made.confidential.exchanges, made.confidential.names) == (1, 1, 1)
    assert made.confidential.hits.blocked == 14


def test_hits_from_before_an_exchange_was_confidential_are_in_that_number() -> None:
    hits = HitSource(
        exchanges={"quiet": days(date(2026, 11, 16), 5)}, confidential=days(date(2026, 11, 17), 2)
    )
    assert report(hits=hits).confidential.hits.blocked == 7


@pytest.mark.parametrize("word", ["secret-5", "Hidden Office", "Hidden title", "quiet", "Quiet Platform"])
def test_nothing_of_a_confidential_order_is_named(word: str) -> None:
    text = POLICY.replace("- other.example", "- {name: shop.quiet.example, reason: asked by Quiet Platform}")
    history = (generation(1, NOW - DAY_S, None, text),)
    said = json.dumps(as_json(report(text, history=HistorySource(history)), ZONE), ensure_ascii=False)
    assert word not in said


def test_a_public_order_is_named_where_a_confidential_one_is_cited_too() -> None:
    text = POLICY.replace("order: [fma-2026-17, house]", "order: [fma-2026-17, secret-5]")
    made = report(text)
    assert exchange(made, "swiftpay").orders == ("fma-2026-17",)
    assert "secret-5" not in json.dumps(as_json(made, ZONE))


def test_one_order_alone_has_its_exchanges_and_no_others() -> None:
    made = report(only_order="court-991")
    assert [one.id for one in made.orders] == ["court-991"]
    assert [one.id for one in made.exchanges] == ["openbook"]
    assert made.exceptions == ()


def test_hits_of_all_are_each_query_once() -> None:
    made = report()
    assert made.hits.blocked == 120 + 340 + 290 + 415 + 388 + 501 + 477 + 12 + 9
    assert order(made, "fma-2026-17").hits.blocked == 2552


def test_a_report_on_one_order_has_the_hits_of_that_order() -> None:
    made = report(only_order="fma-2026-17")
    assert made.hits.blocked == order(report(), "fma-2026-17").hits.blocked == 2552
    assert report(only_order="court-991").hits.blocked == 0


def test_an_order_has_no_hits_but_those_met_while_it_was_in_force() -> None:
    assert order(report(), "house").hits.blocked == 0
    assert order(report(), "court-991").hits == Hits()


def test_what_is_missing_is_said() -> None:
    made = report(
        is_served=False,
        is_edited=True,
        history=HistorySource(why="gone"),
        hits=HitSource(why="gone"),
        audit=AuditSource(None, "gone"),
    )
    assert set(made.missing) == {Lack.NOT_SERVED, Lack.EDITED, Lack.HISTORY, Lack.HITS, Lack.AUDIT}
    assert report().missing == ()


def test_a_history_that_lost_its_beginning_says_so() -> None:
    kept = (generation(7, NOW - DAY_S, BEFORE, POLICY),)
    assert report(history=HistorySource(kept, dropped=3)).missing == (Lack.CHANGES,)
    kept = (generation(7, NOW - 300 * DAY_S, BEFORE, POLICY),)
    assert report(history=HistorySource(kept, dropped=3)).missing == ()


def test_the_policy_in_force_has_its_hash_and_its_generation() -> None:
    policy = report().policy
    assert (policy.generation, policy.content, policy.served_at) == (2, "content-2", NOW - 10 * DAY_S)
    assert len(policy.sha256) == 64


def test_a_generation_of_another_text_is_not_this_policy() -> None:
    other = (generation(5, NOW, None, BEFORE),)
    assert report(history=HistorySource(other)).policy.generation is None


def test_the_same_sources_make_the_same_report() -> None:
    first, second = (canonical(as_json(report(), ZONE)) for _ in range(2))
    assert first == second
    other = replace(sources(), last=date(2026, 11, 29))
    assert canonical(as_json(report(last=other.last), ZONE)) != first


def test_hits_beside_none_are_added_day_by_day() -> None:
    made = report(
        hits=HitSource(
            exchanges={"newcoin": days(date(2026, 11, 16), 1), "swiftpay": days(date(2026, 11, 16), 2)}
        )
    )
    assert [(day.day, day.blocked) for day in made.hits.days] == [(date(2026, 11, 16), 3)]


def test_one_order_alone_tells_nothing_of_others() -> None:
    made = report(
        only_order="court-991",
        relevance=lambda _: relevance_of("court-991", [parsed(BEFORE), parsed(POLICY)]),
    )
    said = json.dumps(as_json(made, ZONE), ensure_ascii=False)
    for word in ("fma", "newcoin", "swiftpay", "House", "help.", "later"):
        assert word not in said, word
    assert made.confidential.orders == 0
    assert made.audit is not None and made.audit.findings == ()


def test_a_change_of_which_the_texts_are_gone_is_not_known_to_one_order() -> None:
    made = report(only_order="court-991", relevance=lambda _: None)
    assert [(change.is_known, change.items) for change in made.changes] == [(False, ())]


def test_an_exchange_that_one_order_after_the_other_blocks_is_in_force_since_the_first() -> None:
    text = (
        "version: 1\norders:\n"
        "  old: {authority: A, title: T, imposed_by: external, from: 2026-01-01, until: 2026-06-01}\n"
        "  new: {authority: A, title: T, imposed_by: external, from: 2026-06-01}\n"
        "  late: {authority: A, title: T, imposed_by: external, from: 2026-10-01}\n"
        "exchanges:\n"
        "  whole: {name: W, order: [old, new], domains: [w.example]}\n"
        "  gap: {name: G, order: [old, late], domains: [g.example]}\n"
    )
    made = report(text, history=HistorySource((generation(1, 0.0, None, text),)), zone=ZONE)
    begins = {one.id: one.in_force_since for one in made.exchanges}
    dates = {key: one.starts_at for key, one in parsed(text).orders.items()}
    assert begins == {"whole": dates["old"], "gap": dates["late"]}


def test_of_the_time_in_which_something_was_confidential_not_even_the_days_are_told() -> None:
    text = (
        "version: 1\norders:\n"
        "  sealed: {authority: A, title: T, confidential: true, from: 2026-01-01, until: 2026-11-01}\n"
        "  open: {authority: A, title: T, from: 2026-11-01}\n"
        "exchanges: {both: {name: B, order: [sealed, open], domains: [b.example]}}\n"
    )
    [made] = report(text, history=HistorySource((generation(1, 0.0, None, text),)), zone=ZONE).exchanges
    begins = parsed(text).orders["open"].starts_at
    assert (made.starts_at, made.in_force_since) == (begins, begins)
