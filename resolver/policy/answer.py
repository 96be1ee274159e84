"""Encodes a blocked answer: what a client gets for a name that a rule denies.

Knows: verdicts, the records and errors that each action means.  Does not know: which rule wins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from resolver.policy.structured import StructuredErrors
from resolver.policy.verdict import LocalData, PolicyAction, PolicyRule, Verdict
from resolver.wire.encode import (
    COPIED_FLAGS,
    NOTHING_ASKED,
    STREAM_OCTETS_MAX,
    AskedOptions,
    ExtendedErrors,
    encode_response,
)
from resolver.wire.names import NAME_OCTETS_MAX, is_at_or_below
from resolver.wire.numbers import ExtendedError, Qtype, Rcode
from resolver.wire.query import Query
from resolver.wire.records import QNAME_POINTER, record, soa_record

SOA_MNAME = b"\x06policy\x07invalid\0"
"""Nobody's server: `invalid` never exists (RFC 6761 §6.4), so nobody is sent an update or a mail."""
SOA_RNAME = b"\x06nobody\x07invalid\0"
SOA_SERIAL = 1
SOA_REFRESH_S = 3600
SOA_RETRY_S = 600
SOA_EXPIRE_S = 86400
"""Nobody transfers this zone; the three are merely plausible."""

TEMPLATES_MAX = 4096
"""Rules whose prepared parts are kept: each takes about 1 kB, and few blocklists have as many."""

PREPARED_MAX = 16_384
"""Kinds of denials whose constant parts are kept: some 15 MB at worst."""

# Members of an Enum cost a descriptor call each time they are read through their class.
_DROP = PolicyAction.DROP
_REFUSED = PolicyAction.REFUSED
_TCP_ONLY = PolicyAction.TCP_ONLY
_SINKHOLE = PolicyAction.SINKHOLE
_LOCAL_DATA = PolicyAction.LOCAL_DATA
_NXDOMAIN = PolicyAction.NXDOMAIN
_REFUSED_RCODE = int(Rcode.REFUSED)
_ANY = int(Qtype.ANY)
_STAR = b"\x01*"
_ADDRESS_OCTETS = {int(Qtype.A): 4, int(Qtype.AAAA): 16}


class AnswerTemplate:
    """What a denial's message says beside the query's own octets, the same for every denial of its kind.

    The message is the query's ID, `heads[flags & COPIED_FLAGS]`, the query's question, `suffix`.
    """

    __slots__ = ("heads", "question_end_max", "rcode", "rule", "suffix", "tally", "ttl_s")

    def __init__(self, rule: PolicyRule, query: Query, message: bytes | None) -> None:
        """Take the constant parts out of `message`, which answers `query`; None: nothing is constant."""
        message = message or b""
        flags = int.from_bytes(message[2:4], "big") & ~COPIED_FLAGS
        self.heads = {
            copied: (flags | copied).to_bytes(2, "big") + message[4:12]
            for copied in (0, 0x0010, 0x0100, 0x0110)
        }
        self.suffix = message[query.question_end :]
        """The records and, if asked with OPT, the OPT record with its errors."""
        # Every client takes 512 octets.
        self.question_end_max = 512 - len(self.suffix) if message else 0
        self.rcode = flags & 0x0F
        self.rule = rule
        self.ttl_s = rule.ttl_s
        self.tally: Any = None
        """The UDP listeners' counter for such answers."""


class _Template:
    """The parts of a rule's answers that every question shares, at the rule's own TTL."""

    __slots__ = ("address_errors", "errors", "rule", "soa", "ttl_s")

    def __init__(self, rule: PolicyRule) -> None:
        self.rule = rule
        self.ttl_s = rule.ttl_s
        self.soa = soa_after_owner(rule.ttl_s)
        self.errors = ((rule.ede, rule.ede_text),)
        # RFC 8914 §4.5: Forged Answer is for answers that are still provided, not for denials.
        self.address_errors = (*self.errors, (int(ExtendedError.FORGED_ANSWER), ""))


_templates: dict[int, _Template] = {}

_prepared: dict[tuple[int, int, bool, int, bool, bool], AnswerTemplate] = {}
"""By the rule, where its owner starts in the name, whether NXDOMAIN is true, the type, OPT and DO."""


