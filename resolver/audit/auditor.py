"""One audit: subjects, questions, answers, proofs.

Knows: the order of the steps.  Does not know: settings, files, the terminal.
Servers are asked side by side, the listeners of one as well, and share that server's rate.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from resolver import __version__
from resolver.audit.asking import run_campaign
from resolver.audit.campaign import CONTROL, LATE_S, PATIENCE_S, Asked, Campaign, Counts, Outcome
from resolver.audit.expectation import Expectation
from resolver.audit.gathering import Gathering
from resolver.audit.marking import marked
from resolver.audit.plan import QUESTIONS_MAX, Probe, follow_up, plan, probe_again
from resolver.audit.results import (
    AuditResult,
    Fault,
    Kind,
    Lag,
    Listener,
    NameResult,
    Selection,
    ServerResult,
)
from resolver.audit.subjects import Ask, Found, Subject, Wanted, find_subjects
from resolver.audit.targets import ServerToAsk, Target, Transport
from resolver.blocklist.measures import Measure
from resolver.plurals import counted
from resolver.policy.table import PolicyTable
from resolver.wire.encode import encode_query
from resolver.wire.names import name_to_text
from resolver.wire.numbers import Qtype
from resolver.wire.query import Query

QPS = 1_000.0
"""Questions a second to one server: 15,000 names with three questions each take 45 s."""
FOLLOWED_POINTS_MAX = 8
"""Kinds of questions that failed somewhere and are then asked of every name."""
SLOW_MEDIAN_S = 1.0
"""A median above it is called slow."""


def _nothing_is_local(_: Query) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Basis:
    """What is to be proved."""

    table: PolicyTable
    """Made with wall time as the verdicts' clock."""
    asks: tuple[Ask, ...] = ()
    """The hosts that orders in force name."""
    measures: Mapping[str, Measure] = field(default_factory=dict)
    """Order id -> what it prescribes, where it does."""
    is_local: Callable[[Query], bool] = _nothing_is_local
    """Whether this server answers a query from its own records, before any rule."""
    policy: str = ""
    """The policy's hash."""
    blocklist: str = ""
    lags: tuple[Lag, ...] = ()
    paused_until: float = 0.0
    """Unix seconds until which filtering is paused; 0: it is not."""


Again = Mapping[tuple[str, str, str, str], Sequence[Fault]]
"""Faults of earlier audits, each of one name: `again_of`."""


def again_of(names: Iterable[NameResult]) -> Again:
    """The questions whose answers were not as they must be, or that were not answered."""
    return {
        (one.name, one.form, one.kind, one.source): [fault for proof in one.proofs for fault in proof.faults]
        for one in names
    }


@dataclass(frozen=True, slots=True)
class Manner:
    """How to ask."""

    qps: float = QPS
    questions_max: int = QUESTIONS_MAX
    """Of one server, where names are few; each name has at least three."""
    is_strict: bool = False
    secret: bytes | None = None
    """By it our own server knows its audit, and counts nothing of it; for no other server."""
    patience_s: tuple[float, ...] = PATIENCE_S
    seed: int = 0
    """Decides samples, labels, spellings and IDs; another one for each audit."""
    again: Again = field(default_factory=dict)
    """Questions to ask before all others, as they were asked before."""
    on_progress: Callable[[int, int], None] | None = None
    """Called with questions done and questions planned, over all servers."""


class Run(Protocol):
    """Asks all of a campaign, and tells each outcome once."""

    async def __call__(
        self, target: Target, campaign: Campaign[Probe], on_outcome: Callable[[Outcome[Probe]], None], /
    ) -> None: ...


@dataclass(slots=True)
class _Progress:
    manner: Manner
    done: int = 0
    planned: int = 0

    def step(self) -> None:
        self.done += 1
        if self.manner.on_progress is not None:
            self.manner.on_progress(self.done, self.planned)


@dataclass(slots=True)
class _Server:
    """One server while it is asked."""

    server: ServerToAsk
    gathering: Gathering
    run: Run
    counts: dict[int, list[Counts]] = field(default_factory=dict)


