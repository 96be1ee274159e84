"""What a report says: everything in it, in one frozen value, before anybody chose a language or a format.

Knows: the nouns of a report and their units.  Does not know: where they come from (`collecting`), how they
are shown, the clock.
Theory: all formats are made of this one value, so they cannot disagree; its JSON (`as_json`) is what a
signature speaks of.  What is confidential never gets in here, but as a count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

VERSION = 1
"""Of the JSON form; raised when a field means something else."""


class State(StrEnum):
    """How it stands with an order, an exchange, a list, a name or an exception."""

    IN_FORCE = "in_force"
    PARTLY = "partly"
    """An exception takes a part away."""
    EXCEPTED = "excepted"
    """An exception takes all of it away."""
    PENDING = "pending"
    ENDED = "ended"
    SHADOW = "shadow"
    """Counted, not blocked."""
    DISABLED = "disabled"


class Lack(StrEnum):
    """What this report could not use, so that nobody takes silence for a nought."""

    HISTORY = "no_history"
    HITS = "no_hits"
    AUDIT = "no_audit"
    EDITED = "edited"
    """The blocklist was edited since, and the edit is not in force."""
    NOT_SERVED = "not_served"
    """Nothing says that a server ever put it in force."""
    CHANGES = "changes_dropped"
    """The history no longer has the beginning of the period."""


@dataclass(frozen=True, slots=True)
class Day:
    """The hits of one day in the report's time zone."""

    day: date
    blocked: int
    shadow: int


@dataclass(frozen=True, slots=True)
class Hits:
    """The days of the period that had any, in order."""

    days: tuple[Day, ...] = ()

    @property
    def blocked(self) -> int:
        """In all."""
        return sum(day.blocked for day in self.days)

    @property
    def shadow(self) -> int:
        """What would have been blocked."""
        return sum(day.shadow for day in self.days)


@dataclass(frozen=True, slots=True)
class Gap:
    """A day of the period on which hits were not counted all day: what it says of hits is too little."""

    day: date
    covered_s: float
    """Seconds in which a server counted."""


@dataclass(frozen=True, slots=True)
class Paused:
    """A time in which filtering was paused: a gap in what this report says is in force."""

    starts_at: float
    """Unix seconds."""
    ends_at: float
    """Where it is not over yet, the end that it is to have."""
    reason: str
    including_orders: bool
    """What authorities ordered was not enforced either."""


def added_up(parts: Iterable[Hits]) -> Hits:
    """The hits of several, day by day."""
    days: dict[date, tuple[int, int]] = {}
    for hits in parts:
        for day in hits.days:
            blocked, shadow = days.get(day.day, (0, 0))
            days[day.day] = (blocked + day.blocked, shadow + day.shadow)
    return Hits(tuple(Day(day, *days[day]) for day in sorted(days)))


@dataclass(frozen=True, slots=True)
class Name:
    """One name or network of an exchange, and the rule that it is."""

    text: str
    """As in DNS, without the sign of its form."""
    form: str
    """`subtree`, `exact`, `below`, or `network`."""
    state: State
    file: str
    line: int
    unicode: str = ""
    """How people read it, where it has other letters than ASCII: `bücher.example`."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange."""

    id: str
    name: str
    aliases: tuple[str, ...]
    category: str
    orders: tuple[str, ...]
    state: State
    action: str
    """What a client gets: `nxdomain`, `sinkhole 192.0.2.80, 2001:db8::80`, ..."""
    ttl_s: int
    starts_at: float | None
    ends_at: float | None
    in_policy_since: float | None
    """When a policy that has it was first served, without a gap since; None: not recorded."""
    in_force_since: float | None
    names: tuple[Name, ...]
    hits: Hits


@dataclass(frozen=True, slots=True)
class NameList:
    """A list of names, or a register."""

    id: str
    source: str
    format: str
    kind: str
    orders: tuple[str, ...]
    state: State
    action: str
    starts_at: float | None
    ends_at: float | None
    file: str
    line: int
    name_count: int | None
    """None: not recorded."""
    digest: str
    """Of the list's file as it served, the first hexadecimal digits of its SHA-256."""
    records: int | None
    """Of a register: decisions read."""
    enforced: int | None
    not_enforced: tuple[tuple[str, int], ...]
    """Of a register: reason -> entries."""
    hits: Hits


@dataclass(frozen=True, slots=True)
class NotEnforced:
    """One thing that an order asks for and that is not enforced."""

    ask: str
    reason: str
    """A `resolver.orders.reach.Reason`."""
    why: str
    """The same in a sentence, in English."""
    exchange: str


