"""The mark of an audit's query: an EDNS option, or where a query has no EDNS a record beside it.

Knows: how a query carries the secret.  Does not know: what is asked, who made the secret.
Theory: a query without EDNS must stay one, for what it gets is what such a client gets.  So the option stands
in a record of a private type, which servers step over as they do with all they do not know.
"""

from __future__ import annotations

import struct
from typing import Final

from resolver.wire.numbers import EdnsOption
from resolver.wire.query import AUDIT_RECORD, Malformed, parse_query

_RECORD: Final = struct.Struct("!BHHIH")
"""Root owner, type, class, TTL, octets of data."""
_CLASS_ANY: Final = 255


def marked(octets: bytes, secret: bytes) -> bytes:
    """The query with the secret in it.

    Raises ValueError for octets that are no query, or that have more than a question and an OPT.
    """
    query = parse_query(octets)
    if isinstance(query, Malformed) or octets[10:12] != bytes((0, query.has_opt)):
        raise ValueError("only a query with an OPT at most can be marked")
    option = struct.pack("!HH", EdnsOption.AUDIT_SECRET, len(secret)) + secret
    end = query.question_end
    if not query.has_opt:
        record = _RECORD.pack(0, AUDIT_RECORD, _CLASS_ANY, 0, len(option)) + option
        return octets[:10] + b"\0\1" + octets[12:] + record
    owner, rtype, payload, flags, length = _RECORD.unpack_from(octets, end)
    opt = _RECORD.pack(owner, rtype, payload, flags, length + len(option))
    return octets[:end] + opt + octets[end + _RECORD.size :] + option
