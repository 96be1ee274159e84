"""How much of the machine visitors of the page may have, and who yields when there is no more.

Knows: connections, the time; both are told.  Does not know: sockets, HTTP.
Theory: a flood is met where it costs least.  Over the rate of answers nothing is accepted: the kernel's
short queue fills, and it drops what comes, without us.  When all places are taken, the connection that has
waited longest for its request to be whole yields, so those that only hold a place never keep a visitor out.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Final

CONNECTIONS_MAX: Final = 256
"""Open at one time."""
CONNECTIONS_PER_CLIENT_MAX: Final = 32
"""Of one IPv4 address, behind which many may be, or of one IPv6 /64."""
REQUEST_S: Final = 5.0
"""From the connection, or the answer before, until a request is whole and its answer taken."""
YIELD_S: Final = 0.2
"""Nobody yields sooner: an honest request takes milliseconds."""
ANSWERS_PER_S: Final = 500
"""To all visitors together, about a fifth of a core; over it they wait in the kernel's queue."""
BURST: Final = 200
"""At once after a pause."""
REST_S: Final = 0.02
"""How long nothing is accepted when the rate is used up."""

REASONS: Final = ("connections_max", "client_connections_max", "request_too_slow", "rate")
"""Why a connection was refused or cut; `rate`: a pause in accepting counts as one."""


class Rate:
    """So many a second, and a few at once."""

    def __init__(self, per_s: float, burst: int, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = float(burst)
        self._at = now

    def has_one(self, now: float) -> bool:
        """Whether there is one more."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._per_s)
        self._at = now
        return self._left >= 1

    def take(self, now: float) -> bool:
        """Whether there is one more; it is taken then."""
        if not self.has_one(now):
            return False
        self._left -= 1
        return True


@dataclass(slots=True)
class Place:
    """One connection's share."""

    client: bytes
    """Its address, or its /64."""
    since: float
    """When its request may have begun; monotonic seconds."""


class Places:
    """All connections, by their number, the one that waits longest first."""

    def __init__(self) -> None:
        self._places: OrderedDict[int, Place] = OrderedDict()
        self._of_client: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return len(self._places)

    def may_enter(self, client: bytes) -> bool:
        """Whether this client has not too many already."""
        return self._of_client[client] < CONNECTIONS_PER_CLIENT_MAX

    def enter(self, number: int, client: bytes, now: float) -> None:
        """One more is there."""
        self._places[number] = Place(client, now)
        self._of_client[client] += 1

    def begin_again(self, number: int, now: float) -> None:
        """It has its answer; its next request may begin."""
        self._places[number].since = now
        self._places.move_to_end(number)

    def leave(self, number: int) -> None:
        """It is gone."""
        place = self._places.pop(number)
        self._of_client[place.client] -= 1
        if not self._of_client[place.client]:
            del self._of_client[place.client]

    def who_yields(self, now: float) -> int | None:
        """Who gives its place to a newcomer, when all are taken; None: nobody yet."""
        return self._longest(now, YIELD_S)

    def who_is_late(self, now: float) -> int | None:
        """Who has had `REQUEST_S`; None: nobody."""
        return self._longest(now, REQUEST_S)

    def _longest(self, now: float, at_least_s: float) -> int | None:
        for number, place in self._places.items():
            return number if now - place.since >= at_least_s else None
        return None

    def next_late_s(self, now: float) -> float | None:
        """Seconds until somebody is late; None: nobody is here."""
        for place in self._places.values():
            return max(0.0, place.since + REQUEST_S - now)
        return None
