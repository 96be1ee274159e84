"""The JSON Schema of one line of `type: jsonl`.

Knows: every member, its type and its words.  Does not know: how a line is written.
"""

from __future__ import annotations

from typing import Any, Final

from resolver.flow.outcome import Source
from resolver.flow.peer import Transport
from resolver.observe.tally import OTHER, RCODE_LABELS
from resolver.policy.verdict import PolicyAction
from resolver.sinks.why import ADDRESS, CHAIN, QNAME, SERVICE
from resolver.wire.options import ERROR_CODES_MAX

_NAME: Final = {"type": "string", "minLength": 1, "maxLength": 1004, "pattern": r"^[\x21-\x7e]+$"}
_LABEL: Final = {"type": "string", "minLength": 1}


def records_schema() -> dict[str, Any]:
    """Of one line; new members may come, and none goes without a word in the changelog."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A query record of exchange-resolver",
        "description": "One line of a sink of type jsonl: one query, and what became of it.",
        "type": "object",
        "properties": _members(),
        "required": ["time", "transport"],
        "allOf": [
            {"oneOf": [{"required": ["qname", "qtype"]}, {"required": ["malformed"]}]},
            {"oneOf": [{"required": ["rcode", "source"]}, {"required": ["dropped"]}]},
            {"not": {"required": ["exchange", "list"]}},
            {"not": {"required": ["shadow_exchange", "shadow_list"]}},
        ],
        "dependentRequired": {
            "exchange": ["action"],
            "list": ["action"],
            "shadow_exchange": ["shadow_action"],
            "shadow_list": ["shadow_action"],
            "match": ["value", "action"],
            "value": ["match"],
            "client_name": ["client"],
        },
        "dependentSchemas": {
            member: {"anyOf": [{"required": ["exchange"]}, {"required": ["list"]}]}
            for member in ("action", "rule", "match", "value")
        },
        "additionalProperties": False,
    }


def _members() -> dict[str, Any]:
    action = {"enum": sorted(action.value for action in PolicyAction if action is not PolicyAction.PASSTHRU)}
    return {
        "time": {
            "description": "When it was answered or dropped, in UTC.",
            "type": "string",
            "format": "date-time",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        },
        "client": {
            "description": "The address, the network with its length, or the encrypted address; "
            "absent with clients: hidden.",
            "type": "string",
            "pattern": r"^[0-9a-f:.]+(/\d+)?$",
        },
        "client_name": {
            "description": "The name that the client gave itself; only with clients: full.",
            "type": "string",
            "pattern": r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        },
        "transport": {"enum": sorted(transport.label for transport in Transport)},
        "qname": {"description": "The name, with RFC 1035's escapes, in lower case.", **_NAME},
        "qtype": {"description": "The type's name, or TYPE and its number.", **_LABEL},
        "malformed": {"description": "Why it is no query; in place of name and type.", **_LABEL},
        "rcode": {"enum": sorted({*RCODE_LABELS.values(), OTHER})},
        "source": {"enum": sorted(source.value for source in Source)},
        "dropped": {"description": "Why it got no answer; in place of rcode and source.", **_LABEL},
        "exchange": {"description": "The exchange whose rule blocked it.", **_LABEL},
        "list": {"description": "The list whose rule blocked it.", **_LABEL},
        "action": {"description": "What the rule says is to be done.", **action},
        "shadow_exchange": {"description": "The exchange whose shadow rule would have.", **_LABEL},
        "shadow_list": {"description": "The list whose shadow rule would have.", **_LABEL},
        "shadow_action": {"description": "What the shadow rule says is to be done.", **action},
        "rule": {
            "description": "The rule as blocklists have it: name, =name, *.name or a network.",
            **_NAME,
            "maxLength": 1006,
        },
        "match": {
            "description": "What the rule spoke of: the question's name, a name of the answer's chain, "
            "the target of a service record, an address.",
            "enum": [QNAME, CHAIN, SERVICE, ADDRESS],
        },
        "value": {"description": "That name or address.", **_NAME},
        "ede": {
            "description": "INFO-CODEs of the answer's Extended DNS Errors (RFC 8914).",
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 65_535},
            "minItems": 1,
            "maxItems": ERROR_CODES_MAX,
        },
    }
