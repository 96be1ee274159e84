"""Monotonic seconds and timers, behind one small protocol.

Knows: how to ask for the time and to be called back later; whether a time service sets wall time; how long
this machine is up.
Does not know: what wall time it is (ARCHITECTURE.md lists who reads it), sockets, DNS.
Everything else in the package takes `now` as an argument, so a play on a fake clock
runs the same code as a server.
"""

from __future__ import annotations

import asyncio
import ctypes
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol


class TimerHandle(Protocol):
    """A pending callback; `cancel()` is idempotent and allowed after it ran."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Source of monotonic time and of timers."""

    def now(self) -> float:
        """Monotonic seconds; comparable only with other values of the same clock."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> TimerHandle:
        """Run `callback` once, `delay_s` seconds from now, unless cancelled before."""
        ...


class LoopClock:
    """The clock of a running server: `time.monotonic` and the event loop's timers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    now = staticmethod(time.monotonic)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> TimerHandle:
        """See `Clock.call_later`."""
        return self._loop.call_later(delay_s, callback)


_TIMEX_OCTETS = 256
"""struct timex has 208 on 64-bit Linux; `status` stands behind `modes` and four longs (adjtimex(2))."""
_TIMEX_STATUS_AT = 40
_STA_UNSYNC = 0x0040


def time_service_sets_clock() -> bool:
    """Whether the kernel says that something like NTP sets the wall clock; False also where nobody knows."""
    timex = ctypes.create_string_buffer(_TIMEX_OCTETS)  # No mode is set, so it is only read.
    try:
        if ctypes.CDLL(None).adjtimex(timex) < 0:
            return False
    except (OSError, AttributeError):
        return False
    return not struct.unpack_from("i", timex, _TIMEX_STATUS_AT)[0] & _STA_UNSYNC


class BootMoment(NamedTuple):
    """A moment by the clock that nobody can set, which runs on while the machine sleeps."""

    boot: str
    """Which start of the machine it counts from; empty: not known."""
    seconds: float
    """Since then."""


_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_moment() -> BootMoment:
    """Now, comparable between processes as long as the machine is not restarted (CLOCK_BOOTTIME)."""
    try:
        boot = _BOOT_ID.read_text("ascii").strip()
    except (OSError, ValueError):
        boot = ""
    return BootMoment(boot, time.clock_gettime(time.CLOCK_BOOTTIME))
