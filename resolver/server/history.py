"""Has each applied generation recorded in the history, by a child process, one after the other.

Knows: the child, how often recording failed, what it says of orders.  Does not know: what a history looks
like, policy.
Whatever happens here is counted and logged, and nothing else: serving does not wait for a record.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from resolver.children import run_child_when_idle
from resolver.publishing.compiled import InputFile
from resolver.publishing.recorder import Applied, applied_to_json
from resolver.publishing.timetable import Turn

RECORD_TIMEOUT_S: Final = 120.0
"""In idle time, then with its share: two blocklists of a million names take half a minute of CPU time."""
WAITING_MAX: Final = 128
"""Records that wait for their turn: all dates that a start may tell, and some.  Beyond it the oldest is given
up, and counted."""

_log = logging.getLogger(__name__)

Orders = list[dict[str, Any]]
"""How orders stand, as `order_dates` has them."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of recording one generation."""

    number: int
    orders: Orders | None = None
    """None: it could not be found out."""


Record = Callable[[Path, Applied], Awaitable[Recorded]]
"""Records one, unless it is the latest already.  Raises RecordFailed."""


class RecordFailed(Exception):
    """A generation could not be recorded; the message says why."""

    def __init__(self, reason: str, orders: Orders | None = None) -> None:
        super().__init__(reason)
        self.orders = orders
        """How orders stand, where that is known all the same."""


class HistoryRecorder:
    """Takes notes on the event loop, and passes them on one at a time."""

    def __init__(
        self,
        state_dir: Path,
        *,
        wall: Callable[[], float],
        pause: Callable[[], dict[str, Any]] = dict,
        record: Record | None = None,
    ) -> None:
        """`wall`: Unix seconds.  `pause`: how it stands with pauses, for the record."""
        self.failures = 0
        self.generation = 0
        """Number of the policy in force in the history; 0: it is not recorded, or not yet."""
        self.orders: Orders = []
        """How the orders of the policy in force stand, as far as is known yet."""
        self._state_dir = state_dir
        self._wall = wall
        self._pause = pause
        self._record = record or record_in_child
        self._waiting: deque[Applied] = deque()
        self._task: asyncio.Task[None] | None = None

    def note(self, inputs: list[InputFile], counts: dict[str, Any]) -> None:
        """A policy made of `inputs` is in force as of now; returns at once."""
        self._wait_for(Applied(self._wall(), inputs, counts, pause=self._pause()))

    def note_turn(self, inputs: list[InputFile], counts: dict[str, Any], turn: Turn) -> None:
        """In the policy made of `inputs` something began or ended; returns at once."""
        self._wait_for(Applied(self._wall(), inputs, counts, turn.at, turn.leapt_from, self._pause()))

    def _wait_for(self, applied: Applied) -> None:
        self.generation = 0
        if len(self._waiting) == WAITING_MAX:
            self._waiting.popleft()
            self._fail("too many changes at once")
        self._waiting.append(applied)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="history-recorder")

    async def settle(self) -> None:
        """Wait until everything noted so far is recorded, or has failed."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def close(self) -> None:
        """Stop; what is not recorded yet will be at the next start."""
        if self._task is not None:
            self._task.cancel()
            await self.settle()

    async def _work(self) -> None:
        while self._waiting:
            applied = self._waiting.popleft()
            try:
                recorded = await self._record(self._state_dir, applied)
                self._take(recorded.orders)
                if not self._waiting:
                    self.generation = recorded.number
                    _log.info("the policy in force is generation %d of the history", recorded.number)
            except RecordFailed as error:
                self._take(error.orders)
                self._fail(str(error))

    def _take(self, orders: Orders | None) -> None:
        if orders is not None and not self._waiting:
            self.orders = orders

    def _fail(self, reason: str) -> None:
        self.failures += 1
        _log.error("generation not recorded in the history", extra={"reason": reason})


async def record_in_child(state_dir: Path, applied: Applied) -> Recorded:
    """Record in a process of its own, in time that nobody else wants.  Raises RecordFailed."""
    try:
        ended = await run_child_when_idle(
            "resolver.publishing.recorder",
            str(state_dir),
            timeout_s=RECORD_TIMEOUT_S,
            job=applied_to_json(applied),
        )
    except TimeoutError:
        raise RecordFailed(f"the recorder took over {RECORD_TIMEOUT_S:g} s twice") from None
    except OSError as error:
        raise RecordFailed(f"cannot start the recorder: {error}") from None
    try:
        result = json.loads(ended.output)
        if "error" in result:
            raise RecordFailed(str(result["error"]), result.get("orders"))
        return Recorded(int(result["number"]), result.get("orders"))
    except (ValueError, KeyError, TypeError):
        raise RecordFailed(f"code {ended.code}: {ended.last_words()!r}") from None