async def audit(
    basis: Basis,
    wanted: Wanted,
    servers: Sequence[ServerToAsk],
    manner: Manner,
    wall: Callable[[], float],
    run: Run = run_campaign,
) -> AuditResult:
    """Prove a policy by questions; `wall` gives Unix seconds.  `run`: who asks a campaign's questions."""
    started_at = wall()
    found = find_subjects(basis.table, started_at, wanted, basis.asks, basis.measures)
    progress = _Progress(manner)
    states = [
        _Server(
            server,
            Gathering(
                basis.table,
                found.subjects,
                server.targets,
                is_exact=server.is_own or manner.is_strict,
                is_local=basis.is_local if server.is_own else _nothing_is_local,
            ),
            run,
        )
        for server in servers
    ]
    await asyncio.gather(*(_ask_server(state, found.subjects, manner, progress, wall) for state in states))
    return AuditResult(
        started_at=started_at,
        ended_at=wall(),
        program=__version__,
        policy=basis.policy,
        blocklist=basis.blocklist,
        is_strict=manner.is_strict,
        selection=Selection(wanted.order, wanted.exchange, wanted.register, wanted.sample),
        servers=tuple(_server_result(state) for state in states),
        names=_name_results(found, states),
        lags=basis.lags,
        paused_until=basis.paused_until,
        left_out=found.left_out,
        address_rules=found.address_rules,
    )


async def _ask_server(
    state: _Server,
    subjects: Sequence[Subject],
    manner: Manner,
    progress: _Progress,
    wall: Callable[[], float],
) -> None:
    targets = state.server.targets
    udp = [place for place, target in enumerate(targets) if target.transport is Transport.UDP]
    stream = [place for place in range(len(targets)) if place not in udp]
    gathering = state.gathering
    again = dict.fromkeys(_again(subjects, targets, manner.again))
    planned = plan(subjects, udp, stream, manner.seed, manner.questions_max)
    await _ask(state, [*again, *planned], manner, progress, wall)
    if stream and (truncated := _to_stream(gathering, stream)):
        await _ask(state, truncated, manner, progress, wall)
    points = gathering.points_in_question(FOLLOWED_POINTS_MAX)
    if points:
        more = follow_up(subjects, gathering.points_asked(), points, manner.seed, manner.questions_max)
        await _ask(state, list(more), manner, progress, wall)


def _again(subjects: Sequence[Subject], targets: Sequence[Target], again: Again) -> Iterator[Probe]:
    """What failed before, of those that are still to be asked."""
    places = {target.label: place for place, target in enumerate(targets)}
    for place, subject in enumerate(subjects):
        if subject.status is not None:
            continue
        key = (name_to_text(subject.name), subject.form.value, subject.kind, subject.source)
        for fault in again.get(key, ()):
            if fault.listener in places:
                probe = probe_again(place, subject, fault.question, places[fault.listener])
                if probe is not None:
                    yield probe


def _to_stream(gathering: Gathering, stream: Sequence[int]) -> list[Probe]:
    """What was truncated, to be asked as a client would ask then."""
    probes = []
    for number, probe in enumerate(gathering.truncated):
        gathering.over_stream(probe)
        point = probe.point._replace(listener=stream[number % len(stream)])
        probes.append(probe._replace(point=point))
    gathering.truncated.clear()
    return probes


async def _ask(
    state: _Server, probes: list[Probe], manner: Manner, progress: _Progress, wall: Callable[[], float]
) -> None:
    """Ask each listener its questions, all of them at the server's rate together."""
    progress.planned += len(probes)
    by_listener: dict[int, list[Probe]] = {}
    for probe in probes:
        by_listener.setdefault(probe.point.listener, []).append(probe)
    runs = []
    for place, mine in by_listener.items():
        campaign = Campaign(
            _questions(state, mine, manner, wall),
            qps=max(1.0, manner.qps * len(mine) / len(probes)),
            seed=manner.seed + place,
            patience_s=manner.patience_s,
            control=_marked(CONTROL, state, manner),
        )
        state.counts.setdefault(place, []).append(campaign.counts)

        def take(outcome: Outcome[Probe]) -> None:
            state.gathering.take(outcome.tag, outcome, wall())
            progress.step()

        runs.append(state.run(state.server.targets[place], campaign, take))
    await asyncio.gather(*runs)


def _questions(
    state: _Server, probes: Iterable[Probe], manner: Manner, wall: Callable[[], float]
) -> Iterator[Asked[Probe]]:
    for probe in probes:
        octets = encode_query(
            probe.spelt,
            probe.point.qtype,
            id=0,
            dnssec_ok=False,
            checking_disabled=False,
            edns=probe.point.has_edns,
        )
        octets = _marked(octets, state, manner)
        expected = state.gathering.expectation(probe, octets, wall())
        yield Asked(
            probe,
            octets,
            expected.is_silence,
            _takes(expected, probe, is_own=state.server.is_own),
            expected.flags_and_rcode,
            expected.passes,
        )


