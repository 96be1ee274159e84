"""The query log: off unless asked for, and then one line per query.

Knows: how records become lines, how much of a client is shown.  Does not know: sockets, how answers are made,
which records are wanted.
`native/core/src/records/lines.rs` makes the same octets of the native plane's records.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

from resolver.observe.log import LINE_FORMATS, LineAccount, LogWriter
from resolver.observe.records import Record, Taken, has_hit
from resolver.observe.tally import OTHER, QTYPE_LABELS, RCODE_LABELS, hits_of
from resolver.wire.names import name_to_text
from resolver.wire.query import Malformed, parse_query

IPV4_NETWORK_BITS: Final = 24
IPV6_NETWORK_BITS: Final = 48
"""How much of an address `clients: network` keeps: a site, not a person."""

_NETWORK_BITS: Final = {4: IPV4_NETWORK_BITS, 16: IPV6_NETWORK_BITS}
"""By the octets of the address."""


_HITS: Final = {
    "text": re.compile(rb"^.* (?:shadow_)?(?:exchange|list)=.*\n", re.MULTILINE),
    "json": re.compile(rb'^.*, "(?:shadow_)?(?:exchange|list)": .*\n', re.MULTILINE),
}
"""Lines of the native plane that tell of a rule; no octets of a query can write such words, for blanks and
quotes come escaped."""


class QueryLog:
    """The sink that writes a line for each record; see `records.Sink`.

    `clients`: `hidden`, `network` or `full`.  `only_blocked`: it writes only what a rule blocks,
    or would by a shadow rule.
    """

    name: Final = "log"

    def __init__(
        self, writer: LogWriter, *, clients: str, line_format: str, only_blocked: bool = False
    ) -> None:
        self._writer = writer
        self._clients = clients
        self._format = line_format
        self._only_blocked = only_blocked
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
            self.give_up(len(taken))
            return
        count = len(taken)
        if isinstance(taken, list):
            records = [record for record in taken if has_hit(record.verdict)] if self._only_blocked else taken
            count = len(records)
            lines = lines_of(records, self._format, self._clients, offset_s)
        else:
            lines = taken.lines(self._format, self._clients, offset_s)
            if self._only_blocked:
                hits = _HITS[self._format].findall(lines)
                count, lines = len(hits), b"".join(hits)
        if count:
            self._writer.put_lines(lines, count, self._account)

    def give_up(self, count: int) -> None:
        self._given_up += count


def lines_of(records: Sequence[Record], line_format: str, clients: str, offset_s: float) -> bytes:
    """A line for each record; `offset_s`: wall time less monotonic time."""
    format_line = LINE_FORMATS[line_format]
    return "".join(
        format_line(record.at + offset_s, "info", "query", _fields(record, clients)) + "\n"
        for record in records
    ).encode()


def _fields(record: Record, clients: str) -> dict[str, object]:
    query = parse_query(record.octets)
    fields: dict[str, object] = {}
    if clients != "hidden":
        fields["client"] = shown_client(record.peer.address, clients)
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


def shown_client(address: bytes, clients: str) -> str:
    """A packed address as `full`, or as its `network` only."""
    whole = ipaddress.ip_address(address)
    if clients == "full":
        return str(whole)
    return str(ipaddress.ip_network((whole, _NETWORK_BITS[len(address)]), strict=False))
