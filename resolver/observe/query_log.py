"""The query log: off unless asked for, and then one line per query.

Knows: how records become lines.  Does not know: sockets, how answers are made, how clients are shown.
`native/core/src/records/lines.rs` makes the same octets of the native plane's records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from resolver.observe.clients import ShownClients
from resolver.observe.log import LINE_FORMATS, LineAccount, LogWriter
from resolver.observe.records import Record, Taken, blocked_of, count_of
from resolver.observe.tally import OTHER, QTYPE_LABELS, RCODE_LABELS, hits_of
from resolver.wire.names import name_to_text
from resolver.wire.query import Malformed, parse_query


class QueryLog:
    """The sink that writes a line for each record; see `records.Sink`."""

    name: Final = "log"
    trouble: Final = ""

    def __init__(
        self,
        writer: LogWriter,
        *,
        clients: ShownClients,
        line_format: str,
        only_blocked: bool = False,
        native_look: Any = None,
    ) -> None:
        """`native_look`: the same look for the native plane's records, if there is a plane."""
        self._writer = writer
        self._clients = clients
        self._format = line_format
        self.only_blocked = only_blocked
        self._native_look = native_look
        self._account = LineAccount()
        self._given_up = 0

    @property
    def written(self) -> int:
        return self._account.written

    @property
    def lost(self) -> int:
        return self._given_up + self._account.failed

    def write(self, taken: Taken, offset_s: float) -> None:
        # No line is made for a reader that has stopped reading.
        if not self._writer.has_room:
            self.give_up(count_of(taken, only_blocked=self.only_blocked))
            return
        if isinstance(taken, list):
            records = blocked_of(taken) if self.only_blocked else taken
            lines, count = lines_of(records, self._format, self._clients, offset_s), len(records)
        else:
            lines, count = taken.written(self._native_look, offset_s)
        if count:
            self._writer.put_lines(lines, count, self._account)

    def give_up(self, count: int) -> None:
        self._given_up += count

    def start(self) -> None:
        """The writer starts by itself."""

    def close(self, wait_s: float) -> None:
        """The writer is closed by whoever has it."""


def lines_of(records: Sequence[Record], line_format: str, clients: ShownClients, offset_s: float) -> bytes:
    """A line for each record; `offset_s`: wall time less monotonic time."""
    format_line = LINE_FORMATS[line_format]
    return "".join(
        format_line(record.at + offset_s, "info", "query", _fields(record, clients)) + "\n"
        for record in records
    ).encode()


def _fields(record: Record, clients: ShownClients) -> dict[str, object]:
    query = parse_query(record.octets)
    fields: dict[str, object] = {}
    client = clients.text(record.peer.address)
    if client is not None:
        fields["client"] = client
    fields["transport"] = record.peer.transport.label
    if isinstance(query, Malformed):
        fields["malformed"] = query.reason
    else:
        fields["qname"] = name_to_text(query.qname)
        fields["qtype"] = QTYPE_LABELS.get(query.qtype, f"TYPE{query.qtype}")
    if record.rcode is None:
        fields["dropped"] = record.source
    else:
        fields["rcode"] = RCODE_LABELS.get(record.rcode, OTHER)
        fields["source"] = record.source
    for hit in hits_of(record.verdict):
        if hit is not None:
            prefix = "shadow_" if hit.mode == "shadow" else ""
            fields[prefix + hit.kind] = hit.label
            fields[prefix + "action"] = hit.action
    return fields
