"""Holds one answer against what it must be, and says what is wrong with it.

Knows: messages, expectations, how strict to be with whom.  Does not know: sockets, who is asked again.
Of this server every part of a blocked answer is held against what it would send: rcode, records, SOA, EDE,
TTL.  Of another server rcode and records decide, and the rest is a note; where no export format can say
`refused` or `drop`, any denial will do.
What passes is held against the marks of a denial: an EDE of filtering, a SOA that is nobody's, a stop page,
or an NXDOMAIN without the SOA of a zone above the name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from resolver.audit.expectation import ADDRESS_TYPES, Expectation, said_by
from resolver.audit.results import Kind
from resolver.policy.answer import SOA_MNAME
from resolver.policy.verdict import PolicyAction
from resolver.wire.message import Message, ReadRecord, rdata_text, type_text
from resolver.wire.names import is_at_or_below, name_to_text
from resolver.wire.numbers import ExtendedError, Qtype, Rcode

RECORDS_SHOWN_MAX = 2
TEXT_CHARS_MAX = 200
"""Of what a stranger's server said, in one reason."""
TTL_SLACK_S = 3
"""A TTL that runs towards a date may differ by the time between asking and judging."""
_FILTERING = {int(ExtendedError.BLOCKED), int(ExtendedError.CENSORED), int(ExtendedError.FILTERED)}
_TRUNCATED = 0x0200
_ANY = int(Qtype.ANY)
_DENIALS = (int(Rcode.NXDOMAIN), int(Rcode.NOERROR))


class Finding(NamedTuple):
    """One thing wrong, or a note."""

    kind: Kind
    text: str
    gist: str = ""
    """The text without names and strangers' words, where it has any: what many notes have in common."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one answer shows."""

    faults: tuple[Finding, ...] = ()
    """It is not what is prescribed."""
    doubt: Finding | None = None
    """Nothing is shown: ask again, more slowly."""
    notes: tuple[Finding, ...] = ()


FINE = Opinion()


def judge(message: Message, qname: bytes, qtype: int, expected: Expectation, *, is_exact: bool) -> Opinion:
    """What an answer to a question shows; `is_exact`: SOA, EDE and TTL decide, too.

    `qname` in lower case; that the message answers this question is known.
    """
    if expected.passes:
        return _judge_passing(message, qname, qtype)
    if expected.verdict.action is PolicyAction.TCP_ONLY:
        return _judge_tcp_only(message)
    if expected.is_silence:
        return _judge_silence(message, qname)
    prescribed = expected.message
    assert prescribed is not None
    if not (qtype == _ANY and not is_exact) and (doubt := _doubt(message, prescribed)):
        return Opinion(doubt=doubt)
    faults = list(_denial_faults(message, prescribed, qname, qtype, expected, is_exact=is_exact))
    details = [] if faults else list(_detail_faults(message, prescribed, expected))
    if is_exact:
        return Opinion(faults=(*faults, *details))
    return Opinion(faults=tuple(faults), notes=(*details, *_upstream_denial(message, expected)))


def _doubt(message: Message, prescribed: Message) -> Finding | None:
    """Why an answer shows nothing: it may be the server's haste rather than its policy."""
    is_same = message.flags & prescribed.flags & _TRUNCATED and message.rcode == prescribed.rcode
    if message.flags & _TRUNCATED and not is_same and not message.answer:
        return Finding(Kind.TRUNCATED, "truncated (TC=1), with nothing in it")
    if message.rcode == Rcode.REFUSED and prescribed.rcode != Rcode.REFUSED:
        return Finding(Kind.REFUSED, "refused")
    if message.rcode == Rcode.SERVFAIL:
        return Finding(Kind.SERVFAIL, "SERVFAIL")
    return None


