"""The history of hits of one server: looks at the counts twice a minute, and has a thread write them.

Knows: the tallies, the policy in force and its orders, the event loop, the thread.  Does not know: the file,
how hits are added up.
Theory: a look costs the event loop a copy of the tallies, as a scrape does, and no answer anything.  Looks
are taken just after each half minute and whenever another policy judges, so what is added between two was
counted in one minute, under one policy.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from resolver.clock import Clock, TimerHandle
from resolver.hits.figures import HitKey, Hits
from resolver.hits.file import Failure
from resolver.hits.ledger import Look, Orders
from resolver.hits.recorder import HitRecorder
from resolver.hits.writing import Limits
from resolver.observe.facts import HitHistoryFacts
from resolver.observe.tally import Tallies, TallySnapshot
from resolver.observe.threads import name_this_thread
from resolver.plane import TallyFields
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import CONFIDENTIAL, Mode, PolicyRule
from resolver.server.native import NativeEngine

LOOK_EVERY_S: Final = 30.0
"""What a kill takes is younger than this and one write: at most a minute."""
LATE_S: Final = 0.005
"""How long after its half minute a look is taken: a timer that is early would split the minute in two."""
LOOKS_WAITING_MAX: Final = 32
"""Looks that wait for a disk that hangs, up to 1 MB each; then the oldest goes: the next has its hits."""
DEFECTS_LOGGED_MAX: Final = 20
CLOSE_WAIT_S: Final = 0.5
"""How long a stopping server waits for its last write."""

FAILURES: Final = tuple(failure for failure in Failure if failure is not Failure.MISSING)
"""Why a write fails: one makes a file that is missing."""

_log = logging.getLogger(__name__)


class Copied(NamedTuple):
    """The counts of both planes at one moment, not added up yet."""

    python: TallySnapshot
    native: Sequence[TallyFields] = ()


_Waiting = tuple[float, float, Copied, Orders]
"""Unix seconds, monotonic seconds, the counts, the orders in force until then."""


class HitHistory:
    """Takes looks on the event loop, and writes them in a thread of its own."""

    def __init__(
        self,
        state_dir: Path,
        days: int,
        clock: Clock,
        copy: Callable[[], Copied],
        *,
        wall: Callable[[], float],
    ) -> None:
        """`copy`: gives all that is counted so far.  `wall`: Unix seconds, as far as they can be believed."""
        self._clock = clock
        self._copy = copy
        self._wall = wall
        self._orders: Orders = {}
        self._looks: deque[_Waiting] = deque(maxlen=LOOKS_WAITING_MAX)
        self._wake = threading.Event()
        self._is_closing = False
        self._timer: TimerHandle | None = None
        self._defects = 0
        self.thread = threading.Thread(target=self._run, name="hits", daemon=True)
        self.recorder = HitRecorder(state_dir, Limits(hours=days * 24), at=wall(), now=clock.now())

    def start(self) -> None:
        """Begin to look and to write."""
        self.thread.start()
        self._await_look()

    def judge_by(self, table: PolicyTable) -> None:
        """Another policy judges from now on: what was counted so far is of the one before."""
        self._look()
        self._orders = orders_in_force(table, self._wall())

    async def close(self) -> None:
        """Write what is counted, if that is quickly done."""
        if self._timer is not None:
            self._timer.cancel()
        if self.thread.is_alive():
            self._look()
            self._is_closing = True
            self._wake.set()
            await asyncio.to_thread(self.thread.join, CLOSE_WAIT_S)

    def facts(self) -> HitHistoryFacts:
        """How it is written."""
        recorder = self.recorder
        return HitHistoryFacts(
            waiting=recorder.waiting,
            last_success=recorder.last_success,
            failures={failure.value: recorder.failures[failure] for failure in FAILURES},
            lost=recorder.lost,
            damaged=recorder.damaged,
            dropped_hours=recorder.dropped_hours,
        )

    def remark(self) -> str:
        """What a person should know of it; empty: nothing."""
        return self.recorder.remark()

    def _await_look(self) -> None:
        delay_s = LOOK_EVERY_S - self._wall() % LOOK_EVERY_S + LATE_S
        self._timer = self._clock.call_later(delay_s, self._look_and_write)

    def _look_and_write(self) -> None:
        self._look()
        self._wake.set()
        self._await_look()

    def _look(self) -> None:
        self._looks.append((self._wall(), self._clock.now(), self._copy(), self._orders))

    def _run(self) -> None:
        name_this_thread("hits")
        self._without_end(self.recorder.read_latest)
        # At once: whose folder it is, and whether the file is fit, is known from the start.
        self._write()
        is_last = False
        while not is_last:
            self._wake.wait()
            self._wake.clear()
            is_last = self._is_closing
            while self._looks:
                self._without_end(partial(self._take, self._looks.popleft()))
            self._write()
        self.recorder.close()

    def _take(self, waiting: _Waiting) -> None:
        at, now, copied, orders = waiting
        self.recorder.take(Look(at, now, hits_of(copied), orders))

    def _write(self) -> None:
        self._without_end(lambda: self.recorder.write(self._wall()))

    def _without_end(self, step: Callable[[], None]) -> None:
        """A defect must not end the thread: the next look has the hits of one that was not taken in."""
        try:
            step()
        except Exception:
            self._defects += 1
            if self._defects <= DEFECTS_LOGGED_MAX:
                _log.exception("defect in the history of hits")


NO_HIT_HISTORY: Final = HitHistoryFacts(failures=dict.fromkeys(map(str, FAILURES), 0))
"""Where the settings want none."""


def copy_of(tallies: Tallies, native: NativeEngine | None) -> Copied:
    """A copy of all counts; call it on the event loop."""
    return Copied(tallies.snapshot(), () if native is None else native.tally_rows())


def hits_of(copied: Copied) -> Hits:
    """Hits of exchanges and lists, by what was done."""
    counts: Counter[HitKey] = Counter()
    for _, _, _, _, _, *both, count, _ in copied.native:
        for fields in both:
            if fields is not None:
                counts[HitKey(*fields)] += count
    for key, count, _ in copied.python.counts:
        for hit in (key.enforced, key.shadow):
            if hit is not None:
                counts[HitKey(*hit)] += count
    return counts


def orders_in_force(table: PolicyTable, wall: float) -> Orders:
    """Which orders each exchange and list is met for at `wall`, by its label."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for source in (*table.exchanges, *table.lists, *(origin.rule for origin in table.image.classes)):
        rule = source.at(wall)
        orders = found.setdefault((rule.kind, rule.label), {})
        orders.update(dict.fromkeys(_orders_of(rule, table, wall)))
    return {source: tuple(orders) for source, orders in found.items()}


def _orders_of(rule: PolicyRule, table: PolicyTable, wall: float) -> list[str]:
    if rule.is_confidential:
        return [CONFIDENTIAL]
    in_force = [order for order in rule.orders if _is_in_force(table, order, wall)]
    # Where one enforces, one that is only tried is no reason.
    modes = {order: table.orders[order].get("mode") for order in in_force}
    reasons = [order for order in in_force if modes[order] in (None, rule.mode.value)] or in_force
    return [CONFIDENTIAL if table.orders[order].get("confidential") else order for order in reasons]


def _is_in_force(table: PolicyTable, order: str, wall: float) -> bool:
    words = table.orders.get(order)
    if words is None or words.get("mode") == Mode.DISABLED.value:
        return False
    starts_at, ends_at = words.get("from"), words.get("until")
    return (starts_at is None or starts_at <= wall) and (ends_at is None or wall < ends_at)
