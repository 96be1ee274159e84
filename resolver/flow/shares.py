"""How many queries of each client wait for upstreams, and which.

Knows: clients, marks of their queries.  Does not know: what is asked, who answers.
Theory: who waits for answers holds places that others need, and is a crowd that can be made to come to an
end at one moment (DNSBomb).  So a client has so many places and no more, and a query that waits already is no
second one.  With a native plane both count there, so a client has its share of both together.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from resolver.flow.clients import client_key

WAITERS_PER_CLIENT_MAX = 1_000
"""Queries of one client that wait for upstreams at one time."""


class Entered(IntEnum):
    """What became of a query that was to wait; the native plane has the same numbers."""

    YES = 0
    """It has a place."""
    REPEAT = 1
    """The very same waits already."""
    FULL = 2
    """Its client has all the places it may have."""


class Places(Protocol):
    """Whoever counts them.  `mark`: of 64 bits, the same for the same query and hardly ever for two."""

    def enter(self, address: bytes, mark: int) -> int:
        """Give a query a place, or say why not (`Entered`)."""

    def leave(self, address: bytes, mark: int) -> None:
        """It waits no more."""


class Shares:
    """The places of all clients, where no native plane has them."""

    def __init__(self) -> None:
        self._marks: dict[bytes, set[int]] = {}

    def enter(self, address: bytes, mark: int) -> int:
        """See `Places`."""
        marks = self._marks.setdefault(client_key(address), set())
        if mark in marks:
            return Entered.REPEAT
        if len(marks) >= WAITERS_PER_CLIENT_MAX:
            return Entered.FULL
        marks.add(mark)
        return Entered.YES

    def leave(self, address: bytes, mark: int) -> None:
        """See `Places`."""
        key = client_key(address)
        marks = self._marks.get(key)
        if marks is not None:
            marks.discard(mark)
            if not marks:
                del self._marks[key]

    @property
    def clients(self) -> int:
        """Those that have a place."""
        return len(self._marks)
