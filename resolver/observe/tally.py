"""Counts outcomes at the cost of two additions per answer.

Knows: which labels an outcome has.  Does not know: Prometheus, sockets, who asked.
Theory: outcomes with the same labels share one `Tally`, so counting is `tally.count += 1`; only a
scrape works out what the labels mean.  Every label comes from a closed set, so the number of tallies
is bounded whatever clients ask.

Time is taken once per batch of datagrams.  A histogram's first bucket is everything that is in no
later one, so batches under `SECONDS_BOUNDS[0]` touch no bucket at all, and the buckets still add up
to the count exactly.

A listener keeps the tallies of the batch it answers in a list and settles them together:

    tally = respond.tally or tallies.of(transport, respond)     # a memo keeps respond.tally
    touched.append(tally)
    ...
    tallies.settle(touched, monotonic() - batch_began); touched.clear()

An answer that came later is settled alone: `tallies.of(transport, outcome).add(seconds)`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from operator import add
from typing import NamedTuple

from resolver.flow.outcome import Drop, Respond, Source
from resolver.flow.peer import Transport
from resolver.policy.verdict import AUDITED, PASS, Verdict
from resolver.wire.numbers import Qtype, Rcode

SECONDS_BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of the buckets of response times.  The first holds a full batch of answers from memory;
2 s is the default upstream timeout."""

OTHER = "OTHER"
"""The label of every value outside a closed set."""

UNREADABLE = "none"
"""The qtype label of a packet whose question could not be read."""

QTYPE_LABELS: dict[int, str] = {int(member): name for name, member in Qtype.__members__.items()}
"""The types named in the IANA list we keep; the other 65,000 share one label."""

DROP_REASONS = (
    "client_waits",
    "defect",
    "http_client_does_not_read",
    "http_connections_max",
    "https_broken",
    "https_control_frames",
    "https_forwarded",
    "https_headers",
    "https_resets",
    "https_stalled",
    "https_streams_max",
    "late_full",
    "policy",
    "proxy_head",
    "pulse",
    "rate_limit",
    "receive_error",
    "receive_nobufs",
    "receive_nomem",
    "receive_refused",
    "repeat",
    "response",
    "ring_full",
    "send_failed",
    "short",
    "tcp_accept_failed",
    "tcp_answers_full",
    "tcp_client_does_not_read",
    "tcp_client_octets_max",
    "tcp_connection_octets_max",
    "tcp_connections_max",
    "tcp_connections_per_client_max",
    "tcp_defect",
    "tcp_held_octets_max",
    "tcp_short_message",
    "tcp_strangers_max",
    "tcp_yielded_idle",
    "tcp_yielded_share",
    "tcp_yielded_slow",
    "tls_breaches_of_client",
    "tls_failed",
    "tls_handshake_timeout",
    "tls_handshakes_per_s_max",
    "tls_handshakes_per_s_per_client_max",
    "tls_stranger",
)
"""Why something is dropped, in either plane.  Each has a series from the start: to an alert on `increase`, a
series that begins with 1 has not increased, and the first defect would be silent."""

SERVED_TRANSPORTS = (Transport.UDP, Transport.TCP, Transport.TLS, Transport.HTTPS)
"""Those that this version listens on."""

RCODE_LABELS: dict[int, str] = {int(member): name for name, member in Rcode.__members__.items()}


class Hit(NamedTuple):
    """One rule that spoke: the labels of a hit."""

    kind: str
    """`exchange` or `list`."""
    label: str
    action: str
    mode: str


class TallyKey(NamedTuple):
    """Everything that is counted about an outcome."""

    transport: str
    qtype: str
    rcode: str | None
    """None for a drop."""
    source: str | None
    """None for a drop."""
    reason: str | None
    """Why it was dropped; None for an answer."""
    enforced: Hit | None
    shadow: Hit | None


class Tally:
    """The outcomes of one kind so far."""

    __slots__ = ("count", "key", "late", "seconds")

    def __init__(self, key: TallyKey, late: list[int]) -> None:
        self.key = key
        self.count = 0
        self.seconds = 0.0
        """Sum of response times."""
        self.late = late
        """The source's bucket counts, shared by its tallies; index 0 is never used."""

    def add(self, seconds: float) -> None:
        """Count one outcome that took `seconds`."""
        self.count += 1
        self.seconds += seconds
        if seconds > SECONDS_BOUNDS[0]:
            self.late[bisect_left(SECONDS_BOUNDS, seconds)] += 1


