"""Tells a supervisor how the server is: that it starts, serves, reads its files again, lives, ends.

Knows: when each is told, how often.  Does not know: how it is told (`supervision`).
Theory: whoever watches wants to know of the whole: that the event loop turns is shown by its telling
anything, and that every thread of the native plane turns is looked at before it does.  One look without a
sign of life is no harm, for it looks several times in the watchdog's interval; after the whole interval the
supervisor ends us.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from resolver.clock import Clock, TimerHandle
from resolver.supervision import EXTENSION_S, Supervisor

BEATS: Final = 3
"""Signs of life in the watchdog's interval; sd_watchdog_enabled(3) asks for two at least."""

STARTING_EVERY_S: Final = EXTENSION_S / 3

RELOAD_POLL_S: Final = 0.05
RELOAD_S_MAX: Final = 900.0
"""How long a compilation is waited for; it may take longer, and then nobody is told."""


class Watched(Protocol):
    """What a server shows."""

    @property
    def reloads(self) -> int:
        """How many have ended, well or not."""

    def reload(self) -> None:
        """Read the blocklist again soon."""

    def are_threads_alive(self) -> bool:
        """Whether all that answers has done something since the last call."""


class Supervised:
    """One server under a supervisor; where there is none, it does nothing but reload."""

    def __init__(self, server: Watched, supervisor: Supervisor, clock: Clock) -> None:
        self._server = server
        self._supervisor = supervisor
        self._clock = clock
        self._status = ""
        self._beat: TimerHandle | None = None
        self._reloading: asyncio.Task[None] | None = None

    async def starting(self, start: asyncio.Future[None]) -> None:
        """Ask for more time until the server has started: a first policy of millions of names takes long."""
        while not start.done():
            self._supervisor.starting("reading the policy")
            await asyncio.wait({start}, timeout=STARTING_EVERY_S)

    def ready(self, status: str) -> None:
        """It serves."""
        self._status = status
        self._supervisor.ready(status)
        if self._supervisor.watchdog_s:
            self._watch()

    def reload(self) -> None:
        """Have it read the blocklist again, and tell when it has."""
        before = self._server.reloads
        self._server.reload()
        if self._supervisor.is_there and (self._reloading is None or self._reloading.done()):
            self._supervisor.reloading()
            self._reloading = asyncio.get_running_loop().create_task(self._await_reload(before))

    def stop(self, *, is_told: bool = True) -> None:
        """It ends.  Not `is_told`: the service goes on, in another process."""
        if self._beat is not None:
            self._beat.cancel()
        if self._reloading is not None:
            self._reloading.cancel()
        if is_told:
            self._supervisor.stopping()

    def _watch(self) -> None:
        if self._server.are_threads_alive():
            self._supervisor.alive()
        self._beat = self._clock.call_later(self._supervisor.watchdog_s / BEATS, self._watch)

    async def _await_reload(self, before: int) -> None:
        deadline = self._clock.now() + RELOAD_S_MAX
        # Looked at rather than signalled: it is nobody else's business.
        while self._server.reloads == before and self._clock.now() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(RELOAD_POLL_S)
        self._supervisor.ready(self._status)
