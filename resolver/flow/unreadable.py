"""What becomes of octets that are no query.

Knows: the reasons of `wire.query`, that a NOTIFY may be for somebody here.  Does not know: the later gates.
"""

from __future__ import annotations

from collections.abc import Callable

from resolver.flow.outcome import Drop, Respond, Source
from resolver.wire.encode import encode_malformed
from resolver.wire.query import OPCODE, Malformed

TakeNotify = Callable[[bytes, bytes], bytes | None]
"""From a message that is no QUERY and its sender's packed address to the answer; None: not one of its own."""


def answer_unreadable(
    octets: bytes, malformed: Malformed, address: bytes, take_notify: TakeNotify | None, *, limited: bool
) -> Respond | Drop:
    """A header with the reason's response code, or nothing; `limited`: the client is over its rate."""
    if malformed.rcode is None:
        return Drop(malformed.reason, close=True)
    if limited:
        return Drop("rate_limit")
    if malformed is OPCODE and take_notify is not None:
        # A primary's NOTIFY, which only who follows its zone can answer.
        reply = take_notify(octets, address)
        if reply is not None:
            return Respond(reply[2:], reply[3] & 0xF, None, Source.LOCAL)
    return Respond(encode_malformed(octets, malformed.rcode)[2:], malformed.rcode, None, Source.LOCAL)
