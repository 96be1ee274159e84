"""What can become of a query: the values that pass between service and listeners.

Knows: the words.  Does not know: how they are decided, counted or sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from resolver.cache.entry import CacheEntry
from resolver.flow.peer import Peer
from resolver.flow.route import Route
from resolver.policy.answer import AnswerTemplate
from resolver.policy.verdict import PASS, PolicyAction, Verdict, over_stream
from resolver.wire.query import Query
from resolver.wire.question import Question


class Source(StrEnum):
    """Where an answer came from; the value is the metric label."""

    POLICY = "policy"
    CACHE = "cache"
    STALE = "stale"
    UPSTREAM = "upstream"
    LOCAL = "local"


@dataclass(slots=True, eq=False)
class Respond:
    """Send this: the query's own ID, then `tail`.

    The same object may answer many queries (a memo holds it), so listeners do not change it,
    except `tally`, which is theirs.  Fields that only a memo needs are in `memo.Remembered`.
    """

    tail: bytes
    """The response message after its two ID octets."""
    rcode: int
    qtype: int | None
    """None: the question could not be read."""
    source: Source
    verdict: Verdict = PASS
    tally: Any = None
    """The listener's counter for outcomes of this kind."""
    prepared: AnswerTemplate | None = None
    """What it was made from, if all answers made from that are counted alike; also remembers the tally."""


@dataclass(slots=True, eq=False)
class Drop:
    """Send nothing; over a stream transport close the connection if `close`."""

    reason: str
    """From a closed set of short words, fit for a metric label."""
    close: bool = False
    qtype: int | None = None
    verdict: Verdict = PASS


@dataclass(slots=True, eq=False)
class Redirect:
    """A denied name whose rule answers with a CNAME, and whose addresses are to be found there."""

    verdict: Verdict
    question: Question
    """Asks for the other name, as the client asked for its own, but without DO."""
    kept: tuple[bytes, int] | None
    """The chain that leads to the denied name, and its number of records; None: it is the name asked."""


@dataclass(slots=True, eq=False)
class Ask:
    """Nothing here answers it: hand it to `Service.resolve`."""

    query: Query
    question: Question
    """What the upstreams are asked: the client's question, or that of `redirect`."""
    peer: Peer
    verdict: Verdict
    generation: int
    """The policy generation that `verdict` belongs to."""
    asked_at: float
    """Monotonic seconds."""
    route: Route | None = None
    """Where the answer is to go; the listener's."""
    stale: CacheEntry | None = None
    """A stale cache entry that may stand in when upstreams are slow or dead."""
    redirect: Redirect | None = None
    """Why its question is not the client's."""


Outcome = Respond | Drop | Ask


# The two most frequent outcomes are made without their `__init__`s, which cost three times as much.


def answer_with(tail: bytes, rcode: int, qtype: int, source: Source, verdict: Verdict) -> Respond:
    """A `Respond` that is not counted yet."""
    answer = Respond.__new__(Respond)
    answer.tail = tail
    answer.rcode = rcode
    answer.qtype = qtype
    answer.source = source
    answer.verdict = verdict
    answer.tally = answer.prepared = None
    return answer


def ask_for(
    query: Query,
    question: Question,
    peer: Peer,
    verdict: Verdict,
    generation: int,
    now: float,
    stale: CacheEntry | None,
) -> Ask:
    """An `Ask` for the client's own question."""
    ask = Ask.__new__(Ask)
    ask.query = query
    ask.question = question
    ask.peer = peer
    ask.verdict = verdict
    ask.generation = generation
    ask.asked_at = now
    ask.stale = stale
    ask.route = ask.redirect = None
    return ask


_TCP_ONLY = PolicyAction.TCP_ONLY


def over_transport(peer: Peer, verdict: Verdict) -> Verdict:
    """The verdict as it holds on this client's transport."""
    if verdict.action is _TCP_ONLY and peer.is_stream:
        return over_stream(verdict)
    return verdict
