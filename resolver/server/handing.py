"""How a server hands its sockets to the one that takes its place: the words between the two.

Knows: the socket in `state_dir` that they meet at, who may use it, their messages.  Does not know: what
either does with what it hears. Theory: both belong to one user and one `state_dir`.  The one that serves
listens on a Unix socket there; the one that comes connects, and is given every socket, as a descriptor of
the same socket: what waits in it stays where it is.  Until the new one says that it serves, the old one
serves on, whatever becomes of the new one.

    new -> old   {"protocol": 1, "version": "0.1.0"}
    old -> new   {"protocol": 1, "version": "0.1.0", "sockets": 9}, or {"refused": "why"}
    old -> new   {"keys": ["dns", ...]} and as many descriptors, until all are there
    new -> old   {"want": "snapshot"}, when it has a policy
    old -> new   {"snapshot": "why there is none, or nothing"}, or {"refused": "why"}: it took too long
    new -> old   {"serving": true}, when it answers; the old one reads no more, and ends when all is answered
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from resolver.identity import ROOT

HANDING_PROTOCOL: Final = 1
"""Number of these words: another one is not spoken to."""

DOOR: Final = "takeover.sock"
"""The socket's name in `state_dir`."""

MESSAGE_OCTETS_MAX: Final = 65_536
DESCRIPTORS_AT_ONCE: Final = 64
"""The kernel takes 253 with one message (SCM_MAX_FD)."""
SOCKETS_MAX: Final = 2048
"""More than any settings make."""

_CREDENTIALS: Final = struct.Struct("iII")
"""struct ucred: process, user, group (unix(7))."""


_PROCESSES: Final = Path("/proc")
_OWN_CGROUP: Final = _PROCESSES / "self" / "cgroup"


class HandingFailed(Exception):
    """The other one cannot be talked to; the text says why."""


def new_socket() -> socket.socket:
    """One that keeps messages apart, and knows when the other end is gone."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


@contextlib.contextmanager
def door_in(state_dir: Path) -> Iterator[str]:
    """The path of the door.  However deep the folder is, it fits the 108 octets of an address.

    Raises OSError: there is no such folder.
    """
    folder = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{DOOR}"
    finally:
        os.close(folder)


def peer_of(sock: socket.socket) -> int:
    """The process at the other end.  Raises HandingFailed: it is another user's."""
    pid, uid, _ = _CREDENTIALS.unpack(
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    if uid not in (os.geteuid(), ROOT):
        raise HandingFailed(f"process {pid} belongs to another user (uid {uid})")
    return int(pid)


def refuse_other_services(pid: int) -> None:
    """Raises HandingFailed: a supervisor would not count this process to our service, or that is not known.

    It would not believe that this is the service's main process now, and end it, or start another beside it.
    """
    try:
        is_ours = _PROCESSES.joinpath(str(pid), "cgroup").read_bytes() == _OWN_CGROUP.read_bytes()
    except OSError as error:
        raise HandingFailed(f"which service process {pid} belongs to cannot be found out: {error}") from None
    if not is_ours:
        raise HandingFailed(
            f"process {pid} does not belong to this service (another control group); have the service's main "
            "process start its successor: signal SIGUSR2"
        )


def send(sock: socket.socket, words: dict[str, Any], descriptors: list[int] | None = None) -> None:
    """One message.  Raises OSError."""
    socket.send_fds(sock, [json.dumps(words).encode()], descriptors or [])


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """One message, and the descriptors with it, which no child inherits.

    Raises OSError, and HandingFailed: the other end is gone, or says what no one of us says.
    """
    room = socket.CMSG_LEN(DESCRIPTORS_AT_ONCE * array.array("i").itemsize)
    octets, controls, flags, _ = sock.recvmsg(MESSAGE_OCTETS_MAX, room, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, given in controls:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(given[: len(given) - len(given) % descriptors.itemsize])
    try:
        if not octets:
            raise HandingFailed("it is gone")
        words = json.loads(octets)
        if not isinstance(words, dict) or flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
            raise HandingFailed("it says what is not understood")
    except (ValueError, HandingFailed) as error:
        for descriptor in descriptors:
            os.close(descriptor)
        raise HandingFailed(str(error)) from None
    return words, descriptors.tolist()
