"""The way back to a client: made where its query came in, carried by the flow, read where its answer leaves.

Knows: what a way back consists of.  Does not know: sockets, who asks, what is asked.
Theory: whoever carries a route does not look into it.  The listener that made it is the one that answers
by it, so which of the server's sockets it belongs to need not be said; the native plane says it in its octets
(`native/core/src/flow/route.rs`).
"""

from __future__ import annotations

from typing import Any, NamedTuple


class DatagramRoute(NamedTuple):
    """From a datagram socket of Python's."""

    name: bytes
    """The client's `sockaddr`, as the kernel spells it."""
    control: bytes
    """The control message with the local address to answer from; empty: the socket's own."""


class StreamRoute(NamedTuple):
    """Over a stream of Python's."""

    connection: Any
    """The listener's object; whoever else carries it leaves it alone."""
    request: Any = None
    """What the query came in, where a connection has several requests at a time."""


NativeRoute = bytes
"""From a socket of the native plane's: octets that it wrote, for its `send` alone."""

Route = DatagramRoute | StreamRoute | NativeRoute
