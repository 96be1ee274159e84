"""The block page as the server sees it: its sockets, its process, its file, its counts.

Knows: `block_page` of the settings, the child that serves, the child that makes the file.
Does not know: what the page says, HTTP.
Theory: the page answers strangers, so it is a process of its own (decision 0019).  The sockets are bound
here, and stay open when that process ends: who comes meanwhile waits in the kernel's queue.  Its file is made
by another child after each change of the policy, opened here and handed over open, so the page needs no right
to any file. Whatever happens to the page is counted, logged and told on `/readyz`; DNS never waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

from resolver.block_page.conversation import STATUSES
from resolver.block_page.limits import REASONS
from resolver.children import Running, run_child, start_child
from resolver.clock import Clock
from resolver.config.settings import BlockPageSection
from resolver.config.settingvalues import Endpoint
from resolver.languages import LANGUAGES
from resolver.listeners.address import SocketAddress, bind_tcp, is_here
from resolver.listeners.inheritance import Inheritance
from resolver.observe.facts import BlockPageFacts
from resolver.policy.policy import Policy
from resolver.server.endpoints import LOOK_EVERY_S, MAY_PASS, CannotListen, show_absent, why_not

FILE: Final = "block-page"
"""Its file in `state_dir`."""
BACKLOG: Final = 128
"""Visitors that wait in the kernel; more are dropped, and their browsers try again."""
FIRST_PAUSE_S: Final = 0.5
PAUSE_S_MAX: Final = 30.0
"""Between the end of the page's process and its next start; doubled each time."""
STEADY_S: Final = 60.0
"""A process that lived so long is taken for a good one: the next pause is the first one again."""
SILENCE_S_MAX: Final = 60.0
"""It tells its counts every second; one that is silent for so long is killed.  It runs when the core is idle,
so a saturated machine lets it wait."""
STOP_S: Final = 0.5
WRITE_TIMEOUT_S: Final = 600.0
RETRY_S: Final = 60.0
"""After its file could not be made."""
MESSAGE_OCTETS_MAX: Final = 65_536
COUNT_MAX: Final = 1 << 53
"""Of what its process says that it has counted: a number of Prometheus holds it exactly."""

_log = logging.getLogger(__name__)

MakeFile = Callable[[Path, Path, float], Awaitable[str]]
"""Makes the file (of an image, at a path, true for a time); why not, or nothing."""


