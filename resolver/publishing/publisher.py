"""Keeps the policy in force up to date: start rule, watching, compiling, swapping, dates.

Knows: the event loop, the child process, what wall time means for the policy in force (it is handed the
clock).  Does not know: how names are judged, how anything is answered.

Theory of operation.  One worker does one thing at a time: something may have changed (a file event, a
stamp that differs, SIGHUP), so compile in a child, check what it made in a thread, swap one reference.
Whatever fails on the way leaves the old policy serving, and is said in the log and in `status`.
Watching tells the worker early; every `CHECK_S` the files' stamps are compared all the same, so
file systems that report nothing are only slower.  Events are never believed: stamps are.

Dates: a policy is true for its moment.  At the next `from` or `until`, or when the wall clock was set,
a new one is made over the same image, under a new generation.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from resolver.clock import BootMoment, Clock, TimerHandle, boot_moment
from resolver.plurals import counted
from resolver.policy.image import Image, ImageUnusable
from resolver.policy.policy import Policy, make_policy
from resolver.problems import Problem
from resolver.publishing.approvals import content_hash
from resolver.publishing.believed import BelievedClock
from resolver.publishing.compile_child import compile_in_child, compile_text_in_child
from resolver.publishing.compiled import Compiled, InputFile, edited_files
from resolver.publishing.dates_keeper import DatesKeeper
from resolver.publishing.image_store import (
    ImageStore,
    LastGood,
    Stamp,
    open_image,
    replaced_outside,
    serial_after,
    stamps_as_read,
    stamps_of,
)
from resolver.publishing.pause_keeper import PauseKeeper
from resolver.publishing.served_files import ServedFiles
from resolver.publishing.status import PROBLEMS_LOGGED_MAX, PublisherStatus, StartRefused, log_success
from resolver.publishing.timetable import Timetable, Turn
from resolver.publishing.watching import watch_files
from resolver.wire.carried_addresses import Nat64Prefix

CHECK_S = 5.0
"""How often stamps and the wall clock are compared: a reload without file events waits this long."""
CLOCK_JUMP_S = 1.0
"""A wall clock that moved this much against the monotonic one was set, not slewed."""
RETRY_S = 60.0
"""After a failure that may pass without a change of the files (no space, a read error, child killed)."""
log = logging.getLogger("resolver.policy")

Compile = Callable[[Path, Path, bool], Awaitable[Compiled]]
"""Compiles (blocklist, into folder, only in idle time); never raises."""
CompileText = Callable[[Path, Path, Path], Awaitable[Compiled]]
"""Compiles (blocklist, into folder, with the text in this file in its place), which served; never raises."""


class Publisher:
    """Publishes policies through `on_publish`, from `start` until `close`."""

    def __init__(
        self,
        blocklist_path: Path,
        state_dir: Path,
        clock: Clock,
        on_publish: Callable[[Policy], None],
        *,
        wall: Callable[[], float],
        compile_policy: Compile | None = None,
        compile_text: CompileText | None = None,
        watch: bool = True,
        on_applied: Callable[[list[InputFile], dict[str, Any]], None] | None = None,
        on_turn: Callable[[list[InputFile], dict[str, Any], Turn], None] | None = None,
        number_in_history: Callable[[], int] = lambda: 0,
        earliest: float = 0.0,
        clock_is_set: Callable[[], bool] = lambda: False,
        nat64_prefixes: tuple[Nat64Prefix, ...] = (),
        boot: Callable[[], BootMoment] = boot_moment,
    ) -> None:
        """`watch` False: files are only compared when asked and every `CHECK_S`.

        `on_applied`: called with the files and the counts of each policy put in force, for the record.
        `on_turn`: called with the same and each date that passed, for the record.
        `earliest`: a wall clock that says less is not believed (Unix seconds).
        `clock_is_set`: whether a time service sets the wall clock.
        `number_in_history`: under which number the policy in force is recorded; 0: not known.
        `nat64_prefixes`: those of the network, until `judge_by` names others.
        `boot`: the clock that nobody can set.
        """
        self.status = PublisherStatus()
        self.policy: Policy | None = None
        self._blocklist = blocklist_path
        self._store = ImageStore(state_dir)
        self._held = ServedFiles(self._store)
        self._state_dir = state_dir
        self._clock = clock
        believed = BelievedClock(wall, clock.now, earliest, clock_is_set)
        self.dates = DatesKeeper(state_dir, believed, clock.now)
        self.pausing = PauseKeeper(state_dir, wall, boot)
        self._wall: Callable[[], float] = self.dates.wall
        self._inputs: list[InputFile] = []
        self._on_turn = on_turn
        self._on_publish = on_publish
        self._compile = compile_policy or compile_in_child
        self._compile_text = compile_text or compile_text_in_child
        self._watch = watch
        self._on_applied = on_applied
        self._number_in_history = number_in_history
        self._nat64_prefixes = nat64_prefixes
        self._key = ""
        self._image: Image | None = None
        """What is in force when nothing is paused."""
        self._paths: tuple[str, ...] = (str(blocklist_path),)
        self._stamps: dict[str, Stamp] = {}
        self._offset = 0.0
        self._wanted = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._paths_changed = asyncio.Event()
        self._asked = False
        self._retry_at: float | None = None
        self._check_timer: TimerHandle | None = None
        self._boundary_timer: TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> Policy:
        """Publish the first policy, then keep watching.  Raises `StartRefused`.

        The image of unchanged files is taken from disk.  A blocklist with errors is fatal, unless a
        last good copy is there: that serves, loudly.
        """
        told_until = await self.dates.read()
        note = await asyncio.to_thread(self._store.last_good)
        self._stamps = await asyncio.to_thread(stamps_of, note.paths if note else self._paths)
        self._heed_replaced(self._stamps)
        # By what served then, before anything else does; where that is lost, by what serves now.
        told_until = await self._tell_missed(note, told_until)
        await self.pausing.look()
        image = None
        if note is not None:
            image = await asyncio.to_thread(self._store.open_if_current, self._blocklist, note)
        if note is not None and image is not None:
            self.status.last_attempt = self.status.last_success = self._wall()
            self.status.successes += 1
            await self._follow(note.paths, note.inputs)
            await self._publish(image, note.key, note.inputs)
            self._tell_applied(list(note.inputs))
        elif not await self._attempt(idle=False):
            await self._serve_last_good(note)
        assert self.policy is not None
        if told_until:
            wall, _ = self.policy.made_at
            turns = self.dates.tell(told_until, wall, leapt=self.dates.leaps(told_until, wall))
            self._record(turns, self._inputs, self.policy.everybody.counts)
        self._tasks.append(asyncio.create_task(self._work(), name="policy-publisher"))
        if self._watch:
            watching = watch_files(
                lambda: (*self._paths, str(self.pausing.path)),
                self._paths_changed,
                self._wanted,
                f"compared every {CHECK_S:g} s instead",
            )
            self._tasks.append(asyncio.create_task(watching, name="policy-watcher"))
        self._check_timer = self._clock.call_later(CHECK_S, self._check)
        self.dates.announce()
        return self.policy

    def reload(self) -> None:
        """Compile and publish, whether or not a file changed (SIGHUP); returns at once."""
        self._asked = True
        self._wanted.set()

    async def close(self) -> None:
        """Stop watching; a compilation under way is killed."""
        for timer in (self._check_timer, self._boundary_timer):
            if timer is not None:
                timer.cancel()
        self._check_timer = self._boundary_timer = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.dates.close()
        self._held.close()

    async def reload_if_changed(self, *, asked: bool = False) -> bool:
        """Reload when a file differs from what was last tried, or when `asked`; whether it did and took.

        A pause that begins or ends is heeded first: it needs no reload.
        """
        async with self._one_at_a_time:
            await self._heed_pause()
            now = await asyncio.to_thread(stamps_of, self._paths)
            self._heed_replaced(now)
            due = self._retry_at is not None and self._clock.now() >= self._retry_at
            if not (asked or due or now != self._stamps):
                return False
            self._stamps = now
            return await self._attempt(idle=True)

    # Compiling and swapping.

    async def _attempt(self, *, idle: bool) -> bool:
        """Compile, check, publish; on any failure keep what serves, and say why."""
        self._retry_at = None
        self.status.last_attempt = self._wall()
        await self._put_back()
        compiled = await self._compile(self._blocklist, self._store.images, idle)
        problems = list(compiled.problems)
        if compiled.paths:
            await self._follow(tuple(compiled.paths), tuple(compiled.inputs))
        image = None
        if compiled.image is not None:
            try:
                if compiled.key == self._key and self._image is not None:
                    image = self._image
                else:
                    image = await asyncio.to_thread(open_image, compiled.image)
            except ImageUnusable as error:
                problems.append(Problem(str(compiled.image), 0, str(error)))
                compiled.transient = True
        self.status.last_problems = tuple(problems)
        if image is None:
            self._note_failure(problems, transient=compiled.transient)
            return False
        self.status.successes += 1
        self.status.last_success = self._wall()
        self.status.serves_last_good = False
        if compiled.key != self._key:
            await self._publish(image, compiled.key, compiled.inputs)
            await self._remember(compiled)
            self._tell_applied(compiled.inputs)
            assert self.policy is not None
            log_success(log, self.policy.everybody.counts, problems, compiled.losses)
        else:
            log.info("blocklist reloaded: nothing changed, %s stays in force", self._policy_in_force())
        return True

    def _note_failure(self, problems: list[Problem], *, transient: bool) -> None:
        self.status.failures += 1
        self.status.serves_last_good = True
        if transient:
            self._retry_at = self._clock.now() + RETRY_S
        errors = [problem for problem in problems if problem.severity == "error"]
        log.error(
            "blocklist not loaded, %s: %s: %s",
            f"{self._policy_in_force()} stays in force" if self.policy else "nothing is served yet",
            counted(len(errors), "error"),
            "; ".join(map(str, errors[:PROBLEMS_LOGGED_MAX])),
        )

    def _policy_in_force(self) -> str:
        """What people call it: by its number in the history, the only one that they see."""
        number = self._number_in_history()
        return f"generation {number}" if number else "the policy before it"

    async def _put_back(self) -> None:
        try:
            if await asyncio.to_thread(self._held.put_back):
                log.warning("%s had lost files of the policy in force: they are put back", self._state_dir)
        except OSError as error:
            log.warning("%s: the files of the policy in force cannot be put back: %s", self._state_dir, error)

    async def _serve_last_good(self, note: LastGood | None) -> None:
        """Serve what served last, or refuse to start."""
        image = None
        if note is not None:
            try:
                image = await asyncio.to_thread(open_image, self._store.path_of(note.key))
            except ImageUnusable as error:
                self.status.last_problems += (Problem(str(self._state_dir), 0, f"last good copy: {error}"),)
                note, image = await self._compile_last_good(note)
        if note is None or image is None:
            raise StartRefused(list(self.status.last_problems))
        await self._publish(image, note.key, note.inputs)
        self._tell_applied(list(note.inputs))
        log.error(
            "SERVING THE LAST GOOD COPY: %s is not in force; correct it, it is loaded when it changes",
            self._blocklist,
        )

    async def _compile_last_good(self, note: LastGood) -> tuple[LastGood, Image | None]:
        """Make the image of the text that served last anew: the old one is damaged, or of another format."""
        text = self._store.text_path_of(note.key)
        if not text.exists():
            return note, None
        compiled = await self._compile_text(self._blocklist, self._store.images, text)
        if compiled.image is None or compiled.inputs[0].sha256 != note.inputs[0].sha256:
            self.status.last_problems += tuple(compiled.problems)
            return note, None
        try:
            image = await asyncio.to_thread(open_image, compiled.image)
        except ImageUnusable as error:
            self.status.last_problems += (Problem(str(compiled.image), 0, str(error)),)
            return note, None
        await self._remember(compiled)
        return LastGood(compiled.key, tuple(compiled.inputs), self._paths), image

    async def _remember(self, compiled: Compiled) -> None:
        inputs = tuple(compiled.inputs)
        try:
            before = await asyncio.to_thread(self._store.last_good)
            note = LastGood(
                compiled.key,
                inputs,
                self._paths,
                serial_after(before, self._state_dir, inputs),
                tuple(compiled.granted),
            )
            self._held.noted(note)
            await asyncio.to_thread(self._store.remember, note)
        except OSError as error:
            problem = Problem(str(self._state_dir), 0, f"cannot note the last good copy: {error}", "warning")
            self.status.last_problems += (problem,)
            log.warning("%s", problem)
            return
        await asyncio.to_thread(self._store.prune, compiled.key)

    def _tell_applied(self, inputs: list[InputFile]) -> None:
        if self._on_applied is not None and self.policy is not None:
            self._on_applied(inputs, self.policy.everybody.counts)

    async def _publish(self, image: Image, key: str, inputs: Iterable[InputFile]) -> None:
        """Make the policy where it stalls nobody, then swap it in."""
        timetable = await asyncio.to_thread(Timetable, image)
        await asyncio.to_thread(self._held.hold, image, key, inputs := list(inputs), self._paths)
        judged = await self.pausing.image_for(image, self._wall())
        while True:
            generation, prefixes = self.status.generation + 1, self._nat64_prefixes
            policy = await asyncio.to_thread(
                make_policy, judged, generation, wall := self._wall(), now := self._clock.now(), prefixes
            )
            # Meanwhile a date may have come, or other prefixes: no two policies share a generation.
            # Nothing is awaited from here to the swap, or it would be so again.
            if self.status.generation + 1 == generation and self._nat64_prefixes == prefixes:
                break
        self.dates.timetable = timetable
        self._image, self._key, self._inputs = image, key, inputs
        self.status.content = content_hash(edited_files(self._state_dir, self._inputs))
        self._swap(policy, wall - now)
        self.pausing.is_swapped = True
        self.dates.keep(wall)

    async def heed_pause(self) -> None:
        """Put in force now what `pause.json` says."""
        async with self._one_at_a_time:
            await self._heed_pause()

    async def _heed_pause(self) -> None:
        """Put in force what a pause that begins or ends makes of the same policy."""
        if await self.pausing.look() and self._image is not None:
            await self._publish(self._image, self._key, self._inputs)
            self._tell_applied(self._inputs)

    def _swap(self, policy: Policy, offset: float) -> None:
        self.policy = policy
        self._offset = offset
        self.status.generation = policy.generation
        self.status.image = policy.image.path
        self._on_publish(policy)
        if not policy.everybody.is_filtering:
            log.warning("THE POLICY IN FORCE BLOCKS NOTHING: no exchange and no list in it is enforced")
        self._await_boundary()

    # Dates.

    def _await_boundary(self) -> None:
        if self._boundary_timer is not None:
            self._boundary_timer.cancel()
            self._boundary_timer = None
        assert self.policy is not None
        delay_s = self._next_boundary() - self._wall()
        # Farther ones are met by `_check`, which sees the wall clock move as it really does.
        if delay_s <= 2 * CHECK_S:
            self._boundary_timer = self._clock.call_later(max(0.0, delay_s), self.heed_dates)

    def _next_boundary(self) -> float:
        """Wall time at which something begins or ends next, be it an order that changes no rule."""
        assert self.policy is not None
        return min(self.policy.next_boundary, self.dates.timetable.next_after(self.policy.made_at[0]))

    def heed_dates(self) -> None:
        """Publish a new policy over the same image when a date came, or the wall clock was set."""
        assert self.policy is not None
        wall, now = self._wall(), self._clock.now()
        jumped = abs(wall - now - self._offset) >= CLOCK_JUMP_S
        if jumped or wall >= self._next_boundary():
            if jumped:
                log.warning("the wall clock moved by %.1f s: dates judged again", wall - now - self._offset)
                self.pausing.doubt()
                self._wanted.set()
            before, _ = self.policy.made_at
            self._swap(self._remade(wall, now), wall - now)
            leapt = jumped and self.dates.leaps(before, wall)
            turns = self.dates.tell(before, wall, leapt=leapt)
            self._record(turns, self._inputs, self.policy.everybody.counts)
            if self.pausing.until:
                self._wanted.set()  # It may have been the end of the pause.
            if not jumped:
                self.dates.keep(wall)
        else:
            self._await_boundary()
        # A clock that leapt ahead by mistake must not be what it is held to afterwards.
        self.dates.heed_clock(was_set=jumped)
        self.dates.announce()

    async def _tell_missed(self, note: LastGood | None, told_until: float) -> float:
        """Say what began and ended while no server ran, by what served then; until when it is said."""
        if note is None or not told_until:
            return told_until
        try:
            image = await asyncio.to_thread(open_image, self._store.path_of(note.key))
            timetable = await asyncio.to_thread(Timetable, image)
        except ImageUnusable:
            return told_until
        leapt = self.dates.leaps(told_until, wall := self._wall())
        turns = self.dates.tell(told_until, wall, leapt=leapt, timetable=timetable)
        inputs, counts = list(note.inputs), image.meta["counts"]
        if turns and self._on_applied is not None:
            # Killed before it was recorded, perhaps: then its dates are about nothing.
            self._on_applied(inputs, counts)
        self._record(turns, inputs, counts)
        return wall

    def _record(self, turns: Iterable[Turn], inputs: list[InputFile], counts: dict[str, Any]) -> None:
        """Give what began and what ended for the record."""
        for turn in turns:
            if self._on_turn is not None:
                self._on_turn(inputs, counts, turn)

    def _remade(self, wall: float, now: float) -> Policy:
        """A new policy over the same image; costs a few objects for each rule class."""
        assert self.policy is not None
        return make_policy(self.policy.image, self.status.generation + 1, wall, now, self._nat64_prefixes)

    def wake(self) -> None:
        """Look at the files now, as at whatever event; returns at once."""
        self._wanted.set()

    def judge_anew(self) -> None:
        """Publish the same policy under a new generation: answers kept under the old one are not given."""
        if self.policy is not None:
            self._swap(self._remade(*self.policy.made_at), self._offset)

    def judge_by(self, nat64_prefixes: tuple[Nat64Prefix, ...]) -> None:
        """Judge addresses by these prefixes of the network from now on, what was judged before included."""
        if nat64_prefixes == self._nat64_prefixes:
            return
        self._nat64_prefixes = nat64_prefixes
        if self.policy is not None:
            # As of the same moment: dates that came meanwhile are `heed_dates`' to find and to tell.
            self._swap(self._remade(*self.policy.made_at), self._offset)

    def _check(self) -> None:
        """Every `CHECK_S`: dates, and stamps of files whose changes nobody reported."""
        self._check_timer = self._clock.call_later(CHECK_S, self._check)
        self.heed_dates()
        self._wanted.set()

    # Watching.

    async def _follow(self, paths: tuple[str, ...], inputs: tuple[InputFile, ...]) -> None:
        """From now on these files count, and `inputs` is what was read of them."""
        new = tuple(path for path in paths if path not in self._stamps)
        stamps = {**self._stamps, **await asyncio.to_thread(stamps_as_read, new, inputs)}
        self._stamps = {path: stamps[path] for path in paths}
        if paths != self._paths:
            self._paths = paths
            self._paths_changed.set()

    def _heed_replaced(self, stamps: Mapping[str, Stamp]) -> None:
        """Say which files of ours somebody replaced where we cannot see it."""
        replaced = replaced_outside(stamps)
        if replaced != self.status.replaced_outside:
            self.status.replaced_outside = replaced
            for path in replaced:
                log.error(
                    "%s is mounted here as a single file, and was replaced outside: what is edited there is "
                    "not seen until it is mounted anew; mount its folder instead",
                    path,
                )

    async def _work(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            asked, self._asked = self._asked, False
            try:
                await self.reload_if_changed(asked=asked)
            except Exception:
                # The policy that serves must outlive whatever befalls its successor.
                self.status.failures += 1
                log.exception("reload failed, %s stays in force", self._policy_in_force())
