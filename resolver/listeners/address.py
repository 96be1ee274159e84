"""Binds sockets the way a DNS server needs them.

Knows: socket options and why; which addresses this machine has.  Does not know: who reads from them.
Theory: a socket may be bound to an address that this machine does not have yet (IP_FREEBIND).  What is sent
there arrives from the moment on when the address comes; nobody needs to bind again.
"""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import NamedTuple

from resolver.listeners import mmsg

RECEIVE_BUFFER_OCTETS = 8 << 20
"""Asked of the kernel for each UDP socket: a burst of some 10,000 queries waits instead of being lost."""

SEND_BUFFER_OCTETS = 4 << 20
"""Asked of the kernel for each UDP socket: a whole turn of the loop's answers fits."""

TCP_BACKLOG = 512
"""Connections that wait for `accept`."""

UNSENT_OCTETS_MAX = 131_072
"""Octets for one TCP client that the kernel takes before they can be sent; beyond it they wait with us, where
they are counted.  Unasked it takes megabytes for each client that does not read (`net.ipv4.tcp_wmem`)."""

TCP_RECEIVE_BUFFER_OCTETS = 65_536
"""Asked of the kernel for each TCP client, so that one that is not read fills no megabytes either."""

EVERYWHERE = "*"
"""Instead of an address, for streams whose clients are judged as they come: IPv4 and IPv6 by one socket."""

_SO_RCVBUFFORCE = 33
_IP_FREEBIND = 15
_IPV6_FREEBIND = 78
"""Linux socket options that Python's `socket` does not name (include/uapi/linux/in.h, in6.h)."""

_IPV6_ADDRESSES = Path("/proc/net/if_inet6")


class SocketAddress(NamedTuple):
    """Where to listen: a numeric address and a port (0: any free one)."""

    host: str
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of this machine."""
        return self.host in ("0.0.0.0", "::", EVERYWHERE)


def bind_udp(address: SocketAddress, *, reuse_port: bool = False) -> socket.socket:
    """A non-blocking UDP socket bound to `address`.  Raises OSError.

    `reuse_port`: the kernel spreads clients over all sockets of ours that are bound so.  It no longer
    objects to a second server of the same user then; the TCP socket beside it does.
    """
    sock = socket.socket(address.family, socket.SOCK_DGRAM)
    try:
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if address.family == socket.AF_INET6:
            # One family per socket: a mapped IPv4 client would slip past the IPv4 client networks.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        prepare_udp(sock)
        _allow_absent(sock)
        sock.bind(tuple(address))
    except OSError:
        sock.close()
        raise
    return sock


def prepare_udp(sock: socket.socket) -> None:
    """Set what a socket for queries needs, bound or not, whoever made it.  Raises OSError."""
    _grow_buffers(sock)
    if sock.family == socket.AF_INET6:
        _set_where_known(sock, socket.IPPROTO_IPV6, mmsg.IPV6_RECVPKTINFO, 1)
        _set_where_known(sock, socket.IPPROTO_IPV6, mmsg.IPV6_MTU_DISCOVER, mmsg.PMTUDISC_OMIT)
    else:
        # Forged ICMP "fragmentation needed" must not make us send fragments (RFC 9715 §3.1).
        _set_where_known(sock, socket.IPPROTO_IP, mmsg.IP_MTU_DISCOVER, mmsg.PMTUDISC_OMIT)
        _set_where_known(sock, socket.IPPROTO_IP, mmsg.IP_PKTINFO, 1)
    sock.setblocking(False)


def bind_tcp(address: SocketAddress, *, backlog: int = TCP_BACKLOG) -> socket.socket:
    """A non-blocking, listening TCP socket on `address`, which may be EVERYWHERE.  Raises OSError."""
    if address.host == EVERYWHERE:
        return _bind_everywhere(address.port, backlog)
    [sock] = bind_tcp_for(address, 1, backlog=backlog)
    return sock


def bind_tcp_for(address: SocketAddress, count: int, *, backlog: int = TCP_BACKLOG) -> list[socket.socket]:
    """So many sockets on one address, over which the kernel spreads connections.  Raises OSError.

    A second server, of whatever user, still finds the address taken: the first of them is bound alone, and
    only then shares its place.
    """
    socks: list[socket.socket] = []
    try:
        for _ in range(count):
            socks.append(
                _bind_tcp(address if not socks else SocketAddress(*socks[0].getsockname()[:2]), not socks)
            )
            if count > 1:
                socks[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            socks[-1].listen(backlog)
    except OSError:
        for sock in socks:
            sock.close()
        raise
    return socks


def _bind_everywhere(port: int, backlog: int) -> socket.socket:
    """One socket for both families; on a kernel without IPv6 for what there is."""
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT:
            raise
        return bind_tcp(SocketAddress("0.0.0.0", port), backlog=backlog)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        prepare_tcp(sock)
        sock.bind(("::", port))
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_tcp(address: SocketAddress, is_first: bool) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        if not is_first:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # A restart must not wait for the last run's connections to leave TIME_WAIT.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        prepare_tcp(sock)
        _allow_absent(sock)
        sock.bind(tuple(address))
    except OSError:
        sock.close()
        raise
    return sock


def prepare_tcp(sock: socket.socket) -> None:
    """Set what a listening socket needs, bound or not, whoever made it.  Raises OSError."""
    # Connections inherit these.  Answers leave in whole turns, so there is nothing to wait for.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TCP_RECEIVE_BUFFER_OCTETS)
    _set_where_known(sock, socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_OCTETS_MAX)
    sock.setblocking(False)


def is_here(host: str) -> bool:
    """Whether this machine has the address now, and may use it: a new IPv6 one is checked for a second.

    Where that cannot be found out (no descriptor is left, say) it counts as here.
    """
    if host == EVERYWHERE:
        return True
    try:
        with socket.socket(SocketAddress(host, 0).family, socket.SOCK_DGRAM) as sock:
            sock.bind((host, 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


def has_ipv6() -> bool:
    """Whether this machine has any IPv6 address, be it `::1`."""
    try:
        return bool(_IPV6_ADDRESSES.read_bytes())
    except OSError:
        return False


def _allow_absent(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        _set_where_known(sock, socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    else:
        _set_where_known(sock, socket.IPPROTO_IP, _IP_FREEBIND, 1)


def _grow_buffers(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_OCTETS)
    except OSError:  # needs CAP_NET_ADMIN; without it the kernel caps the size at net.core.rmem_max
        # It tells twice what was asked.  Whoever handed the socket over may have had that right.
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < 2 * RECEIVE_BUFFER_OCTETS:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_OCTETS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_OCTETS)


def _set_where_known(sock: socket.socket, level: int, option: int, value: int) -> None:
    try:
        sock.setsockopt(level, option, value)
    except OSError:  # not this kernel's; each of these refines, none is needed
        return
