"""The start rule, reloading, the last good copy, dates; on a fake clock, compiling in this process."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
from collections.abc import Awaitable, Callable
from io import FileIO
from ipaddress import IPv6Network
from pathlib import Path
from typing import Any

import pytest

from resolver.children import Ended, Share
from resolver.policy.image import FORMAT_VERSION, Image
from resolver.policy.policy import Policy, make_policy
from resolver.portions import open_regular
from resolver.problems import Problem
from resolver.publishing import publisher as publisher_module
from resolver.publishing.compile_child import COMPILE_TIMEOUT_S, compile_in_child
from resolver.publishing.compiled import Compiled
from resolver.publishing.compiler import compile_policy
from resolver.publishing.image_store import IMAGES_KEPT_MAX, ImageStore
from resolver.publishing.publisher import (
    CHECK_S,
    RETRY_S,
    Publisher,
    StartRefused,
)
from resolver.publishing.timetable import Timetable
from resolver.wire.carried_addresses import nat64_prefix
from resolver.wire.names import name_from_text as n

HEAD = """\
version: 1
orders:
  one: {authority: Court, title: Order, reference: "1/2", date: 2018-08-23, url: null, imposed_by: external}
exchanges:
"""
DAY_S = 86400.0


def entry(label: str, more: str = "") -> str:
    return f"  {label}: {{name: {label.title()}, order: one, domains: [{label}.example]{more}}}\n"


class Timer:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class HandClock:
    """A clock moved by hand; wall time runs beside it until it is set."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.wall_ahead = 1.6e9
        self.timers: list[tuple[float, Callable[[], None], Timer]] = []

    def now(self) -> float:
        return self.seconds

    def wall(self) -> float:
        return self.seconds + self.wall_ahead

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = Timer()
        self.timers.append((self.seconds + delay_s, callback, timer))
        return timer

    def advance(self, seconds: float) -> None:
        until = self.seconds + seconds
        while True:
            due = [t for t in self.timers if t[0] <= until and not t[2].is_cancelled]
            if not due:
                break
            first = min(due, key=lambda t: t[0])
            self.timers.remove(first)
            self.seconds = max(self.seconds, first[0])
            first[1]()
        self.seconds = until


class Stage:
    """A publisher with its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blocklist = folder / "blocklist.yaml"
        self.state = folder / "state"
        self.state.mkdir(exist_ok=True)
        self.clock = HandClock()
        self.published: list[Policy] = []
        self.compiled = 0
        self.failing = False
        self.serial = 0
        self.number_in_history = 0
        self.with_state = False

    def write(self, *entries: str, rest: str = "") -> None:
        self.blocklist.write_text(HEAD + "".join(entries) + rest)
        self.touch(self.blocklist)

    def touch(self, path: Path) -> None:
        """Two writes within one tick of the file system's clock are not what these tests are about."""
        self.serial += 1
        os.utime(path, ns=(self.serial * 10**9, self.serial * 10**9))

    async def compile(self, blocklist: Path, out: Path, idle: bool) -> Compiled:
        self.compiled += 1
        if self.failing:
            return Compiled(problems=[Problem("images", 0, "No space left on device")], transient=True)
        state_dir = self.state if self.with_state else None
        return compile_policy(blocklist, out, state_dir=state_dir, now=self.clock.wall())

    def publisher(self) -> Publisher:
        return Publisher(
            self.blocklist,
            self.state,
            self.clock,
            self.published.append,
            wall=self.clock.wall,
            compile_policy=self.compile,
            watch=False,
            number_in_history=lambda: self.number_in_history,
        )

    def blocks(self, label: str) -> bool:
        return self.published[-1].everybody.judge_name(n(f"{label}.example"), self.clock.now()).is_blocked


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def play(stage: Stage, story: Callable[[Publisher], Awaitable[None]]) -> None:
    """Start a publisher, run the story, close it."""

    async def run() -> None:
        publisher = stage.publisher()
        await publisher.start()
        try:
            await story(publisher)
        finally:
            await publisher.close()
        assert all(timer.is_cancelled for _, _, timer in stage.clock.timers)

    asyncio.run(run())


async def nothing(_: Publisher) -> None:
    """A story in which nothing happens."""


# The start rule.


