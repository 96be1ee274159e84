"""Answers from the site's own records and for the special names.

Knows: `records:` of the settings, the special zones, where RESINFO and what is designated stand.  Does not
know: policy, cache, upstreams.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from resolver.local.designation import DESIGNATION_TTL_S
from resolver.local.resinfo import RESINFO_TTL_S
from resolver.local.special_names import (
    RELAY_ENDINGS,
    RELAY_ZONES,
    SPECIAL_ENDINGS,
    SPECIAL_ZONES,
    TAIL_OCTETS,
    Special,
)
from resolver.wire.names import name_from_text, suffix_offsets
from resolver.wire.numbers import Qtype, Rcode
from resolver.wire.query import Query
from resolver.wire.records import QNAME_POINTER, record, soa_record

LOCAL_TTL_S = 300
"""TTL of a site's own records: short, since they are edited by hand and nobody flushes clients."""

SPECIAL_TTL_S = 10_800
"""TTL of answers for special names: they never change (RFC 6303 §3 uses 10,800 s)."""

_RESOLVER_ARPA = name_from_text("resolver.arpa")
_SERVICE_LABEL = b"\x04_dns"
"""What stands before a resolver's name where its listeners are told (RFC 9461 §3)."""
_RESOLVER_SERVICE = _SERVICE_LABEL + _RESOLVER_ARPA
_LOCALHOST = name_from_text("localhost")
_RNAME = name_from_text("nobody.invalid")
_LOOPBACK_REVERSE = name_from_text("1.0.0.127.in-addr.arpa")
_LOOPBACK: dict[int, bytes] = {
    Qtype.A: IPv4Address("127.0.0.1").packed,
    Qtype.AAAA: IPv6Address("::1").packed,
}


@dataclass(slots=True, frozen=True)
class LocalAnswer:
    """Rcode and sections; `body` is placed behind the question."""

    rcode: int
    body: bytes
    ancount: int
    nscount: int
    addresses: tuple[bytes, ...] = ()
    """RDATA of the A and AAAA records among them."""
    ttl_s: int = 0
    """Of these."""
    is_authoritative: bool = False
    """Whether the answer says so (AA)."""
    is_lasting: bool = True
    """Whether it stays as it is while the server runs."""


