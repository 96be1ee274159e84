"""Reads for the API what takes time: the policy, its history, reports; a child process of a running server.

Knows: which reading makes which document, what of it is told.  Does not know: HTTP, who asks.
Theory: a blocklist may have a million names and a history thousands of changes.  Whoever reads them in the
server's own process has queries wait; whoever does it in another one does not.  What is confidential is
counted here already, so that it never gets into the server's memory of what it may tell.

    python -m resolver.cli.api_child < JSON of {"what": WORD, "blocklist": PATH, "state_dir": PATH, "wall": S}

prints one line of JSON: the document, or `{"refused": {"kind": WORD, "detail": TEXT}}`.
"""

from __future__ import annotations

import base64
import json
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any, Final

from resolver.audit.results import AuditResult, NameResult, Status, is_finding, load_last
from resolver.blocklist.conflicts import entry_text
from resolver.blocklist.in_force import suffixes
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import NameRule
from resolver.cli.files import BadInput
from resolver.cli.find import found_in, public_orders
from resolver.cli.suggestions import desk_of, suggestion_json
from resolver.config.settings import Settings
from resolver.moments import iso_moment
from resolver.problems import Problem, has_errors, printable
from resolver.publishing.history import Generation, HistoryUnusable
from resolver.report.catalogue import Texts, language_from, texts_of
from resolver.report.collecting import collect
from resolver.report.facts import Change
from resolver.report.json_form import as_json
from resolver.report.reading import SourcesRefused, Wanted, read_changes, read_sources
from resolver.report.rendering import Format, rendered
from resolver.suggestions.score import DEFAULT_SCORE_MIN
from resolver.wire.idn import unicode_name

NAMES_MAX: Final = 1_000
"""Names told of one exchange, and things of one order that are not enforced; the rest is counted."""
FINDINGS_MAX: Final = 1_000
FOUND_MAX: Final = 200
EXCEPTIONS_MAX: Final = 10_000
SUGGESTIONS_MAX: Final = 1_000
_MOMENTS: Final = frozenset(
    (
        "from",
        "until",
        "received",
        "due",
        "first_served",
        "in_force_since",
        "in_policy_since",
        "served_at",
        "at",
    )
)
_FORMATS: Final[dict[str, Format]] = {
    "html": "html",
    "json": "json",
    "markdown": "markdown",
    "csv": "csv",
}

Asked = dict[str, Any]


class NotThere(Exception):
    """What was asked for is not there; the message says so."""


def policy(asked: Asked) -> dict[str, Any]:
    """Exchanges, orders and lists as they stand, with the hits of 30 days and what the last audit proved."""
    sources = read_sources(_wanted(asked), asked["wall"])
    document = as_json(collect(sources, asked["wall"]), UTC)
    audit = load_last(Path(asked["state_dir"]))
    proved = _proved(audit)
    for exchange in document["exchanges"]:
        exchange["name_count"] = len(exchange["names"])
        exchange["names"] = exchange["names"][:NAMES_MAX]
        exchange["audit"] = proved.get(("exchange", exchange["id"]))
    for order in document["orders"]:
        order["not_enforced"] = order["not_enforced"][:NAMES_MAX]
        order["audit"] = None
    for one in document["lists"]:
        one["audit"] = proved.get(("list", one["name"]))
    kept = {
        key: document[key] for key in ("exchanges", "orders", "lists", "confidential", "policy", "period")
    }
    kept["audited_at"] = None if audit is None else iso_moment(audit.ended_at)
    return {key: _in_utc(value) for key, value in kept.items()}


