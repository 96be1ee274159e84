"""What policy says of a name: the nouns that other rooms may use.

Knows: nothing but the words.  The decision itself is in `table`, its encoding in `answer`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import NamedTuple

CONFIDENTIAL = "confidential"
"""The label and the name of every rule whose orders are all confidential."""


class PolicyAction(StrEnum):
    """What is done with a question (RPZ's words)."""

    PASSTHRU = "passthru"
    NXDOMAIN = "nxdomain"
    NODATA = "nodata"
    SINKHOLE = "sinkhole"
    REFUSED = "refused"
    DROP = "drop"
    TCP_ONLY = "tcp-only"
    """Over UDP the answer is cut off (TC=1); over a stream the question is answered as usual."""
    LOCAL_DATA = "local-data"
    """The rule's own addresses, or a CNAME to another name."""


class Mode(StrEnum):
    """Whether a rule takes part: shadow counts without blocking, disabled only keeps the record."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    DISABLED = "disabled"


class RuleForm(StrEnum):
    """How far a rule reaches from its owner name."""

    SUBTREE = "subtree"
    """The name and everything under it (`binance.com`)."""
    EXACT = "exact"
    """The name only (`=login.example`)."""
    BELOW = "below"
    """Only names under it (`*.cdn.example`)."""


class Exemption(IntEnum):
    """How much of the response side an allow match on qname switches off."""

    NONE = 0
    LISTS = 1
    ALL = 2


@dataclass(slots=True, frozen=True)
class LocalData:
    """What `LOCAL_DATA` answers: addresses, or a CNAME; any other type gets NODATA."""

    addresses: tuple[bytes, ...] = ()
    """4 or 16 octets each."""
    redirect: bytes = b""
    """Wire form, lower case; behind a label `*` the denied name is put in its place.  Empty: none."""


@dataclass(slots=True, frozen=True)
class PolicyRule:
    """One source of rules with one set of properties: an exchange or a list (or allow/protected).

    Compared by identity on hot paths.  `label` is the closed-set metric label.
    """

    kind: str
    """`exchange`, `list`, `allow` or `protected`."""
    label: str
    """Exchange id or list name."""
    name: str
    """For people: the exchange's name, or the list's."""
    action: PolicyAction
    mode: Mode
    ttl_s: int
    sinkhole_ipv4: bytes
    """4 octets."""
    sinkhole_ipv6: bytes
    """16 octets."""
    ede: int
    """RFC 8914 INFO-CODE of its answers (15, 16 or 17)."""
    ede_text: str
    """At most 200 octets of UTF-8."""
    contacts_json: str = ""
    """Member `c` of a structured DNS error, as JSON; empty: no contact may be told."""
    reason_json: str = ""
    """Member `j` of it; both empty: nothing may be told."""
    category: str = ""
    orders: tuple[str, ...] = ()
    starts_at: float | None = None
    """Wall time (Unix seconds) of `from`; None: always."""
    ends_at: float | None = None
    """Wall time (Unix seconds) of `until`; None: never."""
    local_data: LocalData | None = None
    """With the action `LOCAL_DATA`."""
    reason: str = ""
    """Why an exception was made, for people here."""
    ticket: str = ""
    """Where that was decided."""
    is_confidential: bool = False
    """Every order it cites (in a phase: that is in force) is confidential: nobody outside is told of it."""
    concealed: tuple[str, str] | None = None
    """Its real label and name, where `label` and `name` are `CONFIDENTIAL`: for local commands alone."""
    phases: tuple[PolicyRule, ...] = ()
    """What it is at different times, in their order; none: always as it is here.  Orders that begin and end
    make them.  `starts_at` and `ends_at` here are then the first one's and the last one's."""

    @property
    def id(self) -> str:
        """Exchange id or list name, the concealed one included."""
        return self.label if self.concealed is None else self.concealed[0]

    @property
    def full_name(self) -> str:
        """`name`, the concealed one included."""
        return self.name if self.concealed is None else self.concealed[1]

    def at(self, wall: float) -> PolicyRule:
        """What it is at `wall` (Unix seconds): in a gap the phase to come, after the last one that."""
        for phase in self.phases:
            if phase.ends_at is None or wall < phase.ends_at:
                return phase
        return self.phases[-1] if self.phases else self

    @property
    def is_ever_confidential(self) -> bool:
        """Whether at some time nobody outside is told of it."""
        return any(phase.is_confidential for phase in self.phases or (self,))

    def is_in_force(self, wall: float) -> bool:
        """Whether it is enforced at `wall` (Unix seconds), by its mode and its dates."""
        now = self.at(wall)
        return now.mode is Mode.ENFORCE and now.is_within_dates(wall)

    def is_within_dates(self, wall: float) -> bool:
        """Whether `wall` is within its own dates, those of its phases aside."""
        return (self.starts_at is None or self.starts_at <= wall) and (
            self.ends_at is None or wall < self.ends_at
        )


def joined_phases(phases: Sequence[PolicyRule], orders: tuple[str, ...]) -> PolicyRule:
    """The source that has these phases (two or more, in order) and cites these orders, at any time."""
    # What is told of it where no time is given: what is public of it, if anything is.
    shown = next((phase for phase in phases if not phase.is_confidential), phases[0])
    return replace(
        shown,
        orders=orders,
        starts_at=phases[0].starts_at,
        ends_at=phases[-1].ends_at,
        phases=tuple(phases),
    )


@dataclass(slots=True, unsafe_hash=True)
class RuleMatch:
    """The rule that matched, and where it stands.

    Treat as immutable (not `frozen=True`: each blocked name makes one, at triple the cost).
    """

    rule: PolicyRule
    form: RuleForm | None
    """None when an address matched rather than a name."""
    owner: bytes
    """The rule's owner name, wire form, lower case (for an address: packed network)."""
    file: str
    line: int


class Cause(NamedTuple):
    """What of an answer a rule spoke of, where that is neither the question's name nor one of its chain."""

    value: bytes
    """The target of a service record, wire form, lower case; or a packed address."""
    network_bits: int = 0
    """Of an address: the prefix of the network that the rule names."""


@dataclass(slots=True, unsafe_hash=True)
class Verdict:
    """What the rules say of one name, or of one response.  Treat as immutable, as `RuleMatch`.

    `match` None: no enforced rule speaks of it.  `action` is PASSTHRU then, and also when an allow
    or protected rule won (then `match` is that rule and `exemption` says how far it reaches).
    """

    action: PolicyAction = PolicyAction.PASSTHRU
    match: RuleMatch | None = None
    shadow: RuleMatch | None = None
    """The rule that would have won had shadow rules been enforced, if that is a shadow rule."""
    exemption: Exemption = Exemption.NONE
    denied: bytes = b""
    """The name that is denied: qname, or a later name of the chain."""
    nxdomain_ok: bool = False
    """Whether every name below `denied` is blocked too, so NXDOMAIN tells no lie (RFC 8020)."""
    valid_until: float = math.inf
    """Monotonic seconds: a coming `from` or `until` may change this verdict then; caps every TTL."""
    kept_links: int = 0
    """Response side: how many links of the chain stay in the answer before the denied name."""
    over_stream: Verdict | None = None
    """With `TCP_ONLY`: what holds for a client that asks over a stream transport."""
    cause: Cause | None = None
    """Response side: what the rule spoke of, if that is no name of the chain."""

    @property
    def is_blocked(self) -> bool:
        """Whether the client is not to get the ordinary answer."""
        return self.action is not PolicyAction.PASSTHRU


def over_stream(verdict: Verdict) -> Verdict:
    """What becomes of a `TCP_ONLY` verdict for a client that asks over a stream transport.

    For a name itself: it passes, and no list has more to say of its answer.
    """
    if verdict.over_stream is not None:
        return verdict.over_stream
    return Verdict(
        PolicyAction.PASSTHRU,
        verdict.match,
        verdict.shadow,
        Exemption.LISTS,
        valid_until=verdict.valid_until,
    )


def cap_s(verdict: Verdict, now: float) -> int | None:
    """Seconds until a date may change the verdict, which no TTL may outlive; None: no such date."""
    if verdict.valid_until == math.inf:
        return None
    return max(0, int(verdict.valid_until - now))


PASS = Verdict()
"""The verdict on nearly every name; compare with `is`."""

AUDITED = Verdict()
"""In the place of the verdict on an audit's query, so that no rule counts it; compare with `is`."""