def _denial_faults(
    message: Message,
    prescribed: Message,
    qname: bytes,
    qtype: int,
    expected: Expectation,
    *,
    is_exact: bool,
) -> Iterable[Finding]:
    """What makes an answer no denial, or another one than prescribed."""
    if not is_exact and qtype == _ANY:
        yield from _any_faults(message, expected)
        return
    if not is_exact and expected.verdict.action is PolicyAction.REFUSED:
        if message.answer or message.rcode not in (*_DENIALS, Rcode.REFUSED):
            yield from _wrong_records(message, qname, expected)
        return
    mine = _without_soa_of_denial(message, is_exact=is_exact)
    if expected.target:
        yield from _redirect_faults(message, mine, prescribed, qname, expected)
        return
    wanted = {(record.owner, record.rtype, record.rdata) for record in prescribed.answer}
    found = {(record.owner, record.rtype, record.rdata) for record in mine}
    if found - wanted:
        yield from _wrong_records(message, qname, expected, but=wanted)
    elif message.rcode != prescribed.rcode:
        yield Finding(Kind.RCODE, f"{said_by(message)} in place of {said_by(prescribed)}")
    elif wanted - found and not message.flags & prescribed.flags & _TRUNCATED:
        missing = _records_text(record for record in prescribed.answer if _key(record) not in found)
        yield Finding(Kind.ANSWER, f"the stop page's address is missing: {missing}")
    elif is_exact and message.flags & _TRUNCATED != prescribed.flags & _TRUNCATED:
        yield Finding(Kind.ANSWER, f"{said_by(message)} in place of {said_by(prescribed)}")


def _redirect_faults(
    message: Message,
    mine: list[ReadRecord],
    prescribed: Message,
    qname: bytes,
    expected: Expectation,
) -> Iterable[Finding]:
    """Of a stop page that is a CNAME; what stands behind it is its own server's affair."""
    if not prescribed.answer:
        return
    first = [record for record in mine if record.owner == qname]
    target = expected.target
    if [(record.rtype, record.rdata.lower()) for record in first] != [(int(Qtype.CNAME), target)]:
        if message.rcode in _DENIALS and not first:
            yield Finding(Kind.ANSWER, f"{said_by(message)} in place of {expected.words}")
        else:
            yield from _wrong_records(message, qname, expected)


def _any_faults(message: Message, expected: Expectation) -> Iterable[Finding]:
    """ANY, of another server: whatever tells nothing of the name's real records will do (RFC 8482)."""
    told = [
        record for record in _without_soa_of_denial(message, is_exact=False) if not _tells_nothing(record)
    ]
    allowed = {(rtype, rdata) for rdata in expected.addresses for rtype in ADDRESS_TYPES}
    wrong = [
        record
        for record in told
        if (record.rtype, record.rdata) not in allowed
        and not (
            expected.target and (record.rdata.lower() == expected.target or record.owner == expected.target)
        )
    ]
    if wrong:
        yield Finding(Kind.LEAK, f"ANY tells {_records_text(wrong)}")


def _wrong_records(
    message: Message, qname: bytes, expected: Expectation, but: Iterable[tuple[bytes, int, bytes]] = ()
) -> Iterable[Finding]:
    known = set(but)
    records = [record for record in message.answer if _key(record) not in known]
    if not records:
        yield Finding(Kind.RCODE, f"{said_by(message)} in place of {expected.words}")
        return
    # A stop page of somebody's, if not the one prescribed: no leak of the real addresses.
    is_stop_page = all(_is_nowhere(record) or record.rdata in expected.addresses for record in records)
    kind = Kind.ANSWER if is_stop_page else Kind.LEAK
    # For a name with a prescribed page, other records are another page as likely as the real host.
    if not is_stop_page and (expected.addresses or expected.target) and _is_page(records):
        kind = Kind.ANSWER
    yield Finding(kind, f"{_records_text(records)} in place of {expected.words}")


def _is_page(records: list[ReadRecord]) -> bool:
    return all(record.rtype in (*ADDRESS_TYPES, int(Qtype.CNAME)) for record in records)


