"""What was asked, for charts: a look at the counts each minute, kept in memory and in a file.

Knows: the event loop, which minute and hour a look belongs to, what is written when.  Does not know: what is
counted (`observe.traffic`), the file's tables (`hits.traffic_file`).
Theory: a look costs the event loop a copy of the counts, and no answer anything.  What lies between two looks
belongs to the minute in which it began, however the clock is set meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from resolver.clock import Clock, TimerHandle
from resolver.hits import traffic_file
from resolver.hits.traffic_file import MINUTES_MAX, Row, Table
from resolver.observe.tally import SECONDS_BOUNDS
from resolver.observe.traffic import HOUR_S, MINUTE_S, SHOWN, Counted, Step, added_to, between, in_steps

LATE_S: Final = 0.01
"""After its minute: a timer that is early would split it in two."""
HOURS_HELD_MAX: Final = 31 * 24 + 1
"""In memory, for a chart of a month; the file has more."""
CLOSE_WAIT_S: Final = 0.5

LENGTHS: Final[Mapping[Table, int]] = {"minute": MINUTE_S, "hour": HOUR_S}

_log = logging.getLogger(__name__)


class Traffic:
    """The steps of one server."""

    def __init__(
        self,
        state_dir: Path | None,
        clock: Clock,
        copy: Callable[[], Counted],
        *,
        wall: Callable[[], float],
    ) -> None:
        """`state_dir`: None: nothing is written.  `copy`: all that is counted so far."""
        self._state_dir = state_dir
        self._clock = clock
        self._copy = copy
        self._wall = wall
        self._steps: dict[Table, dict[int, Step]] = {"minute": {}, "hour": {}}
        self._changed: dict[Table, set[int]] = {"minute": set(), "hour": set()}
        """Beginnings of steps that are not written yet."""
        self._counted = Counted()
        self._looked_at = clock.now()
        self._minute = self._now_minute()
        self._timer: TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self.trouble = ""
        """Why steps are not written; empty: they are, or nobody wants that."""

    def start(self) -> None:
        """Take up what was kept, and begin."""
        self._writing = asyncio.get_running_loop().create_task(self._take_up(), name="traffic")
        self._wait()

    async def close(self) -> None:
        """Write what there is, if that is quickly done."""
        if self._timer is None:
            return
        self._timer.cancel()
        self.look()
        task = self._write()
        if task is not None:
            await asyncio.wait([task], timeout=CLOSE_WAIT_S)

    def look(self) -> None:
        """Note what came since the last look."""
        now, counted = self._clock.now(), self._copy()
        covered_s = max(0.0, now - self._looked_at)
        came = between(self._counted, counted)
        for table, length_s in LENGTHS.items():
            at = self._minute * MINUTE_S // length_s * length_s
            most = MINUTES_MAX if table == "minute" else HOURS_HELD_MAX
            added_to(self._steps[table], Step(at, length_s, covered_s, came), most)
            self._changed[table].add(at)
        self._counted, self._looked_at, self._minute = counted, now, self._now_minute()

    async def steps(self, span: str) -> Sequence[Step]:
        """Those of a chart, oldest first, up to this moment."""
        self.look()
        shown = SHOWN[span]
        first = (self._now_minute() + 1) * MINUTE_S - shown.span_s
        return in_steps((step for at, step in self._steps[shown.table].items() if at >= first), shown.step_s)

    def _now_minute(self) -> int:
        return int(self._wall() // MINUTE_S)

    def _wait(self) -> None:
        delay_s = MINUTE_S - self._wall() % MINUTE_S + LATE_S
        self._timer = self._clock.call_later(delay_s, self._on_minute)

    def _on_minute(self) -> None:
        try:
            self.look()
            self._write()
        except Exception:
            # Charts must not end for good.
            _log.exception("defect in the steps for charts")
        self._wait()

    # The file.

    def _write(self) -> asyncio.Task[None] | None:
        """Begin to write what has changed, unless the last write still goes on: the next one has it."""
        if self._state_dir is None or (self._writing is not None and not self._writing.done()):
            return self._writing
        rows = {
            table: [_row(self._steps[table][at]) for at in sorted(changed) if at in self._steps[table]]
            for table, changed in self._changed.items()
        }
        self._writing = asyncio.get_running_loop().create_task(self._write_rows(rows), name="traffic")
        return self._writing

    async def _write_rows(self, rows: Mapping[Table, Sequence[Row]]) -> None:
        assert self._state_dir is not None
        try:
            for table, some in rows.items():
                if some:
                    await asyncio.to_thread(traffic_file.write, self._state_dir, table, some)
        except OSError as error:
            self._tell(error.strerror or str(error))
            return
        self._tell("")
        for table, some in rows.items():
            latest = max((row.at for row in some), default=0)
            # The latest step goes on, and is written again.
            self._changed[table] -= {row.at for row in some if row.at != latest}

    async def _take_up(self) -> None:
        """Read what a server before this one has written."""
        if self._state_dir is None:
            return
        held: dict[Table, int] = {"minute": MINUTES_MAX, "hour": HOURS_HELD_MAX}
        for table, most in held.items():
            try:
                rows = await asyncio.to_thread(traffic_file.read, self._state_dir, table, most)
            except OSError as error:
                self._tell(error.strerror or str(error))
                return
            for row in rows:
                if (step := _step(row, LENGTHS[table])) is not None:
                    added_to(self._steps[table], step, most)

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            _log.warning("steps for charts are not written", extra={"reason": trouble})
        self.trouble = trouble


def _row(step: Step) -> Row:
    counted = step.counted
    said = {
        "queries": counted.queries,
        "blocked": counted.blocked,
        "cache_hits": counted.cache_hits,
        "times": counted.times,
    }
    return Row(step.at, step.covered_s, json.dumps(said, separators=(",", ":")))


def _step(row: Row, length_s: int) -> Step | None:
    """None: it is not as this program writes them."""
    try:
        said = json.loads(row.said)
        times = {str(source): tuple(map(int, buckets)) for source, buckets in said["times"].items()}
        if any(len(buckets) != len(SECONDS_BOUNDS) + 1 for buckets in times.values()):
            return None
        counted = Counted(int(said["queries"]), int(said["blocked"]), int(said["cache_hits"]), times)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return Step(row.at, length_s, row.covered_s, counted) if row.at % length_s == 0 else None
