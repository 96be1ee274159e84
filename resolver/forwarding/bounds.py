"""How much one question may cost, and how long its attempts may take.

Knows: the numbers and their reasons.  Does not know: who keeps to them (`transaction`).
"""

from __future__ import annotations

PACKETS_PER_QUESTION_MAX = 8
"""Queries sent upstream for one question, retries, failover, TCP and probes included."""

DATAGRAM_COST = 1
STREAM_COST = 2
"""A TCP attempt may be sent twice: a reused connection that breaks is replaced once."""

STREAM_TIMEOUT_S_MAX = 1.0
"""Patience with an attempt over TCP at first, however slow its upstream: should its connection have
fallen silent, there must be time for another."""

GIVEN_BACK_MAX = 16
"""Attempts of one question that cost nothing, because their connection came to nothing before the query left:
a way that comes and goes would else use up in one of its gaps what the question may cost."""

BAD_PACKETS_MAX = 8
"""Bad packets that one attempt reads before it stops listening: a forger gets no more guesses."""

BROKEN_ANSWERS_MAX = 3
"""Answers to one question that cannot be read, until nobody else is asked: the name breaks them."""

TIMER_SLACK_S = 1e-6
"""A timer may fire this much early, by rounding."""

ABANDONED_MAX = 2
"""Attempts over streams to one upstream that no fault of its ended, until another is asked instead: each was
sent twice, and half of what a question may cost must be left for the other one."""

AGAIN_S = 0.1
"""How long a question waits when connections to its upstreams broke and nobody else is left to ask."""

ANSWERS_LATELY_S = 5.0
"""An upstream that answered anything within so long is there: what it does not answer is one name, one packet
or one connection."""

GONE_FOR_LONG_S = 2.0
"""An upstream that is down and is probed no sooner than after this is not waited for: it will hardly be back
within the question's time."""
