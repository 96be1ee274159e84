"""What a server can say of itself at one moment: the read model of `/metrics` and of every page to come.

Knows: the words for these numbers, and their units.  Does not know: who counts them, who shows them.
Theory: a snapshot of integers and texts.  It is taken on the event loop; nothing in it changes afterwards,
so any thread may read it.  All numbers count from the start of the process unless they say otherwise.
No client's address and no name that a client asked for is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from resolver.observe.connection_facts import ConnectionFacts
from resolver.observe.tally import TallySnapshot

REMARK_TOPICS: Final = (
    "acknowledge",
    "audit",
    "block_page",
    "cache",
    "certificates",
    "clock",
    "defects",
    "engine",
    "filtering",
    "hits",
    "http",
    "listen",
    "lists",
    "policy",
    "query_records",
    "upstreams",
)
"""What a remark may be about."""


@dataclass(slots=True, frozen=True)
class HealthFacts:
    """Whether the server is fit to be asked."""

    reasons: Mapping[str, str] = field(default_factory=dict)
    """Condition that does not hold -> why; empty: ready."""
    remarks: Mapping[str, str] = field(default_factory=dict)
    """Topic, one of `REMARK_TOPICS` -> what a person should know although the server is ready."""
    outside: Mapping[str, str] = field(default_factory=dict)
    """Topic -> what strangers are told in the place of its remark."""

    @property
    def is_ready(self) -> bool:
        """Whether every condition holds."""
        return not self.reasons


STATES: Final = ("enforced", "shadow", "pending", "expired", "disabled")
"""How an exchange stands: pending before its `from`, expired from its `until` on; one without any domain or
address is disabled."""
ENFORCED: Final = STATES[0]


@dataclass(slots=True, frozen=True)
class PolicyFacts:
    """What the policy in force contains, in labels."""

    generation: int = 0
    exchanges: tuple[tuple[str, str, str], ...] = ()
    """(id, action, mode) of each exchange."""
    lists: tuple[tuple[str, str, str], ...] = ()
    """(name, action, mode) of each list that blocks."""
    rules: Mapping[str, int] = field(default_factory=dict)
    """Exchange id -> number of its rules."""
    states: Mapping[str, str] = field(default_factory=dict)
    """Exchange id -> its state, one of `STATES`."""
    described: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Exchange id -> its name and its category."""
    ends: Mapping[str, float] = field(default_factory=dict)
    """Exchange id -> Unix seconds at which it ends, of those that do."""
    concealed: tuple[tuple[str, int], ...] = ()
    """(state, rules) of each exchange whose orders are all confidential: counted, and never named."""
    content: str = ""
    """Hash of the blocklist and its local lists; empty: there is no policy yet."""
    is_empty: bool = False
    """Whether it blocks nothing."""


@dataclass(slots=True, frozen=True)
class OrderFacts:
    """How an order stands that is not confidential.  Times are Unix seconds."""

    id: str
    due_at: float | None
    """None: it has no deadline, or has ended."""
    in_force_at: float
    """When it was first in force; 0: never yet."""
    unenforced: Mapping[str, int]
    """Every reason there is -> how many of the things that it asks for are not enforced."""


@dataclass(slots=True, frozen=True)
class ReloadFacts:
    """How the policy's reloads went.  Times are Unix seconds; 0: never."""

    successes: int = 0
    failures: int = 0
    last_success: float = 0.0
    last_attempt: float = 0.0
    serves_last_good: bool = False
    """Whether the blocklist as it stands is not in force because it could not be loaded."""
    waits_for_second: bool = False
    """Whether it is not in force because a second person has yet to approve it."""


CLOCK_DOUBTS: Final = ("ahead", "behind")
"""How a wall clock may be wrong: far ahead of all that is known, or behind what has been."""


@dataclass(slots=True, frozen=True)
class HistoryFacts:
    """How the record of what was put in force is kept."""

    generation: int = 0
    """Number of the policy in force; 0: it is not recorded, or not yet."""
    failures: int = 0
    """Generations that could not be recorded."""


