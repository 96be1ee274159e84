"""How many TLS handshakes may begin in a second, of one client and of all.

Knows: clients, rates.  Does not know: TLS, sockets, time (`now` comes in).
Theory: a handshake costs half a millisecond of the one core that also answers, and whoever wants another has
only to connect.  So each begins with a token; a second's worth of them may be used at once, which is what a
network sends when its server comes back.  Whoever breaks the rules, or goes once the costly part is done,
pays for ten: a flood that is cut again and again costs mostly the handshakes that it begins anew with.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

TOO_MANY: Final = "tls_handshakes_per_s_max"
"""Why a connection is closed before its handshake: all together begin too many."""

TOO_MANY_OF_CLIENT: Final = "tls_handshakes_per_s_per_client_max"
"""Its client begins too many."""

REASONS: Final = (TOO_MANY, TOO_MANY_OF_CLIENT)

BREACH_COST: Final = 10
"""Handshakes that a connection costs its client which is cut for what was sent on it, or whose hello was
answered and led to no session."""

CLIENTS_MAX: Final = 16_384
"""Clients remembered; the one that has not come for longest is forgotten, as if it had never come."""


class HandshakeLimits:
    """One for all encrypted listeners of a server."""

    def __init__(self, per_s_max: int = 1000, per_s_per_client_max: int = 100) -> None:
        self._all = _Bucket(per_s_max)
        self._per_client_max = per_s_per_client_max
        self._clients: OrderedDict[bytes, _Bucket] = OrderedDict()

    def begin(self, client: bytes, now: float) -> str:
        """Whether this client may shake hands `now`: empty, or why not, in a word fit for a metric label."""
        bucket = self._clients.get(client)
        if bucket is None:
            if len(self._clients) >= CLIENTS_MAX:
                self._clients.popitem(last=False)
            bucket = self._clients[client] = _Bucket(self._per_client_max)
        else:
            self._clients.move_to_end(client)
        # The client's own first: what it may not begin is not taken from the others.
        if not bucket.take(now):
            return TOO_MANY_OF_CLIENT
        return "" if self._all.take(now) else TOO_MANY

    def charge(self, client: bytes) -> None:
        """A connection of this client's, which had one, was cut for what it sent or came to nothing."""
        bucket = self._clients.get(client)
        if bucket is not None:
            bucket.owe(BREACH_COST - 1)


class _Bucket:
    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._tokens = float(rate)
        self._at = float("-inf")

    def owe(self, tokens: int) -> None:
        """Take so many that may not be there: a second's worth is owed at most."""
        self._tokens = max(self._tokens - tokens, -float(self._rate))

    def take(self, now: float) -> bool:
        self._tokens = min(self._tokens + (now - self._at) * self._rate, self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
