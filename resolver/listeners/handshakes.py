"""How many TLS handshakes may begin in a second, of one client and of all.

Knows: clients, rates.  Does not know: TLS, sockets, time (`now` comes in).  `core/src/flow/handshakes.rs`
has the same rules, and `tests/vectors/handshakes.yaml` holds for both.
Theory: a handshake costs half a millisecond of the one core that also answers, and whoever wants another has
only to connect.  So each begins with a token; a second's worth of them may be used at once, which is what a
network sends when its server comes back.  A connection that breaks the rules, or that comes to nothing once
the costly part is done, counts as ten, but on accounts of their own: behind one address may be an office with
one broken device.  So a client with more of these than its rate allows goes on as long as the server has
room; where more than half of what all may begin is in use, those counted as ten, it is the one that waits.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

TOO_MANY: Final = "tls_handshakes_per_s_max"
"""Why a connection is closed before its handshake: all together begin too many."""

TOO_MANY_OF_CLIENT: Final = "tls_handshakes_per_s_per_client_max"
"""Its client begins too many."""

TOO_MANY_BREACHES: Final = "tls_breaches_of_client"
"""Too many of its client's came to nothing, and all together begin many."""

REASONS: Final = (TOO_MANY, TOO_MANY_OF_CLIENT, TOO_MANY_BREACHES)

BREACH_COST: Final = 10
"""Handshakes that a connection counts as which is cut for what was sent on it, or whose hello was answered
and led to no session."""

PRESSED_SHARE: Final = 0.5
"""Part of what all may begin beyond which clients with too many breaches wait."""

CLIENTS_MAX: Final = 16_384
"""Clients remembered; the one that has not come for longest is forgotten, as if it had never come."""


class HandshakeLimits:
    """One for all encrypted listeners of a server."""

    def __init__(self, per_s_max: int = 1000, per_s_per_client_max: int = 100) -> None:
        self._all = _Bucket(per_s_max)
        self._ease = _Bucket(per_s_max * PRESSED_SHARE)
        """What is left before clients with too many breaches wait."""
        self._clients = _Clients(per_s_per_client_max)
        self._breaches = _Clients(per_s_per_client_max)
        """What breaches cost each client."""

    def begin(self, client: bytes, now: float) -> str:
        """Whether this client may shake hands `now`: empty, or why not, in a word fit for a metric label."""
        # The client's own first: what it may not begin is not taken from the others.
        if not self._clients.bucket(client).take(now):
            return TOO_MANY_OF_CLIENT
        breaches = self._breaches.known(client)
        if breaches is not None and breaches.tokens(now) < 0.0 and self._ease.tokens(now) < 1.0:
            return TOO_MANY_BREACHES
        if not self._all.take(now):
            return TOO_MANY
        self._ease.spend(1, 0.0, now)
        return ""

    def charge(self, client: bytes, now: float) -> None:
        """A connection of this client's was cut for what it sent, or came to nothing, `now`."""
        bucket = self._breaches.bucket(client)
        bucket.spend(BREACH_COST, -bucket.burst, now)
        self._ease.spend(BREACH_COST - 1, 0.0, now)


class _Clients:
    """A bucket for each of those that came last."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: OrderedDict[bytes, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def __contains__(self, client: bytes) -> bool:
        return client in self._buckets

    def known(self, client: bytes) -> _Bucket | None:
        return self._buckets.get(client)

    def bucket(self, client: bytes) -> _Bucket:
        bucket = self._buckets.get(client)
        if bucket is None:
            if len(self._buckets) >= CLIENTS_MAX:
                self._buckets.popitem(last=False)
            bucket = self._buckets[client] = _Bucket(self._rate)
        else:
            self._buckets.move_to_end(client)
        return bucket


class _Bucket:
    __slots__ = ("_at", "_rate", "_tokens", "burst")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self.burst = max(rate, 1.0)
        """What may be used at once."""
        self._tokens = self.burst
        self._at = float("-inf")

    def tokens(self, now: float) -> float:
        """How many there are."""
        return min(self._tokens + (now - self._at) * self._rate, self.burst)

    def spend(self, tokens: int, least: float, now: float) -> None:
        """Take so many that may not be there: what is left is no less than `least`."""
        self._tokens = max(self.tokens(now) - tokens, least)
        self._at = now

    def take(self, now: float) -> bool:
        self._tokens = self.tokens(now)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