class BlockPage:
    """The page of one server; with no address in the settings it does nothing."""

    def __init__(
        self,
        section: BlockPageSection,
        state_dir: Path,
        clock: Clock,
        *,
        make_file: MakeFile | None = None,
        inheritance: Inheritance | None = None,
    ) -> None:
        """`inheritance`: sockets that are there already."""
        self.restarts = 0
        self.is_up = False
        """Whether its process has told its counts, and lives."""
        self.pid = 0
        self.page_number = 0
        """Which page's file it shows; 0: none."""
        self._section = section
        self._file = state_dir / FILE
        self._clock = clock
        self._make_file = make_file or make_file_in_child
        self._taken: dict[Endpoint, str] = {}
        self._sockets: dict[Endpoint, socket.socket] = {}
        self._inheritance = inheritance or Inheritance()
        self.on_late: Callable[[], None] = lambda: None
        """Called when an address is served that could not be at the start."""
        self._tasks: list[asyncio.Task[None]] = []
        self._wanted: Policy | None = None
        self._is_wanted = asyncio.Event()
        self._stale = ""
        """Why the file is not of the policy in force; empty: it is, or soon will be."""
        self._open_file = -1
        self._file_number = 0
        self._control: socket.socket | None = None
        self._child: Running | None = None
        self._heard_at = 0.0
        self._is_new = False
        """The process has to begin again, for it is to have another socket."""
        self._counts = _Counts()

    def start(self) -> None:
        """Bind, and serve from now on.  Raises CannotListen for what will not pass."""
        self._bind(self._section.listen)
        if self._section.listen:
            loop = asyncio.get_running_loop()
            self._tasks = [
                loop.create_task(self._keep_up(), name="block-page"),
                loop.create_task(self._keep_file(), name="block-page-file"),
            ]
            if self._taken:
                self._tasks.append(loop.create_task(self._look(), name="block-page-addresses"))

    def publish(self, policy: Policy) -> None:
        """This policy is in force; returns at once."""
        if self._section.listen:
            self._wanted = policy
            self._is_wanted.set()

    async def stop(self) -> None:
        """End its process, close everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sock in self._sockets.values():
            sock.close()
        if self._open_file >= 0:
            os.close(self._open_file)
            self._open_file = -1

    @property
    def sockets(self) -> list[tuple[str, socket.socket]]:
        """Its sockets, and what they are for."""
        return [("block_page", sock) for sock in self._sockets.values()]

    @property
    def addresses(self) -> list[SocketAddress]:
        """Where it listens."""
        return [SocketAddress(*sock.getsockname()[:2]) for sock in self._sockets.values()]

    @property
    def remark(self) -> str:
        """What a person should know; empty: nothing."""
        absent = [show_absent(endpoint) for endpoint in self._sockets if not is_here(endpoint.address)]
        down = [] if self.is_up or not self._section.listen else ["its process does not answer"]
        return "; ".join([*self._taken.values(), *absent, *down, *filter(None, [self._stale])])

    def facts(self) -> BlockPageFacts | None:
        """Its state and its counts; None: it is off."""
        if not self._section.listen:
            return None
        requests, refused = self._counts.totals()
        return BlockPageFacts(
            is_up=self.is_up,
            is_stale=bool(self._stale),
            restarts=self.restarts,
            requests={str(status): requests[str(status)] for status in STATUSES},
            refused={reason: refused[reason] for reason in REASONS},
        )

    # Its sockets.

    def _bind(self, endpoints: tuple[Endpoint, ...]) -> None:
        reasons = []
        for endpoint in endpoints:
            try:
                address = SocketAddress(endpoint.address, endpoint.port)
                inherited = self._inheritance.take_tcp("block_page", address)
                bound = inherited[0] if inherited else bind_tcp(address, backlog=BACKLOG)
            except OSError as error:
                why = why_not(f"block_page.listen: {endpoint}", error, endpoint.port)
                if error.errno not in MAY_PASS and not self._tasks:
                    reasons.append(why)
                elif self._taken.get(endpoint) != why:
                    self._taken[endpoint] = why
                    _log.warning("%s; it is tried again", why)
            else:
                self._sockets[endpoint] = bound
                if self._taken.pop(endpoint, None) is not None:
                    _log.warning("listening now, after all", extra={"address": str(endpoint)})
        if reasons:
            for sock in self._sockets.values():
                sock.close()
            self._sockets.clear()
            raise CannotListen(reasons)

    async def _look(self) -> None:
        while self._taken:
            await asyncio.sleep(LOOK_EVERY_S)
            before = len(self._sockets)
            self._bind(tuple(self._taken))
            if len(self._sockets) > before:
                self._is_new = True
                self.on_late()
                if self._control is not None:
                    self._control.shutdown(socket.SHUT_WR)

    # Its process.

    async def _keep_up(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            while not self._sockets:  # noqa: ASYNC110 - a taken port is looked at every second, too.
                await asyncio.sleep(LOOK_EVERY_S)
            began = self._clock.now()
            why = await self._live()
            if self._is_new:
                self._is_new = False
                continue
            self.restarts += 1
            pause_s = (
                FIRST_PAUSE_S if self._clock.now() - began >= STEADY_S else min(2 * pause_s, PAUSE_S_MAX)
            )
            _log.error("the block page's process ended; it is started again", extra={"reason": why})
            await asyncio.sleep(pause_s)

    async def _live(self) -> str:
        """One life of its process; why it ended."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        child = None
        try:
            with theirs:
                child = await self._start_child(theirs)
            self.pid = child.pid
            self._heard_at = self._clock.now()
            self._control = ours
            loop.add_reader(ours, self._on_report, ours)
            self._send(json.dumps(self._first_words()).encode())
            self._hand_over_file()
            return await self._watch(child)
        except OSError as error:
            return f"cannot be started: {error}"
        finally:
            loop.remove_reader(ours)
            self._control = None
            self.is_up = False
            self.pid = self.page_number = 0
            self._counts.bank()
            ours.close()
            if child is not None:
                await child.stop(STOP_S)

    async def _start_child(self, theirs: socket.socket) -> Running:
        listening = [sock.fileno() for sock in self._sockets.values()]
        return await start_child(
            "resolver.block_page.program",
            "--control",
            str(theirs.fileno()),
            "--listen",
            *map(str, listening),
            files=(theirs.fileno(), *listening),
        )

    async def _watch(self, child: Running) -> str:
        """Wait for its end, or for its silence."""
        ended = asyncio.ensure_future(child.ended())
        try:
            while True:
                await asyncio.wait({ended}, timeout=LOOK_EVERY_S)
                if ended.done():
                    end = ended.result()
                    return f"code {end.code}: {end.last_words()!r}"
                if self._clock.now() - self._heard_at > SILENCE_S_MAX:
                    return f"silent for {SILENCE_S_MAX:g} s"
        finally:
            ended.cancel()

    def _first_words(self) -> dict[str, Any]:
        section = self._section
        languages = list(LANGUAGES) if section.languages == "auto" else list(section.languages)
        operator = {
            "name": section.operator or "",
            "contact": section.contact or "",
            "url": section.url or "",
        }
        return {"languages": languages, "operator": operator}

    def _on_report(self, ours: socket.socket) -> None:
        octets = b""
        try:
            octets = ours.recv(MESSAGE_OCTETS_MAX)
            told = json.loads(octets) if octets else {}
            self._counts.note(told)
            self.page_number = int(told["page"])
        except BlockingIOError:
            return
        except Exception:
            # It ends, or says what it should not (who took it over may say anything): the watch sees either.
            if octets:
                _log.warning("the process of the block page said what could not be read")
            asyncio.get_running_loop().remove_reader(ours)
            return
        self._heard_at = self._clock.now()
        if not self.is_up:
            self.is_up = True
            _log.info("the block page is served", extra={"addresses": len(self._sockets)})

    def _send(self, octets: bytes, files: list[int] | None = None) -> None:
        # Gone, or so far behind that it will be killed: either way the next process gets it.
        with contextlib.suppress(OSError):
            if self._control is not None:
                socket.send_fds(self._control, [octets], files or [])

    # Its file.

    async def _keep_file(self) -> None:
        while True:
            await self._is_wanted.wait()
            self._is_wanted.clear()
            policy = self._wanted
            assert policy is not None
            why = await self._make_file(policy.image.path, self._file, policy.made_at[0])
            why = why or self._open()
            if not why:
                self._stale = ""
                self._hand_over_file()
            elif not self._is_wanted.is_set():
                self._stale = f"its text is of an older policy: {why}"
                _log.error("the block page's file cannot be made; it is tried again", extra={"reason": why})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        await self._is_wanted.wait()
                self._is_wanted.set()

    def _open(self) -> str:
        try:
            descriptor = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            return str(error)
        if self._open_file >= 0:
            os.close(self._open_file)
        self._open_file = descriptor
        self._file_number += 1
        return ""

    def _hand_over_file(self) -> None:
        if self._open_file >= 0:
            self._send(str(self._file_number).encode(), [self._open_file])


