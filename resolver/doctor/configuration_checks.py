"""Checks of a configuration and what it left behind: files, modes, lists, engine, upstreams, a running
server.

Knows: what each answer of the others' checks means for an operator.  Does not know: how it is shown.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from resolver.doctor.finding import Finding, fine
from resolver.plurals import counted
from resolver.problems import Problem, printable

SECRET_BITS: Final = stat.S_IRWXO | stat.S_IWGRP
"""Modes that a file with a secret must not have: others must not read it, the group not write it."""
READY_PATH: Final = "/readyz"
PROBLEMS_SHOWN_MAX: Final = 5


_FINE: Final = {
    "settings": "every setting can be used",
    "paths": "the files and folders that the settings name are there and can be used",
    "policy": "the blocklist can be loaded",
}


def check_written(check: str, problems: Iterable[Problem], command: str) -> list[Finding]:
    """What is wrong with a file that people write; `command` shows all of it."""
    problems = list(problems)
    found = [
        Finding(check, "error" if problem.severity == "error" else "warning", str(problem), command)
        for problem in problems[:PROBLEMS_SHOWN_MAX]
    ]
    if len(problems) > PROBLEMS_SHOWN_MAX:
        what = f"{len(problems) - PROBLEMS_SHOWN_MAX:,} more problems"
        found.append(Finding(check, "warning", what, command))
    return found or fine(check, _FINE.get(check, "nothing is wrong"))


def check_secrets(secrets: Iterable[Path]) -> list[Finding]:
    """Whether files with secrets are readable by their owner (and group) alone."""
    found, count = [], 0
    for path in secrets:
        try:
            mode = path.stat().st_mode
        except OSError as error:
            what = f"{printable(str(path))} cannot be read: {error.strerror}"
            found.append(Finding("permissions", "error", what, f"ls -l {path}"))
            continue
        count += 1
        if mode & SECRET_BITS:
            what = f"{printable(str(path))} holds a secret, and others may read or change it"
            found.append(Finding("permissions", "error", what, f"chmod 600 {path}"))
    said = f"{counted(count, 'file')} with secrets: only owner and group can read" if count else "no secrets"
    return found or fine("permissions", said)


def check_state_dir(folder: Path, euid: int) -> list[Finding]:
    """Whether the state's folder is there, and nobody can put things into it who should not."""
    try:
        status = folder.stat()
    except FileNotFoundError:
        return [Finding("state", "fine", f"{folder} is made at the first start")]
    except OSError as error:
        return [
            Finding("state", "error", f"{folder} cannot be looked at: {error.strerror}", f"ls -ld {folder}")
        ]
    if not stat.S_ISDIR(status.st_mode):
        return [Finding("state", "error", f"{folder} is no folder", f"mv {folder} {folder}.old")]
    found = []
    if status.st_mode & stat.S_IWOTH:
        what = f"everybody may write to {folder}, where the policy in force stands"
        found.append(Finding("state", "error", what, f"chmod o-w {folder}"))
    if euid not in (0, status.st_uid):
        what = f"{folder} belongs to user {status.st_uid}, so not all of it can be looked at"
        found.append(Finding("state", "unknown", what, "sudo exchange-resolver doctor"))
    return found or fine("state", f"nobody but its owner can write to {folder}")


def check_lists(states: Iterable[tuple[str, str]]) -> list[Finding]:
    """Whether lists are fresh; `states`: name and what is the matter, empty: nothing."""
    states = list(states)
    found = [
        Finding("lists", "warning", f"list {name}: {problem}", f"exchange-resolver lists update {name}")
        for name, problem in states
        if problem
    ]
    return found or fine(
        "lists", f"{counted(len(states), 'list')}, all fresh" if states else "there are none"
    )


def check_engine(wanted: str, engine: str, why: str) -> list[Finding]:
    """Which engine will serve, and why not the fast one."""
    if engine == "native" or wanted == "python":
        return fine("engine", f"the {engine} engine serves")
    what = f"the Python engine serves, several times slower: {why}"
    return [Finding("engine", "warning", what, "pip install --upgrade exchange-resolver   # or: make engine")]


def check_upstreams(tried: Iterable[tuple[str, str, float | None]]) -> list[Finding]:
    """Whether upstreams answer; of each its name, what is the matter, and how long it took (seconds)."""
    tried = list(tried)
    failed = [(name, remark) for name, remark, _ in tried if remark]
    level = "error" if len(failed) == len(tried) else "warning"
    found = [
        Finding("upstreams", level, f"{name}: {remark}", "exchange-resolver upstreams test")  # type: ignore[arg-type]
        for name, remark in failed
    ]
    if not tried:
        return [Finding("upstreams", "unknown", "none was asked")]
    answered = ", ".join(
        f"{name} in {time_s * 1000:.0f} ms"
        for name, remark, time_s in tried
        if not remark and time_s is not None
    )
    return found or fine("upstreams", f"all answer: {answered}")


def check_server(status: int | None, body: str, url: str) -> list[Finding]:
    """What a running server says of itself at `url`; None: none answers, which is no fault by itself."""
    if status is None:
        return [Finding("server", "unknown", "no server answers at listen.http; it may not run yet")]
    if status in (401, 403):
        what = "a server answers, and tells strangers nothing of itself (http.metrics_token, http.client_ca)"
        return [Finding("server", "unknown", what, f"curl -H 'Authorization: Bearer TOKEN' {url}")]
    document: Any = None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        pass
    remarks = _remarks(document)
    if status == 200 and not remarks:
        return fine("server", "the running server is ready")
    level = "error" if status != 200 else "warning"
    return [
        Finding("server", level, f"the running server says: {said}", _MENDS.get(name, f"curl -s {url}"))  # type: ignore[arg-type]
        for name, said in (remarks or [("", f"status {status}")])
    ]


_MENDS: Final = {
    "filtering": "exchange-resolver resume",
    "policy": "exchange-resolver check",
    "certificates": "exchange-resolver check",
    "upstreams": "exchange-resolver upstreams test",
    "lists": "exchange-resolver lists update",
    "audit": "exchange-resolver audit",
    "clock": "timedatectl set-ntp true && timedatectl timesync-status",
}
"""A remark of the page -> the command that mends it, or says what to mend."""


def _remarks(document: object) -> list[tuple[str, str]]:
    """Whatever the page says is not as it should be: the remark's name, and all of it."""
    if not isinstance(document, Mapping):
        return []
    found: list[tuple[str, str]] = []
    for key in ("problems", "remarks", "reasons"):
        value = document.get(key)
        if isinstance(value, Mapping):
            found += [(str(name), f"{name}: {text}") for name, text in value.items() if text]
        elif isinstance(value, list):
            found += [("", str(one)) for one in value]
    return [(name, printable(text)[:300]) for name, text in found]
