"""Records as messages of syslog (RFC 5424), each behind its count of octets (RFC 6587 §3.4.1).

Knows: how a message is put together.  Does not know: the fields, transports.  The mirror of
`native/core/src/records/syslog.rs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from resolver.observe.clients import ShownClients
from resolver.observe.records import Record
from resolver.sinks.fields import Value, fields_of, type_text
from resolver.sinks.moments import moment_text
from resolver.wire.names import name_to_text
from resolver.wire.query import Malformed, parse_query

PRIORITY: Final = "<30>1 "
"""Facility daemon (3), severity informational (6), and the version (RFC 5424 §6.2.1, §6.2.2)."""

ELEMENT: Final = "query@32473"
"""Name of the structured data.  32473 is the enterprise number for documentation (RFC 5612): we have none."""

APP_NAME: Final = "exchange-resolver"
MESSAGE_ID: Final = "query"

_NOT_IN_A_HOST_NAME: Final = re.compile(r"[^\x21-\x7e]")
_TO_ESCAPE: Final = re.compile(r'(["\\\]])')


def head_of(host: str, process: int) -> bytes:
    """What stands in every message between its time and the first parameter."""
    shown = _NOT_IN_A_HOST_NAME.sub("", host)[:255] or "-"
    return f"{shown} {APP_NAME} {process} {MESSAGE_ID} [{ELEMENT}".encode()


def syslog_of(records: Sequence[Record], clients: ShownClients, head: bytes, offset_s: float) -> bytes:
    """A counted message for each record; `offset_s`: wall time less monotonic time."""
    shown = head.decode()
    messages = []
    for record in records:
        query = parse_query(record.octets)
        parts = [PRIORITY, moment_text(record.at + offset_s), " ", shown]
        fields = fields_of(record, query, clients)
        parts += [f' {name}="{_escaped(value)}"' for name, value in fields.items()]
        parts.append("] ")
        if not isinstance(query, Malformed):
            parts.append(f"{name_to_text(query.qname)} {type_text(query.qtype)} ")
        parts.append(str(fields.get("rcode") or fields["dropped"]))
        message = "".join(parts).encode()
        messages.append(b"%d %b" % (len(message), message))
    return b"".join(messages)


def _escaped(value: Value) -> str:
    # RFC 5424 §6.3.3.
    text = value if isinstance(value, str) else ",".join(map(str, value))
    return _TO_ESCAPE.sub(r"\\\1", text)


def message_spans(octets: memoryview) -> Iterator[tuple[int, int]]:
    """Where each of these whole counted messages starts and ends, without its count."""
    whole = bytes(octets)
    find = whole.index
    at = 0
    while at < len(whole):
        start = find(b" ", at) + 1
        end = start + int(whole[at : start - 1])
        yield start, end
        at = end


def message_ends(octets: memoryview) -> Iterator[int]:
    """Where each of these whole counted messages ends."""
    return (end for _, end in message_spans(octets))
