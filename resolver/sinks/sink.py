"""One sink: records come in from the thread that reads them, and leave by a thread of the sink's own.

Knows: what waits, what is lost, when to try again.  Does not know: formats, files, sockets.
Theory: whoever gives records never waits.  Octets wait in a bounded queue; when it is full, records are lost
and counted.  A way that breaks is tried again, after a pause that grows; what was not passed on waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from resolver.observe.records import Taken, count_of
from resolver.observe.threads import name_this_thread
from resolver.sinks.look import Look
from resolver.sinks.outlet import Broken, Outlet, reason_of

WAITING_OCTETS_MAX: Final = 8 << 20
"""Octets that wait in one sink, but for the last records put: some 30,000 records."""

PAUSE_S_MIN: Final = 0.25
PAUSE_S_MAX: Final = 30.0
"""Between two attempts at a way that is broken: first, and at most."""

TURN_S: Final = 1.0
"""How often a way is looked after when nothing happens."""

PATIENCE_S: Final = 5.0
"""A receiver that takes nothing for so long is in trouble."""

WAIT_S: Final = 0.25
"""How long a full way is waited for before the end of the server is looked for."""

HOLDS_S: Final = 5.0
"""A way that was open for so long is tried again soon when it breaks."""

TRACEBACKS_MAX: Final = 20
"""Of one sink; each defect after them is a pause and lost records only."""

DEFECT: Final = "a defect; see the log"
NOT_OPEN_YET: Final = "not open yet"

_log = logging.getLogger(__name__)


class RecordSink:
    """See `records.Sink`."""

    def __init__(
        self,
        name: str,
        look: Look,
        outlet: Outlet,
        *,
        octets_max: int = WAITING_OCTETS_MAX,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.only_blocked = look.only_blocked
        self._look = look
        self._outlet = outlet
        self._octets_max = octets_max
        self._now = now
        self._waiting: deque[tuple[bytes, int]] = deque()
        # Each is written by one thread alone.
        self._octets_put = self._octets_done = 0
        self._given_up = self._lost = 0
        self.written = 0
        """Records that were passed on."""
        self.trouble = NOT_OPEN_YET
        """Why records reach nobody now; empty: they do."""
        self._wake = threading.Event()
        self._end_by = float("inf")
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        self._first = _Progress()
        self._outlet_lost = 0
        self._remark = ""
        self._defects = 0
        self._pause_s = PAUSE_S_MIN
        self._opened_at = float("inf")
        """While it is not open: never."""
        self._taken_at = self._try_at = float("-inf")

    @property
    def lost(self) -> int:
        """Records that did not fit, or went nowhere."""
        return self._given_up + self._lost + self._outlet.lost

    def write(self, taken: Taken, offset_s: float) -> None:
        """Take records in; never waits."""
        # Nothing is made for a reader that has stopped reading.
        if self._octets_put - self._octets_done >= self._octets_max:
            self.give_up(count_of(taken, only_blocked=self.only_blocked))
            return
        octets, count = self._look.written(taken, offset_s)
        if count:
            self._octets_put += len(octets)
            self._waiting.append((octets, count))
            self._wake.set()

    def give_up(self, count: int) -> None:
        """Count so many records as lost."""
        self._given_up += count

    def start(self) -> None:
        """Begin to pass records on."""
        self._thread.start()

    def close(self, wait_s: float) -> None:
        """Pass on what waits, for at most `wait_s`, and end."""
        self._end_by = time.monotonic() + wait_s
        self._wake.set()
        self._thread.join(wait_s)

    # What its own thread does.

    def _run(self) -> None:
        name_this_thread(f"sink {self.name}")
        is_last = False
        while not is_last:
            is_last = self._is_closing
            try:
                self.turn()
            except Exception:
                # It must not end the thread, nor come again with the same octets.
                self._defects += 1
                if self._defects <= TRACEBACKS_MAX:
                    _log.exception("defect in the sink %s", self.name)
                is_in_octets = self._outlet.is_open  # Else they have not been offered.
                self._outlet.close(0.0)
                if self._waiting and is_in_octets:
                    self._pop(self._waiting[0][1])
                self._break(DEFECT)
            if not is_last:
                self._wake.wait(TURN_S)
                self._wake.clear()
        self._outlet.close(max(0.0, self._end_by - time.monotonic()))
        left = sum(count for _, count in self._waiting) - self._first.records
        if left:
            self._lost += left
            _log.warning("query records were not passed on", extra={"sink": self.name, "records": left})

    def turn(self) -> None:
        """Pass on what waits now, as far as it goes."""
        if not self._open():
            return
        try:
            self._outlet.look_after()
            while self._waiting:
                if not self._pass_on() and not self._has_patience():
                    return
        except Broken as broken:
            if self._waiting:
                self._settle(broken.passed)
            self._break(broken.reason)

    @property
    def _is_closing(self) -> bool:
        return self._end_by != float("inf")

    def _open(self) -> bool:
        """Whether the way is open, after an attempt if it is time for one."""
        if self._outlet.is_open:
            return True
        if self._now() < self._try_at:
            return False
        try:
            self._outlet.open()
        except OSError as error:
            self._break(reason_of(error))
            return False
        if self.trouble != NOT_OPEN_YET:
            _log.info("query records have their way again", extra={"sink": self.name})
        self.trouble = ""
        self._opened_at = self._taken_at = self._now()
        return True

    def _break(self, reason: str) -> None:
        """The way is broken: say so once, try again later, later each time until it holds for a while."""
        now = self._now()
        if not self.trouble or self.trouble == NOT_OPEN_YET:
            _log.warning(
                "query records do not reach their reader", extra={"sink": self.name, "reason": reason}
            )
        self.trouble = reason
        if now - self._opened_at > HOLDS_S:
            self._pause_s = PAUSE_S_MIN
        self._try_at = now + self._pause_s
        self._pause_s = min(self._pause_s * 2, PAUSE_S_MAX)
        self._opened_at = float("inf")

    def _pass_on(self) -> bool:
        """Offer what waits longest; whether any of it went."""
        octets, count = self._waiting[0]
        done = self._outlet.put(memoryview(octets)[self._first.octets :])
        if not done:
            return False
        self._taken_at = self._now()
        self._heed_remark()
        self._first.octets += done
        if self._first.octets == len(octets):
            self._count(count)
            self._pop(0)
        return True

    def _heed_remark(self) -> None:
        """Octets go: what is wrong all the same is said once."""
        remark = self._outlet.remark
        if remark and remark != self._remark:
            _log.warning("query records go on in trouble", extra={"sink": self.name, "reason": remark})
        self.trouble = self._remark = remark

    def _has_patience(self) -> bool:
        """Wait until the way takes more, a while; False: the server ends, and there is no time left."""
        if self._now() - self._taken_at > PATIENCE_S:
            self.trouble = "its reader takes nothing"
        left_s = self._end_by - time.monotonic()
        if left_s <= 0:
            return False
        self._outlet.wait(min(left_s, WAIT_S))
        return True

    def _settle(self, passed: int) -> None:
        """The way broke when so many octets more had passed: a record that is cut is lost."""
        octets, count = self._waiting[0]
        until = self._first.octets + passed
        whole = last = cut = 0
        for end in self._look.ends(memoryview(octets)):
            if end > until:
                cut = end
                break
            whole, last = whole + 1, end
        self._count(whole)
        self._first.octets = last
        if last < until:
            self._first.octets = cut
            self._first.records += 1
            self._lost += 1
        if self._first.records == count:
            self._pop(0)

    def _count(self, passed: int) -> None:
        """So many records of the first octets have passed by now, but for those that the outlet lost."""
        lost = self._outlet.lost
        self.written += passed - self._first.records - (lost - self._outlet_lost)
        self._outlet_lost = lost
        self._first.records = passed

    def _pop(self, lost: int) -> None:
        octets, _ = self._waiting.popleft()
        self._octets_done += len(octets)
        self._lost += max(0, lost - self._first.records)
        self._first = _Progress()


@dataclass(slots=True)
class _Progress:
    """How far the first octets have come."""

    octets: int = 0
    records: int = 0
    """That are counted, as passed or as lost."""
