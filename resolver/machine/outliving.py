"""Whether a process that this one starts goes on when this one ends.

Knows: /proc, what containers are started with.  Does not know: why anybody wants to.
Theory: a container ends with its process 1, and with it every process in it.  Process 1 may be the server; or
one that starts the server, waits for its end and ends too: tini, what `docker run --init` and `podman run
--init` put there, an entry script.  The init of a machine, or of a container that is run like one, ends with
nobody.  Who was started otherwise (by an earlier process of the server, by a person in a container that runs)
has a parent that does not lead there by shells alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

PROCESSES: Final = Path("/proc")

MACHINES_NAMESPACE: Final = "pid:[4026531836]"
"""The namespace of processes that the machine itself has (PROC_PID_INIT_INO of the kernel)."""

MACHINE_INITS: Final = frozenset(
    ("systemd", "init", "openrc-init", "runit", "s6-svscan", "procd", "supervisord")
)
"""Programs that are process 1 and start what ends again."""

CONTAINER_INITS: Final = frozenset(
    ("tini", "tini-static", "docker-init", "podman-init", "catatonit", "dumb-init")
)
"""Programs that start one process, and end with it."""

SHELLS: Final = frozenset(("sh", "ash", "bash", "busybox", "dash", "ksh", "zsh"))
"""Process 1 of an image with an entry script; it ends with the last command."""

ANCESTORS_MAX: Final = 16


def who_ends_with(pid: int, processes: Path = PROCESSES) -> str:
    """The process of a container that ends when process `pid` does, and all others with it; empty: none.

    Asked at a start: who has lost its parent since has another one.
    """
    if pid == 1:
        return "" if _is_machines(processes) else "this is process 1 of its container"
    for _ in range(ANCESTORS_MAX):
        pid = _parent_of(pid, processes)
        name = _text(processes / str(pid) / "comm").strip()
        if name in CONTAINER_INITS or (pid == 1 and not _is_machine_init(name, processes)):
            return f"process {pid} of its container ({name or 'unknown'}) ends when this one does"
        if name not in SHELLS or pid <= 1:
            return ""
    return ""


def _is_machine_init(name: str, processes: Path) -> bool:
    if _is_machines(processes):
        return True
    # `init -- COMMAND` is one that was laid into a container to start that command.
    words = _text(processes / "1" / "cmdline").split("\0")
    return name in MACHINE_INITS and "--" not in words[1:3]


def _is_machines(processes: Path) -> bool:
    try:
        return str((processes / "self" / "ns" / "pid").readlink()) == MACHINES_NAMESPACE
    except OSError:
        return False


def _parent_of(pid: int, processes: Path) -> int:
    """0: it has none that can be seen from here."""
    # `pid (any name) state parent ...`
    words = _text(processes / str(pid) / "stat").rpartition(")")[2].split()
    return int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
