"""Which files a command means, and how their problems are shown.

Knows: default paths, `file:line: message`.  Does not know: what is in the files.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from resolver.config.settings import DEFAULT_PATHS, Settings, load_settings
from resolver.problems import Problem, has_errors

NOT_ROOTS = (
    "left out: root takes settings only from a file and folders that are root's alone; use --config FILE"
)

EXIT_FINE = 0
EXIT_FINDINGS = 1
EXIT_BAD_INPUT = 2
EXIT_SERVES_ALREADY = 3
"""Of `run`: another server serves with this `state_dir`."""
EXIT_MAY_PASS = 75
"""EX_TEMPFAIL of sysexits(3): the machine is to blame, and trying again may help."""


class BadInput(Exception):
    """A file or an argument cannot be used; `problems` says why."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


def settings_path(config: Path | None) -> Path:
    """The settings file: the one given, else the first default that exists.  Raises BadInput."""
    if config is not None:
        return config
    left_out: list[Problem] = []
    for path in DEFAULT_PATHS:
        if path.exists():
            if is_trustworthy_here(path):
                print_problems(left_out)
                return path
            left_out.append(Problem(str(path), 0, NOT_ROOTS, "warning"))
    looked = " or ".join(map(str, DEFAULT_PATHS))
    message = f"no settings: there is no {looked}; use --config FILE"
    raise BadInput([*left_out, Problem(str(DEFAULT_PATHS[0]), 0, message)])


def _counts(path: Path) -> bool:
    return path.exists() and is_trustworthy_here(path)


def is_trustworthy_here(path: Path) -> bool:
    """Whether a file found where one happens to stand may be used unasked.

    Settings name files to read and folders to write to, so root does not take those of others: the file, its
    folder and the folder one stands in must be root's, and only root may write to them.
    """
    if path.is_absolute() or os.geteuid() != 0:
        return True
    return all(map(_only_root_writes, (path, *path.parents)))


def _only_root_writes(path: Path) -> bool:
    try:
        link, status = path.lstat(), path.stat()
    except OSError:
        return False
    others = stat.S_IWOTH | (stat.S_IWGRP if status.st_gid else 0)
    return link.st_uid == 0 and status.st_uid == 0 and not status.st_mode & others


def read_settings(config: Path | None) -> tuple[Settings, list[Problem]]:
    """The settings and their warnings.  Raises BadInput with all problems."""
    settings, problems = load_settings(settings_path(config))
    if settings is None:
        raise BadInput(problems)
    return settings, problems


def has_default_settings() -> bool:
    """Whether there are settings in one of the usual places."""
    return any(map(_counts, DEFAULT_PATHS))


def policy_path(config: Path | None, blocklist: Path | None) -> tuple[Path, Settings]:
    """The blocklist given, else the one the settings name; with the settings (or their defaults).

    Raises BadInput.
    """
    if blocklist is not None and config is None and not has_default_settings():
        return blocklist, Settings()
    settings, _ = read_settings(config)
    return blocklist or settings.blocklist, settings


def print_problems(problems: Iterable[Problem]) -> None:
    """One line each on standard error, as compilers do."""
    for problem in problems:
        print(problem, file=sys.stderr)


def bad_input(problems: Iterable[Problem], *, as_json: bool = False) -> int:
    """Print the problems, to programs on standard output; the exit code."""
    if as_json:
        print(json.dumps({"problems": problems_as_json(problems)}, indent=2))
    else:
        print_problems(problems)
    return EXIT_BAD_INPUT


def problems_as_json(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """For `--json`."""
    return [asdict(problem) for problem in problems]


def exit_code(problems: list[Problem], *, strict: bool) -> int:
    """2 for errors; with `strict`, 1 for warnings; else 0."""
    if has_errors(problems):
        return EXIT_BAD_INPUT
    return EXIT_FINDINGS if strict and problems else EXIT_FINE
