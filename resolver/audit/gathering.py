"""From outcomes to what is proved of each name, for one server.

Knows: probes, outcomes, opinions.  Does not know: sockets, other servers.
One answer that is not what is prescribed uncovers a name, whatever the others were; one question without an
answer leaves it unknown, unless it is uncovered anyway.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from resolver.audit.campaign import LATE_S, Outcome
from resolver.audit.expectation import Expectation, expect
from resolver.audit.judge import FINE, Finding, Opinion, judge
from resolver.audit.plan import Point, Probe, question_text
from resolver.audit.results import (
    EXAMPLES_MAX,
    FAULTS_KEPT_MAX,
    Fault,
    Kind,
    Note,
    Proof,
    Status,
)
from resolver.audit.subjects import Subject
from resolver.audit.targets import Target, Transport
from resolver.policy.table import PolicyTable
from resolver.wire.message import Message
from resolver.wire.names import name_to_text
from resolver.wire.numbers import Qtype
from resolver.wire.query import Query, parse_query

FAILURES = {
    Kind.NO_ANSWER: "no answer",
    Kind.GARBAGE: "garbage in place of an answer",
    Kind.WRONG_ID: "the answer carries another question's ID",
    Kind.CLOSED: "the connection was closed",
    Kind.REFUSED: "refused, each time",
    Kind.TRUNCATED: "truncated (TC=1), each time",
    Kind.SERVFAIL: "SERVFAIL, each time",
    Kind.NOT_ASKED: "not asked: the server had stopped answering",
}

NOTES_MAX = 200
"""Kinds of notes of one server; the rest is counted together."""


@dataclass(slots=True)
class _Standing:
    """What is known so far of one subject."""

    asked: int = 0
    right: int = 0
    faults: list[Fault] = field(default_factory=list)
    too_wide: list[Fault] = field(default_factory=list)
    unknown: list[Fault] = field(default_factory=list)
    truncated: dict[Probe, Fault] = field(default_factory=dict)
    """By datagrams; each goes once a stream is asked."""
    fault_count: int = 0
    local: int = 0
    late_s: float = 0.0
    points: set[Point] = field(default_factory=set)
    wrong: list[Point] = field(default_factory=list)


class Gathering:
    """The proofs of one server."""

    def __init__(
        self,
        table: PolicyTable,
        subjects: Sequence[Subject],
        targets: Sequence[Target],
        *,
        is_exact: bool,
        is_local: Callable[[Query], bool],
    ) -> None:
        """`is_exact`: SOA, EDE and TTL decide, too.  `is_local`: the server answers it before any rule."""
        self._is_local = is_local
        self._table = table
        self._subjects = subjects
        self._targets = targets
        self._is_exact = is_exact
        self._standings = [_Standing() for _ in subjects]
        self._note_counts: Counter[tuple[Kind, str]] = Counter()
        self._note_names: dict[tuple[Kind, str], dict[str, None]] = {}
        self._expected: dict[Probe, Expectation] = {}
        """Of questions under way."""
        self.truncated: list[Probe] = []
        """Questions that datagrams gave no answer to but TC=1: a client goes to TCP with them."""

    def expectation(self, probe: Probe, octets: bytes, now: float) -> Expectation:
        """What must be answered to a probe at `now` on the table's clock; kept until its outcome is taken."""
        expected = self._expect(probe, octets, now)
        # What a date will change says another TTL each second.
        if expected.verdict.valid_until == math.inf:
            self._expected[probe] = expected
        return expected

    def _expect(self, probe: Probe, octets: bytes, now: float) -> Expectation:
        is_stream = self._targets[probe.point.listener].transport is not Transport.UDP
        return expect(self._table, octets, is_stream=is_stream, now=now)

    def take(self, probe: Probe, outcome: Outcome[Probe], now: float) -> None:
        """Take what came of one question in."""
        standing = self._standings[probe.subject]
        subject = self._subjects[probe.subject]
        expected = self._expected.pop(probe, None) or self._expect(probe, outcome.octets, now)
        standing.asked += 1
        standing.points.add(probe.point)
        query = parse_query(outcome.octets)
        if isinstance(query, Query) and self._is_local(query):
            standing.local += 1
            return
        if outcome.message is None and outcome.failure is None:
            standing.right += 1  # Silence, as meant.
            return
        if outcome.failure is not None:
            self._take_failure(probe, outcome, subject, standing, expected)
            return
        assert outcome.message is not None
        opinion = judge(outcome.message, probe.qname, probe.point.qtype, expected, is_exact=self._is_exact)
        if expected.passes and opinion.faults and not subject.is_exception:
            opinion = self._but_for_its_answer(opinion, outcome.message)
        self._take_opinion(probe, opinion, subject, standing, expected)
        if outcome.seconds > LATE_S:
            standing.late_s = max(standing.late_s, outcome.seconds)

    def _take_opinion(
        self, probe: Probe, opinion: Opinion, subject: Subject, standing: _Standing, expected: Expectation
    ) -> None:
        for note in opinion.notes:
            self._note(note, subject)
        if opinion.doubt is not None:
            if not expected.passes or subject.is_exception:
                self._add(standing, standing.unknown, probe, opinion.doubt)
            return
        if not opinion.faults:
            standing.right += 1
            return
        standing.wrong.append(probe.point)
        for finding in opinion.faults:
            kept = standing.too_wide if finding.kind is Kind.TOO_WIDE else standing.faults
            self._add(standing, kept, probe, finding)

    def _take_failure(
        self,
        probe: Probe,
        outcome: Outcome[Probe],
        subject: Subject,
        standing: _Standing,
        expected: Expectation,
    ) -> None:
        assert outcome.failure is not None
        target = self._targets[probe.point.listener]
        if outcome.failure is Kind.TRUNCATED and target.transport is Transport.UDP:
            self.truncated.append(probe)
        if outcome.message is not None and outcome.failure is Kind.SERVFAIL and not expected.passes:
            # Final, and no haste: it says so each time.
            text = f"SERVFAIL in place of {expected.words}, each time"
            standing.wrong.append(probe.point)
            self._add(standing, standing.faults, probe, Finding(Kind.RCODE, text))
            return
        finding = Finding(outcome.failure, FAILURES.get(outcome.failure, outcome.failure.value))
        if expected.passes and not subject.is_exception:
            # What stands beside a rule: whether it resolves is not what is to be proved.
            self._note(finding, subject)
            return
        if outcome.failure is Kind.TRUNCATED and target.transport is Transport.UDP:
            standing.fault_count += 1
            standing.truncated[probe] = self._fault(probe, finding)
            return
        self._add(standing, standing.unknown, probe, finding)

    def over_stream(self, probe: Probe) -> None:
        """A question that was truncated is asked again over a stream, where its answer will count."""
        standing = self._standings[probe.subject]
        if standing.truncated.pop(probe, None) is not None:
            standing.fault_count -= 1

    def _but_for_its_answer(self, opinion: Opinion, message: Message) -> Opinion:
        """A name beside a rule may be denied for where it leads: that is the policy, too."""
        for record in message.answer:
            if record.rtype == Qtype.CNAME and self._table.judge_name(record.rdata.lower(), 0.0).is_blocked:
                return FINE
        if self._table.image.interval_starts and message.rcode == 0:
            return Opinion(notes=(Finding(Kind.OTHER, "denied, perhaps for the addresses of its answer"),))
        return opinion

    def _add(self, standing: _Standing, kept: list[Fault], probe: Probe, finding: Finding) -> None:
        standing.fault_count += 1
        if len(kept) < FAULTS_KEPT_MAX:
            kept.append(self._fault(probe, finding))

    def _fault(self, probe: Probe, finding: Finding) -> Fault:
        label = self._targets[probe.point.listener].label
        return Fault(finding.kind, finding.text, question_text(probe), label)

    def _note(self, finding: Finding, subject: Subject) -> None:
        # Without a name or a rule's text: one note is of many names, and some may be confidential.
        key = (finding.kind, finding.gist or finding.text)
        if len(self._note_counts) >= NOTES_MAX and key not in self._note_counts:
            key = (finding.kind, "and more of this kind")
        names = self._note_names.setdefault(key, {})
        self._note_counts[key] += 1
        if not subject.is_confidential and len(names) < EXAMPLES_MAX:
            names[name_to_text(subject.name)] = None

    # What came of it.

    def points_asked(self) -> list[frozenset[Point]]:
        """For each subject at which points it was asked."""
        return [frozenset(standing.points) for standing in self._standings]

    def points_in_question(self, most: int) -> list[Point]:
        """Points that failed for names that were right elsewhere, the most frequent first."""
        found: Counter[Point] = Counter()
        for standing in self._standings:
            if standing.wrong and standing.right:
                found.update(set(standing.wrong))
        return [point for point, _ in found.most_common(most)]

    def notes(self) -> tuple[Note, ...]:
        """What is no finding, the most frequent first."""
        return tuple(
            Note(kind, text, count, tuple(self._note_names[kind, text]))
            for (kind, text), count in self._note_counts.most_common()
        )

    def proof(self, place: int) -> Proof:
        """What is proved of one subject."""
        subject, standing = self._subjects[place], self._standings[place]
        if subject.status is not None:
            return Proof(subject.status, subject.reason)
        count, asked = standing.fault_count, standing.asked
        unknown = [*standing.unknown, *standing.truncated.values()]
        faults = (*standing.faults, *standing.too_wide, *unknown)[:FAULTS_KEPT_MAX]
        if subject.flaw is not None:
            return _not_enforced(subject, asked, count, faults)
        if standing.faults:
            return Proof(Status.UNCOVERED, standing.faults[0].reason, asked, count, faults)
        if standing.too_wide:
            return Proof(Status.OVERBLOCKED, standing.too_wide[0].reason, asked, count, faults)
        if unknown:
            return Proof(Status.UNKNOWN, unknown[0].reason, asked, count, faults)
        if not asked:
            return Proof(Status.UNKNOWN, "no question could be asked")
        if standing.local == asked:
            return Proof(Status.OPEN, "a local name: this server answers it before any rule", asked)
        late = f", but only after {standing.late_s:.1f} s" if standing.late_s else ""
        if subject.is_exception:
            return Proof(Status.OPEN, f"resolves{late}", asked)
        return Proof(Status.COVERED, f"as prescribed{late}", asked)


def _not_enforced(subject: Subject, asked: int, count: int, faults: tuple[Fault, ...]) -> Proof:
    """Something in force that the policy itself lets through."""
    fault = Fault(subject.flaw or Kind.OTHER, subject.reason, name_to_text(subject.name), "")
    return Proof(Status.UNCOVERED, subject.reason, asked, count + 1, (fault, *faults)[:FAULTS_KEPT_MAX])
