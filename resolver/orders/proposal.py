"""What an order asks for, held against the platforms we know: known, new, and what is not taken, and why.

Knows: the three parts of a proposal.  Does not know: how rows are read and sorted, how it is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from resolver.blocklist.conflicts import entry_text
from resolver.orders.facts import Fact
from resolver.orders.platforms import Platform
from resolver.orders.reach import Reason
from resolver.orders.words import Address
from resolver.policy.verdict import RuleForm
from resolver.wire.idn import unicode_name

Entry = tuple[bytes, RuleForm]
"""A name with its form."""


@dataclass(slots=True)
class Known:
    """A platform that we know, and what the order says of it."""

    platform: Platform
    line: int
    addresses: list[Address] = field(default_factory=list)
    """None: the order names it by its name alone."""
    remarks: list[str] = field(default_factory=list)

    def as_json(self, added: list[str], others: list[str], entry: str | None) -> dict[str, Any]:
        """For `--json`; `added`: names it gets, `others`: those that the order does not write.

        `entry`: the exchange that blocks it under the order.
        """
        return {
            "id": self.platform.id,
            "name": self.platform.name,
            "by": "address" if self.addresses else "name",
            "in_blocklist": self.platform.is_in_policy,
            "line": self.line,
            "addresses": [address_json(address) for address in self.addresses],
            "entry": entry,
            "added": added,
            "also_under_the_order": others,
            "remarks": self.remarks,
        }


@dataclass(slots=True)
class New:
    """A platform that we do not know: an entry of its own."""

    id: str
    name: str
    line: int
    addresses: list[Address] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def entries(self) -> list[Entry]:
        """The names to block: those that no other of them covers."""
        return least_entries(self.addresses)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "id": self.id,
            "name": self.name,
            "line": self.line,
            "addresses": [address_json(address) for address in self.addresses],
            "domains": [entry_text(*entry) for entry in self.entries()],
            "remarks": self.remarks,
        }


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Something that the order names, or may name, and that is not written as a rule."""

    written: str
    line: int
    reason: Reason
    why: str
    suggestions: tuple[str, ...] = ()
    """What `--take` takes instead: names, or ids of platforms."""
    is_asked: bool = True
    """The order asks for it; False: it only stands in the text."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "line": self.line,
            "written": self.written,
            "reason": self.reason.value,
            "why": self.why,
            "suggestions": list(self.suggestions),
        }


@dataclass(slots=True)
class Proposal:
    """The whole."""

    known: list[Known] = field(default_factory=list)
    new: list[New] = field(default_factory=list)
    not_taken: list[NotTaken] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    """Dates, numbers and time zones of the text: shown, never written."""
    row_count: int = 0
    asks: list[str] = field(default_factory=list)
    """Everything that the order names, as written, each once."""
    taken: set[str] = field(default_factory=set)
    """Those of `--take` that were of use."""

    @property
    def address_count(self) -> int:
        """How many addresses are taken."""
        return sum(len(known.addresses) for known in self.known) + sum(len(new.addresses) for new in self.new)


def least_entries(addresses: list[Address]) -> list[Entry]:
    """The names of addresses, without those that another of them covers."""
    wanted = {(address.owner, address.form): None for address in addresses if address.owner}
    whole = {owner for owner, form in wanted if form is RuleForm.SUBTREE}

    def is_covered(owner: bytes, form: RuleForm) -> bool:
        above = owner if form is not RuleForm.SUBTREE else owner[owner[0] + 1 :]
        while len(above) > 1:
            if above in whole:
                return True
            above = above[above[0] + 1 :]
        return False

    return [entry for entry in wanted if not is_covered(*entry)]


def address_json(address: Address) -> dict[str, Any]:
    """One address that is taken."""
    return {
        "written": address.written,
        "line": address.line,
        "host": address.host,
        "unicode": unicode_name(address.host),
        "note": address.note,
    }