def _judge_tcp_only(message: Message) -> Opinion:
    if message.flags & _TRUNCATED and not message.answer:
        return FINE
    # Lists that send clients to TCP block nothing by it.
    return Opinion(notes=(Finding(Kind.OTHER, "answered over UDP, where only TCP is to be answered"),))


def _judge_silence(message: Message, qname: bytes) -> Opinion:
    if message.answer:
        return Opinion(faults=(Finding(Kind.LEAK, f"{_records_text(message.answer)} in place of silence"),))
    if message.rcode in (Rcode.REFUSED, Rcode.SERVFAIL, *_DENIALS):
        return Opinion(notes=(Finding(Kind.RCODE, f"{said_by(message)} in place of silence"),))
    return Opinion(faults=(Finding(Kind.RCODE, f"{said_by(message)} in place of silence"),))


def _detail_faults(message: Message, prescribed: Message, expected: Expectation) -> Iterable[Finding]:
    """SOA, EDE and TTL."""
    soas = [record for record in message.authority if record.rtype == Qtype.SOA]
    for wanted in (record for record in prescribed.authority if record.rtype == Qtype.SOA):
        if not soas:
            yield Finding(Kind.SOA, "no SOA, so no resolver behind it knows how long the denial holds")
        elif soas[0].owner != wanted.owner:
            text = f"the SOA is of {name_to_text(soas[0].owner)}, not of {name_to_text(wanted.owner)}"
            yield Finding(Kind.SOA, text, "the SOA is of another name")
        elif soas[0].rdata != wanted.rdata:
            said, prescribed_soa = (rdata_text(Qtype.SOA, one.rdata) for one in (soas[0], wanted))
            yield Finding(Kind.SOA, f"the SOA says {said}, not {prescribed_soa}", "another SOA")
    codes, prescribed_codes = dict(message.extended_errors), dict(prescribed.extended_errors)
    if missing := [code for code in prescribed_codes if code not in codes]:
        yield Finding(Kind.EDE, f"Extended DNS Error {missing[0]} is missing")
    else:
        for code, text in prescribed_codes.items():
            if codes[code] != text:
                said = codes[code][:TEXT_CHARS_MAX]
                gist = f"another text with Extended DNS Error {code}"
                reason = f"the text of Extended DNS Error {code} is {said!r}, not {text!r}"
                yield Finding(Kind.EDE, reason, gist)
    ttls, wanted_ttls = _ttls(message, prescribed), _ttls(prescribed, prescribed)
    if ttls and wanted_ttls and abs(max(ttls) - max(wanted_ttls)) > _slack_s(expected):
        text = f"TTL {max(ttls)} s, not {max(wanted_ttls)} s"
        yield Finding(Kind.TTL, text, "denials are kept for another time than here")


def _slack_s(expected: Expectation) -> int:
    return 0 if expected.verdict.valid_until == float("inf") else TTL_SLACK_S


def _ttls(message: Message, prescribed: Message) -> list[int]:
    """The TTLs of what denies: the answer's records, where there are to be any, else the SOA's."""
    if prescribed.answer:
        owners = {record.owner for record in prescribed.answer}
        return [record.ttl_s for record in message.answer if record.owner in owners]
    return [record.ttl_s for record in message.authority if record.rtype == Qtype.SOA]


def _upstream_denial(message: Message, expected: Expectation) -> Iterable[Finding]:
    """A denial with the SOA of a zone above the rule's own name was the zone's: the list did not speak."""
    match = expected.verdict.match
    assert match is not None
    for record in message.authority:
        if record.rtype != Qtype.SOA or is_of_policy(record) or match.form is None:
            continue
        if (
            record.owner != match.owner
            and is_at_or_below(match.owner, record.owner)
            and len(record.owner) > 1
        ):
            text = f"denied by the zone {name_to_text(record.owner)} itself: the server may not know the rule"
            gist = "denied by the zone's own servers, it seems: the server may not know the rule"
            yield Finding(Kind.UPSTREAM_DENIAL, text, gist)
            return


# What is meant to pass.


