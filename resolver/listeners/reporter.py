"""What listeners tell the observers: outcomes counted, queries logged, defects shown.

Knows: tallies and the query log.  Does not know: sockets, what the counts mean.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Protocol

from resolver.observe.tally import Tallies, Tally
from resolver.outcome import Drop, Peer, Respond, Transport

DEFECTS_LOGGED_MAX = 20
"""Defects shown in the log in full; later ones are only counted, so hostile packets cannot fill a disk."""


class QueryLog(Protocol):
    """Takes one line's worth of facts per query; must not block."""

    def write(self, peer: Peer, query_octets: bytes, outcome: Respond | Drop) -> None: ...


class Reporter:
    """Counts and logs for all listeners of one server."""

    def __init__(self, tallies: Tallies, query_log: QueryLog | None = None) -> None:
        self.tallies = tallies
        self.query_log = query_log
        self.drops: Counter[str] = Counter()
        """What was lost beside the outcomes, by reason: datagrams, connections, answers never sent."""
        self._defects = 0

    def count_batch(self, transport: Transport, answers: list[Respond], seconds: float) -> None:
        """Count a batch of answers that all took `seconds`."""
        touched: list[Tally] = []
        for answer in answers:
            tally = answer.tally
            if tally is None:
                tally = answer.tally = self.tallies.of(transport, answer)
            touched.append(tally)
        self.tallies.settle(touched, seconds)

    def count(self, transport: Transport, outcome: Respond | Drop, seconds: float) -> None:
        """Count one outcome that took `seconds`."""
        self.tallies.of(transport, outcome).add(seconds)

    def count_drop(self, reason: str, count: int = 1) -> None:
        """Count something lost that was no outcome of its own."""
        self.drops[reason] += count

    def count_defect(self, log: logging.Logger, where: str, octets: bytes) -> None:
        """Count an exception that should not have been; call inside `except`."""
        self.drops["defect"] += 1
        self._defects += 1
        if self._defects <= DEFECTS_LOGGED_MAX:
            log.exception("defect in %s, query dropped: %s", where, octets[:300].hex())
