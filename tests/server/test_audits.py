"""When a server audits itself, and what becomes of what it finds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from resolver.audit.results import FINDINGS, Status
from resolver.audit.secret import SECRET_FILE, read_secret
from resolver.config.settings import Audit, Clients, Settings
from resolver.observe.facts import AUDIT_FINDINGS, AUDIT_STATUSES
from resolver.server.audit_job import Job, Moment, Summary
from resolver.server.audits import (
    CHANGE_AFTER_S,
    FIRST_AFTER_S,
    HOUR_S,
    QPS,
    RETRY_S,
    AuditFailed,
    Audits,
)
from tests.support.scenario_clock import FakeClock

SECRET = bytes(range(32))
DAY_S = 24 * HOUR_S
CLEAN = Summary("a.policy", 5.0, {"covered": 3}, {}, 12, 0, 0, [], False)
WRONG = replace(
    CLEAN, findings={"uncovered": 2}, has_findings=True, told=["acme.example is uncovered: it resolves"]
)


class Rig:
    """Audits with a clock that obeys and a child that says what it is told to."""

    def __init__(self, state_dir: Path, every_h: int = 24, qps_limit: int = 0) -> None:
        self.clock = FakeClock()
        self.wall_offset = 1e9
        self.jobs: list[Job] = []
        self.says: Summary | str | Exception = CLEAN
        self.hold: asyncio.Event | None = None
        self.settings = Settings(
            state_dir=state_dir, audit=Audit(every_h=every_h), clients=Clients(rate_limit_qps=qps_limit)
        )
        self.audits = self.made()

    def made(self) -> Audits:
        return Audits(
            self.settings,
            SECRET,
            self.clock,
            wall=lambda: self.clock.now() + self.wall_offset,
            endpoints=lambda: {"dns": [("127.0.0.1", 53)]},
            run=self.run,
        )

    async def run(self, job: Job) -> Summary:
        self.jobs.append(job)
        if self.hold is not None:
            await self.hold.wait()
        if isinstance(self.says, str):
            raise AuditFailed(self.says)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    async def pass_time(self, seconds: float) -> None:
        """Until all that begins in this time has ended."""
        self.clock.advance(seconds)
        task = self.audits._task
        if task is not None and self.hold is None:
            await task

    @property
    def causes(self) -> list[str]:
        return ["whole" if job.since is None else "change" for job in self.jobs]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def play(act: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await act()

    asyncio.run(whole())


def test_everything_is_audited_soon_after_the_start_and_then_on_schedule(rig: Rig) -> None:
    async def act() -> None:
        rig.audits.start()
        await rig.pass_time(FIRST_AFTER_S - 1)
        assert rig.jobs == []
        await rig.pass_time(1)
        await rig.pass_time(DAY_S - 1)
        assert rig.causes == ["whole"]
        await rig.pass_time(1)
        assert rig.causes == ["whole", "whole"]

    play(act)


def test_a_change_of_the_policy_is_audited_soon_once_for_a_burst(rig: Rig) -> None:
    async def act() -> None:
        rig.audits.start()
        await rig.pass_time(FIRST_AFTER_S)
        for _ in range(3):
            rig.audits.on_policy()
            await rig.pass_time(CHANGE_AFTER_S / 2)
        assert rig.causes == ["whole"]
        await rig.pass_time(CHANGE_AFTER_S)
        await rig.pass_time(HOUR_S)
        assert rig.causes == ["whole", "change"]
        assert rig.jobs[-1].since == Moment("a.policy", 5.0)

    play(act)


def test_audit_that_somebody_wants_is_whole_at_once_and_counted_as_such(rig: Rig) -> None:
    async def act() -> None:
        assert not rig.audits.begin_now(), "the server does not answer yet"
        rig.audits.start()
        await rig.pass_time(FIRST_AFTER_S)
        await rig.pass_time(HOUR_S)
        assert rig.audits.begin_now()
        await rig.pass_time(0)
        assert rig.causes == ["whole", "whole"]
        assert rig.audits.facts().runs["request", "clean"] == 1
        await rig.pass_time(DAY_S - 1)
        assert rig.causes == ["whole", "whole"], "the schedule goes on from there"
        await rig.pass_time(1)
        assert rig.causes == ["whole", "whole", "whole"]

    play(act)


def test_audit_that_is_wanted_while_one_runs_comes_after_it(rig: Rig) -> None:
    async def act() -> None:
        rig.audits.start()
        rig.hold = asyncio.Event()
        await rig.pass_time(FIRST_AFTER_S)
        await asyncio.sleep(0)
        assert rig.audits.begin_now()
        await rig.pass_time(1)
        rig.hold.set()
        await asyncio.sleep(0)
        rig.hold = None
        await rig.pass_time(0)
        await rig.pass_time(1)
        assert rig.causes == ["whole", "whole"]

    play(act)


def test_what_a_sample_left_out_of_a_change_stays_changed(rig: Rig) -> None:
    async def act() -> None:
        rig.audits.start()
        await rig.pass_time(FIRST_AFTER_S)
        rig.says = replace(CLEAN, image="b.policy", left_out=1)
        rig.audits.on_policy()
        await rig.pass_time(CHANGE_AFTER_S)
        rig.says = replace(CLEAN, image="c.policy")
        rig.audits.on_policy()
        await rig.pass_time(CHANGE_AFTER_S)
        rig.audits.on_policy()
        await rig.pass_time(CHANGE_AFTER_S)
        since = [job.since and job.since.image for job in rig.jobs]
        assert since == [None, "a.policy", "a.policy", "c.policy"]

    play(act)


def test_a_change_during_an_audit_is_audited_after_it(rig: Rig) -> None:
    async def act() -> None:
        rig.audits.start()
        rig.hold = asyncio.Event()
        await rig.pass_time(FIRST_AFTER_S)
        await asyncio.sleep(0)
        rig.audits.on_policy()
        rig.clock.advance(HOUR_S)
        assert rig.causes == ["whole"]
        rig.hold.set()
        rig.hold = None
        await rig.pass_time(0)
        await rig.pass_time(CHANGE_AFTER_S)
        assert rig.causes == ["whole", "change"]

    play(act)


def test_zero_hours_is_off_for_changes_too_but_the_secret_is_there(tmp_path: Path) -> None:
    async def act() -> None:
        rig = Rig(tmp_path, every_h=0)
        rig.audits.start()
        rig.audits.on_policy()
        await rig.pass_time(10 * DAY_S)
        assert rig.jobs == []
        assert rig.audits.facts().every_s == 0
        assert read_secret(tmp_path) == SECRET

    play(act)


def test_findings_are_counted_told_and_gone_with_the_next_audit(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    async def act() -> None:
        rig.audits.start()
        rig.says = WRONG
        await rig.pass_time(FIRST_AFTER_S)
        facts = rig.audits.facts()
        assert (facts.findings["uncovered"], facts.domains["covered"]) == (2, 3)
        assert facts.runs["schedule", "findings"] == 1
        assert facts.last_success == rig.clock.now() + rig.wall_offset
        assert rig.audits.remark() == "2 domains not blocked as it must be"
        assert "acme.example is uncovered" in caplog.text
        rig.says = replace(CLEAN, findings={"uncovered": 0})
        rig.audits.on_policy()
        await rig.pass_time(CHANGE_AFTER_S)
        facts = rig.audits.facts()
        assert (facts.findings["uncovered"], facts.runs["change", "clean"]) == (0, 1)
        assert rig.audits.remark() == ""

    play(act)


def test_an_audit_that_fails_is_tried_again_later_and_later_and_says_why(rig: Rig) -> None:
    async def act() -> None:
        rig.audits.start()
        rig.says = "127.0.0.1:53 udp refuses everything"
        await rig.pass_time(FIRST_AFTER_S)
        for _ in range(2):
            assert "refuses everything" in rig.audits.remark()
            assert rig.audits.facts().last_success == 0
            await rig.pass_time(RETRY_S * 2 ** (len(rig.jobs) - 1) - 1)
            count = len(rig.jobs)
            await rig.pass_time(1)
            assert len(rig.jobs) == count + 1
        assert rig.audits.facts().runs["schedule", "failed"] == 3
        rig.says = CLEAN
        await rig.pass_time(RETRY_S * 4)
        assert (rig.audits.remark(), rig.causes[-1]) == ("", "whole")
        await rig.pass_time(DAY_S - 1)
        assert len(rig.jobs) == 4

    play(act)


def test_a_change_whose_audit_failed_is_not_forgotten(rig: Rig) -> None:
    async def act() -> None:
        rig.audits.start()
        await rig.pass_time(FIRST_AFTER_S)
        rig.says = "silence"
        rig.audits.on_policy()
        await rig.pass_time(CHANGE_AFTER_S)
        rig.says = WRONG
        await rig.pass_time(RETRY_S)
        assert rig.causes == ["whole", "change", "change"]
        assert rig.audits.facts().findings["uncovered"] == 2

    play(act)


def test_a_restart_forgets_neither_findings_nor_the_schedule(tmp_path: Path) -> None:
    async def act() -> None:
        first = Rig(tmp_path)
        first.audits.start()
        first.says = WRONG
        await first.pass_time(FIRST_AFTER_S)
        await first.audits.close()
        again = Rig(tmp_path)
        again.wall_offset += HOUR_S
        again.audits.start()
        assert again.audits.facts().findings["uncovered"] == 2
        await again.pass_time(DAY_S - HOUR_S - 2 * FIRST_AFTER_S)
        assert again.jobs == []
        await again.pass_time(3 * FIRST_AFTER_S)
        assert again.causes == ["whole"]

    play(act)


def test_a_restart_with_another_policy_audits_the_change_first(tmp_path: Path) -> None:
    async def act() -> None:
        first = Rig(tmp_path)
        first.audits.start()
        await first.pass_time(FIRST_AFTER_S)
        await first.audits.close()
        again = Rig(tmp_path)
        again.wall_offset += HOUR_S
        again.audits.on_policy()
        again.audits.start()
        await again.pass_time(FIRST_AFTER_S)
        assert again.causes == ["change"]

    play(act)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"whole_at": "x"}', "\0"])
def test_what_was_kept_and_is_damaged_is_as_good_as_nothing(tmp_path: Path, text: str) -> None:
    async def act() -> None:
        (tmp_path / "audit").mkdir()
        (tmp_path / "audit" / "state.json").write_text(text)
        rig = Rig(tmp_path)
        rig.audits.start()
        await rig.pass_time(FIRST_AFTER_S)
        assert rig.causes == ["whole"]
        assert json.loads((tmp_path / "audit" / "state.json").read_text())["counts"] == {"covered": 3}

    play(act)


def test_a_clock_that_went_back_puts_nothing_off(tmp_path: Path) -> None:
    async def act() -> None:
        first = Rig(tmp_path)
        first.audits.start()
        await first.pass_time(FIRST_AFTER_S)
        again = Rig(tmp_path)
        again.wall_offset -= 100 * DAY_S
        again.audits.start()
        await again.pass_time(FIRST_AFTER_S)
        assert again.causes == ["whole"]

    play(act)


@pytest.mark.parametrize(("limit", "qps"), [(0, QPS), (10, 5.0), (1, 1.0), (1_000_000, QPS)])
def test_an_audit_leaves_half_of_a_clients_rate_to_whoever_shares_its_address(
    tmp_path: Path, limit: int, qps: float
) -> None:
    assert Rig(tmp_path, qps_limit=limit).audits.job().qps == qps


def test_a_state_dir_that_cannot_be_written_is_told_and_serving_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def act() -> None:
        (tmp_path / "audit").write_text("no folder")
        rig = Rig(tmp_path)
        rig.audits.start()
        await rig.pass_time(FIRST_AFTER_S)
        assert rig.audits.facts().runs["schedule", "clean"] == 1
        assert "count like other queries" in caplog.text and "is not kept" in caplog.text
        assert not (tmp_path / SECRET_FILE).exists()

    play(act)


def test_an_end_in_the_middle_of_an_audit_ends_it(rig: Rig) -> None:
    async def act() -> None:
        rig.audits.start()
        rig.hold = asyncio.Event()
        await rig.pass_time(FIRST_AFTER_S)
        await asyncio.sleep(0)
        await rig.audits.close()
        assert rig.audits._task is not None and rig.audits._task.cancelled()
        assert rig.clock.pending == 0

    play(act)


def test_the_facts_know_the_words_of_audits() -> None:
    assert tuple(status.value for status in Status) == AUDIT_STATUSES
    assert tuple(status.value for status in FINDINGS) == AUDIT_FINDINGS


def test_the_child_is_told_what_time_can_be_believed(rig: Rig) -> None:
    assert rig.audits.job().earliest == rig.clock.now() + rig.wall_offset


def test_a_defect_ends_one_audit_and_not_all(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        rig.audits.start()
        rig.says = RuntimeError("who would have thought")
        await rig.pass_time(FIRST_AFTER_S)
        assert rig.audits.facts().runs["schedule", "failed"] == 1
        assert "who would have thought" in rig.audits.remark()
        rig.says = CLEAN
        await rig.pass_time(RETRY_S)
        assert rig.audits.facts().runs["schedule", "clean"] == 1

    play(act)
    assert "defect in audits" in caplog.text
