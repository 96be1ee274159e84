"""The result of an audit: what was asked of whom, what is proved of each name, and its file.

Knows: the nouns, their JSON, `state_dir/audit/last.json`.  Does not know: how anything is asked or judged.

    state_dir/audit/last.json            the last whole audit of this server; readable by its owner alone
    state_dir/audit/last-change.json     the last one of what a change of the policy changed; the same
    state_dir/audit/order-ID.json        the last one of that order alone; the same

The file is for other rooms and for people; one of another version or a damaged one counts as none.
Names of confidential orders stand in it, marked: it is local.  What leaves this machine is `shared()`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from resolver.durable import replace_file
from resolver.portions import open_regular, read_up_to

SCHEMA_VERSION = 1
"""Of the JSON; raised when a field changes its meaning or goes."""
RESULT_OCTETS_MAX = 256 << 20
"""Larger files are not ours: about 500 octets a name."""
FAULTS_KEPT_MAX = 8
"""Faults kept of one name on one server; all are counted."""
EXAMPLES_MAX = 10
"""Names that are given for a kind of note."""


class Status(StrEnum):
    """What is proved of a name, the gravest first."""

    UNCOVERED = "uncovered"
    """It is in force, and some answer was not what is prescribed."""
    OVERBLOCKED = "overblocked"
    """More is blocked than is meant: an exception, a protected name, or what stands beside a rule."""
    UNKNOWN = "unknown"
    """Some question was not answered, so nothing is proved: not that it leaks, and not that it does not."""
    COVERED = "covered"
    OPEN = "open"
    """It passes, as it is meant to."""
    SHADOWED = "shadowed"
    """Its rule is in mode shadow: counted, not enforced.  Not asked."""
    PENDING = "pending"
    """Its rule begins later.  Not asked."""
    EXPIRED = "expired"
    """Its rule has ended.  Not asked."""
    DISABLED = "disabled"
    """Its rule's mode is disabled.  Not asked."""


GRAVITY = {status: place for place, status in enumerate(Status)}
"""Lower is graver."""
FINDINGS = (Status.UNCOVERED, Status.OVERBLOCKED, Status.UNKNOWN)
"""What an audit must not end with."""


class Kind(StrEnum):
    """What is wrong with an answer, or why nothing is known."""

    LEAK = "leak"
    """Records that no rule here has made."""
    RCODE = "rcode"
    """Denied, with another response code than prescribed."""
    ANSWER = "answer"
    """Denied, with another stop page or address than prescribed."""
    SOA = "soa"
    EDE = "ede"
    TTL = "ttl"
    EXCEPTED = "excepted"
    """An exception opens the very name that a rule has."""
    NOT_ENFORCED = "not-enforced"
    """An order in force names it, and the policy does not block it."""
    MEASURE = "measure"
    """The policy does something else than the order prescribes."""
    TOO_WIDE = "too-wide"
    """Blocked, and no rule says so."""
    NO_ANSWER = "no-answer"
    LATE = "late"
    """Answered, long after a client would have given up."""
    REFUSED = "refused"
    TRUNCATED = "truncated"
    SERVFAIL = "servfail"
    GARBAGE = "garbage"
    """What came was no DNS message that answers the question."""
    WRONG_ID = "wrong-id"
    """The answer carried the ID of another question."""
    CLOSED = "closed"
    """The stream was closed, or could not be opened."""
    NOT_ASKED = "not-asked"
    """The server had stopped answering."""
    UPSTREAM_DENIAL = "upstream-denial"
    """Denied by the zone's own server, it seems, not by policy."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Fault:
    """One answer that is not what it must be."""

    kind: Kind
    reason: str
    """For people; may repeat what a stranger's server said: escape it."""
    question: str
    """`www.example.org AAAA`, with what else was special."""
    listener: str
    """`127.0.0.1:53 udp`."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What one server showed of one name."""

    status: Status
    reason: str
    asked: int = 0
    """Questions that ended, answered or not."""
    fault_count: int = 0
    faults: tuple[Fault, ...] = ()
    """At most `FAULTS_KEPT_MAX`."""


