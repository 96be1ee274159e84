"""How one server's time begins where another's ends: what is taken from it, what is left to the next.

Knows: in which order a server that serves and one that comes change places; what systemd is told of sockets.
Does not know: how a server starts and stops, the words between two servers (`handing`), sockets' options.
Theory: two processes may have the same sockets for a while, and each query is read by one of them.  So the
new one first does all that may fail (settings, policy, certificates), then reads, and only then tells the
old one to stop; the old one answers what it has read, and ends.  Nobody waits, and nothing is lost in
between.  What must not run twice in one `state_dir` (the history of hits, sinks, audits) begins when the
old one has ended.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

from resolver.listeners.inheritance import Inheritance, Inherited, each_once, name_of
from resolver.server.predecessor import Predecessor
from resolver.server.successor import Door
from resolver.supervision import Supervisor

TELLINGS_MAX: Final = 15
"""How often, each time for `HEARD_S_MAX`, a supervisor that hangs is told before it is left to itself."""

_log = logging.getLogger(__name__)


class HasSockets(Protocol):
    """Who serves from some."""

    @property
    def sockets(self) -> list[tuple[str, socket.socket]]:
        """Those that serve now, and what for."""


class SharesSockets(HasSockets, Protocol):
    """Who must know whether somebody else has them, too."""

    def share(self, *, is_shared: bool) -> None:
        """Turn nobody away who waits to be accepted, or do, at the end."""


class Arrival:
    """What a server that starts finds: sockets, the server before it, who supervises it."""

    def __init__(
        self,
        *,
        handed: list[Inherited] | None = None,
        predecessor: Predecessor | None = None,
        supervisor: Supervisor | None = None,
        ends_with: str = "",
    ) -> None:
        """`handed`: what a supervisor kept for us; what a predecessor has is newer and goes first.

        `ends_with`: what ends with this process, and takes a successor along; empty: nothing.
        """
        self.ends_with = ends_with
        self.predecessor = predecessor
        self.supervisor = supervisor or Supervisor({})
        first = [] if predecessor is None else predecessor.sockets
        self.inheritance = Inheritance([*first, *(handed or [])])
        self.was_handed = bool(handed)


class Changeover:
    """Both ends of one server's time."""

    def __init__(self, arrival: Arrival, state_dir: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._owners: list[HasSockets] = []
        self._sharing: list[SharesSockets] = []
        self.arrival = arrival
        self.inheritance = arrival.inheritance
        self.predecessor = arrival.predecessor
        self._supervisor = arrival.supervisor
        self._state_dir = state_dir
        self._loop = loop
        self._door: Door | None = None
        self._are_bound = False
        """The addresses that were there at the start are served."""
        self._moving_in: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self.on_retired: Callable[[], None] = lambda: None
        """Called when another process serves in our place: it is time to stop."""

    @property
    def has_shared_sockets(self) -> bool:
        """Whether others have our sockets, too: a predecessor, or a supervisor that keeps them."""
        return self.predecessor is not None or self.arrival.was_handed or self._supervisor.is_there

    @property
    def is_retired(self) -> bool:
        """Whether another process serves in our place."""
        return self._door is not None and self._door.has_handed_over

    async def fetch_snapshot(self) -> None:
        """Have a predecessor write down its cache."""
        if self.predecessor is not None:
            why = await self.predecessor.write_snapshot()
            if why:
                _log.warning("the cache of the process that is taken over is not to be had: %s", why)

    def serve_from(self, endpoints: SharesSockets, *others: HasSockets) -> None:
        """Whose sockets are handed on."""
        self._owners = [endpoints, *others]
        self._sharing = [endpoints]
        self._share(False)

    def sockets_are_bound(self) -> None:
        """All of the settings' addresses are served or tried: what is left over is of no use."""
        for name in self.inheritance.let_go():
            self._supervisor.forget(name)
        self._are_bound = True
        self.keep()

    def keep(self) -> None:
        """Have a supervisor keep the sockets for the next of us: at a start, and when another is served."""
        if not self._are_bound:
            return
        if not self._supervisor.is_there:
            return
        named: dict[str, list[int]] = {}
        for key, sock in each_once(self._sockets()):
            named.setdefault(name_of(key, sock), []).append(sock.fileno())
        for name, descriptors in named.items():
            self._supervisor.keep(name, descriptors)

    def take_over(self, move_in: Callable[[], Awaitable[None]]) -> None:
        """We serve: a predecessor may end.  `move_in` starts what must not run beside it."""
        if self.predecessor is None:
            return
        _log.info(
            "taking over",
            extra={"pid": self.predecessor.pid, "version": self.predecessor.version},
        )
        self.predecessor.retire()
        self._moving_in = self._loop.create_task(self._move_in(self.predecessor, move_in), name="moving-in")

    def open_door(self, write_snapshot: Callable[[], Awaitable[str]]) -> None:
        """Let successors come; `write_snapshot` writes the cache down."""
        self._door = Door(
            self._state_dir,
            self._loop,
            sockets=self._sockets,
            share=self._share,
            write_snapshot=write_snapshot,
            on_serving=self._retire,
            is_supervised=self._supervisor.is_there,
            ends_with=self.arrival.ends_with,
        )
        self._door.open()

    async def close(self) -> None:
        """The last thing that a server does: a successor hears by it that we have ended."""
        if self._moving_in is not None:
            self._moving_in.cancel()
            await asyncio.gather(self._moving_in, return_exceptions=True)
        if self.predecessor is not None:
            self.predecessor.close()
        if self._telling is not None:
            await self._telling
        if self._door is not None:
            self._door.close()

    async def _move_in(self, predecessor: Predecessor, move_in: Callable[[], Awaitable[None]]) -> None:
        if not await predecessor.ended():
            _log.warning("the process that was taken over does not end", extra={"pid": predecessor.pid})
        predecessor.close()
        # One after the other: what cannot start must not keep the others from starting.
        try:
            await move_in()
        except Exception:
            _log.exception("defect while taking over")

    def _sockets(self) -> list[tuple[str, socket.socket]]:
        return [one for owner in self._owners for one in owner.sockets]

    def _share(self, is_shared: bool) -> None:
        for owner in self._sharing:
            owner.share(is_shared=is_shared or self.has_shared_sockets)

    def _retire(self, pid: int) -> None:
        # Our end waits for it to be heard (`close`); the queries need not.
        self._telling = self._loop.create_task(self._tell_who_serves(pid), name="telling-who-serves")
        self.on_retired()

    async def _tell_who_serves(self, pid: int) -> None:
        """A supervisor that has not heard it takes our end for the service's, and ends who serves."""
        for _ in range(TELLINGS_MAX):
            if await asyncio.to_thread(self._supervisor.main_is, pid):
                return
            _log.warning(
                "the supervisor does not hear that another process serves: this one waits with its end",
                extra={"pid": pid},
            )
