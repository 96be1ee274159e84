"""Child processes: how far they stand back, what they are handed, what is kept of them, how they end."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from resolver import __version__, children
from resolver.children import Ended, Share, run_child, run_child_when_idle

Says = Callable[[str], None]

STANDS = """
import json, os, sys
first = os.getpriority(os.PRIO_PROCESS, 0)
sys.stdin.read()  # Ours is closed once we were set back.
print(json.dumps([first, os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)]))
"""
HERE = os.getpriority(os.PRIO_PROCESS, 0)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Says:
    """Sets what every child runs."""
    command = children._command

    def says(text: str) -> None:
        def short(*_: str, share: Share) -> tuple[str, ...]:
            words = command("module", share=share)
            return (*words[: words.index(sys.executable)], sys.executable, "-S", "-c", text)

        monkeypatch.setattr(children, "_command", short)

    return says


def run(timeout_s: float = 20.0, *, share: Share = Share.NICE, job: bytes = b"") -> Ended:
    return asyncio.run(run_child("any", timeout_s=timeout_s, share=share, job=job))


@pytest.mark.slow
@pytest.mark.parametrize("has_nice", [True, False])
@pytest.mark.parametrize(
    ("share", "policy", "back", "first_back"),
    [
        (Share.EQUAL, os.SCHED_OTHER, 0, 0),
        (Share.NICE, os.SCHED_OTHER, children.NICE, children.NICE),
        (Share.IDLE, os.SCHED_IDLE, None, children.NICE_MAX),
    ],
)
def test_child_stands_back_from_its_first_instruction_on_where_there_is_nice(
    program: Says,
    monkeypatch: pytest.MonkeyPatch,
    has_nice: bool,
    share: Share,
    policy: int,
    back: int | None,
    first_back: int,
) -> None:
    if has_nice:
        assert shutil.which("nice"), "coreutils are not optional"
    else:
        monkeypatch.setattr("shutil.which", lambda _: None)
    program(STANDS)
    first, in_the_end, niceness = json.loads(run(share=share).output)
    assert in_the_end == policy
    if back is not None:
        assert niceness == min(HERE + back, children.NICE_MAX)
    if has_nice:
        assert first == min(HERE + first_back, children.NICE_MAX)


@pytest.mark.parametrize(
    ("share", "now", "words"),
    [
        (Share.NICE, 0, ("-n", "10")),
        (Share.NICE, 4, ("-n", "6")),
        (Share.NICE, 15, ()),
        (Share.IDLE, 10, ("-n", "9")),
        (Share.EQUAL, 10, ()),
    ],
)
def test_niceness_counts_from_the_start_of_the_server(
    monkeypatch: pytest.MonkeyPatch, share: Share, now: int, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(children, "_NICENESS_AT_START", 0)
    monkeypatch.setattr(children, "_own_niceness", lambda: now)
    monkeypatch.setattr("os.setpriority", lambda *_: None)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    nice = ("/bin/nice", *words) if words else ()
    assert children._command("a.module", "word", share=share) == (
        *nice,
        sys.executable,
        "-P",
        "-m",
        "a.module",
        "word",
    )


@pytest.mark.slow
def test_job_goes_in_and_both_streams_come_out_whole_though_only_so_much_is_kept(
    program: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "OUTPUT_OCTETS_MAX", 100_000)
    program(
        "import sys; job = sys.stdin.buffer.read(); sys.stderr.write('e' * 300_000 + '\\nlast words\\n');"
        "sys.stdout.buffer.write(job); sys.exit(3)"
    )
    ended = run(job=b"j" * 500_000)
    assert ended.code == 3 and ended.output == b"j" * 100_000 and ended.complaint == b"e" * 100_000


@pytest.mark.slow
def test_child_that_does_not_read_its_job_is_no_error(program: Says) -> None:
    program("import os; os.close(0); print('done')")
    assert run(job=b"j" * 1_000_000) == Ended(0, b"done\n", b"")


@pytest.mark.slow
@pytest.mark.timed
def test_child_over_its_time_is_killed(program: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def set_back(pid: int, _: Share) -> None:
        pids.append(pid)

    monkeypatch.setattr(children, "_set_back", set_back)
    program("import time; time.sleep(60)")
    with pytest.raises(TimeoutError):
        run(0.2)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize("is_cancelled", [True, False])
def test_child_that_does_not_die_is_not_waited_for_without_end(
    program: Says, monkeypatch: pytest.MonkeyPatch, is_cancelled: bool
) -> None:
    monkeypatch.setattr(children, "KILLED_S_MAX", 30.0 if is_cancelled else 0.1)
    monkeypatch.setattr(children, "CANCELLED_S_MAX", 0.1 if is_cancelled else 30.0)
    undead: list[asyncio.subprocess.Process] = []
    monkeypatch.setattr(asyncio.subprocess.Process, "kill", lambda child: undead.append(child))
    program("import time; time.sleep(20)")
    # Whoever gives up waiting cancels; a child's own time limit does not.
    patience_s, timeout_s = (0.3, 20.0) if is_cancelled else (4.0, 0.3)

    async def run_for_a_while() -> None:
        await asyncio.wait_for(run_child("any", timeout_s=timeout_s), patience_s)

    loop = asyncio.new_event_loop()
    began = loop.time()
    with pytest.raises(TimeoutError):
        loop.run_until_complete(run_for_a_while())
    assert loop.time() - began < 2.0
    os.kill(undead[0].pid, signal.SIGKILL)
    loop.run_until_complete(undead[0].wait())
    loop.close()


@pytest.mark.slow
@pytest.mark.parametrize("share", list(Share))
def test_child_that_cannot_be_started_says_so(monkeypatch: pytest.MonkeyPatch, share: Share) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/program")
    with pytest.raises(OSError, match="/no/such/program"):
        run(share=share)


def test_child_that_cannot_be_started_and_has_no_words_says_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = tmp_path / "nice"
    silent.write_text("#!/bin/sh\nexit 126\n")
    silent.chmod(0o755)
    monkeypatch.setattr(children, "_nice", lambda: str(silent))
    monkeypatch.setattr(children, "niceness", lambda _: children._own_niceness() + 1)
    with pytest.raises(OSError, match="exit code 126"):
        run(share=Share.NICE)


@pytest.mark.slow
@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_child_that_is_gone_before_its_job_is_written(
    program: Says, monkeypatch: pytest.MonkeyPatch, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    start = asyncio.create_subprocess_exec

    async def start_and_wait(*words: str, **more: Any) -> asyncio.subprocess.Process:
        child = await start(*words, **more)
        await child.wait()
        await asyncio.sleep(0.05)
        return child

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_and_wait)
    program("print('done')")
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        for job in (b"", b"j" * 1_000_000):
            ended = runner.run(run_child("any", timeout_s=20.0, job=job))
            assert ended == Ended(0, b"done\n", b"")


@pytest.mark.slow
def test_child_that_cannot_be_set_back_runs_as_it_is(program: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.sched_setscheduler", refuse)
    monkeypatch.setattr("os.setpriority", refuse)
    assert children._nice() is None, "nice(1) would end where it is refused"
    program("print('done')")
    assert [run(share=share).output for share in Share] == [b"done\n"] * 3


@pytest.mark.parametrize("is_ever_idle", [True, False])
def test_child_that_never_gets_idle_time_is_started_again_with_a_share(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_ever_idle: bool
) -> None:
    ran: list[tuple[Share, float | None, bytes]] = []

    async def run_child(
        *words: str, timeout_s: float, share: Share, job: bytes, starved_s: float | None = None
    ) -> Ended:
        assert words == ("module", "word")
        ran.append((share, starved_s, job))
        if share is Share.IDLE and not is_ever_idle:
            raise TimeoutError
        return Ended(0, b"", b"")

    monkeypatch.setattr(children, "run_child", run_child)
    caplog.set_level(logging.INFO)
    asyncio.run(run_child_when_idle("module", "word", timeout_s=600.0, job=b"job"))
    again = [] if is_ever_idle else [(Share.NICE, None, b"job")]
    assert ran == [(Share.IDLE, children.STARVED_S, b"job"), *again]
    assert ("not done as an idle process" in caplog.text) is not is_ever_idle


@pytest.mark.slow
def test_child_that_gets_no_cpu_is_over_long_before_its_time(program: Says) -> None:
    program("import time; time.sleep(60.0)")
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(run_child("any", timeout_s=60.0, starved_s=0.2))
    assert time.monotonic() - began < 40.0, "it was not its own time that ended it"


@pytest.mark.slow
def test_child_that_gets_its_share_may_take_its_time(program: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = itertools.count()
    monkeypatch.setattr(children, "_cpu_s", lambda _: next(looks) * 0.01)
    program("import sys, time; sys.stdin.read(); time.sleep(0.6); print('done')")
    assert asyncio.run(run_child("any", timeout_s=60.0, starved_s=0.05)).output == b"done\n"
    assert next(looks) > 3, "it was looked at"


def test_cpu_time_of_a_process_grows_and_of_none_is_nothing() -> None:
    before, used = children._cpu_s(os.getpid()), time.process_time()
    while time.process_time() < used + 0.05:
        pass
    assert children._cpu_s(os.getpid()) >= before + 0.03
    assert children._cpu_s(2**22 + 1) == 0.0


@pytest.mark.parametrize(
    ("complaint", "words"),
    [(b"", ""), (b"one\ntwo \n", "two"), (b"\xff" + b"x" * 500, "\ufffd" + "x" * 199)],
)
def test_last_words(complaint: bytes, words: str) -> None:
    assert Ended(1, b"", complaint).last_words() == words


@pytest.mark.parametrize("version", [__version__, "0.0.9"])
def test_a_child_of_another_version_ends_and_says_why(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "__version__", version)
    ended = asyncio.run(run_child("resolver.languages", timeout_s=60.0))
    if version == __version__:
        assert ended.code == 0, ended.complaint
    else:
        assert ended.code == 1
        expected = (
            f"the program on the disk is version {__version__}, and the server that runs is 0.0.9: restart it"
        )
        assert ended.last_words() == expected


def test_ctrl_c_ends_the_parent_and_leaves_the_end_of_its_children_to_it(program: Says) -> None:
    program("import os, signal, resolver; os.kill(os.getpid(), signal.SIGINT); print('went on')")
    assert run().output == b"went on\n"
