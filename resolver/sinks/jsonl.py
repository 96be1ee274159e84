"""Records as lines of JSON.

Knows: how a line is put together.  Does not know: the fields, where lines go.  The mirror of
`native/core/src/records/jsonl.rs`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from resolver.observe.clients import ShownClients
from resolver.observe.records import Record
from resolver.sinks.fields import fields_of
from resolver.sinks.moments import moment_text
from resolver.wire.query import parse_query

_encode = json.JSONEncoder(separators=(",", ":")).encode


def jsonl_of(records: Sequence[Record], clients: ShownClients, head: bytes, offset_s: float) -> bytes:
    """A line for each record; `offset_s`: wall time less monotonic time.  `head` is not used."""
    lines = [
        _encode(
            {
                "time": moment_text(record.at + offset_s),
                **fields_of(record, parse_query(record.octets), clients),
            }
        )
        + "\n"
        for record in records
    ]
    return "".join(lines).encode()


def line_ends(octets: memoryview) -> Iterator[int]:
    """Where each of these whole lines ends."""
    at = 0
    for line in bytes(octets).splitlines(keepends=True):
        at += len(line)
        yield at
