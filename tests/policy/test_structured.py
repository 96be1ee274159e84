"""Structured DNS errors: what a client that asked for them is told, and what everybody else is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import pytest

from resolver.policy.answer import policy_answer
from resolver.policy.structured import StructuredErrors
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import LocalData, PolicyAction, PolicyRule
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text as n
from resolver.wire.numbers import Qtype
from resolver.wire.query import Query, parse_query
from tests.support.policy_maker import PolicyMaker, make_rule

NOW = 100.0
SDE = 65001
FORM = StructuredErrors(SDE, 5, '"o":"Example Networks"', '"l":"en"')
TOLD = {
    "contacts_json": '"c":["mailto:noc@example.net","tel:+1-555-0100"]',
    "reason_json": '"j":"Acme: 12/3, An order"',
}


def make_query(name: str, *, option: bytes | None = b"", qtype: int = Qtype.A, payload: int = 1232) -> Query:
    octets = encode_query(
        n(name), qtype, id=7, dnssec_ok=False, checking_disabled=False, edns=True, payload_octets=payload
    )
    if option is not None:
        sde = SDE.to_bytes(2, "big") + len(option).to_bytes(2, "big") + option
        octets = octets[:-2] + len(sde).to_bytes(2, "big") + sde
    query = parse_query(octets)
    assert isinstance(query, Query)
    return query


def answer(table: PolicyTable, query: Query, *, limit: int = 1232) -> dns.message.Message:
    structured = FORM if FORM.is_asked_by(query) else None
    octets = policy_answer(
        query, table.judge_name(query.qname, NOW), limit=limit, now=NOW, structured=structured
    )
    assert octets is not None and len(octets) <= limit
    return dns.message.from_wire(octets)


def errors_of(message: dns.message.Message) -> list[tuple[int, str | None]]:
    return [(int(o.code), o.text) for o in message.options if isinstance(o, dns.edns.EDEOption)]


def told(rule: PolicyRule, folder: Path, **asked: Any) -> Any:
    message = answer(
        PolicyMaker().block(rule, "example.com").table(folder), make_query("example.com", **asked)
    )
    ((code, text),) = errors_of(message)
    assert code == rule.ede
    return None if text is None else json.loads(text)


def test_who_sends_the_option_gets_the_reason_as_json(tmp_path: Path) -> None:
    assert told(make_rule(**TOLD), tmp_path) == {
        "c": ["mailto:noc@example.net", "tel:+1-555-0100"],
        "j": "Acme: 12/3, An order",
        "s": 5,
        "o": "Example Networks",
        "l": "en",
    }


def test_the_json_is_minified(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(**TOLD), "example.com").table(tmp_path)
    ((_, text),) = errors_of(answer(table, make_query("example.com")))
    assert text is not None
    assert text == json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)


def test_an_option_that_is_not_empty_counts_as_an_empty_one(tmp_path: Path) -> None:
    assert told(make_rule(**TOLD), tmp_path, option=b"x" * 40)["s"] == 5


def test_who_does_not_send_the_option_gets_the_text_of_old(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(**TOLD), "example.com").table(tmp_path)
    assert errors_of(answer(table, make_query("example.com", option=None))) == [(15, "Blocked: example")]


@pytest.mark.parametrize(("code", "sub_error"), [(15, 5), (16, None), (17, None)])
def test_a_sub_error_goes_with_blocked_alone(tmp_path: Path, code: int, sub_error: int | None) -> None:
    assert told(make_rule(ede=code, **TOLD), tmp_path).get("s") == sub_error


def test_confidential_orders_are_told_to_nobody(tmp_path: Path) -> None:
    assert told(make_rule(ede=16, ede_text="", contacts_json="", reason_json=""), tmp_path) is None


def test_the_language_goes_with_the_words_that_are_in_it() -> None:
    bare = replace(FORM, organization="")
    rule = make_rule(contacts_json='"c":["tel:+1"]', reason_json="")
    assert [json.loads(text) for text in bare.texts(rule)] == [{"c": ["tel:+1"], "s": 5}] * 2
    assert json.loads(FORM.texts(rule)[0])["l"] == "en"


def test_a_forged_address_is_not_called_forged(tmp_path: Path) -> None:
    for rule in (
        make_rule(action=PolicyAction.SINKHOLE, sinkhole_ipv4=b"\xc0\0\2\1", **TOLD),
        make_rule(action=PolicyAction.LOCAL_DATA, local_data=LocalData((b"\xc0\0\2\1",)), **TOLD),
    ):
        folder = tmp_path / rule.action.value
        folder.mkdir()
        table = PolicyMaker().block(rule, "example.com").table(folder)
        message = answer(table, make_query("example.com"))
        assert [code for code, _ in errors_of(message)] == [15] and message.answer
        plain = answer(table, make_query("example.com", option=None))
        assert [code for code, _ in errors_of(plain)] == [15, 4]


def test_refusals_are_told_the_same_way(tmp_path: Path) -> None:
    assert told(make_rule(action=PolicyAction.REFUSED, **TOLD), tmp_path)["j"] == "Acme: 12/3, An order"


def test_what_gives_way_is_first_words_then_text_then_the_error_and_never_a_record(tmp_path: Path) -> None:
    rule = make_rule(action=PolicyAction.SINKHOLE, sinkhole_ipv4=b"\xc0\0\2\1", **TOLD)
    table = PolicyMaker().block(rule, "example.com").table(tmp_path)
    query = make_query("example.com")
    steps: list[str] = []
    for limit in range(400, query.question_end + 16 + 11 - 1, -1):
        message = answer(table, query, limit=limit)
        assert [rr.to_text() for rrset in message.answer for rr in rrset] == ["192.0.2.1"]
        assert not message.flags & dns.flags.TC
        errors = errors_of(message)
        step = "none"
        if errors:
            text = errors[0][1]
            step = "bare" if text is None else "".join(json.loads(text))
        if step not in steps[-1:]:
            steps.append(step)
    assert steps == ["cjsol", "cs", "bare", "none"]


def test_an_answer_without_room_for_its_records_is_cut_off_as_ever(tmp_path: Path) -> None:
    rule = make_rule(action=PolicyAction.SINKHOLE, sinkhole_ipv4=b"\xc0\0\2\1", **TOLD)
    table = PolicyMaker().block(rule, "example.com").table(tmp_path)
    query = make_query("example.com")
    message = answer(table, query, limit=query.question_end + 16 + 11 - 1)
    assert message.flags & dns.flags.TC and not message.answer and not errors_of(message)
