"""Asks each upstream once when a server starts, and says how long it took.

Knows: which question an upstream should answer.  Does not know: how it is asked, what follows from it.
Theory: a wrong address in the settings shows at the start, not with the first client.  Nobody waits for it:
the server is ready before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from resolver.clock import Clock
from resolver.forwarding.forwarder import Answered, Failed, Forwarder
from resolver.forwarding.plan import ForwardPlan
from resolver.forwarding.upstream import Upstream
from resolver.wire.numbers import Qtype
from resolver.wire.question import Question

_log = logging.getLogger(__name__)


def ask_each_upstream(forwarder: Forwarder, clock: Clock) -> None:
    """Ask, and have each answer said when it comes."""
    for upstream, question in first_questions(forwarder.plan):
        forwarder.ask_one(upstream, question, _teller(upstream, clock))


def first_questions(plan: ForwardPlan) -> list[tuple[Upstream, Question]]:
    """Every upstream with a question that it should answer from what it has at hand.

    The root's name servers are known to every recursive server; a server of a `forward` zone alone may refuse
    all other names.
    """
    questions: dict[Upstream, Question] = {}
    for zone, upstreams in plan.zones:
        qtype = Qtype.NS if upstreams is plan.default else Qtype.SOA
        for upstream in upstreams.upstreams:
            questions.setdefault(upstream, Question(zone, qtype))
    return list(questions.items())


def _teller(upstream: Upstream, clock: Clock) -> Callable[[Answered | Failed], None]:
    began = clock.now()

    def tell(result: Answered | Failed) -> None:
        milliseconds = round((clock.now() - began) * 1000, 1)
        if isinstance(result, Answered):
            _log.info("upstream %s answers, in %s ms", upstream.name, milliseconds)
        elif result.reason != "closed":
            upstream.on_first_question_lost(clock.now())
            _log.warning(
                "upstream %s gave no usable answer to its first question: %s, after %s ms",
                upstream.name,
                upstream.trouble or result.reason,
                milliseconds,
            )

    return tell
