"""The door for whoever takes this server's place, and what is handed over there.

Knows: when somebody comes, what it asks, when it serves.  Does not know: what a server does when it retires.
One at a time, of the same user.  As long as it has not said that it serves, nothing changes here: it may come
and go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from resolver import __version__
from resolver.listeners.inheritance import each_once
from resolver.server.handing import (
    DESCRIPTORS_AT_ONCE,
    HANDING_PROTOCOL,
    HandingFailed,
    door_in,
    new_socket,
    peer_of,
    receive,
    refuse_other_services,
    send,
)

WAITING_MAX: Final = 4
"""Who waits at the door while somebody is there is told so."""

SILENCE_S_MAX: Final = 60.0
"""For how long one that says nothing keeps another from coming.  Alone it may take longer: with millions of
names a policy does."""

_log = logging.getLogger(__name__)


class Door:
    """Where a successor comes in; open from `open` until `close`."""

    def __init__(
        self,
        state_dir: Path,
        loop: asyncio.AbstractEventLoop,
        *,
        sockets: Callable[[], list[tuple[str, socket.socket]]],
        share: Callable[[bool], None],
        write_snapshot: Callable[[], Awaitable[str]],
        on_serving: Callable[[int], None],
        is_supervised: bool = False,
        ends_with: str = "",
    ) -> None:
        """`sockets`: all that serve now, and what for.  `share`: told whether somebody else has them, too.

        `is_supervised`: a supervisor must take a successor for ours.  `ends_with`: what ends with this
        process, and takes all along that runs beside it; empty: nothing.
        `write_snapshot`: writes the cache down; why not, or nothing.  `on_serving`: called with the process
        that serves from now on.
        """
        self._state_dir = state_dir
        self._loop = loop
        self._sockets = sockets
        self._share = share
        self._write_snapshot = write_snapshot
        self._on_serving = on_serving
        self._is_supervised = is_supervised
        self._ends_with = ends_with
        self._door: socket.socket | None = None
        self._place: tuple[int, int] | None = None
        """Device and inode of our door."""
        self._guest: socket.socket | None = None
        self._heard_at = 0.0
        self._turned_away: dict[socket.socket, str] = {}
        """Who may not come in, and why."""
        self._pid = 0
        self._writing: asyncio.Task[None] | None = None
        self.has_handed_over = False
        """Somebody serves in our place."""

    def open(self) -> None:
        """Let successors come.  Where that cannot be it is logged: then there is only a restart."""
        door = new_socket()
        try:
            with door_in(self._state_dir) as path:
                # One of a server that is gone, or of the one whose place we took.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)  # noqa: PTH108 - by the descriptor of its folder.
                door.bind(path)
                # Nobody is let in before `listen`.
                os.chmod(path, 0o600)  # noqa: PTH101
                self._place = _place_of(path)
            door.setblocking(False)
            door.listen(WAITING_MAX)
        except OSError as error:
            door.close()
            _log.warning(
                "no other process can take this one's place: its door in state_dir cannot be made",
                extra={"reason": str(error)},
            )
            return
        self._door = door
        self._loop.add_reader(door, self._let_in)

    def close(self) -> None:
        """Nobody comes any more, and who is here hears that we are gone."""
        if self._door is not None:
            # The one in its place may be a successor's, also of one that we have not heard of yet.
            with contextlib.suppress(OSError), door_in(self._state_dir) as path:
                if _place_of(path) == self._place:
                    os.unlink(path)  # noqa: PTH108
        for sock in (self._door, self._guest, *self._turned_away):
            if sock is not None:
                self._loop.remove_reader(sock)
                sock.close()
        self._door = self._guest = None
        if self._writing is not None:
            self._writing.cancel()

    def _let_in(self) -> None:
        assert self._door is not None
        try:
            guest, _ = self._door.accept()
        except OSError:
            return
        guest.setblocking(False)
        try:
            pid = peer_of(guest)
        except (OSError, HandingFailed) as error:
            _log.warning("somebody who may not take this server's place is turned away: %s", error)
            guest.close()
            return
        self._end_silence()
        why = self._objection_to(pid)
        if why:
            self._turned_away[guest] = why
            self._loop.add_reader(guest, self._turn_away, guest)
            if len(self._turned_away) > WAITING_MAX:
                self._turn_away(next(iter(self._turned_away)))
            return
        self._guest, self._pid = guest, pid
        self._heard_at = self._loop.time()
        self._loop.add_reader(guest, self._hear)

    def _objection_to(self, pid: int) -> str:
        """Why this process cannot come in now; empty: it can."""
        # The kernel has no number here for a process of another container, which goes on without this one.
        if self._ends_with and pid != 0:
            why = f"{self._ends_with}, and process {pid} with it; start a new container instead"
            _log.warning("somebody who may not take this server's place is turned away: %s", why)
            return why
        if self._is_supervised:
            try:
                refuse_other_services(pid)
            except HandingFailed as error:
                _log.warning("somebody who may not take this server's place is turned away: %s", error)
                return str(error)
        return "" if self._guest is None else f"process {self._pid} is taking over already"

    def _end_silence(self) -> None:
        """Somebody comes: one that hangs is in the way no longer, and is told, for it may only be slow."""
        guest = self._guest
        if guest is None or self.has_handed_over or self._loop.time() < self._heard_at + SILENCE_S_MAX:
            return
        with contextlib.suppress(OSError):
            send(guest, {"refused": "it took too long, and another process came"})
        self._lose(guest, "it took too long, and another came")

    def _turn_away(self, guest: socket.socket) -> None:
        # Heard out first: who is hung up on in the middle of a word is not told why.
        self._loop.remove_reader(guest)
        why = self._turned_away.pop(guest)
        with contextlib.suppress(OSError, HandingFailed):
            for descriptor in receive(guest)[1]:
                os.close(descriptor)
            send(guest, {"refused": why})
        guest.close()

    def _hear(self) -> None:
        guest = self._guest
        assert guest is not None
        self._heard_at = self._loop.time()
        try:
            words, descriptors = receive(guest)
            for descriptor in descriptors:
                os.close(descriptor)
            self._obey(guest, words)
        except BlockingIOError:
            return
        except (OSError, HandingFailed) as error:
            self._lose(guest, str(error))

    def _obey(self, guest: socket.socket, words: dict[str, Any]) -> None:
        if "protocol" in words:
            self._welcome(guest, words)
        elif words.get("want") == "snapshot":
            self._writing = self._loop.create_task(self._give_snapshot(guest), name="snapshot-for-successor")
        elif words.get("serving") is True and not self.has_handed_over:
            self.has_handed_over = True
            _log.info("another process serves from now on", extra={"pid": self._pid})
            self._on_serving(self._pid)
        else:
            raise HandingFailed("it says what is not understood")

    def _welcome(self, guest: socket.socket, words: dict[str, Any]) -> None:
        if words["protocol"] != HANDING_PROTOCOL:
            ours = f"version {__version__} speaks protocol {HANDING_PROTOCOL}"
            send(guest, {"refused": f"{ours}, and the new one {words['protocol']}"})
            raise HandingFailed(f"version {words.get('version')} speaks another protocol")
        _log.info(
            "another process is about to take over",
            extra={"pid": self._pid, "version": str(words.get("version"))},
        )
        sockets = each_once(self._sockets())
        # From now on what is not read here is read there: nobody who waits may be turned away.
        self._share(True)
        send(guest, {"protocol": HANDING_PROTOCOL, "version": __version__, "sockets": len(sockets)})
        for start in range(0, len(sockets), DESCRIPTORS_AT_ONCE):
            part = sockets[start : start + DESCRIPTORS_AT_ONCE]
            send(guest, {"keys": [key for key, _ in part]}, [sock.fileno() for _, sock in part])

    async def _give_snapshot(self, guest: socket.socket) -> None:
        why = await self._write_snapshot()
        try:
            send(guest, {"snapshot": why})
        except OSError as error:
            self._lose(guest, str(error))

    def _lose(self, guest: socket.socket, why: str) -> None:
        """It is gone, or not one of us."""
        if self._guest is not guest:
            return
        self._loop.remove_reader(guest)
        guest.close()
        self._guest = None
        if not self.has_handed_over:
            self._share(False)
            _log.warning(
                "another process was to take over, and did not: this one serves on",
                extra={"pid": self._pid, "reason": why},
            )


def _place_of(path: str) -> tuple[int, int]:
    """Device and inode.  Raises OSError."""
    status = os.lstat(path)
    return status.st_dev, status.st_ino
