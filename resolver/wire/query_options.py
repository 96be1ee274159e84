"""What a query gets on its way over an encrypted transport: padding, and a word about keeping the connection.

Knows: how `encode_question` ends, the two EDNS options.  Does not know: which transport it is, sockets.
"""

from __future__ import annotations

import struct

from resolver.wire.encode import OPT_OCTETS
from resolver.wire.numbers import EdnsOption, Qtype
from resolver.wire.walk import RECORD_FIXED, WireError, skip_name

QUERY_BLOCK_OCTETS = 128
"""Queries are padded to a multiple of this (RFC 8467 §4.1)."""

KEEPALIVE_UNITS_PER_S = 10
"""The timeout of edns-tcp-keepalive counts in tenths of a second (RFC 7828 §3.1)."""

_OPTION = struct.Struct("!HH").pack
_ARCOUNT = 11
_RDLENGTH_OCTETS = 2
_OPTION_HEAD_OCTETS = 4


def with_options(octets: bytes, *, asks_keepalive: bool) -> bytes:
    """A query as `encode_question` writes it, padded; one without OPT stays as it is.

    `asks_keepalive`: the empty option with which a client asks how long it may leave the connection open
    (RFC 7828 §3.2.1).
    """
    if not octets[_ARCOUNT]:
        return octets
    keepalive = _OPTION(EdnsOption.TCP_KEEPALIVE, 0) if asks_keepalive else b""
    whole = len(octets) + len(keepalive) + _OPTION_HEAD_OCTETS
    zeros = -whole % QUERY_BLOCK_OCTETS
    options = keepalive + _OPTION(EdnsOption.PADDING, zeros) + bytes(zeros)
    return octets[:-_RDLENGTH_OCTETS] + len(options).to_bytes(2, "big") + options


def question_of(octets: bytes) -> bytes:
    """Name, type and class of a query as `encode_question` writes it."""
    return octets[12 : len(octets) - (OPT_OCTETS if octets[_ARCOUNT] else 0)]


def keepalive_s(message: bytes) -> float | None:
    """For how many seconds the sender of a reply keeps an idle connection open; None: it does not say.

    Never raises, whatever the octets.
    """
    try:
        return _keepalive_s(message)
    except (IndexError, WireError, struct.error):
        return None


def _keepalive_s(message: bytes) -> float | None:
    qdcount, ancount, nscount, arcount = struct.unpack_from("!HHHH", message, 4)
    at = 12
    for _ in range(qdcount):
        at = skip_name(message, at) + 4
    for _ in range(ancount + nscount + arcount):
        at = skip_name(message, at)
        rtype, _, _, rdlength = RECORD_FIXED(message, at)
        at += 10
        if rtype == Qtype.OPT:
            return _keepalive_in(message[at : at + rdlength])
        at += rdlength
    return None


def _keepalive_in(options: bytes) -> float | None:
    at = 0
    while at + _OPTION_HEAD_OCTETS <= len(options):
        code, length = struct.unpack_from("!HH", options, at)
        at += _OPTION_HEAD_OCTETS
        if code == EdnsOption.TCP_KEEPALIVE and length == 2:
            return int.from_bytes(options[at : at + 2], "big") / KEEPALIVE_UNITS_PER_S
        at += length
    return None
