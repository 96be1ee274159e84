"""Has a child process read what the API tells of the policy, its history, reports.

Knows: when what was read is too old, how many may wait.  Does not know: what is read (`cli.api_child`), HTTP.
Theory: one child at a time, with a small share of the CPU; whoever asks meanwhile waits, up to a few.  What
is read of the policy is kept while that policy is in force, and read again beside what is told once it is a
minute old: hits and audits go on.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from resolver.api.refusal import Kind, Refusal
from resolver.children import Ended, run_child

TIMEOUT_S: Final = 60.0
OUTPUT_OCTETS_MAX: Final = 64 << 20
WAITING_MAX: Final = 8
"""Who waits for a reading; one more is told to come again."""
FRESH_S: Final = 60.0
PROGRAM: Final = "resolver.cli.api_child"

_log = logging.getLogger("resolver.api")

Run = Callable[[bytes], Awaitable[Ended]]


class Reader:
    """See `desk.Reads`."""

    def __init__(
        self,
        blocklist: Path,
        state_dir: Path,
        *,
        generation: Callable[[], int],
        wall: Callable[[], float],
        now: Callable[[], float],
        run: Run | None = None,
    ) -> None:
        """`generation`: of the policy in force; 0: there is none yet.  `run`: instead of a child process."""
        self._where = {"blocklist": str(blocklist), "state_dir": str(state_dir)}
        self._generation = generation
        self._wall = wall
        self._now = now
        self._run = run or _run
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._policy: dict[str, Any] | None = None
        self._read_at = 0.0
        self._read_of = 0
        self._reading: asyncio.Task[dict[str, Any]] | None = None

    async def close(self) -> None:
        """End; a child under way is killed."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def policy(self) -> dict[str, Any]:
        """See `desk.Reads`."""
        generation = self._generation()
        if not generation:
            raise Refusal(Kind.NOT_READY, "the server is still starting: there is no policy yet")
        known = self._policy
        is_current = known is not None and self._read_of == generation
        if is_current and self._now() - self._read_at < FRESH_S:
            assert known is not None
            return known
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_policy(generation), name="api-policy")
            # Nobody may wait for it, and then nobody asks how it ended.
            self._reading.add_done_callback(_heard)
        if is_current and known is not None:
            return known
        return await asyncio.shield(self._reading)

    async def read(self, what: str, **asked: Any) -> dict[str, Any]:
        """See `desk.Reads`."""
        if self._waiting >= WAITING_MAX:
            raise Refusal(Kind.BUSY, f"{WAITING_MAX} wait already for something that has to be read")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._read(what, asked)
        finally:
            self._waiting -= 1

    async def _read_policy(self, generation: int) -> dict[str, Any]:
        async with self._turn:
            document = await self._read("policy", {})
        self._policy, self._read_at, self._read_of = document, self._now(), generation
        return document

    async def _read(self, what: str, asked: dict[str, Any]) -> dict[str, Any]:
        job = {"what": what, **self._where, "wall": self._wall(), **asked}
        try:
            ended = await self._run(json.dumps(job).encode())
        except TimeoutError:
            raise Refusal(Kind.BUSY, f"reading it took over {TIMEOUT_S:g} s") from None
        except OSError as error:
            raise Refusal(Kind.BUSY, f"no process can be started: {error.strerror or error}") from None
        try:
            # Milliseconds for a usual policy; a huge one must not keep queries waiting.
            found: dict[str, Any] = await asyncio.to_thread(json.loads, ended.output)
        except ValueError:
            _log.error(
                "what the API asked for could not be read",
                extra={"what": what, "code": ended.code, "words": ended.last_words()},
            )
            raise Refusal(Kind.DEFECT, "the log has it", remedy="Please report it.") from None
        if refused := found.get("refused"):
            kind = next((kind for kind in Kind if kind.word == refused["kind"]), Kind.CONFLICT)
            raise Refusal(kind, refused["detail"])
        return found


def _heard(task: asyncio.Task[dict[str, Any]]) -> None:
    if not task.cancelled():
        task.exception()


async def _run(job: bytes) -> Ended:
    return await run_child(PROGRAM, timeout_s=TIMEOUT_S, job=job, output_octets_max=OUTPUT_OCTETS_MAX)
