"""A server's document about a name -> the explanation that it was made of.

Knows: the form of `Explanation.as_json`.  Does not know: where the document comes from.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from resolver.explain.explanation import Explanation, PausedNote
from resolver.explain.reading import ShownRecord, ShownReply
from resolver.explain.trace import RuleResult, TracedRule
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule, RuleForm, RuleMatch, Verdict
from resolver.wire.names import name_from_text

Document = dict[str, Any]


class RecordedThere:
    """What a register says of a name, as a document has it."""

    def __init__(self, fields: Document) -> None:
        self._fields = fields
        self.list: str = fields["list"]
        self.line: int = fields["line"]
        self.id: str = fields["id"]
        self.written: str = fields["written"]
        self.reason: str = fields["reason"]
        self.provenance: str = fields.get("provenance", "")

    def as_json(self) -> Document:
        """For `--json`."""
        return self._fields


def explanation_from(document: Document, zone: tzinfo) -> Explanation:
    """Read it; dates will be shown in `zone`.  Raises ValueError, KeyError or TypeError for another form."""
    decision, seen, client = document["decision"], document["client_sees"], document["client"]
    trace = [_traced(one) for one in document["trace"]]
    decider = next((one for one in trace if one.fate is RuleResult.DECIDES), None)
    orders: dict[str, Document] = dict(decision["orders"])
    return Explanation(
        asked=document["asked"],
        name=document["name"],
        qtype=document["type"],
        client=client["address"],
        is_client_allowed=client["allowed"],
        at=_moment(document["at"]) or 0.0,
        verdict=_verdict(decision, document["name"], decider),
        trace=trace,
        reply=None if seen["reply"] is None else shown_reply(seen["reply"]),
        source=seen["source"],
        upstreams=tuple(seen["upstreams"]),
        orders=orders,
        cited=tuple(orders),
        blocklist=document["blocklist"],
        zone=zone,
        records=tuple(RecordedThere(one) for one in document["records"]),
        nxdomain_why=decision["nxdomain"] or "",
        # A server of an earlier version has no pauses.
        paused=PausedNote(**document["paused"]) if document.get("paused") else None,
    )


def shown_reply(reply: Document) -> ShownReply:
    """A reply as `ShownReply.as_json` has it."""
    return ShownReply(
        rcode=reply["rcode"],
        is_truncated=reply["truncated"],
        answers=tuple(map(_record, reply["answers"])),
        authority=tuple(map(_record, reply["authority"])),
        extended_errors=tuple((one["code"], one["text"]) for one in reply["ede"]),
        octets=reply["octets"],
    )


def _record(record: Document) -> ShownRecord:
    return ShownRecord(record["name"], record["ttl_s"], record["type"], record["rdata"])


def _verdict(decision: Document, name: str, decider: TracedRule | None) -> Verdict | None:
    if decision["action"] is None:
        return None
    match = None
    if decision["rule"] is not None:
        rule = decider.rule if decider is not None else _rule(decision, decision["action"], Mode.ENFORCE)
        orders = tuple(key for key, order in decision["orders"].items() if order.get("in_force"))
        match = _match(_rule(decision, rule.action.value, rule.mode, orders), decision)
    shadow = None
    if decision["shadow"] is not None:
        shadow = _match(_rule({**decision, "label": decision["shadow"]}, "nxdomain", Mode.SHADOW), decision)
    return Verdict(
        action=PolicyAction(decision["action"]),
        match=match,
        shadow=shadow,
        denied=name_from_text(name),
        nxdomain_ok=(decision["nxdomain"] or "").startswith("NXDOMAIN"),
    )


def _match(rule: PolicyRule, decision: Document) -> RuleMatch:
    text = decision["rule"] or "."
    form = RuleForm.EXACT if text.startswith("=") else RuleForm.SUBTREE
    if text.startswith("*."):
        form, text = RuleForm.BELOW, text[2:]
    owner = name_from_text(text.lstrip("="))
    return RuleMatch(rule, form, owner, decision["file"] or "", decision["line"] or 0)


def _traced(one: Document) -> TracedRule:
    return TracedRule(
        fate=RuleResult(one["fate"]),
        why=one["why"],
        effect=one["effect"],
        tier=one["tier"],
        rule=_rule(one, one["action"], Mode(one["mode"]), tuple(one["orders"])),
        text=one["rule"],
        file=one["file"] or "",
        line=one["line"] or 0,
    )


def _rule(fields: Document, action: str, mode: Mode, orders: tuple[str, ...] = ()) -> PolicyRule:
    """As much of a rule as a document says; the rest of it is for answers."""
    return PolicyRule(
        kind=fields["kind"] or "list",
        label=fields["label"] or "",
        name=fields["name"] or "",
        action=PolicyAction(action),
        mode=mode,
        ttl_s=0,
        sinkhole_ipv4=bytes(4),
        sinkhole_ipv6=bytes(16),
        ede=0,
        ede_text="",
        category=fields.get("category") or "",
        orders=orders,
        starts_at=_moment(fields.get("from")),
        ends_at=_moment(fields.get("until")),
        reason=fields.get("reason") or "",
        ticket=fields.get("ticket") or "",
        is_confidential=fields.get("confidential", False),
    )


def _moment(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
