"""The cache as octets, for the server after this one: what an entry is written as, and how it is read again.

Knows: the format, which entries are worth it, what is believed of octets.  Does not know: files, clocks,
checksums (`server.snapshots` has those).  Mirror: `native/core/src/cache/snapshot.rs`.
Theory: an entry is written as the message that it answers with, and read by the same rules as any upstream's
answer (`wire.response`).  So a snapshot can put nothing into the cache that an upstream could not, whoever
wrote it, and either engine reads what the other has written.  Its time is the only thing added: how long ago
the answer was learned.  It is kept as one that was learned then, so TTLs, their bounds and staleness run on,
by the settings of now.  Failures are not written: they are over within seconds.

A record, in little-endian order, whatever machine writes it:

    octets  what
    4       length of what follows
    8       age: seconds since the answer was learned, a double
    1       flags: 1 the DO bit, 2 the CD bit, 4 a denial of the whole name
    1       uses, at most 3
    ...     a DNS message: header, question, answer, authority

A denial of a name holds for nearly every type; the type in its question is 65535 (reserved, RFC 6895), for
the type that it was learned by is known no more.  Denials stand behind all other records: a denial that is
kept beside records of a name was learned after them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from resolver.cache.entry import Seat
from resolver.cache.eviction import FREQUENCY_MAX
from resolver.cache.response_cache import ANY_TYPE, ResponseCache
from resolver.wire.outcomes import Response, SentQuery
from resolver.wire.question import Question
from resolver.wire.response import accept_response

FORMAT: Final = 1
"""One more with every change of what stands above."""

DENIAL_TYPE: Final = 0xFFFF
KEPT_ANSWER_OCTETS_MAX: Final = 66_560
"""A message of 64 KiB, and what stands around it."""

_DNSSEC_OK, _CHECKING_DISABLED, _DENIAL = 1, 2, 4
_HEAD: Final = struct.Struct("<IdBB")
_SIZE_OCTETS: Final = 4
_ABOUT_OCTETS: Final = 10
"""Age, flags, uses."""
_DNS_HEADER: Final = struct.Struct("!HHHHHH")
_TYPE_CLASS: Final = struct.Struct("!HH")
_QR_RA: Final = 0x8080
_AD: Final = 0x0020


def records_of(cache: ResponseCache, now: float) -> Iterator[bytes]:
    """A record for each answer worth keeping, the popular first.  Whatever happens to the cache meanwhile."""
    seats = cache.seats()
    for is_denial in (False, True):
        for seat in seats:
            if (seat.kind >> 2 == ANY_TYPE) is is_denial:
                record = _record(seat, now)
                if record:
                    yield record


def _record(seat: Seat, now: float) -> bytes:
    entry = getattr(seat, "entry", None)
    if entry is None or entry.response is None or now >= entry.stale_until:
        return b""
    response, qtype = entry.response, seat.kind >> 2
    flags = (_DNSSEC_OK if seat.kind & 2 else 0) | (_CHECKING_DISABLED if seat.kind & 1 else 0)
    if qtype == ANY_TYPE:
        qtype, flags = DENIAL_TYPE, flags | _DENIAL
    uses = FREQUENCY_MAX if seat.in_main else entry.frequency
    message = message_of(seat.qname, qtype, response)
    return _HEAD.pack(_ABOUT_OCTETS + len(message), now - entry.stored_at, flags, uses) + message


def message_of(qname: bytes, qtype: int, response: Response) -> bytes:
    """The message that an upstream would have sent, with an ID of 0."""
    flags = _QR_RA | (_AD if response.authentic_data else 0) | response.rcode & 0xF
    header = _DNS_HEADER.pack(0, flags, 1, response.ancount, response.nscount, 0)
    return b"".join((header, qname, _TYPE_CLASS.pack(qtype, 1), response.body))


class Loaded:
    """What became of records."""

    def __init__(self) -> None:
        self.kept = 0
        self.refused = 0
        """Those that are no answer, or too old for anything."""


def load_records(
    cache: ResponseCache, octets: bytes, away_s: float, now: float, loaded: Loaded
) -> Iterator[None]:
    """Keep what whole records in `octets` say; a step each, so that the caller may stop in between.

    `away_s`: seconds since they were written.  Never raises: what cannot be read ends it, and is counted.
    """
    at = 0
    while at + _HEAD.size <= len(octets):
        length, age_s, flags, uses = _HEAD.unpack_from(octets, at)
        end = at + _SIZE_OCTETS + length
        if not _ABOUT_OCTETS < length <= KEPT_ANSWER_OCTETS_MAX or end > len(octets):
            break
        kept = 0.0 <= age_s < float("inf") and _keep(
            cache, octets[at + _HEAD.size : end], now - away_s - age_s, flags, uses, now
        )
        if kept:
            loaded.kept += 1
        else:
            loaded.refused += 1
        at = end
        yield
    if at < len(octets):
        loaded.refused += 1


def portions(octets: bytes, octets_max: int) -> Iterator[bytes]:
    """Whole records, so many octets of them at a time or a little more; what is no record comes last."""
    start = at = 0
    while at + _SIZE_OCTETS <= len(octets):
        end = at + _SIZE_OCTETS + int.from_bytes(octets[at : at + _SIZE_OCTETS], "little")
        if end > len(octets):
            break
        at = end
        if at - start >= octets_max:
            yield octets[start:at]
            start = at
    if start < len(octets):
        yield octets[start:]


def _keep(cache: ResponseCache, message: bytes, stored_at: float, flags: int, uses: int, now: float) -> bool:
    question = _question(message, flags)
    if question is None:
        return False
    sent = SentQuery(0, question.qname, question.qtype, 1, edns=False, dnssec_ok=question.dnssec_ok)
    response = accept_response(message, sent)
    if not isinstance(response, Response) or sent.name != sent.qname:
        return False
    if bool(flags & _DENIAL) is not cache.denies_name(response):
        return False
    if stored_at + response.ttl_s + cache.stale_max_s <= now:
        return False
    entry = cache.store(question, response, stored_at)
    if entry is None:
        return False
    entry.frequency = min(uses, FREQUENCY_MAX)
    return True


def _question(message: bytes, flags: int) -> Question | None:
    """The question of a message; None: it is not read."""
    at = _DNS_HEADER.size
    while at < len(message) and 0 < message[at] < 64:
        at += 1 + message[at]
    at += 1
    qname = message[_DNS_HEADER.size : at]
    if at + _TYPE_CLASS.size > len(message) or len(qname) > 255 or message[at - 1]:
        return None
    qtype = _TYPE_CLASS.unpack_from(message, at)[0]
    return Question(qname, qtype, bool(flags & _DNSSEC_OK), bool(flags & _CHECKING_DISABLED))
