"""An explanation as a page that a compliance officer can read.

Knows: words and layout.  Does not know: how anything was decided.
Theory: a heading and a text per line.  On a terminal the text is wrapped under itself; where there is no
terminal nothing is wrapped, so that programs find each fact on one line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Any

from resolver.cli.moments import iso_moment, term_text
from resolver.cli.wrapping import terminal_columns, wrapped
from resolver.explain.explanation import Explanation, Recorded
from resolver.explain.near_rules import NearRule
from resolver.explain.reading import ShownReply, show_extended_error
from resolver.explain.trace import RuleResult, TracedRule, form_text, form_words
from resolver.local.special_names import RELAY_ZONES
from resolver.observe.log import escape
from resolver.policy.answer import redirect_target
from resolver.policy.verdict import PolicyAction, PolicyRule, RuleMatch
from resolver.wire.idn import with_unicode
from resolver.wire.names import is_at_or_below, name_from_text, name_to_text

HEADING_COLUMNS = 18

_KINDS = {"exchange": "exchange", "list": "list", "allow": "exception (allow)", "protected": "protected name"}

_ACTIONS = {
    PolicyAction.NXDOMAIN: "blocked: the name does not exist (nxdomain)",
    PolicyAction.NODATA: "blocked: the name has no records (nodata)",
    PolicyAction.SINKHOLE: "blocked: a sinkhole address (sinkhole)",
    PolicyAction.REFUSED: "blocked: the query is refused (refused)",
    PolicyAction.DROP: "blocked: the query gets no answer (drop)",
    PolicyAction.TCP_ONLY: "sent to TCP: over UDP the answer is cut off (tcp-only)",
    PolicyAction.LOCAL_DATA: "blocked: an answer of its own (local-data)",
}


Fact = tuple[str, str]
"""A heading and what it says."""


def print_explanation(explanation: Explanation, more: Sequence[Fact] = ()) -> None:
    """Print the page on standard output; `more`: what stands behind what the client sees."""
    print("\n".join(page_lines(explanation, terminal_columns(), more)))


def page_lines(explanation: Explanation, columns: int | None, more: Sequence[Fact] = ()) -> Iterator[str]:
    """The page, line by line."""
    for heading, text in [*_facts(explanation), *more]:
        yield from _fact_lines(heading, text, columns)
    if explanation.trace:
        yield ""
        yield "All rules about it, the strongest first (*: this one decides):"
        for traced in explanation.trace:
            yield ""
            yield f"{'*' if traced.fate is RuleResult.DECIDES else ' '} {escape(traced.text)}"
            for heading, text in _rule_lines(traced, explanation):
                yield from _fact_lines(f"    {heading}", text, columns)
    if explanation.near is not None:
        yield from _near_lines(explanation, explanation.near, columns)


def _near_lines(explained: Explanation, near: tuple[NearRule, ...], columns: int | None) -> Iterator[str]:
    yield ""
    if not near and "." not in explained.name:
        yield from _fact_lines("Near rules", "none; below a top-level domain nobody looks for them", columns)
        return
    if not near:
        yield from _fact_lines(
            "Near rules", "none: no rule is above, below or beside it, or spelt alike", columns
        )
        return
    yield "The nearest rules that do not decide, and why not:"
    for one in near:
        who = " ".join(dict.fromkeys(filter(None, (_KINDS.get(one.rule.kind, one.rule.kind), one.rule.id))))
        yield ""
        yield f"  {escape(one.text)}"
        yield from _fact_lines("    why not", one.why, columns)
        yield from _fact_lines("    place", f"{one.place}, {who}, mode {one.rule.mode.value}", columns)


def _fact_lines(heading: str, text: str, columns: int | None) -> Iterator[str]:
    line = f"{heading:<{HEADING_COLUMNS}}{escape(text)}"
    yield from wrapped(line, columns, HEADING_COLUMNS)


def _facts(explanation: Explanation) -> list[tuple[str, str]]:
    allowed = "a client of this resolver" if explanation.is_client_allowed else "NOT in clients.allow"
    facts = [
        ("Question", f"{explanation.asked}, type {explanation.qtype}, as of {iso_moment(explanation.at)}"),
        ("Name", with_unicode(explanation.name)),
        ("Client", f"{explanation.client}: {allowed}"),
        ("Policy", explanation.blocklist),
    ]
    if (paused := explanation.paused) is not None:
        scope = "everything but what authorities ordered"
        if paused.including_orders:
            scope = "everything, orders of authorities included"
        text = f"PAUSED until {paused.until} by {paused.who} ({paused.reason}): {scope}"
        facts.append(("Filtering", text))
    if explanation.verdict is None:
        return facts + _address_facts(explanation)
    verdict = explanation.verdict
    decision = _ACTIONS.get(verdict.action, "not blocked by its name")
    if verdict.action is PolicyAction.NXDOMAIN and not verdict.nxdomain_ok:
        decision = "blocked: the name has no records (nxdomain, answered as NODATA)"
    facts.append(("Decision", decision))
    if verdict.match is not None:
        facts += _match_facts(verdict.match, explanation)
    else:
        facts.append(("Reason", "no rule in force is about this name"))
    if explanation.nxdomain_why:
        facts.append(("Answered as", explanation.nxdomain_why))
    facts += [("Record", _record_text(entry)) for entry in explanation.records]
    if verdict.shadow is not None:
        rule = verdict.shadow.rule
        facts.append(
            ("Shadow", f"counted for {rule.kind} {rule.id} ({rule.action.value}), not blocked by it")
        )
    return facts + _client_facts(explanation)


def _address_facts(explanation: Explanation) -> list[tuple[str, str]]:
    deciding = [rule for rule in explanation.trace if rule.fate is RuleResult.DECIDES]
    if not deciding:
        return [("Decision", "answers that hold this address are not blocked because of it")]
    rule = deciding[0]
    return [
        ("Decision", f"answers that hold this address are blocked ({rule.rule.action.value})"),
        ("Rule", f"{rule.text}, {rule.place}"),
        *_source_facts(rule.rule, explanation),
    ]


def _match_facts(match: RuleMatch, explanation: Explanation) -> list[tuple[str, str]]:
    place = f"{match.file}:{match.line}" if match.line else match.file
    rule_text = f"{with_unicode(form_text(match.owner, match.form))} ({form_words(match.form)})"
    return [("Rule", f"{rule_text}, {place}"), *_source_facts(match.rule, explanation)]


def _source_facts(rule: PolicyRule, explanation: Explanation) -> list[tuple[str, str]]:
    category = f", category {rule.category}" if rule.category else ""
    own_name, label = rule.full_name, rule.id
    name = own_name if own_name == label or not label else f"{own_name} ({label})"
    mark = ", CONFIDENTIAL: told to nobody outside" if rule.is_confidential else ""
    kind = _KINDS.get(rule.kind, rule.kind)
    facts = [("Because of", f"{kind} {name}{category}, mode {rule.mode.value}{mark}")]
    if rule.kind == "protected":
        return facts
    if rule.kind not in ("exchange", "list"):
        facts = [("Because of", kind)]
        if rule.reason:
            facts.append(("Reason", rule.reason))
        if rule.ticket:
            facts.append(("Ticket", rule.ticket))
        if rule.starts_at is None and rule.ends_at is None:
            return facts
    orders = explanation.orders
    facts += [("Order", _order_text(order, orders.get(order, {}), explanation.zone)) for order in rule.orders]
    facts += [
        ("Order, not now", _order_text(order, orders.get(order, {}), explanation.zone))
        for order in explanation.cited
        if order not in rule.orders
    ]
    facts.append(("In force", term_text(rule.starts_at, rule.ends_at, explanation.zone)))
    return facts


def _record_text(entry: Recorded) -> str:
    provenance = f": {entry.provenance}" if entry.provenance else ""
    became = f"; no rule: {entry.reason}" if entry.reason else ""
    return f"{entry.id} of list {entry.list}, line {entry.line}, asks for {entry.written}{provenance}{became}"


def _order_text(order_id: str, order: dict[str, Any], zone: tzinfo) -> str:
    keys = ("authority", "title", "reference", "date", "url")
    text = ", ".join(str(order[key]) for key in keys if order.get(key))
    said = [order["imposed_by"]] if order.get("imposed_by") else []
    said += [f"mode {order['mode']}"] if order.get("mode") else []
    said += [f"prescribes {order['measure']}"] if order.get("measure") else []
    starts_at, ends_at = (
        None if order.get(key) is None else datetime.fromisoformat(order[key]).timestamp()
        for key in ("from", "until")
    )
    if starts_at is not None or ends_at is not None:
        said.append(term_text(starts_at, ends_at, zone))
    said += ["CONFIDENTIAL"] if order.get("confidential") else []
    return f"{order_id}: {text}" + (f" ({'; '.join(said)})" if said else "")


def _client_facts(explanation: Explanation) -> list[tuple[str, str]]:
    match explanation.source:
        case "upstream" if (target := _redirect_of(explanation)) is not None:
            asked = ", ".join(explanation.upstreams)
            return [("Client sees", f"a CNAME to {target}, and what {asked} or the cache say of that name")]
        case "upstream":
            asked = ", ".join(explanation.upstreams)
            return [
                ("Client sees", f"the answer of {asked}, or the same from the cache"),
                (
                    "Unless",
                    "its CNAME chain, its service targets or its addresses lead to something blocked "
                    "(try 'explain' with each of them)",
                ),
            ]
        case "dropped":
            return [("Client sees", "nothing: the query is dropped")]
        case "local" if explanation.verdict is not None and explanation.verdict.is_blocked:
            facts = [
                ("Note", "answered before the policy is asked: local name, refused client or special query")
            ]
        case "local":
            facts = [("Note", _local_note(explanation))]
        case _:
            facts = []
    return facts + (reply_facts(explanation.reply) if explanation.reply is not None else [])


def _local_note(explanation: Explanation) -> str:
    """Why this server answers a name by itself, where a setting says so."""
    name = name_from_text(explanation.name)
    if explanation.reply is not None and any(is_at_or_below(name, zone) for zone in RELAY_ZONES):
        return "special_names.browser_relay: block; devices learn that no relay has a part in this network"
    return "answered by this server; no upstream is asked"


def _redirect_of(explanation: Explanation) -> str | None:
    """Where the deciding rule sends clients by a CNAME; None: nowhere."""
    verdict = explanation.verdict
    if verdict is None or not verdict.is_blocked or verdict.match is None:
        return None
    target = redirect_target(verdict)
    return with_unicode(name_to_text(target)) if target else None


def reply_facts(reply: ShownReply, heading: str = "Client sees") -> list[Fact]:
    """A reply: its rcode and lowest TTL, then record by record."""
    ttl = f", TTL {reply.ttl_s} s" if reply.ttl_s is not None else ""
    facts = [(heading, f"{reply.rcode}{ttl}")]
    facts += [("  answer", str(record)) for record in reply.answers]
    facts += [("  authority", str(record)) for record in reply.authority]
    facts += [("  extended error", show_extended_error(*pair)) for pair in reply.extended_errors]
    return facts


def _rule_lines(traced: TracedRule, explanation: Explanation) -> list[tuple[str, str]]:
    rule = traced.rule
    # The kind says it all where a rule has no name of its own.
    who = " ".join(dict.fromkeys(filter(None, (_KINDS.get(rule.kind, rule.kind), rule.id))))
    action = f" ({rule.action.value})" if traced.effect == "block" else ""
    return [
        ("outcome", traced.why),
        ("place", traced.place),
        ("effect", f"{traced.effect}{action}, {who}, tier {traced.tier}"),
        ("in force", term_text(rule.starts_at, rule.ends_at, explanation.zone)),
    ]
