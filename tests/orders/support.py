"""A small blocklist and catalogue, and the way from an order's text to what is proposed and written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.orders.plan import OrderTexts, Plan, make_plan
from resolver.orders.platforms import Platforms
from resolver.orders.proposal import Proposal
from resolver.orders.reading import read_order
from resolver.orders.sorting import sort_rows
from resolver.orders.writing import tree_of, written

POLICY = """\
version: 1
orders:
  house: {authority: Us, title: Rules, imposed_by: house}
  court: {authority: Court, title: Ruling, reference: C-1, imposed_by: external}
exchanges:
  acme:  # ours
    name: Acme (Oldco)
    aliases: [Acme Global]
    order: house
    domains: [acme.example, "=login.acme-id.example"]
  beta: {name: Beta.io, order: [court], domains: [beta.example, beta.io]}
  gamma:
    name: Gamma
    domains:
      - gamma.example  # the main one
"""

CATALOGUE = """\
version: 1
orders:
  other: {authority: Them, title: Example, imposed_by: house}
exchanges:
  acme: {name: Acme, order: other, domains: [acme.example, acme-app.example]}
  delta: {name: Delta Exchange, aliases: [Dex], category: otc, order: other, domains: [delta.example, d.example]}
  extended: {name: Extended, order: other, domains: [extended.example]}
"""


def blocklist_of(text: str, name: str = "blocklist.yaml") -> Blocklist:
    """A blocklist without errors."""
    found, problems = read_blocklist(Path(name), octets=text.encode(), force=True)
    assert found is not None, problems
    return found


@dataclass(frozen=True)
class Imported:
    """What came of an order."""

    proposal: Proposal
    plan: Plan
    text: str
    blocklist: Blocklist

    @property
    def known(self) -> dict[str, list[str]]:
        """Platform -> its addresses as written."""
        return {one.platform.id: [a.written for a in one.addresses] for one in self.proposal.known}

    @property
    def new(self) -> dict[str, list[str]]:
        """New entry -> its addresses as written."""
        return {one.id: [a.written for a in one.addresses] for one in self.proposal.new}

    @property
    def not_taken(self) -> dict[str, str]:
        """What is not taken -> the reason."""
        found = (*self.proposal.not_taken, *self.plan.not_taken)
        return {one.written: one.reason.value for one in found}


def import_text(
    order: str,
    *,
    policy: str = POLICY,
    catalogue: str | None = CATALOGUE,
    take: tuple[str, ...] = (),
    is_named: bool = False,
    name: str = "",
    **keys: str,
) -> Imported:
    """Read an order's text, propose, write."""
    before = blocklist_of(policy)
    known = None if catalogue is None else blocklist_of(catalogue, "catalogue.yaml")
    texts = OrderTexts("x-1", "order.txt", **keys)  # type: ignore[arg-type]
    document = read_order(order.encode(), name=name)
    proposal = sort_rows(document, Platforms(before, known), order_id=texts.id, take=take, url=texts.url)
    plan = make_plan(proposal, before, tree_of(policy.encode()), texts, is_named=is_named)
    assert plan.problems == []
    text = written(policy, plan.changes)
    return Imported(proposal, plan, text, blocklist_of(text))