def _marked(octets: bytes, state: _Server, manner: Manner) -> bytes:
    """A query by which our own server knows its audit."""
    if manner.secret is None or not state.server.is_own:
        return octets
    return marked(octets, manner.secret)


def _takes(expected: Expectation, probe: Probe, *, is_own: bool) -> frozenset[Kind]:
    """Which signs of haste are an answer to this question."""
    # RFC 8482: many servers answer no ANY.
    if probe.point.qtype == Qtype.ANY and not is_own and not expected.passes:
        return frozenset((Kind.REFUSED,))
    return frozenset()


# The result.


def _name_results(found: Found, states: Sequence[_Server]) -> tuple[NameResult, ...]:
    return tuple(
        NameResult(
            name=name_to_text(subject.name),
            form=subject.form.value,
            kind=subject.kind,
            source=subject.source,
            orders=subject.orders,
            file=subject.file,
            line=subject.line,
            is_confidential=subject.is_confidential,
            proofs=tuple(state.gathering.proof(place) for state in states),
        )
        for place, subject in enumerate(found.subjects)
    )


def _server_result(state: _Server) -> ServerResult:
    listeners = tuple(
        _listener(target, state.counts.get(place, [])) for place, target in enumerate(state.server.targets)
    )
    return ServerResult(state.server.name, state.server.is_own, listeners, state.gathering.notes())


def _listener(target: Target, counts: Sequence[Counts]) -> Listener:
    seconds = [one for part in counts for one in part.seconds]
    total = Counts(
        sent=sum(part.sent for part in counts),
        answered=sum(part.answered for part in counts),
        repeated=sum(part.repeated for part in counts),
        unanswered=sum(part.unanswered for part in counts),
        truncated=sum(part.truncated for part in counts),
        refused=sum(part.refused for part in counts),
        servfail=sum(part.servfail for part in counts),
        broken=sum(part.broken for part in counts),
        lowest_qps=min((part.lowest_qps for part in counts), default=0.0),
        is_dead=any(part.is_dead for part in counts),
    )
    median_s = statistics.median(seconds) if seconds else 0.0
    was_slowed = any(part.lowest_qps < part.asked_qps for part in counts)
    return Listener(
        address=target.place,
        transport=target.transport.value,
        asked=total.sent,
        answered=total.answered,
        unanswered=total.unanswered,
        repeated=total.repeated,
        truncated=total.truncated,
        refused=total.refused,
        broken=total.broken,
        median_ms=round(median_s * 1000, 3),
        slowest_ms=round(max(seconds, default=0.0) * 1000, 3),
        lowest_qps=round(total.lowest_qps, 1),
        says=_words(total, median_s, max(seconds, default=0.0), was_slowed=was_slowed),
    )


def _words(counts: Counts, median_s: float, slowest_s: float, *, was_slowed: bool) -> str:
    """What a listener is like, where it is not simply well."""
    if not counts.sent:
        return "was not asked"
    if not counts.answered and (counts.refused or counts.truncated):
        return f"{'refuses' if counts.refused else 'cuts off'} everything: may this client ask there?"
    if not counts.answered and counts.unanswered and not counts.servfail:
        sent = f"; sent {counted(counts.broken, 'message')} that answer nothing" if counts.broken else ""
        return f"does not answer{sent}"
    said = []
    if was_slowed:
        how = [
            f"{counts.refused:,} refused" if counts.refused else "",
            f"{counts.truncated:,} truncated" if counts.truncated else "",
        ]
        told = ", ".join(filter(None, how)) or "questions stayed without an answer"
        said.append(f"limits the rate or is overloaded ({told}): was asked {counts.lowest_qps:.0f} a second")
    if median_s > SLOW_MEDIAN_S or slowest_s > LATE_S:
        said.append(f"is slow: {median_s:.1f} s in the middle, {slowest_s:.1f} s at worst")
    if counts.unanswered:
        said.append(f"left {counted(counts.unanswered, 'question')} without an answer of use")
    if counts.servfail:
        said.append(f"failed (SERVFAIL) for {counted(counts.servfail, 'question')}")
    if counts.broken:
        said.append(f"sent {counted(counts.broken, 'message')} that answer nothing")
    return "; ".join(said)
