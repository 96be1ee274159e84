"""The errors that an answer tells: their INFO-CODEs (RFC 8914).

Knows: where an OPT stands in a message.  Does not know: what a code means.
"""

from __future__ import annotations

from typing import Final

from resolver.wire.names import NAME_OCTETS_MAX
from resolver.wire.numbers import Qtype
from resolver.wire.walk import HEADER_OCTETS, RECORD_FIXED

ERROR_CODES_MAX: Final = 8
"""Codes read of one answer; ours have two."""

_EDE: Final = 15
"""EDNS option code of Extended DNS Errors."""
_FIXED_OCTETS: Final = 10


def error_codes(message: bytes) -> list[int]:
    """The codes in a message, in their order, the first of them; none also where it cannot be read."""
    try:
        return _codes_in(_options_of(message))
    except (IndexError, ValueError):
        return []


def _options_of(message: bytes) -> bytes:
    """The options of the first OPT.  Raises IndexError, ValueError."""
    if len(message) < HEADER_OCTETS:
        raise ValueError("no header")
    questions, answers, authorities, additionals = (
        int.from_bytes(message[at : at + 2]) for at in range(4, HEADER_OCTETS, 2)
    )
    at = HEADER_OCTETS
    for _ in range(questions):
        at = _skip_name(message, at) + 4
    for number in range(answers + authorities + additionals):
        at = _skip_name(message, at)
        if at + _FIXED_OCTETS > len(message):
            raise ValueError("a record that ends early")
        rtype, _, _, length = RECORD_FIXED(message, at)
        at += _FIXED_OCTETS
        if number >= answers + authorities and rtype == Qtype.OPT:
            if at + length > len(message):
                raise ValueError("an OPT that ends early")
            return message[at : at + length]
        at += length
    return b""


def _skip_name(message: bytes, at: int) -> int:
    """The offset after the name at `at`, pointers not followed.  Raises IndexError, ValueError."""
    limit = at + NAME_OCTETS_MAX
    while True:
        length = message[at]
        if length == 0:
            return at + 1
        if length >= 0xC0:
            return at + 2
        if length > 63:
            raise ValueError("no label")
        at += length + 1
        if at >= limit:
            raise ValueError("a name too long")


def _codes_in(options: bytes) -> list[int]:
    codes: list[int] = []
    at = 0
    while at + 4 <= len(options) and len(codes) < ERROR_CODES_MAX:
        option, length = (int.from_bytes(options[place : place + 2]) for place in (at, at + 2))
        at += 4
        if at + length > len(options):
            break
        if option == _EDE and length >= 2:
            codes.append(int.from_bytes(options[at : at + 2]))
        at += length
    return codes
