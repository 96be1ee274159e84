"""What a running server adds to an explanation: what it has in the cache, what its upstreams say, and what in
either of them would be blocked.

Knows: cache entries, responses, the response's side of the policy.  Does not know: how upstreams are asked,
who reads it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from resolver.cache import CacheEntry
from resolver.explain.reading import ShownReply, read_reply
from resolver.explain.trace import form_text
from resolver.flow.served import STALE_TTL_S
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import PolicyRule, RuleMatch, Verdict
from resolver.wire.encode import STREAM_OCTETS_MAX, encode_query, encode_response
from resolver.wire.names import name_to_text
from resolver.wire.query import Query, parse_query
from resolver.wire.question import Question
from resolver.wire.response import Response
from resolver.wire.ttl import age_body, with_ttl

VARIANTS = ((False, False), (True, False), (False, True), (True, True))
"""DO and CD: what clients that set them get is kept apart."""


@dataclass(slots=True, frozen=True)
class Condemned:
    """What in an answer is blocked, and by which rule."""

    by: str
    """`link`, `service` or `address`."""
    value: str
    """The name, or the address."""
    position: int
    """Its place among the links, service targets or addresses of the answer, from 1."""
    match: RuleMatch
    rule_text: str
    """As the blocklist writes it."""

    def as_json(self) -> dict[str, Any]:
        """For programs outside: nothing of what is confidential but that it is."""
        rule = self.match.rule
        is_hidden = rule.is_confidential
        return {
            "by": self.by,
            "value": self.value,
            "position": self.position,
            "rule": self.rule_text,
            "file": None if is_hidden else self.match.file,
            "line": None if is_hidden else self.match.line,
            "kind": rule.kind,
            "label": rule.label,
            "name": rule.name,
            "action": rule.action.value,
        }


def condemned(
    table: PolicyTable, qname: bytes, qtype: int, response: Response, now: float
) -> Condemned | None:
    """What in an answer to `qname` the rules object to first; None: nothing, or `qname` itself is blocked."""
    verdict = table.judge_name(qname, now)
    if verdict.is_blocked:
        return None
    judgement = table.judge_response(verdict, qname, qtype, response, now)
    if judgement is verdict or not judgement.is_blocked or judgement.match is None:
        return None
    return _found(table, response, judgement, judgement.match)


def _found(table: PolicyTable, response: Response, judgement: Verdict, match: RuleMatch) -> Condemned | None:
    if match.form is None:
        for position, address in enumerate(response.addresses, start=1):
            for class_id, line, network, length in table.networks_around(address):
                if (network, line) == (match.owner, match.line) and _is_of(table, class_id, match.rule):
                    text = f"{ipaddress.ip_address(network)}/{length}"
                    return Condemned("address", str(ipaddress.ip_address(address)), position, match, text)
        return None
    text = form_text(match.owner, match.form)
    links = [link.target for link in response.links]
    place = judgement.kept_links
    if place and links[place - 1] == judgement.denied and judgement.denied.endswith(match.owner):
        return Condemned("link", name_to_text(judgement.denied), place, match, text)
    for position, target in enumerate(response.service_targets, start=1):
        if target.endswith(match.owner):
            return Condemned("service", name_to_text(target), position, match, text)
    return None


def _is_of(table: PolicyTable, class_id: int, rule: PolicyRule) -> bool:
    return table.class_state(class_id).rule is rule


def cached_json(
    look_up: Callable[[Question], CacheEntry | None], qname: bytes, qtype: int, table: PolicyTable, now: float
) -> list[dict[str, Any]]:
    """Each entry of the cache about a name and a type; `now`: monotonic seconds.

    `table` judges by the clock of `now`.
    """
    found = []
    for dnssec_ok, checking_disabled in VARIANTS:
        question = Question(qname, qtype, dnssec_ok, checking_disabled)
        entry = look_up(question)
        if entry is not None:
            found.append(
                {
                    "dnssec_ok": dnssec_ok,
                    "checking_disabled": checking_disabled,
                    **_entry_json(entry, question, table, now),
                }
            )
    return found


def _entry_json(entry: CacheEntry, question: Question, table: PolicyTable, now: float) -> dict[str, Any]:
    is_failing = entry.failure is not None and now < entry.failed_until
    failure = None
    if is_failing and entry.failure is not None:
        code, text = entry.failure
        failure = {"code": int(code), "text": text, "left_s": max(0, int(entry.failed_until - now))}
    response = entry.response
    if response is None:
        return {"state": "failure" if is_failing else "old failure", "failure": failure}
    is_fresh = now < entry.expires_at
    body = age_body(response, int(now - entry.stored_at)) if is_fresh else with_ttl(response, STALE_TTL_S)
    state = "fresh" if is_fresh else "stale" if now < entry.stale_until else "expired"
    return {
        "state": state,
        "age_s": max(0, int(now - entry.stored_at)),
        "ttl_left_s": max(0, int(entry.expires_at - now)),
        "stale_left_s": max(0, int(entry.stale_until - max(now, entry.expires_at))),
        "failure": failure,
        **response_json(response, body, question, table, now),
    }


def response_json(
    response: Response, body: bytes, question: Question, table: PolicyTable, now: float
) -> dict[str, Any]:
    """A response, and what in it is blocked; `body` is its own as of now."""
    found = condemned(table, question.qname, question.qtype, response, now)
    return {
        "reply": shown_response(response, body, question).as_json(),
        "authentic_data": response.authentic_data,
        "blocked_by": None if found is None else found.as_json(),
    }


def shown_response(response: Response, body: bytes, question: Question) -> ShownReply:
    """A response behind the question that it answers, whose name its compression pointers point to."""
    asked = parse_query(
        encode_query(
            question.qname,
            question.qtype,
            id=0,
            dnssec_ok=question.dnssec_ok,
            checking_disabled=question.checking_disabled,
            edns=True,
        )
    )
    assert isinstance(asked, Query)
    octets = encode_response(
        asked,
        response.rcode,
        body=body,
        ancount=response.ancount,
        nscount=response.nscount,
        limit=STREAM_OCTETS_MAX,
    )
    return read_reply(octets)
