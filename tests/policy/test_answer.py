"""What a client gets for a blocked name, read back by dnspython."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
import pytest

from resolver.policy.answer import policy_answer, prepared_answer, soa_after_owner
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import LocalData, PolicyAction, RuleForm, RuleMatch, Verdict
from resolver.wire.encode import COPIED_FLAGS, encode_query, encode_response, response_limit
from resolver.wire.names import name_from_text as n
from resolver.wire.numbers import Qtype
from resolver.wire.query import Query, parse_query
from resolver.wire.records import QNAME_POINTER
from tests.support.for_each import for_each
from tests.support.policy_maker import PolicyMaker, make_rule

NOW = 100.0


def make_query(name: str, qtype: int = Qtype.A, *, edns: bool = True, dnssec_ok: bool = False) -> Query:
    octets = encode_query(n(name), qtype, id=7, dnssec_ok=dnssec_ok, checking_disabled=True, edns=edns)
    query = parse_query(octets)
    assert isinstance(query, Query)
    return query


def answer(
    table: PolicyTable, name: str, qtype: int = Qtype.A, *, edns: bool = True, limit: int = 1232
) -> dns.message.Message:
    query = make_query(name, qtype, edns=edns)
    octets = policy_answer(query, table.judge_name(query.qname, NOW), limit=limit, now=NOW)
    assert octets is not None and len(octets) <= limit
    return dns.message.from_wire(octets)


def errors_of(message: dns.message.Message) -> list[tuple[int, str | None]]:
    return [(int(o.code), o.text) for o in message.options if isinstance(o, dns.edns.EDEOption)]


def soa_of(message: dns.message.Message) -> tuple[str, int, str]:
    (rrset,) = message.authority
    return rrset.name.to_text(), rrset.ttl, rrset[0].to_text()


def test_nxdomain_carries_the_rules_soa_and_reason(tmp_path: Path) -> None:
    message = answer(PolicyMaker().block(make_rule(), "example.com").table(tmp_path), "www.example.com")
    assert message.rcode() == 3 and message.answer == []
    assert soa_of(message) == (
        "example.com.",
        300,
        "policy.invalid. nobody.invalid. 1 3600 600 86400 300",
    )
    assert errors_of(message) == [(15, "Blocked: example")]
    assert message.flags & dns.flags.RA and message.flags & dns.flags.CD
    assert not message.flags & dns.flags.AA and not message.flags & dns.flags.AD


@pytest.mark.parametrize("qtype", [Qtype.A, Qtype.HTTPS, Qtype.TXT, Qtype.DS, Qtype.DNSKEY, Qtype.ANY, 65280])
def test_every_type_is_denied_alike(tmp_path: Path, qtype: int) -> None:
    message = answer(PolicyMaker().block(make_rule(), "example.com").table(tmp_path), "example.com", qtype)
    assert message.rcode() == 3 and message.answer == [] and len(message.authority) == 1


def test_client_without_opt_gets_none(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(), "example.com").table(tmp_path)
    assert answer(table, "example.com", edns=False).opt is None
    assert answer(table, "example.com", edns=True).opt is not None


def test_exact_rule_says_nodata(tmp_path: Path) -> None:
    message = answer(PolicyMaker().block(make_rule(), "=a.example").table(tmp_path), "a.example")
    assert message.rcode() == 0 and soa_of(message)[0] == "a.example."


def test_below_rule_denies_by_the_soa_of_its_owner(tmp_path: Path) -> None:
    message = answer(PolicyMaker().block(make_rule(), "*.x.example").table(tmp_path), "a.b.x.example")
    assert message.rcode() == 3 and soa_of(message)[0] == "x.example."


def test_root_rule_spells_its_owner_out(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(), ".").table(tmp_path)
    assert soa_of(answer(table, "a.example"))[0] == "."
    assert soa_of(answer(table, "b.example"))[0] == "."


def test_nodata_action_never_says_nxdomain(tmp_path: Path) -> None:
    rule = make_rule(action=PolicyAction.NODATA)
    message = answer(PolicyMaker().block(rule, "example.com").table(tmp_path), "example.com")
    assert message.rcode() == 0 and soa_of(message)[0] == "example.com."


def test_sinkhole_gives_addresses_for_address_types_and_nodata_for_the_rest(tmp_path: Path) -> None:
    rule = make_rule(
        action=PolicyAction.SINKHOLE,
        sinkhole_ipv4=bytes([192, 0, 2, 1]),
        sinkhole_ipv6=bytes.fromhex("20010db8" + "00" * 11 + "01"),
    )
    table = PolicyMaker().block(rule, "example.com").table(tmp_path)
    ipv4, ipv6, https = (
        answer(table, "a.example.com", qtype) for qtype in (Qtype.A, Qtype.AAAA, Qtype.HTTPS)
    )
    assert [str(rrset) for rrset in ipv4.answer] == ["a.example.com. 300 IN A 192.0.2.1"]
    assert [str(rrset) for rrset in ipv6.answer] == ["a.example.com. 300 IN AAAA 2001:db8::1"]
    assert errors_of(ipv4) == [(15, "Blocked: example"), (4, None)]
    assert https.rcode() == 0 and https.answer == [] and len(https.authority) == 1
    assert errors_of(https) == [(15, "Blocked: example")]


def test_refused_has_no_records_and_drop_no_message(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(label="r", action=PolicyAction.REFUSED), "r.example")
    table = maker.block(make_rule(label="d", action=PolicyAction.DROP), "d.example").table(tmp_path)
    message = answer(table, "r.example")
    assert message.rcode() == 5 and not message.answer and not message.authority
    query = make_query("d.example")
    assert policy_answer(query, table.judge_name(query.qname, NOW), limit=512, now=NOW) is None


@pytest.mark.parametrize(
    ("ends_at", "ttl"), [(100.5, 0), (101.0, 1), (400.0, 300), (399.9, 299), (1e9, 300), (99.0, 0)]
)
def test_ttl_ends_with_the_rule(ends_at: float, ttl: int) -> None:
    owner = n("example.com")
    match = RuleMatch(make_rule(), RuleForm.SUBTREE, owner, "f", 1)
    verdict = Verdict(PolicyAction.NXDOMAIN, match, denied=owner, nxdomain_ok=True, valid_until=ends_at)
    octets = policy_answer(make_query("example.com"), verdict, limit=1232, now=NOW)
    assert octets is not None
    _, soa_ttl, rdata = soa_of(dns.message.from_wire(octets))
    assert soa_ttl == ttl and rdata.endswith(f" {ttl}")


def test_soa_speaks_of_the_denied_name_where_the_rule_stands_elsewhere() -> None:
    for owner in (n("other.example"), n("b.example.com")):
        match = RuleMatch(make_rule(), RuleForm.SUBTREE, owner, "f", 1)
        verdict = Verdict(PolicyAction.NXDOMAIN, match, denied=n("example.com"))
        octets = policy_answer(make_query("example.com"), verdict, limit=1232, now=NOW)
        assert octets is not None
        message = dns.message.from_wire(octets)
        assert message.rcode() == 0 and soa_of(message)[0] == "example.com."


def make_chain(target: str) -> bytes:
    rdata = n(target)
    return b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c" + len(rdata).to_bytes(2, "big") + rdata


@pytest.mark.parametrize("nxdomain_ok", [True, False])
def test_denied_later_name_keeps_the_chain_and_names_itself(nxdomain_ok: bool) -> None:
    match = RuleMatch(make_rule(), RuleForm.SUBTREE, n("bad.example"), "f", 1)
    verdict = Verdict(
        PolicyAction.NXDOMAIN,
        match,
        denied=n("www.bad.example"),
        nxdomain_ok=nxdomain_ok,
        valid_until=math.inf,
        kept_links=1,
    )
    kept = (make_chain("www.bad.example"), 1)
    octets = policy_answer(make_query("ask.example"), verdict, limit=1232, now=NOW, kept=kept)
    assert octets is not None
    message = dns.message.from_wire(octets)
    assert message.rcode() == (3 if nxdomain_ok else 0)
    assert [str(rrset) for rrset in message.answer] == ["ask.example. 60 IN CNAME www.bad.example."]
    assert soa_of(message)[0] == "bad.example."


def test_sinkhole_of_a_later_name_is_owned_by_that_name() -> None:
    rule = make_rule(action=PolicyAction.SINKHOLE, sinkhole_ipv4=bytes([192, 0, 2, 1]))
    match = RuleMatch(rule, RuleForm.SUBTREE, n("bad.example"), "f", 1)
    verdict = Verdict(PolicyAction.SINKHOLE, match, denied=n("bad.example"), nxdomain_ok=True, kept_links=1)
    kept = (make_chain("bad.example"), 1)
    octets = policy_answer(make_query("ask.example"), verdict, limit=1232, now=NOW, kept=kept)
    assert octets is not None
    assert [str(rrset) for rrset in dns.message.from_wire(octets).answer] == [
        "ask.example. 60 IN CNAME bad.example.",
        "bad.example. 300 IN A 192.0.2.1",
    ]


def test_longest_name_and_text_fit_the_smallest_message() -> None:
    name = ".".join(["a" * 61] * 4)
    match = RuleMatch(make_rule(ede_text="x" * 200), RuleForm.SUBTREE, n(name), "f", 1)
    verdict = Verdict(PolicyAction.NXDOMAIN, match, denied=n(name), nxdomain_ok=True)
    octets = policy_answer(make_query(name), verdict, limit=512, now=NOW)
    assert octets is not None and len(octets) <= 512
    message = dns.message.from_wire(octets)
    assert len(message.authority) == 1 and not message.flags & dns.flags.TC


def test_answers_of_rules_with_equal_fields_are_never_mixed_up(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(label="a"), "a.example").block(make_rule(label="b"), "b.example")
    table = maker.table(tmp_path)
    for label in ("a", "b", "a"):
        message = answer(table, f"x.{label}.example")
        assert errors_of(message) == [(15, f"Blocked: {label}")]
        assert soa_of(message)[0] == f"{label}.example."


@for_each("edns", [None, (1232, False), (1232, True), (512, False)])
@for_each("flags", [0x0100, 0x0110, 0x0000])
@for_each("name", ["www.example.org", "example.org", "x" * 60 + ".www.example.org"])
def test_a_denial_repeated_from_its_parts_is_what_the_encoder_writes(
    tmp_path: Path, name: str, flags: int, edns: tuple[int, bool] | None
) -> None:
    rule = make_rule(ede_text="é" * 90)
    table = PolicyMaker().block(rule, "example.org").table(tmp_path)
    messages = []
    for _ in range(3):
        message = dns.message.make_query(name, "A", flags=flags, id=7)
        if edns is not None:
            message.use_edns(0, payload=edns[0], ednsflags=0x8000 if edns[1] else 0)
        query = parse_query(message.to_wire())
        assert isinstance(query, Query)
        limit = response_limit(query, is_stream=False)
        verdict = table.judge_name(query.qname, 0.0)
        answer = policy_answer(query, verdict, limit=limit, now=0.0)
        assert answer is not None and len(answer) <= limit
        messages.append(answer)
        owner_at = QNAME_POINTER + len(query.qname) - len(n("example.org"))
        body = owner_at.to_bytes(2, "big") + soa_after_owner(rule.ttl_s)
        expected = encode_response(
            query, 3, body=body, nscount=1, limit=limit, ede=((rule.ede, rule.ede_text),)
        )
        assert answer == expected
    assert messages[0] == messages[1] == messages[2]


@for_each("action", [action for action in PolicyAction if action is not PolicyAction.PASSTHRU])
@for_each("owner", ["example.org", "=example.org", "*.example.org"])
def test_what_is_prepared_says_octet_for_octet_what_would_be_made(
    tmp_path: Path, action: PolicyAction, owner: str
) -> None:
    local_data = (
        LocalData(redirect=b"\x01*" + n("garden.example")) if action is PolicyAction.LOCAL_DATA else None
    )
    rule = make_rule(action=action, local_data=local_data)
    table = PolicyMaker().block(rule, owner).table(tmp_path)
    made = 0
    for name in ("example.org", "www.example.org", "a.example.org", "www.example.org"):
        for qtype in (Qtype.A, Qtype.AAAA, Qtype.TXT, 65_280):
            for edns, dnssec_ok in ((False, False), (True, False), (True, True)):
                query = make_query(name, qtype, edns=edns, dnssec_ok=dnssec_ok)
                verdict = table.judge_name(query.qname, NOW)
                if not verdict.is_blocked:
                    continue
                prepared = prepared_answer(query, verdict, NOW)
                assert prepared is not None
                if query.question_end > prepared.question_end_max:
                    continue
                made += 1
                question = query.octets[12 : query.question_end]
                tail = prepared.heads[query.flags & COPIED_FLAGS] + question + prepared.suffix
                message = policy_answer(query, verdict, limit=512, now=NOW)
                assert message is not None and tail == message[2:]
                assert prepared.rcode == message[3] & 0x0F
    assert (made == 0) is (action in (PolicyAction.DROP, PolicyAction.LOCAL_DATA))


def test_nothing_is_prepared_for_a_verdict_that_is_about_to_change(tmp_path: Path) -> None:
    rule = make_rule()
    table = PolicyMaker().block(rule, "example.org").table(tmp_path)
    query = make_query("example.org")
    verdict = replace(table.judge_name(query.qname, NOW), valid_until=NOW + rule.ttl_s)
    assert prepared_answer(query, verdict, NOW) is not None
    assert prepared_answer(query, verdict, NOW + 1) is None