def _proved(audit: AuditResult | None) -> dict[tuple[str, str], dict[str, int]]:
    """(kind, id) -> status -> names, of what may be told."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for one in () if audit is None else audit.shared().names:
        if one.kind in ("exchange", "list"):
            counts.setdefault((one.kind, one.source), Counter())[one.status.value] += 1
    return {key: {status.value: found[status.value] for status in Status} for key, found in counts.items()}


def find(asked: Asked) -> dict[str, Any]:
    """What is called so."""
    found = found_in(Path(asked["blocklist"]), asked["text"], None, asked["wall"])
    told = [{**one.as_json(), "orders": list(one.public_orders)} for one in found if not one.is_confidential]
    for one in told:
        del one["confidential"]
    return {"found": told[:FOUND_MAX], "more": max(0, len(told) - FOUND_MAX)}


def exceptions(asked: Asked) -> dict[str, Any]:
    """The exceptions of the blocklist as it stands.  Raises BadInput."""
    found, problems = read_blocklist(Path(asked["blocklist"]), force=True)
    if found is None:
        raise BadInput([problem for problem in problems if has_errors([problem])])
    concealed = {rule.owner for rule in found.name_rules if rule.rule.is_ever_confidential}
    rules = [rule for rule in found.name_rules if rule.effect == "allow"]
    told = [rule for rule in rules if concealed.isdisjoint(suffixes(rule.owner))]
    return {
        "items": [_exception(rule, asked["wall"]) for rule in told[:EXCEPTIONS_MAX]],
        "confidential": len(rules) - len(told),
    }


def _exception(rule: NameRule, wall: float) -> dict[str, Any]:
    name, of = entry_text(rule.owner, rule.form), rule.rule
    is_pending = of.starts_at is not None and wall < of.starts_at
    is_over = of.ends_at is not None and wall >= of.ends_at
    return {
        "name": name,
        "unicode": unicode_name(name),
        "state": "ended" if is_over else "pending" if is_pending else "in_force",
        "from": iso_moment(of.starts_at),
        "until": iso_moment(of.ends_at),
        "reason": printable(of.reason) or None,
        "ticket": printable(of.ticket) or None,
        "file": Path(rule.file).name,
        "line": rule.line,
    }


def history(asked: Asked) -> dict[str, Any]:
    """A page of generations, the newest first; of each what it changed, in words."""
    texts = texts_of(language_from(asked["language"]))
    wanted, before = _wanted(asked), asked["before"]
    found, has_more = read_changes(wanted, before, asked["limit"])
    return {
        "generations": [_generation(one, change, texts) for one, change in found],
        "next": str(found[-1][0].number) if has_more and found else None,
    }


def generation(asked: Asked) -> dict[str, Any]:
    """One generation.  Raises NotThere."""
    texts, number = texts_of(language_from(asked["language"])), asked["number"]
    found, _ = read_changes(_wanted(asked), number + 1, 1)
    if not found or found[0][0].number != number:
        raise NotThere(f"there is no generation {number} in the history")
    return _generation(*found[0], texts)


def _generation(one: Generation, change: Change, texts: Texts) -> dict[str, Any]:
    items = [
        {
            "what": item.what,
            "title": texts.of("change", item.what).rstrip(": "),
            "names": [printable(name) for name in item.names],
            "count": item.count,
        }
        for item in change.items
    ]
    return {
        "generation": one.number,
        "at": iso_moment(one.at),
        "who": one.who or None,
        "cause": change.cause,
        "forced": change.is_forced,
        "reason": one.reason or None,
        "known": change.is_known,
        "summary": _summary(change, texts),
        "changes": items,
        "sha256": one.sha256,
        "has_text": one.has_text,
    }


def _summary(change: Change, texts: Texts) -> str:
    """One line, in numbers alone."""
    if not change.is_known:
        return texts("change_unknown")
    said = [f"{texts.of('change', item.what)} {item.count:,}" for item in change.items]
    return "; ".join(said) or texts("change_none")


def report(asked: Asked) -> dict[str, Any]:
    """The report of the last 30 days in one format."""
    texts = texts_of(language_from(asked["language"]))
    sources = read_sources(_wanted(asked), asked["wall"])
    octets = rendered(collect(sources, asked["wall"]), _FORMATS[asked["format"]], texts, sources.zone, None)
    return {"content": base64.b64encode(octets).decode()}


def suggestions(asked: Asked) -> dict[str, Any]:
    """Names that look like a listed exchange."""
    settings = Settings(
        blocklist=asked["blocklist"],
        state_dir=asked["state_dir"],
        suggestions={"enabled": asked["enabled"]},  # type: ignore[arg-type]
    )
    desk = desk_of(Path(asked["blocklist"]), settings, asked["wall"])
    told = [one for one in desk.found if not one.exchange.is_confidential]
    items = [suggestion_json(one, DEFAULT_SCORE_MIN) for one in told[:SUGGESTIONS_MAX]]
    for item in items:
        del item["confidential"]
    return {
        "enabled": asked["enabled"],
        "items": items,
        "more": max(0, len(told) - SUGGESTIONS_MAX),
        "confidential": len(desk.found) - len(told),
        "remark": desk.left_out or None,
    }


def audit(asked: Asked) -> dict[str, Any]:
    """What the last audit of everything proved.  Raises NotThere."""
    found = load_last(Path(asked["state_dir"]))
    if found is None:
        raise NotThere("there is no audit yet that can be read")
    shared = found.shared()
    findings = [one for one in shared.names if is_finding(one)]
    # What is not in the blocklist any more may have been confidential, too.
    policy, _ = read_blocklist(Path(asked["blocklist"]), force=True)
    public = frozenset[str]() if policy is None or not findings else public_orders(policy)
    return {
        "started_at": iso_moment(shared.started_at),
        "ended_at": iso_moment(shared.ended_at),
        "policy": shared.policy or None,
        "clean": not shared.has_findings,
        "counts": shared.counts(),
        "servers": [
            {
                "name": server.name,
                "listeners": [
                    {
                        "address": listener.address,
                        "transport": listener.transport,
                        "asked": listener.asked,
                        "answered": listener.answered,
                        "unanswered": listener.unanswered,
                        "median_ms": listener.median_ms,
                        "slowest_ms": listener.slowest_ms,
                        "remark": listener.says or None,
                    }
                    for listener in server.listeners
                ],
            }
            for server in shared.servers
        ],
        "finding_count": len(findings) + sum(shared.concealed.get(word, 0) for word in _FINDINGS),
        "findings": [_finding(one, public) for one in findings[:FINDINGS_MAX]],
        "lists_behind": [{"list": lag.list, "detail": printable(lag.text)} for lag in shared.lags],
    }


_FINDINGS: Final = ("uncovered", "overblocked", "unknown")


def _finding(one: NameResult, public: frozenset[str]) -> dict[str, Any]:
    fault = next(iter(one.gravest.faults), None)
    return {
        "name": printable(one.name),
        "form": one.form,
        "kind": one.kind,
        "source": printable(one.source),
        "orders": [order for order in one.orders if order in public],
        "status": one.status.value,
        "detail": printable(one.gravest.reason),
        "question": None if fault is None else printable(fault.question),
        "listener": None if fault is None else printable(fault.listener),
        "file": one.file,
        "line": one.line,
    }


READINGS: Final[dict[str, Callable[[Asked], dict[str, Any]]]] = {
    one.__name__: one for one in (policy, find, exceptions, history, generation, report, suggestions, audit)
}
"""By the word that asks for each."""


def answer(asked: Asked) -> dict[str, Any]:
    """The document, or why there is none."""
    try:
        return READINGS[asked["what"]](asked)
    except (SourcesRefused, BadInput) as error:
        return _refused("conflict", _told(error.problems))
    except HistoryUnusable as error:
        return _refused("conflict", str(error))
    except NotThere as error:
        return _refused("not-found", str(error))
    except OSError as error:
        return _refused("conflict", f"{error.filename or 'a file'}: {error.strerror or error}")


def _told(problems: list[Problem]) -> str:
    return "; ".join(map(str, problems[:3]))


def _refused(kind: str, detail: str) -> dict[str, Any]:
    return {"refused": {"kind": kind, "detail": printable(detail)}}


def _wanted(asked: Asked) -> Wanted:
    return Wanted(Path(asked["blocklist"]), Path(asked["state_dir"]), asked.get("order") or "")


def _in_utc(value: Any) -> Any:
    """The same, with `Z` for `+00:00` in moments."""
    if isinstance(value, list):
        return [_in_utc(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: one.replace("+00:00", "Z") if key in _MOMENTS and isinstance(one, str) else _in_utc(one)
        for key, one in value.items()
    }


def main() -> None:
    """Read the question, write the answer."""
    print(json.dumps(answer(json.load(sys.stdin))))


if __name__ == "__main__":
    main()