def test_valid_blocklist_is_compiled_and_published_at_start(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    assert stage.blocks("alpha") and not stage.blocks("beta")
    assert [policy.generation for policy in stage.published] == [1]
    assert (stage.state / "last-good.json").exists()


def test_second_start_finds_its_image_and_compiles_nothing(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    play(stage, nothing)
    assert stage.compiled == 1 and len(stage.published) == 2 and stage.blocks("alpha")


def test_start_after_a_change_compiles_anew(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    stage.write(entry("beta"))
    play(stage, nothing)
    assert stage.blocks("beta") and not stage.blocks("alpha")


def test_invalid_blocklist_without_a_last_good_copy_refuses_to_start_with_every_problem(stage: Stage) -> None:
    stage.write("  a: {nam: A}\n", "  b: {action: nxdomian}\n")
    with pytest.raises(StartRefused) as refusal:
        play(stage, nothing)
    lines = {problem.line for problem in refusal.value.problems}
    assert {5, 6} <= lines and stage.published == []


def test_invalid_blocklist_at_start_serves_the_last_good_copy_loudly(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    stage.blocklist.write_text("exchanges: [")

    async def story(publisher: Publisher) -> None:
        assert stage.blocks("alpha")
        assert publisher.status.serves_last_good and publisher.status.failures == 1
        assert publisher.status.last_problems

    play(stage, story)
    assert "SERVING THE LAST GOOD COPY" in caplog.text


def test_last_good_copy_serves_when_the_blocklist_is_gone(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    stage.blocklist.unlink()
    play(stage, nothing)
    assert stage.blocks("alpha")


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "note"])
def test_damaged_last_good_copy_is_never_served(stage: Stage, damage: str) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    image = stage.published[-1].image.path
    image.with_suffix(".yaml").unlink()
    octets = bytearray(image.read_bytes())
    image.unlink()
    if damage == "truncate":
        image.write_bytes(octets[:-10])
    elif damage == "flip":
        octets[-10] ^= 1
        image.write_bytes(octets)
    elif damage == "note":
        image.write_bytes(octets)
        (stage.state / "last-good.json").write_text('{"key": ')
    stage.blocklist.write_text("exchanges: [")
    with pytest.raises(StartRefused):
        play(stage, nothing)
    assert len(stage.published) == 1


def test_damaged_image_of_an_unchanged_blocklist_is_compiled_anew(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    image = stage.published[-1].image.path
    image.chmod(0o644)
    image.write_bytes(image.read_bytes()[:-1])
    play(stage, nothing)
    assert stage.compiled == 2 and stage.blocks("alpha")


def make_older(stage: Stage) -> Path:
    """The image that served last becomes one of the older format, as an upgrade finds it."""
    note = stage.state / "last-good.json"
    fields = json.loads(note.read_text())
    image = stage.published[-1].image.path
    octets = bytearray(image.read_bytes())
    octets[8:12] = (FORMAT_VERSION - 1).to_bytes(4, "little")
    # An older program names it by its own format: the key is another one.
    older = image.with_name(f"{'0' * 40}.policy")
    older.write_bytes(octets)
    image.unlink()
    note.write_text(json.dumps({**fields, "key": older.stem}))
    return older


def test_start_after_an_upgrade_compiles_an_image_of_the_older_format_anew(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    make_older(stage)
    play(stage, nothing)
    assert stage.compiled == 2 and len(stage.published) == 2 and stage.blocks("alpha")
    assert stage.published[-1].image.path.stem != "0" * 40
    play(stage, nothing)
    assert stage.compiled == 2 and stage.blocks("alpha")


def test_older_image_is_named_where_nothing_can_be_compiled_after_an_upgrade(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    make_older(stage)
    stage.blocklist.write_text("exchanges: [")
    with pytest.raises(StartRefused) as refusal:
        play(stage, nothing)
    assert len(stage.published) == 1
    said = [str(problem) for problem in refusal.value.problems]
    assert any("last good copy" in text and f"format version {FORMAT_VERSION - 1}" in text for text in said)
    assert any("blocklist.yaml" in text for text in said)
    stage.failing = True
    stage.write(entry("alpha"))
    with pytest.raises(StartRefused, match="No space left"):
        play(stage, nothing)
    assert len(stage.published) == 1


# Reloading.


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


# Dates.


def test_coming_date_swaps_a_table_over_the_same_image(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stage.clock.wall_ahead = 1.6e9 - (1.6e9 % DAY_S) - 1000.0 + 12 * 3600  # Noon, 2020-09-13.
    stage.write(entry("alpha", ", from: 2020-09-14"), entry("beta", ", until: 2020-09-15"))

    async def story(publisher: Publisher) -> None:
        assert not stage.blocks("alpha") and stage.blocks("beta")
        stage.clock.advance(12 * 3600 - 1)
        assert len(stage.published) == 1
        stage.clock.advance(1)
        assert [policy.generation for policy in stage.published] == [1, 2]
        assert stage.blocks("alpha") and stage.compiled == 1
        assert stage.published[1].image is stage.published[0].image
        stage.clock.advance(DAY_S)
        assert publisher.status.generation == 3 and not stage.blocks("beta")

    play(stage, story)
    assert "judged again; in force from now on: alpha" in caplog.text
    assert "judged again; no longer in force: beta" in caplog.text


PREFIXES = (nat64_prefix(IPv6Network("2001:db8:64::/96")),)


def test_other_nat64_prefixes_swap_a_table_over_the_same_image(stage: Stage) -> None:
    stage.write(entry("alpha"))

    async def story(publisher: Publisher) -> None:
        publisher.judge_by(PREFIXES)
        publisher.judge_by(PREFIXES)
        assert [(policy.generation, policy.nat64_prefixes) for policy in stage.published] == [
            (1, ()),
            (2, PREFIXES),
        ]
        assert stage.published[1].image is stage.published[0].image
        assert stage.published[1].table_for(3).nat64_prefixes == PREFIXES
        stage.write(entry("beta"))
        assert await publisher.reload_if_changed()
        assert stage.published[-1].nat64_prefixes == PREFIXES

    play(stage, story)


def test_prefixes_that_come_while_a_policy_is_made_are_in_it_and_share_no_generation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.write(entry("alpha"))

    async def story(publisher: Publisher) -> None:
        loop = asyncio.get_running_loop()
        made: list[int] = []

        def make(*arguments: Any) -> Policy:
            if not made:
                asyncio.run_coroutine_threadsafe(found(), loop).result(10)
            made.append(arguments[1])
            return make_policy(*arguments)

        async def found() -> None:
            monkeypatch.undo()
            publisher.judge_by(PREFIXES)
            monkeypatch.setattr(publisher_module, "make_policy", make)

        monkeypatch.setattr(publisher_module, "make_policy", make)
        stage.write(entry("beta"))
        assert await publisher.reload_if_changed()
        assert [policy.generation for policy in stage.published] == [1, 2, 3]
        assert stage.published[-1].nat64_prefixes == PREFIXES and stage.blocks("beta")

    play(stage, story)


def test_prefixes_that_come_while_the_timetable_is_read_are_in_the_new_policy_and_share_no_generation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.write(entry("alpha"))

    async def story(publisher: Publisher) -> None:
        loop = asyncio.get_running_loop()

        async def found() -> None:
            publisher.judge_by(PREFIXES)

        def read(image: Image | None) -> Timetable:
            asyncio.run_coroutine_threadsafe(found(), loop).result(10)
            return Timetable(image)

        monkeypatch.setattr(publisher_module, "Timetable", read)
        stage.write(entry("beta"))
        assert await publisher.reload_if_changed()
        assert [policy.generation for policy in stage.published] == [1, 2, 3]
        assert stage.published[-1].nat64_prefixes == PREFIXES and stage.blocks("beta")

    play(stage, story)


def test_wall_clock_that_was_set_is_noticed_and_slewing_is_not(stage: Stage) -> None:
    stage.write(entry("alpha", ", from: 2030-01-01"))

    async def story(publisher: Publisher) -> None:
        stage.clock.wall_ahead += 0.5
        stage.clock.advance(CHECK_S)
        assert publisher.status.generation == 1 and not stage.blocks("alpha")
        stage.clock.wall_ahead += 20 * 365 * DAY_S
        stage.clock.advance(CHECK_S)
        assert publisher.status.generation == 2 and stage.blocks("alpha")

    play(stage, story)


def logged(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if words in record.getMessage()]


ORDERED = "exchanges:\n  alpha: {name: Alpha, order: two, domains: [alpha.example]}\n"


def ordered(stage: Stage, keys: str) -> None:
    """Write a blocklist of one exchange under one order with these keys."""
    head = f"version: 1\norders:\n  two: {{authority: Court, title: Order, {keys}}}\n"
    stage.blocklist.write_text(head + ORDERED)
    stage.touch(stage.blocklist)


def noon(stage: Stage) -> None:
    stage.clock.wall_ahead = 1.6e9 - (1.6e9 % DAY_S) - 1000.0 + 12 * 3600  # Noon, 2020-09-13.


def test_a_date_that_passes_is_one_log_line_and_one_entry_for_the_record(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    ordered(stage, "until: 2020-09-14")
    turns: list[float] = []

    async def story(publisher: Publisher) -> None:
        publisher._on_turn = lambda inputs, counts, turn: turns.append(turn.at)
        assert stage.blocks("alpha")
        stage.clock.advance(DAY_S)
        assert not stage.blocks("alpha")

    play(stage, story)
    assert turns == [1.6e9 - (1.6e9 % DAY_S) + DAY_S]
    [line] = logged(caplog, "has come")
    assert "ends: order two; not blocked any more: 1 exchange, 1 domain: alpha" in line
    [ahead] = logged(caplog, "in 1 day")
    assert "on 2020-09-14: ends: order two" in ahead


def test_an_order_that_changes_no_rule_is_told_on_its_day_all_the_same(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    stage.blocklist.write_text(
        "version: 1\norders:\n  two: {authority: C, title: T, until: 2020-09-14}\n"
        "exchanges:\n  alpha: {name: Alpha, domains: [alpha.example]}\n"
    )

    async def story(publisher: Publisher) -> None:
        stage.clock.advance(DAY_S)

    play(stage, story)
    assert len(logged(caplog, "has come: ends: order two; no exchange and no list opens")) == 1


def test_dates_that_passed_while_the_server_was_off_are_told_at_the_start(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    ordered(stage, "until: 2020-09-14")
    play(stage, nothing)
    caplog.clear()
    stage.clock.wall_ahead += 3 * DAY_S
    play(stage, nothing)
    assert len(logged(caplog, "2020-09-14 has come: ends: order two")) == 1
    caplog.clear()
    play(stage, nothing)
    assert logged(caplog, "has come") == []


def test_an_announcement_is_made_once_over_restarts(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    noon(stage)
    ordered(stage, "until: 2020-09-20")
    for _ in range(2):
        play(stage, nothing)
    assert len(logged(caplog, "in 7 days, on 2020-09-20")) == 1


def test_a_board_whose_clock_starts_in_1970_does_not_start_open(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    noon(stage)
    ordered(stage, "from: 2020-09-13")
    play(stage, nothing)
    stage.clock.wall_ahead = 0.0

    async def story(publisher: Publisher) -> None:
        assert stage.blocks("alpha") and "1970-01-01" in publisher.dates.wall.remark()
        # That time goes on, and the right one is believed when it comes.
        stage.clock.advance(DAY_S)
        assert stage.blocks("alpha")
        stage.clock.wall_ahead = 1.6e9 + 10 * DAY_S
        stage.clock.advance(CHECK_S)
        assert stage.blocks("alpha") and publisher.dates.wall.remark() == ""

    play(stage, story)


def test_a_clock_before_the_program_was_built_is_not_believed(stage: Stage) -> None:
    ordered(stage, "from: 2020-01-01")
    stage.clock.wall_ahead = 0.0

    async def run() -> None:
        publisher = Publisher(
            stage.blocklist,
            stage.state,
            stage.clock,
            stage.published.append,
            wall=stage.clock.wall,
            compile_policy=stage.compile,
            watch=False,
            earliest=1.6e9,
        )
        await publisher.start()
        await publisher.close()

    asyncio.run(run())
    assert stage.blocks("alpha")


def test_a_clock_that_leaps_ahead_and_back_is_not_held_to_its_mistake(stage: Stage) -> None:
    noon(stage)
    ordered(stage, "until: 2021-01-01")

    async def story(publisher: Publisher) -> None:
        stage.clock.wall_ahead += 3650 * DAY_S
        stage.clock.advance(CHECK_S)
        assert not stage.blocks("alpha")
        stage.clock.wall_ahead -= 3650 * DAY_S
        stage.clock.advance(CHECK_S)
        assert stage.blocks("alpha") and publisher.dates.wall.remark() == ""

    play(stage, story)


def test_an_exception_that_ends_stops_within_a_second_without_a_reload(stage: Stage) -> None:
    noon(stage)
    stage.write(entry("alpha"), rest="allow: [{name: shop.alpha.example, through: 2020-09-13}]\n")

    def passes() -> bool:
        table = stage.published[-1].everybody
        return not table.judge_name(n("shop.alpha.example"), stage.clock.now()).is_blocked

    async def story(publisher: Publisher) -> None:
        stage.clock.advance(12 * 3600 - 1)
        assert passes()
        stage.clock.advance(1)
        assert not passes() and stage.compiled == 1

    play(stage, story)


def test_the_reloads_log_says_what_is_not_blocked_any_more(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.write(entry("alpha"), entry("beta"))

    async def story(publisher: Publisher) -> None:
        stage.write(entry("alpha"))
        stage.with_state = True
        assert await publisher.reload_if_changed()

    play(stage, story)
    [line] = logged(caplog, "blocked now are not blocked after this")
    assert line == ("new policy in force: 1 exchange, 1 domain blocked now are not blocked after this: beta")


# The real thing.


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
