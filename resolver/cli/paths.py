"""The files and folders that settings name: are they there, and can they be used.

Knows: `blocklist`, `state_dir`, files of keys, the commands of `acknowledge`, the line of each in the
settings.  Does not know: what stands in the first two.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from pathlib import Path

from resolver.acknowledging.command import unsafe
from resolver.config.settings import Settings, key_line
from resolver.problems import Problem, show
from resolver.server.query_records import key_problems


def path_problems(config: Path, settings: Settings) -> dict[str, Problem]:
    """What is wrong with the paths in the settings file `config`, by key, each at the line that names it."""
    found = [
        ("blocklist", settings.blocklist, _blocklist_trouble(settings.blocklist)),
        ("state_dir", settings.state_dir, _state_dir_trouble(settings.state_dir)),
    ]
    problems = {}
    for key, path, trouble in found:
        if trouble is not None:
            message, is_error = trouble
            line = key_line(config, key)
            default = "" if line else " (the default)"
            text = f"{key}: {show(str(path))}{default} {message}"
            problems[key] = Problem(str(config), line, text, "error" if is_error else "warning")
    for place, message in key_problems(settings):
        key = ".".join(part for part in place if isinstance(part, str))
        problem = Problem(str(config), key_line(config, *place), f"{key}: {message}", "error")
        problems[".".join(map(str, place))] = problem
    return problems


def command_problems(config: Path, settings: Settings, lists: Collection[str] | None) -> list[Problem]:
    """What is wrong with `acknowledge`; `lists`: those of the policy, None: they are not known."""
    problems = []
    for name, wanted in settings.acknowledge.items():
        line = key_line(config, "acknowledge", name)
        if lists is not None and name not in lists:
            problems.append(
                Problem(str(config), line, f"acknowledge: the policy has no list {name}", "warning")
            )
        if why := unsafe(Path(wanted.command[0]), uid=_server_uid(settings.state_dir)):
            text = f"acknowledge.{name}: {show(wanted.command[0])} would not be run: {why}"
            problems.append(Problem(str(config), line, text))
    return problems


def _server_uid(state_dir: Path) -> int:
    """Whom the server runs as: the owner of its folder, as far as that is known here."""
    try:
        return state_dir.stat().st_uid
    except OSError:
        return os.geteuid()


def _blocklist_trouble(path: Path) -> tuple[str, bool] | None:
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        return f"cannot be read: {error.strerror}", True


def _state_dir_trouble(path: Path) -> tuple[str, bool] | None:
    """What keeps a server from writing there, and whether that is certain: it may run as somebody else."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return _parent_trouble(path.parent)
    except OSError as error:
        return f"cannot be used: {error.strerror}", True
    if not path.is_dir():
        return "is not a folder", True
    if status.st_uid != os.geteuid():
        if os.access(path, os.W_OK | os.X_OK):
            return None
        return "cannot be written by this user; the user that the server runs as must be able to", False
    try:
        with tempfile.NamedTemporaryFile(prefix=".check-", dir=path):
            return None
    except OSError as error:
        return f"cannot be written: {error.strerror}", True


def _parent_trouble(parent: Path) -> tuple[str, bool] | None:
    """What keeps a server from making a folder there."""
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    if not parent.is_dir():
        return f"cannot be made: {show(str(parent))} is not a folder", True
    if not os.access(parent, os.W_OK | os.X_OK):
        return f"does not exist, and this user cannot make it in {show(str(parent))}", False
    return None
