"""An attempt that another plane sent, as a transaction knows its own.

Knows: the fields of both.  Does not know: sockets, who waits, what is decided next.
"""

from __future__ import annotations

from resolver.forwarding.bounds import TIMER_SLACK_S
from resolver.forwarding.patience import attempt_patience_s
from resolver.forwarding.steps import Attempt
from resolver.forwarding.upstream import Upstream
from resolver.plane import Handover
from resolver.wire.encode import encode_question
from resolver.wire.numbers import Qclass

_IN = int(Qclass.IN)

CUT_SHORT_S = 0.05
"""An attempt that is due so much before its upstream's time was cut short; less is a time learnt since."""


def adopted_attempt(handover: Handover, upstream: Upstream, timeout_s: float) -> Attempt:
    """The attempt of a handover, for a question that may take `timeout_s`.

    Its transaction and ticket are to be set by whoever takes it in.
    """
    qname, qtype, dnssec_ok, checking_disabled = handover.question
    attempt = Attempt.__new__(Attempt)
    attempt.upstream = upstream
    attempt.id = handover.id
    attempt.name = qname
    attempt.qname = handover.qname_as_sent
    attempt.qtype = qtype
    attempt.qclass = _IN
    attempt.edns = handover.edns
    attempt.dnssec_ok = dnssec_ok and handover.edns
    attempt.is_stream = upstream.is_stream
    attempt.question_octets = octets = (
        handover.qname_as_sent + qtype.to_bytes(2, "big") + _IN.to_bytes(2, "big")
    )
    attempt.octets = encode_question(handover.id, octets, attempt.dnssec_ok, checking_disabled, handover.edns)
    attempt.sent_at = handover.sent_at
    attempt.due_at = handover.due_at
    patient_until = handover.sent_at + attempt_patience_s(upstream, upstream.is_stream)
    if handover.due_at + CUT_SHORT_S < patient_until:
        # The other plane was told to ask us sooner (`hedging`); the upstream is not late for that.
        attempt.due_at = patient_until
    if handover.due_at + TIMER_SLACK_S >= handover.sent_at + timeout_s:
        # Cut short by the time for the whole question, which is no fault of the upstream's.
        attempt.due_at = max(handover.due_at, patient_until)
    attempt.is_over = attempt.is_late = attempt.is_case_changed = False
    attempt.bad_packets = 0
    attempt.trial = ""
    attempt.verifier = attempt.ticket = None
    return attempt
