"""Reloading: what is noticed, what is published, what stays in force."""

from __future__ import annotations

import errno
import logging
import os
from io import FileIO
from pathlib import Path

import pytest

from resolver.portions import open_regular
from resolver.publishing.image_store import IMAGES_KEPT_MAX, ImageStore
from resolver.publishing.publisher import (
    RETRY_S,
    Publisher,
)
from resolver.wire.names import name_from_text as n
from tests.support.publisher_rig import HEAD, Stage, entry, nothing, play


def test_changed_file_is_published_under_the_next_generation(stage: Stage) -> None:
    stage.write(entry("alpha"))

    async def story(publisher: Publisher) -> None:
        stage.write(entry("alpha"), entry("beta"))
        assert await publisher.reload_if_changed()
        assert stage.blocks("beta") and publisher.status.generation == 2
        assert publisher.status.successes == 2

    play(stage, story)


def test_unchanged_file_is_not_compiled_again(stage: Stage) -> None:
    stage.write(entry("alpha"))

    async def story(publisher: Publisher) -> None:
        assert not await publisher.reload_if_changed()
        assert stage.compiled == 1

    play(stage, story)


def test_asked_reload_of_the_same_content_keeps_the_generation(stage: Stage) -> None:
    stage.write(entry("alpha"))

    async def story(publisher: Publisher) -> None:
        assert await publisher.reload_if_changed(asked=True)
        assert stage.compiled == 2 and len(stage.published) == 1
        assert publisher.status.successes == 2

    play(stage, story)


