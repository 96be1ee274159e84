"""Sockets that others opened for us: a supervisor, or the server whose place we take.

Knows: which socket fits which address of the settings, what such a socket must be.  Does not know: how they
got here, who reads from them.
Theory: a descriptor that was handed over is the same socket, with all that waits in it.  So what a server
that ends has not read is read by the one after it, where a socket bound anew would begin empty.  How many
sockets an address has is not ours to choose then: there may be more than threads (each is read all the
same), or fewer (more are bound beside them, or threads share one).
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from resolver.listeners.address import EVERYWHERE, SocketAddress, bind_udp, prepare_tcp, prepare_udp

KEYS: Final = ("dns", "tls", "https", "http", "block_page")
"""What a socket may be for: the keys of `listen`, and the block page."""

_SO_COOKIE: Final = 57
"""include/uapi/asm-generic/socket.h: one number for each socket, however many descriptors lead to it."""

_log = logging.getLogger(__name__)


class Inherited(NamedTuple):
    """A socket that was handed to us."""

    key: str
    """One of KEYS; empty: whatever its address is for."""
    sock: socket.socket
    name: str = ""
    """Under which a supervisor keeps it; empty: the server before us had it."""


class Inheritance:
    """All of them, until each is taken or let go."""

    def __init__(self, sockets: Iterable[Inherited] = ()) -> None:
        """Those that cannot serve are closed, and each is logged with the reason."""
        self._left: list[Inherited] = []
        for one in sockets:
            objection = _objection(one.sock, one.key)
            if objection:
                _log.error("a socket that was handed over is not used: %s: %s", _show(one), objection)
                one.sock.close()
            else:
                self._left.append(one)
                if not one.name and one.sock.type == socket.SOCK_DGRAM:
                    # Who comes after us gets all that we have: there may be more of them.
                    one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    def __bool__(self) -> bool:
        return bool(self._left)

    def take_udp(self, key: str, address: SocketAddress) -> list[socket.socket]:
        """Those for datagrams on this address; port 0 is any, and the same for all."""
        return self._take(key, address, socket.SOCK_DGRAM)

    def take_tcp(self, key: str, address: SocketAddress) -> list[socket.socket]:
        """Those for streams, listening."""
        return self._take(key, address, socket.SOCK_STREAM)

    def give_back(self, key: str, socks: Iterable[socket.socket]) -> None:
        """They were not used after all, and may be taken again."""
        self._left += [Inherited(key, sock) for sock in socks]

    def let_go(self) -> list[str]:
        """Close those that nobody took, which is logged; the names under which a supervisor keeps them."""
        left, self._left = self._left, []
        names = set()
        for one in left:
            if one.name or one.key:
                # What the server before us had, a supervisor may keep as well, under the name of its address.
                names.add(one.name or name_of(one.key, one.sock))
            _log.warning(
                "a socket that was handed over is closed: %s: the settings have no such address", _show(one)
            )
            one.sock.close()
        return sorted(names)

    def _take(self, key: str, address: SocketAddress, kind: socket.SocketKind) -> list[socket.socket]:
        taken: list[Inherited] = []
        port = address.port
        for one in self._left:
            host, its_port = _host_of(one.sock), one.sock.getsockname()[1]
            if one.key in ("", key) and one.sock.type == kind and host == address.host:
                port = port or (its_port if one.key else 0)
                if its_port == port:
                    taken.append(one)
        self._left = [one for one in self._left if one not in taken]
        return [one.sock for one in taken]


def key_of(name: str) -> str:
    """What a supervisor's name of a socket says that it is for; empty: nothing."""
    key = name.partition("/")[0].replace("-", "_")
    return key if key in KEYS else ""


def name_of(key: str, sock: socket.socket) -> str:
    """Under which name a supervisor keeps a socket: `dns/udp/192.0.2.1/53`, without a colon."""
    host, port = sock.getsockname()[:2]
    kind = "udp" if sock.type == socket.SOCK_DGRAM else "tcp"
    return f"{key}/{kind}/{host.replace(':', '_')}/{port}"


def adopted(handed: Iterable[tuple[str, int]]) -> list[Inherited]:
    """The sockets of these names and descriptors, which are ours from now on; what is none is closed."""
    found = []
    for name, descriptor in handed:
        try:
            sock = socket.socket(fileno=descriptor)
        except OSError as error:
            _log.error("descriptor %d (%s) was handed over, and is no socket: %s", descriptor, name, error)
            with contextlib.suppress(OSError):
                socket.close(descriptor)
        else:
            found.append(Inherited(key_of(name), sock, name))
    return found


def each_once(socks: Iterable[tuple[str, socket.socket]]) -> list[tuple[str, socket.socket]]:
    """Without further descriptors of the same socket: one is enough to hand it on."""
    seen = set()
    kept = []
    for key, sock in socks:
        try:
            cookie = sock.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8)
        except OSError:  # Linux before 4.12 knows none
            cookie = str(sock.fileno()).encode()
        if cookie not in seen:
            seen.add(cookie)
            kept.append((key, sock))
    return kept


def enough_udp(socks: Sequence[socket.socket], count: int) -> list[socket.socket]:
    """These, and as many more on the same address as make `count`.

    Beside one that a supervisor opened for itself alone nothing is bound: it would not keep that over a
    restart.  Nor does the kernel let us bind beside a socket of another user.  Then further descriptors of
    the same sockets do, and threads share what comes.
    """
    more = list(socks)
    bound = SocketAddress(*socks[0].getsockname()[:2])
    if all(sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) for sock in socks):
        with contextlib.suppress(OSError):
            while len(more) < count:
                more.append(bind_udp(bound, reuse_port=True))
    return [*more, *_again(socks, count - len(more))]


def enough_tcp(socks: Sequence[socket.socket], count: int) -> list[socket.socket]:
    """These, and further descriptors of them: who waits in the kernel waits for any thread."""
    return [*socks, *_again(socks, count - len(socks))]


def _again(socks: Sequence[socket.socket], count: int) -> list[socket.socket]:
    return [socks[index % len(socks)].dup() for index in range(max(count, 0))]


def _host_of(sock: socket.socket) -> str:
    """The address that it stands for; EVERYWHERE where it takes IPv4 as well as IPv6."""
    host = str(sock.getsockname()[0])
    if host == "::" and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        return EVERYWHERE
    return host


def _objection(sock: socket.socket, key: str) -> str:
    """Why a socket cannot serve `key`; empty: it can, and is prepared."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return "it is not of the Internet"
    try:
        takes_both = sock.family == socket.AF_INET6 and not sock.getsockopt(
            socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
        )
        if takes_both and key != "http":
            # A mapped IPv4 client would slip past the IPv4 client networks.
            return "it takes IPv4, too; write BindIPv6Only=ipv6-only into its socket unit"
        if sock.type == socket.SOCK_DGRAM:
            prepare_udp(sock)
        elif sock.type != socket.SOCK_STREAM:
            return "it is neither of UDP nor of TCP"
        elif not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return "it does not listen; write Accept=no into its socket unit"
        else:
            prepare_tcp(sock)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _show(one: Inherited) -> str:
    try:
        where = one.sock.getsockname()
    except OSError:
        where = ""
    kind = "udp" if one.sock.type == socket.SOCK_DGRAM else "tcp"
    return f"{one.name or one.key or 'without a name'}, {kind} {where[:2] if where else ''}"