@dataclass(slots=True, frozen=True)
class HitHistoryFacts:
    """How the history of hits is written."""

    waiting: int = 0
    """Hits counted and not written yet."""
    last_success: float = 0.0
    """Unix seconds of the last write; 0: never."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Every reason there is -> writes that failed."""
    lost: int = 0
    """Hits that found no room to wait in."""
    damaged: int = 0
    """Files set aside because they were damaged."""
    dropped_hours: int = 0
    """Hours that went for want of room, the oldest first."""


@dataclass(slots=True, frozen=True)
class ZoneFacts:
    """How far the copy of a transferred zone is."""

    serial: int
    """The copy's."""
    authority_serial: int
    """The newest that a primary has said."""
    lag_s: float
    """For how long a primary has had a newer zone than the copy; 0: it has none."""


@dataclass(slots=True, frozen=True)
class ListFacts:
    """How the downloads of one list went."""

    name: str
    last_success: float
    """Unix seconds; 0: it was never downloaded."""
    downloads: Mapping[str, int]
    """Every result there is -> count."""
    refresh_s: float = 0
    """How often it is to be fetched."""
    zone: ZoneFacts | None = None
    """None: it is no transferred zone, or never came."""


@dataclass(slots=True, frozen=True)
class CacheFacts:
    """Size and use of the cache."""

    entries: int = 0
    """Now."""
    octets: int = 0
    """Now, as the cache accounts for them."""
    misses: int = 0
    """Lookups that found nothing fresh."""
    evictions: int = 0


@dataclass(slots=True, frozen=True)
class UpstreamFacts:
    """What one upstream was asked and how it did."""

    name: str
    """`udp://192.0.2.1:53`: from the settings, so a closed set."""
    is_up: bool
    """Whether it answers, as far as is known; one that was never asked counts as up."""
    queries: int
    failures: Mapping[str, int]
    """Reason -> count."""
    bounds: Sequence[float]
    """Upper bounds of the buckets, in seconds, without +Inf."""
    buckets: Sequence[int]
    """How many responses fell into each; one more than `bounds`."""
    seconds: float
    """Sum of all response times."""
    connections: int = 0
    """Open or being opened."""
    is_encrypted: bool = False
    handshakes: int = 0
    """Of TLS, in full."""
    resumptions: int = 0
    """Handshakes with the session of an earlier one."""
    certificate_until: float | None = None
    """Unix seconds: end of the certificate that it showed last; None: it showed none."""


@dataclass(slots=True, frozen=True)
class DatagramFacts:
    """UDP towards upstreams, in both planes."""

    unexpected: int = 0
    """Datagrams that match no query."""
    late: int = 0
    """Responses to queries no longer waited for."""
    unsent: int = 0
    """Queries that the kernel had no room for."""
    sockets_opened: int = 0
    socket_failures: int = 0


@dataclass(slots=True, frozen=True)
class StreamFacts:
    """Connections towards upstreams: TCP, TLS, HTTPS."""

    unexpected: int = 0
    """Messages that match no query of their connection."""
    opened: int = 0
    reused: int = 0
    """Queries that found an open connection."""
    broken: int = 0
    """Connections that ended while queries waited."""
    retried: int = 0
    """Queries sent again because their connection broke."""
    held_back: int = 0
    """Queries that were not sent, for connections came to nothing just now."""


@dataclass(slots=True, frozen=True)
class ForwardingFacts:
    """Questions on their way to upstreams, in both planes."""

    waiting: int = 0
    """Queries of clients that wait now."""
    in_flight: int = 0
    """Questions asked and not answered yet, now."""
    coalesced: int = 0
    """Questions that joined an equal one in flight."""
    hedges: int = 0
    """Questions that a second upstream was asked because the first was slow."""
    overloads: int = 0
    """Questions failed because too many were in flight."""
    datagrams: DatagramFacts = DatagramFacts()
    streams: StreamFacts = StreamFacts()


