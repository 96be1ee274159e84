"""When batches are looked for and told, how often a command is tried, and what is told of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from resolver.acknowledging import ledger as ledgers
from resolver.acknowledging.batch import Difference
from resolver.acknowledging.command import SUCCESS, Failure, Outcome
from resolver.acknowledging.ledger import ledger_path, open_ledger
from resolver.config.settings import AcknowledgeCommand
from resolver.policy.table import PolicyTable
from resolver.server.acknowledge_job import ProofJob, Proved
from resolver.server.acknowledgements import (
    LOOK_AFTER_S,
    LOOK_AGAIN_S,
    RETRY_MAX_S,
    RETRY_S,
    Acknowledgements,
    ProofFailed,
)
from resolver.server.audit_job import Job
from tests.support.policy_maker import make_rule
from tests.support.scenario_clock import FakeClock

COMMAND = AcknowledgeCommand(command=("/bin/acknowledge", "--x"), timeout_s=7.0)
JOB = Job("state", "blocklist.yaml", "00", {"dns": [("127.0.0.1", 53)]}, 500.0, 100)


class Rig:
    """Acknowledgements with a clock that obeys, a child and a command that say what they are told to."""

    def __init__(self, state_dir: Path, *names: str) -> None:
        self.state_dir = state_dir
        self.names = names or ("authority",)
        self.clock = FakeClock()
        self.new: list[str] = []
        """Rules that the next look finds and proves."""
        self.looks = 0
        self.proof: Proved | str | Exception | None = None
        self.outcome: Outcome = SUCCESS
        self.ran: list[bytes] = []
        self.told: list[tuple[tuple[str, ...], float]] = []
        self.all = self.made()

    def made(self) -> Acknowledgements:
        return Acknowledgements(
            dict.fromkeys(self.names, COMMAND),
            self.state_dir,
            self.clock,
            wall=lambda: 1e9 + self.clock.now(),
            job=lambda: JOB,
            prove=self.prove,
            run=self.run,
        )

    async def prove(self, job: ProofJob) -> list[Proved]:
        self.looks += 1
        if isinstance(self.proof, Exception):
            raise self.proof
        if isinstance(self.proof, str):
            raise ProofFailed(self.proof)
        if self.proof is not None:
            return [self.proof]
        found = []
        for name in job.lists:
            with open_ledger(ledger_path(self.state_dir, name)) as ledger:
                rows = tuple((rule, rule) for rule in self.new)
                if rows and ledger.standing().pending is None:
                    text = " ".join(self.new)
                    ledger.begin(Difference(rows, ()), 5.0, lambda batch, number: f"{number} {text}".encode())  # noqa: B023
                    self.new = []
                found.append(Proved(name, has_batch=ledger.standing().pending is not None))
        return found

    async def run(self, words: tuple[str, ...], document: bytes, *, timeout_s: float) -> Outcome:
        self.ran.append(document)
        self.told.append((words, timeout_s))
        return self.outcome

    def serve(self, *, confidential: bool = False, names: tuple[str, ...] | None = None) -> None:
        rules = [
            make_rule("list", name, is_confidential=confidential)
            for name in (self.names if names is None else names)
        ]
        self.all.on_policy(cast(PolicyTable, SimpleNamespace(lists=rules)))

    async def pass_time(self, seconds: float) -> None:
        """Until all that begins in this time has ended."""
        self.clock.advance(seconds)
        await self.settle()

    async def settle(self) -> None:
        tasks = [self.all._task, *(one.task for one in self.all._lists.values())]
        for task in tasks:
            if task is not None:
                await task
        # What a look has begun.
        for one in self.all._lists.values():
            if one.task is not None:
                await one.task

    @property
    def facts(self) -> Any:
        [facts] = self.all.facts()
        return facts


def play(act: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await act()

    asyncio.run(whole())


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_new_batch_is_told_once_by_the_command_of_the_settings(rig: Rig) -> None:
    async def act() -> None:
        rig.serve()
        rig.new = ["a.example"]
        rig.all.start()
        await rig.pass_time(LOOK_AFTER_S)
        assert rig.ran == [b"1 a.example"]
        assert rig.told == [(COMMAND.command, COMMAND.timeout_s)]
        for _ in range(3):
            rig.serve()
            await rig.pass_time(LOOK_AFTER_S)
        assert len(rig.ran) == 1
        assert (rig.facts.batches, rig.facts.pending_since) == (1, 0.0)
        assert rig.facts.last_success == pytest.approx(1e9 + 1000 + LOOK_AFTER_S)
        assert rig.all.remark() == ""

    play(act)


def test_each_change_of_the_policy_is_looked_at_once_for_a_burst(rig: Rig) -> None:
    async def act() -> None:
        rig.serve()
        rig.all.start()
        await rig.pass_time(LOOK_AFTER_S)
        for _ in range(5):
            rig.serve()
            await rig.pass_time(LOOK_AFTER_S / 4)
        await rig.pass_time(LOOK_AFTER_S)
        assert rig.looks == 2
        await rig.pass_time(10 * LOOK_AGAIN_S)
        assert rig.looks == 2

    play(act)


def test_what_one_batch_does_not_hold_is_told_after_it(rig: Rig) -> None:
    async def act() -> None:
        rig.serve()
        rig.new = ["a.example"]
        rig.all.start()
        await rig.pass_time(LOOK_AFTER_S)
        rig.new = ["b.example"]
        await rig.pass_time(LOOK_AFTER_S)
        assert rig.ran == [b"1 a.example", b"2 b.example"]

    play(act)


def test_a_command_that_fails_runs_again_with_growing_pauses_and_the_same_document(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    async def act() -> None:
        rig.serve()
        rig.new = ["a.example"]
        rig.outcome = Outcome(Failure.EXIT, "exit code 3: no such account")
        rig.all.start()
        await rig.pass_time(LOOK_AFTER_S)
        pauses: list[int] = []
        for _ in range(10):
            before = rig.clock.now()
            for _ in range(2 * int(RETRY_MAX_S)):
                if rig.facts.failures["exit"] > len(pauses) + 1:
                    break
                await rig.pass_time(1)
            pauses.append(round(rig.clock.now() - before))
        assert pauses == [min(RETRY_S * 2**number, RETRY_MAX_S) for number in range(10)]
        assert set(rig.ran) == {b"1 a.example"}
        assert "not acknowledged after 11 attempts: exit code 3: no such account" in rig.all.remark()
        assert rig.facts.pending_since == 5.0
        rig.outcome = SUCCESS
        await rig.pass_time(RETRY_MAX_S)
        assert (rig.facts.batches, rig.facts.pending_since, rig.all.remark()) == (1, 0.0, "")

    play(act)
    assert "no such account" in str([record.__dict__ for record in caplog.records])


def test_a_change_while_a_batch_waits_starts_no_second_command(rig: Rig) -> None:
    async def act() -> None:
        rig.serve()
        rig.new = ["a.example"]
        rig.outcome = Outcome(Failure.TIMEOUT, "not done in 7 s")
        rig.all.start()
        await rig.pass_time(LOOK_AFTER_S)
        for _ in range(4):
            rig.serve()
            await rig.pass_time(LOOK_AFTER_S)
        assert len(rig.ran) == 1
        assert rig.facts.failures["timeout"] == 1

    play(act)


def test_a_restart_tells_what_was_written_down_at_once_and_the_same(tmp_path: Path) -> None:
    async def act() -> None:
        first = Rig(tmp_path)
        first.serve()
        first.new = ["a.example"]
        first.outcome = Outcome(Failure.START, "no memory")
        first.all.start()
        await first.pass_time(LOOK_AFTER_S)
        await first.all.close()
        again = Rig(tmp_path)
        again.serve()
        again.all.start()
        await again.settle()
        assert again.ran == first.ran
        assert again.facts.batches == 1
        await again.pass_time(LOOK_AFTER_S)
        assert len(again.ran) == 1

    play(act)


def test_what_is_written_down_while_the_ledger_is_looked_at_is_told_too(rig: Rig) -> None:
    async def act() -> None:
        rig.serve()
        rig.all.start()
        # The first look at the ledger is under way, and will find nothing.
        [one] = rig.all._lists.values()
        with open_ledger(ledger_path(rig.state_dir, "authority")) as ledger:
            standing = ledger.standing()
        rig.all._standing = lambda name: standing  # type: ignore[method-assign]
        await asyncio.sleep(0)
        del rig.all._standing
        rig.new = ["a.example"]
        rig.all._take(one, (await rig.prove(ProofJob(["authority"], JOB)))[0])
        await rig.settle()
        assert rig.ran == [b"1 a.example"]

    play(act)


def test_an_end_while_the_command_runs_leaves_the_batch_for_the_next_start(rig: Rig) -> None:
    async def act() -> None:
        rig.serve()
        rig.new = ["a.example"]
        reached = asyncio.Event()

        async def forever(*_: object, **__: object) -> Outcome:
            reached.set()
            await asyncio.Event().wait()
            return SUCCESS

        rig.all._run = forever
        rig.all.start()
        rig.clock.advance(LOOK_AFTER_S)
        await reached.wait()
        await rig.all.close()
        with open_ledger(ledger_path(rig.state_dir, "authority")) as ledger:
            assert ledger.standing().pending is not None
        assert rig.clock.pending == 0

    play(act)


def test_records_without_a_proof_are_told_and_tried_again(rig: Rig) -> None:
    async def act() -> None:
        rig.serve()
        rig.proof = Proved("authority", unproved=2, problem="a.example is uncovered: it resolves")
        rig.all.start()
        await rig.pass_time(LOOK_AFTER_S)
        assert rig.ran == []
        assert (rig.facts.unproved, rig.facts.failures["proof"]) == (2, 1)
        assert rig.all.remark() == (
            "authority: 2 records not proved in force: a.example is uncovered: it resolves"
        )
        rig.proof, rig.new = None, ["a.example"]
        await rig.pass_time(LOOK_AGAIN_S)
        assert rig.ran == [b"1 a.example"]
        assert (rig.facts.unproved, rig.all.remark()) == (0, "")

    play(act)


def test_a_look_that_fails_is_told_and_tried_again(rig: Rig) -> None:
    async def act() -> None:
        rig.serve()
        rig.proof = "its process cannot be started: no memory"
        rig.all.start()
        await rig.pass_time(LOOK_AFTER_S)
        assert "no memory" in rig.all.remark()
        assert rig.facts.failures["proof"] == 1
        rig.proof = None
        await rig.pass_time(LOOK_AGAIN_S)
        assert (rig.looks, rig.all.remark()) == (2, "")

    play(act)


def test_a_defect_ends_one_look_and_one_command_and_no_more(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    async def act() -> None:
        rig.serve()
        rig.proof = RuntimeError("in a look")
        rig.all.start()
        await rig.pass_time(LOOK_AFTER_S)
        assert rig.facts.failures["proof"] == 1 and "in a look" in rig.all.remark()
        rig.proof, rig.new = None, ["a.example"]

        async def broken(*_: object, **__: object) -> Outcome:
            raise RuntimeError("in a command")

        rig.all._run = broken
        await rig.pass_time(LOOK_AGAIN_S)
        assert rig.facts.failures["journal"] == 1
        rig.all._run = rig.run
        await rig.pass_time(RETRY_MAX_S)
        assert (rig.ran, rig.facts.batches) == ([b"1 a.example"], 1)

    play(act)
    assert "in a command" in caplog.text


def test_a_failure_that_cannot_be_written_down_leaves_one_timer(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        rig.serve()
        rig.new = ["a.example"]
        rig.outcome = Outcome(Failure.EXIT, "exit code 3")
        rig.all.start()
        await rig.settle()

        def full(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(ledgers.Ledger, "note_failure", full)
        await rig.pass_time(LOOK_AFTER_S)
        assert (len(rig.ran), rig.clock.pending) == (1, 1)
        await rig.pass_time(RETRY_S)
        assert len(rig.ran) == 1
        await rig.all.close()
        assert rig.clock.pending == 0

    play(act)


def test_a_list_that_the_policy_does_not_have_is_told(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        rig.serve(names=())
        # Whether its name may be told nobody can say.
        assert rig.all.remark() == "not in the policy: list 1 of acknowledge"
        rig.serve(names=())
        rig.serve()
        assert rig.all.remark() == ""
        rig.serve(names=())
        assert rig.all.remark() == "not in the policy: authority"

    play(act)
    assert sum("does not have" in record.message for record in caplog.records) == 2


def test_a_confidential_list_is_acknowledged_and_never_named(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    async def act() -> None:
        assert rig.all.facts() == ()
        rig.serve(confidential=True)
        rig.new = ["a.example"]
        rig.outcome = Outcome(Failure.EXIT, "exit code 1")
        rig.all.start()
        await rig.pass_time(LOOK_AFTER_S)
        rig.proof = Proved("authority", unproved=1, problem="a.example is uncovered")
        rig.serve(confidential=True)
        await rig.pass_time(LOOK_AFTER_S)
        assert len(rig.ran) == 1
        told = rig.all.remark() + str([record.__dict__ for record in caplog.records])
        assert rig.all.facts() == ()
        assert "authority" not in told and "a.example" not in told
        assert "a confidential list" in told

    play(act)


def test_a_confidential_list_that_has_left_the_policy_is_still_not_named(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    async def act() -> None:
        rig.serve(confidential=True)
        rig.new = ["a.example"]
        rig.outcome = Outcome(Failure.EXIT, "exit code 1")
        rig.all.start()
        await rig.pass_time(LOOK_AFTER_S)
        rig.serve(names=())
        rig.proof = Proved("authority", unproved=1, problem="a.example is uncovered")
        await rig.pass_time(LOOK_AFTER_S)
        await rig.pass_time(RETRY_S)
        assert rig.all.facts() == ()
        told = rig.all.remark() + str([record.__dict__ for record in caplog.records])
        assert "authority" not in told and "a.example" not in told
        assert "not in the policy: a confidential list" in told

    play(act)


def test_a_ledger_that_cannot_be_used_is_counted_and_the_other_lists_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        rig = Rig(tmp_path, "broken", "whole")
        rig.serve()
        for name in rig.names:
            with open_ledger(ledger_path(tmp_path, name)) as ledger:
                ledger.begin(Difference((("r", "a.example"),), ()), 5.0, lambda batch, number: b"x")
        real = ledgers._connected

        def connected(path: Path) -> sqlite3.Connection:
            if path.stem == "broken":
                raise sqlite3.OperationalError("database or disk is full")
            return real(path)

        monkeypatch.setattr(ledgers, "_connected", connected)
        rig.all.start()
        await rig.settle()
        broken, whole = rig.all.facts()
        assert (broken.failures["journal"], broken.batches) == (1, 0)
        assert (whole.failures["journal"], whole.batches) == (0, 1)
        monkeypatch.setattr(ledgers, "_connected", real)
        await rig.pass_time(RETRY_MAX_S)
        assert [facts.batches for facts in rig.all.facts()] == [1, 1]

    play(act)


def test_without_lists_nothing_ever_happens(tmp_path: Path) -> None:
    async def act() -> None:
        clock = FakeClock()
        nothing = Acknowledgements({}, tmp_path, clock, wall=lambda: 1e9, job=lambda: JOB)
        nothing.start()
        nothing.on_policy(cast(PolicyTable, SimpleNamespace(lists=[])))
        assert (clock.pending, list(tmp_path.iterdir())) == (0, [])
        await nothing.close()

    play(act)