@dataclass(frozen=True, slots=True)
class NameResult:
    """One rule's name, or one that an order names, or an exception."""

    name: str
    """Presentation text, without the form's sign."""
    form: str
    """A `RuleForm`."""
    kind: str
    """`exchange`, `list`, `allow`, `protected` or `ask`."""
    source: str
    """Exchange id or list name; of an `ask` the order."""
    orders: tuple[str, ...]
    file: str
    line: int
    is_confidential: bool
    proofs: tuple[Proof, ...]
    """One for each server, in the order of `AuditResult.servers`."""

    @property
    def written(self) -> str:
        """As a blocklist has it: `=x`, `*.x` or `x`."""
        return {"exact": "=", "below": "*."}.get(self.form, "") + self.name

    @property
    def gravest(self) -> Proof:
        """What the worst of the servers showed."""
        return min(self.proofs, key=lambda proof: GRAVITY[proof.status])

    @property
    def status(self) -> Status:
        """The gravest of any server."""
        return self.gravest.status

    @property
    def is_beyond_dns(self) -> bool:
        """Whether an order names it and no rule could block it, so that nobody was asked."""
        return self.kind == "ask" and self.status is Status.OPEN and not self.gravest.asked


@dataclass(frozen=True, slots=True)
class Listener:
    """One address and transport, and how it bore being asked."""

    address: str
    transport: str
    asked: int = 0
    """Queries sent, repeated ones included."""
    answered: int = 0
    unanswered: int = 0
    """Questions without an answer of use, in the end."""
    repeated: int = 0
    truncated: int = 0
    refused: int = 0
    broken: int = 0
    """Messages that answered nothing that was asked."""
    median_ms: float = 0.0
    slowest_ms: float = 0.0
    lowest_qps: float = 0.0
    """How slowly it had to be asked."""
    says: str = ""
    """In words, where it is slow, limits the rate, or is silent."""

    @property
    def label(self) -> str:
        """`127.0.0.1:53 udp`."""
        return f"{self.address} {self.transport}"


@dataclass(frozen=True, slots=True)
class Note:
    """What is no finding, of so many names."""

    kind: Kind
    text: str
    count: int
    examples: tuple[str, ...]
    """At most `EXAMPLES_MAX` names; none of confidential orders."""


@dataclass(frozen=True, slots=True)
class ServerResult:
    """One server that was asked."""

    name: str
    """Its address as given; of this server `this server`."""
    is_own: bool
    listeners: tuple[Listener, ...]
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Lag:
    """What is in force is not what the register has."""

    list: str
    kind: str
    """`serial`, `update`, `records`, `policy`."""
    text: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What the audit was about; empty: all."""

    order: str = ""
    exchange: str = ""
    register: str = ""
    sample: int | None = None


@dataclass(frozen=True, slots=True)
class AuditResult:
    """One audit."""

    started_at: float
    """Unix seconds, as the next one."""
    ended_at: float
    program: str
    """This program's version."""
    policy: str
    """The hash of the policy that was held against the answers."""
    blocklist: str
    is_strict: bool
    selection: Selection
    servers: tuple[ServerResult, ...]
    names: tuple[NameResult, ...]
    lags: tuple[Lag, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)
    """Exchange or list -> how many of its names were not in the sample."""
    address_rules: int = 0
    """Networks that rules speak of: no question proves those."""
    paused_until: float = 0.0
    """Unix seconds until which filtering is paused: what is paused was not asked; 0: nothing is."""
    concealed: dict[str, int] = field(default_factory=dict)
    """Of `shared()`: how many names of confidential orders are not told, by status."""

    def counts(self) -> dict[str, int]:
        """Status -> names, over all servers; what is not told counts, too.  Every status is there."""
        found = Counter(name.status.value for name in self.names)
        found.update(self.concealed)
        return {status.value: found[status.value] for status in Status}

    @property
    def has_findings(self) -> bool:
        """Whether something in force is not proved to be, more is blocked than meant, or a register is late.

        An exception that could not be looked up is none: no rule's doing.
        """
        if self.lags or any(self.concealed.get(status.value) for status in FINDINGS):
            return True
        return any(is_finding(name) for name in self.names)

    def shared(self) -> AuditResult:
        """What may leave this machine: names of confidential orders are counted, not told."""
        told = tuple(name for name in self.names if not name.is_confidential)
        hidden = [name for name in self.names if name.is_confidential]
        sources = {name.source for name in hidden} | {order for name in hidden for order in name.orders}
        selection = self.selection
        if sources & {selection.order, selection.exchange, selection.register}:
            selection = Selection(sample=selection.sample)
        return replace(
            self,
            names=told,
            selection=selection,
            lags=tuple(lag for lag in self.lags if lag.list not in sources),
            concealed=dict(Counter(name.status.value for name in hidden)),
        )