@dataclass(slots=True, frozen=True)
class TlsFacts:
    """What handshakes of clients came to, in both planes."""

    sessions: Mapping[tuple[str, str, str, str], int] = field(default_factory=dict)
    """Transport, version, group, whether it went on from an earlier session -> count."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Every reason there is -> count."""


@dataclass(slots=True, frozen=True)
class CertificateFacts:
    """How the certificates of encrypted listeners stand."""

    ends_at: float | None = None
    """When the first of them expires, in Unix seconds; None: there are none."""
    is_stale: bool = False
    """Whether the files as they stand cannot be used, so that those before serve on."""
    successes: int = 0
    """Times that new files were served, after the start."""
    failures: int = 0
    """Times that they could not be."""


HTTP_REFUSALS: Final = (
    "body",
    "broken",
    "busy",
    "event_streams",
    "guesses",
    "host",
    "origin",
    "role",
    "tls",
    "token_missing",
    "token_wrong",
)
"""Why a request to `listen.http` is refused: a body that is too long or may not be; a head that two programs
could read in two ways; too much at once; too many streams of events; too many wrong tokens; a strange name in
`Host`; a page of another site; a role that may not; no TLS, or no certificate of a client; no token; one that
nobody has."""


@dataclass(slots=True, frozen=True)
class HttpFacts:
    """How `listen.http` is served, its open connections aside."""

    refused: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(HTTP_REFUSALS, 0))
    """Every one of `HTTP_REFUSALS` -> count."""
    event_streams: int = 0
    """Open now."""
    certificates: CertificateFacts = CertificateFacts()
    """Of `http.tls`."""
    tokens_trouble: str = ""
    """Why the tokens as they stand are not those that count; empty: they are."""


@dataclass(slots=True, frozen=True)
class SinkFacts:
    """What became of the query records for one of their readers."""

    name: str
    """`log`: the query log."""
    records: int
    """Records that reached their end."""
    lost: int
    """Records lost for want of room, or to a reader that is gone."""
    trouble: str = ""
    """Why its records reach nobody now; empty: they do."""


SUGGESTION_STATES = ("open", "weak", "dismissed")
"""Of names that look like a listed exchange: to be decided, too little alike to be shown, dismissed."""


@dataclass(slots=True, frozen=True)
class BlockPageFacts:
    """How the page that blocked people see is served."""

    is_up: bool
    is_stale: bool
    """Whether it shows what was in force before, for its file could not be made."""
    restarts: int
    """Times its process ended and was started again."""
    requests: Mapping[str, int]
    """Every status there is -> answers."""
    refused: Mapping[str, int]
    """Every reason there is -> connections refused or cut; `rate`: pauses in accepting."""


@dataclass(slots=True, frozen=True)
class NativeFacts:
    """What the native plane alone counts."""

    punts: int = 0
    """Queries left to Python."""
    handovers: int = 0
    """Questions whose first attempt came to no simple end, handed over to Python."""
    panics: int = 0
    """Defects caught."""
    restarts: int = 0
    """Threads that began anew after a defect."""


AUDIT_CAUSES: Final = ("schedule", "change", "request")
"""Why this server audits itself; request: somebody wanted it."""
AUDIT_RESULTS: Final = ("clean", "findings", "failed")
"""What came of an audit; failed: nothing is proved."""
AUDIT_STATUSES: Final = (
    "uncovered",
    "overblocked",
    "unknown",
    "covered",
    "open",
    "shadowed",
    "pending",
    "expired",
    "disabled",
)
"""What is proved of a name: the words of `resolver.audit.results.Status`."""
AUDIT_FINDINGS: Final = AUDIT_STATUSES[:3]