class LocalNames:
    """The site's records (A, AAAA and their PTR) and the special zones."""

    def __init__(
        self,
        records: Mapping[str, Sequence[str]] | None = None,
        resinfo: bytes = b"",
        *,
        blocks_relay: bool = False,
    ) -> None:
        """`resinfo`: RDATA of the RESINFO record at resolver.arpa; empty: there is none.

        `blocks_relay`: the names by which browsers find a relay do not exist.
        """
        self._resinfo = resinfo
        self._zones = {**SPECIAL_ZONES, **RELAY_ZONES} if blocks_relay else SPECIAL_ZONES
        self._endings = {**SPECIAL_ENDINGS, **RELAY_ENDINGS} if blocks_relay else SPECIAL_ENDINGS
        self._designations: tuple[bytes, ...] = ()
        self._own_service = b""
        self._addresses: dict[bytes, list[IPv4Address | IPv6Address]] = {}
        self._pointers: dict[bytes, list[bytes]] = {}
        self._ancestors: set[bytes] = set()
        for text, addresses in (records or {}).items():
            owner = name_from_text(text)
            for address in map(ip_address, addresses):
                self._addresses.setdefault(owner, []).append(address)
                reverse = name_from_text(address.reverse_pointer)
                self._pointers.setdefault(reverse, []).append(owner)
        self._has_records = bool(self._addresses)
        for name in (*self._addresses, *self._pointers):
            self._ancestors.update(name[offset:] for offset in suffix_offsets(name)[1:])

    def designate(self, name: bytes, rdatas: Sequence[bytes]) -> None:
        """Tell clients of these listeners from now on: RDATA of SVCB records (RFC 9462), none: NODATA.

        `name`: this server's.  Below one of the site's own names they stand, too; elsewhere that is for the
        owner of the name's zone to say (RFC 9462 §5).
        """
        self._designations = tuple(rdatas)
        self._own_service = _SERVICE_LABEL + name if rdatas and name in self._addresses else b""

    def find(
        self, query: Query, is_forwarded: Callable[[bytes], bool], is_filtering: bool
    ) -> LocalAnswer | None:
        """The answer to `query` if its name is ours; None sends it on.

        `is_forwarded` tells whether the operator named an upstream for it: that wins over the special zones
        but for localhost, which means this machine to everybody (RFC 6761 §6.3), and resolver.arpa, which
        means this resolver (RFC 9462 §6.1).
        """
        qname = query.qname
        if self._has_records:
            if qname in self._addresses or qname in self._pointers:
                return self._own(query)
            if qname == self._own_service:
                return self._designated(query) or _negative(Rcode.NOERROR, 0, LOCAL_TTL_S, is_lasting=False)
        # A name that ends in none of them is no special name; nearly every question stops here.
        endings = self._endings.get(qname[-TAIL_OCTETS:])
        if endings is None or not qname.endswith(endings):
            return None
        for offset in suffix_offsets(qname):
            kind = self._zones.get(qname[offset:])
            if kind is None:
                continue
            if kind in (Special.LOOPBACK, Special.NODATA):
                return self._special(query, kind, offset)
            if is_forwarded(qname) or (kind is Special.CANARY and not is_filtering):
                return None
            return self._special(query, kind, offset)
        return None

    def _designated(self, query: Query) -> LocalAnswer | None:
        """What is designated, if that is asked and there is something."""
        if query.qtype not in (Qtype.SVCB, Qtype.ANY) or not self._designations:
            return None
        body = b"".join(
            record(QNAME_POINTER, Qtype.SVCB, DESIGNATION_TTL_S, rdata) for rdata in self._designations
        )
        count = len(self._designations)
        return LocalAnswer(Rcode.NOERROR, body, count, 0, ttl_s=DESIGNATION_TTL_S, is_lasting=False)

    def _own(self, query: Query) -> LocalAnswer:
        rdatas = [
            address.packed
            for address in self._addresses.get(query.qname, ())
            if query.qtype in (Qtype.ANY, Qtype.A if address.version == 4 else Qtype.AAAA)
        ]
        body = b"".join(
            record(QNAME_POINTER, Qtype.A if len(rdata) == 4 else Qtype.AAAA, LOCAL_TTL_S, rdata)
            for rdata in rdatas
        )
        count = len(rdatas)
        if query.qtype in (Qtype.PTR, Qtype.ANY):
            for target in self._pointers.get(query.qname, ()):
                body += record(QNAME_POINTER, Qtype.PTR, LOCAL_TTL_S, target)
                count += 1
        if not count:
            return _negative(Rcode.NOERROR, 0, LOCAL_TTL_S)
        return LocalAnswer(Rcode.NOERROR, body, count, 0, tuple(rdatas), LOCAL_TTL_S)

    def _special(self, query: Query, kind: Special, apex_offset: int) -> LocalAnswer:
        is_apex = apex_offset == 0
        if query.qname == _RESOLVER_SERVICE:
            # Not for long: a client that found nothing here may find something soon.
            nothing = _negative(Rcode.NOERROR, apex_offset, DESIGNATION_TTL_S, is_lasting=False)
            return self._designated(query) or nothing
        if query.qtype == Qtype.RESINFO and query.qname == _RESOLVER_ARPA and self._resinfo:
            # RFC 9606 §3: without AA a client must not believe that the record is this resolver's own.
            body = record(QNAME_POINTER, Qtype.RESINFO, RESINFO_TTL_S, self._resinfo)
            return LocalAnswer(Rcode.NOERROR, body, 1, 0, ttl_s=RESINFO_TTL_S, is_authoritative=True)
        if kind is Special.LOOPBACK:
            rdata = _LOOPBACK.get(query.qtype)
            if rdata is not None:
                return _positive(query.qtype, rdata, (rdata,))
        if query.qname == _LOOPBACK_REVERSE and query.qtype == Qtype.PTR:
            return _positive(Qtype.PTR, _LOCALHOST)
        # RFC 8020: NXDOMAIN would deny every name below, and one of the site's own may lie there.
        exists = (
            kind in (Special.LOOPBACK, Special.NODATA)
            or (is_apex and kind is Special.EMPTY)
            or query.qname in self._ancestors
        )
        return _negative(Rcode.NOERROR if exists else Rcode.NXDOMAIN, apex_offset, SPECIAL_TTL_S)


def _positive(rtype: int, rdata: bytes, addresses: tuple[bytes, ...] = ()) -> LocalAnswer:
    body = record(QNAME_POINTER, rtype, SPECIAL_TTL_S, rdata)
    return LocalAnswer(Rcode.NOERROR, body, 1, 0, addresses, SPECIAL_TTL_S)


def _negative(rcode: Rcode, owner_offset: int, ttl_s: int, *, is_lasting: bool = True) -> LocalAnswer:
    """A negative answer whose SOA's owner is the qname from `owner_offset` on."""
    soa = soa_record(
        QNAME_POINTER + owner_offset,
        _LOCALHOST,
        _RNAME,
        serial=1,
        refresh=3600,
        retry=1200,
        expire=604_800,
        minimum=ttl_s,
        ttl=ttl_s,
    )
    return LocalAnswer(rcode, soa, 0, 1, is_lasting=is_lasting)
