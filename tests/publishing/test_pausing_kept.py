"""Pauses in their file: what is damaged, refused, withdrawn or cancelled, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest

from resolver.changing import pausing as pausing_module
from resolver.changing.refusal import Refused
from resolver.publishing import pause_keeper
from resolver.publishing import publisher as publisher_module
from resolver.publishing.paused_image import CannotPause
from resolver.publishing.pausing import Pause, PauseUnusable, pause_path, read_pause, write_pause
from resolver.publishing.publisher import Publisher
from tests.publishing.pausing_rig import ask, house, resume
from tests.support.publisher_rig import Stage, nothing, play

GOOD: dict[str, Any] = {
    "version": 1,
    "id": "0102",
    "at": 1.6e9 + 1000,
    "for_s": 600.0,
    "who": "ann",
    "reason": "why",
    "including_orders": True,
    "boot": "first",
    "boot_s": 1000.0,
    "ended": None,
}


DAMAGED: dict[str, dict[str, Any]] = {
    "longer than a day": {"for_s": 86_401.0},
    "endless": {"for_s": 1e300},
    "no number": {"for_s": math.nan},
    "no time": {"at": math.inf},
    "no reason": {"reason": ""},
    "no scope": {"including_orders": "no"},
    "another version": {"version": 2},
    "a huge reason": {"reason": "x" * 10_000},
}


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b"\xff\xfe", b"9" * 5_000, b"[" * 100_000], ids=repr)
def test_file_that_is_no_pause_pauses_nothing_and_says_so(stage: Stage, octets: bytes) -> None:
    stage.write(house("beta"))

    async def story(publisher: Publisher) -> None:
        pause_path(stage.state).write_bytes(octets)
        await publisher.reload_if_changed()
        assert stage.blocks("beta") and "pause.json" in publisher.pausing.remark()

    play(stage, story)


@pytest.mark.parametrize("fault", DAMAGED)
def test_damaged_pause_pauses_nothing(tmp_path: Path, fault: str) -> None:
    pause_path(tmp_path).write_text(json.dumps(GOOD))
    assert read_pause(tmp_path) is not None
    pause_path(tmp_path).write_text(json.dumps(GOOD | DAMAGED[fault]))
    with pytest.raises(PauseUnusable):
        read_pause(tmp_path)


def test_file_damaged_within_a_pause_ends_it(stage: Stage) -> None:
    stage.write(house("beta"))

    async def story(publisher: Publisher) -> None:
        ask(stage)
        await publisher.reload_if_changed()
        pause_path(stage.state).write_text("{")
        await publisher.reload_if_changed()
        assert stage.blocks("beta")
        ask(stage)
        await publisher.reload_if_changed()
        assert not stage.blocks("beta"), "the command writes it anew"

    play(stage, story)


def test_pause_that_cannot_be_written_leaves_everything_blocked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.write(house("beta"))

    def full(*_: object, **__: object) -> None:
        raise CannotPause("no space")

    async def story(publisher: Publisher) -> None:
        monkeypatch.setattr(pause_keeper, "write_paused", full)
        ask(stage)
        await publisher.reload_if_changed()
        assert stage.blocks("beta") and publisher.pausing.until == 0
        assert publisher.pausing.remark() == "a pause was asked for and is refused: no space"
        stage.clock.advance(601.0)
        assert publisher.pausing.remark() == "", "it would be over"

    play(stage, story)


@pytest.mark.parametrize("later", ["a reload", "a restart"])
def test_pause_that_was_refused_never_begins_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, later: str
) -> None:
    stage.write(house("beta"))

    def full(*_: object, **__: object) -> None:
        raise CannotPause("no space")

    async def refused(publisher: Publisher) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(pause_keeper, "write_paused", full)
            ask(stage)
            await publisher.heed_pause()
            assert publisher.pausing.trouble
        if later == "a reload":
            stage.write(house("beta"), house("gamma"))
            assert await publisher.reload_if_changed()
            assert stage.blocks("beta") and stage.blocks("gamma")
        told = publisher.pausing.as_json()["ended"]
        assert told["who"] == "the server" and told["reason"] == "no space"

    async def afterwards(publisher: Publisher) -> None:
        assert stage.blocks("beta") and publisher.pausing.until == 0
        ask(stage)
        await publisher.heed_pause()
        assert not stage.blocks("beta"), "another one may"

    play(stage, refused)
    play(stage, afterwards)


def test_pause_that_is_refused_is_withdrawn_though_the_disk_is_full(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.write(house("beta"))

    def full(*_: object, **__: object) -> None:
        raise CannotPause("no space")

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def story(publisher: Publisher) -> None:
        ask(stage)
        with monkeypatch.context() as patched:
            patched.setattr(pause_keeper, "write_paused", full)
            patched.setattr("resolver.publishing.pausing._write", no_room)
            await publisher.heed_pause()
        assert not pause_path(stage.state).exists()

    play(stage, story)
    play(stage, nothing)
    assert stage.blocks("beta")


def test_pause_that_ends_with_a_reload_without_room_stays_over(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.write(house("beta"))

    def full(*_: object, **__: object) -> None:
        raise CannotPause("no space")

    async def story(publisher: Publisher) -> None:
        ask(stage)
        await publisher.heed_pause()
        assert not stage.blocks("beta")
        with monkeypatch.context() as patched:
            patched.setattr(pause_keeper, "write_paused", full)
            stage.write(house("beta"), house("gamma"))
            assert await publisher.reload_if_changed()
        assert stage.blocks("beta")
        stage.write(house("beta"))
        assert await publisher.reload_if_changed() and stage.blocks("beta")

    play(stage, story)


def test_pause_that_the_command_cannot_keep_for_sure_is_withdrawn(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails may be the last step, behind the rename."""
    stage.write(house("beta"))
    keep = write_pause

    def kept_and_failed(state_dir: Path, pause: Pause) -> None:
        keep(state_dir, pause)
        raise OSError(5, "Input/output error")

    async def story(publisher: Publisher) -> None:
        monkeypatch.setattr(pausing_module, "write_pause", kept_and_failed)
        with pytest.raises(Refused, match="Input/output"):
            ask(stage)
        await publisher.heed_pause()
        assert stage.blocks("beta") and publisher.pausing.until == 0

    play(stage, story)


def test_with_two_people_a_pause_that_one_asks_for_is_refused(stage: Stage) -> None:
    stage.write(house("beta"))

    async def story(publisher: Publisher) -> None:
        publisher.pausing.two_person = True
        ask(stage, approved_by="bob")
        await publisher.heed_pause()
        assert not stage.blocks("beta")
        ask(stage)
        await publisher.heed_pause()
        assert stage.blocks("beta"), "nor does the one go on whose place it took"
        assert "two people are needed" in publisher.pausing.remark()
        pause = read_pause(stage.state)
        assert pause is not None and pause.ended is not None

    play(stage, story)


@pytest.mark.parametrize("where", ["read_pause", "make_policy"])
def test_resume_that_is_cancelled_within_is_found_by_the_next_look(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    stage.write(house("beta"))
    place = pause_keeper if where == "read_pause" else publisher_module

    def cancelled(*_: object) -> None:
        raise asyncio.CancelledError

    async def story(publisher: Publisher) -> None:
        ask(stage)
        await publisher.heed_pause()
        resume(stage)
        with monkeypatch.context() as patched:
            patched.setattr(place, where, cancelled)
            with pytest.raises(asyncio.CancelledError):
                await publisher.heed_pause()
        assert not stage.blocks("beta")
        await publisher.reload_if_changed()
        assert stage.blocks("beta") and publisher.pausing.until == 0

    play(stage, story)
