"""The queries on one connection to an upstream: who waits, for how long, and whether it still earns trust.

Knows: IDs in use, times (`now` is an argument), how many queries a connection may take.  Does not know:
sockets, framing, how a connection is opened: TCP, TLS and HTTPS are alike in this.

Theory.  A connection can go silent and stay open: a state table forgot it, the server hangs, one length was
wrong and all that follows is read askew.  Then each question that chooses it fails, and the kernel says
nothing for many minutes.  So each query has its time.  A connection whose oldest query is older is
`is_overdue`: it is not chosen again, and closed as soon as nobody waits on it.  Those who do may still be
answered, for a slow name is no broken connection; whoever asks once more gets another one.  While others
overtake that query it has longer, for the connection plainly works: until then it `is_late`, and chosen only
where no other may be opened.
"""

from __future__ import annotations

from collections.abc import Iterator

from resolver.forwarding.network import Receiver
from resolver.forwarding.oddities import ANSWERS_UNLIMITED
from resolver.wire.query_options import question_of

QUERIES_PER_CONNECTION_MAX = 128
"""Unanswered queries on one connection; over all connections more fail at once."""

OVERTAKEN_S_MAX = 3.0
"""How long a query may wait while others on its connection are answered: over any attempt's time."""

CLOCK_SLACK_S = 1e-3
"""Who asked the query looks at the clock a moment before the connection does."""

_IDS = 65_536


class StreamTicket:
    """See `network.Ticket`."""

    __slots__ = (
        "left",
        "number",
        "octets",
        "overdue_at",
        "pipeline",
        "query_id",
        "receiver",
        "sends",
        "sent_at",
    )

    def __init__(self, octets: bytes, receiver: Receiver) -> None:
        self.octets = octets
        self.query_id = octets[0] << 8 | octets[1]
        self.receiver: Receiver | None = receiver
        """None: nobody waits any more."""
        self.pipeline: Holder | None = None
        """Where it waits now."""
        self.sent_at = self.overdue_at = 0.0
        self.sends = 0
        """Connections that it was put on."""
        self.left = 0
        """Those on which it really left."""
        self.number = 0
        """Its place among all queries of its connection."""

    def close(self) -> None:
        """Give up the answer."""
        if self.receiver is None:
            return
        self.receiver = None
        pipeline = self.pipeline
        if pipeline is not None:
            pipeline.give_up(self)

    def is_answered_by(self, message: bytes) -> bool:
        """Whether `message`, which has its ID, is a reply to it at all: else the framing may be lost."""
        if not message[2] & 0x80:
            return False
        if not message[4] and not message[5]:
            return True  # an error may leave the question out
        question = question_of(self.octets)
        return message[12 : 12 + len(question)].lower() == question.lower()


class Holder:
    """Whatever a ticket can wait in."""

    def give_up(self, ticket: StreamTicket) -> None:
        """Nobody waits for `ticket` any more."""
        raise NotImplementedError


