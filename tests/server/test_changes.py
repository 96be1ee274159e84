"""Changes that the API asks for: what the child is told, how it may fail, how many may wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from resolver.api.refusal import Kind, Refusal
from resolver.api.tokens import Caller, Role
from resolver.cache import ResponseCache
from resolver.changing import refusal as changing_refusal
from resolver.changing.pausing import pause_filtering
from resolver.children import Ended
from resolver.config.http_settings import Http
from resolver.config.settings import Settings
from resolver.fetching.keeper import ListKeeper
from resolver.publishing.paused_image import CannotPause
from resolver.publishing.pausing import pause_path
from resolver.publishing.publisher import Publisher
from resolver.server.audits import Audits
from resolver.server.changes import KINDS, WAITING_MAX, Changes
from tests.support.publisher_rig import Stage, entry, play

ANN = Caller("ann", Role.APPROVE)
EVE = Caller("eve", Role.EDIT)


class Nobody:
    """A keeper without lists, audits that are off."""

    def fetch_now(self, name: str) -> bool:
        return False

    def begin_now(self) -> bool:
        return False


class Rig:
    """Changes of a served stage, with a child that says what it is told to."""

    def __init__(
        self, stage: Stage, publisher: Publisher, answer: Any = None, *, two_person: bool = False
    ) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.answer = answer
        self.hold = asyncio.Event()
        self.hold.set()
        settings = Settings(
            blocklist=stage.blocklist,
            state_dir=stage.state,
            http=Http(changes="two-person" if two_person else "direct"),
        )
        keeper, audits = cast(ListKeeper, Nobody()), cast(Audits, Nobody())
        cache = ResponseCache(1 << 20)
        self.changes = Changes(
            settings, publisher, keeper, audits, cache, wall=stage.clock.wall, run=self.run
        )

    async def run(self, job: bytes) -> Ended:
        self.jobs.append(json.loads(job))
        await self.hold.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        octets = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        return Ended(0, octets, b"")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    stage.write(entry("alpha"), "  beta: {name: Beta, domains: [beta.example]}\n")
    return stage


def story(stage: Stage, act: Callable[[Rig], Awaitable[None]], answer: Any = None) -> None:
    async def whole(publisher: Publisher) -> None:
        await act(Rig(stage, publisher, answer))

    play(stage, whole)


def test_child_is_told_who_asks_and_what_they_may(stage: Stage) -> None:
    async def act(rig: Rig) -> None:
        assert await rig.changes.change("approve", ANN, id="0123456789ab") == {"state": "approved"}
        await rig.changes.change("reject", EVE, id="0123456789ab")
        first, second = rig.jobs
        assert (first["do"], first["who"], first["may_approve"]) == ("approve", "ann", True)
        assert first["blocklist"] == str(stage.blocklist) and not first["two_person"]
        assert (second["who"], second["may_approve"]) == ("eve", False)

    story(stage, act, {"done": {"state": "approved"}})


@pytest.mark.parametrize("kind", changing_refusal.Kind)
def test_refusal_of_the_child_is_one_of_the_api(stage: Stage, kind: changing_refusal.Kind) -> None:
    async def act(rig: Rig) -> None:
        with pytest.raises(Refusal) as refusal:
            await rig.changes.change("edit", EVE, edits=[])
        assert refusal.value.kind is KINDS[kind] and refusal.value.kind.status in (403, 404, 409, 422)
        assert refusal.value.as_json()["changed"] == "+ x" and refusal.value.remedy == "again"

    told = {"kind": kind.value, "detail": "no", "remedy": "again", "more": {"changed": "+ x"}}
    story(stage, act, {"refused": told})


@pytest.mark.parametrize("answer", [b"", b"Traceback", b"[]", TimeoutError(), OSError(12, "no memory")])
def test_child_that_fails_changes_nothing_and_is_told(stage: Stage, answer: Any) -> None:
    async def act(rig: Rig) -> None:
        with pytest.raises(Refusal) as refusal:
            await rig.changes.change("edit", EVE, edits=[])
        assert refusal.value.kind in (Kind.DEFECT, Kind.BUSY)

    story(stage, act, answer)


def test_only_so_many_changes_wait(stage: Stage) -> None:
    async def act(rig: Rig) -> None:
        rig.hold.clear()
        waiting = [asyncio.create_task(rig.changes.change("standing", EVE)) for _ in range(WAITING_MAX)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="wait already") as refusal:
            await rig.changes.change("standing", EVE)
        assert refusal.value.kind is Kind.BUSY and len(rig.jobs) == 1, "one child at a time"
        rig.hold.set()
        await asyncio.gather(*waiting)

    story(stage, act, {"done": {}})


def test_pause_is_in_force_when_it_is_answered(stage: Stage) -> None:
    async def act(rig: Rig) -> None:
        told = await rig.changes.pause(ANN, 600, "why", including_orders=False)
        assert told["paused"] and told["who"] == "ann" and told["reason"] == "why"
        assert not stage.blocks("beta") and stage.blocks("alpha")
        told = await rig.changes.resume(ANN, "")
        assert not told["paused"] and told["until"] is None and stage.blocks("beta")
        with pytest.raises(Refusal, match="not paused") as refusal:
            await rig.changes.resume(ANN, "")
        assert refusal.value.kind is Kind.CONFLICT

    story(stage, act)


def test_pause_that_is_refused_begins_neither_now_nor_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise CannotPause("no space")

    async def whole(publisher: Publisher) -> None:
        rig = Rig(stage, publisher)
        with monkeypatch.context() as patched:
            patched.setattr("resolver.publishing.pause_keeper.write_paused", full)
            with pytest.raises(Refusal, match="is refused: no space") as refusal:
                await rig.changes.pause(ANN, 600, "why", including_orders=False)
        assert refusal.value.kind is Kind.CONFLICT and "not begin later" in refusal.value.remedy
        stage.write(entry("alpha"), "  beta: {name: Beta, domains: [beta.example, new.example]}\n")
        assert await publisher.reload_if_changed() and stage.blocks("beta")
        assert not rig.changes.paused()["paused"]
        told = await rig.changes.pause(ANN, 600, "why", including_orders=False)
        assert told["paused"], "what was refused before stands in nobody's way"

    play(stage, whole)


def test_where_two_people_are_needed_a_pause_is_proposed_and_in_force_when_the_approval_is_answered(
    stage: Stage,
) -> None:
    async def whole(publisher: Publisher) -> None:
        publisher.pausing.two_person = True
        rig = Rig(
            stage, publisher, {"done": {"state": "proposed", "proposal": "0123456789ab"}}, two_person=True
        )
        told = await rig.changes.pause(ANN, 600, "why", including_orders=False)
        assert not told["paused"] and told["proposal"] == "0123456789ab"
        [job] = rig.jobs
        assert (job["do"], job["who"], job["for_s"], job["two_person"]) == ("pause", "ann", 600, True)
        rig.answer = {"done": {"kind": "pause", "state": "approved"}}
        pause_filtering(
            stage.state,
            "ann",
            600,
            "why",
            including_orders=False,
            wall=stage.clock.wall(),
            boot=stage.boot(),
            approved_by="bob",
        )
        await rig.changes.change("approve", ANN, id="0123456789ab")
        assert rig.changes.paused()["approved_by"] == "bob" and not stage.blocks("beta")

    play(stage, whole)


def test_resume_goes_on_when_the_client_has_closed_its_connection(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def whole(publisher: Publisher) -> None:
        changes = Rig(stage, publisher).changes
        await changes.pause(ANN, 600, "why", including_orders=False)
        assert not stage.blocks("beta")
        begun, may_go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
        heed = publisher.heed_pause

        async def slowly() -> None:
            begun.set()
            await may_go_on.wait()
            await heed()
            done.set()

        monkeypatch.setattr(publisher, "heed_pause", slowly)
        request = asyncio.create_task(changes.resume(EVE, "enough"))
        await begun.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        may_go_on.set()
        await done.wait()
        assert stage.blocks("beta")

    play(stage, whole)


def test_pause_that_waits_for_a_reload_is_accepted_and_begins_with_its_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolver.server.changes.HEEDED_S", 0.0)

    def full(*_: object, **__: object) -> None:
        raise CannotPause("no space")

    async def whole(publisher: Publisher) -> None:
        rig, heed, may_go_on = Rig(stage, publisher), publisher.heed_pause, asyncio.Event()
        done = asyncio.Event()

        async def slowly() -> None:
            await may_go_on.wait()
            await heed()
            done.set()

        with monkeypatch.context() as patched:
            patched.setattr("resolver.publishing.pause_keeper.write_paused", full)
            patched.setattr("resolver.server.changes.HEEDED_S", 60.0)
            with pytest.raises(Refusal):
                await rig.changes.pause(
                    ANN, 600, "one before, whose trouble is not that of the next", including_orders=False
                )
        monkeypatch.setattr(publisher, "heed_pause", slowly)
        told = await rig.changes.pause(ANN, 600, "why", including_orders=False)
        assert told["soon"] and not told["paused"] and told["proposal"] is None
        may_go_on.set()
        await done.wait()
        assert not stage.blocks("beta") and not rig.changes.paused()["soon"]

    play(stage, whole)


def test_pause_that_cannot_be_kept_is_a_conflict_and_pauses_nothing(stage: Stage) -> None:
    async def act(rig: Rig) -> None:
        pause_path(stage.state).mkdir()
        (pause_path(stage.state) / "in the way").touch()
        with pytest.raises(Refusal) as refusal:
            await rig.changes.pause(ANN, 600, "why", including_orders=False)
        assert refusal.value.kind is Kind.CONFLICT and stage.blocks("beta")

    story(stage, act)


def test_flush_gives_the_policy_a_new_generation_so_memos_have_nothing(stage: Stage) -> None:
    async def act(rig: Rig) -> None:
        before = stage.published[-1].generation
        assert await rig.changes.flush(EVE, "example.org", subtree=True) == 0
        assert stage.published[-1].generation > before and stage.blocks("alpha")
        with pytest.raises(Refusal, match="name:"):
            await rig.changes.flush(EVE, "a..b", subtree=False)

    story(stage, act)


def test_what_is_not_there_is_refused(stage: Stage) -> None:
    async def act(rig: Rig) -> None:
        with pytest.raises(Refusal, match="no list"):
            rig.changes.update_list(EVE, "ads")
        with pytest.raises(Refusal, match="does not audit itself"):
            rig.changes.audit(EVE)

    story(stage, act)
