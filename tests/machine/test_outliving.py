"""Whether a successor would outlive the server that starts it, by what /proc shows."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from resolver.machine.outliving import MACHINES_NAMESPACE, who_ends_with

CONTAINER = "pid:[4026532999]"


def processes(root: Path, namespace: str, *chain: tuple[int, str, str]) -> Path:
    """A /proc with these processes, each the parent of the one before: number, name, command line."""
    (root / "self" / "ns").mkdir(parents=True)
    (root / "self" / "ns" / "pid").symlink_to(namespace)
    for index, (pid, name, command) in enumerate(chain):
        parent = chain[index + 1][0] if index + 1 < len(chain) else 0
        (root / str(pid)).mkdir()
        (root / str(pid) / "stat").write_text(f"{pid} ({name} x) y) S {parent} 1 1 0 -1")
        (root / str(pid) / "comm").write_text(f"{name}\n")
        (root / str(pid) / "cmdline").write_text(command.replace(" ", "\0"))
    return root


SERVER = (7, "exchange-resolv", "python3 exchange-resolver run")


@pytest.mark.parametrize(
    ("chain", "who"),
    [
        ([(1, "exchange-resolv", "exchange-resolver run")], "this is process 1"),
        ([SERVER, (1, "tini", "tini -- exchange-resolver run")], r"process 1 .*\(tini\)"),
        ([SERVER, (1, "docker-init", "/sbin/docker-init -- exchange-resolver")], r"\(docker-init\)"),
        ([SERVER, (1, "init", "/dev/init -- exchange-resolver run")], r"\(init\)"),
        ([SERVER, (6, "sh", "sh /entry.sh"), (1, "tini", "tini -- /entry.sh")], r"\(tini\)"),
        ([SERVER, (1, "sh", "sh /entry.sh")], r"\(sh\)"),
        ([SERVER, (1, "entry", "/entry")], r"\(entry\)"),
        ([SERVER, (6, "dumb-init", "dumb-init exchange-resolver"), (5, "pause", "")], r"\(dumb-init\)"),
    ],
)
def test_who_takes_all_along_is_named(tmp_path: Path, chain: list[tuple[int, str, str]], who: str) -> None:
    found = who_ends_with(chain[0][0], processes(tmp_path, CONTAINER, *chain))
    assert re.search(who, found), found


@pytest.mark.parametrize(
    "chain",
    [
        [SERVER, (1, "systemd", "/sbin/init")],
        [SERVER, (1, "init", "/sbin/init")],
        [SERVER, (6, "runsv", "runsv resolver"), (1, "runit", "runit")],
        # An earlier process of the server started it, and ends for good.
        [SERVER, (6, "exchange-resolv", "exchange-resolver run"), (1, "tini", "tini -- exchange-resolver")],
        # A person's shell, come from outside.
        [SERVER, (6, "bash", "bash")],
    ],
)
def test_who_goes_on_is_no_obstacle(tmp_path: Path, chain: list[tuple[int, str, str]]) -> None:
    assert who_ends_with(7, processes(tmp_path, CONTAINER, *chain)) == ""


@pytest.mark.parametrize("name", ["systemd", "anything"])
def test_the_init_of_a_machine_ends_with_nobody(tmp_path: Path, name: str) -> None:
    root = processes(tmp_path, MACHINES_NAMESPACE, SERVER, (6, "sh", "sh -c x"), (1, name, name))
    assert who_ends_with(7, root) == ""


def test_without_a_proc_nothing_is_in_the_way(tmp_path: Path) -> None:
    assert who_ends_with(7, tmp_path) == ""
    assert who_ends_with(1, tmp_path) != "", "process 1 of what is not known to be a machine"


def test_this_test_run_would_be_outlived() -> None:
    assert who_ends_with(os.getpid()) == ""
