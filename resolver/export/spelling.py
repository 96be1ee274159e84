"""Names and addresses in the spellings of other programs' files.

Knows: master files (RFC 1035 §5.1), plain host names.  Does not know: what is done with them.
"""

from __future__ import annotations

import ipaddress
import re

_PLAIN = re.compile(rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\Z")
_MASTER_OCTET = tuple(
    chr(octet) if re.match(rb"[a-z0-9_-]", bytes([octet])) else f"\\{octet:03d}" for octet in range(256)
)
WILDCARD_LABEL = b"\x01*"


def plain_name(name: bytes) -> str | None:
    """Text of a name of letters, digits, `-` and `_`, without a last dot; None for any other."""
    text = bytearray(name)
    position = 0
    while length := name[position]:
        text[position] = 0x2E
        position += length + 1
        if 0x2E in name[position - length : position]:
            return None  # A label with a dot in it would look like two.
    plain = text[1:-1]
    return plain.decode("ascii") if _PLAIN.match(plain) else None


def master_name(name: bytes) -> str:
    """Text for a master file, without a last dot: whatever is not plain is written `\\DDD`."""
    plain = plain_name(name)
    if plain is not None:
        return plain
    labels = []
    position = 0
    while length := name[position]:
        position += length + 1
        labels.append("".join([_MASTER_OCTET[octet] for octet in name[position - length : position]]))
    return ".".join(labels)


def address_text(packed: bytes) -> str:
    """4 or 16 octets as text."""
    return str(ipaddress.ip_address(packed))


def network_text(packed: bytes, prefix_length: int) -> str:
    """A network as `203.0.113.0/24`."""
    return f"{address_text(packed)}/{prefix_length}"