def test_bad_file_keeps_the_old_policy_and_says_why(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.write(entry("alpha"))
    stage.number_in_history = 12

    async def story(publisher: Publisher) -> None:
        stage.write("  beta: {nam: Beta}\n")
        assert not await publisher.reload_if_changed()
        assert stage.blocks("alpha") and len(stage.published) == 1
        assert publisher.status.failures == 1 and publisher.status.serves_last_good
        assert not await publisher.reload_if_changed(), "a bad file is not tried again and again"
        assert stage.compiled == 2
        stage.write(entry("beta"))
        assert await publisher.reload_if_changed()
        assert stage.blocks("beta") and not publisher.status.serves_last_good

    play(stage, story)
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "generation 12 stays in force" in line.getMessage() and "blocklist.yaml:5" in line.getMessage()


def test_changed_list_file_is_published_and_a_new_list_is_followed(stage: Stage) -> None:
    stage.write(entry("alpha"))
    ads = stage.folder / "ads.txt"

    async def story(publisher: Publisher) -> None:
        ads.write_text("gamma.example\n")
        stage.touch(ads)
        stage.write(entry("alpha"), rest="lists: [{name: ads, path: ads.txt}]\n")
        assert await publisher.reload_if_changed() and stage.blocks("gamma")
        assert not await publisher.reload_if_changed()
        ads.write_text("delta.example\n")
        stage.touch(ads)
        assert await publisher.reload_if_changed() and stage.blocks("delta") and not stage.blocks("gamma")

    play(stage, story)


def test_missing_list_keeps_the_old_policy_until_it_appears(stage: Stage) -> None:
    stage.write(entry("alpha"))
    ads = stage.folder / "ads.txt"

    async def story(publisher: Publisher) -> None:
        stage.write(entry("alpha"), rest="lists: [{name: ads, path: ads.txt}]\n")
        assert not await publisher.reload_if_changed()
        ads.write_text("gamma.example\n")
        assert await publisher.reload_if_changed() and stage.blocks("gamma")

    play(stage, story)


def test_turned_symlink_is_a_change(stage: Stage) -> None:
    for label in ("one", "two"):
        stage.write(entry(label))
        (stage.folder / label).mkdir()
        stage.blocklist.rename(stage.folder / label / "blocklist.yaml")
    (stage.folder / "..data").symlink_to("one")
    stage.blocklist.symlink_to("..data/blocklist.yaml")

    async def story(publisher: Publisher) -> None:
        assert stage.blocks("one")
        (stage.folder / "new").symlink_to("two")
        (stage.folder / "new").rename(stage.folder / "..data")
        assert await publisher.reload_if_changed() and stage.blocks("two")

    play(stage, story)


def test_failure_that_is_not_the_files_fault_is_tried_again(stage: Stage) -> None:
    stage.write(entry("alpha"))

    async def story(publisher: Publisher) -> None:
        stage.failing = True
        stage.write(entry("beta"))
        assert not await publisher.reload_if_changed() and stage.blocks("alpha")
        stage.failing = False
        stage.clock.seconds += RETRY_S - 1
        assert not await publisher.reload_if_changed()
        stage.clock.seconds += 1
        assert await publisher.reload_if_changed() and stage.blocks("beta")

    play(stage, story)


def test_full_disk_at_the_note_still_publishes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.write(entry("alpha"))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def story(publisher: Publisher) -> None:
        note = (stage.state / "last-good.json").read_text()
        monkeypatch.setattr(ImageStore, "remember", fail)
        stage.write(entry("beta"))
        assert await publisher.reload_if_changed() and stage.blocks("beta")
        assert any("No space" in problem.message for problem in publisher.status.last_problems)
        assert (stage.state / "last-good.json").read_text() == note

    play(stage, story)


def test_old_images_and_leavings_of_killed_compilers_are_removed(stage: Stage) -> None:
    stage.write(entry("alpha"))

    async def story(publisher: Publisher) -> None:
        (stage.state / "images" / ".x.policy.0123abcd.new").write_text("half")
        for number in range(IMAGES_KEPT_MAX + 3):
            stage.write(entry(f"n{number}"))
            assert await publisher.reload_if_changed()

    play(stage, story)
    left = [path for path in (stage.state / "images").iterdir() if path.suffix != ".yaml"]
    assert len(left) == IMAGES_KEPT_MAX and stage.published[-1].image.path in left


def test_old_table_still_judges_after_its_image_is_removed(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    table = stage.published[0].everybody
    table.image.path.unlink()
    assert table.judge_name(n("x.alpha.example"), 0.0).is_blocked


def rewrite_unseen(stage: Stage, *entries: str) -> None:
    """Write a text of equal size in place, and set the time of modification back."""
    before = stage.blocklist.stat()
    stage.blocklist.write_text(HEAD + "".join(entries))
    os.utime(stage.blocklist, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = stage.blocklist.stat()
    assert (before.st_size, before.st_mtime_ns, before.st_ino) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ino,
    )


def let_the_files_clock_tick(path: Path) -> None:
    """Until a change of `path` gets a time of its own: file systems count in jiffies."""
    began = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == began:
        path.chmod(path.stat().st_mode)


def test_an_edit_of_equal_size_and_time_is_noticed(stage: Stage) -> None:
    stage.write(entry("alpha"))

    async def story(publisher: Publisher) -> None:
        assert not await publisher.reload_if_changed()
        let_the_files_clock_tick(stage.blocklist)
        rewrite_unseen(stage, entry("gamma"))
        assert await publisher.reload_if_changed() and stage.blocks("gamma")

    play(stage, story)


@pytest.mark.parametrize("name", ["blocklist.yaml", "ads.txt"])
def test_a_file_made_readable_again_is_loaded_at_the_next_look(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stage.write(entry("alpha"))
    path = stage.folder / name
    is_readable = True

    def open_if_readable(wanted: os.PathLike[str] | str) -> FileIO:
        if not is_readable and Path(wanted) == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return open_regular(wanted)

    # Root, which tests may run as, can read everything.
    for module in ("resolver.publishing.list_files", "resolver.config.yamlsource"):
        monkeypatch.setattr(f"{module}.open_regular", open_if_readable)

    async def story(publisher: Publisher) -> None:
        nonlocal is_readable
        (stage.folder / "ads.txt").write_text("delta.example\n")
        is_readable = False
        stage.write(entry("gamma"), rest="lists: [{name: ads, path: ads.txt}]\n")
        assert not await publisher.reload_if_changed() and stage.blocks("alpha")
        is_readable = True
        let_the_files_clock_tick(path)
        assert await publisher.reload_if_changed() and stage.blocks("gamma")

    play(stage, story)


@pytest.mark.parametrize("name", ["blocklist.yaml", "ads.txt"])
def test_a_read_error_is_tried_again_though_the_file_never_changes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stage.write(entry("alpha"))
    (stage.folder / "ads.txt").write_text("delta.example\n")
    is_broken = True

    def open_unless_broken(wanted: os.PathLike[str] | str) -> FileIO:
        if is_broken and Path(wanted).name == name:
            raise OSError(errno.EIO, "Input/output error")
        return open_regular(wanted)

    async def story(publisher: Publisher) -> None:
        nonlocal is_broken
        for module in ("resolver.publishing.list_files", "resolver.config.yamlsource"):
            monkeypatch.setattr(f"{module}.open_regular", open_unless_broken)
        stage.write(entry("gamma"), rest="lists: [{name: ads, path: ads.txt}]\n")
        assert not await publisher.reload_if_changed()
        is_broken = False
        assert not await publisher.reload_if_changed(), "not before its time"
        stage.clock.seconds += RETRY_S
        assert await publisher.reload_if_changed() and stage.blocks("gamma")

    play(stage, story)


def test_a_mounted_file_that_was_replaced_outside_is_noticed_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    # A descriptor keeps a file without a name, as a mount of a single file does.
    outside = stage.folder / "outside.yaml"
    outside.write_text(HEAD + entry("alpha"))
    descriptor = os.open(outside, os.O_RDONLY)
    stage.blocklist.symlink_to(f"/proc/self/fd/{descriptor}")

    async def story(publisher: Publisher) -> None:
        assert not publisher.status.replaced_outside
        outside.unlink()
        outside.write_text(HEAD + entry("beta"))
        await publisher.reload_if_changed()
        await publisher.reload_if_changed()
        assert list(publisher.status.replaced_outside) == [str(stage.blocklist)]
        assert stage.blocks("alpha")
        # Mounted anew: the path leads to the new file.
        stage.blocklist.unlink()
        stage.blocklist.symlink_to(outside)
        assert await publisher.reload_if_changed() and stage.blocks("beta")
        assert not publisher.status.replaced_outside

    play(stage, story)
    os.close(descriptor)
    assert caplog.text.count("replaced outside") == 1
