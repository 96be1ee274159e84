"""`find`: exchanges, orders and lists by id, name, alias, domain or order reference.

Knows: which files are looked through, a table.  Does not know: what matches.
"""

from __future__ import annotations

import json
import time
from datetime import tzinfo
from pathlib import Path
from typing import Any

from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.cli.catalogue import read_catalogue
from resolver.cli.files import EXIT_FINDINGS, EXIT_FINE, BadInput, bad_input, policy_path
from resolver.cli.moments import iso_moment, term_text, zone_of
from resolver.cli.wrapping import print_rows
from resolver.orders.search import Hit, find
from resolver.orders.standing import Standings
from resolver.policy.verdict import Mode, PolicyRule
from resolver.problems import Problem, has_errors, printable
from resolver.wire.idn import with_unicode

NOT_IN_POLICY = "in the catalogue, not in the blocklist"


def find_text(
    text: str, config: Path | None, blocklist: Path | None, catalogue: Path | None, *, as_json: bool
) -> int:
    """Print what is found; 1 when nothing is."""
    try:
        path, _ = policy_path(config, blocklist)
        found = found_in(path, text, catalogue, time.time())
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    if not text.strip():
        return bad_input([Problem("TEXT", 0, "is empty")], as_json=as_json)
    if as_json:
        print(
            json.dumps(
                {"text": text, "found": [one.as_json() for one in found]}, indent=2, ensure_ascii=False
            )
        )
    elif not found:
        print(printable(f"Nothing is called {text!r}, in the blocklist or in the catalogue."))
    else:
        print_rows(_HEADERS, list(map(_row, found)), title_cells=2)
    return EXIT_FINE if found else EXIT_FINDINGS


def found_in(path: Path, text: str, catalogue: Path | None, now: float) -> list[Found]:
    """All that is called so in the blocklist of `path` or in the catalogue, as of `now`.  Raises BadInput."""
    policy, problems = read_blocklist(path, force=True)
    if policy is None:
        raise BadInput([problem for problem in problems if has_errors([problem])])
    zone = zone_of(path)
    return [Found(hit, policy, zone, now) for hit in find(text, policy, read_catalogue(catalogue))]


class Found:
    """A hit and how it stands."""

    def __init__(self, hit: Hit, policy: Blocklist, zone: tzinfo, now: float) -> None:
        self.hit = hit
        self.orders: tuple[str, ...] = ()
        self.public_orders: tuple[str, ...] = ()
        """Those that may be told outside."""
        self.is_confidential = False
        self.state = NOT_IN_POLICY
        self.starts_at: float | None = None
        self.ends_at: float | None = None
        rule = _rule_of(hit, policy)
        if rule is not None:
            self.orders = rule.orders
            public = public_orders(policy)
            self.public_orders = tuple(order for order in rule.orders if order in public)
            self.is_confidential = rule.is_confidential
            self.starts_at, self.ends_at = rule.starts_at, rule.ends_at
            self.state = _state_of(rule, now)
        elif hit.kind == "order":
            order = policy.orders[hit.id]
            self.is_confidential = order.is_confidential
            self.state = Standings(policy).of(order, now).when
            self.starts_at, self.ends_at = order.starts_at, order.ends_at
        self.term = "" if self.state == NOT_IN_POLICY else term_text(self.starts_at, self.ends_at, zone)

    def as_json(self) -> dict[str, Any]:
        hit = self.hit
        return {
            "kind": hit.kind,
            "id": hit.id,
            "name": hit.name,
            "matched": hit.matched,
            "exact": hit.is_exact,
            "in_blocklist": hit.is_in_policy,
            "state": self.state,
            "orders": list(self.orders),
            "confidential": self.is_confidential,
            "from": iso_moment(self.starts_at),
            "until": iso_moment(self.ends_at),
        }


def public_orders(policy: Blocklist) -> frozenset[str]:
    """Ids of the orders that are not confidential."""
    return frozenset(key for key, order in policy.orders.items() if not order.is_confidential)


def _rule_of(hit: Hit, policy: Blocklist) -> PolicyRule | None:
    if not hit.is_in_policy or hit.kind == "order":
        return None
    if hit.kind == "list":
        return next(spec.rule for spec in policy.lists if spec.name == hit.id)
    return next(rule for rule in policy.exchanges if rule.label == hit.id)


def _state_of(rule: PolicyRule, now: float) -> str:
    if rule.is_in_force(now):
        return "in force"
    if rule.mode is not Mode.ENFORCE:
        return rule.mode.value
    return "not yet" if rule.starts_at is not None and now < rule.starts_at else "ended"


_HEADERS = ("KIND", "ID", "NAME", "MATCHED BY", "STATE", "DATES", "ORDERS")


def _row(found: Found) -> list[str]:
    hit = found.hit
    state = f"{found.state} (confidential)" if found.is_confidential else found.state
    word, blank, name = hit.matched.rpartition(" ")
    matched = f"{word} {with_unicode(name)}" if blank and word == "domain" else hit.matched
    cells = (hit.kind, hit.id, hit.name, matched, state, found.term, ", ".join(found.orders))
    return [printable(cell) for cell in cells]
