"""Whose rights are used in a folder: root works in it as the user to whom it belongs.

Knows: users, groups, capabilities, how a folder is reached.  Does not know: what is done there.
Theory: whoever owns a folder can put links, pipes and hard links into it, and swap whole folders between two
system calls.  What root does by name there can so be led to any file of the machine.  With the owner's rights
it is led no further than the owner can go already, whatever the folder holds.
A command takes these rights for a while; a server takes them before it starts a thread, and for good.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = 0
NOBODY = 65_534
"""The group of an owner whom no list of users names and whose folder has root's group."""

_CAP_DAC_READ_SEARCH = 2
_CAP_NET_BIND_SERVICE = 10
_PR_SET_KEEPCAPS = 8
_CAPABILITY_VERSION_3 = 0x20080522


class Owner(NamedTuple):
    """Somebody who owns a folder."""

    uid: int
    gid: int
    groups: tuple[int, ...]


@contextlib.contextmanager
def as_owner_of(folder: Path, *, by_name: bool = False) -> Iterator[Path]:
    """Have the rights of whom `folder` belongs to, if we are root and it is not ours; gives a path to it.

    Of a folder that is not there the nearest one above it counts.  The rights are those of the whole process:
    threads must not need root's meanwhile.  The path is `folder`, or one by descriptor where the owner
    cannot pass the folders above it (systemd keeps those of dynamic users in a folder of root's).
    `by_name`: it is `folder` in any case, for who resolves links itself; then this thread may look where the
    owner cannot, but write no more than the owner.  Raises OSError.
    """
    if os.geteuid() != ROOT:
        yield folder
        return
    there = _nearest(folder)
    descriptor = os.open(there, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if status.st_uid == ROOT:
            yield folder
            return
        with _rights_of(_owner(status), there):
            if _is_reached(there, status):
                yield folder
            elif by_name:
                _use(_permitted() & 1 << _CAP_DAC_READ_SEARCH)
                yield folder
            else:
                yield _by_descriptor(descriptor, there, folder)
    finally:
        os.close(descriptor)


def become_owner_of(folder: Path) -> str | None:
    """Be whom `folder` belongs to from now on, if we are root and it is not ours; who that is, or None.

    The right to bind ports under 1024 stays.  Call it while there is one thread: each has rights of its own.
    Raises OSError.
    """
    if os.geteuid() != ROOT:
        return None
    there = _nearest(folder)
    status = there.stat()
    if status.st_uid == ROOT:
        return None
    owner = _owner(status)
    kept = _permitted() & 1 << _CAP_NET_BIND_SERVICE
    try:
        _call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
        os.setgroups(owner.groups)
        os.setresgid(owner.gid, owner.gid, owner.gid)
        os.setresuid(owner.uid, owner.uid, owner.uid)
        _use(kept, permitted=kept)
    except OSError as error:
        raise _refused(error, owner, there) from None
    return user_name(owner.uid)


def group_of_owner(folder: Path) -> int | None:
    """The group of whom `folder` belongs to; None: it is not there, or root's."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return None if status.st_uid == ROOT else _owner(status).gid


def user_name(uid: int) -> str:
    """A user's name, or the number where nobody knows it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _nearest(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.is_dir())


def _owner(status: os.stat_result) -> Owner:
    uid = status.st_uid
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        # The folder's group may be root's, which is more than its owner has.
        gid = status.st_gid or NOBODY
        return Owner(uid, gid, (gid,))
    return Owner(uid, user.pw_gid, tuple(os.getgrouplist(user.pw_name, user.pw_gid)))


@contextlib.contextmanager
def _rights_of(owner: Owner, folder: Path) -> Iterator[None]:
    groups, gid = os.getgroups(), os.getegid()
    try:
        try:
            os.setgroups(owner.groups)
            os.setegid(owner.gid)
            os.seteuid(owner.uid)
        except OSError as error:
            raise _refused(error, owner, folder) from None
        yield
    finally:
        os.seteuid(ROOT)
        os.setegid(gid)
        os.setgroups(groups)


def _refused(error: OSError, owner: Owner, folder: Path) -> OSError:
    user = user_name(owner.uid)
    why = f"{folder} belongs to {user}, and root may not act as {user} here: {error.strerror}"
    return PermissionError(error.errno, f"{why}; run this as {user}")


def _is_reached(folder: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(folder.stat(), status)
    except OSError:
        return False


def _by_descriptor(descriptor: int, there: Path, folder: Path) -> Path:
    return Path(f"/proc/self/fd/{descriptor}") / folder.absolute().relative_to(there.absolute())


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Set(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _permitted() -> int:
    """Our permitted capabilities, the first 32 of them."""
    sets = (_Set * 2)()
    _call("capget", ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), sets)
    return int(sets[0].permitted)


def _use(effective: int, *, permitted: int | None = None) -> None:
    """Use these capabilities in this thread, and no others; None: what is permitted stays."""
    sets = (_Set * 2)()
    header = _Header(_CAPABILITY_VERSION_3, 0)
    _call("capget", ctypes.byref(header), sets)
    if permitted is not None:
        sets[0].permitted, sets[1].permitted = permitted, 0
    for half, wanted in enumerate((effective, 0)):
        sets[half].effective, sets[half].inheritable = wanted, 0
    _call("capset", ctypes.byref(header), sets)


def _call(name: str, *arguments: object) -> None:
    """A function of the C library that Python does not have.  Raises OSError."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
