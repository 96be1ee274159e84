"""How many connections clients may have open and how many octets these may hold, over all stream listeners.

Knows: which connections are open, whose, since when each is quiet or slow, what each holds.  Does not
know: sockets, transports, time (`now` comes in).
Theory: three things run out, and each has its rule.  Places: when all are taken, a client that has two more
than the one who comes gives one up; where nobody has, the connection that has been quiet longest does.  So
nobody is shut out while another has several.  Octets: a connection, a client and all together may hold so
many; whoever holds most where it is too much is cut off.  Time: the fuller the house, the sooner a quiet
connection is closed (RFC 7766 §6.2.3, RFC 9210 §4.3).  Among a client's own connections the slow go
first, then the quiet, then those that wait for answers.  Strangers, who may not ask, are one client together:
they have few places, and yield before anybody else.
"""

from __future__ import annotations

from itertools import islice
from typing import Final, NamedTuple, Protocol

from resolver.flow.clients import client_key

CONNECTION_OCTETS_MAX: Final = 1 << 20
"""Octets that one connection may hold: queries that are not answered, answers that are not read.  Room for
100 open questions with answers of 10 kB each, of a client that reads nothing meanwhile."""

HELD_OCTETS_MAX: Final = 32 << 20
"""Octets that all connections may hold together, unless the settings say otherwise."""

CLIENT_PART_OF_HELD: Final = 8
"""One part in this many of them may be one client's."""

CLIENT_OCTETS_MAX: Final = HELD_OCTETS_MAX // CLIENT_PART_OF_HELD
"""Octets that all connections of one client may hold together."""

UNNOTED_OCTETS_MAX: Final = 4096
"""A connection that holds no more is not asked what it holds: so the usual one costs no accounting, and a
thousand of them hide 4 MB."""

SLOW_AFTER_S: Final = 1.0
"""A client is slow when it has not read, or not completed a message, for so long."""

FULL_IDLE_SHARE: Final = 0.1
"""Part of the idle time that is left when every place is taken, or every octet held."""

CLIENTS_COMPARED_MAX: Final = 16
"""Clients with the most places among which one is looked for that does not wait for answers."""

LOOK_AGAIN_S: Final = 1.0
"""So long holds the order in which connections yield, once all have been looked at."""

FRUITLESS_LOOK_AGAIN_S: Final = 0.1
"""Where nearly all waited for answers, so long passes before all are looked at again."""

FRUITFUL: Final = 8
"""A look at all is worth its time where one of so many may yield."""

STRANGERS_MAX: Final = 16
"""Connections over TCP of all together who may not ask: enough to tell each that, at once."""

STRANGER_IDLE_S: Final = 1.0
"""How long one of theirs may be quiet."""

STRANGERS: Final = b""
"""The key of all of them; no client has it."""

TOO_MANY: Final = "tcp_connections_max"
"""Why a connection is refused: all places are taken, and nobody has to yield."""

TOO_MANY_OF_CLIENT: Final = "tcp_connections_per_client_max"
"""Why a connection is refused: its client has as many as one may have."""

TOO_MANY_STRANGERS: Final = "tcp_strangers_max"
"""Why a connection is refused: its client is not in `clients.allow`, and enough of those are here."""

YIELDED_SLOW: Final = "tcp_yielded_slow"
"""Why a connection is closed: another needed its place, and its client read or wrote too slowly."""

YIELDED_IDLE: Final = "tcp_yielded_idle"
"""Why a connection is closed: another needed its place, and it was quiet."""

YIELDED_SHARE: Final = "tcp_yielded_share"
"""Why a connection is closed though it waited for answers: its client had the most places of all."""

OVER_CONNECTION: Final = "tcp_connection_octets_max"
"""Why a connection is cut: it held over CONNECTION_OCTETS_MAX."""

OVER_CLIENT: Final = "tcp_client_octets_max"
"""Why a connection is cut: its client held over its part, and this one the most of it."""

OVER_ALL: Final = "tcp_held_octets_max"
"""Why a connection is cut: all held over `held_octets_max`, and it held most of the client that held most."""


REASONS: Final = (
    TOO_MANY,
    TOO_MANY_OF_CLIENT,
    TOO_MANY_STRANGERS,
    YIELDED_SLOW,
    YIELDED_IDLE,
    YIELDED_SHARE,
    OVER_CONNECTION,
    OVER_CLIENT,
    OVER_ALL,
)
"""The closed set of reasons why a connection is refused or closed here."""

NEVER: Final = float("inf")

_SLOW, _QUIET, _WAITING = range(3)
_YIELDED = (YIELDED_SLOW, YIELDED_IDLE, YIELDED_SHARE)


class Holder(Protocol):
    """A connection, as far as its place is concerned."""

    def held_octets(self) -> int:
        """Octets in its buffers now; those of its open questions are lent, and not counted here."""

    def give_way(self, reason: str) -> None:
        """Close at once: the place is gone already.  `reason`: a word fit for a metric label."""


class _Nobody:
    """Who holds a place that was given back: a connection that is gone must not be kept by its place."""

    def held_octets(self) -> int:
        return 0

    def give_way(self, reason: str) -> None:
        """It is gone."""


