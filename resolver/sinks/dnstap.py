"""Records as dnstap: protocol buffers of dnstap.proto, each in a data frame of Frame Streams.

Knows: the messages' fields and numbers.  Does not know: handshakes, sockets.  The mirror of
`native/core/src/records/dnstap.rs`.

An answer is a CLIENT_RESPONSE, its query within; what got no answer is a CLIENT_QUERY.  A record knows one
moment, when the query ended: it is the time of the answer, or of the query that was dropped.  Where clients
are not shown in full a query is its header, its question and an OPT without options (they hold clients'
networks, cookies, hardware addresses), and octets that are no query are left out.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Final

from resolver.observe.clients import ShownClients
from resolver.observe.records import Record
from resolver.observe.tally import hits_of
from resolver.sinks.fields import codes_of, kind_fields, reason_of
from resolver.sinks.moments import seconds_and_nanos
from resolver.sinks.why import ADDRESS, CHAIN, QNAME, Why
from resolver.wire.numbers import Qtype, Rcode
from resolver.wire.query import Malformed, Query, parse_query
from resolver.wire.walk import HEADER_OCTETS

CONTENT_TYPE: Final = b"protobuf:dnstap.Dnstap"

_FAMILIES: Final = {4: 1, 16: 2}
"""INET and INET6, by the octets of an address."""
_PROTOCOLS: Final = {"udp": 1, "tcp": 2, "tls": 3, "https": 4, "h3": 4, "quic": 7}
_HTTP_VERSIONS: Final = {"h3": 3}
_ACTIONS: Final = {"nxdomain": 2, "nodata": 2, "drop": 4, "tcp-only": 5, "sinkhole": 6, "local-data": 6}
"""Of Policy: NXDOMAIN 1, NODATA 2, PASS 3, DROP 4, TRUNCATE 5, LOCAL_DATA 6; it has none for REFUSED."""
_MATCHES: Final = {QNAME: 1, CHAIN: 1, ADDRESS: 3}
"""Of Policy: QNAME 1, RESPONSE_IP 3; it has none for the target of a service record."""

_OPT: Final = struct.Struct("!BHHBBHH")
"""Root owner, type, payload size, upper rcode, version, flags, length of the options."""

_encode_json = json.JSONEncoder(separators=(",", ":")).encode


def head_of(identity: str, version: str) -> bytes:
    """What stands in front of every payload: who made it."""
    return _octets(1, identity.encode()) + _octets(2, version.encode())


def dnstap_of(records: Sequence[Record], clients: ShownClients, head: bytes, offset_s: float) -> bytes:
    """A data frame for each record; `offset_s`: wall time less monotonic time."""
    frames = []
    for record in records:
        payload = head + _payload(record, clients, offset_s)
        frames.append(len(payload).to_bytes(4) + payload)
    return b"".join(frames)


def _payload(record: Record, clients: ShownClients, offset_s: float) -> bytes:
    extra = kind_fields(record)
    codes = codes_of(record)
    if codes:
        extra["ede"] = codes
    message = _message(record, clients, offset_s)
    return _octets(3, _encode_json(extra).encode()) + _octets(14, message) + _number(15, 1)


def _message(record: Record, clients: ShownClients, offset_s: float) -> bytes:
    is_answer = record.tail is not None
    shown = clients.address(record.peer.address)
    transport = record.peer.transport.label
    parts = [_number(1, 6 if is_answer else 5)]
    parts.append(_number(2, _FAMILIES[len(shown or record.peer.address)]))
    if transport in _PROTOCOLS:
        parts.append(_number(3, _PROTOCOLS[transport]))
    if shown is not None:
        parts.append(_octets(4, shown))
    seconds, nanos = seconds_and_nanos(record.at + offset_s)
    seconds = max(seconds, 0)
    if record.tail is None:
        parts += [_number(8, seconds), _fixed(9, nanos)]
    query = parse_query(record.octets)
    shown_query = record.octets if clients.clients == "full" else _bare_query(query)
    if shown_query:
        parts.append(_octets(10, shown_query))
    if record.tail is not None:
        parts += [_number(12, seconds), _fixed(13, nanos)]
        parts.append(_octets(14, record.octets[:2] + record.tail))
    enforced, _ = hits_of(record.verdict)
    if enforced is not None:
        why = reason_of(record, query)
        parts.append(_octets(15, _policy(enforced.kind, enforced.action, record.rcode, why)))
    if transport in _HTTP_VERSIONS:
        parts.append(_number(16, _HTTP_VERSIONS[transport]))
    return b"".join(parts)


def _bare_query(query: Query | Malformed) -> bytes:
    """Header, question and the fixed part of the OPT; empty: it is no query."""
    if isinstance(query, Malformed):
        return b""
    counts = bytes((0, 1, 0, 0, 0, 0, 0, query.has_opt))
    bare = query.octets[:4] + counts + query.octets[HEADER_OCTETS : query.question_end]
    if query.has_opt:
        opt = (0, Qtype.OPT, query.payload_octets, 0, query.edns_version, query.dnssec_ok << 15, 0)
        bare += _OPT.pack(*opt)
    return bare


def _policy(kind: str, action: str, rcode: int | None, why: Why | None) -> bytes:
    parts = [_octets(1, kind.encode())]
    if why is not None:
        parts.append(_octets(2, why.owner))
    # Where names below are not blocked the name exists (RFC 8020), and is denied type by type.
    is_nxdomain = action == "nxdomain" and rcode == Rcode.NXDOMAIN
    number = 1 if is_nxdomain else _ACTIONS.get(action)
    if number is not None:
        parts.append(_number(3, number))
    if why is not None:
        if why.matched in _MATCHES:
            parts.append(_number(4, _MATCHES[why.matched]))
        parts.append(_octets(5, why.value))
    return b"".join(parts)


# Protocol buffers: a field is its number and wire type, then a varint (0), octets (2) or 32 bits (5).


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _fixed(field: int, number: int) -> bytes:
    return _varint(field << 3 | 5) + number.to_bytes(4, "little")


def _octets(field: int, octets: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(octets)) + octets
