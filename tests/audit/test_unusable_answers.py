"""Answers that say nothing of the policy: garbage, silence, lateness, limits; and other servers beside ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.audit.results import Kind, Status
from resolver.audit.targets import Target, Transport, server_from
from resolver.policy.table import PolicyTable
from resolver.wire.encode import encode_response
from resolver.wire.names import name_from_text
from resolver.wire.numbers import Qtype
from tests.audit.broken_rig import but, is_under, leak, right, says, table
from tests.support.audit_rig import (
    Replies,
    Script,
    compile_table,
    findings,
    named,
    query_of,
    run_audit,
    server_of,
)

__all__ = ["right", "table"]


# Answers that prove nothing.


def another_id(right: Script) -> Script:
    def answer(target: Target, octets: bytes) -> Replies:
        wrong = bytes([octets[0] ^ 0x55, octets[1] ^ 0xAA])
        return [(delay, wrong + sent[2:] if sent else sent) for delay, sent in right(target, octets)]

    return answer


def test_what_answers_with_another_id_is_unknown_and_says_so(table: PolicyTable, right: Script) -> None:
    result = run_audit(table, but(right, is_under("third.example"), another_id(right)))
    assert findings(result) == {"third.example": ("unknown", {"wrong-id"})}


@pytest.mark.parametrize("octets", [b"", b"\0", b"not dns at all", bytes(600), b"\xff" * 40])
def test_garbage_is_unknown_and_says_so(octets: bytes, table: PolicyTable, right: Script) -> None:
    result = run_audit(table, but(right, is_under("third.example"), lambda *_: [(0.01, octets)]))
    assert findings(result) == {"third.example": ("unknown", {"garbage"})}


def test_a_server_that_sends_garbage_alone_is_told_from_a_silent_one(table: PolicyTable) -> None:
    says = [
        listener.says
        for listener in run_audit(table, lambda *_: [(0.01, b"\xff" * 40)]).servers[0].listeners
        if listener.asked
    ]
    assert says and all("does not answer; sent" in one for one in says)


def test_an_answer_to_another_question_is_garbage(table: PolicyTable, right: Script) -> None:
    def other(target: Target, octets: bytes) -> Replies:
        query = query_of(octets)
        other_name = name_from_text("elsewhere.example")
        sent = octets[:2] + b"\x81\x80\0\1\0\0\0\0\0\0" + other_name + octets[query.question_end - 4 :][:4]
        return [(0.01, sent)]

    result = run_audit(table, but(right, is_under("third.example"), other))
    assert findings(result) == {"third.example": ("unknown", {"garbage"})}


def test_a_name_that_is_never_answered_is_unknown(table: PolicyTable, right: Script) -> None:
    result = run_audit(table, but(right, is_under("third.example"), lambda *_: []))
    assert findings(result) == {"third.example": ("unknown", {"no-answer"})}


def test_what_comes_late_is_covered_and_says_so(table: PolicyTable, right: Script) -> None:
    def late(target: Target, octets: bytes) -> Replies:
        return [(delay + 5.5, sent) for delay, sent in right(target, octets)]

    result = run_audit(table, but(right, is_under("third.example"), late))
    assert findings(result) == {}
    assert "only after 5.5 s" in named(result, "third.example").gravest.reason


def test_a_closed_stream_is_unknown(table: PolicyTable, right: Script) -> None:
    closing = but(
        right,
        lambda target, octets: (
            target.transport is Transport.TCP and is_under("third.example")(target, octets)
        ),
        lambda *_: [(0.01, None)],
    )
    assert findings(run_audit(table, closing)) == {"third.example": ("unknown", {"closed"})}


def test_a_silent_server_is_unknown_not_leaking_and_is_not_asked_for_ever(table: PolicyTable) -> None:
    result = run_audit(table, lambda *_: [])
    assert result.counts()["uncovered"] == 0 and result.has_findings
    assert all(
        "does not answer" in listener.says for listener in result.servers[0].listeners if listener.asked
    )


@pytest.mark.parametrize("how", ["truncated", "refused", "silent"])
def test_a_rate_limit_is_told_from_a_leak(how: str, table: PolicyTable, right: Script) -> None:
    limited = RateLimited(right, how)
    result = run_audit(table, limited)
    assert findings(result) == {}
    assert limited.limited > 0
    assert any("limits the rate" in listener.says for listener in result.servers[0].listeners)


class RateLimited:
    """Answers every second question at first, and all when they come slowly enough."""

    def __init__(self, right: Script, how: str) -> None:
        self._right = right
        self._how = how
        self._seen: dict[bytes, int] = {}
        self.limited = 0

    def __call__(self, target: Target, octets: bytes) -> Replies:
        key = octets[2:]
        self._seen[key] = self._seen.get(key, 0) + 1
        is_refused = is_under("refused.example")(target, octets)
        if target.transport is Transport.TCP or self._seen[key] > 1 or key[-6] % 2 or is_refused:
            return self._right(target, octets)
        self.limited += 1
        query = query_of(octets)
        if self._how == "silent":
            return []
        if self._how == "refused":
            return says(5)(target, octets)
        return [(0.01, encode_response(query, 0, limit=1232, truncated=True))]


def test_what_is_always_truncated_is_asked_over_tcp(table: PolicyTable, right: Script) -> None:
    def truncating(target: Target, octets: bytes) -> Replies:
        if target.transport is Transport.UDP and is_under("third.example")(target, octets):
            return [(0.01, encode_response(query_of(octets), 0, limit=1232, truncated=True))]
        return right(target, octets)

    assert findings(run_audit(table, truncating)) == {}


# Another server: rcode and answer decide.


def test_of_another_server_soa_and_error_are_notes(table: PolicyTable, right: Script) -> None:
    bare = but(right, is_under("third.example"), says(3))
    result = run_audit(table, bare, servers=[server_from("192.0.2.53")])
    assert findings(result) == {}
    notes = {note.kind for note in result.servers[0].notes}
    assert {Kind.SOA, Kind.EDE} <= notes


def test_strict_makes_them_count(table: PolicyTable, right: Script) -> None:
    from resolver.audit.auditor import Manner

    bare = but(right, is_under("third.example"), says(3))
    result = run_audit(
        table, bare, servers=[server_from("192.0.2.53")], manner=Manner(seed=7, is_strict=True)
    )
    assert findings(result) == {"third.example": ("uncovered", {"soa", "ede"})}


def test_servers_are_compared_side_by_side(table: PolicyTable, right: Script) -> None:
    servers = [server_from("192.0.2.1"), server_from("192.0.2.2"), server_from("[2001:db8::1]:5353")]
    scripts = {"192.0.2.1:53": right, "192.0.2.2:53": leak, "[2001:db8::1]:5353": right}
    result = run_audit(table, scripts, servers=servers)
    statuses = [proof.status for proof in named(result, "third.example").proofs]
    assert statuses == [Status.COVERED, Status.UNCOVERED, Status.COVERED]


def test_an_unanswered_question_is_not_lost_behind_truncated_ones(tmp_path: Path) -> None:
    table = compile_table(tmp_path, "version: 1\nexchanges:\n  acme: {name: Acme, domains: [acme.example]}\n")
    right = server_of(table)

    def truncating(target: Target, octets: bytes) -> Replies:
        if target.transport is Transport.TCP:
            return right(target, octets)
        if query_of(octets).qtype == Qtype.ANY:
            return []  # Asked last.
        return [(0.01, encode_response(query_of(octets), 0, limit=1232, truncated=True))]

    result = run_audit(table, truncating)
    assert named(result, "acme.example").status is Status.UNKNOWN
    proof = named(result, "acme.example").gravest
    assert {fault.kind for fault in proof.faults} == {Kind.NO_ANSWER}
    assert proof.fault_count == len(proof.faults)