NOBODY: Final = _Nobody()


class Place:
    """One connection's place.  Its holder keeps `quiet_since` and `slow_since` true, the limits the rest."""

    __slots__ = (
        "client",
        "holder",
        "is_taken",
        "lent",
        "octets",
        "open_questions",
        "quiet_since",
        "slow_since",
    )

    def __init__(self, client: _Client, holder: Holder, now: float) -> None:
        self.client = client
        self.holder = holder
        self.is_taken = True
        self.quiet_since = now
        """When its last whole message came, or its last open question was answered."""
        self.slow_since = NEVER
        """Since when its client has not read, or owes the rest of a message."""
        self.open_questions = 0
        self.lent = 0
        """Octets of the queries of its open questions."""
        self.octets = 0
        """Octets in its buffers when they were last noted."""

    @property
    def is_strangers(self) -> bool:
        """Whether its client may not ask."""
        return self.client.key == STRANGERS


class _Client:
    """One client's connections, and all that they hold."""

    __slots__ = ("key", "octets", "places")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.places: dict[Place, None] = {}
        self.octets = 0
        """In buffers, and lent to questions: also to those whose connection is gone already."""


class Yielding(NamedTuple):
    """A connection that has to go, and why, in a word fit for a metric label."""

    place: Place
    reason: str
    holder: Holder


class Taken(NamedTuple):
    """What came of `take`."""

    place: Place | None
    """None: refused."""
    refusal: str = ""
    yielding: Yielding | None = None
    """Whose place it was; its holder is to give way."""


