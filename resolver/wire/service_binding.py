"""What an SVCB or HTTPS record points to: its target name and address hints.

Knows: RFC 9460 §2.2's RDATA.  Does not know: what the other parameters mean.
Strict, because policy judges what a client would connect to: RDATA that we cannot read to its
end is refused, not passed on half understood.
"""

from __future__ import annotations

from resolver.wire.walk import Names, WireError, read_name

_IPV4_HINT = 4
_IPV6_HINT = 6


def read_service(octets: bytes, at: int, end: int) -> tuple[bytes | None, list[bytes]]:
    """Target (lower case; None for `.`) and hint addresses of the RDATA between two offsets.

    Raises WireError when it is not laid out as RFC 9460 says, IndexError past the octets.
    """
    at += 2
    if at >= end:
        raise WireError
    # RFC 9460 §2.2: the target is not compressed; in a slice of its own a pointer has nowhere to lead.
    target, used = read_name(octets[at:end], 0, Names())
    at += used
    hints: list[bytes] = []
    before = -1
    while at < end:
        if at + 4 > end:
            raise WireError
        key = octets[at] << 8 | octets[at + 1]
        value_end = at + 4 + (octets[at + 2] << 8 | octets[at + 3])
        if value_end > end or key <= before:
            raise WireError
        before = key
        if key in (_IPV4_HINT, _IPV6_HINT):
            hints += _addresses(octets[at + 4 : value_end], 4 if key == _IPV4_HINT else 16)
        at = value_end
    return (None if target == b"\0" else target.lower()), hints


def _addresses(value: bytes, size: int) -> list[bytes]:
    if not value or len(value) % size:
        raise WireError
    return [value[at : at + size] for at in range(0, len(value), size)]
