"""Encodes a blocked answer: what a client gets for a name that a rule denies.

Knows: verdicts, the records and errors that each action means.  Does not know: which rule wins.
"""

from __future__ import annotations

import math
import struct

from resolver.policy.verdict import PolicyAction, PolicyRule, Verdict
from resolver.wire.encode import encode_response
from resolver.wire.numbers import ExtendedError, Qclass, Qtype, Rcode
from resolver.wire.query import Query

SOA_MNAME = b"\x06policy\x07invalid\0"
"""Nobody's server: `invalid` never exists (RFC 6761 §6.4), so nobody is sent an update or a mail."""
SOA_RNAME = b"\x06nobody\x07invalid\0"
SOA_SERIAL = 1
SOA_REFRESH_S = 3600
SOA_RETRY_S = 600
SOA_EXPIRE_S = 86400
"""Nobody transfers this zone; the three are merely plausible."""

QUESTION_POINTER = 0xC00C
"""A compression pointer to the question's name, behind the 12 octets of the header (RFC 1035 §4.1.4)."""
TEMPLATES_MAX = 4096
"""Rules whose prepared parts are kept: each takes about 1 kB, and few blocklists have as many."""

_RECORD = struct.Struct("!HHIH")
_SOA_NUMBERS = struct.Struct("!IIIII")


class _Template:
    """The parts of a rule's answers that every question shares, at the rule's own TTL."""

    __slots__ = ("address_errors", "denials", "errors", "rule", "soa", "ttl_s")

    def __init__(self, rule: PolicyRule) -> None:
        self.rule = rule
        self.ttl_s = rule.ttl_s
        self.soa = soa_after_owner(rule.ttl_s)
        self.denials: dict[int, bytes] = {}
        """SOA records whose owner starts so many octets into the question's name; at most 254."""
        self.errors = ((rule.ede, rule.ede_text),)
        # RFC 8914 §4.5: Forged Answer is for answers that are still provided, not for denials.
        self.address_errors = (*self.errors, (int(ExtendedError.FORGED_ANSWER), ""))


_templates: dict[int, _Template] = {}


def policy_answer(
    query: Query,
    verdict: Verdict,
    *,
    limit: int,
    now: float,
    kept: tuple[bytes, int] | None = None,
) -> bytes | None:
    """The whole message that says `verdict.denied` is blocked; None: send nothing.

    `kept` is the chain that leads from the question to a denied later name: its records, with
    their TTLs as they now are, and their count.  `limit` is in octets.
    """
    match = verdict.match
    assert match is not None
    action = verdict.action
    rule = match.rule
    # By identity: hashing a rule's fields would cost more than all the rest here.
    template = _templates.get(id(rule))
    if template is None:
        template = _remember(rule)
    if action is PolicyAction.DROP:
        return None
    if action is PolicyAction.REFUSED:
        return encode_response(query, Rcode.REFUSED, limit=limit, ede=template.errors)
    ttl_s = template.ttl_s
    remaining_s = verdict.valid_until - now
    if remaining_s < ttl_s:
        # Past the boundary only until the publisher swaps tables: then answer, but let nobody keep it.
        ttl_s = max(0, int(remaining_s))
    denied = verdict.denied
    if action is PolicyAction.SINKHOLE:
        address = sinkhole_address(rule, query.qtype)
        if address:
            record = _RECORD.pack(query.qtype, Qclass.IN, ttl_s, len(address)) + address
            chain, ancount = kept or (b"", 0)
            body = chain + _owner_octets(query.qname, denied, denied) + record
            return encode_response(
                query, 0, body=body, ancount=ancount + 1, limit=limit, ede=template.address_errors
            )
    # Where NXDOMAIN is true the rule stands at or above the denied name; elsewhere it is checked.
    owner = match.owner if verdict.nxdomain_ok else soa_owner(verdict)
    # RFC 6604 §2.1: with a chain, the rcode speaks of the last name.
    rcode = 3 if verdict.nxdomain_ok and action is PolicyAction.NXDOMAIN else 0
    if kept is None and ttl_s == template.ttl_s and denied == query.qname and len(owner) > 1:
        cut = len(denied) - len(owner)
        denial = template.denials.get(cut)
        if denial is None:
            denial = template.denials[cut] = _owner_octets(denied, denied, owner) + template.soa
        return encode_response(query, rcode, body=denial, nscount=1, limit=limit, ede=template.errors)
    chain, ancount = kept or (b"", 0)
    body = chain + _owner_octets(query.qname, denied, owner) + soa_after_owner(ttl_s)
    return encode_response(
        query, rcode, body=body, ancount=ancount, nscount=1, limit=limit, ede=template.errors
    )


def answer_rcode(verdict: Verdict) -> Rcode:
    """The rcode of a blocked answer (`DROP` has none: NOERROR here)."""
    if verdict.action is PolicyAction.REFUSED:
        return Rcode.REFUSED
    if verdict.action is PolicyAction.NXDOMAIN and verdict.nxdomain_ok:
        return Rcode.NXDOMAIN
    return Rcode.NOERROR


def answer_ttl_s(verdict: Verdict, now: float) -> int:
    """The TTL of a blocked answer's records: the rule's, or the whole seconds until it may change."""
    assert verdict.match is not None
    ttl_s = verdict.match.rule.ttl_s
    if verdict.valid_until == math.inf:
        return ttl_s
    return max(0, min(ttl_s, int(verdict.valid_until - now)))


def sinkhole_address(rule: PolicyRule, qtype: int) -> bytes:
    """RDATA of the rule's sinkhole for this type; empty: it has none (NODATA then)."""
    if qtype == Qtype.A:
        return rule.sinkhole_ipv4
    if qtype == Qtype.AAAA:
        return rule.sinkhole_ipv6
    return b""


def soa_owner(verdict: Verdict) -> bytes:
    """Whose SOA denies: the matched rule's owner where it is at or above the denied name."""
    match = verdict.match
    assert match is not None
    denied = verdict.denied
    owner = match.owner
    if match.form is None or not denied.endswith(owner):
        return denied
    cut = len(denied) - len(owner)
    position = 0
    while position < cut:
        position += denied[position] + 1
    return owner if position == cut else denied


def soa_after_owner(ttl_s: int) -> bytes:
    """A SOA record but for its owner; MINIMUM is the TTL, which so becomes the negative TTL (RFC 2308 §5)."""
    numbers = _SOA_NUMBERS.pack(SOA_SERIAL, SOA_REFRESH_S, SOA_RETRY_S, SOA_EXPIRE_S, ttl_s)
    rdata = SOA_MNAME + SOA_RNAME + numbers
    return _RECORD.pack(Qtype.SOA, Qclass.IN, ttl_s, len(rdata)) + rdata


def _owner_octets(qname: bytes, denied: bytes, owner: bytes) -> bytes:
    """`owner`, which is at or above `denied`: a pointer into the question where that is the denied name."""
    if denied == qname and len(owner) > 1:
        return (QUESTION_POINTER + len(denied) - len(owner)).to_bytes(2, "big")
    return owner


def _remember(rule: PolicyRule) -> _Template:
    if len(_templates) >= TEMPLATES_MAX:
        _templates.clear()
    # The template holds its rule, so the id stays this rule's as long as the entry stands.
    template = _templates[id(rule)] = _Template(rule)
    return template
