"""What the page's process may do: as little as it needs.

Knows: Linux: users, capabilities, limits, Landlock.  Does not know: the page.
Theory: it answers strangers, so it is taken to be lost.  Its sockets and its file come to it open; from then
on it needs no file, no new rights, no child and no user's name.  What this kernel does not have is left out:
the server that started it runs with few rights already.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct
import sys
from collections.abc import Callable
from typing import Final

NOBODY: Final = 65_534
DATA_OCTETS_MAX: Final = 256 << 20
"""Memory of its own; the mapped file is not part of it."""
FILES_MAX: Final = 320
"""Connections, addresses, and a few."""

_BEGUN_ANEW: Final = "EXCHANGE_RESOLVER_BEGUN_ANEW"
"""Tells the program that was run anew not to do so once more."""
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITY_VERSION_3: Final = 0x20080522
_LANDLOCK_CREATE_RULESET: Final = 444
_LANDLOCK_RESTRICT_SELF: Final = 446
_LANDLOCK_CREATE_RULESET_VERSION: Final = 1
_LANDLOCK_FILES_OF_VERSION: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""What can be done with files, as far as a version of Landlock knows it: all of it is refused."""
_LANDLOCK_CONNECTIONS: Final = 0b11
"""Binding and connecting TCP, from version 4 on."""
_LANDLOCK_SCOPES: Final = 0b11
"""Abstract sockets and signals of others, from version 6 on."""


def lower_rights() -> list[str]:
    """Give up what is not needed, for good; the names of what was given up."""
    libc = ctypes.CDLL(None, use_errno=True)
    steps: dict[str, Callable[[], None]] = {
        "new rights": lambda: _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1),
        "files": lambda: _refuse_files(libc),
        "root": _leave_root,
        "capabilities": lambda: _drop_capabilities(libc),
        "being looked into": lambda: _prctl(libc, _PR_SET_DUMPABLE, 0),
        "growth": _set_limits,
        # Whoever answers DNS goes before it at any moment; nice 10 would let it end its turn of 3 ms first.
        "time that others want": lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)),
    }
    given_up = []
    for name, give_up in steps.items():
        with contextlib.suppress(OSError):
            give_up()
            given_up.append(name)
    return given_up


def _prctl(libc: ctypes.CDLL, what: int, value: int) -> None:
    _check(libc.prctl(what, value, 0, 0, 0))


def _check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _leave_root() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    with contextlib.suppress(OSError):
        _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
    header = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION_3, 0))
    _check(libc.capset(header, bytes(24)))


def begin_without_capabilities() -> None:
    """Run this program anew without the capabilities that came from the server, if there are any.

    A system call filter may forbid to drop them later (capset); a new program has none but ambient ones,
    and those every process may clear; and those that its file gives to everybody (setcap), again and again.
    """
    if os.geteuid() == 0 or os.environ.pop(_BEGUN_ANEW, "") or not _has_capabilities():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    with contextlib.suppress(OSError):
        _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
        os.execve(sys.executable, sys.orig_argv, {**os.environ, _BEGUN_ANEW: "1"})


def _has_capabilities() -> bool:
    header = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION_3, 0))
    held = ctypes.create_string_buffer(24)
    _check(ctypes.CDLL(None, use_errno=True).capget(header, held))
    effective, permitted, _, effective_high, permitted_high, _ = struct.unpack("<6I", held.raw[:24])
    return bool(effective | permitted | effective_high | permitted_high)


def _refuse_files(libc: ctypes.CDLL) -> None:
    """Landlock (5.13): no file can be opened, made or run any more, and later no connection begun."""
    version = _check(libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION))
    known = _LANDLOCK_FILES_OF_VERSION
    rules = struct.pack("<Q", known[max(one for one in known if one <= version)])
    rules += struct.pack("<Q", _LANDLOCK_CONNECTIONS) if version >= 4 else b""
    rules += struct.pack("<Q", _LANDLOCK_SCOPES) if version >= 6 else b""
    descriptor = _check(libc.syscall(_LANDLOCK_CREATE_RULESET, rules, len(rules), 0))
    try:
        _check(libc.syscall(_LANDLOCK_RESTRICT_SELF, descriptor, 0))
    finally:
        os.close(descriptor)


def _set_limits() -> None:
    for which, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, FILES_MAX),
        (resource.RLIMIT_DATA, DATA_OCTETS_MAX),
    ):
        _, allowed = resource.getrlimit(which)
        most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(which, (most, most))
