"""The errors that an answer tells among its EDNS options (RFC 8914): their INFO-CODEs.

Knows: where an OPT stands in a message.  Does not know: what a code means.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from resolver.wire.names import NAME_OCTETS_MAX
from resolver.wire.numbers import Qtype
from resolver.wire.walk import HEADER_OCTETS, RECORD_FIXED

ERROR_CODES_MAX: Final = 8
"""Codes read of one answer; ours have two."""

_EDE: Final = 15
"""Option code of Extended DNS Errors."""
_FIXED_OCTETS: Final = 10
_OPTION_HEAD_OCTETS: Final = 4
"""Code and length."""


def error_codes(message: bytes) -> list[int]:
    """The codes in a message, in their order, the first of them; none also where it cannot be read."""
    codes = [
        int.from_bytes(message[start : start + 2])
        for option, start, end in _contents(message)
        if option == _EDE and end - start >= 2
    ]
    return codes[:ERROR_CODES_MAX]


def _contents(message: bytes) -> Iterator[tuple[int, int, int]]:
    """The code of each option, and where its content stands; none where the message cannot be read."""
    try:
        at, end = _options_of(message)
    except (IndexError, ValueError):
        return
    while at + _OPTION_HEAD_OCTETS <= end:
        option, length = (int.from_bytes(message[place : place + 2]) for place in (at, at + 2))
        at += _OPTION_HEAD_OCTETS
        if at + length > end:
            return
        yield option, at, at + length
        at += length


def _options_of(message: bytes) -> tuple[int, int]:
    """Where the options of the first OPT stand.  Raises IndexError, ValueError."""
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
        if at + length > len(message):
            raise ValueError("RDATA that ends early")
        if number >= answers + authorities and rtype == Qtype.OPT:
            return at, at + length
        at += length
    return 0, 0


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
