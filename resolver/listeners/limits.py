"""How many connections clients may have open, counted over all stream listeners of one server.

Knows: how many are open, and whose.  Does not know: sockets, transports.
"""

from __future__ import annotations

from collections import Counter

from resolver.flow.clients import client_key

TOO_MANY = "tcp_connections_max"
"""Why a connection is refused: the server has as many as it may have."""

TOO_MANY_OF_CLIENT = "tcp_connections_per_client_max"
"""Why a connection is refused: its client has as many as one may have."""


class ConnectionLimits:
    """One for a server; each of its listeners takes a place for each connection, and frees it again."""

    def __init__(self, connections_max: int = 1000, connections_per_client_max: int = 100) -> None:
        self._connections_max = connections_max
        self._per_client_max = connections_per_client_max
        self._open_of_client: Counter[bytes] = Counter()
        self.open = 0
        """Connections that have a place now."""

    def take(self, address: bytes) -> str | None:
        """Take a place for one more connection of this address (packed).

        None: it has one, until `free`.  Otherwise why not, in a word fit for a metric label.
        """
        if self.open >= self._connections_max:
            return TOO_MANY
        client = client_key(address)
        if self._open_of_client[client] >= self._per_client_max:
            return TOO_MANY_OF_CLIENT
        self._open_of_client[client] += 1
        self.open += 1
        return None

    def free(self, address: bytes) -> None:
        """Give back the place of one connection of this address."""
        client = client_key(address)
        self.open -= 1
        self._open_of_client[client] -= 1
        if not self._open_of_client[client]:
            del self._open_of_client[client]
