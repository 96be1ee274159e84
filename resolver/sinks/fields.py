"""What a record says, field by field, for all formats that are text.

Knows: which fields there are, and in which order.  Does not know: how they are spelt.  The mirror of
`native/core/src/records/fields.rs`.
"""

from __future__ import annotations

from resolver.observe.clients import ShownClients
from resolver.observe.records import Record
from resolver.observe.tally import OTHER, QTYPE_LABELS, RCODE_LABELS, hits_of
from resolver.sinks.why import Why, why_of
from resolver.wire.names import name_to_text
from resolver.wire.options import error_codes
from resolver.wire.query import Malformed, Query

Value = str | list[int]
Fields = dict[str, Value]


def fields_of(record: Record, query: Query | Malformed, clients: ShownClients) -> Fields:
    """Everything that a record says, in order, but for its time."""
    fields: Fields = {}
    client = clients.text(record.peer.address)
    if client is not None:
        fields["client"] = client
    if name := clients.name(record.peer.name):
        fields["client_name"] = name
    fields["transport"] = record.peer.transport.label
    if isinstance(query, Malformed):
        fields["malformed"] = query.reason
    else:
        fields["qname"] = name_to_text(query.qname)
        fields["qtype"] = type_text(query.qtype)
    fields |= kind_fields(record)
    why = reason_of(record, query)
    if why is not None:
        fields |= {"rule": why.rule, "match": why.matched, "value": why.value_text}
    codes = codes_of(record)
    if codes:
        fields["ede"] = codes
    return fields


def kind_fields(record: Record) -> Fields:
    """What all records of a kind say: what became of the query, and whose rules spoke."""
    fields: Fields
    if record.rcode is None:
        fields = {"dropped": record.source}
    else:
        fields = {"rcode": RCODE_LABELS.get(record.rcode, OTHER), "source": record.source}
    for hit in hits_of(record.verdict):
        if hit is not None:
            prefix = "shadow_" if hit.mode == "shadow" else ""
            fields[prefix + hit.kind] = hit.label
            fields[prefix + "action"] = hit.action
    return fields


def reason_of(record: Record, query: Query | Malformed) -> Why | None:
    """Which rule spoke of what; None: no rule blocked it."""
    return None if isinstance(query, Malformed) else why_of(record.verdict, query.qname)


def codes_of(record: Record) -> list[int]:
    """The errors that the answer tells."""
    return [] if record.tail is None else error_codes(record.octets[:2] + record.tail)


def type_text(qtype: int) -> str:
    """A type's name, or its number (RFC 3597 §5)."""
    return QTYPE_LABELS.get(qtype, f"TYPE{qtype}")