class _Counts:
    """What all its processes have counted: those that ended, and the one that lives."""

    def __init__(self) -> None:
        self._banked: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._living: tuple[Counter[str], Counter[str]] = (Counter(), Counter())

    def note(self, told: dict[str, Any]) -> None:
        """What the living one says.  Raises KeyError, TypeError, ValueError."""
        self._living = (_counts_of(told["requests"], STATUSES), _counts_of(told["refused"], REASONS))

    def bank(self) -> None:
        """It has ended."""
        for total, living in zip(self._banked, self._living, strict=True):
            total.update(living)
        self._living = (Counter(), Counter())

    def totals(self) -> tuple[Counter[str], Counter[str]]:
        """Requests by status, and what was refused by reason."""
        requests, refused = (total + living for total, living in zip(self._banked, self._living, strict=True))
        return requests, refused


def _counts_of(told: dict[str, Any], known: Iterable[object]) -> Counter[str]:
    """Counts under the labels that there are, each a number that a counter can have."""
    counts = Counter({str(key): int(told.get(str(key), 0)) for key in known})
    if any(not 0 <= count <= COUNT_MAX for count in counts.values()):
        raise ValueError("no counts")
    return counts


async def make_file_in_child(image: Path, file: Path, wall: float) -> str:
    """Make the file in a process of its own, at nice 10: it computes a second, or ten for a million names."""
    try:
        ended = await run_child(
            "resolver.block_page.writing",
            str(image),
            str(file),
            "--at",
            repr(wall),
            timeout_s=WRITE_TIMEOUT_S,
        )
    except TimeoutError:
        return f"it took over {WRITE_TIMEOUT_S:g} s"
    except OSError as error:
        return f"cannot start: {error}"
    return "" if ended.code == 0 else f"code {ended.code}: {ended.last_words()!r}"