class ConnectionLimits:
    """One for a server; each of its listeners takes a place for each connection, and frees it again."""

    def __init__(
        self,
        connections_max: int = 1000,
        connections_per_client_max: int = 100,
        *,
        held_octets_max: int = HELD_OCTETS_MAX,
    ) -> None:
        self._held_octets_max = held_octets_max
        self._client_octets_max = held_octets_max // CLIENT_PART_OF_HELD
        self._connections_max = connections_max
        self._per_client_max = connections_per_client_max
        self._clients: dict[bytes, _Client] = {}
        self._with: dict[int, dict[_Client, None]] = {}
        """Clients by how many places they have."""
        self._most = 0
        """The most places that any client has."""
        self._quiet: list[Place] = []
        """Places that were quiet at `_looked_at`, the one that had been longest last."""
        self._looked_at = -NEVER
        self._was_fruitful = True
        self.open = 0
        """Connections that have a place now."""
        self.octets = 0
        """Octets that all hold, as last noted."""

    # Places.

    def take(self, address: bytes, holder: Holder, now: float, *, is_stranger: bool = False) -> Taken:
        """Take a place for a connection of this address (packed); `is_stranger`: it may not ask."""
        key = STRANGERS if is_stranger else client_key(address)
        client = self._clients.get(key)
        own = 0 if client is None else len(client.places)
        if is_stranger and own >= STRANGERS_MAX:
            return Taken(None, TOO_MANY_STRANGERS)
        if own >= self._per_client_max:
            return Taken(None, TOO_MANY_OF_CLIENT)
        yielding = None
        if self.open >= self._connections_max:
            yielding = self._who_yields(client, own, now, is_stranger)
            if yielding is None:
                return Taken(None, TOO_MANY)
            self.free(yielding.place)
        # Only now: it may have been forgotten with the place that yielded.
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = _Client(key)
        place = Place(client, holder, now)
        client.places[place] = None
        self._recount(client, len(client.places) - 1)
        self.open += 1
        return Taken(place, yielding=yielding)

    def free(self, place: Place) -> None:
        """Give back a place and what its buffers held; again: nothing.  What is lent stays lent."""
        if not place.is_taken:
            return
        place.is_taken = False
        place.holder = NOBODY
        client = place.client
        del client.places[place]
        self._recount(client, len(client.places) + 1)
        self.open -= 1
        self._add(client, -place.octets)
        place.octets = 0

    def idle_s(self, idle_s: float) -> float:
        """How long a connection may be quiet now, where `idle_s` holds in an empty house."""
        fullness = max(self.open / self._connections_max, self.octets / self._held_octets_max)
        return idle_s * idle_share(fullness)

    def _who_yields(self, client: _Client | None, own: int, now: float, is_stranger: bool) -> Yielding | None:
        """Who gives up its place to a client that has `own`; None: nobody has to."""
        strangers = self._clients.get(STRANGERS)
        if strangers is not None and strangers.places:
            return _worst(strangers, now)
        if is_stranger:
            return None
        if self._most > own + 1:
            return self._of_the_largest(now)
        if client is None or not own:
            # As many clients as places.
            place = self._longest_quiet(now)
            return None if place is None else _yielding(place, now)
        worst = _worst(client, now)
        return None if worst.reason == YIELDED_SHARE else worst

    def _of_the_largest(self, now: float) -> Yielding:
        """A connection of a client with the most; one that waits for answers only where all do."""
        largest = self._with[self._most]
        worst = _worst(next(iter(largest)), now)
        for client in islice(largest, 1, CLIENTS_COMPARED_MAX):
            if worst.reason != YIELDED_SHARE:
                break
            worst = _worst(client, now)
        return worst

    def _longest_quiet(self, now: float) -> Place | None:
        """The connection that has been slow, else quiet, longest; None: all wait for answers.

        All are looked at once, and then taken in this order: whoever has spoken since has been quiet for less
        than any that was looked at and has not.
        """
        age_s = now - self._looked_at
        place = self._next_quiet(now) if age_s < LOOK_AGAIN_S else None
        if place is None and (self._was_fruitful or age_s >= FRUITLESS_LOOK_AGAIN_S):
            every = (
                (_rank(place, now), place) for client in self._clients.values() for place in client.places
            )
            ranked = [(rank, place) for rank, place in every if rank[0] != _WAITING]
            ranked.sort(key=lambda row: row[0], reverse=True)
            self._quiet = [place for _, place in ranked]
            self._looked_at = now
            self._was_fruitful = FRUITFUL * len(ranked) >= self.open
            place = self._next_quiet(now)
        return place

    def _next_quiet(self, now: float) -> Place | None:
        while self._quiet:
            place = self._quiet.pop()
            rank, since = _rank(place, now)
            if place.is_taken and (rank == _SLOW or (rank == _QUIET and since <= self._looked_at)):
                return place
        return None

    def _recount(self, client: _Client, before: int) -> None:
        """The client has one place more or less than `before`."""
        count = len(client.places)
        if before:
            del self._with[before][client]
            if not self._with[before]:
                del self._with[before]
        if count:
            self._with.setdefault(count, {})[client] = None
        if count > self._most or self._most not in self._with:
            self._most = count
        self._forget(client)

    # Octets.

    def lend(self, place: Place, octets: int) -> None:
        """A question of this connection is open, and its query of so many octets is kept for it."""
        place.open_questions += 1
        place.lent += octets
        self._add(place.client, octets)

    def give_back(self, place: Place, octets: int) -> None:
        """That question has its answer; its connection may be gone."""
        place.open_questions -= 1
        place.lent -= octets
        self._add(place.client, -octets)

    def hold(self, place: Place, octets: int) -> Yielding | None:
        """The buffers of a connection hold so many octets; the one that has to go for it, if any has."""
        client = place.client
        if not place.is_taken:
            return None
        self._note(place, octets)
        if octets + place.lent > CONNECTION_OCTETS_MAX:
            return self._cut(place, OVER_CONNECTION)
        if client.octets > self._client_octets_max and self._of_client(client) > self._client_octets_max:
            return self._cut(_fullest(client), OVER_CLIENT)
        if self.octets > self._held_octets_max and self._of_all() > self._held_octets_max:
            holding = (client for client in self._clients.values() if client.places)
            return self._cut(_fullest(max(holding, key=lambda client: client.octets)), OVER_ALL)
        return None

    def note_all(self) -> None:
        """Ask all connections what they hold: a client that reads is not told to whoever counts."""
        self._of_all()

    def _cut(self, place: Place, reason: str) -> Yielding:
        yielding = Yielding(place, reason, place.holder)
        self.free(place)
        return yielding

    def _of_client(self, client: _Client) -> int:
        """What a client really holds: what was noted may have been read since."""
        for place in client.places:
            if place.octets:
                self._note(place, place.holder.held_octets())
        return client.octets

    def _of_all(self) -> int:
        for client in self._clients.values():
            self._of_client(client)
        return self.octets

    def _note(self, place: Place, octets: int) -> None:
        noted = octets if octets > UNNOTED_OCTETS_MAX else 0
        change = noted - place.octets
        place.octets = noted
        place.client.octets += change
        self.octets += change

    def _add(self, client: _Client, octets: int) -> None:
        client.octets += octets
        self.octets += octets
        self._forget(client)

    def _forget(self, client: _Client) -> None:
        """Remember no client that has and holds nothing."""
        if not client.places and not client.octets:
            self._clients.pop(client.key, None)


def idle_share(fullness: float) -> float:
    """The part of the idle time that holds in a house so full: all up to one half, then evenly less."""
    return 1.0 - (1.0 - FULL_IDLE_SHARE) * min(max(2.0 * fullness - 1.0, 0.0), 1.0)


def _rank(place: Place, now: float) -> tuple[int, float]:
    """The lowest yields first: the slow, the quiet, those that wait for answers; each since when."""
    if now - place.slow_since >= SLOW_AFTER_S:
        return _SLOW, place.slow_since
    return (_WAITING if place.open_questions else _QUIET), place.quiet_since


def _worst(client: _Client, now: float) -> Yielding:
    """The connection of this client that yields first."""
    return _yielding(min(client.places, key=lambda place: _rank(place, now)), now)


def _yielding(place: Place, now: float) -> Yielding:
    return Yielding(place, _YIELDED[_rank(place, now)[0]], place.holder)


def _fullest(client: _Client) -> Place:
    """The connection of this client that holds most."""
    return max(client.places, key=lambda place: place.octets + place.lent)
