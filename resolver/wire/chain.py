"""Picks, out of an upstream's records, the ones that answer the question; the rest is dropped.

Knows: CNAME and DNAME chains, RFC 2308's negative answers, which records are DNSSEC proof.
Does not know: how the kept records are laid out again.
Raises WireError on RDATA that breaks its layout; `response` catches it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from resolver.wire.names import NAME_OCTETS_MAX, is_at_or_below
from resolver.wire.numbers import Qtype, Rcode
from resolver.wire.walk import RECORDS_MAX, Names, Record, WireError, read_name

CHAIN_LINKS_MAX = 11
"""Longest CNAME/DNAME chain accepted (Unbound's default too)."""

_RRSIG, _CNAME, _DNAME, _SOA, _NS, _ANY = 46, 5, 39, 6, 2, 255
_PROOF_TYPES = frozenset((Qtype.NSEC, Qtype.NSEC3))

Index = dict[tuple[bytes, int], list[Record]]


@dataclass(slots=True, frozen=True)
class Synthesized:
    """A CNAME that an upstream left out after its DNAME (RFC 6672 §3.1)."""

    owner: bytes
    target: bytes
    ttl_s: int


@dataclass(slots=True, frozen=True)
class Link:
    """One step of the chain: where it leads, and how many kept records lie up to its end."""

    target: bytes
    count: int


@dataclass(slots=True)
class Chain:
    """The records that answer qname, in the order of the chain."""

    name_at_end: bytes
    kept: list[Record | Synthesized] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    terminal: list[Record] = field(default_factory=list)
    """Records of the final RRset (with the signatures over it); they are in `kept` as well."""
    is_broken: bool = False
    """The chain loops or is too long."""


def follow_chain(
    octets: bytes,
    records: list[Record],
    qname: bytes,
    qtype: int,
    rcode: int,
    dnssec_ok: bool,
    names: Names,
) -> Chain:
    """Follow CNAME and DNAME from `qname` to the RRset asked for; at most CHAIN_LINKS_MAX links.

    Records that the chain does not reach are left out (RFC 5452 §6 and RFC 2181 §5.4.1: an answer
    is believed for what was asked, no more).
    """
    index: Index = {}
    for record in records:
        index.setdefault((record.owner, record.rtype), []).append(record)
    has_dname = any(record.rtype == _DNAME for record in records)
    chain = Chain(qname)
    seen = {qname}
    while True:
        name = chain.name_at_end
        # RFC 2308 §2.1: with NXDOMAIN the chain's last name is the one that is not there.
        if terminal := _terminal_records(octets, index, records, name, qtype, dnssec_ok):
            if rcode != Rcode.NXDOMAIN:
                # RFC 6672 §3.1: the DNAME that a CNAME was made from belongs to the answer.
                if qtype == _CNAME and has_dname and (dname := _dname_above(index, name)) is not None:
                    chain.kept.append(dname)
                chain.terminal = terminal
                chain.kept += terminal
            return chain
        target = _step(octets, index, has_dname, name, dnssec_ok, chain, names)
        if target is None:
            return chain
        # One DNAME may be taken at every step, each time with all its signatures.
        if len(chain.kept) > RECORDS_MAX:
            raise WireError
        if len(chain.links) == CHAIN_LINKS_MAX or target in seen:
            chain.is_broken = True
            return chain
        seen.add(target)
        chain.links.append(Link(target, len(chain.kept)))
        chain.name_at_end = target


def negative_records(
    octets: bytes, authority: list[Record], name: bytes, dnssec_ok: bool
) -> tuple[Record | None, list[Record]]:
    """The SOA that vouches for a negative answer about `name`, and all authority records to keep.

    The SOA must stand at or above the name; without DO only it is kept.
    """
    soa = next((r for r in authority if r.rtype == _SOA and is_at_or_below(name, r.owner)), None)
    if soa is None:
        return None, proof_records(octets, authority) if dnssec_ok else []
    if not dnssec_ok:
        return soa, [soa]
    return soa, [
        r
        for r in authority
        if r is soa
        or r.rtype in _PROOF_TYPES
        or (
            r.rtype == _RRSIG
            and (
                (covered := _covered_type(octets, r)) in _PROOF_TYPES
                or (covered == _SOA and r.owner == soa.owner)
            )
        )
    ]


def proof_records(octets: bytes, authority: list[Record]) -> list[Record]:
    """The denial records (NSEC, NSEC3) and the signatures over them, in the order they came."""
    return [
        r
        for r in authority
        if r.rtype in _PROOF_TYPES or (r.rtype == _RRSIG and _covered_type(octets, r) in _PROOF_TYPES)
    ]


def is_referral(authority: list[Record]) -> bool:
    """Whether a sectionless answer only points elsewhere: NS without SOA (RFC 2308 §2.2)."""
    return any(r.rtype == _NS for r in authority) and not any(r.rtype == _SOA for r in authority)


def _terminal_records(
    octets: bytes, index: Index, records: list[Record], name: bytes, qtype: int, dnssec_ok: bool
) -> list[Record]:
    if qtype == _ANY:
        return [r for r in records if r.owner == name and (dnssec_ok or r.rtype != _RRSIG)]
    terminal = index.get((name, qtype), [])
    if terminal and dnssec_ok and qtype != _RRSIG:
        return terminal + _signatures(octets, index, name, qtype)
    return terminal


def _step(
    octets: bytes,
    index: Index,
    has_dname: bool,
    name: bytes,
    dnssec_ok: bool,
    chain: Chain,
    names: Names,
) -> bytes | None:
    """Keep the records of one step from `name` and return where it leads; None: nowhere."""
    cnames = index.get((name, _CNAME))
    dname = _dname_above(index, name) if has_dname else None
    if dname is None:
        if cnames is None:
            return None
        target = _target(octets, cnames[0], names)
        # RFC 2181 §10.1: one CNAME per name; of several the first is followed, the rest dropped.
        chain.kept.append(cnames[0])
        if dnssec_ok:
            chain.kept += _signatures(octets, index, name, _CNAME)
        return target
    prefix = name[: len(name) - len(dname.owner)]
    target = prefix + _target(octets, dname, names)
    if len(target) > NAME_OCTETS_MAX:
        raise WireError
    chain.kept.append(dname)
    if dnssec_ok:
        chain.kept += _signatures(octets, index, dname.owner, _DNAME)
    # The DNAME rules (RFC 6672 §3.4): a CNAME beside it that leads elsewhere is not believed.
    if cnames is not None and _target(octets, cnames[0], names) == target:
        chain.kept.append(cnames[0])
    else:
        chain.kept.append(Synthesized(name, target, dname.ttl_s))
    return target


def _dname_above(index: Index, name: bytes) -> Record | None:
    """The DNAME at the nearest ancestor; the first of several there.  At most 127 look-ups."""
    at = 0
    while length := name[at]:
        at += length + 1
        if found := index.get((name[at:], _DNAME)):
            return found[0]
    return None


def _target(octets: bytes, record: Record, names: Names) -> bytes:
    """The name that is the whole RDATA of a CNAME or DNAME, lower case."""
    target, end = read_name(octets, record.rdata_start, names)
    if end != record.end:
        raise WireError
    return target.lower()


def _signatures(octets: bytes, index: Index, owner: bytes, covered: int) -> list[Record]:
    return [r for r in index.get((owner, _RRSIG), ()) if _covered_type(octets, r) == covered]


def _covered_type(octets: bytes, record: Record) -> int:
    """The type an RRSIG covers: the first two octets of its RDATA (RFC 4034 §3.1)."""
    if record.end - record.rdata_start < 18:
        raise WireError
    at = record.rdata_start
    return octets[at] << 8 | octets[at + 1]
