"""Query records: what was answered, kept for those who read it later, so that no answer waits for a reader.

Knows: what a record holds, its bounded buffer, the thread that empties all buffers into all sinks.  Does not
know: what a sink makes of records, how answers are made.
Theory: whoever answers notes a record and goes on.  A full buffer loses records, which are counted for each
sink, never answers.  One thread takes what waits, several times a second, and gives it to every sink in
turn; a sink that has no room counts what it could not take.  The native plane's buffers are sources like
Python's own (`native/core/src/records`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from resolver.flow.outcome import Drop, Respond
from resolver.flow.peer import Peer
from resolver.observe.facts import SinkFacts
from resolver.observe.tally import COUNTED_KINDS
from resolver.observe.threads import name_this_thread
from resolver.plane import Records
from resolver.policy.verdict import AUDITED, PASS, PolicyAction, Verdict

WAITING_RECORDS_MAX: Final = 65_536
"""Records of Python's that wait for the reader."""

WAITING_OCTETS_MAX: Final = 16 << 20
"""Octets of their queries, altogether."""

DRAIN_EVERY_S: Final = 0.05
"""How often the buffers are emptied: a line comes this much after its answer, and a native thread's buffer
of 4 MB holds ten times as much as is answered meanwhile."""

RECORDS_PER_TURN_MAX: Final = 32
"""Python's records worked off in one go: half a millisecond, in which nothing else of Python runs."""

PAUSE_S: Final = 0.001
"""Between such turns, for the event loop."""

CLOSE_WAIT_S: Final = 0.25
"""How long a stopping server waits for its last records to reach the sinks."""

DEFECTS_LOGGED_MAX: Final = 20

_PASSTHRU: Final = PolicyAction.PASSTHRU

_log = logging.getLogger(__name__)


def has_hit(verdict: Verdict) -> bool:
    """Whether a rule blocks, or would by a shadow rule: what `hits_of` finds, at a tenth of its cost."""
    shadow = verdict.shadow
    return verdict.action is not _PASSTHRU or (shadow is not None and shadow.rule.kind in COUNTED_KINDS)


def is_confidential(verdict: Verdict) -> bool:
    """Whether a rule spoke of which nobody outside is told: it is counted, and there is no record of it."""
    match, shadow = verdict.match, verdict.shadow
    return (match is not None and match.rule.is_confidential) or (
        shadow is not None and shadow.rule.is_confidential
    )


class Record(NamedTuple):
    """One query and what became of it."""

    at: float
    """When it was answered, monotonic seconds."""
    peer: Peer
    octets: bytes
    """The query, whole."""
    rcode: int | None
    """None: it was dropped."""
    source: str
    """Where the answer came from; of a drop the reason."""
    verdict: Verdict
    tail: bytes | None = None
    """The answer behind its ID; None: it was dropped, or nobody wants answers."""


class RecordBuffer:
    """Records of what Python answers.  Notes come from the event loop's thread, `take` from the reader's."""

    def __init__(
        self,
        *,
        only_blocked: bool,
        has_answers: bool = False,
        now: Callable[[], float] = time.monotonic,
        records_max: int = WAITING_RECORDS_MAX,
        octets_max: int = WAITING_OCTETS_MAX,
    ) -> None:
        """`only_blocked`: note what a rule blocks, or would by a shadow rule, and nothing else.

        `has_answers`: with the answers.
        """
        self._only_blocked = only_blocked
        self._has_answers = has_answers
        self._now = now
        self._records: deque[Record] = deque()
        self._records_max = records_max
        self._octets_max = octets_max
        # Each is written by one thread alone.
        self._octets_noted = self._octets_taken = 0
        self._lost = self._lost_hits = 0

    def note(self, peer: Peer, octets: bytes, outcome: Respond | Drop) -> None:
        """Keep what became of the query `octets`, if that is wanted and there is room; never waits."""
        verdict = outcome.verdict
        if self._only_blocked and (verdict is PASS or not has_hit(verdict)):
            return
        if verdict is not PASS and (verdict is AUDITED or is_confidential(verdict)):
            return
        if type(outcome) is Respond:
            tail = outcome.tail if self._has_answers else None
            record = Record(self._now(), peer, octets, outcome.rcode, outcome.source.value, verdict, tail)
        else:
            assert isinstance(outcome, Drop)
            record = Record(self._now(), peer, octets, None, outcome.reason, verdict)
        size = _octets_in(record)
        if (
            len(self._records) >= self._records_max
            or self._octets_noted - self._octets_taken + size > self._octets_max
        ):
            self._lost += 1
            self._lost_hits += verdict is not PASS and has_hit(verdict)
            return
        self._octets_noted += size
        self._records.append(record)

    def lost(self, *, only_blocked: bool = False) -> int:
        """Records that found no room; `only_blocked`: that a rule blocked, or would by a shadow rule."""
        return self._lost_hits if only_blocked else self._lost

    def take(self) -> list[Record]:
        """The oldest records, a bounded number of them; empty: none wait."""
        records = self._records
        taken = [records.popleft() for _ in range(min(len(records), RECORDS_PER_TURN_MAX))]
        self._octets_taken += sum(map(_octets_in, taken))
        return taken


