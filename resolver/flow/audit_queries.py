"""Queries of an audit of this server: answered like any other, counted nowhere but as what they are.

Knows: the EDNS option that carries the secret of this start, how it is compared.  Does not know: who made the
secret, who asks, what is asked.
Theory: whoever carries the secret gains nothing but this, and passes every gate.  A wrong secret is an option
that nobody knows, and so it changes nothing (RFC 6891 §6.1.2).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final

from resolver.flow.outcome import Ask, Drop, Outcome, Respond
from resolver.policy.verdict import AUDITED
from resolver.wire.numbers import EdnsOption

SECRET_OCTETS_MIN: Final = 16
"""Octets of a secret at least: nobody guesses it."""

_OPTION: Final = int(EdnsOption.AUDIT_SECRET)


class AuditSecret:
    """What the audit queries of this start carry."""

    def __init__(self, octets: bytes) -> None:
        """Raises ValueError for under `SECRET_OCTETS_MIN` octets."""
        if len(octets) < SECRET_OCTETS_MIN:
            raise ValueError(f"a secret has {SECRET_OCTETS_MIN} octets or more")
        self._octets = octets

    def is_among(self, options: tuple[tuple[int, bytes], ...]) -> bool:
        """Whether one of a query's options carries it; in constant time for all of its length."""
        # A loop: `any` costs a quarter of a microsecond more.
        for code, value in options:  # noqa: SIM110
            if code == _OPTION and hmac.compare_digest(value, self._octets):
                return True
        return False


def no_audit(_: tuple[tuple[int, bytes], ...]) -> bool:
    """Where there is no secret nothing carries it."""
    return False


def counted_nowhere(outcome: Outcome) -> Outcome:
    """The same outcome as nobody counts it; it must be that of one query alone, as all with options are."""
    if type(outcome) is not Ask:
        outcome.verdict = AUDITED
        if type(outcome) is Respond:
            # What else was made from this template counts on.
            outcome.tally = outcome.prepared = None
    return outcome


def deliver_uncounted(
    deliver: Callable[[Ask, Respond | Drop], None],
) -> Callable[[Ask, Respond | Drop], None]:
    """`deliver`, with outcomes that nobody counts."""

    def deliver_it(ask: Ask, outcome: Respond | Drop) -> None:
        counted_nowhere(outcome)
        deliver(ask, outcome)

    return deliver_it