@dataclass(slots=True, frozen=True)
class TallySnapshot:
    """All counts at one moment, safe to read from another thread."""

    counts: tuple[tuple[TallyKey, int, float], ...]
    """(labels, count, sum of seconds)."""
    late: dict[str, tuple[int, ...]]
    """Source -> how many answers fell in each bucket after the first (index 0 is 0; the last is +Inf)."""
    audited: int = 0
    """Queries of an audit, which stand in nothing else."""


def joined(one: TallySnapshot, other: TallySnapshot) -> TallySnapshot:
    """The counts of two planes together; labels may then stand there twice."""
    late = dict(one.late)
    for source, buckets in other.late.items():
        known = late.get(source)
        late[source] = buckets if known is None else tuple(map(add, known, buckets))
    return TallySnapshot(one.counts + other.counts, late, one.audited + other.audited)


class Tallies:
    """All tallies of a server.  Used from the event loop's thread only."""

    def __init__(self) -> None:
        self._tallies: dict[TallyKey, Tally] = {}
        self._late = {source.value: [0] * (len(SECONDS_BOUNDS) + 1) for source in Source}
        self._unused = [0] * (len(SECONDS_BOUNDS) + 1)  # Drops have no response time.
        self.audited = Tally(TallyKey("", "", None, None, None, None, None), self._unused)
        """That of an audit's queries, whatever becomes of them."""

    def of(self, transport: Transport, outcome: Respond | Drop) -> Tally:
        """The tally for outcomes like this one; the same object for the same labels, always."""
        verdict = outcome.verdict
        if verdict is AUDITED:
            return self.audited
        hits = _NO_HITS if verdict is PASS else hits_of(verdict)
        qtype = UNREADABLE if outcome.qtype is None else QTYPE_LABELS.get(outcome.qtype, OTHER)
        if isinstance(outcome, Respond):
            key = TallyKey(
                transport.label,
                qtype,
                RCODE_LABELS.get(outcome.rcode, OTHER),
                outcome.source.value,
                None,
                *hits,
            )
        else:
            key = TallyKey(transport.label, qtype, None, None, outcome.reason, *hits)
        tally = self._tallies.get(key)
        if tally is None:
            late = self._unused if key.source is None else self._late[key.source]
            tally = self._tallies[key] = Tally(key, late)
        return tally

    def settle(self, touched: list[Tally], seconds: float) -> None:
        """Count one outcome per entry of `touched`, each of which took `seconds` (their batch's time)."""
        bucket = bisect_left(SECONDS_BOUNDS, seconds)
        for tally, count in Counter(touched).items():
            tally.count += count
            tally.seconds += count * seconds
            if bucket:  # index 0 is never used
                tally.late[bucket] += count

    def snapshot(self) -> TallySnapshot:
        """A consistent copy; microseconds, so it may run on the event loop."""
        return TallySnapshot(
            counts=tuple((tally.key, tally.count, tally.seconds) for tally in self._tallies.values()),
            late={source: tuple(buckets) for source, buckets in self._late.items()},
            audited=self.audited.count,
        )


_NO_HITS: tuple[Hit | None, Hit | None] = (None, None)

COUNTED_KINDS = ("exchange", "list")
"""Allow and protected rules block nothing, so they have no hits."""


def hits_of(verdict: Verdict) -> tuple[Hit | None, Hit | None]:
    """(the rule that blocked, the shadow rule that would have), each None if there is none."""
    enforced = shadow = None
    if verdict.match is not None and verdict.is_blocked:
        rule = verdict.match.rule
        if rule.kind in COUNTED_KINDS:
            enforced = Hit(rule.kind, rule.label, verdict.action.value, "enforce")
    if verdict.shadow is not None and verdict.shadow.rule.kind in COUNTED_KINDS:
        rule = verdict.shadow.rule
        shadow = Hit(rule.kind, rule.label, rule.action.value, "shadow")
    return enforced, shadow
