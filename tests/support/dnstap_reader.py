"""A strict reader of Frame Streams and of dnstap's protocol buffers, written from their descriptions alone.

Knows: the wire types, dnstap.proto's fields.  Does not know: the code that writes them.
It refuses whatever the description does not have: unknown fields, a field twice, fields of the wrong type,
varints longer than need be, frames that end early.
"""

from __future__ import annotations

from typing import Any, Final

VARINT, OCTETS, FIXED = 0, 2, 5

Schema = dict[int, tuple[str, Any]]

POLICY: Final[Schema] = {
    1: ("type", OCTETS),
    2: ("rule", OCTETS),
    3: ("action", VARINT),
    4: ("match", VARINT),
    5: ("value", OCTETS),
}
MESSAGE: Final[Schema] = {
    1: ("type", VARINT),
    2: ("socket_family", VARINT),
    3: ("socket_protocol", VARINT),
    4: ("query_address", OCTETS),
    5: ("response_address", OCTETS),
    6: ("query_port", VARINT),
    7: ("response_port", VARINT),
    8: ("query_time_sec", VARINT),
    9: ("query_time_nsec", FIXED),
    10: ("query_message", OCTETS),
    11: ("query_zone", OCTETS),
    12: ("response_time_sec", VARINT),
    13: ("response_time_nsec", FIXED),
    14: ("response_message", OCTETS),
    15: ("policy", POLICY),
    16: ("http_protocol", VARINT),
}
DNSTAP: Final[Schema] = {
    1: ("identity", OCTETS),
    2: ("version", OCTETS),
    3: ("extra", OCTETS),
    14: ("message", MESSAGE),
    15: ("type", VARINT),
}

CONTENT_TYPE: Final = b"protobuf:dnstap.Dnstap"


class Unreadable(Exception):
    """Octets that break the description."""


def varint(octets: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(octets) or shift > 63:
            raise Unreadable("a varint without an end")
        octet = octets[at]
        number |= (octet & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if octet < 0x80:
            if octet == 0 and shift > 7:
                raise Unreadable("a varint longer than need be")
            return number, at


def message_in(octets: bytes, schema: Schema = DNSTAP) -> dict[str, Any]:
    """A whole message, by the names of its fields."""
    found: dict[str, Any] = {}
    at = 0
    while at < len(octets):
        key, at = varint(octets, at)
        field, wire_type = key >> 3, key & 7
        if field not in schema:
            raise Unreadable(f"unknown field {field}")
        name, kind = schema[field]
        if name in found:
            raise Unreadable(f"{name} stands there twice")
        if wire_type != (OCTETS if isinstance(kind, dict) else kind):
            raise Unreadable(f"{name} is of type {wire_type}")
        value: Any
        if wire_type == VARINT:
            value, at = varint(octets, at)
        else:
            length = 4
            if wire_type == OCTETS:
                length, at = varint(octets, at)
            if at + length > len(octets):
                raise Unreadable(f"{name} ends early")
            value, at = octets[at : at + length], at + length
            if wire_type == FIXED:
                value = int.from_bytes(value, "little")
            elif isinstance(kind, dict):
                value = message_in(value, kind)
        found[name] = value
    return found


def payloads_in(octets: bytes, *, is_file: bool = False, is_cut: bool = False) -> list[bytes]:
    """What data frames hold; `is_file`: between START and STOP.  `is_cut`: STOP may be missing."""
    payloads = []
    at = 0
    controls: list[str] = []
    while at < len(octets):
        length, at = _number(octets, at)
        if length:
            if is_file and controls != ["start"]:
                raise Unreadable("data before START or behind STOP")
            payloads.append(octets[at : at + length])
        else:
            length, at = _number(octets, at)
            controls.append(_control(octets[at : at + length]))
        if at + length > len(octets):
            raise Unreadable("a frame that ends early")
        at += length
    wanted = [["start"], ["start", "stop"]] if is_cut else [["start", "stop"]]
    if is_file and controls not in wanted:
        raise Unreadable(f"control frames are {controls}")
    return payloads


def messages_in(octets: bytes, *, is_file: bool = False, is_cut: bool = False) -> list[dict[str, Any]]:
    """The messages in frames; each has a type and a message of a type."""
    found = [message_in(payload) for payload in payloads_in(octets, is_file=is_file, is_cut=is_cut)]
    for message in found:
        if message["type"] != 1 or "type" not in message["message"]:
            raise Unreadable("a required field is missing")
    return found


def _number(octets: bytes, at: int) -> tuple[int, int]:
    if at + 4 > len(octets):
        raise Unreadable("a frame that ends early")
    return int.from_bytes(octets[at : at + 4]), at + 4


def _control(content: bytes) -> str:
    if content == b"\0\0\0\x03":
        return "stop"
    if content == b"\0\0\0\x02\0\0\0\x01" + len(CONTENT_TYPE).to_bytes(4) + CONTENT_TYPE:
        return "start"
    raise Unreadable(f"a control frame {content!r}")
