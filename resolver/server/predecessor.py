"""The server whose place this one takes: its sockets, its cache, its end.

Knows: what to ask of it and in which order.  Does not know: what the sockets are for, how a server starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Final

from resolver import __version__
from resolver.listeners.inheritance import Inherited, adopted
from resolver.server.handing import (
    HANDING_PROTOCOL,
    MESSAGE_OCTETS_MAX,
    SOCKETS_MAX,
    HandingFailed,
    door_in,
    new_socket,
    peer_of,
    receive,
    send,
)
from resolver.server.refusal import CannotStart
from resolver.server.snapshots import FILE as SNAPSHOT

PATIENCE_S: Final = 5.0
"""How long it may take to say the next word; a busy server takes milliseconds."""

SNAPSHOT_S: Final = 5.0
"""How long it may take to write down its cache; without it ours begins empty."""

END_S: Final = 30.0
"""How long its end is waited for; what must not run twice begins then all the same."""


class TakeoverFailed(Exception):
    """A server is there, and its place cannot be taken; it serves on."""


class Predecessor:
    """One that serves, and waits for our word."""

    def __init__(
        self, sock: socket.socket, pid: int, version: str, sockets: list[Inherited], state_dir: Path
    ) -> None:
        self._sock = sock
        self._snapshot = state_dir / SNAPSHOT
        self._owes_snapshot = False
        """It was asked for one, and has not said yet that it is there."""
        self.pid = pid
        self.version = version
        self.sockets = sockets

    async def write_snapshot(self) -> str:
        """Have it write down its cache; why not, or nothing.

        Raises CannotStart: it waits for us no longer, and serves on.
        """
        try:
            return await asyncio.to_thread(self._write_snapshot)
        except (OSError, HandingFailed) as error:
            # It ends on its own, or hangs: we serve, with or without what it knows.
            return str(error)

    def retire(self) -> None:
        """We serve: let it read no more, and end."""
        # Is it gone by itself, so much the better.
        with contextlib.suppress(OSError):
            send(self._sock, {"serving": True})

    async def ended(self) -> bool:
        """Wait for its end; false: it takes too long.  A snapshot that comes too late goes."""
        # On the loop: a thread that waited could not be called off.
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        self._sock.setblocking(False)
        loop.add_reader(self._sock, self._hear, gone)
        try:
            async with asyncio.timeout(END_S):
                await gone.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._sock)
            if self._owes_snapshot:
                # Perhaps it was put there, and not told of any more.
                await asyncio.to_thread(self._remove_snapshot)
        return True

    def close(self) -> None:
        """Leave it; where `retire` was not called, it serves on."""
        self._sock.close()

    def _hear(self, gone: asyncio.Event) -> None:
        """It says something, or has ended: only the second is its end."""
        try:
            octets = self._sock.recv(MESSAGE_OCTETS_MAX, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            octets = b""
        if not octets:
            gone.set()
        elif self._owes_snapshot:
            # Too late: we have begun without, and the next start would take it for ours.
            self._owes_snapshot = False
            asyncio.get_running_loop().run_in_executor(None, self._remove_snapshot)

    def _remove_snapshot(self) -> None:
        with contextlib.suppress(OSError):
            self._snapshot.unlink()

    def _write_snapshot(self) -> str:
        self._sock.settimeout(SNAPSHOT_S)
        # Who turned us away meanwhile has left word of that.
        with contextlib.suppress(BrokenPipeError):
            send(self._sock, {"want": "snapshot"})
        self._owes_snapshot = True
        words, _ = receive(self._sock)
        self._owes_snapshot = False
        if "refused" in words:
            why = f"the server whose place was to be taken serves on: {words['refused']}"
            raise CannotStart([why], may_pass=True)
        return str(words.get("snapshot", "it says what is not understood"))


def find_predecessor(state_dir: Path) -> Predecessor | None:
    """The server that serves with this `state_dir`; None: nobody does.  It blocks.

    Raises TakeoverFailed.
    """
    sock = new_socket()
    sock.settimeout(PATIENCE_S)
    try:
        try:
            with door_in(state_dir) as path:
                sock.connect(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ECONNREFUSED):
                sock.close()
                return None
            raise
        pid = peer_of(sock)
        send(sock, {"protocol": HANDING_PROTOCOL, "version": __version__})
        version, sockets = _take_sockets(sock)
    except (OSError, HandingFailed) as error:
        sock.close()
        raise TakeoverFailed(f"the server that runs with {state_dir} cannot be taken over: {error}") from None
    return Predecessor(sock, pid, version, sockets, state_dir)


def _take_sockets(sock: socket.socket) -> tuple[str, list[Inherited]]:
    words, _ = receive(sock)
    if "refused" in words:
        raise HandingFailed(str(words["refused"]))
    count = words.get("sockets")
    if (
        words.get("protocol") != HANDING_PROTOCOL
        or not isinstance(count, int)
        or not 0 <= count <= SOCKETS_MAX
    ):
        raise HandingFailed("it says what is not understood")
    taken: list[Inherited] = []
    try:
        while len(taken) < count:
            part, descriptors = receive(sock)
            keys = part.get("keys")
            if not isinstance(keys, list) or len(keys) != len(descriptors) or not keys:
                for descriptor in descriptors:
                    os.close(descriptor)
                raise HandingFailed("it hands over what was not announced")
            found = adopted(zip(map(str, keys), descriptors, strict=True))
            taken += [one._replace(name="") for one in found]
    except BaseException:
        for one in taken:
            one.sock.close()
        raise
    return str(words.get("version", "")), taken
