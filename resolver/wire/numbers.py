"""The numbers of the DNS, by their IANA names.

Values not listed here stay plain ints everywhere: an unknown type or rcode is data, not an error.
Source: IANA "Domain Name System (DNS) Parameters".
"""

from __future__ import annotations

from enum import Enum, IntEnum


class Rcode(IntEnum):
    """Response codes (RFC 1035 §4.1.1, RFC 2136, RFC 6891 for BADVERS)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    YXRRSET = 7
    NXRRSET = 8
    NOTAUTH = 9
    NOTZONE = 10
    BADVERS = 16


class Opcode(IntEnum):
    """Kinds of query (RFC 1035 §4.1.1 and later)."""

    QUERY = 0
    IQUERY = 1
    STATUS = 2
    NOTIFY = 4
    UPDATE = 5
    DSO = 6


class Qclass(IntEnum):
    """Classes (RFC 1035 §3.2.4)."""

    IN = 1
    CH = 3
    HS = 4
    NONE = 254
    ANY = 255


class Qtype(IntEnum):
    """Types that this resolver names; every other value passes through as an int."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    MB = 7
    MG = 8
    MR = 9
    NULL = 10
    PTR = 12
    HINFO = 13
    MINFO = 14
    MX = 15
    TXT = 16
    RP = 17
    AFSDB = 18
    RT = 21
    SIG = 24
    PX = 26
    AAAA = 28
    NXT = 30
    SRV = 33
    NAPTR = 35
    KX = 36
    CERT = 37
    DNAME = 39
    OPT = 41
    DS = 43
    SSHFP = 44
    RRSIG = 46
    NSEC = 47
    DNSKEY = 48
    NSEC3 = 50
    NSEC3PARAM = 51
    TLSA = 52
    SMIMEA = 53
    CDS = 59
    CDNSKEY = 60
    OPENPGPKEY = 61
    CSYNC = 62
    ZONEMD = 63
    SVCB = 64
    HTTPS = 65
    SPF = 99
    NXNAME = 128
    TKEY = 249
    TSIG = 250
    IXFR = 251
    AXFR = 252
    MAILB = 253
    MAILA = 254
    ANY = 255
    URI = 256
    CAA = 257
    RESINFO = 261


class EdnsOption(IntEnum):
    """EDNS option codes that this resolver reads or writes."""

    NSID = 3
    CLIENT_SUBNET = 8
    COOKIE = 10
    TCP_KEEPALIVE = 11
    PADDING = 12
    EXTENDED_ERROR = 15
    AUDIT_SECRET = 65331
    """Ours, from the range for local use (RFC 6891 §9): see `flow.audit_queries`."""


class ExtendedError(IntEnum):
    """Extended DNS Error INFO-CODEs (RFC 8914 §4, IANA registry)."""

    OTHER = 0
    STALE_ANSWER = 3
    FORGED_ANSWER = 4
    CACHED_ERROR = 13
    NOT_READY = 14
    BLOCKED = 15
    CENSORED = 16
    FILTERED = 17
    PROHIBITED = 18
    STALE_NXDOMAIN_ANSWER = 19
    NOT_AUTHORITATIVE = 20
    NOT_SUPPORTED = 21
    NO_REACHABLE_AUTHORITY = 22
    NETWORK_ERROR = 23
    INVALID_DATA = 24


class NegativeKind(Enum):
    """The two negative answers of RFC 2308; they never stand in for each other."""

    NXDOMAIN = "nxdomain"
    NODATA = "nodata"


class Flag(IntEnum):
    """Bits of the header's flags word (RFC 1035 §4.1.1, RFC 4035 §3.1.6)."""

    QR = 0x8000
    AA = 0x0400
    TC = 0x0200
    RD = 0x0100
    RA = 0x0080
    Z = 0x0040
    AD = 0x0020
    CD = 0x0010


META_TYPES = {
    0: Rcode.FORMERR,
    Qtype.OPT: Rcode.FORMERR,
    Qtype.NXNAME: Rcode.FORMERR,  # RFC 9824: it stands in NSEC records only.
    Qtype.TSIG: Rcode.FORMERR,
    Qtype.TKEY: Rcode.NOTIMP,
    Qtype.MAILA: Rcode.NOTIMP,
    Qtype.MAILB: Rcode.NOTIMP,
    Qtype.AXFR: Rcode.REFUSED,
    Qtype.IXFR: Rcode.REFUSED,
}
"""Types that are no question about data (RFC 6895 §3.1), and what asking for one gets; none is forwarded."""
