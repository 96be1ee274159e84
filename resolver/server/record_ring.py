"""The last query records, for whoever looks at them with a token: a sink that ends in memory.

Knows: which records the operator turned on, how many are kept and at what cost.  Does not know: HTTP, how a
record looks (`sinks.look`).
Theory: it shows what the operator has somebody else given already, with as much of clients as that one gets.
So many records a second are made ready at the most, of either engine: a flood of them must not take the time
of answers.  What is left out is counted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from resolver.config.settings import Settings
from resolver.observe.records import Taken, count_of
from resolver.sinks.ipcrypt import read_key
from resolver.sinks.look import Look
from resolver.sinks.making import Maker, shown_clients

KEPT_MAX: Final = 1_000
"""Records."""
KEPT_OCTETS_MAX: Final = 2 << 20
PER_SECOND_MAX: Final = 500
"""Made ready; others are left out."""


class RecordRing:
    """See `records.Sink`."""

    name = "api"
    lost = 0
    trouble = ""

    def __init__(self, look: Look, now: Callable[[], float] = time.monotonic) -> None:
        self.only_blocked = look.only_blocked
        self.written = 0
        self.left_out = 0
        """Records that were one too many in their second."""
        self._look = look
        self._now = now
        self._lines: deque[bytes] = deque()
        self._octets = 0
        self._lock = threading.Lock()
        self._second = 0
        self._left = PER_SECOND_MAX

    def newest(self, count: int) -> list[bytes]:
        """The last so many, the newest first; any thread may ask."""
        with self._lock:
            return [line for _, line in zip(range(count), reversed(self._lines), strict=False)]

    def write(self, taken: Taken, offset_s: float) -> None:
        """See `records.Sink`."""
        second = int(self._now())
        if second != self._second:
            self._second, self._left = second, PER_SECOND_MAX
        here = count_of(taken, only_blocked=self.only_blocked)
        count = 0
        if self._left and here:
            octets, count = self._look.written(taken, offset_s, records_max=self._left)
            self._left -= count
            self.written += count
            self._keep(octets.splitlines())
        self.left_out += here - count

    def give_up(self, count: int) -> None:
        """See `records.Sink`: nobody counts on these."""

    def start(self) -> None:
        """See `records.Sink`."""

    def close(self, wait_s: float) -> None:
        """See `records.Sink`."""

    def _keep(self, lines: list[bytes]) -> None:
        with self._lock:
            self._lines.extend(lines)
            self._octets += sum(map(len, lines))
            while len(self._lines) > KEPT_MAX or self._octets > KEPT_OCTETS_MAX:
                self._octets -= len(self._lines.popleft())


def make_ring(settings: Settings, maker: Maker) -> RecordRing | None:
    """The ring of a server; None: the operator wants no records.  Raises `BadKey`."""
    wanted = next((sink for sink in settings.query_records if sink.queries != "none"), None)
    source = settings.log if wanted is None else wanted
    if source.queries == "none" or settings.listen.http is None:
        return None
    key = None if source.key_file is None else read_key(source.key_file)
    only_blocked = source.queries == "blocked"
    native = maker.native_look("jsonl", source.clients, key, only_blocked=only_blocked)
    return RecordRing(Look("jsonl", shown_clients(source.clients, key), only_blocked, b"", native))