def is_finding(name: NameResult) -> bool:
    """Whether a name makes the audit fail."""
    status = name.status
    if status is Status.UNKNOWN:
        return name.kind not in ("allow", "protected")
    return status in FINDINGS


def as_json(result: AuditResult) -> dict[str, Any]:
    """The result for programs; `result_from` reads it."""
    return {
        "version": SCHEMA_VERSION,
        "at": datetime.fromtimestamp(int(result.started_at), UTC).isoformat().replace("+00:00", "Z"),
        "counts": result.counts(),
        **asdict(result),
    }


def result_from(fields: dict[str, Any]) -> AuditResult:
    """What `as_json` wrote.  Raises ValueError, KeyError or TypeError for anything else."""
    if fields.get("version") != SCHEMA_VERSION:
        raise ValueError(f"version {fields.get('version')!r}, this program reads {SCHEMA_VERSION}")
    known = {key: value for key, value in fields.items() if key not in ("version", "at", "counts")}
    known["selection"] = Selection(**known["selection"])
    known["servers"] = tuple(map(_server_from, known["servers"]))
    known["names"] = tuple(map(_name_from, known["names"]))
    known["lags"] = tuple(Lag(**lag) for lag in known["lags"])
    return AuditResult(**known)


def _server_from(fields: dict[str, Any]) -> ServerResult:
    listeners = tuple(Listener(**one) for one in fields["listeners"])
    notes = tuple(
        Note(Kind(one["kind"]), one["text"], one["count"], tuple(one["examples"])) for one in fields["notes"]
    )
    return ServerResult(fields["name"], fields["is_own"], listeners, notes)


def _name_from(fields: dict[str, Any]) -> NameResult:
    proofs = tuple(map(_proof_from, fields["proofs"]))
    return NameResult(**{**fields, "orders": tuple(fields["orders"]), "proofs": proofs})


def _proof_from(fields: dict[str, Any]) -> Proof:
    faults = tuple(Fault(**{**one, "kind": Kind(one["kind"])}) for one in fields["faults"])
    return Proof(**{**fields, "status": Status(fields["status"]), "faults": faults})


def path_of(state_dir: Path, *, of_change: bool = False, order: str = "") -> Path:
    """Where the last whole result stands; or the last one of what a change changed, or of one order alone."""
    name = f"order-{order}.json" if order else "last-change.json" if of_change else "last.json"
    return state_dir / "audit" / name


def save_last(state_dir: Path, result: AuditResult, *, of_change: bool = False, order: str = "") -> Path:
    """Put the result there whole, for its owner alone; gives the path.  Raises OSError."""
    path = path_of(state_dir, of_change=of_change, order=order)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, json.dumps(as_json(result)).encode() + b"\n", mode=0o600)
    return path


def load_last(state_dir: Path, *, of_change: bool = False, order: str = "") -> AuditResult | None:
    """The last result; None when there is none that this version can read."""
    try:
        with open_regular(path_of(state_dir, of_change=of_change, order=order)) as file:
            octets = read_up_to(file, RESULT_OCTETS_MAX + 1)
        return result_from(json.loads(octets)) if len(octets) <= RESULT_OCTETS_MAX else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def load_last_of_order(state_dir: Path, order: str) -> AuditResult | None:
    """The last result that is about an order: the newer one of its own and of everything."""
    found = [one for one in (load_last(state_dir), load_last(state_dir, order=order)) if one is not None]
    about = [one for one in found if any(order in name.orders for name in one.names)]
    return max(about or found, key=lambda one: one.ended_at, default=None)


def forget_orders(state_dir: Path, kept: Collection[str]) -> None:
    """Remove what is kept of orders that are not there any more.  Raises OSError."""
    for path in (state_dir / "audit").glob("order-*.json"):
        if path.stem.removeprefix("order-") not in kept:
            path.unlink(missing_ok=True)


def gravest_of(statuses: Sequence[Status]) -> Status:
    """The gravest of several."""
    return min(statuses, key=GRAVITY.__getitem__)
