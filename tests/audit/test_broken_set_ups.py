"""A set-up broken on purpose, each way found by name, and nothing else found."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.audit.results import Status
from resolver.audit.targets import Target, Transport, server_from
from resolver.policy.table import PolicyTable
from resolver.wire.encode import encode_response
from resolver.wire.message import read_message
from resolver.wire.names import name_from_text
from resolver.wire.numbers import Qtype, Rcode
from resolver.wire.records import QNAME_POINTER, record, soa_record
from tests.audit.broken_rig import LIST, POLICY, Where, but, is_under, leak, name_of, right, says, table
from tests.support.audit_rig import (
    Replies,
    Script,
    compile_table,
    findings,
    is_spelt_in_lower_case,
    named,
    query_of,
    run_audit,
    server_of,
)

__all__ = ["right", "table"]


def with_soa(owner: str) -> Script:
    def answer(_: Target, octets: bytes) -> Replies:
        soa = soa_record(name_from_text(owner), name_from_text("ns.example.net"), b"\0", 1, 1, 1, 1, 60, 60)
        return [(0.01, encode_response(query_of(octets), Rcode.NXDOMAIN, body=soa, nscount=1, limit=1232))]

    return answer


def address(text: bytes) -> Script:
    def answer(_: Target, octets: bytes) -> Replies:
        query = query_of(octets)
        if query.qtype != Qtype.A:
            return [(0.01, encode_response(query, 0, limit=1232))]
        body = record(QNAME_POINTER, Qtype.A, 300, text)
        return [(0.01, encode_response(query, 0, body=body, ancount=1, limit=1232))]

    return answer


def test_a_server_that_does_as_the_policy_says_has_no_finding(table: PolicyTable, right: Script) -> None:
    result = run_audit(table, right)
    assert findings(result) == {} and not result.has_findings
    assert named(result, "alpha.example").status is Status.COVERED
    assert named(result, "=exact.example").status is Status.COVERED
    assert named(result, "*.below.example").status is Status.COVERED
    assert named(result, "dropped.example").status is Status.COVERED
    assert named(result, "refused.example").status is Status.COVERED
    assert named(result, "listed.example").status is Status.COVERED
    assert named(result, "shadow.example").status is Status.SHADOWED
    assert named(result, "later.example").status is Status.PENDING
    assert named(result, "over.example").status is Status.EXPIRED
    assert named(result, "ok.alpha.example").status is Status.OPEN
    assert named(result, "safe.example").status is Status.OPEN


LEAKS: dict[str, tuple[Where, str, Script, str]] = {
    # What is broken -> (where, at which name, what comes instead, the kind of fault).
    "one type leaks": (
        lambda _, octets: query_of(octets).qtype == Qtype.TXT and is_under("third.example")(_, octets),
        "third.example",
        leak,
        "leak",
    ),
    "HTTPS leaks": (
        lambda _, octets: query_of(octets).qtype == Qtype.HTTPS and is_under("alpha.example")(_, octets),
        "alpha.example",
        leak,
        "leak",
    ),
    "ANY leaks": (
        lambda _, octets: query_of(octets).qtype == Qtype.ANY and is_under("third.example")(_, octets),
        "third.example",
        leak,
        "leak",
    ),
    "IPv6 only": (
        lambda _, octets: query_of(octets).qtype == Qtype.AAAA and is_under("third.example")(_, octets),
        "third.example",
        leak,
        "leak",
    ),
    "mirror missing": (is_under("mirror.example"), "mirror.example", leak, "leak"),
    "www alone leaks": (
        lambda _, octets: name_of(octets) == "www.third.example",
        "third.example",
        leak,
        "leak",
    ),
    "labels by chance leak": (
        lambda _, octets: (
            is_under("third.example")(_, octets)
            and name_of(octets) not in ("third.example", "www.third.example")
        ),
        "third.example",
        leak,
        "leak",
    ),
    "the name itself leaks": (
        lambda _, octets: name_of(octets) == "third.example",
        "third.example",
        leak,
        "leak",
    ),
    "mixed case leaks": (
        lambda _, octets: not is_spelt_in_lower_case(octets) and is_under("third.example")(_, octets),
        "third.example",
        leak,
        "leak",
    ),
    "without EDNS it leaks": (
        lambda _, octets: not query_of(octets).has_opt and is_under("third.example")(_, octets),
        "third.example",
        leak,
        "leak",
    ),
    "TCP leaks": (
        lambda target, octets: (
            target.transport is Transport.TCP and is_under("third.example")(target, octets)
        ),
        "third.example",
        leak,
        "leak",
    ),
    "an IPv6 listener leaks": (
        lambda target, octets: target.address == "::1" and is_under("third.example")(target, octets),
        "third.example",
        leak,
        "leak",
    ),
    "NODATA in place of NXDOMAIN": (is_under("third.example"), "third.example", says(0), "rcode"),
    "NXDOMAIN in place of NODATA": (
        is_under("nodata.example"),
        "nodata.example",
        with_soa("nodata.example"),
        "rcode",
    ),
    "SERVFAIL in place of NXDOMAIN": (is_under("third.example"), "third.example", says(2), "rcode"),
    "the SOA is missing": (is_under("third.example"), "third.example", says(3), "soa"),
    "the SOA is another's": (is_under("third.example"), "third.example", with_soa("example"), "soa"),
    "a wrong stop page": (
        lambda _, octets: query_of(octets).qtype == Qtype.A and is_under("paged.example")(_, octets),
        "paged.example",
        address(bytes([203, 0, 113, 1])),
        "answer",
    ),
    "no stop page": (is_under("paged.example"), "paged.example", says(3), "rcode"),
    "a wrong CNAME": (is_under("linked.example"), "linked.example", address(bytes([192, 0, 2, 1])), "answer"),
    "no CNAME": (is_under("linked.example"), "linked.example", says(0), "answer"),
    "0.0.0.0 in place of NXDOMAIN": (is_under("third.example"), "third.example", address(bytes(4)), "answer"),
    "drop answers": (is_under("dropped.example"), "dropped.example", leak, "leak"),
    "refused answers": (is_under("refused.example"), "refused.example", leak, "leak"),
    "a list's name leaks": (is_under("listed.example"), "listed.example", leak, "leak"),
}


@pytest.mark.parametrize("broken", LEAKS)
def test_what_is_broken_is_found_by_name_and_nothing_else(
    broken: str, table: PolicyTable, right: Script
) -> None:
    where, name, instead, kind = LEAKS[broken]
    result = run_audit(table, but(right, where, instead))
    found = findings(result)
    assert set(found) == {name}
    status, kinds = found[name]
    assert status == "uncovered" and kind in kinds
    assert result.has_findings


TOO_WIDE: dict[str, tuple[Where, str, Script]] = {
    "= covers what is below": (
        lambda _, octets: name_of(octets).endswith(".exact.example"),
        "=exact.example",
        with_soa("invalid"),
    ),
    "*. covers the name itself": (
        lambda _, octets: name_of(octets) == "below.example",
        "*.below.example",
        says(3),
    ),
    "an exception is blocked": (is_under("ok.alpha.example"), "ok.alpha.example", says(3)),
    "a protected name is blocked": (is_under("safe.example"), "safe.example", address(bytes(4))),
}


@pytest.mark.parametrize("broken", TOO_WIDE)
def test_what_covers_too_much_is_found_by_name(broken: str, table: PolicyTable, right: Script) -> None:
    where, name, instead = TOO_WIDE[broken]
    found = findings(run_audit(table, but(right, where, instead)))
    assert found == {name: ("overblocked", {"too-wide"})}


def test_a_type_that_leaks_for_all_is_named_for_each(table: PolicyTable, right: Script) -> None:
    result = run_audit(table, but(right, lambda _, octets: query_of(octets).qtype == Qtype.MX, leak))
    blocked = {
        name.written
        for name in result.names
        if name.kind in ("exchange", "list") and name.gravest.asked and name.written != "dropped.example"
    }
    assert set(findings(result)) == blocked | {"dropped.example"}


def test_a_listener_without_policy_is_named_with_its_address(table: PolicyTable, right: Script) -> None:
    result = run_audit(table, {"*": right, "[::1]:5335": leak})
    faults = named(result, "third.example").gravest.faults
    assert {fault.listener for fault in faults} <= {"[::1]:5335 udp", "[::1]:5335 tcp"} and faults
    assert named(result, "alpha.example").status is Status.UNCOVERED


def test_a_stale_server_is_told_by_the_names_it_lacks(
    table: PolicyTable, right: Script, tmp_path: Path
) -> None:
    older = compile_table(tmp_path, POLICY.replace("mirror.example, ", ""), names_txt="listed.example\n")
    found = findings(run_audit(table, server_of(older)))
    assert found.keys() == {"mirror.example", "other.example"}


def test_a_missing_extended_error_is_found_by_name(table: PolicyTable, right: Script) -> None:
    def without_errors(target: Target, octets: bytes) -> Replies:
        (delay, sent), *_ = right(target, octets)
        query = query_of(octets)
        if sent is None or not query.has_opt:
            return [(delay, sent)]
        message = read_message(sent)
        assert message is not None and message.opt is not None
        bare = sent[: len(sent) - len(message.opt.rdata) - 2] + b"\0\0"
        return [(delay, bare)]

    found = findings(run_audit(table, but(right, is_under("third.example"), without_errors)))
    assert found == {"third.example": ("uncovered", {"ede"})}


def test_another_ttl_is_found_by_name(tmp_path: Path, table: PolicyTable, right: Script) -> None:
    longer = server_of(compile_table(tmp_path, POLICY.replace("ttl_s: 300", "ttl_s: 600"), names_txt=LIST))
    found = findings(run_audit(table, but(right, is_under("paged.example"), longer)))
    assert found["paged.example"][0] == "uncovered" and "ttl" in found["paged.example"][1]


def test_an_exception_as_wide_as_a_rule_uncovers_it(tmp_path: Path) -> None:
    table = compile_table(tmp_path, POLICY.replace("allow: [", "allow: [third.example, "), names_txt=LIST)
    result = run_audit(table, server_of(table))
    assert findings(result) == {"third.example": ("uncovered", {"excepted"})}
    assert "allow" in named(result, "third.example", "exchange").gravest.reason


def test_an_exception_to_a_strangers_list_is_no_finding(tmp_path: Path) -> None:
    table = compile_table(tmp_path, POLICY.replace("allow: [", "allow: [listed.example, "), names_txt=LIST)
    result = run_audit(table, server_of(table))
    assert findings(result) == {}
    assert named(result, "listed.example", "list").status is Status.OPEN


@pytest.mark.parametrize("action", ["refused.example", "dropped.example"])
def test_what_no_export_can_say_may_be_any_denial_elsewhere(
    action: str, table: PolicyTable, right: Script
) -> None:
    denying = but(right, is_under(action), says(3))
    assert findings(run_audit(table, denying, servers=[server_from("192.0.2.53")])) == {}


def test_a_listener_that_is_not_there_covers_no_dropped_name(tmp_path: Path) -> None:
    text = "version: 1\nexchanges:\n  dropped: {name: Dropped, action: drop, domains: [dropped.example]}\n"
    table = compile_table(tmp_path, text)
    gone = run_audit(table, lambda *_: [])
    assert findings(gone) == {"dropped.example": ("unknown", {"no-answer"})}
    # One that is there, and is asked about nothing else, is heard by the control.
    assert findings(run_audit(table, server_of(table))) == {}
