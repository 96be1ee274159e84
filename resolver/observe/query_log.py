"""The query log: off unless asked for, and then one line per answer.

Knows: which answers are wanted, how much of a client is shown.  Does not know: sockets, how answers are made.
A listener holds None instead of a QueryLog when the log is off, so that costs one comparison.  When it is
on, the event loop only queues references; the writing thread reads the question and makes the line.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from resolver.flow.outcome import Drop, Respond
from resolver.flow.peer import Peer
from resolver.observe.log import LINE_FORMATS, LogWriter
from resolver.observe.tally import QTYPE_LABELS, RCODE_LABELS, hits_of
from resolver.wire.names import name_to_text
from resolver.wire.query import Malformed, parse_query

NETWORK_BITS = {4: 24, 16: 48}
"""How much of an address `clients: network` keeps, by its octets: a site, not a person."""


class QueryLog:
    """Writes the queries that are wanted.

    `queries`: `blocked` or `all` (`none` is no QueryLog).  `clients`: `hidden`, `network` or `full`.
    """

    def __init__(
        self,
        writer: LogWriter,
        *,
        queries: str,
        clients: str,
        line_format: str,
        wall: Callable[[], float],
    ) -> None:
        self._writer = writer
        self._only_blocked = queries == "blocked"
        self._clients = clients
        self._format = LINE_FORMATS[line_format]
        self._wall = wall

    def write(self, peer: Peer, query_octets: bytes, outcome: Respond | Drop) -> None:
        """Log what became of a query, if it is wanted; never blocks."""
        verdict = outcome.verdict
        if self._only_blocked and not verdict.is_blocked and verdict.shadow is None:
            return
        at = self._wall()
        self._writer.put(lambda: self._format(at, "info", "query", self._fields(peer, query_octets, outcome)))

    def _fields(self, peer: Peer, query_octets: bytes, outcome: Respond | Drop) -> dict[str, object]:
        query = parse_query(query_octets)
        fields: dict[str, object] = {}
        if self._clients != "hidden":
            fields["client"] = shown_client(peer.address, self._clients)
        fields["transport"] = peer.transport.label
        if isinstance(query, Malformed):
            fields["malformed"] = query.reason
        else:
            fields["qname"] = name_to_text(query.qname)
            fields["qtype"] = QTYPE_LABELS.get(query.qtype, f"TYPE{query.qtype}")
        if isinstance(outcome, Respond):
            fields["rcode"] = RCODE_LABELS.get(outcome.rcode, str(outcome.rcode))
            fields["source"] = outcome.source.value
        else:
            fields["dropped"] = outcome.reason
        for hit in hits_of(outcome.verdict):
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
    return str(ipaddress.ip_network((whole, NETWORK_BITS[len(address)]), strict=False))
