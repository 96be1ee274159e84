"""The child process, real files and their events."""

from __future__ import annotations

import asyncio

import pytest

from resolver.children import Ended, Share
from resolver.policy.policy import Policy
from resolver.publishing.compile_child import COMPILE_TIMEOUT_S, compile_in_child
from resolver.publishing.publisher import (
    Publisher,
)
from tests.support.publisher_rig import HEAD, Stage, entry


@pytest.mark.slow
def test_child_compiles_and_reports(stage: Stage) -> None:
    stage.write(entry("alpha"))
    compiled = asyncio.run(compile_in_child(stage.blocklist, stage.state / "images", True))
    assert compiled.image is not None and compiled.image.exists() and not compiled.problems
    stage.blocklist.write_text("exchanges: [")
    compiled = asyncio.run(compile_in_child(stage.blocklist, stage.state / "images", False))
    assert compiled.image is None and compiled.problems and not compiled.transient


@pytest.mark.parametrize("idle", [True, False])
def test_child_takes_idle_time_first_unless_somebody_waits_for_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, idle: bool
) -> None:
    started: list[Share] = []

    async def run_child(module: str, *_: str, timeout_s: float, share: Share = Share.IDLE) -> Ended:
        assert module == "resolver.publishing.compiler" and timeout_s == COMPILE_TIMEOUT_S
        started.append(share)
        return Ended(2, b"", b"Traceback\nlast words")

    monkeypatch.setattr("resolver.publishing.compile_child.run_child", run_child)
    monkeypatch.setattr("resolver.publishing.compile_child.run_child_when_idle", run_child)
    compiled = asyncio.run(compile_in_child(stage.blocklist, stage.state / "images", idle))
    assert started == [Share.IDLE if idle else Share.EQUAL]
    assert compiled.transient and "code 2: 'last words'" in compiled.problems[0].message


@pytest.mark.slow
def test_child_over_its_time_is_killed_and_may_be_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.write(entry("alpha"))
    monkeypatch.setattr("resolver.publishing.compile_child.COMPILE_TIMEOUT_S", 0.0)
    compiled = asyncio.run(compile_in_child(stage.blocklist, stage.state / "images", False))
    assert compiled.image is None and compiled.transient


def edit(stage: Stage, how: str, number: int) -> None:
    """Put `beta` in the place of `alpha`, each time anew."""
    if how == "in place":
        stage.write(entry("beta"))
    elif how == "symlink":
        version = stage.folder / f"w{number}"
        version.mkdir()
        (version / "blocklist.yaml").write_text(HEAD + entry("beta"))
        (stage.folder / "new").symlink_to(version.name)
        (stage.folder / "new").rename(stage.folder / "..data")
    else:
        other = stage.folder / "other.yaml"
        other.write_text(HEAD + entry("beta"))
        other.rename(stage.blocklist)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["in place", "rename", "symlink", "asked"])
def test_running_publisher_notices_every_way_of_editing(stage: Stage, how: str) -> None:
    stage.write(entry("alpha"))
    if how == "symlink":
        (stage.folder / "v1").mkdir()
        stage.blocklist.rename(stage.folder / "v1" / "blocklist.yaml")
        (stage.folder / "..data").symlink_to("v1")
        stage.blocklist.symlink_to("..data/blocklist.yaml")

    async def run() -> None:
        changed = asyncio.Event()

        def on_publish(policy: Policy) -> None:
            stage.published.append(policy)
            if policy.generation == 2:
                changed.set()

        publisher = Publisher(
            stage.blocklist,
            stage.state,
            stage.clock,  # Stands still, so only file events can tell.
            on_publish,
            wall=stage.clock.wall,
            compile_policy=stage.compile,
            watch=how != "asked",
        )
        await publisher.start()
        # The watcher starts in its own time, and an edit before that is `CHECK_S`'s business.
        for number in range(40):
            edit(stage, how, number)
            if how == "asked":
                publisher.reload()
            try:
                async with asyncio.timeout(1):
                    await changed.wait()
                break
            except TimeoutError:
                continue
        await publisher.close()

    asyncio.run(run())
    assert stage.blocks("beta")


def test_every_policy_put_in_force_is_told_for_the_record(stage: Stage) -> None:
    told: list[list[str]] = []

    async def play() -> None:
        publisher = stage.publisher()
        publisher._on_applied = lambda inputs, counts: told.append([entry.sha256 for entry in inputs])
        stage.write(entry("alpha"))
        await publisher.start()
        stage.write(entry("beta"))
        assert await publisher.reload_if_changed()
        assert await publisher.reload_if_changed(asked=True), "nothing changed"
        stage.write("  broken")
        assert not await publisher.reload_if_changed()
        await publisher.close()

    asyncio.run(play())
    assert len(told) == 2 and told[0] != told[1]


def test_a_restart_tells_what_serves_the_last_good_copy_too(stage: Stage) -> None:
    """The record knows that it is no news; how orders stand is wanted all the same."""
    told: list[list[str]] = []

    async def play() -> None:
        publisher = stage.publisher()
        publisher._on_applied = lambda inputs, counts: told.append([entry.sha256 for entry in inputs])
        await publisher.start()
        await publisher.close()

    stage.write(entry("alpha"))
    asyncio.run(play())
    asyncio.run(play())
    stage.write("  broken")
    asyncio.run(play())
    assert len(told) == 3 and told[0] == told[1] == told[2]
