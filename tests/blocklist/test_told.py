"""What may be told of a rule, and that no text breaks the JSON it stands in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.told import (
    ORGANIZATION_OCTETS_MAX,
    REASON_OCTETS_MAX,
    contacts_in,
    contacts_json,
    member,
    reason_json,
)
from resolver.policy.verdict import PolicyRule
from tests.support.for_each import for_each


def value_of(text: str) -> str:
    ((_, value),) = json.loads("{" + text + "}").items()
    assert isinstance(value, str)
    return value


@pytest.mark.parametrize(
    ("contact", "found"),
    [
        ("mailto:noc@example.net", ["mailto:noc@example.net"]),
        ("TEL:+49-30-1234", ["TEL:+49-30-1234"]),
        (
            "the desk (tel:+1-555-0100), or mailto:noc@example.net.",
            ["tel:+1-555-0100", "mailto:noc@example.net"],
        ),
        ("https://example.net/help", []),
        ("sips:noc@example.net", []),
        ("noc@example.net", []),
        ("javascript:alert(1)", []),
        ('mailto:a"b@example.net', []),
        ("mailto:é@example.net", []),
        ("mailto:", []),
        (None, []),
    ],
)
def test_only_mail_and_telephone_are_contacts(contact: str | None, found: list[str]) -> None:
    assert contacts_in(contact) == found
    text = contacts_json(contact)
    assert (json.loads("{" + text + "}") if text else {}) == ({"c": found} if found else {})


def test_the_reason_is_the_operators_words_alone() -> None:
    assert (
        value_of(reason_json("Binance", [("12-3/4", "An order"), ("7", "")]))
        == "Binance: 12-3/4, An order; 7"
    )
    assert value_of(reason_json("Binance", [])) == "Binance"


def test_titles_give_way_to_references() -> None:
    text = value_of(reason_json("Binance", [("12-3/4", "t" * 1000), ("7", "An order")]))
    assert text == "Binance: 12-3/4; 7"


@for_each(
    "hostile",
    [
        "</script><script>alert(1)</script>",
        'a","s":1,"x":"b',
        "a\\",
        "line\nbreak\r\ttab\0",
        "\u202eevil\u2066x",
        "\ud800 half",
        "\ufdd0\uffff\U0001ffff",
        "x" * 60_000,
        '"' * 60_000,
        "\u0007" * 500,
        "交" * 500,
        "\U0001f600" * 500,
    ],
)
def test_a_hostile_text_stays_one_string(hostile: str) -> None:
    text = reason_json(hostile, [(hostile, hostile)])
    value = value_of(text)
    assert len(text.encode()) - len('"j":""') <= REASON_OCTETS_MAX
    assert not any(character < " " or character in "\u202e\u2066\ud800\uffff" for character in value)


@given(st.text(), st.integers(10, ORGANIZATION_OCTETS_MAX))
def test_any_text_is_one_short_string_of_i_json(text: str, octets_max: int) -> None:
    made = member("o", text, octets_max)
    assert len(made.encode()) - len('"o":""') <= octets_max
    value = value_of(made)
    assert not any(0xD800 <= ord(c) <= 0xDFFF or ord(c) & 0xFFFE == 0xFFFE for c in value)


def rules_of(tmp_path: Path, exchange: str) -> list[PolicyRule]:
    path = tmp_path / "blocklist.yaml"
    path.write_text(
        "version: 1\n"
        "defaults: {contact: 'mailto:noc@example.net'}\n"
        "orders:\n"
        "  open: {authority: A, title: An order, reference: '12/3'}\n"
        "  hush: {authority: A, title: Hush, reference: H-1, confidential: true}\n"
        f"exchanges:\n  acme: {{name: Acme, domains: [acme.example], {exchange}}}\n"
    )
    blocklist, problems = read_blocklist(path)
    assert blocklist is not None, problems
    return list(blocklist.exchanges)


def test_a_rule_is_told_with_its_contact_and_its_orders(tmp_path: Path) -> None:
    (rule,) = rules_of(tmp_path, "order: open")
    assert rule.contacts_json == '"c":["mailto:noc@example.net"]'
    assert rule.reason_json == '"j":"Acme: 12/3, An order"'


def test_its_own_contact_wins(tmp_path: Path) -> None:
    (rule,) = rules_of(tmp_path, "contact: 'tel:+1-555-0100'")
    assert rule.contacts_json == '"c":["tel:+1-555-0100"]'
    assert rule.reason_json == '"j":"Acme"'


def test_nothing_is_told_of_what_is_confidential(tmp_path: Path) -> None:
    (rule,) = rules_of(tmp_path, "order: hush")
    assert (rule.ede_text, rule.contacts_json, rule.reason_json) == ("", "", "")


def test_beside_a_public_order_a_confidential_one_is_not_named(tmp_path: Path) -> None:
    (rule,) = rules_of(tmp_path, "order: [hush, open]")
    assert rule.reason_json == '"j":"Acme: 12/3, An order"'
