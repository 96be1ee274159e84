"""What listeners tell the observers: outcomes counted, queries recorded, defects shown.

Knows: tallies and query records.  Does not know: sockets, what the counts mean.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Protocol

from resolver.flow.outcome import Drop, Respond
from resolver.flow.peer import Peer, Transport
from resolver.observe.tally import Tallies, Tally
from resolver.policy.verdict import AUDITED, PASS, Verdict

DEFECTS_LOGGED_MAX = 20
"""Defects shown in the log in full; later ones are only counted, so hostile packets cannot fill a disk."""

KNOWN_MAX = 4096
"""Kinds of answers whose tally is known without working out its labels."""


class Recorder(Protocol):
    """Keeps a record of a query for whoever reads it later; must not block."""

    def note(self, peer: Peer, octets: bytes, outcome: Respond | Drop) -> None: ...


class Reporter:
    """Counts and records for all listeners of one server."""

    def __init__(self, tallies: Tallies, records: Recorder | None = None) -> None:
        """`records` None: nothing is recorded."""
        self.tallies = tallies
        self.records = records
        self.drops: Counter[str] = Counter()
        """What was lost beside the outcomes, by reason: datagrams, connections, answers never sent."""
        self._defects = 0
        self._known: dict[tuple[object, ...], tuple[Tally, Verdict]] = {}

    def count_batch(self, transport: Transport, answers: list[Respond], seconds: float) -> None:
        """Count a batch of answers that all took `seconds`."""
        for answer in answers:
            if answer.tally is None:
                answer.tally = self._tally_of(transport, answer)
                if answer.prepared is not None:
                    answer.prepared.tally = answer.tally
        self.tallies.settle([answer.tally for answer in answers], seconds)

    def count_late(
        self, transport: Transport, answers: list[Respond], asked_at: list[float], now: float
    ) -> None:
        """Count answers that leave together `now`, each to a question of its own time."""
        for answer, since in zip(answers, asked_at, strict=True):
            self._tally_of(transport, answer).add(now - since)

    def settle(
        self, transport: Transport, peer: Peer, octets: bytes, outcome: Respond | Drop, seconds: float
    ) -> None:
        """Count and record one outcome, of the query `octets`, that took `seconds`."""
        if type(outcome) is Respond:
            self._tally_of(transport, outcome).add(seconds)
        else:
            self.tallies.of(transport, outcome).add(seconds)
        if self.records is not None:
            self.records.note(peer, octets, outcome)

    def _tally_of(self, transport: Transport, answer: Respond) -> Tally:
        """The answer's tally, found by what decides its labels: rules by identity, which is cheap to hash."""
        verdict = answer.verdict
        key: tuple[object, ...]
        if verdict is PASS:
            key = (transport, answer.source, answer.rcode, answer.qtype)
        elif verdict is AUDITED:
            return self.tallies.audited
        else:
            match, shadow = verdict.match, verdict.shadow
            key = (
                transport,
                answer.source,
                answer.rcode,
                answer.qtype,
                None if match is None else id(match.rule),
                None if shadow is None else id(shadow.rule),
                verdict.action,
            )
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            # The verdict keeps its rules alive, so their ids stay theirs.
            known = self._known[key] = (self.tallies.of(transport, answer), verdict)
        return known[0]

    def count_drop(self, reason: str, count: int = 1) -> None:
        """Count something lost that was no outcome of its own."""
        self.drops[reason] += count

    def count_defect(self, log: logging.Logger, where: str, octets: bytes) -> None:
        """Count an exception that should not have been; call inside `except`.

        The query itself is shown at level debug only: the log names no question otherwise.
        """
        self.drops["defect"] += 1
        self._defects += 1
        if self._defects <= DEFECTS_LOGGED_MAX:
            log.exception("defect in %s, query dropped", where)
            log.debug("the query was %s", octets[:300].hex())
