"""Commands: what they get, how they end, and which are not run."""

from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path

import pytest

from resolver.acknowledging.command import SUCCESS, Failure, Outcome, run_command, unsafe
from tests.loopback.process import poll

DOCUMENT = '{"list":"authority","added":[{"id":"ü\' $(id) `id`"}]}\n'.encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of ours in which nobody else may write, whatever is above it."""
    return tmp_path


def script(folder: Path, text: str) -> str:
    path = folder / "command"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def outcome_of(*words: str, timeout_s: float = 30.0) -> Outcome:
    return asyncio.run(run_command(words, DOCUMENT, timeout_s=timeout_s))


def test_the_document_comes_on_standard_input_octet_for_octet(folder: Path) -> None:
    got = folder / "got"
    assert outcome_of(script(folder, f"cat > {shlex.quote(str(got))}")) == SUCCESS
    assert got.read_bytes() == DOCUMENT


def test_no_shell_sees_the_arguments(folder: Path) -> None:
    got = folder / "got"
    words = script(folder, f'printf "%s\\n" "$@" > {shlex.quote(str(got))}'), "$(id)", "a b; c", "*"
    assert outcome_of(*words) == SUCCESS
    assert got.read_text().splitlines() == ["$(id)", "a b; c", "*"]


def test_it_has_nothing_of_our_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    got = folder / "got"
    assert (
        outcome_of(script(folder, f"env > {shlex.quote(str(got))}; pwd >> {shlex.quote(str(got))}"))
        == SUCCESS
    )
    told = got.read_text()
    assert "secret" not in told
    assert told.splitlines()[-1] == "/"


def test_one_that_does_not_read_its_document_may_succeed(folder: Path) -> None:
    words = (script(folder, "exit 0"),)
    assert asyncio.run(run_command(words, b"x" * 4_000_000, timeout_s=30)) == SUCCESS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo first >&2; echo 'no such account' >&2; exit 3", "exit code 3: no such account"),
        ("exit 1", "exit code 1"),
        ("kill -9 $$", "ended by signal 9"),
        ("printf '\\033[31mred\\n' >&2; exit 1", "exit code 1: \\x1b[31mred"),
    ],
)
def test_how_it_failed_is_told_in_words(folder: Path, text: str, words: str) -> None:
    assert outcome_of(script(folder, text)) == Outcome(Failure.EXIT, words)


@pytest.mark.slow
def test_one_that_takes_too_long_is_ended_with_all_that_it_started(folder: Path) -> None:
    pids = folder / "pids"
    text = f"trap '' TERM; sleep 60 & echo $! >> {shlex.quote(str(pids))}; echo $$ >> {shlex.quote(str(pids))}; wait"
    outcome = outcome_of(script(folder, text), timeout_s=1.0)
    assert outcome == Outcome(Failure.TIMEOUT, "not done in 1 s")
    # A process that was killed is gone a moment later.
    for pid in map(int, pids.read_text().split()):
        poll(lambda pid=pid: not is_running(pid), timeout_s=5.0, what=f"the end of {pid}")  # type: ignore[misc]


def test_what_it_leaves_running_keeps_nobody_waiting(folder: Path) -> None:
    # The one left holds standard error open.
    pid_file = folder / "pid"
    outcome = outcome_of(script(folder, f"sleep 60 & echo $! > {shlex.quote(str(pid_file))}; exit 0"))
    assert outcome == SUCCESS
    pid = int(pid_file.read_text())
    assert is_running(pid)
    os.kill(pid, 9)


def test_what_it_says_without_end_is_not_kept(folder: Path) -> None:
    outcome = outcome_of(script(folder, "yes error | head -c 3000000 >&2; exit 1"))
    assert outcome.failure is Failure.EXIT
    assert len(outcome.words) < 300


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("mode", [0o722, 0o707 | 0o020])
def test_a_file_that_others_may_write_is_not_run(folder: Path, mode: int) -> None:
    words = script(folder, f"touch {folder}/ran")
    if os.geteuid() == 0:
        os.chown(words, -1, 12_345)  # Of root's own group nobody is a stranger.
    Path(words).chmod(mode)
    outcome = outcome_of(words)
    assert outcome.failure is Failure.UNSAFE
    assert "can be written by others" in outcome.words
    assert not (folder / "ran").exists()


def test_a_file_in_a_folder_that_others_may_write_is_not_run(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    words = script(inner, "exit 0")
    inner.chmod(0o777)
    assert "inner can be written by others" in outcome_of(words).words
    inner.chmod(0o1777)
    assert outcome_of(words) == SUCCESS


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_strangers_file_is_not_run_by_root_nor_is_one_that_a_link_leads_to(folder: Path) -> None:
    words = script(folder, "exit 0")
    os.chown(words, 12_345, 12_345)
    link = folder / "link"
    link.symlink_to(words)
    for path in (words, str(link)):
        outcome = outcome_of(path)
        assert outcome.failure is Failure.UNSAFE and "belongs to somebody else" in outcome.words
    assert unsafe(Path(words), uid=12_345) == ""


def test_a_link_in_a_folder_that_others_may_write_is_not_followed(folder: Path) -> None:
    words = script(folder, f"touch {folder}/ran")
    loose = folder / "loose"
    loose.mkdir()
    (loose / "link").symlink_to(words)
    (folder / "outer").symlink_to(loose / "link")
    (folder / "there").symlink_to(loose)
    loose.chmod(0o777)
    for path in ("loose/link", "outer", "there/link", "there/../there/link"):
        assert "loose can be written by others" in outcome_of(str(folder / path)).words
    assert not (folder / "ran").exists()
    loose.chmod(0o755)
    for path in ("loose/link", "outer", "there/link", "there/../there/link"):
        assert outcome_of(str(folder / path)) == SUCCESS


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives links away")
def test_a_strangers_link_is_not_followed(folder: Path) -> None:
    link = folder / "link"
    link.symlink_to(script(folder, "exit 0"))
    os.chown(link, 12_345, 12_345, follow_symlinks=False)
    assert "link belongs to somebody else" in outcome_of(str(link)).words


def test_one_that_a_safe_link_leads_to_is_run_by_the_name_of_the_link(folder: Path) -> None:
    got = folder / "got"
    link = folder / "link"
    link.symlink_to(script(folder, f'echo "$0" > {shlex.quote(str(got))}'))
    assert outcome_of(str(link)) == SUCCESS
    assert got.read_text() == f"{link}\n"


def test_links_in_a_circle_are_told(folder: Path) -> None:
    (folder / "one").symlink_to(folder / "two")
    (folder / "two").symlink_to(folder / "one")
    assert "Too many levels" in outcome_of(str(folder / "one")).words


def test_what_cannot_be_run_says_so(folder: Path) -> None:
    assert "No such file" in outcome_of(str(folder / "nothing")).words
    assert "is not a file" in outcome_of(str(folder)).words
    plain = folder / "plain"
    plain.write_text("no program")
    plain.chmod(0o600)
    assert "is not executable" in outcome_of(str(plain)).words
    odd = folder / "odd"
    odd.write_bytes(b"\0\1\2")
    odd.chmod(0o700)
    assert outcome_of(str(odd)).failure is Failure.START
