"""Opens a TCP connection to whichever address of an upstream answers first.

Knows: several addresses, the head start that each has.  Does not know: what is sent, TLS.
Theory (RFC 8305 §5): the addresses are tried one behind the other, each a little after the one before, or at
once when that one failed.  So a path that is dead costs a quarter of a second, not the whole question.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence

HEAD_START_S = 0.25
"""RFC 8305 §8: the recommended delay between two attempts."""

ADDRESSES_TRIED_MAX = 8


async def dial(
    loop: asyncio.AbstractEventLoop, addresses: Sequence[str], port: int
) -> tuple[socket.socket, str]:
    """A connected socket, and the address that it leads to.  Raises OSError: none can be reached."""
    tries: dict[asyncio.Task[socket.socket], str] = {}
    left = list(addresses[:ADDRESSES_TRIED_MAX])
    last_error: OSError = OSError(errno.EADDRNOTAVAIL, "no address")
    try:
        while left or tries:
            if left:
                address = left.pop(0)
                tries[loop.create_task(_connected(loop, address, port))] = address
            done, _ = await asyncio.wait(
                tries, timeout=HEAD_START_S if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                error = task.exception()
                if error is None:
                    return task.result(), tries.pop(task)
                del tries[task]
                if not isinstance(error, OSError):
                    raise error
                last_error = error
    finally:
        for task in tries:
            task.cancel()
            task.add_done_callback(_close)
    raise last_error


def _close(task: asyncio.Task[socket.socket]) -> None:
    """A connection that came too late."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connected(loop: asyncio.AbstractEventLoop, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock
