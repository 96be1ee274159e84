"""What an answer must be: decided by the policy's own table and spelt by its own encoder.

Knows: how to ask the table and `policy.answer`.  Does not know: what was answered.
Nothing of the policy is worked out here a second time: the message that this server would send is made, and
read back.
"""

from __future__ import annotations

from dataclasses import dataclass

from resolver.policy.answer import own_rdatas, policy_answer
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import PolicyAction, Verdict, over_stream
from resolver.wire.encode import response_limit
from resolver.wire.message import Message, rdata_text, read_message
from resolver.wire.names import name_to_text
from resolver.wire.numbers import Qtype, Rcode
from resolver.wire.query import Query, parse_query

ADDRESS_TYPES = (int(Qtype.A), int(Qtype.AAAA))


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must come back to one query."""

    verdict: Verdict
    message: Message | None
    """What this server would send; None: nothing (`drop`), or the ordinary answer."""
    addresses: frozenset[bytes] = frozenset()
    """All that the rule may answer with, of either family."""
    target: bytes = b""
    """Of a stop page that is a CNAME: where it leads, wire form."""

    @property
    def passes(self) -> bool:
        """Whether the ordinary answer is meant to come."""
        return not self.verdict.is_blocked

    @property
    def is_silence(self) -> bool:
        """Whether no answer is meant to come."""
        return self.verdict.action is PolicyAction.DROP

    @property
    def flags_and_rcode(self) -> tuple[bool, int] | None:
        """TC and rcode of what is prescribed; None: nothing is, or the ordinary answer."""
        message = self.message
        return None if message is None else (bool(message.flags & 0x0200), message.rcode)

    @property
    def words(self) -> str:
        """What is prescribed, for people."""
        message = self.message
        if self.passes:
            return "the ordinary answer"
        if message is None:
            return "silence"
        if self.target:
            return f"a CNAME to {name_to_text(self.target)}"
        if message.answer:
            return ", ".join(rdata_text(record.rtype, record.rdata) for record in message.answer)
        return said_by(message)


def expect(table: PolicyTable, octets: bytes, *, is_stream: bool, now: float) -> Expectation:
    """What the policy prescribes for a query's octets at `now` on the table's clock."""
    query = parse_query(octets)
    assert isinstance(query, Query)  # We made it.
    verdict = table.judge_name(query.qname, now)
    if is_stream and verdict.action is PolicyAction.TCP_ONLY:
        verdict = over_stream(verdict)
    if not verdict.is_blocked:
        return Expectation(verdict, None)
    sent = policy_answer(query, verdict, limit=response_limit(query, is_stream), now=now)
    message = None if sent is None else read_message(sent)
    assert verdict.match is not None
    rule = verdict.match.rule
    addresses: set[bytes] = set()
    target = b""
    if verdict.action in (PolicyAction.SINKHOLE, PolicyAction.LOCAL_DATA):
        for qtype in ADDRESS_TYPES:
            rtype, rdatas = own_rdatas(rule, qtype, verdict.denied)
            if rtype == Qtype.CNAME:
                target = rdatas[0].lower() if rdatas else b""
            else:
                addresses.update(rdatas)
    return Expectation(verdict, message, frozenset(addresses), target)


def said_by(message: Message) -> str:
    """What a message says, in one or two words."""
    if message.flags & 0x0200:
        return "truncation"
    if message.rcode:
        known = message.rcode in set(Rcode)
        return Rcode(message.rcode).name if known else f"RCODE{message.rcode}"
    return "an answer" if message.answer else "NODATA"