@dataclass(frozen=True, slots=True)
class Order:
    """One order."""

    id: str
    authority: str
    title: str
    reference: str
    date: str
    url: str
    imposed_by: str
    state: State
    mode: str
    measure: str
    starts_at: float | None
    ends_at: float | None
    received_at: float | None
    due_at: float | None
    first_served_at: float | None
    in_force_since: float | None
    is_blocking: bool
    """Something is blocked because of it now."""
    exchanges: tuple[str, ...]
    lists: tuple[str, ...]
    asks: int
    asks_enforced: int
    asks_pending: int
    not_enforced: tuple[NotEnforced, ...]
    name_count: int
    """Names and networks blocked because of it now, those in lists aside."""
    hits: Hits

    @property
    def took_s(self) -> float | None:
        """From its receipt until it was in force; None: one of both is not known."""
        if self.received_at is None or self.in_force_since is None:
            return None
        return max(0.0, self.in_force_since - self.received_at)

    @property
    def ahead_s(self) -> float | None:
        """How long before its deadline it was in force; negative: late."""
        if self.due_at is None or self.in_force_since is None:
            return None
        return self.due_at - self.in_force_since


@dataclass(frozen=True, slots=True)
class Exemption:
    """One exception (`allow`), or a protected name of the blocklist."""

    text: str
    form: str
    kind: str
    """`allow` or `protect`."""
    state: State
    starts_at: float | None
    ends_at: float | None
    reason: str
    ticket: str
    file: str
    line: int
    touches: tuple[str, ...]
    """Ids of the exchanges from whose names it takes something."""


@dataclass(frozen=True, slots=True)
class ChangeItem:
    """Things of one kind that one change did the same to."""

    what: str
    """A key of the catalogue without its `change_`."""
    names: tuple[str, ...]
    count: int
    """How many in all; more than `names` where they are not kept, or are confidential."""


@dataclass(frozen=True, slots=True)
class Change:
    """One generation of the policy that came in force in the period."""

    number: int
    at: float
    cause: str
    """`edit`, `date`, `pause` or `rollback`."""
    is_forced: bool
    items: tuple[ChangeItem, ...]
    is_known: bool = True
    """Whether what it changed was recorded."""


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One thing that the audit found wrong."""

    name: str
    qtype: str
    server: str
    state: str
    reason: str
    owner: str
    """Exchange or list."""


@dataclass(frozen=True, slots=True)
class AuditOfOrder:
    """What the audit says of one order: how many names, by result."""

    counts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """The last audit."""

    at: float
    took_s: float
    servers: tuple[str, ...]
    queries: int
    policy: str
    """Hash of the policy that it was held against; empty: not told."""
    counts: tuple[tuple[str, int], ...]
    """Result (`covered`, `uncovered`, `shadowed`, `pending`, `expired`) -> names."""
    findings: tuple[AuditFinding, ...]
    finding_count: int
    """More than `findings` where some are confidential or were not kept."""
    orders: tuple[tuple[str, AuditOfOrder], ...] = ()

    def of_order(self, order_id: str) -> AuditOfOrder | None:
        """What it says of one order; None: nothing."""
        return dict(self.orders).get(order_id)


@dataclass(frozen=True, slots=True)
class Confidential:
    """What is only counted."""

    orders: int = 0
    exchanges: int = 0
    lists: int = 0
    names: int = 0
    hits: Hits = field(default_factory=Hits)


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy that the report is about."""

    file: str
    sha256: str
    """Of the blocklist's octets."""
    content: str
    """Of the blocklist and its lists as they were put in force; empty: not recorded."""
    generation: int | None
    served_at: float | None
    contact: str


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days in the report's time zone, both included."""

    first: date
    last: date

    @property
    def day_count(self) -> int:
        """How many."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class Report:
    """All of it."""

    made_at: float
    """Unix seconds; whatever is told without a date is as of then."""
    zone: str
    """IANA name."""
    period: Period
    product: str
    version: str
    host: str
    policy: Policy
    only_order: str
    """The order that the report is limited to; empty: all."""
    orders: tuple[Order, ...]
    exchanges: tuple[Exchange, ...]
    lists: tuple[NameList, ...]
    exceptions: tuple[Exemption, ...]
    changes: tuple[Change, ...]
    audit: Audit | None
    has_hits: bool
    gaps: tuple[Gap, ...]
    confidential: Confidential
    missing: tuple[Lack, ...] = ()
    pauses: tuple[Paused, ...] = ()
    """Those that concern it, in the period."""

    @property
    def hits(self) -> Hits:
        """Of all exchanges and lists in it, each query once; of a report on one order those of the order.

        What its exchanges met before it was in force, or for other reasons, is nothing of the order's.
        """
        if self.only_order:
            return added_up(one.hits for one in self.orders)
        return added_up((*(one.hits for one in self.exchanges), *(one.hits for one in self.lists)))