def _judge_passing(message: Message, qname: bytes, qtype: int) -> Opinion:
    if message.rcode == Rcode.SERVFAIL:
        return Opinion(doubt=Finding(Kind.SERVFAIL, "does not resolve: SERVFAIL"))
    if message.flags & _TRUNCATED and not message.answer:
        return Opinion(doubt=Finding(Kind.TRUNCATED, "truncated (TC=1), with nothing in it"))
    codes = {code for code, _ in message.extended_errors} & _FILTERING
    if codes:
        return _too_wide(f"{said_by(message)} with Extended DNS Error {min(codes)}")
    if message.rcode == Rcode.REFUSED:
        return Opinion(doubt=Finding(Kind.REFUSED, "refused"))
    if any(record.rtype == Qtype.SOA and is_of_policy(record) for record in message.authority):
        return _too_wide(f"{said_by(message)} with the SOA of a policy")
    if message.answer:
        if all(_is_nowhere(record) for record in message.answer if record.rtype in ADDRESS_TYPES) and any(
            record.rtype in ADDRESS_TYPES for record in message.answer
        ):
            return _too_wide(_records_text(message.answer))
        return FINE
    if message.rcode == Rcode.NXDOMAIN:
        soas = [record for record in message.authority if record.rtype == Qtype.SOA]
        if not soas:
            return _too_wide("NXDOMAIN without the SOA of a zone")
        if not is_at_or_below(qname, soas[0].owner):
            return _too_wide(f"NXDOMAIN with the SOA of {name_to_text(soas[0].owner)}, which is not above it")
    return FINE


def _too_wide(what: str) -> Opinion:
    return Opinion(faults=(Finding(Kind.TOO_WIDE, f"{what}, and no rule here blocks it"),))


def is_of_policy(soa: ReadRecord) -> bool:
    """Whether a SOA names a server that cannot exist: MNAME at or under `invalid` (RFC 6761 §6.4)."""
    mname = soa.rdata.lower()
    if mname.startswith(SOA_MNAME):
        return True
    at = 0
    while at < len(mname) and (length := mname[at]):
        if mname[at : at + 9] == b"\x07invalid\0":
            return True
        at += length + 1
    return False


def _without_soa_of_denial(message: Message, *, is_exact: bool) -> list[ReadRecord]:
    """The answer section; of another server without what only tells that there is nothing.

    A resolver may have the SOA that it denies with as data of the name, and answer questions for SOA with it.
    """
    if is_exact:
        return list(message.answer)
    return [
        record
        for record in message.answer
        if not (record.rtype == Qtype.SOA and is_of_policy(record)) and not _tells_nothing(record)
    ]


def _tells_nothing(record: ReadRecord) -> bool:
    """HINFO in place of ANY (RFC 8482 §4.2); a NAPTR that leads nowhere, by which dnsmasq says NODATA."""
    if record.rtype == Qtype.HINFO:
        return record.rdata.startswith(b"\x07RFC8482")
    return record.rtype == Qtype.NAPTR and record.rdata == bytes(8)


def _is_nowhere(record: ReadRecord) -> bool:
    """An address that leads nowhere: unspecified or loopback."""
    if record.rtype not in ADDRESS_TYPES or len(record.rdata) not in (4, 16):
        return False
    address = ipaddress.ip_address(record.rdata)
    return address.is_unspecified or address.is_loopback


def _key(record: ReadRecord) -> tuple[bytes, int, bytes]:
    return record.owner, record.rtype, record.rdata


def _records_text(records: Iterable[ReadRecord]) -> str:
    """The first records in words; safe to print, as `rdata_text` escapes."""
    shown = list(records)
    texts = [
        f"{type_text(record.rtype)} {rdata_text(record.rtype, record.rdata)}"[:TEXT_CHARS_MAX]
        for record in shown[:RECORDS_SHOWN_MAX]
    ]
    more = f" and {len(shown) - RECORDS_SHOWN_MAX} more" if len(shown) > RECORDS_SHOWN_MAX else ""
    return ", ".join(texts) + more
