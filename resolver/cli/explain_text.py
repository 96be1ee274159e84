"""An explanation as a page that a compliance officer can read.

Knows: words and layout.  Does not know: how anything was decided.
"""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from resolver.cli.explanation import Explanation
from resolver.cli.reading import ShownReply, show_extended_error
from resolver.cli.trace import Fate, TracedRule, form_text, form_words, show_moment
from resolver.observe.log import escape
from resolver.policy.verdict import PolicyAction, PolicyRule, RuleMatch
from resolver.wire.idn import with_unicode

WIDTH = 160
"""Columns when the output is no terminal: wide enough that no line of a trace is broken."""

_KINDS = {"exchange": "exchange", "list": "list", "allow": "exception (allow)", "protected": "protected name"}

_ACTIONS = {
    PolicyAction.NXDOMAIN: "blocked: the name does not exist (nxdomain)",
    PolicyAction.NODATA: "blocked: the name has no records (nodata)",
    PolicyAction.SINKHOLE: "blocked: a sinkhole address (sinkhole)",
    PolicyAction.REFUSED: "blocked: the query is refused (refused)",
    PolicyAction.DROP: "blocked: the query gets no answer (drop)",
    PolicyAction.TCP_ONLY: "sent to TCP: over UDP the answer is cut off (tcp-only)",
    PolicyAction.LOCAL_DATA: "blocked: the list's own answer (local-data)",
}


def print_explanation(explanation: Explanation) -> None:
    """Print the page on standard output."""
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True, style="bold")
    facts.add_column()
    for heading, text in _facts(explanation):
        # Text, not markup: a rule's text may hold square brackets.
        facts.add_row(heading, Text(escape(text)))
    console.print(facts)
    if explanation.trace:
        console.print()
        console.print(_trace_table(explanation.trace))


def _facts(explanation: Explanation) -> list[tuple[str, str]]:
    allowed = "a client of this resolver" if explanation.is_client_allowed else "NOT in clients.allow"
    facts = [
        ("Question", f"{explanation.asked}, type {explanation.qtype}, as of {show_moment(explanation.at)}"),
        ("Normalised", with_unicode(explanation.name)),
        ("Client", f"{explanation.client}: {allowed}"),
        ("Policy", explanation.blocklist),
    ]
    if explanation.verdict is None:
        return facts + _address_facts(explanation)
    verdict = explanation.verdict
    decision = _ACTIONS.get(verdict.action, "not blocked by its name")
    if verdict.action is PolicyAction.NXDOMAIN and not verdict.nxdomain_ok:
        decision = "blocked: the name has no records (nxdomain, said as NODATA)"
    facts.append(("Decision", decision))
    if verdict.match is not None:
        facts += _rule_facts(verdict.match, explanation.orders)
    else:
        facts.append(("Why", "no rule in force speaks of this name"))
    if explanation.nxdomain_why:
        facts.append(("Said as", explanation.nxdomain_why))
    if verdict.shadow is not None:
        rule = verdict.shadow.rule
        facts.append(
            ("Shadow", f"counted for {rule.kind} {rule.label} ({rule.action.value}) without blocking")
        )
    return facts + _client_facts(explanation)


def _address_facts(explanation: Explanation) -> list[tuple[str, str]]:
    deciding = [rule for rule in explanation.trace if rule.fate is Fate.DECIDES]
    if not deciding:
        return [("Decision", "answers that hold this address are not blocked because of it")]
    rule = deciding[0]
    return [
        ("Decision", f"answers that hold this address are blocked ({rule.rule.action.value})"),
        ("Rule", f"{rule.text} in {rule.place}"),
        *_source_facts(rule.rule, explanation.orders),
    ]


def _rule_facts(match: RuleMatch, orders: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    place = f"{match.file}:{match.line}" if match.line else match.file
    rule_text = f"{with_unicode(form_text(match.owner, match.form))} ({form_words(match.form)})"
    return [("Rule", f"{rule_text}, {place}"), *_source_facts(match.rule, orders)]


def _source_facts(rule: PolicyRule, orders: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    category = f", category {rule.category}" if rule.category else ""
    name = rule.name if rule.name == rule.label or not rule.label else f"{rule.name} ({rule.label})"
    facts = [("Because of", f"{_KINDS.get(rule.kind, rule.kind)} {name}{category}, mode {rule.mode.value}")]
    if rule.kind not in ("exchange", "list"):
        return facts[:1] if rule.kind == "protected" else [("Because of", _KINDS[rule.kind])]
    facts += [("Order", _order_text(order_id, orders.get(order_id, {}))) for order_id in rule.orders]
    start, end = show_moment(rule.starts_at), show_moment(rule.ends_at)
    since = f"since {start}" if start else "without a starting date"
    facts.append(("In force", f"{since}, " + (f"until {end}" if end else "until further notice")))
    return facts


def _order_text(order_id: str, order: dict[str, Any]) -> str:
    parts = [
        order.get("authority"),
        order.get("title"),
        order.get("reference"),
        order.get("date"),
        order.get("url"),
    ]
    told = ", ".join(str(part) for part in parts if part)
    imposed = order.get("imposed_by")
    return f"{order_id}: {told}" + (f" ({imposed})" if imposed else "")


def _client_facts(explanation: Explanation) -> list[tuple[str, str]]:
    match explanation.source:
        case "upstream":
            asked = ", ".join(explanation.upstreams)
            return [
                ("Client sees", f"the answer of {asked}, from the cache when it is known"),
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
            facts = [("Note", "answered here, no upstream is asked")]
        case _:
            facts = []
    return facts + (_reply_facts(explanation.reply) if explanation.reply is not None else [])


def _reply_facts(reply: ShownReply) -> list[tuple[str, str]]:
    ttl = f", TTL {reply.ttl_s} s" if reply.ttl_s is not None else ""
    facts = [("Client sees", f"{reply.rcode}{ttl}")]
    facts += [("  answer", str(record)) for record in reply.answers]
    facts += [("  authority", str(record)) for record in reply.authority]
    facts += [("  extended error", show_extended_error(*pair)) for pair in reply.extended_errors]
    return facts


def _trace_table(trace: list[TracedRule]) -> Table:
    table = Table("rule", "place", "tier", "effect", "of", "action", "from", "until", "outcome")
    table.title = "Every rule that speaks of it, in the order of preference"
    table.title_justify = "left"
    for traced in trace:
        rule = traced.rule
        action = rule.action.value if traced.effect == "block" else ""
        table.add_row(
            Text(escape(traced.text)),
            Text(escape(traced.place)),
            traced.tier,
            traced.effect,
            Text(escape(rule.label)),
            action,
            show_moment(rule.starts_at) or "",
            show_moment(rule.ends_at) or "",
            Text(escape(traced.why)),
            style="bold" if traced.fate is Fate.DECIDES else "",
        )
    return table
