"""Acknowledges what is in force of lists: looks, has it proved, runs the command of each batch.

Knows: when to look, when to run a command again, what is counted.  Does not know: how records are found and
proved (`acknowledge_child`), what a ledger looks like, processes.
Theory: after each change of the policy a child process finds what is new of the lists named in the settings,
proves it by queries and writes a batch down.  The command of a batch runs until it succeeds, over restarts,
with growing pauses; then the next look.  Each list has a command of its own, and one at a time.
Whatever fails here is counted, logged and told, and nothing else: serving does not wait for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from resolver.acknowledging.command import Failure, Outcome, run_command
from resolver.acknowledging.ledger import Pending, Standing, ledger_path, open_ledger
from resolver.children import run_child_when_idle
from resolver.clock import Clock, TimerHandle
from resolver.config.settings import AcknowledgeCommand
from resolver.observe.facts import ACKNOWLEDGE_FAILURES, AcknowledgeFacts
from resolver.plurals import counted
from resolver.policy.table import PolicyTable
from resolver.server.acknowledge_job import ProofJob, Proved, proof_job_to_json
from resolver.server.audit_job import Job

LOOK_AFTER_S: Final = 2.0
"""After a change of the policy: they come in bursts."""
LOOK_AGAIN_S: Final = 600.0
"""Where something could not be proved."""
RETRY_S: Final = 30.0
"""After a command that failed, doubled each time, up to `RETRY_MAX_S`."""
RETRY_MAX_S: Final = 3_600.0
TIMEOUT_S: Final = 3_600.0
"""Of a look: 20,000 rules of each list with three questions each, at 500 a second, and what else is slow."""

_log = logging.getLogger("resolver.acknowledge")

Prove = Callable[[ProofJob], Awaitable[list[Proved]]]
"""Looks and proves.  Raises ProofFailed."""
RunCommand = Callable[..., Awaitable[Outcome]]
"""`command.run_command`."""


NOTHING: Final = Standing(0, 0.0, None)


class ProofFailed(Exception):
    """Nothing could be looked at or proved; the message says why."""


@dataclass(slots=True)
class _List:
    """One list that is acknowledged."""

    name: str
    wanted: AcknowledgeCommand
    standing: Standing = NOTHING
    is_there: bool = True
    place: int = 1
    """In the settings."""
    is_confidential: bool = True
    """Until the policy says that it is not, and what it said last: a name once told is told."""
    is_known: bool = False
    """Whether the policy ever had it."""
    unproved: int = 0
    problem: str = ""
    done: int = 0
    """Batches acknowledged since the start."""
    failures: Counter[str] = field(default_factory=Counter)
    is_due: bool = False
    """Whether something was written down since its ledger was last looked at."""
    task: asyncio.Task[None] | None = None
    timer: TimerHandle | None = None

    @property
    def shown(self) -> str:
        """What it is called wherever others may read."""
        if not self.is_confidential:
            return self.name
        return "a confidential list" if self.is_known else f"list {self.place} of acknowledge"


class Acknowledgements:
    """Those of one server."""

    def __init__(
        self,
        wanted: dict[str, AcknowledgeCommand],
        state_dir: Path,
        clock: Clock,
        *,
        wall: Callable[[], float],
        job: Callable[[], Job],
        prove: Prove | None = None,
        run: RunCommand = run_command,
    ) -> None:
        """`job`: how this server is asked now.  `prove`: instead of a child process."""
        self._lists = {
            name: _List(name, command, place=place) for place, (name, command) in enumerate(wanted.items(), 1)
        }
        self._state_dir = state_dir
        self._clock = clock
        self._wall = wall
        self._job = job
        self._prove = prove or prove_in_child
        self._run = run
        self._timer: TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._has_changed = False
        self._is_started = False
        self._problem = ""

    def start(self) -> None:
        """The server answers: go on with what is written down, and look for what is new."""
        if not self._lists:
            return
        self._is_started = True
        for one in self._lists.values():
            self._deliver_soon(one)
        self._wait(LOOK_AFTER_S)

    def on_policy(self, table: PolicyTable) -> None:
        """This policy is in force now."""
        rules = {rule.id: rule for rule in table.lists}
        for one in self._lists.values():
            rule = rules.get(one.name)
            if rule is None and one.is_there:
                _log.warning(
                    "acknowledge names a list that the policy does not have", extra={"list": one.shown}
                )
            one.is_there = rule is not None
            if rule is not None:
                one.is_known, one.is_confidential = True, rule.is_ever_confidential
        self._has_changed = True
        if self._is_started:
            self._wait(LOOK_AFTER_S)

    async def close(self) -> None:
        """End; a command under way is killed, and runs again at the next start."""
        self._is_started = False
        timers = [self._timer, *(one.timer for one in self._lists.values())]
        for timer in filter(None, timers):
            timer.cancel()
        tasks = [
            task for task in (self._task, *(one.task for one in self._lists.values())) if task is not None
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def facts(self) -> tuple[AcknowledgeFacts, ...]:
        """Every list that is acknowledged; of confidential ones nothing."""
        return tuple(
            AcknowledgeFacts(
                list=one.name,
                batches=one.done,
                failures={failure: one.failures[failure] for failure in ACKNOWLEDGE_FAILURES},
                pending_since=0.0 if one.standing.pending is None else one.standing.pending.made_at,
                last_success=one.standing.last_at,
                unproved=one.unproved,
            )
            for one in self._lists.values()
            if not one.is_confidential
        )

    def remark(self) -> str:
        """What a person should know of them; empty: nothing."""
        said = [self._problem] if self._problem else []
        for one in self._lists.values():
            pending = one.standing.pending
            if not one.is_there:
                said.append(f"not in the policy: {one.shown}")
            if pending is not None and pending.attempts:
                tries = counted(pending.attempts, "attempt")
                said.append(f"{one.shown}: not acknowledged after {tries}: {pending.problem}")
            if one.problem and not one.is_confidential:
                said.append(
                    f"{one.shown}: {counted(one.unproved, 'record')} not proved in force: {one.problem}"
                )
        return "; ".join(said)

    # Looking.

    def _wait(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_later(delay_s, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look(), name="acknowledge")

    async def _look(self) -> None:
        self._has_changed = False
        is_done = False
        try:
            found = await self._prove(ProofJob(list(self._lists), self._job()))
            is_done = True
            for proved in found:
                is_done = self._take(self._lists[proved.list], proved) and is_done
            self._problem = ""
        except ProofFailed as error:
            self._fail_to_look(str(error))
        except Exception as error:
            # Lists are looked at again whatever befalls one look.
            is_done = False
            self._fail_to_look(f"a defect: {error!r}")
            _log.exception("defect in acknowledging lists")
        if not self._is_started:
            return
        if self._has_changed:
            self._wait(LOOK_AFTER_S)
        elif not is_done:
            self._wait(LOOK_AGAIN_S)

    def _fail_to_look(self, reason: str) -> None:
        self._problem = f"what is new of lists could not be looked at: {reason}"
        for one in self._lists.values():
            one.failures["proof"] += 1
        _log.error("lists cannot be acknowledged", extra={"reason": reason})

    def _take(self, one: _List, proved: Proved) -> bool:
        """Whether nothing of the list is left to be proved."""
        if proved.problem and proved.problem != one.problem:
            one.failures["proof"] += 1
            words = "confidential" if one.is_confidential else proved.problem
            _log.error("records are not proved in force", extra={"list": one.shown, "reason": words})
        one.unproved, one.problem = proved.unproved, proved.problem
        if proved.has_batch:
            self._deliver_soon(one)
        return not proved.problem

    # Commands.

    def _deliver_soon(self, one: _List) -> None:
        """Run the command of what is written down, once it does not run or wait already."""
        one.is_due = True
        if one.timer is None and (one.task is None or one.task.done()):
            one.task = asyncio.get_running_loop().create_task(self._deliver(one), name="acknowledge-command")

    async def _deliver(self, one: _List) -> None:
        while one.is_due and one.timer is None:
            one.is_due = False
            await self._deliver_one(one)

    async def _deliver_one(self, one: _List) -> None:
        try:
            one.standing = await asyncio.to_thread(self._standing, one.name)
            pending = one.standing.pending
            if pending is None:
                return
            timeout_s = one.wanted.timeout_s
            outcome = await self._run(one.wanted.command, pending.document, timeout_s=timeout_s)
            if outcome.failure is None:
                await self._succeed(one, pending)
            else:
                await self._fail(one, pending, outcome.failure, outcome.words)
        except (sqlite3.Error, OSError) as error:
            one.failures["journal"] += 1
            _log.error("the ledger of a list cannot be used", extra={"list": one.shown, "reason": str(error)})
            self._retry(one, RETRY_MAX_S)
        except Exception:
            one.failures["journal"] += 1
            _log.exception("defect in acknowledging a list", extra={"list": one.shown})
            self._retry(one, RETRY_MAX_S)

    def _standing(self, name: str) -> Standing:
        with open_ledger(ledger_path(self._state_dir, name)) as ledger:
            return ledger.standing()

    async def _succeed(self, one: _List, pending: Pending) -> None:
        at = self._wall()

        def write() -> Standing:
            with open_ledger(ledger_path(self._state_dir, one.name)) as ledger:
                ledger.acknowledge(pending.number, at)
                return ledger.standing()

        one.standing = await asyncio.to_thread(write)
        one.done += 1
        _log.info("acknowledged", extra={"list": one.shown, "batch": pending.number})
        if self._is_started:
            # There may be more than one batch holds.
            self._wait(LOOK_AFTER_S)

    async def _fail(self, one: _List, pending: Pending, failure: Failure, words: str) -> None:
        one.failures[failure.value] += 1

        def write() -> Standing:
            with open_ledger(ledger_path(self._state_dir, one.name)) as ledger:
                ledger.note_failure(pending.number, words)
                return ledger.standing()

        retry_s = min(RETRY_S * 2 ** min(pending.attempts, 20), RETRY_MAX_S)
        _log.error(
            "not acknowledged: the command failed",
            extra={"list": one.shown, "batch": pending.number, "reason": words, "again_in_s": retry_s},
        )
        self._retry(one, retry_s)
        one.standing = await asyncio.to_thread(write)

    def _retry(self, one: _List, delay_s: float) -> None:
        def again() -> None:
            one.timer = None
            self._deliver_soon(one)

        if one.timer is not None:
            one.timer.cancel()  # Its pause was another one.
            one.timer = None
        if self._is_started:
            one.timer = self._clock.call_later(delay_s, again)


async def prove_in_child(job: ProofJob) -> list[Proved]:
    """Look and prove in a process of its own, in time that nobody else wants.  Raises ProofFailed."""
    try:
        ended = await run_child_when_idle(
            "resolver.server.acknowledge_child",
            timeout_s=TIMEOUT_S,
            starved_s=None,
            job=proof_job_to_json(job),
        )
    except TimeoutError:
        raise ProofFailed(f"it took over {TIMEOUT_S:g} s twice") from None
    except OSError as error:
        raise ProofFailed(f"its process cannot be started: {error}") from None
    try:
        told = json.loads(ended.output)
        if isinstance(told, dict):
            raise ProofFailed(str(told["error"]))
        return [Proved(**fields) for fields in told]
    except (ValueError, KeyError, TypeError):
        raise ProofFailed(f"code {ended.code}: {ended.last_words()!r}") from None