class Pipeline(Holder):
    """The queries of one connection.  A connection is a subclass, which sends and receives."""

    def __init__(self, answers_max: int = ANSWERS_UNLIMITED) -> None:
        self.answers_max = answers_max
        self.waiting: dict[int, StreamTicket] = {}
        """The oldest first.  Who gave up stands here until the answer came or the connection is closed: so
        its ID is not used again too soon, and its silence counts."""
        self.live = 0
        """Those that somebody waits for."""
        self.taken = 0
        """Queries that it ever got."""
        self.answered = 0
        self.is_blocked = False
        """The other side does not read."""
        self._answered_at = float("-inf")
        self._overtaken = 0
        """Queries up to this number came before the last answer."""
        self._asked = bytearray(_IDS // 8)

    @property
    def is_spent(self) -> bool:
        """Whether it got all the queries that the upstream takes on one connection."""
        return self.taken >= self.answers_max

    def takes(self, query_id: int, now: float) -> bool:
        """Whether another query with this ID may go here."""
        return (
            len(self.waiting) < QUERIES_PER_CONNECTION_MAX
            and query_id not in self.waiting
            and not self.is_blocked
            and not self.is_spent
            and not self.is_overdue(now)
        )

    def overdue_at(self) -> float:
        """When the oldest unanswered query has had its time; infinite: all are answered."""
        for oldest in self.waiting.values():
            patience_s = oldest.overdue_at - oldest.sent_at
            while_others_come = min(self._answered_at + patience_s, oldest.sent_at + OVERTAKEN_S_MAX)
            return max(oldest.overdue_at, while_others_come) - CLOCK_SLACK_S
        return float("inf")

    def is_late(self, now: float) -> bool:
        """Whether the oldest query has had its time, even if others are answered meanwhile."""
        for oldest in self.waiting.values():
            return now >= oldest.overdue_at - CLOCK_SLACK_S
        return False

    def is_overdue(self, now: float) -> bool:
        """Whether a query has waited here for longer than its time."""
        return now >= self.overdue_at()

    def add(self, ticket: StreamTicket, now: float, patience_s: float) -> None:
        """One more query waits here."""
        ticket.pipeline = self
        ticket.sends += 1
        ticket.sent_at = now
        ticket.overdue_at = now + patience_s
        query_id = ticket.query_id
        self.waiting[query_id] = ticket
        self._asked[query_id >> 3] |= 1 << (query_id & 7)
        self.live += 1
        self.taken += 1
        ticket.number = self.taken

    def give_up(self, ticket: StreamTicket) -> None:
        """See `Holder`."""
        if self.waiting.get(ticket.query_id) is ticket:
            self.live -= 1

    def release(self, ticket: StreamTicket) -> None:
        """`ticket`, which waits here, will have no answer."""
        del self.waiting[ticket.query_id]
        ticket.pipeline = None
        if ticket.receiver is not None:
            self.live -= 1

    def unsent_for(self, other: Pipeline, most: int, now: float) -> Iterator[StreamTicket]:
        """Let go of up to `most` that somebody waits for and `other` takes.  Nothing was sent here yet."""
        for ticket in list(self.waiting.values()):
            if most <= 0:
                return
            if ticket.receiver is not None and other.takes(ticket.query_id, now):
                self.release(ticket)
                self.taken -= 1
                ticket.sends -= 1
                most -= 1
                yield ticket

    def number_anew(self) -> None:
        """Those that wait are the first of all: who came before them was never sent here."""
        for number, ticket in enumerate(self.waiting.values(), 1):
            ticket.number = number

    def answer(self, message: bytes, now: float) -> StreamTicket | None:
        """The query that `message` belongs to; None: there is none."""
        ticket = self.waiting.pop(message[0] << 8 | message[1], None)
        if ticket is None:
            return None
        ticket.pipeline = None
        if ticket.receiver is not None:
            self.live -= 1
        self.answered += 1
        self._answered_at = now
        self._overtaken = self.taken
        return ticket

    def was_asked(self, message: bytes) -> bool:
        """Whether its ID was ever asked here, so that it may be an answer given twice."""
        return bool(self._asked[message[0] << 5 | message[1] >> 3] >> (message[1] & 7) & 1)

    def answers_lost(self) -> int | None:
        """How many answers the upstream gives on a connection, to judge by this one, which it closed.

        None: that says nothing of it.  It does where a query was left that came before the last answer left:
        one that came later may have crossed the end of an idle connection.
        """
        if not self.waiting:
            return None
        if not self.answered:
            # Nothing of many: perhaps the answer to the first was lost with the connection.
            return 0 if len(self.waiting) > 1 else None
        oldest = next(iter(self.waiting.values()))
        return self.answered if oldest.number <= self._overtaken else None

    def take_all(self) -> list[StreamTicket]:
        """Those that somebody waits for; nobody waits here any more."""
        tickets = [ticket for ticket in self.waiting.values() if ticket.receiver is not None]
        for ticket in self.waiting.values():
            ticket.pipeline = None
        self.waiting.clear()
        self.live = 0
        return tickets
