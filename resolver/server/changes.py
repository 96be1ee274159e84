"""Whatever the API changes of a running server and its blocklist.

Knows: which part of the server does what, the child process that changes the blocklist, how many may wait.
Does not know: HTTP, what an edit is (`resolver.changing`).
Theory: what changes the blocklist takes seconds of CPU where lists are large, so a child does it, one at a
time; the publisher then sees another file, as after any edit.  Every change is logged with who asked for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from resolver.api.refusal import Kind, Refusal
from resolver.api.tokens import Caller, Role
from resolver.blocklist.entries import asked_name
from resolver.cache import AnyCache, NativeCache
from resolver.cache.flushing import flush_steps
from resolver.changing import refusal as changing_refusal
from resolver.changing.pausing import explained, pause_filtering, resume_filtering
from resolver.changing.refusal import Refused
from resolver.children import Ended, Share, run_child
from resolver.clock import boot_moment
from resolver.config.settings import Settings
from resolver.fetching.keeper import ListKeeper
from resolver.problems import show
from resolver.publishing.publisher import Publisher
from resolver.server.audits import Audits

PROGRAM: Final = "resolver.cli.change_child"
TIMEOUT_S: Final = 120.0
OUTPUT_OCTETS_MAX: Final = 16 << 20
WAITING_MAX: Final = 8
"""Who waits for a change; one more is told to come again."""
HEEDED_S: Final = 10.0
"""How long an answer waits until a pause is in force; a reload under way may take longer."""

KINDS: Final = {
    changing_refusal.Kind.BAD: Kind.INVALID,
    changing_refusal.Kind.MISSING: Kind.NOT_FOUND,
    changing_refusal.Kind.FORBIDDEN: Kind.ROLE,
    changing_refusal.Kind.CONFLICT: Kind.CONFLICT,
    changing_refusal.Kind.UNWRITABLE: Kind.CONFLICT,
    changing_refusal.Kind.REFUSED: Kind.INVALID,
    changing_refusal.Kind.FULL: Kind.CONFLICT,
}

_log = logging.getLogger("resolver.changes")

Run = Callable[[bytes], Awaitable[Ended]]


class Changes:
    """See `resolver.api.changing.Changing`."""

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        keeper: ListKeeper,
        audits: Audits,
        cache: AnyCache,
        *,
        wall: Callable[[], float],
        run: Run | None = None,
    ) -> None:
        """`wall`: Unix seconds as the clock says them.  `run`: instead of a child process."""
        self._settings = settings
        self._publisher = publisher
        self._keeper = keeper
        self._audits = audits
        self._cache = cache
        self._wall = wall
        self._run = run or _run
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._pausing: set[asyncio.Task[None]] = set()

    # The blocklist.

    async def change(self, word: str, caller: Caller, **asked: Any) -> dict[str, Any]:
        """See `Changing`."""
        if self._waiting >= WAITING_MAX:
            raise Refusal(Kind.BUSY, f"{WAITING_MAX} changes wait already")
        job = {
            **asked,
            "do": word,
            "blocklist": str(self._settings.blocklist),
            "state_dir": str(self._settings.state_dir),
            "two_person": self._settings.http.changes == "two-person",
            "who": caller.name,
            "may_approve": caller.role >= Role.APPROVE,
        }
        self._waiting += 1
        try:
            async with self._turn:
                done = await self._child(job)
        finally:
            self._waiting -= 1
        if word not in ("standing", "proposals") and not asked.get("dry_run"):
            told = {"who": caller.name, "what": word, "state": str(done.get("state", ""))}
            _log.warning("a change by the API", extra=told)
            self._publisher.wake()
        if word == "approve" and done.get("kind") == "pause":
            # Until it is heeded, trouble is that of a pause before it.
            if await self._of_pause(lambda: None):
                self._require_pause()
        return done

    async def _child(self, job: dict[str, Any]) -> dict[str, Any]:
        try:
            ended = await self._run(json.dumps(job).encode())
        except TimeoutError:
            raise Refusal(Kind.BUSY, f"it took over {TIMEOUT_S:g} s") from None
        except OSError as error:
            raise Refusal(Kind.BUSY, f"no process can be started: {error.strerror or error}") from None
        try:
            told: dict[str, Any] = await asyncio.to_thread(json.loads, ended.output)
            refused = told.get("refused")
        except (ValueError, AttributeError):
            words = {"what": job["do"], "code": ended.code, "words": ended.last_words()}
            _log.error("a change failed", extra=words)
            raise Refusal(Kind.DEFECT, "the log has it", remedy="Please report it.") from None
        if refused:
            kind = KINDS[changing_refusal.Kind(refused["kind"])]
            raise Refusal(kind, refused["detail"], remedy=refused["remedy"], **refused["more"])
        done: dict[str, Any] = told["done"]
        return done

    # Filtering as a whole.

    async def pause(
        self, caller: Caller, for_s: float, reason: str, *, including_orders: bool
    ) -> dict[str, Any]:
        """See `Changing`."""
        if self._settings.http.changes == "two-person":
            asked = {"for_s": for_s, "reason": reason, "including_orders": including_orders}
            done = await self.change("pause", caller, **asked)
            return {**self.paused(), "proposal": done["proposal"]}

        def ask() -> None:
            pause_filtering(
                self._settings.state_dir,
                caller.name,
                for_s,
                reason,
                including_orders=including_orders,
                wall=self._wall(),
                boot=boot_moment(),
            )

        soon = not await self._of_pause(ask)
        if not soon:
            self._require_pause()
        return {**self.paused(), "soon": soon}

    async def resume(self, caller: Caller, reason: str) -> dict[str, Any]:
        """See `Changing`."""

        def ask() -> None:
            state_dir = self._settings.state_dir
            resume_filtering(state_dir, caller.name, reason, wall=self._wall(), boot=boot_moment())

        soon = not await self._of_pause(ask)
        return {**self.paused(), "soon": soon}

    async def _of_pause(self, ask: Callable[[], None]) -> bool:
        """Ask, and have it heeded; whether it is by now: else it is when the reload under way ends."""

        async def act() -> None:
            await asyncio.to_thread(ask)
            await self._publisher.heed_pause()

        # A task of its own: a client that closes its connection cancels the request, and not what it asked.
        task = asyncio.create_task(act(), name="pause-asked")
        self._pausing.add(task)
        task.add_done_callback(self._pausing.discard)
        try:
            await asyncio.wait_for(asyncio.shield(task), HEEDED_S)
        except Refused as refused:
            raise refusal_of(refused) from None
        except TimeoutError:
            # Not refused: what is refused never begins.
            return False
        return True

    def _require_pause(self) -> None:
        """Raises Refusal where the pause that was asked for a moment ago is refused, and so for good."""
        if remark := self._publisher.pausing.trouble:
            raise Refusal(Kind.CONFLICT, remark, remedy="It does not begin later either; ask for it anew.")

    def paused(self) -> dict[str, Any]:
        """See `Changing`."""
        paused = self._publisher.pausing.paused()
        note = explained(paused)
        return {
            "paused": note is not None,
            "until": None if note is None else note.until,
            "who": None if note is None else note.who,
            "reason": None if note is None else note.reason,
            "including_orders": note is not None and note.including_orders,
            "approved_by": paused.pause.approved_by or None if paused is not None else None,
            "proposal": None,
            "soon": False,
        }

    # The rest.

    async def flush(self, caller: Caller, name: str, *, subtree: bool) -> int:
        """See `Changing`."""
        try:
            wire = asked_name(name)
        except ValueError as error:
            raise Refusal(Kind.INVALID, f"name: {error}") from None
        flushed = await flush_cache(self._cache, wire, subtree=subtree)
        # What memos have is given under the policy's generation alone.
        self._publisher.judge_anew()
        told = {"who": caller.name, "qname": name, "subtree": subtree, "answers": flushed}
        _log.warning("the cache forgets a name", extra=told)
        return flushed

    def reload(self, caller: Caller) -> None:
        """See `Changing`."""
        _log.warning("a reload by the API", extra={"who": caller.name})
        self._publisher.reload()

    def update_list(self, caller: Caller, name: str) -> None:
        """See `Changing`."""
        if not self._keeper.fetch_now(name):
            detail = f"{show(name)} is no list that is downloaded and in force"
            raise Refusal(Kind.NOT_FOUND, detail, remedy="See GET lists.")
        _log.warning("a list is fetched by the API", extra={"who": caller.name, "list": name})

    def audit(self, caller: Caller) -> None:
        """See `Changing`."""
        if not self._audits.begin_now():
            detail = "this server does not audit itself"
            raise Refusal(Kind.CONFLICT, detail, remedy="Set `audit: {every_h: 24}`.")
        _log.warning("an audit by the API", extra={"who": caller.name})


def refusal_of(refused: Refused) -> Refusal:
    """The same for the API."""
    return Refusal(KINDS[refused.kind], refused.detail, remedy=refused.remedy, **refused.more)


async def flush_cache(cache: AnyCache, name: bytes, *, subtree: bool) -> int:
    """Forget a name (wire form, lower case) in whichever cache; queries are answered meanwhile."""
    if isinstance(cache, NativeCache):
        return await asyncio.to_thread(cache.core.flush, name, subtree=subtree)
    flushed = 0
    for count in flush_steps(cache, name, subtree=subtree):
        flushed += count
        await asyncio.sleep(0)
    return flushed


async def _run(job: bytes) -> Ended:
    return await run_child(
        PROGRAM, timeout_s=TIMEOUT_S, job=job, output_octets_max=OUTPUT_OCTETS_MAX, share=Share.NICE
    )
