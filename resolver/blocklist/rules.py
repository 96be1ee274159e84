"""What a blocklist says, once it is read: the nouns between reading, compiling and explaining.

Knows: the words.  Does not know: YAML, the image, the time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, NamedTuple

from resolver.blocklist.dates import Window
from resolver.blocklist.downloads import Download
from resolver.blocklist.measures import Measure
from resolver.blocklist.registers import RegisterFormat
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule, RuleForm
from resolver.problems import Problem

Effect = Literal["block", "allow", "protect"]

BUILT_IN = "built-in"
"""The `file` of rules that come with the program; their line is 0."""


class NameRule(NamedTuple):
    """One name of the blocklist; a tuple because a file may hold a million of them."""

    owner: bytes
    """Wire form, lower case; for `*.x` it is x."""
    form: RuleForm
    effect: Effect
    rule: PolicyRule
    file: str
    line: int


class AddressRule(NamedTuple):
    """One network of an exchange: answers that point into it are blocked."""

    network: IPv4Network | IPv6Network
    rule: PolicyRule
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class ListSpec:
    """One entry of `lists`: a list of names, not opened yet."""

    name: str
    path: Path
    """Relative paths are already resolved against the blocklist's folder."""
    format: str
    """`auto`, a key of `lists.FORMATS`, or what `register` is."""
    match: RuleForm | None
    """None: as the format has it."""
    kind: Literal["block", "allow", "check"]
    """An allow list reaches lists only, and its `rule.action` is PASSTHRU; a check list has no rules."""
    rule: PolicyRule
    size_octets_max: int
    file: str
    line: int
    entries_max: int = 10_000_000
    error_budget_percent: int = 10
    """A list of which more lines are bad is refused."""
    is_action_given: bool = False
    """Its own entry says what to do, so what its lines say (`rpz`) does not count."""
    change_max_percent: int = 50
    """A list of over a thousand names that shrinks or grows by more needs force."""
    download: Download | None = None
    """How it is fetched; `path` is then where its last good copy is kept."""
    register: RegisterFormat | None = None
    """Of an authority's register; `format` says which in a word."""


@dataclass(frozen=True, slots=True)
class Order:
    """Why: the legal or house basis that exchanges and lists cite."""

    id: str
    authority: str
    title: str
    reference: str | None
    date: str | None
    """ISO 8601, as written."""
    url: str | None
    imposed_by: Literal["external", "house"]
    starts_at: float | None = None
    """Unix seconds of `from`; None: always.  Not in force before, and so for the next."""
    ends_at: float | None = None
    """Unix seconds of `until`, or of the end of `through`; None: never."""
    mode: Mode | None = None
    """As written; None: what `defaults` say."""
    received_at: float | None = None
    """Unix seconds: when it came."""
    due_at: float | None = None
    """Unix seconds: by when it must be in force."""
    measure: Measure | None = None
    is_confidential: bool = False
    asks: tuple[str, ...] = ()
    """What it names, as written there."""
    line: int = field(default=0, compare=False)

    def is_in_force(self, now: float) -> bool:
        """Whether it is in force at `now` (Unix seconds); whoever cites it may be in shadow all the same."""
        return (
            self.mode is not Mode.DISABLED
            and (self.starts_at is None or self.starts_at <= now)
            and (self.ends_at is None or now < self.ends_at)
        )


@dataclass(frozen=True, slots=True)
class Citation:
    """An exchange or a list as it is written: what it says itself, and the orders that it cites."""

    where: str
    """Its place in the file, `exchanges.x` or `lists.x`."""
    rule: PolicyRule
    orders: tuple[Order, ...]
    window: Window
    """Its own dates."""
    mode: Mode | None
    """Its own mode; None: it has none."""
    default_mode: Mode
    """What an order without a mode has."""
    action: PolicyAction | None
    """Its own action; None: it has none."""
    lines: dict[str, int]
    """Key -> line, for the keys that remarks may be about."""


@dataclass(frozen=True, slots=True)
class Blocklist:
    """A whole valid blocklist: defaults merged, dates resolved, names in wire form."""

    path: Path
    exchanges: tuple[PolicyRule, ...]
    """In file order, those without names or addresses included: each is a metric label."""
    orders: dict[str, Order]
    name_rules: tuple[NameRule, ...]
    """Exchanges' names in file order, then `allow`, `protected`, and the built-in protected ones."""
    address_rules: tuple[AddressRule, ...]
    lists: tuple[ListSpec, ...]
    contact: str | None
    """The default contact shown to a blocked person."""
    fall_max_percent: int = 20
    """Part of the exchanges, and of the domains, in force that one edit may open without force."""
    default_mode: Mode = Mode.ENFORCE
    """What an order without a mode has."""
    time_zone: str = "UTC"
    """In which dates without an offset are read, an IANA name."""
    warnings: tuple[Problem, ...] = field(default=())
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Exchange id -> its other names, where it has any."""
    citations: tuple[Citation, ...] = ()
    """Of exchanges, then lists, in file order."""
    order_lines: dict[str, dict[str, int]] = field(default_factory=dict)
    """Order id -> key -> line, for the keys that remarks may be about."""