@dataclass(slots=True, frozen=True)
class AuditFacts:
    """How this server's audits of itself went."""

    every_s: float = 0.0
    """Between two whole ones; 0: there are none."""
    last_success: float = 0.0
    """Unix seconds at which the last whole one ended; 0: never."""
    domains: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(AUDIT_STATUSES, 0))
    """Every status -> names, of the last whole one."""
    findings: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(AUDIT_FINDINGS, 0))
    """The same of what was found wrong, as last proved."""
    lags: int = 0
    """Lists behind their registers, as of the last whole one."""
    runs: Mapping[tuple[str, str], int] = field(
        default_factory=lambda: dict.fromkeys(product(AUDIT_CAUSES, AUDIT_RESULTS), 0)
    )
    """Cause and result -> audits."""


ACKNOWLEDGE_FAILURES: Final = ("exit", "timeout", "start", "unsafe", "proof", "journal")
"""Why a batch of a list is not acknowledged: its command ended badly, not in time, could not be started, may
be changed by others; its records are not proved in force; what is written down of it cannot be used."""


@dataclass(slots=True, frozen=True)
class AcknowledgeFacts:
    """How one list is acknowledged that is not confidential.  Times are Unix seconds; 0: never, nothing."""

    list: str
    batches: int
    """Acknowledged since the start."""
    failures: Mapping[str, int]
    """Every one of `ACKNOWLEDGE_FAILURES` -> count."""
    pending_since: float
    """When the batch was made whose command has not succeeded yet."""
    last_success: float
    unproved: int
    """Records that are new and not proved to be in force."""


@dataclass(slots=True, frozen=True)
class Facts:
    """Everything at one moment."""

    version: str = ""
    engine: str = ""
    """`native` or `python`."""
    health: HealthFacts = HealthFacts()
    tallies: TallySnapshot = field(default_factory=lambda: TallySnapshot((), {}))
    """Outcomes of queries, of both planes."""
    drops: Mapping[str, int] = field(default_factory=dict)
    """What was lost beside the outcomes, by reason."""
    policy: PolicyFacts = PolicyFacts()
    orders: tuple[OrderFacts, ...] = ()
    """Empty until they are measured, soon after the start."""
    expiring: int = 0
    """Exchanges in force that soon end."""
    reloads: ReloadFacts = ReloadFacts()
    clock_doubt: str = ""
    """One of `CLOCK_DOUBTS`; empty: the clock is believed."""
    paused_until: float = 0.0
    """Unix seconds at which filtering goes on; 0: it is not paused."""
    history: HistoryFacts = HistoryFacts()
    hit_history: HitHistoryFacts = HitHistoryFacts()
    lists: tuple[ListFacts, ...] = ()
    """Lists that are downloaded."""
    cache: CacheFacts = CacheFacts()
    upstreams: tuple[UpstreamFacts, ...] = ()
    forwarding: ForwardingFacts = ForwardingFacts()
    connections: ConnectionFacts = field(default_factory=ConnectionFacts)
    tls: TlsFacts = field(default_factory=TlsFacts)
    https_responses: Mapping[str, int] = field(default_factory=dict)
    """Every status there is -> requests for DNS over HTTPS that it was the answer to."""
    certificates: CertificateFacts = CertificateFacts()
    http: HttpFacts = field(default_factory=HttpFacts)
    native: NativeFacts | None = None
    """None: this server has no native plane."""
    event_loop_stalls: int = 0
    """Times the event loop came late to its deadlines."""
    log_lines_dropped: int = 0
    sinks: tuple[SinkFacts, ...] = ()
    """Readers of query records."""
    records_left_out: int = 0
    """Those that the API does not show, for too many came in their second."""
    audit: AuditFacts = field(default_factory=AuditFacts)
    acknowledged: tuple[AcknowledgeFacts, ...] = ()
    """Lists whose records are acknowledged."""
    suggestions: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(SUGGESTION_STATES, 0))
    """Names by their state, one of `SUGGESTION_STATES`."""
    block_page: BlockPageFacts | None = None
    """None: there is none."""