def prepared_answer(query: Query, verdict: Verdict, now: float) -> AnswerTemplate | None:
    """The constant parts of the answer to a name that `verdict` itself denies (not a name of its chain).

    None, or where its `question_end_max` is exceeded: let `policy_answer` make the message.
    """
    match = verdict.match
    assert match is not None
    rule = match.rule
    # The rule by identity: hashing its fields would cost more than all the rest here.
    key = (
        id(rule),
        len(query.qname) - len(match.owner),
        verdict.nxdomain_ok,
        query.qtype,
        query.has_opt,
        query.dnssec_ok,
    )
    prepared = _prepared.get(key)
    if prepared is None:
        if len(_prepared) >= PREPARED_MAX:
            _prepared.clear()
        message = None
        # The CNAME of local data may hold the denied name; how much ANY may be told depends on its query.
        if verdict.action is not _LOCAL_DATA and query.qtype != _ANY:
            lasting = replace(verdict, valid_until=math.inf)
            message = policy_answer(query, lasting, limit=STREAM_OCTETS_MAX, now=now)
        # It holds its rule, so the id stays this rule's as long as the entry stands.
        prepared = _prepared[key] = AnswerTemplate(rule, query, message)
    if verdict.valid_until - now < prepared.ttl_s or verdict.shadow is not None:
        return None
    return prepared


def policy_answer(
    query: Query,
    verdict: Verdict,
    structured: StructuredErrors | None = None,
    asked: AskedOptions = NOTHING_ASKED,
    *,
    limit: int,
    now: float,
    kept: tuple[bytes, int] | None = None,
) -> bytes | None:
    """The whole message that says `verdict.denied` is blocked; None: send nothing.

    `kept` is the chain that leads from the question to a denied later name: its records, with
    their TTLs as they now are, and their count.  `limit` is in octets.  `structured`: the client asked for
    its errors in this form, and the options that were `asked`.
    """
    match = verdict.match
    assert match is not None
    action = verdict.action
    rule = match.rule
    # By identity: hashing a rule's fields would cost more than all the rest here.
    template = _templates.get(id(rule))
    if template is None:
        template = _remember(rule)
    if action is _DROP:
        return None
    if action is _REFUSED:
        return _encode(query, template, structured, asked, _REFUSED_RCODE, limit=limit)
    if action is _TCP_ONLY:
        # Not blocked, so without an Extended DNS Error: the client is to come back over a stream.
        options, pads = asked
        return encode_response(query, 0, limit=limit, options=options, pads=pads, truncated=True)
    ttl_s = template.ttl_s
    remaining_s = verdict.valid_until - now
    if remaining_s < ttl_s:
        # Past the boundary only until the publisher swaps tables: then answer, but let nobody keep it.
        ttl_s = max(0, int(remaining_s))
    denied = verdict.denied
    if action is _SINKHOLE or action is _LOCAL_DATA:
        rtype, rdatas = own_rdatas(rule, query.qtype, denied)
        if rdatas:
            chain, ancount = kept or (b"", 0)
            body = chain + _records(query.qname, denied, rtype, ttl_s, rdatas)
            ancount += len(rdatas)
            return _encode(
                query,
                template,
                structured,
                asked,
                0,
                body=body,
                ancount=ancount,
                limit=limit,
                gives_addresses=True,
            )
    # Where NXDOMAIN is true the rule stands at or above the denied name; elsewhere it is checked.
    owner = match.owner if verdict.nxdomain_ok else soa_owner(verdict)
    # RFC 6604 §2.1: with a chain, the rcode speaks of the last name.
    rcode = 3 if verdict.nxdomain_ok and action is _NXDOMAIN else 0
    chain, ancount = kept or (b"", 0)
    soa = template.soa if ttl_s == template.ttl_s else soa_after_owner(ttl_s)
    body = chain + _owner_octets(query.qname, denied, owner) + soa
    return _encode(
        query, template, structured, asked, rcode, body=body, ancount=ancount, nscount=1, limit=limit
    )