def _octets_in(record: Record) -> int:
    return len(record.octets) + len(record.tail or b"")


Taken = list[Record] | Records
"""What a source gave at one time: Python's own records, or the native plane's."""


def blocked_of(records: list[Record]) -> list[Record]:
    """Those that a rule blocked, or would by a shadow rule."""
    return [record for record in records if record.verdict is not PASS and has_hit(record.verdict)]


def count_of(taken: Taken, *, only_blocked: bool) -> int:
    """How many records there are; `only_blocked`: that a rule blocked, or would by a shadow rule."""
    if isinstance(taken, list):
        return len(blocked_of(taken)) if only_blocked else len(taken)
    return taken.count(only_blocked=only_blocked)


class Source(Protocol):
    """Where records wait."""

    def lost(self, *, only_blocked: bool) -> int:
        """Records that found no room; `only_blocked`: that a rule blocked, or would by a shadow rule."""

    def take(self) -> Taken:
        """The oldest that wait, a bounded number of them; under `RECORDS_PER_TURN_MAX`: those were all."""


class Sink(Protocol):
    """Who makes something of records."""

    @property
    def name(self) -> str:
        """The metric label."""

    @property
    def only_blocked(self) -> bool:
        """Whether it wants only what a rule blocked, or would by a shadow rule."""

    @property
    def written(self) -> int:
        """Records that reached their end."""

    @property
    def lost(self) -> int:
        """Records that it took, or should have taken, and lost."""

    def write(self, taken: Taken, offset_s: float) -> None:
        """Take records in; never waits.  `offset_s`: wall time less monotonic time."""

    def give_up(self, count: int) -> None:
        """Count so many records as lost, for a defect of this sink or before it."""

    @property
    def trouble(self) -> str:
        """Why its records reach nobody now; empty: they do."""

    def start(self) -> None:
        """Be ready for records."""

    def close(self, wait_s: float) -> None:
        """Pass on what it has, for at most `wait_s`."""


class RecordReader:
    """The thread between sources and sinks."""

    def __init__(
        self,
        sources: Sequence[Source],
        sinks: Sequence[Sink],
        *,
        wall: Callable[[], float],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = sources
        self._sinks = sinks
        self._now = now
        self._wall = wall
        self._closing = threading.Event()
        self._closed_by = float("inf")
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)
        self._defects = 0

    def start(self) -> None:
        """Begin to read."""
        for sink in self._sinks:
            sink.start()
        self._thread.start()

    def close(self, wait_s: float = CLOSE_WAIT_S) -> None:
        """Hand on what waits, for at most `wait_s`, and end.  It must have been started."""
        self._closed_by = time.monotonic() + wait_s
        self._closing.set()
        self._thread.join(wait_s)
        closers = [threading.Thread(target=sink.close, args=(wait_s,), daemon=True) for sink in self._sinks]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join(wait_s)

    def facts(self) -> tuple[SinkFacts, ...]:
        """What each sink was given; a record that found no room in a buffer is lost to all of them."""
        return tuple(
            SinkFacts(sink.name, sink.written, self._lost_before(sink) + sink.lost, sink.trouble)
            for sink in self._sinks
        )

    def _lost_before(self, sink: Sink) -> int:
        return sum(source.lost(only_blocked=sink.only_blocked) for source in self._sources)

    def drain(self) -> None:
        """Hand on all that waits now, a part of each source in turn: a full one keeps no other waiting."""
        sources = self._sources
        while sources:
            # A few were noted meanwhile, and can wait: who answers without a pause must not keep us here.
            sources = [source for source in sources if self._hand_on(source) >= RECORDS_PER_TURN_MAX]
            if time.monotonic() >= self._closed_by:
                return

    def _run(self) -> None:
        name_this_thread("records")
        is_last = False
        while not is_last:
            is_last = self._closing.wait(DRAIN_EVERY_S)
            self.drain()

    def _hand_on(self, source: Source) -> int:
        """Give every sink one part; how many records it had."""
        try:
            taken = source.take()
        except Exception:
            # One source's defect is not the others', and must not end the thread.
            self._show_defect()
            return 0
        count = len(taken)
        if not count:
            return 0
        # Wall time may be set; each part asks anew how far it is from the clock of the answers.
        offset_s = self._wall() - self._now()
        for sink in self._sinks:
            try:
                sink.write(taken, offset_s)
            except Exception:
                # Nor is one sink's the others'.
                sink.give_up(count_of(taken, only_blocked=sink.only_blocked))
                self._show_defect()
        if isinstance(taken, list) and not self._closing.is_set():
            time.sleep(PAUSE_S)
        return count

    def _show_defect(self) -> None:
        self._defects += 1
        if self._defects <= DEFECTS_LOGGED_MAX:
            _log.exception("defect in the query records")
