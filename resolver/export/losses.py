"""What a format could not say of this policy: counted, with a few examples of each kind.

Knows: the kinds and their words.  Does not know: formats.
A kind is in the list only when a rule of this very policy fell victim to it.  What a format never
says, whatever the policy (the `limits` of each format), is no finding and stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from resolver.export.tree import PolicyTree
from resolver.policy.verdict import Mode
from resolver.wire.names import name_to_text

EXAMPLES_MAX = 10
"""Enough to recognise what they have in common."""


class LossKind(StrEnum):
    """Kinds of what can get lost."""

    SUBTREE = "subtree"
    EXACT = "exact"
    BELOW = "below"
    EXCEPTION = "exception"
    NESTED = "nested"
    DENIAL = "denial"
    ADDRESSES = "addresses"
    LIST_EXCEPTIONS = "list-exceptions"
    TCP_ONLY = "tcp-only"
    NAME = "name"
    TTL = "ttl"
    DATES = "dates"
    SHADOW = "shadow"
    CONFIDENTIAL = "confidential"


MESSAGES = {
    LossKind.SUBTREE: "only the name itself is blocked, names below it are not",
    LossKind.EXACT: "blocked alone, which would block all names below it: left out",
    LossKind.BELOW: "names below it are blocked and it is not, which would block it: left out, all of them",
    LossKind.EXCEPTION: "has exceptions below, which would be blocked with it: left out",
    LossKind.NESTED: "blocked again within an exception: left out",
    LossKind.DENIAL: "blocked, but with another answer than here",
    LossKind.ADDRESSES: "answers that point into this network are not blocked",
    LossKind.LIST_EXCEPTIONS: "an exception from lists only: in this format its whole answer passes",
    LossKind.TCP_ONLY: "sent to TCP by this server: not filtered in this format",
    LossKind.NAME: "a name that the format cannot spell: left out",
    LossKind.TTL: "its denials are kept for another time than here",
    LossKind.DATES: "begins or ends later: export again then",
    LossKind.SHADOW: "in mode shadow: left out, and nothing counts what it would block",
    LossKind.CONFIDENTIAL: "rules of confidential orders alone: left out (--with-confidential writes them)",
}


@dataclass(slots=True)
class Loss:
    """One kind, as it befell this policy."""

    kind: LossKind
    count: int = 0
    examples: list[str] = field(default_factory=list)
    """At most `EXAMPLES_MAX`: names, networks, or exchanges and lists."""

    @property
    def message(self) -> str:
        """What it means, in words."""
        return MESSAGES[self.kind]


class Losses:
    """Gathers them while an export is written."""

    def __init__(self) -> None:
        self._by_kind: dict[LossKind, Loss] = {}

    def note(self, kind: LossKind, example: str | bytes) -> None:
        """One more of a kind; octets are a name in wire form."""
        loss = self._by_kind.get(kind)
        if loss is None:
            loss = self._by_kind[kind] = Loss(kind)
        loss.count += 1
        if len(loss.examples) < EXAMPLES_MAX:
            loss.examples.append(example if isinstance(example, str) else name_to_text(example))

    def count(self, kind: LossKind, count: int) -> None:
        """So many of a kind of which no example may be given."""
        if count:
            self._by_kind[kind] = Loss(kind, count)

    def all(self) -> list[Loss]:
        """Each kind that occurred, in the order of `LossKind`."""
        return [self._by_kind[kind] for kind in LossKind if kind in self._by_kind]


def note_times(tree: PolicyTree, wall: float, losses: Losses) -> None:
    """What no other resolver's file can say: rules to come, rules that end, rules that only count."""
    for rule in tree.block_rules():
        label = f"{rule.kind} {rule.label}"
        if rule.mode is Mode.SHADOW:
            losses.note(LossKind.SHADOW, label)
        if rule.mode is not Mode.ENFORCE:
            continue
        if rule.starts_at is not None and rule.starts_at > wall:
            losses.note(LossKind.DATES, f"{label} from {_day(rule.starts_at)}")
        elif rule.ends_at is not None and rule.ends_at > wall:
            losses.note(LossKind.DATES, f"{label} until {_day(rule.ends_at)}")


def _day(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