def redirected_answer(
    query: Query,
    verdict: Verdict,
    *,
    limit: int,
    now: float,
    kept: tuple[bytes, int] | None,
    addresses: Sequence[bytes],
    ttl_s: int,
    rcode: int,
    structured: StructuredErrors | None = None,
    asked: AskedOptions = NOTHING_ASKED,
) -> bytes:
    """The answer of a rule that leads elsewhere, with what was found there.

    `addresses` and `rcode` are the target's; `ttl_s` is how long the addresses may be kept.
    """
    assert verdict.match is not None
    rule = verdict.match.rule
    denied = verdict.denied
    target = redirect_target(verdict)
    chain, ancount = kept or (b"", 0)
    own_ttl_s = answer_ttl_s(verdict, now)
    body = chain + _records(query.qname, denied, Qtype.CNAME, own_ttl_s, [target])
    ttl_s = min(ttl_s, own_ttl_s)
    # Whatever chain the target has of its own is left out: only the addresses matter.
    body += b"".join(record(target, query.qtype, ttl_s, address) for address in addresses)
    ancount += 1 + len(addresses)
    template = _remember(rule)
    return _encode(
        query,
        template,
        structured,
        asked,
        rcode,
        body=body,
        ancount=ancount,
        limit=limit,
        gives_addresses=True,
    )


def _encode(
    query: Query,
    template: _Template,
    structured: StructuredErrors | None,
    asked: AskedOptions,
    rcode: int,
    *,
    body: bytes = b"",
    ancount: int = 0,
    nscount: int = 0,
    limit: int,
    gives_addresses: bool = False,
) -> bytes:
    """The message with the errors of a rule, in the form that the client asked for, and its other options."""
    options, pads = asked
    ede: ExtendedErrors = template.address_errors if gives_addresses else template.errors
    if structured is not None:
        ede = ()
        options += structured.options(template.rule, limit - query.question_end - len(body) - asked.octets)
    return encode_response(
        query,
        rcode,
        body=body,
        ancount=ancount,
        nscount=nscount,
        limit=limit,
        ede=ede,
        options=options,
        pads=pads,
    )


def redirect_target(verdict: Verdict) -> bytes:
    """Where a rule's CNAME leads from the denied name (wire form); empty: it has none, or it is too long."""
    assert verdict.match is not None
    local_data = verdict.match.rule.local_data
    return _target_of(local_data, verdict.denied) if local_data is not None else b""


def _target_of(local_data: LocalData, denied: bytes) -> bytes:
    target = local_data.redirect
    if target.startswith(_STAR):
        target = denied[:-1] + target[len(_STAR) :]
    return target if len(target) <= NAME_OCTETS_MAX else b""


def own_rdatas(rule: PolicyRule, qtype: int, denied: bytes) -> tuple[int, list[bytes]]:
    """The type and RDATA of what a rule has for a question of `qtype`; none: NODATA."""
    local_data = rule.local_data
    if rule.action is not _LOCAL_DATA or local_data is None:
        address = sinkhole_address(rule, qtype)
        return qtype, [address] if address else []
    if local_data.redirect:
        target = _target_of(local_data, denied)
        return int(Qtype.CNAME), [target] if target else []
    octets = _ADDRESS_OCTETS.get(qtype, 0)
    return qtype, [address for address in local_data.addresses if len(address) == octets]


def _records(qname: bytes, denied: bytes, rtype: int, ttl_s: int, rdatas: Sequence[bytes]) -> bytes:
    owner = _owner_octets(qname, denied, denied)
    return b"".join([record(owner, rtype, ttl_s, rdata) for rdata in rdatas])


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
    if match.form is None or not is_at_or_below(denied, owner):
        return denied
    return owner


def soa_after_owner(ttl_s: int) -> bytes:
    """A SOA record but for its owner; MINIMUM is the TTL, which so becomes the negative TTL (RFC 2308 §5)."""
    return soa_record(
        b"", SOA_MNAME, SOA_RNAME, SOA_SERIAL, SOA_REFRESH_S, SOA_RETRY_S, SOA_EXPIRE_S, ttl_s, ttl_s
    )


def _owner_octets(qname: bytes, denied: bytes, owner: bytes) -> bytes:
    """`owner`, which is at or above `denied`: a pointer into the question where that is the denied name."""
    if denied == qname and len(owner) > 1:
        return (QNAME_POINTER + len(denied) - len(owner)).to_bytes(2, "big")
    return owner


def _remember(rule: PolicyRule) -> _Template:
    if len(_templates) >= TEMPLATES_MAX:
        _templates.clear()
    # The template holds its rule, so the id stays this rule's as long as the entry stands.
    template = _templates[id(rule)] = _Template(rule)
    return template
