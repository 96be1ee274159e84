"""When the answers of clients that waited long may leave.

Knows: clients, how long each answer was waited for.  Does not know: what is answered, sockets.
Theory: a forger can gather thousands of queries of his victim that wait for one slow name, and have them all
answered at one moment (DNSBomb, 2024).  So what was waited for long leaves at a rate: a client gets
`PULSE_MAX` such answers at once, and then `LATE_ANSWERS_PER_S`.  What comes quickly was not gathered, and is
not held up, however much a client asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from resolver.clock import Clock
from resolver.flow.clients import client_key

PACED_AFTER_S = 0.1
"""An answer that was waited for so long is paced."""

PULSE_MAX = 50
"""Paced answers that leave at once for one client."""

LATE_ANSWERS_PER_S = 5_000
"""Those that leave in a second, beyond that: at most some 50 Mbit/s."""

HELD_S_MAX = 0.5
"""One that would be held up for longer does not leave."""

PACES_MAX = 4_096
"""Clients remembered; those that may have a whole pulse again are forgotten when there are more."""

TICK_S = 0.01
"""Between the moments at which those leave that are held up."""


class Pacing:
    """The pace of each client."""

    def __init__(self) -> None:
        self._lines: dict[bytes, float] = {}
        """When a client may have the next one, if it comes alone."""

    def leaves_at(self, address: bytes, waited_s: float, now: float) -> float | None:
        """When an answer for this client may leave that was `waited_s` for: `now` or later; None: never."""
        if waited_s < PACED_AFTER_S:
            return now
        lines = self._lines
        if len(lines) >= PACES_MAX:
            self._lines = lines = {key: next_at for key, next_at in lines.items() if next_at > now}
        key = client_key(address)
        apart_s = 1.0 / LATE_ANSWERS_PER_S
        leaves_at = max(lines.get(key, -math.inf), now - PULSE_MAX * apart_s) + apart_s
        if leaves_at > now + HELD_S_MAX:
            return None
        lines[key] = leaves_at
        return max(leaves_at, now)


class HeldAnswers:
    """Answers that leave later, lest those of one crowd leave in one pulse."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.now
        self._call_later = clock.call_later
        self._pacing = Pacing()
        self._by_tick: dict[int, list[Callable[[], None]]] = {}
        self._is_over = False

    def put(self, address: bytes, asked_at: float, send: Callable[[], None]) -> bool:
        """Call `send` when the answer of this client may leave, at once or later; False: it may not."""
        now = self._now()
        leaves_at = self._pacing.leaves_at(address, now - asked_at, now)
        if leaves_at is None and not self._is_over:
            return False
        if leaves_at is None or leaves_at <= now or self._is_over:
            send()
            return True
        tick = math.ceil(leaves_at / TICK_S)
        held = self._by_tick.get(tick)
        if held is None:
            held = self._by_tick[tick] = []
            self._call_later(tick * TICK_S - now, lambda: self._send_all(tick))
        held.append(send)
        return True

    def _send_all(self, tick: int) -> None:
        for send in self._by_tick.pop(tick, ()):
            send()

    def send_everything(self) -> None:
        """Nothing is held from now on: the server stops."""
        self._is_over = True
        for tick in sorted(self._by_tick):
            self._send_all(tick)
